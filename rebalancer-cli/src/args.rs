//! The command line: subcommands by hand, settings from the registry.

use std::collections::HashMap;
use std::path::PathBuf;

use clap::builder::NonEmptyStringValueParser;
use clap::builder::styling::{AnsiColor, Styles};
use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{Arg, ArgAction, ArgMatches, Command, value_parser};
use rebalancer_core::group::Assignor;

use crate::settings::{Group, SETTINGS};

/// What was asked for on the command line.
#[derive(Debug, Clone)]
pub(crate) struct Invocation {
    pub(crate) command: Task,
    pub(crate) config: Option<PathBuf>,
    /// Settings given as flags, by key.
    pub(crate) flags: HashMap<String, String>,
    /// Exit with 10 when there is a plan that was not carried out.
    pub(crate) exit_code: bool,
}

/// The subcommands.
#[derive(Debug, Clone)]
pub(crate) enum Task {
    Run { follow: bool },
    Plan { save: Option<PathBuf> },
    Forecast { snapshot: Option<PathBuf> },
    Decide { snapshot: PathBuf },
    Demo(DemoOptions),
}

/// The options of `demo`.
#[derive(Debug, Clone, Copy)]
pub(crate) struct DemoOptions {
    pub(crate) seed: u64,
    pub(crate) ticks: usize,
    pub(crate) assignor: Assignor,
}

const SOURCES: &str = "\
Every setting is an environment variable, a flag, and a key of the --config file: METRICS_TIME_WINDOW, \
--metrics-time-window, metrics_time_window. Flags win over the environment, which wins over the file.";

const EXIT_CODES: &str = "\
Exit codes: 0 nothing to do, or all done; 1 an error, or too little known to decide; 2 usage or \
configuration; 3 rotated in part; with --exit-code, 10 when there is a plan that was not carried out.";

/// The settings that are not among the flags.
fn without_flag() -> String {
    let secrets = SETTINGS.iter().filter(|setting| setting.is_secret());
    let lines: Vec<String> = secrets
        .map(|setting| {
            let (env, help) = (setting.env, setting.help);
            format!(
                "{env} has no flag, since every process on the host can read the arguments of \
                 another. {help} [env: {env}] [default: {}]",
                setting.default
            )
        })
        .collect();
    lines.join("\n")
}

