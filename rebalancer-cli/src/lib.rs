//! The command line of the rebalancer: configuration, wiring, observers of a run, rendering.
//!
//! The binary calls [`main`]. The modules that another tool may want are public: [`settings`]
//! reads the configuration, [`render`] shows decisions, [`metrics`] has the program's own metrics,
//! [`notify`] reports runs to a webhook.

mod args;
pub mod backtest;
mod backtest_arguments;
pub mod check;
mod commands;
pub mod crontab;
mod error;
mod exit;
pub mod freeze;
#[cfg(feature = "fuzzing")]
#[doc(hidden)]
pub mod fuzzing;
mod hints;
mod logging;
pub mod metrics;
pub mod notify;
mod observers;
pub mod render;
mod replace_file;
mod scenario_arguments;
pub mod scenarios;
pub mod schedule;
mod serve;
pub mod settings;
mod signals;
pub mod steering;
mod workload_argument;

use std::collections::HashMap;
use std::process::ExitCode;
use std::sync::Arc;

use args::{CheckedPart, Invocation, Request, Task};
use commands::run::Mode;
use error::CliError;
use exit::Exit;
use observers::terminal_line::TerminalLine;
use rebalancer_core::policy::{Policy, Strategy};
use render::table::Detail;
use serve::configuration::Inputs;
use settings::{CONFIG, Interface, LogLevel, Settings, SettingsError, Sources};

/// Runs the program: reads the arguments and the environment, and returns the exit code.
#[must_use]
pub fn main() -> ExitCode {
    let matches = match args::command().try_get_matches() {
        Ok(matches) => matches,
        Err(error) => {
            // Help and version are not errors, and clap writes them to stdout.
            let error = args::explained(error);
            let _ = error.print();
            let code = u8::try_from(error.exit_code()).unwrap_or(Exit::Usage as u8);
            return ExitCode::from(code);
        }
    };
    let result = match args::request(&matches) {
        Request::Print(reference) => commands::reference::run(&reference).inspect_err(|_| {
            logging::start(FALLBACK, LogLevel::Warn);
        }),
        Request::Perform(invocation) => {
            environment().and_then(|environment| task(&invocation, &environment))
        }
    };
    match result {
        Ok(exit) => exit.into(),
        Err(error) => {
            error.log();
            error.exit().into()
        }
    }
}

/// The environment. A setting whose value is not Unicode is an error instead of absent, so that a
/// dry run cannot turn into a real one.
fn environment() -> Result<HashMap<String, String>, CliError> {
    let mut environment = HashMap::new();
    let mut errors = Vec::new();
    for (name, value) in std::env::vars_os() {
        let Ok(name) = name.into_string() else {
            continue;
        };
        match value.into_string() {
            Ok(value) => {
                environment.insert(name, value);
            }
            Err(_) if settings::by_env(&name).is_some() || name == CONFIG => {
                errors.push(settings::SettingsError::Invalid {
                    name,
                    problem: "its value is not valid UTF-8".into(),
                });
            }
            Err(_) => {}
        }
    }
    if errors.is_empty() {
        return Ok(environment);
    }
    logging::start(FALLBACK, LogLevel::Info);
    Err(errors.into())
}

/// The interface that applies when its settings are invalid.
const FALLBACK: Interface = Interface {
    output: settings::OutputFormat::Table,
    log_level: None,
    log_format: None,
};

/// The variables of the namespace and of the context.
const NAMESPACE: &str = "KUBE_NAMESPACE";
const CONTEXT: &str = "KUBE_CONTEXT";

