//! The effect of each strategy on simulated groups: the table in docs/forecast.md.

use std::ffi::OsString;

use evaluation::efficacy::{Efficacy, Played, Setting, measure};
use rebalancer_core::group::{Assignor, ClientFamily};
use rebalancer_core::policy::Strategy;

use crate::Error;

/// The options of the task.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Options {
    worlds: u64,
    only: Option<String>,
}

impl Options {
    pub(crate) fn parse(args: &[OsString]) -> Result<Self, String> {
        let mut options = Self {
            worlds: 200,
            only: None,
        };
        let mut args = args.iter().map(|arg| arg.to_str());
        while let Some(flag) = args.next() {
            match (flag, args.next().flatten()) {
                (Some("--worlds"), Some(number)) => match number.replace('_', "").parse() {
                    Ok(worlds) if worlds > 0 => options.worlds = worlds,
                    Ok(_) | Err(_) => return Err("--worlds takes a whole number, 1 or more".into()),
                },
                (Some("--only"), Some(assignor)) => {
                    if !KINDS.iter().any(|(kind, _)| kind.as_str() == assignor) {
                        return Err(format!("--only takes an assignor, and {assignor} is none"));
                    }
                    options.only = Some(assignor.to_owned());
                }
                _ => return Err("efficacy takes --worlds N, --only ASSIGNOR, or nothing".into()),
            }
        }
        Ok(options)
    }

    fn wants(&self, assignor: Assignor) -> bool {
        let only = self.only.as_deref();
        only.is_none_or(|only| only == assignor.as_str())
    }
}

/// The assignors that balance, then those under which evictions cannot help.
const KINDS: [(Assignor, ClientFamily); 6] = [
    (Assignor::Sticky, ClientFamily::Java),
    (Assignor::CooperativeSticky, ClientFamily::Java),
    (Assignor::CooperativeSticky, ClientFamily::Librdkafka),
    (Assignor::Uniform, ClientFamily::Java),
    (Assignor::Range, ClientFamily::Java),
    (Assignor::RoundRobin, ClientFamily::Java),
];

/// The number of hold reasons that are listed.
const REASONS: usize = 3;

/// Runs the simulations and prints the tables.
pub(crate) fn run(options: &Options) -> Result<(), Error> {
    let (mut hot_partitions, mut assignments) = (Vec::new(), Vec::new());
    for (drift, traffic) in [
        (0.0, "Steady traffic"),
        (
            0.3,
            "Changing traffic: 30 % of each rate is drawn again every ten minutes",
        ),
    ] {
        println!(
            "{traffic}:\n\n\
             | assignor | strategy | evictions | share | max/mean: first, last \
             | worlds with a hot pod: first, last | in the interval | why it held |\n\
             |---|---|---|---|---|---|---|---|"
        );
        let kinds = KINDS.into_iter();
        for (assignor, client) in kinds.filter(|(assignor, _)| options.wants(*assignor)) {
            let setting = Setting {
                drift,
                ..Setting::of(assignor, client, 0..options.worlds)
            };
            let outliers = measure(&setting, Strategy::RotateOutliers)?;
            println!(
                "{}",
                line(&setting, Strategy::RotateOutliers, &outliers, &outliers)
            );
            let forecast = measure(&setting, Strategy::Forecast)?;
            println!(
                "{}",
                line(&setting, Strategy::Forecast, &forecast, &outliers)
            );
            let assign = measure(&setting, Strategy::Assign)?;
            println!("{}", line(&setting, Strategy::Assign, &assign, &outliers));
            if rejoin_applies(assignor) {
                let rejoin = measure(&setting, Strategy::Rejoin)?;
                println!("{}", line(&setting, Strategy::Rejoin, &rejoin, &outliers));
            }
            assignments.push(assignment(&setting, &assign));
            hot_partitions.push(hot_partition(&setting, &outliers, &forecast));
        }
        println!();
    }
    println!(
        "Assignments, compared with a lower bound of max/mean under any assignment with equal numbers \
         of partitions:\n\n\
         | assignor | drift | hand-overs | max/mean: last | lower bound | worlds within 1 % | broken rules |\n\
         |---|---|---|---|---|---|---|\n{}\n",
        assignments.join("\n")
    );
    println!(
        "Worlds that begin with one hot partition, by the forecast's first diagnosis:\n\n\
         | assignor | drift | worlds | evictions of rotate-outliers | of forecast |\n\
         |---|---|---|---|---|\n{}",
        hot_partitions.join("\n")
    );
    Ok(())
}

