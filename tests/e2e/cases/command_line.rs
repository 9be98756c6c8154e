//! Manual pages, and the program as a plugin of kubectl.

use std::fs;

use ::harness::{Rebalancer, Result};
use serde_json::Value;
use tempfile::TempDir;

use crate::support::installers::in_repository;
use crate::support::{
    Outcome, READ_RULES, RunExt as _, VICTIMS, account, shared::Shared, tools, uids,
};

const VERSION: &str = concat!("rebalancer ", env!("CARGO_PKG_VERSION"));

/// The remarks of mandoc that have no effect on what a reader sees.
const ACCEPTED: [&str; 2] = [
    // The pages have no date, so that the same version prints the same pages.
    "cannot parse date, using it verbatim",
    // Line breaks around an empty line of a list of values.
    "skipping paragraph macro: br",
];

/// The output of mandoc.
async fn mandoc(args: &[&str]) -> String {
    let output = tokio::process::Command::new("mandoc")
        .args(args)
        .output()
        .await;
    let output = output.expect("mandoc is missing: run `cargo xtask setup`");
    String::from_utf8(output.stdout).unwrap()
}

/// A text without overstruck letters.
fn plain(text: &str) -> String {
    let mut plain = String::new();
    for letter in text.chars() {
        if letter == '\u{8}' {
            plain.pop();
        } else {
            plain.push(letter);
        }
    }
    plain
}

#[tokio::test]
async fn each_command_has_a_manual_page() -> Result<()> {
    let run = Rebalancer::new().arg("man").run().await?;
    assert_eq!((run.code, run.stderr.as_str()), (Some(0), ""), "{run}");
    for part in [
        ".TH rebalancer 1",
        "TOLERANCE_MULTIPLIER",
        ".SH SUBCOMMANDS",
    ] {
        assert!(run.stdout.contains(part), "{part}");
    }
    let dir = TempDir::new().unwrap();
    let path = dir.path().to_str().unwrap();
    let run = Rebalancer::new().args(["man", "--dir", path]).run().await?;
    assert_eq!((run.code, run.stderr.as_str()), (Some(0), ""), "{run}");
    let page = dir.path().join("rebalancer-plan.1");
    let shown = mandoc(&["-Tutf8", page.to_str().unwrap()]).await;
    // Terminal pages overstrike bold and underlined letters.
    let shown = plain(&shown);
    for part in ["rebalancer-plan(1)", "--save", "rebalancer(1)", VERSION] {
        assert!(shown.contains(part), "{part}: {shown}");
    }
    let pages = fs::read_dir(dir.path()).unwrap();
    let pages: Vec<_> = pages.map(|entry| entry.unwrap().path()).collect();
    assert!(pages.len() > 10, "{pages:?}");
    for page in &pages {
        let lint = mandoc(&["-Tlint", "-W", "warning", page.to_str().unwrap()]).await;
        let warnings: Vec<&str> = lint
            .lines()
            .filter(|line| !ACCEPTED.iter().any(|accepted| line.contains(accepted)))
            .collect();
        assert_eq!(warnings, Vec::<&str>::new());
    }

    let absent = dir.path().join("absent");
    let run = Rebalancer::new()
        .args(["man", "--dir", absent.to_str().unwrap()])
        .run()
        .await?;
    assert_eq!(run.code, Some(1), "{run}");
    assert!(run.stderr.contains("cannot write the manual page"), "{run}");
    Ok(())
}

/// The table of commands, by the manual pages of the program: its first column names every command,
/// and the sentence below it the commands without a workload.
#[tokio::test]
async fn documentation_lists_each_command() -> Result<()> {
    let dir = TempDir::new().unwrap();
    let path = dir.path().to_str().unwrap();
    let run = Rebalancer::new().args(["man", "--dir", path]).run().await?;
    assert_eq!(run.code, Some(0), "{run}");
    let document = fs::read_to_string(in_repository("docs/configuration.md")).unwrap();
    let (_, section) = document.split_once("\n## Commands\n").unwrap();
    let (table, below) = section.split_once("\n\nAll of them except ").unwrap();
    let (without_workload, _) = below.split_once(" take the workload").unwrap();

    let pages = fs::read_dir(dir.path()).unwrap();
    let names = pages.filter_map(|page| {
        let page = page.unwrap().file_name().into_string().unwrap();
        let name = page.strip_prefix("rebalancer-")?.strip_suffix(".1")?;
        Some(name.to_owned())
    });
    let names: Vec<String> = names.collect();
    assert!(names.len() > 10, "{names:?}");
    for name in names {
        let mut rows = table.lines().filter_map(|row| row.split('|').nth(1));
        let in_table = rows.any(|command| {
            let mut code = command.split('`').skip(1).step_by(2);
            code.any(|code| code.split([' ', '\\']).nth(1) == Some(name.as_str()))
        });
        assert!(in_table, "no row for {name}");
        let page = fs::read_to_string(dir.path().join(format!("rebalancer-{name}.1"))).unwrap();
        let takes_workload = page.contains("KIND/NAME");
        let excepted = without_workload.contains(&format!("`{name}`"));
        assert_eq!(takes_workload, !excepted, "{name}");
    }
    Ok(())
}

