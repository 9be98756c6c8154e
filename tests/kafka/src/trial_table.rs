//! The tables of docs/assign.md.

use std::fmt::Write as _;
use std::time::Duration;

use rebalancer_core::group::Assignor;
use rebalancer_core::handover::HandoverOutcome;

use crate::consumer::Commits;
use crate::ledger::{Duplicates, Pause};
use crate::trial::{Kind, Measured, Outcome, Trial};

/// A hand-over that takes longer waited for the expiry of a pending member id.
const HELD_UP: Duration = Duration::from_secs(30);

/// The tables of the hand-overs and of the restarts, and the sums.
#[must_use]
pub fn tables(outcomes: &[(Trial, Outcome)]) -> String {
    let mut kinds: Vec<Kind> = Vec::new();
    for (trial, _) in outcomes {
        if !kinds.contains(&trial.kind) {
            kinds.push(trial.kind);
        }
    }
    let of = |kind: &Kind| -> Vec<&Outcome> {
        let of_kind = outcomes.iter().filter(|(trial, _)| trial.kind == *kind);
        of_kind.map(|(_, outcome)| outcome).collect()
    };
    let mut text = String::from(
        "| client | groups | kept, and later | rebalances | duration, s | held up | moved partitions | \
         without owner, ms | record waited, ms | other partitions: record waited, ms | processed \
         again per group |\n\
         |---|---|---|---|---|---|---|---|---|---|---|\n",
    );
    for kind in &kinds {
        hand_over_row(&mut text, kind, &of(kind));
    }
    text.push_str(
        "\nAn ordinary restart of one consumer in the same groups:\n\n\
         | client | rebalances | duration, s | moved partitions | without owner, ms | record waited, ms | \
         other partitions: record waited, ms | processed again per group |\n\
         |---|---|---|---|---|---|---|---|\n",
    );
    for kind in &kinds {
        restart_row(&mut text, kind, &of(kind));
    }
    sums(&mut text, outcomes);
    text
}

fn name(kind: &Kind) -> String {
    let client = kind.client.as_str();
    let assignor = if kind.assignor == Assignor::Sticky {
        ", `sticky`"
    } else {
        ""
    };
    let members = if kind.static_members {
        "static"
    } else {
        "dynamic"
    };
    let commits = match kind.commits {
        Commits::Automatic => "automatic commits",
        Commits::ByApplication => "own commits",
    };
    format!("{client}{assignor}, {members}, {commits}")
}

/// The cells of the partitions: those that moved, with their pauses, the others, and the
/// duplicates.
fn partitions(measured: &[&Measured]) -> String {
    let others = |one: &&Measured| [one.stayed.clone(), one.returned.clone()].concat();
    format!(
        "{} | {} | {} | {} | {}",
        range(measured.iter().map(|one| one.moved.len())),
        milliseconds(measured, |one| one.moved.clone(), |pause| pause.unowned),
        milliseconds(measured, |one| one.moved.clone(), |pause| pause.waited),
        milliseconds(measured, |one| others(&one), |pause| pause.waited),
        duplicates(measured),
    )
}

fn hand_over_row(text: &mut String, kind: &Kind, outcomes: &[&Outcome]) {
    let measured: Vec<&Measured> = outcomes.iter().map(|outcome| &outcome.hand_over).collect();
    let kept = |index: usize| {
        let kept = outcomes.iter().filter(|outcome| {
            outcome.report.outcome == HandoverOutcome::Assigned && outcome.misplaced[index] == 0
        });
        kept.count()
    };
    let held_up = measured.iter().filter(|one| one.duration > HELD_UP).count();
    let _ = writeln!(
        text,
        "| {} | {} | {}, {} | {} | {} | {held_up} | {} |",
        name(kind),
        outcomes.len(),
        kept(0),
        kept(1),
        range(measured.iter().map(|one| one.rebalances)),
        seconds(&measured),
        partitions(&measured),
    );
}

fn restart_row(text: &mut String, kind: &Kind, outcomes: &[&Outcome]) {
    let measured: Vec<&Measured> = outcomes.iter().map(|outcome| &outcome.restart).collect();
    let _ = writeln!(
        text,
        "| {} | {} | {} | {} |",
        name(kind),
        range(measured.iter().map(|one| one.rebalances)),
        seconds(&measured),
        partitions(&measured),
    );
}

