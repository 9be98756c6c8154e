//! Hands assignments to groups of real consumers, and prints the tables of docs/assign.md. Started
//! by `cargo xtask handover`, which explains the options.
#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "the terminal is what it is for"
)]

use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use consumers::trial::{Kind, Outcome, Trial};
use consumers::trial_table::tables;
use consumers::{Commits, failed};
use harness::kafka::KafkaConfig;
use harness::{Kafka, KafkaVersion, Result};
use rand::{RngExt as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;
use rebalancer_core::group::{Assignor, ClientFamily};
use tokio::runtime::Handle;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

/// The number of groups that exist for each one to which records arrive: the others start, or wait
/// for the second comparison.
const GROUPS_PER_ACTIVE: usize = 5;

/// The versions of the brokers. The groups are distributed over them.
const VERSIONS: [KafkaVersion; 2] = [KafkaVersion::Current, KafkaVersion::V3_9];

struct Options {
    groups: usize,
    client: Option<ClientFamily>,
    active: usize,
    hold: Duration,
    seed: u64,
}

impl Options {
    fn parse(args: impl Iterator<Item = String>) -> std::result::Result<Self, String> {
        let mut options = Self {
            groups: 20,
            client: None,
            active: 2,
            hold: Duration::from_secs(180),
            seed: 1,
        };
        let mut args = args;
        while let Some(flag) = args.next() {
            let value = args.next().ok_or_else(|| format!("{flag} takes a value"))?;
            let number = || {
                let number = value.parse::<u64>();
                number.map_err(|_| format!("{flag} takes a whole number, not {value}"))
            };
            let count = || number().map(|number| usize::try_from(number).unwrap_or(usize::MAX));
            match flag.as_str() {
                "--groups" => options.groups = count()?,
                "--active" => options.active = count()?.max(1),
                "--hold" => options.hold = Duration::from_secs(number()?),
                "--seed" => options.seed = number()?,
                "--client" => {
                    options.client = Some(match value.as_str() {
                        "java" => ClientFamily::Java,
                        "librdkafka" => ClientFamily::Librdkafka,
                        _ => return Err(format!("--client takes java or librdkafka, not {value}")),
                    });
                }
                _ => return Err(format!("there is no option {flag}")),
            }
        }
        Ok(options)
    }

    /// The trials: the kinds of groups in turn, on each broker.
    fn trials(&self) -> Vec<Trial> {
        let clients = [ClientFamily::Librdkafka, ClientFamily::Java];
        let wanted = clients.into_iter();
        let wanted = wanted.filter(|client| self.client.is_none_or(|only| only == *client));
        let mut trials = Vec::new();
        for client in wanted {
            let kinds = kinds(client);
            for (number, kind) in (0..self.groups).zip(kinds.iter().cycle()) {
                let round = number / kinds.len() + number % kinds.len();
                let version = VERSIONS[round % VERSIONS.len()];
                let index = u64::try_from(trials.len()).unwrap_or_default();
                trials.push(self.trial(*kind, version, self.seed.wrapping_add(index)));
            }
        }
        trials
    }

    fn trial(&self, kind: Kind, version: KafkaVersion, seed: u64) -> Trial {
        // Another stream than that of the rates, which have the same seed.
        let mut random = ChaCha8Rng::seed_from_u64(!seed);
        let members = random.random_range(8..=32);
        let partitions = members * random.random_range(4..10) + random.random_range(0..=members);
        Trial {
            name: format!("{}-{seed}", kind.client.as_str()),
            kind,
            version,
            members,
            partitions,
            seed,
            properties: Vec::new(),
            rate_window: Duration::from_secs(10),
            calm: Duration::from_secs(8),
            hold: self.hold,
        }
    }
}

/// The kinds of groups.
fn kinds(client: ClientFamily) -> Vec<Kind> {
    let kind = |assignor, static_members, commits| Kind {
        client,
        assignor,
        static_members,
        commits,
    };
    let cooperative = Assignor::CooperativeSticky;
    let mut kinds = vec![
        kind(cooperative, false, Commits::Automatic),
        kind(cooperative, true, Commits::Automatic),
        kind(cooperative, false, Commits::ByApplication),
        kind(cooperative, true, Commits::ByApplication),
    ];
    if client == ClientFamily::Java {
        kinds.push(kind(Assignor::Sticky, false, Commits::Automatic));
    }
    kinds
}

#[tokio::main]
async fn main() -> ExitCode {
    let options = match Options::parse(std::env::args().skip(1)) {
        Ok(options) => options,
        Err(message) => {
            eprintln!("handover: {message}");
            return ExitCode::from(2);
        }
    };
    match run(&options).await {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("handover: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Runs the trials and prints the tables. Returns whether every group could be tried.
async fn run(options: &Options) -> Result<bool> {
    let started = Instant::now();
    let mut brokers = Vec::new();
    for version in VERSIONS {
        let config = KafkaConfig {
            version,
            // Thousands of partitions: small indices, and offsets in few partitions.
            properties: "log.index.size.max.bytes=65536\n".to_owned(),
            ..KafkaConfig::default()
        };
        brokers.push((version, Arc::new(Kafka::start_with(&config).await?)));
    }
    let active = Arc::new(Semaphore::new(options.active));
    let existing = Arc::new(Semaphore::new(options.active * GROUPS_PER_ACTIVE));
    let mut running = JoinSet::new();
    let trials = options.trials();
    let count = trials.len();
    for trial in trials {
        let broker = brokers
            .iter()
            .find(|(version, _)| *version == trial.version);
        let Some((_, kafka)) = broker else {
            continue;
        };
        let (kafka, active, existing) = (
            Arc::clone(kafka),
            Arc::clone(&active),
            Arc::clone(&existing),
        );
        let runtime = Handle::current();
        // A thread each, so that the evaluation of one group does not delay another one.
        running.spawn_blocking(move || {
            let result = runtime.block_on(async {
                let permit = existing.acquire().await;
                let _permit = permit.map_err(|error| failed("a permit", error))?;
                trial.run(&kafka, &active).await
            });
            (trial, result)
        });
    }
    let mut outcomes: Vec<(Trial, Outcome)> = Vec::new();
    let mut failures = 0;
    while let Some(ended) = running.join_next().await {
        let (trial, result) = ended.map_err(|error| failed("a trial", error))?;
        let seconds = started.elapsed().as_secs();
        match result {
            Ok(outcome) => {
                let number = outcomes.len() + 1;
                eprintln!("{seconds} s, {number} of {count}: {}", outcome.line(&trial));
                outcomes.push((trial, outcome));
            }
            Err(error) => {
                failures += 1;
                eprintln!("{seconds} s: {} failed: {error}", trial.name);
            }
        }
    }
    outcomes.sort_by_key(|(trial, _)| trial.seed);
    println!("{}", tables(&outcomes));
    Ok(failures == 0)
}
