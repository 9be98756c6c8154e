//! The commands of the README, in the order of the text, on a real cluster.

use std::process::{Output, Stdio};

use ::harness::{Result, TestNamespace, WorkloadSpec, rebalancer};

use crate::support::{assert_untouched, installers::in_repository, skewed, tools};

const README: &str = include_str!("../../../README.md");

/// The commands of the first block of shell commands below a text, without comments.
fn commands(text: &str) -> Vec<String> {
    let (_, section) = README.split_once(text).unwrap();
    let (_, block) = section.split_once("```sh\n").unwrap();
    let (block, _) = block.split_once("```").unwrap();
    let without_comment = |line: &str| {
        let command = line.split(" #").next().unwrap_or_default();
        command.trim().to_owned()
    };
    let commands = block.lines().map(without_comment);
    commands.filter(|command| !command.is_empty()).collect()
}

/// Runs a command in a shell, with the program of this workspace as `rebalancer`.
async fn shell(ns: &TestNamespace, commands: &str) -> Output {
    let binary = rebalancer::binary().unwrap();
    let path = std::env::var("PATH").unwrap();
    let directory = binary.parent().unwrap().display();
    let mut shell = tokio::process::Command::new("bash");
    shell
        .args(["-ec", commands])
        .env_clear()
        // The variables that the test cluster needs: the kubeconfig, and short times.
        .envs(ns.rebalancer_for("ingestion").variables())
        .env("PATH", format!("{directory}:{path}"))
        .current_dir(ns.dir())
        .stdin(Stdio::null());
    shell.output().await.unwrap()
}

#[tokio::test]
async fn quick_start_of_the_readme_works() -> Result<()> {
    let ns = TestNamespace::start().await?;
    let ingestion = skewed(&ns, WorkloadSpec::deployment("ingestion")).await?;
    let before = ingestion.pods().await?;
    let commands = commands("## Quick start");
    let (install, commands) = commands.split_first().unwrap();
    // The program under test is already built.
    assert!(install.starts_with("cargo install "), "{install}");
    assert!(README.contains("path rebalancer-cli"), "{install}");
    let (exports, commands): (Vec<&String>, Vec<&String>) = commands
        .iter()
        .partition(|line| line.starts_with("export "));
    // The values are those of the reader's cluster, the names are the README's.
    let values = [
        ("PROMETHEUS_ENDPOINT", ns.metrics_servers()[0].url()),
        ("KUBE_NAMESPACE", ns.name().to_owned()),
        ("DEPLOYMENT_NAME", "ingestion".to_owned()),
    ];
    assert_eq!(exports.len(), values.len(), "{exports:?}");
    let mut setup = String::new();
    for (export, (name, value)) in exports.iter().zip(&values) {
        assert!(export.starts_with(&format!("export {name}=")), "{export}");
        setup.push_str(&format!("export {name}={value}\n"));
    }
    let (acts, harmless) = commands.split_last().unwrap();
    assert_eq!(*acts, "rebalancer");
    for command in harmless {
        let output = shell(&ns, &format!("{setup}{command}")).await;
        let (stdout, stderr) = (
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr),
        );
        assert!(output.status.success(), "{command}: {stdout}{stderr}");
        assert!(!stdout.is_empty(), "{command}: {stderr}");
        assert_untouched(&ingestion, &before).await?;
    }
    let output = shell(&ns, &format!("{setup}{acts}")).await;
    let stdout = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{output:?}");
    assert!(stdout.contains("4 of 4 pods evicted"), "{stdout}");
    Ok(())
}

/// From nothing to the plan of a CronJob, with the real kubectl.
#[tokio::test]
async fn cron_job_of_the_readme_runs_dry() -> Result<()> {
    let ns = TestNamespace::start().await?;
    let ingestion = skewed(&ns, WorkloadSpec::deployment("ingestion")).await?;
    let before = ingestion.pods().await?;
    std::os::unix::fs::symlink(in_repository("deploy"), ns.dir().join("deploy")).unwrap();
    let mut commands = commands("As a CronJob");
    // The kubelet of the tests starts the program under test for each image of this name.
    let build = commands.remove(1);
    assert!(
        build.starts_with("docker build -f deploy/Dockerfile -t $image "),
        "{build}"
    );
    // The pods are too young for the window of five minutes.
    let start = "kubectl create job ";
    let start = commands.iter().position(|line| line.starts_with(start));
    let younger = "kubectl set env -n posthog cronjob/pod-rebalancer METRICS_TIME_WINDOW=10s";
    commands.insert(start.unwrap(), younger.to_owned());
    // The values are those of the reader's cluster.
    let mut script = commands.join("\n");
    for (of_readme, of_test) in [
        ("-n posthog ", format!("-n {} ", ns.name())),
        (
            "http://prometheus:9090",
            "http://victoriametrics:8428".to_owned(),
        ),
    ] {
        assert!(script.contains(of_readme), "{of_readme}: {script}");
        script = script.replace(of_readme, &of_test);
    }
    let output = tools::shell_with_kubectl(ns.dir())
        .args(["-euxc", &script])
        .env("KUBECONFIG", ns.control_plane().admin_kubeconfig())
        .output()
        .await
        .unwrap();
    let (stdout, stderr) = (
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr),
    );
    assert!(output.status.success(), "{stdout}{stderr}");
    for says in [
        "cronjob.batch/pod-rebalancer created",
        "job.batch/try condition met",
        "\"dry_run\":true",
        "ROTATE: evict 4 of 8 pods",
    ] {
        assert!(stdout.contains(says), "{says}: {stdout}{stderr}");
    }
    assert_untouched(&ingestion, &before).await?;
    Ok(())
}

/// The example of the decision rule: its numbers, and its result.
#[tokio::test]
async fn example_of_the_readme_is_true() -> Result<()> {
    let ns = TestNamespace::start().await?;
    let example = commands("## How it decides").join("\n");
    assert!(
        example.contains("rebalancer decide --snapshot -"),
        "{example}"
    );
    let output = shell(&ns, &format!("unset OUTPUT\n{example}")).await;
    let stdout = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{output:?}");
    for says in ["ROTATE: evict 4 of 6 pods", "improvement 34.8 %"] {
        let text = stdout.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(text.contains(says), "{stdout}");
        assert!(says.starts_with("ROTATE") || README.contains("34.8 %"));
    }
    Ok(())
}
