//! The search for a plan, of evictions or of a rejoin: few pods, and a large and probable fall of
//! the peak.
//!
//! Plans grow: first each pod alone, then the best of these with each other pod, then the best of
//! those with a third one, and so on. All plans are compared with the same draws (common random
//! numbers), at first with few samples; those that look worse than others of the same size are
//! dropped (early elimination). The finalists are evaluated on fresh samples that were not used for
//! the selection. Otherwise the best of hundreds would look better than it is (the optimizer's
//! curse, Smith and Winkler, Management Science 2006).

use crate::model::Percent;
use std::collections::BTreeSet;
use std::ops::Range;

use super::chance::Chance;
use super::replay::{Event, Outcome, Subject};
use super::summary::{Forecast, summary};
use crate::group::ServingPodIndex;
use crate::statistics::mean;

/// The action that is planned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Measure {
    /// The pods are evicted.
    Evict {
        /// The maximum number of evictions.
        most: usize,
        /// The number of pods evicted at the same time.
        wave_size: usize,
    },
    /// All members of the pods are removed from the group at once and return. At least one member
    /// of the group is not removed: a group without members would begin with another rebalance
    /// delay.
    Rejoin,
}

/// The limits of a plan.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Limits {
    /// The action.
    pub measure: Measure,
    /// The maximum number of the hottest pods, and of the coldest ones, that are in a plan
    /// together. A plan with arbitrary pods has at most twice this number.
    pub top_k: usize,
    /// The required expected fall of the peak, in percent.
    pub minimum_fall_percent: Percent,
    /// The required probability of a fall, in percent.
    pub minimum_confidence_percent: f64,
}

impl Limits {
    /// The maximum number of pods in a plan.
    fn most(&self) -> usize {
        match self.measure {
            Measure::Evict { most, .. } => most,
            Measure::Rejoin => usize::MAX,
        }
    }
}

/// A plan with its forecast.
#[derive(Debug, Clone, PartialEq)]
pub struct Candidate {
    /// The pods to evict, in the order of eviction, or whose members rejoin.
    pub pods: Vec<ServingPodIndex>,
    /// The forecast.
    pub forecast: Forecast,
}

/// The outcome of a search.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Found {
    /// The number of plans that were tried.
    pub tried: usize,
    /// The best of them, by expected fall, descending.
    pub best: Vec<Candidate>,
    /// The index of the plan to execute in [`Self::best`].
    pub chosen: Option<usize>,
}

/// The samples of the first comparison, and of the second one among the remaining plans.
const FIRST: Range<usize> = 0..3;
const SECOND: Range<usize> = 3..18;

/// The samples of the final forecasts.
const FINAL: Range<usize> = 18..118;

/// The number of plans of each size that are tried, multiplied by the number of partitions, so that
/// the duration of a search hardly depends on the size of the group.
const TRIED_PARTITIONS: usize = 40_000;

/// The minimum and the maximum number of plans of each size that are tried.
const TRIED_EACH: (usize, usize) = (24, 400);

/// The number of plans of each size that are kept after the first comparison, and extended.
const GROWN: usize = 24;

/// The number of plans of each size in the second comparison.
const COMPARED: usize = 4;

/// The number of plans of each size that are forecast.
const FORECAST_EACH: usize = 1;

/// Among plans whose expected fall is at least this share of the best one, the one with the fewest
/// pods is chosen.
const NEAR: f64 = 0.8;

/// Searches plans with `hot` pods (most loaded first) and `cold` ones (least loaded first).
///
/// If evictions cannot change the loads of the partitions, only the eviction of slow pods can help:
/// `only` then limits the search to these.
#[must_use]
pub fn search(
    subject: &Subject<'_>,
    hot: &[ServingPodIndex],
    cold: &[ServingPodIndex],
    only: Option<&[ServingPodIndex]>,
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

/// A plan, and its outcomes so far.
struct Trial {
    pods: Vec<ServingPodIndex>,
    outcomes: Vec<Outcome>,
}

impl Trial {
    fn mean_peak(&self) -> f64 {
        mean(self.outcomes.iter().map(|outcome| outcome.peak))
    }
}

struct Search<'a> {
    subject: &'a Subject<'a>,
    limits: Limits,
    seed: u64,
    /// The plans that were tried, with their pods ascending.
    known: BTreeSet<Vec<ServingPodIndex>>,
    left: Vec<Trial>,
}

