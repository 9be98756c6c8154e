//! The command line. Subcommands are defined here; flags derive from the definitions of settings.

use std::collections::HashMap;
use std::path::PathBuf;
use std::time::Duration;

use clap::builder::NonEmptyStringValueParser;
use clap::builder::styling::{AnsiColor, Styles};
use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{Arg, ArgAction, ArgMatches, Command, value_parser};
use clap_complete::Shell;
use jiff::Timestamp;
use rebalancer_core::group::Assignor;
use rebalancer_core::scenario::ScenarioAxes;

use crate::backtest_arguments::{self, BacktestOptions};
use crate::scenario_arguments;
use crate::settings::duration;
use crate::settings::{self, JsonType, SECTIONS, Setting};
use crate::workload_argument::{self, WorkloadArgument};

/// The parsed command line: what the program is asked for.
#[derive(Debug, Clone)]
pub(crate) enum Request {
    /// Something about the command line itself, which needs no settings.
    Print(Reference),
    /// A command with settings.
    Perform(Invocation),
}

/// Documents that are generated from the command line.
#[derive(Debug, Clone)]
pub(crate) enum Reference {
    /// The completions of a shell.
    Completions(Shell),
    /// The manual pages: that of the program, or all of them into a directory.
    Man { dir: Option<PathBuf> },
}

/// A command with its settings.
#[derive(Debug, Clone)]
pub(crate) struct Invocation {
    pub(crate) command: Task,
    pub(crate) config: Option<PathBuf>,
    /// Settings given as flags, by key.
    pub(crate) flags: HashMap<String, String>,
    /// Whether the workload is an argument, as in kubectl, which then takes the namespace of the
    /// kubeconfig's context if none is given.
    pub(crate) as_in_kubectl: bool,
    /// Whether to exit with 10 for a plan that was not executed.
    pub(crate) exit_code: bool,
}

/// The subcommands.
#[derive(Debug, Clone)]
pub(crate) enum Task {
    Run {
        follow: bool,
    },
    /// Runs on a schedule.
    Serve {
        follow: bool,
    },
    Plan {
        save: Option<PathBuf>,
    },
    Forecast {
        snapshot: Option<PathBuf>,
        /// The changes of the group to evaluate; empty for the forecasts of evictions.
        changes: ScenarioAxes,
    },
    Group {
        partitions: bool,
        snapshot: Option<PathBuf>,
    },
    Check {
        print: Option<CheckedPart>,
    },
    Backtest(BacktestOptions),
    Steer(Steer),
    Decide {
        snapshot: PathBuf,
    },
    Demo(DemoOptions),
}

/// A command that steers.
#[derive(Debug, Clone)]
pub(crate) enum Steer {
    Pause(PauseOptions),
    Resume,
    /// `id` is that of the plan; by default the plan that waits.
    Approve {
        id: Option<String>,
    },
    Status,
    History,
}

/// The options of `pause`.
#[derive(Debug, Clone, Default)]
pub(crate) struct PauseOptions {
    /// The end of the pause; until `resume` if neither is given.
    pub(crate) until: Option<PauseEnd>,
    pub(crate) reason: Option<String>,
}

/// The end of a pause.
#[derive(Debug, Clone, Copy)]
pub(crate) enum PauseEnd {
    In(Duration),
    At(Timestamp),
}

/// The part of the settings that `check` prints instead of its lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum CheckedPart {
    /// The Roles with the rights that the settings need.
    Role,
    /// The settings that differ from their defaults, if a run with them works.
    Config,
}

/// The options of `demo`.
#[derive(Debug, Clone, Copy)]
pub(crate) struct DemoOptions {
    pub(crate) seed: u64,
    pub(crate) ticks: usize,
    pub(crate) assignor: Assignor,
}

impl DemoOptions {
    /// The seed of a group in which the difference between the strategies is plain.
    pub(crate) const DEFAULT_SEED: u64 = 43;
}

/// The commands that take a workload as an argument.
const READ_THE_CLUSTER: [&str; 12] = [
    "run", "serve", "plan", "forecast", "group", "check", "backtest", "pause", "resume", "approve",
    "status", "history",
];

/// Shorter flags of settings, among them those of kubectl, which users of its plugin expect: by
/// setting, the short flag and another long one.
const SHORTER_FLAGS: [(&str, Option<char>, Option<&str>); 4] = [
    ("kube_namespace", Some('n'), Some("namespace")),
    ("output", Some('o'), None),
    ("kube_context", None, Some("context")),
    ("report_file", None, Some("report")),
];

const SOURCES: &str = "\
Every setting is an environment variable, a flag, and a key of the --config file: METRICS_TIME_WINDOW, \
--metrics-time-window, metrics_time_window. Flags override the environment, which overrides the file.";

const EXIT_CODES: &str = "\
Exit codes: 0 nothing to do, or everything done; 1 an error, or too little data to decide; 2 usage or \
configuration; 3 a plan was not executed in full: evictions were blocked, failed or not attempted, \
replacements did not become ready, or a hand-over or rejoin was abandoned or not kept; with --exit-code, 10 \
for a plan that was not executed.";

