//! Completions, manual pages, and the program as a plugin of kubectl.

use std::fs;
use std::process::Command;

use ::harness::{Rebalancer, Result, Run};
use rstest::rstest;
use tempfile::TempDir;

use crate::support::installers::in_repository;
use crate::support::{Outcome, READ_RULES, RunExt as _, VICTIMS, account, shared::Shared, uids};

async fn completions(shell: &str) -> Result<String> {
    let run: Run = Rebalancer::new().args(["completions", shell]).run().await?;
    assert_eq!((run.code, run.stderr.as_str()), (Some(0), ""), "{run}");
    Ok(run.stdout)
}

#[rstest]
#[case("bash")]
#[case("zsh")]
#[case("fish")]
#[tokio::test]
async fn completions_know_the_commands_and_flags(#[case] shell: &str) -> Result<()> {
    let script = completions(shell).await?;
    for word in ["forecast", "dry-run", "kube-namespace"] {
        assert!(script.contains(word), "{word} in {shell}");
    }
    Ok(())
}

/// The shell itself completes a command and a flag.
#[tokio::test]
async fn bash_completes_commands_and_flags() -> Result<()> {
    let script = completions("bash").await?;
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("complete.bash");
    let complete = |words: &str| {
        let script = format!(
            "{script}\nCOMP_WORDS=({words}); COMP_CWORD=$((${{#COMP_WORDS[@]}} - 1))\n\
             _rebalancer rebalancer \"${{COMP_WORDS[COMP_CWORD]}}\" \"${{COMP_WORDS[COMP_CWORD-1]}}\"\n\
             echo \"${{COMPREPLY[@]}}\""
        );
        fs::write(&path, script).unwrap();
        let output = Command::new("bash").arg(&path).output().unwrap();
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    };
    assert_eq!(complete("rebalancer fore"), "forecast");
    assert_eq!(complete("rebalancer plan --dry-r"), "--dry-run");
    Ok(())
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
    let page = fs::read_to_string(dir.path().join("rebalancer-plan.1")).unwrap();
    assert!(page.contains("\\-\\-save"), "{page}");
    assert!(page.contains("rebalancer(1)"), "{page}");

    let absent = dir.path().join("absent");
    let run = Rebalancer::new()
        .args(["man", "--dir", absent.to_str().unwrap()])
        .run()
        .await?;
    assert_eq!(run.code, Some(1), "{run}");
    assert!(run.stderr.contains("cannot write the manual page"), "{run}");
    Ok(())
}

/// The table of commands, by the manual pages of the program: its first column names every command, and
/// the sentence below it the commands without a workload.
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
