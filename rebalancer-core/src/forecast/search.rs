//! The search for a plan: few evictions, for a fall of the peak that is large and likely.
//!
//! Plans grow: every pod alone is tried first, the best of these with every other pod beside it, the
//! best of those with a third one, and so on. Whatever is tried meets the same luck (common random
//! numbers), only little of it at first; what looks worse than others of its size is dropped (early
//! elimination). The few that are left are forecast with luck that none of them was chosen by: to
//! take the best of hundreds by the same samples that say how good it is would promise too much (the
//! optimizer's curse, Smith and Winkler, Management Science 2006).

use std::collections::BTreeSet;
use std::ops::Range;

use super::chance::Chance;
use super::replay::{Outcome, Subject};
use super::summary::{Forecast, summary};

/// What a plan may be.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Limits {
    /// How many of the hottest, and how many of the coldest pods go together at most; a plan of any
    /// pods has twice as many at most.
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

/// The samples by which plans are compared at first, and those of them that are left after it.
const FIRST: Range<usize> = 0..3;
const SECOND: Range<usize> = 3..18;

/// The samples of the forecasts.
const FINAL: Range<usize> = 18..118;

/// So many plans of each size are tried in a group of so many partitions: a search takes about as
/// long whatever the size of the group.
const TRIED_PARTITIONS: usize = 40_000;
const TRIED_EACH: (usize, usize) = (24, 400);

/// So many plans of each size are grown; so many go on to the second comparison, and so many of
/// these are forecast.
const GROWN: usize = 24;
const COMPARED: usize = 4;
const FORECAST_EACH: usize = 1;

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
    let mut search = Search {
        subject,
        limits,
        seed,
        known: BTreeSet::new(),
        left: Vec::new(),
    };
    match only {
        Some(slow) => search.try_all(sets_of_slow(slow, limits)),
        None => search.grow(hot, cold),
    }
    let tried = search.known.len();
    let best = search.finish();
    let chosen = choose(&best, limits);
    Found {
        tried,
        best,
        chosen,
    }
}

/// A plan, and what came of it so far.
struct Trial {
    pods: Vec<usize>,
    outcomes: Vec<Outcome>,
}

impl Trial {
    fn mean_peak(&self) -> f64 {
        #[expect(clippy::cast_precision_loss, reason = "a number of samples")]
        let count = self.outcomes.len().max(1) as f64;
        self.outcomes
            .iter()
            .map(|outcome| outcome.peak)
            .sum::<f64>()
            / count
    }
}

struct Search<'a> {
    subject: &'a Subject<'a>,
    limits: Limits,
    seed: u64,
    /// The plans that were tried, their pods ascending.
    known: BTreeSet<Vec<usize>>,
    left: Vec<Trial>,
}

