//! The HTML report in a real browser. The screenshots are in `target/tmp/screenshots`.

use std::path::{Path, PathBuf};

use ::harness::browser::{self, Window};
use ::harness::{Rebalancer, Result};
use rstest::rstest;
use serde_json::{Value, json};

use crate::backtest::{has_acted, until};
use crate::support::{RunExt as _, shared::Shared};

/// A phone and a desktop.
const WIDTHS: [u32; 2] = [390, 1280];

/// Pods with long names, some of which are hot, as members of a group that its brokers describe.
fn snapshot(pods: usize) -> Value {
    let name = |pod: usize| format!("events-ingestion-historical-6b7b87f58f-{pod:05}");
    let rates = |pod: usize| [(pod * 37 % 100) as f64, 20.0, (pod * 53 % 60) as f64];
    let load = |pod: usize| rates(pod).iter().sum::<f64>() * 0.01 + 0.1;
    let all = 0..pods;
    json!({
        "target": 0.5,
        "workload": {"namespace": "posthog", "kind": "Deployment", "name": "events-ingestion-historical"},
        "pods": all.clone().map(|pod| json!({"name": name(pod), "load": load(pod)})).collect::<Vec<_>>(),
        "group": {
            "id": "events-ingestion-historical",
            "assignor": "cooperative-sticky",
            "members": all.clone()
                .map(|pod| json!({"pod": name(pod), "id": format!("id-{pod}")}))
                .collect::<Vec<_>>(),
            "topics": {"events_plugin_ingestion_historical": {
                "owners": all.clone().flat_map(|pod| [name(pod), name(pod), name(pod)]).collect::<Vec<_>>(),
                "rates": all.flat_map(rates).collect::<Vec<_>>(),
            }},
            "described": {
                "kind": "classic", "state": "Stable", "protocol_type": "consumer",
                "assignor": "cooperative-sticky", "client": "java",
            },
        },
    })
}

/// The directory of the screenshots, which outlives the test.
fn screenshots() -> PathBuf {
    let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join("screenshots");
    std::fs::create_dir_all(&directory).unwrap();
    directory
}

#[rstest]
#[case::rotation("rotate-outliers", 12)]
#[case::forecast("forecast", 12)]
#[case::assignment("assign", 12)]
#[case::many_pods("assign", 60)]
#[tokio::test]
async fn report_is_readable_on_a_phone_and_on_a_desktop(
    #[case] strategy: &str,
    #[case] pods: usize,
) -> Result<()> {
    let directory = tempfile::tempdir().unwrap();
    let page = directory.path().join("report.html");
    let run = Rebalancer::new()
        .args(["decide", "--snapshot", "-"])
        .env("STRATEGY", strategy)
        .env("REPORT_FILE", &page)
        .env("OUTPUT", "json")
        .stdin(snapshot(pods).to_string())
        .run()
        .await?;
    assert_eq!(run.code, Some(0), "{run}");
    // The partitions are in the file only.
    assert!(!run.stdout.contains("consumer_group"), "{run}");
    // Loads, members of the group if the strategy uses it, and partitions.
    let members = if strategy == "rotate-outliers" {
        0
    } else {
        pods
    };
    let rows = (pods + members + 3 * pods) as u64;
    let name = format!("{strategy}-{pods}");
    assert_readable(&page, &name, |found| {
        assert_eq!(found["bars"], pods, "{found}");
        assert!(found["rows"].as_u64() >= Some(rows), "{rows}: {found}");
    })
    .await
}

/// The report of a run, with the result for each victim.
#[tokio::test]
async fn executed_plan_is_readable_on_a_phone_and_on_a_desktop() -> Result<()> {
    let shared = Shared::open().await?;
    let (consumer, pods) = shared.skewed().await?;
    let directory = tempfile::tempdir().unwrap();
    let page = directory.path().join("report.html");
    let program = shared.ns.rebalancer(&consumer).env("DRY_RUN", "true");
    program.env("REPORT_FILE", &page).ends_with(0).await?;
    let text = std::fs::read_to_string(&page).unwrap();
    assert!(text.contains("4 of 4 pods"), "{text}");
    assert_readable(&page, "executed", |found| {
        assert_eq!(found["bars"], pods.len(), "{found}");
    })
    .await
}

/// Other replicas and assignors: a bar and a row for each.
#[tokio::test]
async fn scenarios_are_readable_on_a_phone_and_on_a_desktop() -> Result<()> {
    let directory = tempfile::tempdir().unwrap();
    let page = directory.path().join("report.html");
    let gone = "events-ingestion-historical-6b7b87f58f-00001";
    let run = Rebalancer::new()
        .args(["forecast", "--snapshot", "-", "--replicas", "8..14"])
        .args(["--assignor", "range", "--assignor", "cooperative-sticky"])
        .args(["--without", gone, "--report"])
        .arg(&page)
        .stdin(snapshot(12).to_string())
        .run()
        .await?;
    assert_eq!(run.code, Some(0), "{run}");
    assert_readable(&page, "what-if", |found| {
        assert_eq!(found["bars"], 15, "{found}");
        assert_eq!(found["rows"], 15, "{found}");
    })
    .await
}

/// The imbalance over time, with and without the actions.
#[tokio::test]
async fn backtest_is_readable_on_a_phone_and_on_a_desktop() -> Result<()> {
    let shared = Shared::open().await?;
    let (consumer, _) = shared.skewed().await?;
    let program = shared.ns.rebalancer(&consumer);
    let directory = tempfile::tempdir().unwrap();
    let page = directory.path().join("report.html");
    let program = program.env("REPORT_FILE", &page);
    // The history of the workload begins when it is created.
    let has_lines = |backtest: &Value| {
        let series = backtest["imbalance"]["series"].as_array().unwrap();
        let known = series.iter().filter(|value| value.is_number()).count();
        has_acted(backtest) && known > 8
    };
    let (_, backtest) = until(&program, has_lines).await?;
    let actions = backtest["actions"].as_array().unwrap().len();
    assert_readable(&page, "backtest", |found| {
        assert_eq!(found["lines"], 2, "{found}");
        assert_eq!(found["dots"], 2 * actions, "{found}");
        assert!(found["rows"].as_u64() >= Some(actions as u64), "{found}");
    })
    .await
}

/// Panics unless the page fits each width in light and dark. Writes screenshots, and passes what
/// was measured to `check`.
async fn assert_readable(page: &Path, name: &str, check: impl Fn(&Value)) -> Result<()> {
    for width in WIDTHS {
        let mut backgrounds = Vec::new();
        for dark in [false, true] {
            let window = Window {
                width,
                height: 1600,
                dark,
            };
            let found = browser::measured(page, window).await?;
            assert_eq!(found["overflow"], 0, "{width}: {found}");
            check(&found);
            assert_ne!(found["background"], found["color"], "{found}");
            backgrounds.push(found["background"].clone());
            let scheme = if dark { "dark" } else { "light" };
            let png = screenshots().join(format!("{name}-{width}-{scheme}.png"));
            browser::screenshot(page, window, &png).await?;
            let bytes = std::fs::read(&png).unwrap();
            assert!(bytes.starts_with(b"\x89PNG"), "{}", png.display());
        }
        assert_ne!(backgrounds[0], backgrounds[1], "one scheme for both");
    }
    Ok(())
}