fn sums(text: &mut String, outcomes: &[(Trial, Outcome)]) {
    let sum = |of: fn(&Outcome) -> usize| -> usize {
        outcomes.iter().map(|(_, outcome)| of(outcome)).sum()
    };
    let members = range(outcomes.iter().map(|(trial, _)| trial.members));
    let partitions = range(outcomes.iter().map(|(trial, _)| trial.partitions));
    let mean = |index: usize| {
        let all = outcomes.iter().map(|(_, outcome)| outcome.imbalance[index]);
        let count: f64 = outcomes.iter().map(|_| 1.0).sum();
        all.sum::<f64>() / count
    };
    let _ = writeln!(
        text,
        "\n{} groups with {members} members and {partitions} partitions. The imbalance (max/mean) \
         fell from {:.2} to {:.2} on average. Of {} records, {} were lost. Partitions processed by \
         two consumers at once: {}; owned by two at once: {}; commits before a record was processed: \
         {}.",
        outcomes.len(),
        mean(0),
        mean(1),
        sum(|outcome| outcome.account.records),
        sum(|outcome| outcome.account.lost),
        sum(|outcome| outcome.account.processed_by_two.len()),
        sum(|outcome| outcome.account.owned_by_two.len()),
        sum(|outcome| outcome.account.early_commits.len()),
    );
}

/// `5`, or `5 to 7`.
fn range(values: impl Iterator<Item = usize> + Clone) -> String {
    match (values.clone().min(), values.max()) {
        (Some(least), Some(most)) if least == most => least.to_string(),
        (Some(least), Some(most)) => format!("{least} to {most}"),
        (Some(_) | None, Some(_) | None) => "–".to_owned(),
    }
}

/// Median and maximum, in seconds.
fn seconds(measured: &[&Measured]) -> String {
    let durations = measured.iter().map(|one| one.duration);
    median_and_most(durations.collect()).map_or("–".to_owned(), |[median, most]| {
        format!("{:.0}, {:.0}", median.as_secs_f64(), most.as_secs_f64())
    })
}

/// Median and maximum of the pauses, in milliseconds.
fn milliseconds(
    measured: &[&Measured],
    pauses: impl Fn(&Measured) -> Vec<Pause>,
    of: impl Fn(&Pause) -> Duration,
) -> String {
    let all: Vec<Pause> = measured.iter().flat_map(|one| pauses(one)).collect();
    let durations = all.iter().map(of).collect();
    median_and_most(durations).map_or("–".to_owned(), |[median, most]| {
        format!("{}, {}", median.as_millis(), most.as_millis())
    })
}

fn median_and_most(mut durations: Vec<Duration>) -> Option<[Duration; 2]> {
    durations.sort();
    let median = *durations.get(durations.len() / 2)?;
    Some([median, *durations.last()?])
}

type Count = fn(&Duplicates) -> u64;

/// The mean numbers of records by cause.
fn duplicates(measured: &[&Measured]) -> String {
    let count: f64 = measured.iter().map(|_| 1.0).sum();
    let causes: [(&str, Count); 4] = [
        ("revoked", |it| it.revoked),
        ("removed", |it| it.lost),
        ("closed", |it| it.closed),
        ("still owned", |it| it.owned),
    ];
    let parts: Vec<String> = causes
        .iter()
        .filter_map(|(cause, of)| {
            let sum: u64 = measured.iter().map(|one| of(&one.duplicates)).sum();
            #[expect(clippy::cast_precision_loss, reason = "far below 2^52")]
            let mean = sum as f64 / count;
            (sum > 0).then(|| format!("{mean:.1} {cause}"))
        })
        .collect();
    if parts.is_empty() {
        "0".to_owned()
    } else {
        parts.join(", ")
    }
}

impl Outcome {
    /// One line about the trial.
    #[must_use]
    pub fn line(&self, trial: &Trial) -> String {
        let part = |measured: &Measured| {
            let one = [measured];
            format!(
                "{} rebalances, {:.1} s, {} moved: without owner {} ms, waited {} ms; {} returned: \
                 {} ms; {} others: waited {} ms; processed again {}",
                measured.rebalances,
                measured.duration.as_secs_f64(),
                measured.moved.len(),
                milliseconds(&one, |one| one.moved.clone(), |pause| pause.unowned),
                milliseconds(&one, |one| one.moved.clone(), |pause| pause.waited),
                measured.returned.len(),
                milliseconds(&one, |one| one.returned.clone(), |pause| pause.unowned),
                measured.stayed.len(),
                milliseconds(&one, |one| one.stayed.clone(), |pause| pause.waited),
                duplicates(&one),
            )
        };
        format!(
            "{} ({}, {}, {} members, {} partitions, imbalance {:.2} to {:.2}): {:?}, {} rebalances \
             reported, {} members removed, probe {:?}, misplaced {:?}, lost {}, processed by two {:?}, owned by two {:?}, early commits \
             {:?}\n    hand-over: {}\n    restart: {}",
            trial.name,
            name(&trial.kind),
            trial.version,
            trial.members,
            trial.partitions,
            self.imbalance[0],
            self.imbalance[1],
            self.report.outcome,
            self.report.rebalances,
            self.report.removed,
            self.report.probe_seconds,
            self.misplaced,
            self.account.lost,
            self.account.processed_by_two,
            self.account.owned_by_two,
            self.account.early_commits,
            part(&self.hand_over),
            part(&self.restart)
        )
    }
}
