//! The search for a plan: few evictions, for a fall of the peak that is large and likely.

use super::chance::Chance;
use super::replay::{Outcome, Subject};
use super::summary::{Forecast, summary};

/// What a plan may be.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Limits {
    /// How many of the hottest, and how many of the coldest pods go together at most.
    pub top_k: usize,
    /// How many pods go at most.
    pub evictions: usize,
    /// How many go at the same time.
    pub wave_size: usize,
    /// The fall of the peak that must be expected, in percent.
    pub minimum_fall_percent: f64,
    /// How likely a fall must be, in percent.
    pub minimum_confidence_percent: f64,
}

/// A plan, and what it is expected to do.
#[derive(Debug, Clone, PartialEq)]
pub struct Candidate {
    /// The pods to evict, by their places in the group, in the order of their turn.
    pub pods: Vec<usize>,
    /// The forecast.
    pub forecast: Forecast,
}

/// What a search came to.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Found {
    /// How many plans were tried.
    pub tried: usize,
    /// The best of them, those with the largest expected fall first.
    pub best: Vec<Candidate>,
    /// Which of these to carry out.
    pub chosen: Option<usize>,
}

/// Each round imagines every plan that is left so often in all, and keeps so many of them.
const ROUNDS: [(usize, usize); 3] = [(12, 8), (48, 4), (200, usize::MAX)];

/// Single pods that are tried, from the most and from the least loaded on.
const SINGLE_HOT: usize = 6;
const SINGLE_COLD: usize = 3;

/// Expected falls within this share of the best are near it: fewer evictions decide.
const NEAR: f64 = 0.8;

/// Searches the plans over `hot` pods (most loaded first) and `cold` ones (least loaded first).
/// Where partitions stay where they are whatever is done, only pods that are slow by themselves
/// are worth trying: these are `only`.
#[must_use]
pub fn search(
    subject: &Subject<'_>,
    hot: &[usize],
    cold: &[usize],
    only: Option<&[usize]>,
    limits: Limits,
    seed: u64,
) -> Found {
    let plans = match only {
        Some(slow) => sets_of_slow(slow, limits),
        None => plans(subject, hot, cold, limits),
    };
    let tried = plans.len();
    let mut left: Vec<(Vec<usize>, Vec<Outcome>)> =
        plans.into_iter().map(|pods| (pods, Vec::new())).collect();
    for (samples, keep) in ROUNDS {
        for (pods, outcomes) in &mut left {
            let waves: Vec<&[usize]> = pods.chunks(limits.wave_size.max(1)).collect();
            // The same luck for all plans: what differs is what differs between them.
            for sample in outcomes.len()..samples {
                outcomes.push(subject.play(&waves, None, Chance::of(seed, sample)));
            }
        }
        // Stable, so that of equals the one with fewer evictions stays first.
        left.sort_by(|(_, a), (_, b)| mean_peak(a).total_cmp(&mean_peak(b)));
        left.truncate(keep);
    }
    let best: Vec<Candidate> = left
        .into_iter()
        .map(|(pods, outcomes)| Candidate {
            pods,
            forecast: summary(subject, &outcomes),
        })
        .collect();
    let chosen = choose(&best, limits);
    Found {
        tried,
        best,
        chosen,
    }
}

/// The one with the fewest evictions among those that fall enough, are likely to, and are near the
/// best.
fn choose(best: &[Candidate], limits: Limits) -> Option<usize> {
    let good = |candidate: &Candidate| {
        candidate.forecast.expected_fall_percent >= limits.minimum_fall_percent
            && candidate.forecast.confidence_percent >= limits.minimum_confidence_percent
    };
    let fall = |candidate: &Candidate| candidate.forecast.expected_fall_percent;
    let highest = best
        .iter()
        .filter(|c| good(c))
        .map(fall)
        .fold(0.0, f64::max);
    best.iter()
        .enumerate()
        .filter(|(_, candidate)| good(candidate) && fall(candidate) >= NEAR * highest)
        .min_by(|(_, a), (_, b)| {
            let fewer = a.pods.len().cmp(&b.pods.len());
            fewer.then_with(|| fall(b).total_cmp(&fall(a)))
        })
        .map(|(place, _)| place)
}

fn mean_peak(outcomes: &[Outcome]) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "a number of samples")]
    let count = outcomes.len() as f64;
    outcomes.iter().map(|outcome| outcome.peak).sum::<f64>() / count
}

/// Single pods, then sets of the hottest with the coldest or without, then the slow ones; fewer
/// evictions first.
fn plans(subject: &Subject<'_>, hot: &[usize], cold: &[usize], limits: Limits) -> Vec<Vec<usize>> {
    let singles = hot
        .iter()
        .take(SINGLE_HOT)
        .chain(cold.iter().take(SINGLE_COLD));
    let mut plans: Vec<Vec<usize>> = singles.map(|pod| vec![*pod]).collect();
    for hottest in 1..=limits.top_k.min(hot.len()) {
        for coldest in 0..=limits.top_k.min(cold.len()) {
            let pods = hot.iter().take(hottest).chain(cold.iter().take(coldest));
            plans.push(pods.copied().collect());
        }
    }
    let slow = subject.attribution.slow.iter().copied();
    let slow: Vec<usize> = hot
        .iter()
        .copied()
        .filter(|pod| slow.clone().any(|s| s == *pod))
        .collect();
    plans.extend(sets_of_slow(&slow, limits));
    plans.retain(|pods| pods.len() <= limits.evictions);
    plans.sort_by(|a, b| a.len().cmp(&b.len()).then_with(|| a.cmp(b)));
    plans.dedup();
    plans
}

/// The slow pods, the slowest first: one, two, … of them.
fn sets_of_slow(slow: &[usize], limits: Limits) -> Vec<Vec<usize>> {
    let most = slow.len().min(limits.top_k).min(limits.evictions);
    (1..=most)
        .map(|count| slow.iter().take(count).copied().collect())
        .collect()
}
