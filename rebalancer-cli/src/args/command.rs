//! The command line as a whole: the flags of settings, and the help.

use std::path::PathBuf;

use clap::builder::NonEmptyStringValueParser;
use clap::builder::styling::{AnsiColor, Styles};
use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{Arg, ArgAction, Command, value_parser};

use super::{READ_THE_CLUSTER, subcommands};
use crate::settings::{self, JsonType, SECTIONS, Setting};
use crate::workload_argument;

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

/// The command line: subcommands, flags of settings, and the others.
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
        .subcommands(subcommands::all())
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