/// Help for the settings that have no flag.
fn without_flag() -> String {
    let secrets = settings::all().filter(|setting| setting.is_secret());
    let lines: Vec<String> = secrets
        .map(|setting| {
            format!(
                "{} has no flag, since every process on the host can read the arguments of \
                 another. {}",
                setting.env(),
                help(setting)
            )
        })
        .collect();
    lines.join("\n")
}

/// The help of a setting, with its variable and its default.
fn help(setting: &dyn Setting) -> String {
    let default = setting.default_text().map_or_else(
        || "required by commands that read the cluster".to_owned(),
        |default| format!("default: {default}"),
    );
    format!("{} [env: {}] [{default}]", setting.help(), setting.env())
}

/// The error of the command line. For the flag of a secret, which does not exist, it names the
/// alternatives.
pub(crate) fn explained(error: clap::Error) -> clap::Error {
    let unknown = match error.get(ContextKind::InvalidArg) {
        Some(ContextValue::String(arg)) if error.kind() == ErrorKind::UnknownArgument => arg,
        Some(_) | None => return error,
    };
    let secret = settings::all().find(|setting| {
        let flag = format!("--{}", setting.key().replace('_', "-"));
        setting.is_secret() && *unknown == flag
    });
    let Some(setting) = secret else { return error };
    let message = format!(
        "there is no flag {unknown}, since its value may be a secret and every process on the host \
         can read the arguments of another: set the environment variable {}, or `{}` in the file \
         of --config",
        setting.env(),
        setting.key()
    );
    command().error(ErrorKind::UnknownArgument, message)
}

