//! Many simulated worlds with injected faults, under the real driver.

use std::ffi::OsString;
use std::num::NonZeroUsize;
use std::process::ExitCode;

use soak::{Soak, soak};

/// The number of worlds between two lines of progress.
const CHUNK: u64 = 100_000;

/// The options of the task.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Options {
    worlds: u64,
    seed: u64,
}

impl Options {
    pub(crate) fn parse(args: &[OsString]) -> Result<Self, String> {
        let mut options = Self {
            worlds: 1_000_000,
            seed: 1,
        };
        let mut args = args.iter();
        while let Some(arg) = args.next() {
            let number = match arg.to_str() {
                Some("--worlds") => &mut options.worlds,
                Some("--seed") => &mut options.seed,
                _ => return Err(format!("soak takes no {}", arg.display())),
            };
            *number = args
                .next()
                .and_then(|value| value.to_str()?.replace('_', "").parse().ok())
                .ok_or_else(|| format!("{} takes a whole number", arg.display()))?;
        }
        Ok(options)
    }
}

/// Runs one world per seed, from the first seed on, until a world breaks a rule.
pub(crate) fn run(options: Options) -> ExitCode {
    let threads = std::thread::available_parallelism().unwrap_or(NonZeroUsize::MIN);
    let mut total = Soak::default();
    while total.worlds < options.worlds {
        let worlds = CHUNK.min(options.worlds - total.worlds);
        let chunk = soak(worlds, options.seed.wrapping_add(total.worlds), threads);
        total.add(chunk);
        if let Some(violation) = &total.violation {
            eprintln!("xtask: after {} worlds: {violation}", total.worlds);
            return ExitCode::FAILURE;
        }
        eprintln!(
            "{} of {} worlds, {:.0} worlds/s",
            total.worlds,
            options.worlds,
            total.speed()
        );
    }
    println!("{}", total.tally);
    println!(
        "{} worlds, {:.0} worlds/s on {threads} threads: no rule was broken",
        total.worlds,
        total.speed()
    );
    ExitCode::SUCCESS
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(args: &[&str]) -> Result<Options, String> {
        let args: Vec<OsString> = args.iter().map(OsString::from).collect();
        Options::parse(&args)
    }

    #[test]
    fn worlds_and_seed_are_whole_numbers() {
        let options = parse(&["--seed", "7", "--worlds", "1_000"]);
        let expected = Options {
            worlds: 1000,
            seed: 7,
        };
        assert_eq!(options, Ok(expected));
        assert_eq!(
            parse(&["--worlds"]),
            Err("--worlds takes a whole number".into())
        );
        assert_eq!(parse(&["--fast"]), Err("soak takes no --fast".into()));
    }
}