impl Search<'_> {
    fn grow(&mut self, hot: &[usize], cold: &[usize]) {
        let most = self.limits.evictions.min(2 * self.limits.top_k);
        // The outliers first, hot and cold in turn, so that in a large group they are among those
        // that are tried.
        let pool = in_turn(hot, cold);
        for size in 1..=most.min(pool.len()) {
            let mut plans = pairings(hot, cold, self.limits.top_k, size);
            let slow = hot
                .iter()
                .filter(|pod| self.subject.attribution.slow.contains(pod));
            let slow: Vec<usize> = slow.copied().collect();
            plans.extend(
                sets_of_slow(&slow, self.limits)
                    .into_iter()
                    .filter(|set| set.len() == size),
            );
            plans.extend(self.grown(size, &pool));
            plans.retain(|pods| pods.len() <= most);
            let (fewest, most_tried) = TRIED_EACH;
            let partitions = self.subject.group.topics.partitions().max(1);
            plans.truncate((TRIED_PARTITIONS / partitions).clamp(fewest, most_tried));
            for pods in &mut plans {
                in_order_of_turn(pods, hot, cold);
            }
            self.try_all(plans);
        }
    }

    /// The best plans of one pod less, each with every other pod beside it.
    fn grown(&self, size: usize, pool: &[usize]) -> Vec<Vec<usize>> {
        if size == 1 {
            return pool.iter().map(|pod| vec![*pod]).collect();
        }
        let smaller = || {
            self.left
                .iter()
                .filter(|trial| trial.pods.len() + 1 == size)
        };
        // In turn: the best with the first of the pool, the second best with it, and so on.
        pool.iter()
            .flat_map(|pod| {
                smaller()
                    .filter(move |trial| !trial.pods.contains(pod))
                    .map(move |trial| {
                        let mut pods = trial.pods.clone();
                        pods.push(*pod);
                        pods
                    })
            })
            .collect()
    }

    /// Tries the plans, and leaves the best of each size.
    fn try_all(&mut self, plans: Vec<Vec<usize>>) {
        for pods in plans {
            let mut sorted = pods.clone();
            sorted.sort_unstable();
            if self.known.insert(sorted) {
                let mut trial = Trial {
                    pods,
                    outcomes: Vec::new(),
                };
                self.play(&mut trial, FIRST);
                self.left.push(trial);
            }
        }
        self.keep_best(GROWN);
    }

    fn play(&self, trial: &mut Trial, samples: Range<usize>) {
        let waves: Vec<&[usize]> = trial.pods.chunks(self.limits.wave_size.max(1)).collect();
        trial.outcomes.extend(samples.map(|sample| {
            self.subject
                .play(&waves, None, Chance::of(self.seed, sample))
        }));
    }

    /// Leaves so many of each size.
    fn keep_best(&mut self, each: usize) {
        // Stable, so that of equals the one that was tried first stays first.
        self.left
            .sort_by(|a, b| a.mean_peak().total_cmp(&b.mean_peak()));
        let mut counts = vec![0; 1 + self.left.iter().map(|t| t.pods.len()).max().unwrap_or(0)];
        self.left.retain(|trial| {
            let count = counts.get_mut(trial.pods.len());
            count.is_some_and(|count| {
                *count += 1;
                *count <= each
            })
        });
    }

    /// Forecasts the best of those that are left.
    fn finish(mut self) -> Vec<Candidate> {
        self.keep_best(COMPARED);
        let mut left = std::mem::take(&mut self.left);
        for trial in &mut left {
            self.play(trial, SECOND);
        }
        self.left = left;
        self.keep_best(FORECAST_EACH);
        let mut left = std::mem::take(&mut self.left);
        for trial in &mut left {
            trial.outcomes.clear();
            self.play(trial, FINAL);
        }
        left.sort_by(|a, b| a.mean_peak().total_cmp(&b.mean_peak()));
        let candidate = |trial: Trial| Candidate {
            forecast: summary(self.subject, &trial.outcomes),
            pods: trial.pods,
        };
        left.into_iter().map(candidate).collect()
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

/// The first of the one, the first of the other, the second of the one, and so on.
fn in_turn(hot: &[usize], cold: &[usize]) -> Vec<usize> {
    let length = hot.len().max(cold.len());
    (0..length)
        .flat_map(|place| [hot.get(place), cold.get(place)])
        .flatten()
        .copied()
        .collect()
}

/// Hot pods go before others, the most loaded first; of the others the least loaded.
fn in_order_of_turn(pods: &mut [usize], hot: &[usize], cold: &[usize]) {
    let place = |pod: &usize| {
        let mut order = hot.iter().chain(cold);
        order.position(|other| other == pod)
    };
    pods.sort_by_key(place);
}

/// The hottest with the coldest, or without, so many in all.
fn pairings(hot: &[usize], cold: &[usize], top_k: usize, size: usize) -> Vec<Vec<usize>> {
    (1..=size.min(top_k).min(hot.len()))
        .filter_map(|hottest| {
            let coldest = size - hottest;
            (coldest <= top_k.min(cold.len())).then(|| {
                let hottest = hot.iter().take(hottest);
                hottest.chain(cold.iter().take(coldest)).copied().collect()
            })
        })
        .collect()
}

/// The slow pods, the slowest first: one, two, … of them.
fn sets_of_slow(slow: &[usize], limits: Limits) -> Vec<Vec<usize>> {
    let most = slow.len().min(limits.top_k).min(limits.evictions);
    (1..=most)
        .map(|count| slow.iter().take(count).copied().collect())
        .collect()
}
