//! What each strategy makes of simulated groups: the table of the documentation.

use std::ffi::OsString;

use harness::efficacy::{Efficacy, Setting, measure};
use rebalancer_core::group::{Assignor, ClientFamily};
use rebalancer_core::policy::Strategy;

use crate::Error;

/// What to measure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Options {
    worlds: u64,
}

impl Options {
    pub(crate) fn parse(args: &[OsString]) -> Result<Self, String> {
        let text: Vec<&str> = args.iter().filter_map(|arg| arg.to_str()).collect();
        match text.as_slice() {
            [] => Ok(Self { worlds: 200 }),
            ["--worlds", number] => match number.replace('_', "").parse() {
                Ok(worlds) if worlds > 0 => Ok(Self { worlds }),
                Ok(_) | Err(_) => Err("--worlds takes a whole number, 1 or more".into()),
            },
            _ => Err("efficacy takes --worlds N or nothing".into()),
        }
    }
}

/// Every assignor that balances, then those that evicting cannot help under.
const KINDS: [(Assignor, ClientFamily); 6] = [
    (Assignor::Sticky, ClientFamily::Java),
    (Assignor::CooperativeSticky, ClientFamily::Java),
    (Assignor::CooperativeSticky, ClientFamily::Librdkafka),
    (Assignor::Uniform, ClientFamily::Java),
    (Assignor::Range, ClientFamily::Java),
    (Assignor::RoundRobin, ClientFamily::Java),
];

/// Measures, and prints the table.
pub(crate) fn run(options: Options) -> Result<(), Error> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()?;
    println!(
        "| assignor | drift | strategy | evictions | max/mean at first | in the end | \
         hot at first | in the end | covered | holds |\n|---|---|---|---|---|---|---|---|---|---|"
    );
    for (assignor, client) in KINDS {
        for drift in [0.0, 0.3] {
            for strategy in [Strategy::RotateOutliers, Strategy::Forecast] {
                let setting = Setting {
                    drift,
                    ..Setting::of(assignor, client, 0..options.worlds)
                };
                let efficacy = runtime.block_on(measure(&setting, strategy))?;
                println!("{}", line(&setting, strategy, &efficacy));
            }
        }
    }
    Ok(())
}

fn line(setting: &Setting, strategy: Strategy, efficacy: &Efficacy) -> String {
    let holds: Vec<String> = efficacy
        .holds
        .iter()
        .map(|(reason, count)| format!("{reason} {count}"))
        .collect();
    let (held, of) = efficacy.covered;
    format!(
        "| {} ({}) | {} | {} | {} in {} | {:.2} | {:.2} | {} | {} | {held} of {of} | {} |",
        setting.assignor,
        setting.client.as_str(),
        setting.drift,
        strategy.as_str(),
        efficacy.evictions,
        efficacy.rotations,
        efficacy.first_peak(),
        efficacy.last_peak(),
        efficacy.hot_at_first,
        efficacy.hot_in_the_end,
        holds.join(", ")
    )
}
