//! The command line as people type it.

use std::time::Duration;

use super::request::invocation;
use super::*;

fn parse(args: &[&str]) -> Invocation {
    let args = std::iter::once("rebalancer").chain(args.iter().copied());
    invocation(&command().try_get_matches_from(args).unwrap())
}

#[test]
fn workload_may_be_an_argument_with_the_flags_of_kubectl() {
    let args = [
        "plan",
        "sts/consumer",
        "-n",
        "prod",
        "-o",
        "json",
        "--context",
        "eu",
    ];
    let invocation = parse(&args);
    assert!(invocation.as_in_kubectl);
    let flags = [
        ("deployment_name", "consumer"),
        ("workload_kind", "StatefulSet"),
        ("kube_namespace", "prod"),
        ("output", "json"),
        ("kube_context", "eu"),
    ];
    for (key, value) in flags {
        assert_eq!(invocation.flags[key], value, "{key}");
    }
    assert!(!parse(&["plan"]).as_in_kubectl);
    let twice = [
        "rebalancer",
        "plan",
        "consumer",
        "--deployment-name",
        "other",
    ];
    assert!(command().try_get_matches_from(twice).is_err());
}

#[test]
fn pause_has_an_end_and_a_reason() {
    let args = [
        "pause",
        "deploy/consumer",
        "--for",
        "1h30m",
        "--reason",
        "release 42",
    ];
    let Task::Steer(Steer::Pause(options)) = parse(&args).command else {
        panic!("no pause");
    };
    let length = Duration::from_secs(5_400);
    assert!(matches!(options.until, Some(PauseEnd::In(found)) if found == length));
    assert_eq!(options.reason.as_deref(), Some("release 42"));
    for wrong in [
        ["--for", "2"],
        ["--for", "0s"],
        ["--until", "2026-11-28 06:00"],
        ["--reason", "false"],
        ["--reason", " "],
    ] {
        let args = ["rebalancer", "pause"].into_iter().chain(wrong);
        assert!(command().try_get_matches_from(args).is_err(), "{wrong:?}");
    }
}

#[test]
fn command_line_is_consistent() {
    command().debug_assert();
}

#[test]
fn runs_without_a_subcommand() {
    assert!(matches!(parse(&[]).command, Task::Run { follow: false }));
    assert!(matches!(
        parse(&["run", "--follow"]).command,
        Task::Run { follow: true }
    ));
    let invocation = parse(&["--dry-run", "--tolerance-multiplier", "2"]);
    assert_eq!(invocation.flags["dry_run"], "true");
    assert_eq!(invocation.flags["tolerance_multiplier"], "2");
}

#[test]
fn settings_may_precede_or_follow_the_subcommand() {
    for args in [["--output", "json", "plan"], ["plan", "--output", "json"]] {
        let invocation = parse(&args);
        assert!(matches!(invocation.command, Task::Plan { save: None }));
        assert_eq!(invocation.flags["output"], "json");
    }
}

#[test]
fn refuses_an_empty_flag() {
    for flag in ["--dry-run=", "--minimum-pods-required="] {
        let args = ["rebalancer", flag];
        assert!(command().try_get_matches_from(args).is_err(), "{flag}");
    }
}

#[test]
fn secret_has_no_flag_and_its_value_is_not_shown() {
    for args in [
        vec!["--prometheus-headers=X-Api-Key=hunter2"],
        vec!["--prometheus-headers", "X-Api-Key=hunter2"],
        vec!["plan", "--prometheus-headers", "X-Api-Key=hunter2"],
    ] {
        let args = std::iter::once("rebalancer").chain(args);
        let error = explained(command().try_get_matches_from(args).unwrap_err());
        assert_eq!(error.exit_code(), 2);
        let text = error.to_string();
        assert!(
            text.contains("there is no flag --prometheus-headers")
                && text.contains("PROMETHEUS_HEADERS, or `prometheus_headers` in the file"),
            "{text}"
        );
        assert!(!text.contains("hunter2"), "{text}");
    }
    let help = command().render_help().to_string();
    assert!(!help.contains("--prometheus-headers"), "{help}");
    assert!(help.contains("PROMETHEUS_HEADERS has no flag"), "{help}");
}

#[test]
fn other_unknown_flags_keep_their_error() {
    let args = ["rebalancer", "--prometheus-headres"];
    let error = command().try_get_matches_from(args).unwrap_err();
    let before = error.to_string();
    assert_eq!(explained(error).to_string(), before);
}

#[test]
fn partitions_are_shown_on_request_or_with_verbose() {
    for (args, expected) in [
        (&["group"] as &[&str], false),
        (&["group", "--partitions"], true),
        (&["group", "-v"], true),
    ] {
        let task = parse(args).command;
        assert!(
            matches!(task, Task::Group { partitions, snapshot: None } if partitions == expected),
            "{args:?}"
        );
    }
}

#[test]
fn verbose_is_log_level_debug() {
    assert_eq!(parse(&["plan", "-v"]).flags["log_level"], "debug");
}