/// An error of the command line, which for a flag that there is on purpose not says what there is
/// instead.
pub(crate) fn explained(error: clap::Error) -> clap::Error {
    let unknown = match error.get(ContextKind::InvalidArg) {
        Some(ContextValue::String(arg)) if error.kind() == ErrorKind::UnknownArgument => arg,
        Some(_) | None => return error,
    };
    let secret = SETTINGS.iter().find(|setting| {
        let flag = format!("--{}", setting.key().replace('_', "-"));
        setting.is_secret() && *unknown == flag
    });
    let Some(setting) = secret else { return error };
    let message = format!(
        "there is no flag {unknown}, since every process on the host can read the arguments of \
         another, and its value may hold secrets: set the environment variable {}, or `{}` in the \
         file of --config",
        setting.env,
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
            "Keeps the pods of a Kafka consumer group evenly loaded: reads each pod's CPU from \
             Prometheus or VictoriaMetrics and the pods from Kubernetes, decides whether evicting \
             the hottest and the coldest pods evens the group out, evicts them safely, says why, \
             and exits. Without a subcommand it runs once.",
        )
        .after_help(format!("{SOURCES}\n\n{}\n\n{EXIT_CODES}", without_flag()))
        .styles(Styles::styled().header(header).usage(header))
        .disable_help_subcommand(true)
        .subcommand(
            Command::new("run")
                .about("Observe, decide and act, once (the default)")
                .arg(
                    Arg::new("follow")
                        .long("follow")
                        .action(ArgAction::SetTrue)
                        .help("After evictions wait until the group has settled, and say what came true"),
                ),
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
                .about("Show the consumer group, why pods are hot, and what evictions would do")
                .arg(
                    Arg::new("snapshot")
                        .long("snapshot")
                        .value_name("FILE")
                        .value_parser(value_parser!(PathBuf))
                        .help("Of a snapshot in JSON, or of several, instead; needs no network"),
                ),
        )
        .subcommand(
            Command::new("decide")
                .about("Decide on a snapshot from a file; needs no network")
                .arg(
                    Arg::new("snapshot")
                        .long("snapshot")
                        .value_name("FILE")
                        .value_parser(value_parser!(PathBuf))
                        .required(true)
                        .help("A snapshot in JSON, or several; - reads standard input"),
                ),
        )
        .subcommand(
            Command::new("demo")
                .about("Watch a simulated group being evened out by each strategy; needs nothing")
                .arg(
                    Arg::new("seed")
                        .long("seed")
                        .value_name("N")
                        .value_parser(value_parser!(u64))
                        .default_value("10")
                        .help("What the simulated world is drawn from"),
                )
                .arg(
                    Arg::new("ticks")
                        .long("ticks")
                        .value_name("N")
                        .value_parser(value_parser!(u64).range(1..=1000))
                        .default_value("4")
                        .help("How often the CronJob fires, every ten minutes"),
                )
                .arg(
                    Arg::new("assignor")
                        .long("assignor")
                        .value_name("NAME")
                        .value_parser(Assignor::ALL.map(Assignor::as_str))
                        .default_value(Assignor::CooperativeSticky.as_str())
                        .help("How the simulated group assigns partitions"),
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
                .help("Exit with 10 when there is a plan that was not carried out"),
        )
        .arg(
            Arg::new("verbose")
                .long("verbose")
                .short('v')
                .action(ArgAction::SetTrue)
                .conflicts_with("log_level")
                .global(true)
                .help("Show every query, number and cause; the same as --log-level debug"),
        );
    command = command.mut_subcommands(|sub| sub.after_help(without_flag()));
    for group in Group::ALL {
        for setting in SETTINGS.iter().filter(|setting| setting.group == group) {
            let Some(flag) = setting.flag() else {
                continue;
            };
            let default = match setting.default {
                "" => "required by run and plan".to_owned(),
                default => format!("default: {default}"),
            };
            let mut arg = Arg::new(setting.key())
                .long(flag)
                .value_name(setting.value)
                // An empty value is a variable of a script that was not set: to go on without the
                // setting could turn a dry run into a real one.
                .value_parser(NonEmptyStringValueParser::new())
                .global(true)
                .help_heading(group.heading())
                .help(format!(
                    "{} [env: {}] [{default}]",
                    setting.help, setting.env
                ));
            if setting.value == "BOOL" {
                // `--dry-run` alone is what everybody types.
                arg = arg
                    .num_args(0..=1)
                    .require_equals(true)
                    .default_missing_value("true");
            }
            command = command.arg(arg);
        }
    }
    command
}

/// What was asked for.
pub(crate) fn invocation(matches: &ArgMatches) -> Invocation {
    let (name, sub) = matches.subcommand().unwrap_or(("run", matches));
    let path = |id: &str| sub.get_one::<PathBuf>(id).cloned();
    let command = match name {
        "plan" => Task::Plan { save: path("save") },
        "forecast" => Task::Forecast {
            snapshot: path("snapshot"),
        },
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
    let mut flags: HashMap<String, String> = SETTINGS
        .iter()
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
    Invocation {
        command,
        config: path("config"),
        flags,
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
    fn the_command_line_is_consistent() {
        command().debug_assert();
    }

    #[test]
    fn without_a_subcommand_it_runs() {
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
    fn settings_may_stand_before_and_after_the_subcommand() {
        for args in [["--output", "json", "plan"], ["plan", "--output", "json"]] {
            let invocation = parse(&args);
            assert!(matches!(invocation.command, Task::Plan { save: None }));
            assert_eq!(invocation.flags["output"], "json");
        }
    }

    #[test]
    fn an_empty_flag_is_refused() {
        for flag in ["--dry-run=", "--minimum-pods-required="] {
            let args = ["rebalancer", flag];
            assert!(command().try_get_matches_from(args).is_err(), "{flag}");
        }
    }

    #[test]
    fn the_flag_of_a_secret_does_not_exist_and_its_value_is_not_shown() {
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
    fn another_unknown_flag_is_explained_as_ever() {
        let args = ["rebalancer", "--prometheus-headres"];
        let error = command().try_get_matches_from(args).unwrap_err();
        let before = error.to_string();
        assert_eq!(explained(error).to_string(), before);
    }

    #[test]
    fn verbose_is_log_level_debug() {
        assert_eq!(parse(&["plan", "-v"]).flags["log_level"], "debug");
    }
}
