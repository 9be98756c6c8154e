//! Reports for people: a file for a browser, and Markdown.

use ::harness::{Result, fault};
use rstest::rstest;

use crate::support::{RunExt as _, shared::Shared};

#[rstest]
#[case::browser("report.html", "<b>ROTATE</b>", "<svg ")]
#[case::markdown("report.md", "**ROTATE**: ", "| pod | load |")]
#[tokio::test]
async fn report_of_a_run_is_written_in_the_format_of_the_name(
    #[case] name: &str,
    #[case] verdict: &str,
    #[case] chart: &str,
) -> Result<()> {
    let shared = Shared::open().await?;
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join(name);
    for command in ["run", "plan"] {
        let _ = std::fs::remove_file(&path);
        let run = shared
            .ns
            .rebalancer_for("consumer")
            .env("DRY_RUN", "true")
            .arg(command)
            .arg("--report")
            .arg(&path)
            .run()
            .await?;
        assert_eq!(run.code, Some(0), "{run}");
        let report = std::fs::read_to_string(&path).unwrap();
        assert!(report.contains(verdict), "{report}");
        assert!(report.contains(chart), "{report}");
        assert!(report.contains("Deployment shared/consumer"), "{report}");
        let files = std::fs::read_dir(directory.path()).unwrap().count();
        assert_eq!(files, 1, "{run}");
    }
    Ok(())
}

/// The report of a run that fails says why.
#[tokio::test]
async fn failure_is_in_the_report() -> Result<()> {
    let shared = Shared::open().await?;
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("report.html");
    shared
        .ns
        .rebalancer_for("consumer")
        .env("DRY_RUN", "true")
        .env("REPORT_FILE", &path)
        .env("PROMETHEUS_ENDPOINT", fault::refused_url()?)
        .ends_with(1)
        .await?;
    let report = std::fs::read_to_string(&path).unwrap();
    assert!(report.contains("<b>ERROR</b>"), "{report}");
    assert!(report.contains("Connection refused"), "{report}");
    Ok(())
}

#[tokio::test]
async fn report_that_cannot_be_written_is_an_error() -> Result<()> {
    let shared = Shared::open().await?;
    let run = shared
        .ns
        .rebalancer_for("consumer")
        .env("DRY_RUN", "true")
        .env("REPORT_FILE", "/nowhere/report.html")
        .ends_with(1)
        .await?;
    let log = run.log();
    let error = log.iter().find(|line| line["level"] == "error").unwrap();
    let message = error["msg"].as_str().unwrap();
    run.assert_says(
        message,
        &["REPORT_FILE", "/nowhere/report.html", "No such file"],
    );
    Ok(())
}

#[tokio::test]
async fn markdown_is_printed() -> Result<()> {
    let shared = Shared::open().await?;
    let run = shared
        .ns
        .rebalancer_for("consumer")
        .arg("plan")
        .env("OUTPUT", "markdown")
        .run()
        .await?;
    assert_eq!(run.code, Some(0), "{run}");
    let begin = "### Deployment shared/consumer\n\n**ROTATE**: ";
    assert!(run.stdout.starts_with(begin), "{run}");
    assert!(run.stdout.contains("#### Checks\n"), "{run}");
    Ok(())
}