impl Search<'_> {
    fn grow(&mut self, hot: &[ServingPodIndex], cold: &[ServingPodIndex]) {
        let most = self.limits.most().min(2 * self.limits.top_k);
        // Outliers come first, hot and cold alternating, so that they are tried in a large group.
        let pool = interleaved(hot, cold);
        for size in 1..=most.min(pool.len()) {
            let mut plans = pairings(hot, cold, self.limits.top_k, size);
            let slow = hot
                .iter()
                .filter(|pod| self.subject.attribution.slow.contains(pod));
            let slow: Vec<ServingPodIndex> = slow.copied().collect();
            plans.extend(
                sets_of_slow(&slow, self.limits)
                    .into_iter()
                    .filter(|set| set.len() == size),
            );
            plans.extend(self.grown(size, &pool));
            plans.retain(|pods| pods.len() <= most);
            let (fewest, most_tried) = TRIED_EACH;
            let partitions = self.subject.group.topics.partition_count().max(1);
            plans.truncate((TRIED_PARTITIONS / partitions).clamp(fewest, most_tried));
            for pods in &mut plans {
                sort_by_turn(pods, hot, cold);
            }
            self.try_all(plans);
        }
    }

    /// The best plans with one pod less, each extended by every other pod.
    fn grown(&self, size: usize, pool: &[ServingPodIndex]) -> Vec<Vec<ServingPodIndex>> {
        if size == 1 {
            return pool.iter().map(|pod| vec![*pod]).collect();
        }
        let smaller = || {
            self.left
                .iter()
                .filter(|trial| trial.pods.len() + 1 == size)
        };
        // All plans with the first pod of the pool come first, the best plan first.
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

    /// Tries the plans, and keeps the best of each size.
    fn try_all(&mut self, plans: Vec<Vec<ServingPodIndex>>) {
        for pods in plans {
            if !self.is_possible(&pods) {
                continue;
            }
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

    /// Whether the plan leaves a member in the group, if its members are removed.
    fn is_possible(&self, pods: &[ServingPodIndex]) -> bool {
        match self.limits.measure {
            Measure::Evict { .. } => true,
            Measure::Rejoin => {
                let mut owners = self.subject.group.pod_of.iter();
                owners.any(|pod| !pods.contains(pod))
            }
        }
    }

    fn play(&self, trial: &mut Trial, samples: Range<usize>) {
        let waves: Vec<&[ServingPodIndex]>;
        let event = match self.limits.measure {
            Measure::Evict { wave_size, .. } => {
                waves = trial.pods.chunks(wave_size.max(1)).collect();
                Event::Replacement {
                    waves: &waves,
                    order: None,
                }
            }
            Measure::Rejoin => Event::Rejoin(&trial.pods),
        };
        let outcomes = samples.map(|sample| {
            let chance = Chance::of(self.seed, sample);
            self.subject.play(event, chance)
        });
        trial.outcomes.extend(outcomes);
    }

    /// Keeps the best `each` plans of each size.
    fn keep_best(&mut self, each: usize) {
        // The sort is stable: among equals the first one tried stays first.
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

    /// Forecasts the best of the remaining plans.
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

/// Chooses the plan with the fewest pods among those with a sufficient and probable fall that is
/// near the best.
fn choose(best: &[Candidate], limits: Limits) -> Option<usize> {
    let good = |candidate: &Candidate| {
        limits
            .minimum_fall_percent
            .is_exceeded_by(candidate.forecast.expected_fall_percent)
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
        .map(|(index, _)| index)
}

/// Interleaves both lists.
fn interleaved(hot: &[ServingPodIndex], cold: &[ServingPodIndex]) -> Vec<ServingPodIndex> {
    let length = hot.len().max(cold.len());
    (0..length)
        .flat_map(|index| [hot.get(index), cold.get(index)])
        .flatten()
        .copied()
        .collect()
}

/// Sorts pods in the order of eviction: hot ones, most loaded first, then the others, least loaded
/// first.
fn sort_by_turn(pods: &mut [ServingPodIndex], hot: &[ServingPodIndex], cold: &[ServingPodIndex]) {
    let position = |pod: &ServingPodIndex| {
        let mut order = hot.iter().chain(cold);
        order.position(|other| other == pod)
    };
    pods.sort_by_key(position);
}

/// The combinations of the hottest with the coldest pods that have `size` pods.
fn pairings(
    hot: &[ServingPodIndex],
    cold: &[ServingPodIndex],
    top_k: usize,
    size: usize,
) -> Vec<Vec<ServingPodIndex>> {
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

/// The sets of the first one, two, … slow pods.
fn sets_of_slow(slow: &[ServingPodIndex], limits: Limits) -> Vec<Vec<ServingPodIndex>> {
    let most = slow.len().min(limits.top_k).min(limits.most());
    (1..=most)
        .map(|count| slow.iter().take(count).copied().collect())
        .collect()
}