pub(crate) fn command() -> Command {
    let header = AnsiColor::Green.on_default().bold();
    let mut command = Command::new("rebalancer")
        .version(env!("CARGO_PKG_VERSION"))
        .about("Keeps the pods of a Kafka consumer group evenly loaded")
        .long_about(
            "Keeps the pods of a Kafka consumer group evenly loaded: reads each pod's load from \
             Prometheus or VictoriaMetrics, the pods from Kubernetes and the group from Kafka or \
             metrics, decides whether another assignment, a rejoin of members or the eviction of \
             pods evens out the group, does it safely, reports the reason, and exits. Without a \
             subcommand it runs once.",
        )
        .after_help(format!("{SOURCES}\n\n{}\n\n{EXIT_CODES}", without_flag()))
        // Wider lines are hard to read.
        .max_term_width(120)
        .styles(Styles::styled().header(header).usage(header))
        .disable_help_subcommand(true)
        .subcommand(
            Command::new("run")
                .about("Observe, decide and act, once (the default)")
                .arg(follow()),
        )
        .subcommand(
            Command::new("serve")
                .about("Run on a schedule, in a process that stays: with metrics, probes and leader election")
                .arg(follow()),
        )
        .subcommand(
            Command::new("plan")
                .about("Observe and decide, never act; needs no write permission")
                .arg(
                    Arg::new("save")
                        .long("save")
                        .value_name("FILE")
                        .value_parser(value_parser!(PathBuf))
                        .help("Write the snapshot to FILE, for `decide`"),
                ),
        )
        .subcommand(
            Command::new("forecast")
                .about("Show the consumer group, why pods are hot, and the expected effect of evictions, or of other replicas, assignors and partitions")
                .arg(
                    Arg::new("snapshot")
                        .long("snapshot")
                        .value_name("FILE")
                        .value_parser(value_parser!(PathBuf))
                        .help("Use one or more snapshots in JSON instead of the cluster; needs no network"),
                )
                .args(scenario_arguments::args()),
        )
        .subcommand(
            Command::new("group")
                .about("Show the consumer group: members with pods, loads, partitions, rates and lag; never acts")
                .arg(
                    Arg::new("partitions")
                        .long("partitions")
                        .action(ArgAction::SetTrue)
                        .help("Show each partition with its owner, rate and lag; also with --verbose"),
                )
                .arg(
                    Arg::new("snapshot")
                        .long("snapshot")
                        .value_name("FILE")
                        .value_parser(value_parser!(PathBuf))
                        .help("Use one or more snapshots in JSON instead of the cluster; needs no network"),
                ),
        )
        .subcommand(
            Command::new("check")
                .about("Check what a run needs: settings, rights, workload, metrics, consumer group; changes nothing")
                .arg(
                    Arg::new("print-role")
                        .long("print-role")
                        .action(ArgAction::SetTrue)
                        .help("Print the Roles with the rights that the settings need, and check nothing"),
                )
                .arg(
                    Arg::new("print-config")
                        .long("print-config")
                        .action(ArgAction::SetTrue)
                        .conflicts_with("print-role")
                        .help("Print the settings that differ from their defaults as a configuration file, if no check fails"),
                ),
        )
        .subcommand(backtest_arguments::command())
        .subcommand(
            Command::new("pause")
                .about("Pause the runs of a workload, by an annotation: they hold until the end of the pause or `resume`")
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
                        .help("The end of the pause in the form of RFC 3339, such as 2026-11-28T06:00:00Z"),
                )
                .arg(
                    Arg::new("reason")
                        .long("reason")
                        .value_name("TEXT")
                        .value_parser(pause_reason)
                        .help("The reason, which runs and `status` show"),
                ),
        )
        .subcommand(Command::new("resume").about("End the pause of a workload"))
        .subcommand(
            Command::new("approve")
                .about("Approve the plan that waits (APPROVAL=manual): the next run executes exactly this plan")
                .arg(
                    Arg::new("id")
                        .long("id")
                        .value_name("ID")
                        .value_parser(NonEmptyStringValueParser::new())
                        .help("The id of the plan, so that no other plan is approved; default: the plan that waits"),
                ),
        )
        .subcommand(Command::new("status").about(
            "Show whether a workload is paused, the plan that waits for approval, the last run and rotation, and when the next may act",
        ))
        .subcommand(Command::new("history").about(
            "Show the recorded rotations and hand-overs of a workload, newest first",
        ))
        .subcommand(
            Command::new("decide")
                .about("Decide on a snapshot from a file; needs no network")
                .arg(
                    Arg::new("snapshot")
                        .long("snapshot")
                        .value_name("FILE")
                        .value_parser(value_parser!(PathBuf))
                        .required(true)
                        .help("One or more snapshots in JSON; - reads standard input"),
                ),
        )
        .subcommand(
            Command::new("demo")
                .about("Watch each strategy even out a simulated group; needs no servers, and ignores the environment")
                .arg(
                    Arg::new("seed")
                        .long("seed")
                        .value_name("N")
                        .value_parser(value_parser!(u64))
                        .default_value("43")
                        .help("Seed of the simulated world"),
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
                ),
        )
        .subcommand(
            Command::new("completions")
                .about("Print the completions of a shell")
                .arg(
                    Arg::new("shell")
                        .value_name("SHELL")
                        .value_parser(value_parser!(Shell))
                        .required(true)
                        .help("The shell"),
                ),
        )
        .subcommand(
            Command::new("man")
                .about("Print the manual page, or write those of all commands")
                .arg(
                    Arg::new("dir")
                        .long("dir")
                        .value_name("DIR")
                        .value_parser(value_parser!(PathBuf))
                        .help("Write a page for each command into this directory"),
                ),
        )
        .arg(
            Arg::new("config")
                .long("config")
                .value_name("FILE")
                .value_parser(value_parser!(PathBuf))
                .global(true)
                .help("Configuration file, YAML or TOML [env: REBALANCER_CONFIG]"),
        )
        .arg(
            Arg::new("exit-code")
                .long("exit-code")
                .action(ArgAction::SetTrue)
                .global(true)
                .help("Exit with 10 for a plan that was not executed"),
        )
        .arg(
            Arg::new("verbose")
                .long("verbose")
                .short('v')
                .action(ArgAction::SetTrue)
                .conflicts_with("log_level")
                .global(true)
                .help("Show every query, number and cause; same as --log-level debug"),
        );
    command = command.mut_subcommands(|sub| {
        let sub = sub.after_help(without_flag());
        if READ_THE_CLUSTER.contains(&sub.get_name()) {
            sub.arg(workload_argument::arg())
        } else {
            sub
        }
    });
    for section in &SECTIONS {
        for setting in section.settings {
            if let Some(flag) = setting.flag() {
                command = command.arg(arg(*setting, flag).help_heading(section.heading));
            }
        }
    }
    command
}

fn follow() -> Arg {
    Arg::new("follow")
        .long("follow")
        .action(ArgAction::SetTrue)
        .help("After evictions, a hand-over or a rejoin, wait until the group has settled, and report the outcome")
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

/// The flag of a setting.
fn arg(setting: &dyn Setting, flag: String) -> Arg {
    let arg = Arg::new(setting.key())
        .long(flag)
        .value_name(setting.value_name())
        // An empty value usually comes from an unset variable of a script. Ignoring it could turn
        // a dry run into a real one.
        .value_parser(NonEmptyStringValueParser::new())
        .global(true)
        .help(help(setting));
    let shorter = SHORTER_FLAGS
        .into_iter()
        .find(|(key, ..)| *key == setting.key());
    let arg = match shorter {
        Some((_, short, alias)) => arg.short(short).visible_alias(alias),
        None => arg,
    };
    if setting.json_type() == JsonType::Boolean {
        // `--dry-run` without a value means true.
        arg.num_args(0..=1)
            .require_equals(true)
            .default_missing_value("true")
    } else {
        arg
    }
}

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

fn invocation(matches: &ArgMatches) -> Invocation {
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
            seed: sub.get_one("seed").copied().unwrap_or_default(),
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

#[cfg(test)]
mod tests {
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
}
