//! The parsed command line.

use std::collections::HashMap;
use std::path::PathBuf;

use clap::ArgMatches;
use clap_complete::Shell;
use rebalancer_core::group::Assignor;

use super::{
    CheckedPart, DemoOptions, Invocation, PauseEnd, PauseOptions, READ_THE_CLUSTER, Reference,
    Request, Steer, Task,
};
use crate::backtest_arguments;
use crate::scenario_arguments;
use crate::settings;
use crate::workload_argument::{self, WorkloadArgument};

/// The parsed command line.
pub(crate) fn request(matches: &ArgMatches) -> Request {
    match matches.subcommand() {
        Some(("completions", sub)) => {
            let shell = sub.get_one("shell").copied().unwrap_or(Shell::Bash);
            Request::Print(Reference::Completions(shell))
        }
        Some(("man", sub)) => Request::Print(Reference::Man {
            dir: sub.get_one("dir").cloned(),
        }),
        Some(_) | None => Request::Perform(invocation(matches)),
    }
}

pub(super) fn invocation(matches: &ArgMatches) -> Invocation {
    let (name, sub) = matches.subcommand().unwrap_or(("run", matches));
    let path = |id: &str| sub.get_one::<PathBuf>(id).cloned();
    let command = match name {
        "serve" => Task::Serve {
            follow: sub.get_flag("follow"),
        },
        "plan" => Task::Plan { save: path("save") },
        "forecast" => Task::Forecast {
            snapshot: path("snapshot"),
            changes: scenario_arguments::parse(sub),
        },
        "group" => Task::Group {
            partitions: sub.get_flag("partitions") || sub.get_flag("verbose"),
            snapshot: path("snapshot"),
        },
        "check" => Task::Check {
            print: if sub.get_flag("print-role") {
                Some(CheckedPart::Role)
            } else {
                sub.get_flag("print-config").then_some(CheckedPart::Config)
            },
        },
        "backtest" => Task::Backtest(backtest_arguments::parse(sub)),
        "pause" => Task::Steer(Steer::Pause(PauseOptions {
            until: match (sub.get_one("for"), sub.get_one("until")) {
                (Some(duration), _) => Some(PauseEnd::In(*duration)),
                (None, Some(time)) => Some(PauseEnd::At(*time)),
                (None, None) => None,
            },
            reason: sub.get_one("reason").cloned(),
        })),
        "resume" => Task::Steer(Steer::Resume),
        "approve" => Task::Steer(Steer::Approve {
            id: sub.get_one("id").cloned(),
        }),
        "status" => Task::Steer(Steer::Status),
        "history" => Task::Steer(Steer::History),
        "decide" => Task::Decide {
            snapshot: path("snapshot").unwrap_or_else(|| PathBuf::from("-")),
        },
        "demo" => Task::Demo(DemoOptions {
            seed: sub
                .get_one("seed")
                .copied()
                .unwrap_or(DemoOptions::DEFAULT_SEED),
            ticks: sub
                .get_one::<u64>("ticks")
                .and_then(|ticks| usize::try_from(*ticks).ok())
                .unwrap_or(1),
            assignor: Assignor::ALL
                .into_iter()
                .find(|assignor| {
                    let name = sub.get_one::<String>("assignor");
                    name.is_some_and(|name| name == assignor.as_str())
                })
                .unwrap_or(Assignor::CooperativeSticky),
        }),
        _ => Task::Run {
            follow: name == "run" && matches.subcommand().is_some() && sub.get_flag("follow"),
        },
    };
    let mut flags: HashMap<String, String> = settings::all()
        .filter_map(|setting| {
            setting.flag()?;
            let key = setting.key();
            let text = sub.get_one::<String>(&key)?.clone();
            Some((key, text))
        })
        .collect();
    if sub.get_flag("verbose") {
        flags.insert("log_level".into(), "debug".into());
    }
    let workload = READ_THE_CLUSTER
        .contains(&name)
        .then(|| {
            sub.try_get_one::<WorkloadArgument>(workload_argument::ID)
                .ok()?
        })
        .flatten();
    if let Some(workload) = workload {
        flags.insert("deployment_name".into(), workload.name.clone());
        let kind = workload.kind.clone();
        flags.extend(kind.map(|kind| ("workload_kind".to_owned(), kind)));
    }
    Invocation {
        command,
        config: path("config"),
        flags,
        as_in_kubectl: workload.is_some(),
        exit_code: sub.get_flag("exit-code"),
    }
}
