//! Runs the fuzz targets of `fuzz/`, each for some seconds.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::fs;
use std::path::Path;
use std::process::Command;

use crate::tools::Tool;
use crate::{Error, root};

const CARGO_FUZZ: Tool = Tool {
    name: "cargo-fuzz",
    version: "0.13.2",
};

/// The time after which an input counts as a failure, in seconds.
const SECONDS_PER_INPUT: u32 = 10;

/// The options of the task.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Options {
    /// The duration of each target, in seconds.
    seconds: u32,
    /// The targets to run; all if empty.
    targets: Vec<String>,
}

impl Options {
    pub(crate) fn parse(args: &[OsString]) -> Result<Self, String> {
        let mut options = Self {
            seconds: 10,
            targets: Vec::new(),
        };
        let mut args = args.iter().map(|arg| arg.to_string_lossy());
        while let Some(arg) = args.next() {
            if arg == "--seconds" {
                let seconds = args.next().unwrap_or_default();
                // libFuzzer runs without end for 0.
                options.seconds = match seconds.parse() {
                    Ok(seconds) if seconds > 0 => seconds,
                    _ => return Err(format!("--seconds takes a number from 1, not {seconds:?}")),
                };
            } else if arg.starts_with('-') {
                return Err(format!("fuzz does not understand {arg}"));
            } else {
                options.targets.push(arg.into_owned());
            }
        }
        Ok(options)
    }
}

/// Runs the targets, one after the other.
pub(crate) fn run(options: &Options) -> Result<(), Error> {
    let fuzz = root()?.join("fuzz");
    let known = targets(&fuzz)?;
    for target in &options.targets {
        if !known.contains(target) {
            let known: Vec<_> = known.into_iter().collect();
            return Err(format!("there is no target {target}: {}", known.join(", ")).into());
        }
    }
    let chosen: Vec<String> = if options.targets.is_empty() {
        known.into_iter().collect()
    } else {
        options.targets.clone()
    };
    let Some(nightly) = nightly() else {
        println!(
            "fuzz: NOT RUN: no nightly toolchain is installed (`rustup toolchain install nightly`); \
             the corpus alone is checked by `cargo test -p e2e --test fuzz_corpus`"
        );
        return Ok(());
    };
    let program = CARGO_FUZZ.locate()?;
    let cargo_fuzz = |arguments: &[&str]| {
        let mut command = Command::new("rustup");
        command
            .args(["run", &nightly])
            .arg(&program)
            .args(arguments)
            .arg("--fuzz-dir")
            .arg(&fuzz)
            // The cargo that runs this program belongs to the stable toolchain.
            .env_remove("CARGO");
        command
    };
    eprintln!("building the targets with {nightly} …");
    let built = cargo_fuzz(&["build"]).status()?;
    if !built.success() {
        return Err(format!("the fuzz targets do not build ({built})").into());
    }
    for target in &chosen {
        // libFuzzer writes new inputs into the first folder and only reads the others.
        let found = fuzz.join("found").join(target);
        fs::create_dir_all(&found)?;
        let mut command = cargo_fuzz(&["run"]);
        command
            .arg(target)
            .arg(&found)
            .arg(fuzz.join("corpus").join(target))
            .arg("--")
            .arg(format!("-max_total_time={}", options.seconds))
            .arg(format!("-timeout={SECONDS_PER_INPUT}"))
            .arg("-print_final_stats=1");
        let dictionary = fuzz.join("dictionaries").join(format!("{target}.dict"));
        if dictionary.is_file() {
            command.arg(format!("-dict={}", dictionary.display()));
        }
        // Thousands of lines, printed only after a failure.
        let output = command.output()?;
        let said = String::from_utf8_lossy(&output.stderr);
        if !output.status.success() {
            eprint!("{said}");
            return Err(format!(
                "the fuzz target {target} failed ({}); the input is in fuzz/artifacts/{target}: \
                 make it a seed of fuzz/corpus/{target}, and the test `fuzz_corpus` shows the failure",
                output.status
            )
            .into());
        }
        let number = |name: &str| {
            let value = said.lines().find_map(|line| line.strip_prefix(name));
            value.unwrap_or("?").trim()
        };
        println!(
            "fuzz: {target}: {} inputs in {} s, {} a second",
            number("stat::number_of_executed_units:"),
            options.seconds,
            number("stat::average_exec_per_sec:"),
        );
    }
    println!(
        "fuzz: {} targets ran for {} s each and found nothing",
        chosen.len(),
        options.seconds
    );
    Ok(())
}

/// The names of the targets.
fn targets(fuzz: &Path) -> Result<BTreeSet<String>, Error> {
    let mut names = BTreeSet::new();
    for entry in fs::read_dir(fuzz.join("fuzz_targets"))? {
        if let Some(name) = entry?.path().file_stem() {
            names.insert(name.to_string_lossy().into_owned());
        }
    }
    Ok(names)
}

/// The name of an installed nightly toolchain, which the instrumentation needs.
fn nightly() -> Option<String> {
    let output = Command::new("rustup")
        .args(["toolchain", "list"])
        .output()
        .ok()?;
    String::from_utf8_lossy(&output.stdout)
        .split_whitespace()
        .find(|word| word.starts_with("nightly"))
        .map(str::to_owned)
}
