//! The arguments of `backtest`.

use std::time::Duration;

use clap::{Arg, ArgMatches, Command};

use crate::settings::duration;

/// The options of `backtest`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct BacktestOptions {
    /// The length of the past.
    pub(crate) since: Duration,
    /// The interval between two runs, in whole seconds.
    pub(crate) step: Duration,
}

/// The default of `--since`.
const SINCE: &str = "7d";

/// The default of `--step`, which is the schedule of the manifest.
const STEP: &str = "15m";

/// The maximum number of runs.
const MOST_RUNS: u64 = 50_000;

/// The definition of the command.
pub(crate) fn command() -> Command {
    Command::new("backtest")
        .about("Replay the history of the metrics: when runs would have acted, and why they would have held")
        .arg(
            Arg::new("since")
                .long("since")
                .value_name("DURATION")
                .value_parser(past)
                .default_value(SINCE)
                .help("How far back to begin: 7d, 36h"),
        )
        .arg(
            Arg::new("step")
                .long("step")
                .value_name("DURATION")
                .value_parser(past)
                .default_value(STEP)
                .help("The interval of the schedule"),
        )
}

/// The options that are given.
pub(crate) fn parse(matches: &ArgMatches) -> BacktestOptions {
    let duration = |id: &str| {
        let given = matches.get_one::<Duration>(id).copied();
        given.unwrap_or(Duration::from_secs(900))
    };
    BacktestOptions {
        since: duration("since"),
        step: duration("step"),
    }
}

impl BacktestOptions {
    /// Checks that there are runs, and not too many of them.
    pub(crate) fn check(self) -> Result<(), String> {
        let runs = self.since.as_secs() / self.step.as_secs().max(1);
        if runs == 0 {
            return Err("--since must be longer than --step".to_owned());
        }
        if runs > MOST_RUNS {
            return Err(format!(
                "--since and --step make {runs} runs, more than {MOST_RUNS}: choose a longer step"
            ));
        }
        Ok(())
    }
}

/// Parses a duration of at least a second: in days (`7d`), or as the settings have it (`1h30m`).
fn past(text: &str) -> Result<Duration, String> {
    let days = text
        .strip_suffix('d')
        .and_then(|days| days.parse::<u32>().ok());
    let parsed = match days {
        Some(days) => Some(Duration::from_secs(u64::from(days) * 24 * 3600)),
        None => duration::parse(text),
    };
    match parsed {
        Some(duration) if duration.as_secs() > 0 => Ok(duration),
        Some(_) => Err("it must be at least 1s".to_owned()),
        None => Err(format!("`{text}` is not a duration such as 7d, 12h or 15m")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    fn options(args: &[&str]) -> BacktestOptions {
        let args = std::iter::once("backtest").chain(args.iter().copied());
        parse(&command().try_get_matches_from(args).unwrap())
    }

    #[rstest]
    #[case("7d", 604_800)]
    #[case("36h", 129_600)]
    #[case("1h30m", 5_400)]
    fn durations_may_be_in_days(#[case] text: &str, #[case] seconds: u64) {
        assert_eq!(past(text), Ok(Duration::from_secs(seconds)));
    }

    #[rstest]
    #[case("7", "`7` is not a duration such as 7d")]
    #[case("-1d", "is not a duration")]
    #[case("0d", "at least 1s")]
    #[case("10ms", "at least 1s")]
    fn other_texts_are_refused(#[case] text: &str, #[case] message: &str) {
        let error = past(text).unwrap_err();
        assert!(error.contains(message), "{error}");
    }

    #[rstest]
    #[case::default(&[], None)]
    #[case::too_short(&["--since", "10m"], Some("--since must be longer than --step"))]
    #[case::too_many(&["--since", "30d", "--step", "10s"], Some("259200 runs, more than 50000"))]
    fn number_of_runs_is_limited(#[case] args: &[&str], #[case] message: Option<&str>) {
        let checked = options(args).check();
        match message {
            None => assert_eq!(checked, Ok(())),
            Some(message) => assert!(checked.unwrap_err().contains(message)),
        }
    }
}