/// Whether a rejoin can even out a group with this assignor and one member in each pod. Members
/// with `sticky` claim their partitions again, and `range` and `roundrobin` give the same loads in
/// another order.
fn rejoin_applies(assignor: Assignor) -> bool {
    matches!(assignor, Assignor::CooperativeSticky | Assignor::Uniform)
}

fn kind(setting: &Setting) -> String {
    format!("{} ({})", setting.assignor, setting.client.as_str())
}

fn line(setting: &Setting, strategy: Strategy, efficacy: &Efficacy, outliers: &Efficacy) -> String {
    let holds: Vec<String> = efficacy
        .holds()
        .iter()
        .take(REASONS)
        .map(|(reason, count)| format!("`{reason}` {count}"))
        .collect();
    let covered = match efficacy.covered() {
        (_, 0) => "–".to_owned(),
        (held, of) => format!("{held} of {of}"),
    };
    let hot = |is_hot: fn(&Played) -> bool| efficacy.worlds.iter().filter(|w| is_hot(w)).count();
    format!(
        "| {} | {} | {} in {} runs | {:.1} % | {:.2}, {:.2} | {}, {} | {covered} | {} |",
        kind(setting),
        strategy.as_str(),
        efficacy.evictions(),
        efficacy.rotations(),
        f64::from(efficacy.evictions()) / f64::from(outliers.evictions().max(1)) * 100.0,
        efficacy.first_peak(),
        efficacy.last_peak(),
        hot(|world| world.hot_at_first),
        hot(|world| world.hot_in_the_end),
        holds.join(", ")
    )
}

/// The hand-overs of the strategy `assign`, and how close to the best assignment they end.
fn assignment(setting: &Setting, assign: &Efficacy) -> String {
    let outcomes: Vec<String> = assign
        .hand_overs()
        .iter()
        .map(|(outcome, count)| format!("{count} {}", outcome.as_str().replace('_', " ")))
        .collect();
    let violations = assign.worlds.iter().map(|world| world.violations.len());
    format!(
        "| {} | {} | {} | {:.3} | {:.3} | {} of {} | {} |",
        kind(setting),
        setting.drift,
        if outcomes.is_empty() {
            "holds".to_owned()
        } else {
            outcomes.join(", ")
        },
        assign.last_peak(),
        assign.bound(),
        assign.within(0.01),
        assign.worlds.len(),
        violations.sum::<usize>(),
    )
}

/// Both strategies on the worlds in which the first forecast diagnoses a hot partition.
fn hot_partition(setting: &Setting, outliers: &Efficacy, forecast: &Efficacy) -> String {
    let blamed = |world: &&Played| world.first_hold() == Some("hot_partition");
    let seeds: Vec<u64> = forecast
        .worlds
        .iter()
        .filter(blamed)
        .map(|w| w.seed)
        .collect();
    let evictions = |efficacy: &Efficacy| -> u32 {
        let worlds = efficacy.worlds.iter();
        let worlds = worlds.filter(|world| seeds.contains(&world.seed));
        worlds.map(Played::evictions).sum()
    };
    format!(
        "| {} | {} | {} | {} | {} |",
        kind(setting),
        setting.drift,
        seeds.len(),
        evictions(outliers),
        evictions(forecast)
    )
}
