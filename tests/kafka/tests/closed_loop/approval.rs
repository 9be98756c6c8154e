//! `APPROVAL=manual`: a hand-over waits for the approval of a person, and is reported everywhere.

use std::path::{Path, PathBuf};

use harness::browser::{self, Window};
use harness::{FaultServer, Rebalancer, Result, TestNamespace};
use rebalancer_core::group::Assignor;
use serde_json::Value;

use crate::assign::{act, after, assigning, skewed};
use crate::scene::{PODS, Scene};
use crate::{run, workload};

/// The places where runs are reported.
struct Reported {
    directory: PathBuf,
    webhook: FaultServer,
}

impl Reported {
    async fn start(directory: &Path) -> Result<Self> {
        Ok(Self {
            directory: directory.to_owned(),
            webhook: FaultServer::json(200, "ok").await?,
        })
    }

    fn page(&self) -> PathBuf {
        self.directory.join("report.html")
    }

    fn metrics(&self) -> PathBuf {
        self.directory.join("rebalancer.prom")
    }

    /// The program, whose runs need approval and are reported to all of them.
    fn program(&self, scene: &Scene<'_>) -> Rebalancer {
        assigning(scene, "assign")
            .env("APPROVAL", "manual")
            .env("COOLDOWN", "1s")
            .env("METRICS_FILE", self.metrics())
            .env("NOTIFY_URL", self.webhook.url())
            .env("NOTIFY_ON", "rotations,plans")
            .arg("--report")
            .arg(self.page())
    }

    /// The value of a metric of the last run, of the series with a label.
    fn metric(&self, name: &str, label: &str) -> f64 {
        let text = std::fs::read_to_string(self.metrics()).unwrap();
        let of_series = |line: &&str| {
            let rest = line.strip_prefix(name);
            rest.is_some_and(|rest| rest.starts_with('{') && rest.contains(label))
        };
        let line = text.lines().find(of_series);
        let line = line.unwrap_or_else(|| panic!("no {name} with {label}: {text}"));
        line.rsplit_once(' ').unwrap().1.parse().unwrap()
    }

    /// The notifications about the workload, oldest first.
    fn notifications(&self) -> Vec<Value> {
        let requests = self.webhook.requests();
        let documents = requests.iter().map(|request| {
            let document: Value = serde_json::from_str(&request.body).unwrap();
            document["workloads"][0].clone()
        });
        documents.collect()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn approved_hand_over_is_executed_once_and_reported() -> Result<()> {
    let ns = TestNamespace::start().await?;
    let mut scene = Scene::start(&ns, Assignor::CooperativeSticky).await?;
    let owned = skewed(&mut scene).await?;
    let directory = tempfile::tempdir().unwrap();
    let reported = Reported::start(directory.path()).await?;
    let program = reported.program(&scene);

    let proposed = run(&program).await?;
    let report = workload(&proposed);
    assert_eq!(
        report["decision"]["reason"], "approval_pending",
        "{proposed}"
    );
    assert_eq!(report["hand_over"], Value::Null, "{proposed}");
    let plan = &report["approval"]["plan"];
    let (id, moves) = (plan["id"].as_str().unwrap(), &plan["moves"]);
    assert_eq!(scene.settled().await?, owned, "{proposed}");
    let moved = |outcome: &str| {
        let label = format!("outcome=\"{outcome}\"");
        reported.metric("rebalancer_last_run_partition_moves", &label)
    };
    assert_eq!(moved("assigned"), 0.0);
    let notifications = reported.notifications();
    assert_eq!(notifications.len(), 1, "{notifications:?}");
    assert_eq!(notifications[0]["event"], "plans");
    let lines = notifications[0]["lines"].to_string();
    assert!(lines.contains(id), "{lines}");

    let target = format!("deployment/{}", scene.workload.name());
    let approve = Rebalancer::new()
        .env("KUBECONFIG", ns.control_plane().program_kubeconfig())
        .args(["approve", &target, "-n", ns.name(), "--id", id]);
    let approved = approve.run().await?;
    assert_eq!(approved.code, Some(0), "{approved}");

    let acted = act(&program).await?;
    let report = workload(&acted);
    assert_eq!(report["decision"]["action"], "assign", "{acted}");
    assert_eq!(report["approval"]["state"], "approved", "{acted}");
    assert_eq!(report["approval"]["plan"]["id"], id, "{acted}");
    assert_eq!(report["moves"], *moves, "{acted}");
    assert_eq!(report["hand_over"]["outcome"], "assigned", "{acted}");
    let assigned = after(owned, moves);
    assert_eq!(scene.settled().await?, assigned, "{acted}");

    let count = moves.as_array().unwrap().len();
    assert_eq!(moved("assigned"), f64::from(u32::try_from(count).unwrap()));
    assert_eq!(moved("abandoned"), 0.0);
    // The consumers keep up, so a few seconds of records are left.
    let lag = reported.metric("rebalancer_group_lag_records", "");
    assert!((0.0..5_000.0).contains(&lag), "{lag}");
    let notifications = reported.notifications();
    assert_eq!(notifications.len(), 2, "{notifications:?}");
    for (field, expected) in [
        ("event", "rotations"),
        ("result", "acted"),
        ("action", "assign"),
    ] {
        assert_eq!(
            notifications[1][field], expected,
            "{field}: {notifications:?}"
        );
    }
    let message = report["hand_over"]["message"].as_str().unwrap();
    let lines = notifications[1]["lines"].to_string();
    assert!(lines.contains(message), "{message}: {lines}");
    let page = std::fs::read_to_string(reported.page()).unwrap();
    assert!(page.contains(message), "{message}: {page}");
    for width in [390, 1280] {
        let window = Window {
            width,
            height: 1600,
            dark: false,
        };
        let shown = browser::measured(&reported.page(), window).await?;
        assert_eq!(shown["overflow"], 0, "{width}: {shown}");
        assert_eq!(shown["bars"], PODS, "{width}: {shown}");
    }

    // The approval is used up. The loads of the window are still in part those of the owners
    // before, so the reason to hold depends on the moment.
    let next = act(&program).await?;
    let report = workload(&next);
    assert_eq!(report["decision"]["action"], "hold", "{next}");
    assert_eq!(report["hand_over"], Value::Null, "{next}");
    assert_eq!(moved("assigned"), 0.0);
    assert_eq!(scene.settled().await?, assigned, "{next}");
    Ok(())
}
