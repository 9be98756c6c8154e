//! The subcommands, with their own arguments.

use std::path::PathBuf;
use std::time::Duration;

use clap::builder::NonEmptyStringValueParser;
use clap::{Arg, ArgAction, Command, value_parser};
use clap_complete::Shell;
use jiff::Timestamp;
use rebalancer_core::group::Assignor;

use super::DemoOptions;
use crate::backtest_arguments;
use crate::scenario_arguments;
use crate::settings::duration;

/// The subcommands, in the order of the help.
pub(super) fn all() -> [Command; 16] {
    [
        run(),
        serve(),
        plan(),
        forecast(),
        group(),
        check(),
        backtest_arguments::command(),
        pause(),
        resume(),
        approve(),
        status(),
        history(),
        decide(),
        demo(),
        completions(),
        man(),
    ]
}

fn run() -> Command {
    Command::new("run")
        .about("Observe, decide and act, once (the default)")
        .arg(follow())
}

fn serve() -> Command {
    Command::new("serve")
        .about(
            "Run on a schedule, in a process that stays: with metrics, probes and \
             leader election",
        )
        .arg(follow())
}

fn plan() -> Command {
    Command::new("plan")
        .about("Observe and decide, never act; needs no write permission")
        .arg(path("save", "FILE").help("Write the snapshot to FILE, for `decide`"))
}

fn forecast() -> Command {
    Command::new("forecast")
        .about(
            "Show the consumer group, why pods are hot, and the expected effect of \
             evictions, or of other replicas, assignors and partitions",
        )
        .arg(snapshot())
        .args(scenario_arguments::args())
}

fn group() -> Command {
    Command::new("group")
        .about(
            "Show the consumer group: members with pods, loads, partitions, rates and \
             lag; never acts",
        )
        .arg(
            Arg::new("partitions")
                .long("partitions")
                .action(ArgAction::SetTrue)
                .help("Show each partition with its owner, rate and lag; also with --verbose"),
        )
        .arg(snapshot())
}

fn check() -> Command {
    Command::new("check")
        .about(
            "Check what a run needs: settings, rights, workload, metrics, consumer \
             group; changes nothing",
        )
        .arg(
            Arg::new("print-role")
                .long("print-role")
                .action(ArgAction::SetTrue)
                .help(
                    "Print the Roles with the rights that the settings need, and check \
                     nothing",
                ),
        )
        .arg(
            Arg::new("print-config")
                .long("print-config")
                .action(ArgAction::SetTrue)
                .conflicts_with("print-role")
                .help(
                    "Print the settings that differ from their defaults as a configuration \
                     file, if no check fails",
                ),
        )
}

fn pause() -> Command {
    Command::new("pause")
        .about(
            "Pause the runs of a workload, by an annotation: they hold until the end \
             of the pause or `resume`",
        )
        .arg(
            Arg::new("for")
                .long("for")
                .value_name("DURATION")
                .value_parser(pause_duration)
                .conflicts_with("until")
                .help("The length of the pause, such as 2h; without it, until `resume`"),
        )
        .arg(
            Arg::new("until")
                .long("until")
                .value_name("TIME")
                .value_parser(pause_end)
                .help(
                    "The end of the pause in the form of RFC 3339, such as \
                     2026-11-28T06:00:00Z",
                ),
        )
        .arg(
            Arg::new("reason")
                .long("reason")
                .value_name("TEXT")
                .value_parser(pause_reason)
                .help("The reason, which runs and `status` show"),
        )
}

fn resume() -> Command {
    Command::new("resume").about("End the pause of a workload")
}

fn approve() -> Command {
    Command::new("approve")
        .about(
            "Approve the plan that waits (APPROVAL=manual): the next run executes \
             exactly this plan",
        )
        .arg(
            Arg::new("id")
                .long("id")
                .value_name("ID")
                .value_parser(NonEmptyStringValueParser::new())
                .help(
                    "The id of the plan, so that no other plan is approved; default: the plan \
                     that waits",
                ),
        )
}

fn status() -> Command {
    Command::new("status").about(
        "Show whether a workload is paused, the plan that waits for approval, the \
         last run and rotation, and when the next may act",
    )
}

fn history() -> Command {
    Command::new("history")
        .about("Show the recorded rotations and hand-overs of a workload, newest first")
}

fn decide() -> Command {
    Command::new("decide")
        .about("Decide on a snapshot from a file; needs no network")
        .arg(
            path("snapshot", "FILE")
                .required(true)
                .help("One or more snapshots in JSON; - reads standard input"),
        )
}

fn demo() -> Command {
    Command::new("demo")
        .about(
            "Watch each strategy even out a simulated group; needs no servers, and \
             ignores the environment",
        )
        .arg(
            Arg::new("seed")
                .long("seed")
                .value_name("N")
                .value_parser(value_parser!(u64))
                .help(format!(
                    "Seed of the simulated world [default: {}]",
                    DemoOptions::DEFAULT_SEED
                )),
        )
        .arg(
            Arg::new("ticks")
                .long("ticks")
                .value_name("N")
                .value_parser(value_parser!(u64).range(1..=1000))
                .default_value("6")
                .help("Number of runs, one every ten simulated minutes"),
        )
        .arg(
            Arg::new("assignor")
                .long("assignor")
                .value_name("NAME")
                .value_parser(Assignor::ALL.map(Assignor::as_str))
                .default_value(Assignor::CooperativeSticky.as_str())
                .help("Partition assignor of the simulated group"),
        )
}

fn completions() -> Command {
    Command::new("completions")
        .about("Print the completions of a shell")
        .arg(
            Arg::new("shell")
                .value_name("SHELL")
                .value_parser(value_parser!(Shell))
                .required(true)
                .help("The shell"),
        )
}

fn man() -> Command {
    Command::new("man")
        .about("Print the manual page, or write those of all commands")
        .arg(path("dir", "DIR").help("Write a page for each command into this directory"))
}

/// A flag with a path.
fn path(name: &'static str, value_name: &'static str) -> Arg {
    Arg::new(name)
        .long(name)
        .value_name(value_name)
        .value_parser(value_parser!(PathBuf))
}

/// The snapshots that replace the cluster.
fn snapshot() -> Arg {
    path("snapshot", "FILE").help(
        "Use one or more snapshots in JSON instead of the cluster; needs no \
             network",
    )
}

fn follow() -> Arg {
    Arg::new("follow")
        .long("follow")
        .action(ArgAction::SetTrue)
        .help(
            "After evictions, a hand-over or a rejoin, wait until the group has \
             settled, and report the outcome",
        )
}

/// The length of a pause.
fn pause_duration(text: &str) -> Result<Duration, String> {
    duration::parse(text)
        .filter(|duration| !duration.is_zero())
        .ok_or_else(|| "it must be a duration longer than zero, such as 30m or 2h".to_owned())
}

/// The end of a pause.
fn pause_end(text: &str) -> Result<Timestamp, String> {
    text.trim()
        .parse()
        .map_err(|_| "it must be a time of RFC 3339, such as 2026-11-28T06:00:00Z".to_owned())
}

/// The reason of a pause, which may be the value of the annotation that freezes.
fn pause_reason(text: &str) -> Result<String, String> {
    let text = text.trim();
    if text.is_empty() || text.eq_ignore_ascii_case("false") {
        return Err("it must be a text other than `false`".to_owned());
    }
    Ok(text.to_owned())
}
