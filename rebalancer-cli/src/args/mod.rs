//! The command line. Subcommands are defined here; flags derive from the definitions of settings.

mod command;
mod request;
mod subcommands;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::path::PathBuf;
use std::time::Duration;

use clap_complete::Shell;
use jiff::Timestamp;
use rebalancer_core::group::Assignor;
use rebalancer_core::scenario::ScenarioAxes;

use crate::backtest_arguments::BacktestOptions;

pub(crate) use command::{command, explained};
pub(crate) use request::request;

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