fn task(invocation: &Invocation, environment: &HashMap<String, String>) -> Result<Exit, CliError> {
    let level = match invocation.command {
        Task::Run { .. } | Task::Serve { .. } => LogLevel::Info,
        // These commands are run by hand, and their result is enough to read.
        Task::Plan { .. }
        | Task::Forecast { .. }
        | Task::Group { .. }
        | Task::Check { .. }
        | Task::Backtest(_)
        | Task::Steer(_)
        | Task::Decide { .. }
        | Task::Demo(_) => LogLevel::Warn,
    };
    // The demo is the same in every shell: only its flags change it.
    let nothing = HashMap::new();
    let environment = match invocation.command {
        Task::Demo(_) => &nothing,
        Task::Run { .. }
        | Task::Serve { .. }
        | Task::Plan { .. }
        | Task::Forecast { .. }
        | Task::Group { .. }
        | Task::Check { .. }
        | Task::Backtest(_)
        | Task::Steer(_)
        | Task::Decide { .. } => environment,
    };
    let config = invocation.config.clone().or_else(|| {
        let path = environment.get(CONFIG)?;
        (!path.is_empty()).then(|| path.into())
    });
    let mut flags = invocation.flags.clone();
    if invocation.as_in_kubectl && config.is_none() && !environment.contains_key(NAMESPACE) {
        let context = flags
            .get("kube_context")
            .or_else(|| environment.get(CONTEXT));
        let namespace = rebalancer_k8s::context_namespace(context.map(String::as_str));
        let namespace = namespace.unwrap_or_else(|| "default".to_owned());
        flags.entry("kube_namespace".into()).or_insert(namespace);
    }
    let sources = match Sources::read(config.as_deref(), environment, &flags) {
        Ok(sources) => sources,
        Err(error) => {
            logging::start(FALLBACK, level);
            return if matches!(invocation.command, Task::Check { print: None }) {
                check(Err(vec![error]), FALLBACK)
            } else {
                Err(error.into())
            };
        }
    };
    let interface = sources.interface();
    let line = logging::start(*interface.as_ref().unwrap_or(&FALLBACK), level);
    let exit_code = invocation.exit_code;
    match &invocation.command {
        Task::Run { follow } => {
            let mode = Mode::Act { follow: *follow };
            cluster(&sources.settings()?, mode, interface?, exit_code, line)
        }
        Task::Serve { follow } => {
            let inputs = Inputs {
                file: config.as_deref(),
                environment,
                flags: &flags,
            };
            block_on(commands::serve::run(inputs, *follow, line))
        }
        Task::Plan { save } => {
            let mode = Mode::Show {
                save: save.as_deref(),
            };
            cluster(&sources.settings()?, mode, interface?, exit_code, line)
        }
        Task::Forecast {
            snapshot: None,
            changes,
        } => {
            let mut settings = sources.settings()?;
            for workload in &mut settings.workloads {
                workload.policy.strategy = Strategy::Forecast;
            }
            if changes.is_empty() {
                return cluster(&settings, Mode::Forecast, interface?, exit_code, line);
            }
            let scenarios = changes.combinations()?;
            require_groups(&settings)?;
            let mode = Mode::WhatIf {
                scenarios: &scenarios,
            };
            cluster(&settings, mode, interface?, exit_code, line)
        }
        Task::Forecast {
            snapshot: Some(snapshot),
            changes,
        } => {
            let (policy, target) = sources.policy()?;
            let report = sources.report_file()?;
            let policy = Policy {
                strategy: Strategy::Forecast,
                ..policy
            };
            let output = interface?.output;
            if !changes.is_empty() {
                let scenarios = changes.combinations()?;
                let file = report.as_deref();
                return commands::what_if::run(snapshot, file, &policy, target, &scenarios, output);
            }
            commands::decide::run(
                snapshot,
                report.as_deref(),
                &policy,
                target,
                output,
                Detail::Group,
                exit_code,
            )
        }
        Task::Group {
            partitions,
            snapshot: None,
        } => {
            let mut settings = sources.settings()?;
            require_groups(&settings)?;
            for workload in &mut settings.workloads {
                workload.policy.strategy = Strategy::Forecast;
            }
            let mode = Mode::Group {
                partitions: *partitions,
            };
            cluster(&settings, mode, interface?, exit_code, line)
        }
        Task::Group {
            partitions,
            snapshot: Some(snapshot),
        } => {
            let (policy, target) = sources.policy()?;
            let report = sources.report_file()?;
            let policy = Policy {
                strategy: Strategy::Forecast,
                ..policy
            };
            let output = interface?.output;
            let detail = Detail::Members {
                partitions: *partitions,
            };
            commands::decide::run(
                snapshot,
                report.as_deref(),
                &policy,
                target,
                output,
                detail,
                exit_code,
            )
        }
        Task::Check { print: None } => check(sources.settings(), interface.unwrap_or(FALLBACK)),
        Task::Check {
            print: Some(CheckedPart::Role),
        } => {
            let settings = sources.settings()?;
            block_on(commands::check::print_role(&settings))
        }
        Task::Check {
            print: Some(CheckedPart::Config),
        } => {
            let settings = sources.settings()?;
            let smallest = sources.smallest();
            block_on(commands::check::print_config(&settings, &smallest))
        }
        Task::Backtest(options) => {
            let (settings, interface) = (sources.settings()?, interface?);
            let output = interface.output;
            block_on(commands::backtest::run(&settings, *options, output, line))
        }
        Task::Steer(command) => {
            let (settings, output) = (sources.steering()?, interface?.output);
            block_on(commands::steer::run(command, &settings, output))
        }
        Task::Decide { snapshot } => {
            let (policy, target) = sources.policy()?;
            let report = sources.report_file()?;
            let output = interface?.output;
            commands::decide::run(
                snapshot,
                report.as_deref(),
                &policy,
                target,
                output,
                Detail::Pods,
                exit_code,
            )
        }
        Task::Demo(options) => {
            let ((policy, _), output) = (sources.policy()?, interface?.output);
            block_on(commands::demo::run(*options, &policy, output, line))
        }
    }
}

/// Checks that the settings of every workload describe the source of its consumer group.
fn require_groups(settings: &Settings) -> Result<(), CliError> {
    let unknown: Vec<SettingsError> = settings
        .workloads
        .iter()
        .filter(|workload| !workload.has_group_source())
        .map(|workload| SettingsError::NoGroup {
            workload: workload.workload().to_string(),
        })
        .collect();
    if unknown.is_empty() {
        Ok(())
    } else {
        Err(unknown.into())
    }
}

/// Checks what a run needs. An invalid configuration is a result of the check.
fn check(
    settings: Result<Settings, Vec<SettingsError>>,
    interface: Interface,
) -> Result<Exit, CliError> {
    block_on(commands::check::run(settings, interface.output))
}

fn cluster(
    settings: &Settings,
    mode: Mode<'_>,
    interface: Interface,
    exit_code: bool,
    line: Arc<TerminalLine>,
) -> Result<Exit, CliError> {
    block_on(commands::run::run(
        settings,
        mode,
        interface.output,
        exit_code,
        line,
        None,
    ))
}

/// Executes a command on a runtime of one thread, which is enough for a few requests and starts
/// fast. A credential plugin that hangs does not delay the end of the process.
fn block_on(command: impl Future<Output = Result<Exit, CliError>>) -> Result<Exit, CliError> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(CliError::Runtime)?;
    let exit = runtime.block_on(command);
    runtime.shutdown_background();
    exit
}
