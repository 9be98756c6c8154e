//! The command line of the rebalancer: configuration, the driver of a run, rendering.
//!
//! The binary calls [`main`]. The modules that another tool may want are public: the [`driver`]
//! runs the core's decision and execution over any two ports, [`settings`] reads the
//! configuration, [`render`] shows decisions.

mod args;
mod clock;
mod commands;
pub mod driver;
mod error;
mod exit;
pub mod logging;
pub mod render;
pub mod settings;
mod signals;

use std::collections::HashMap;
use std::process::ExitCode;

use args::{Invocation, Task};
use commands::run::Mode;
use error::CliError;
use exit::Exit;
use settings::{Interface, LogLevel, Settings, Sources};

/// The whole program: reads the arguments and the environment, and says how it went.
#[must_use]
pub fn main() -> ExitCode {
    // A variable that is not Unicode is none of our settings.
    let environment: HashMap<String, String> = std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
        .collect();
    let matches = match args::command().try_get_matches() {
        Ok(matches) => matches,
        Err(error) => {
            // Help and version are no errors; clap knows where each goes.
            let _ = error.print();
            let code = u8::try_from(error.exit_code()).unwrap_or(Exit::Usage as u8);
            return ExitCode::from(code);
        }
    };
    let invocation = args::invocation(&matches, &environment);
    match task(&invocation, &environment) {
        Ok(exit) => exit.into(),
        Err(error) => {
            error.log();
            error.exit().into()
        }
    }
}

fn task(invocation: &Invocation, environment: &HashMap<String, String>) -> Result<Exit, CliError> {
    let level = match invocation.command {
        Task::Run => LogLevel::Info,
        // Whoever asks by hand reads the result; what led to it is a flag away.
        Task::Plan { .. } | Task::Decide { .. } | Task::Demo(_) => LogLevel::Warn,
    };
    let fallback = Interface {
        output: settings::OutputFormat::default(),
        log_level: None,
        log_format: None,
    };
    let sources = Sources::read(invocation.config.as_deref(), environment, &invocation.flags)
        .inspect_err(|_| logging::start(fallback, level))?;
    let interface = sources.interface();
    logging::start(*interface.as_ref().unwrap_or(&fallback), level);
    let exit_code = invocation.exit_code;
    match &invocation.command {
        Task::Run => cluster(&sources.settings()?, Mode::Act, interface?, exit_code),
        Task::Plan { save } => {
            let mode = Mode::Show {
                save: save.as_deref(),
            };
            cluster(&sources.settings()?, mode, interface?, exit_code)
        }
        Task::Decide { snapshot } => {
            commands::decide::run(snapshot, &sources.policy()?, interface?.output, exit_code)
        }
        Task::Demo(options) => {
            let (policy, output) = (sources.policy()?, interface?.output);
            runtime()?.block_on(commands::demo::run(*options, &policy, output))
        }
    }
}

fn cluster(
    settings: &Settings,
    mode: Mode<'_>,
    interface: Interface,
    exit_code: bool,
) -> Result<Exit, CliError> {
    runtime()?.block_on(async {
        let stop = signals::listen().map_err(CliError::Runtime)?;
        commands::run::run(settings, mode, interface.output, exit_code, stop).await
    })
}

/// One thread is enough for a handful of requests, and starts at once.
fn runtime() -> Result<tokio::runtime::Runtime, CliError> {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(CliError::Runtime)
}