/// The real kubectl finds the program by its name, and passes its arguments on.
#[tokio::test]
async fn kubectl_runs_the_program_as_a_plugin() -> Result<()> {
    let shared = Shared::open().await?;
    let (consumer, before) = shared.skewed().await?;
    let account = account(&shared.ns, "plugin-user", READ_RULES).await?;
    let program = shared.ns.rebalancer(&consumer);
    let program = program
        .env("KUBECONFIG", &account.kubeconfig)
        .without_env("KUBE_NAMESPACE")
        .without_env("DEPLOYMENT_NAME");
    let home = TempDir::new().unwrap();
    let kubectl = async |args: &str| {
        let output = tools::shell_with_kubectl(home.path())
            .args(["-c", &format!("kubectl {args}")])
            .envs(program.variables())
            .output()
            .await
            .unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "kubectl {args}: {text}{errors}");
        text
    };
    let plugins = kubectl("plugin list").await;
    let path = home.path().join("bin/kubectl-rebalancer");
    assert!(plugins.contains(path.to_str().unwrap()), "{plugins}");

    // The current context leads nowhere, so `--context` has to reach the program.
    kubectl("config set-context nowhere --cluster nowhere").await;
    kubectl("config use-context nowhere").await;
    let namespace = shared.ns.name();
    let args =
        format!("rebalancer plan deployment/consumer -n {namespace} -o json --context harness");
    let report: Value = serde_json::from_str(&kubectl(&args).await).unwrap();
    assert_eq!(report["command"], "plan");
    let victims = report["workloads"][0]["victims"].as_array().unwrap();
    let victims: Vec<&str> = victims
        .iter()
        .map(|victim| victim["uid"].as_str().unwrap())
        .collect();
    assert_eq!(victims, uids(&before, &VICTIMS));
    Ok(())
}

/// `kubectl rebalancer plan deployment/consumer`: the namespace is that of the context.
#[tokio::test]
async fn workload_is_an_argument_as_in_kubectl() -> Result<()> {
    let shared = Shared::open().await?;
    let (consumer, before) = shared.skewed().await?;
    let account = account(&shared.ns, "kubectl-user", READ_RULES).await?;
    let program = |args: &[&str]| {
        shared
            .ns
            .rebalancer(&consumer)
            .env("KUBECONFIG", &account.kubeconfig)
            .without_env("KUBE_NAMESPACE")
            .without_env("DEPLOYMENT_NAME")
            .args(args)
    };
    let namespace = shared.ns.name();
    // The context of the account names no other namespace than the one of `-n`.
    let args = ["plan", "deploy/consumer", "-n", namespace, "-o", "json"];
    let plan: Outcome = program(&args).ends_with(0).await?;
    assert_eq!(plan.victims(), uids(&before, &VICTIMS));

    let kubeconfig = fs::read_to_string(&account.kubeconfig).unwrap();
    let path = shared.ns.dir().join("with-namespace.kubeconfig");
    let with_namespace = with_namespace(&kubeconfig, namespace);
    fs::write(&path, with_namespace).unwrap();
    let plan = program(&["plan", "consumer", "-o", "json"])
        .env("KUBECONFIG", &path)
        .ends_with(0)
        .await?;
    assert_eq!(plan.victims(), uids(&before, &VICTIMS));

    let refused = program(&["plan", "cronjob/consumer"]).run().await?;
    assert_eq!(refused.code, Some(2), "{refused}");
    assert!(
        refused.stderr.contains("the kind `cronjob` is not known"),
        "{refused}"
    );
    Ok(())
}

/// The kubeconfig with this namespace in each context.
fn with_namespace(kubeconfig: &str, namespace: &str) -> String {
    let mut text = String::new();
    for line in kubeconfig.lines() {
        if line.trim_start().starts_with("namespace:") {
            continue;
        }
        text.push_str(line);
        text.push('\n');
        let indent = line.len() - line.trim_start().len();
        if line.trim_start().starts_with("context:") {
            let indent = " ".repeat(indent + 2);
            text.push_str(&format!("{indent}namespace: {namespace}\n"));
        }
    }
    text
}
