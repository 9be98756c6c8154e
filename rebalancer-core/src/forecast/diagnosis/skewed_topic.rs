//! A heavy topic whose partitions are distributed unevenly.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::Kind;
use super::view::View;
use crate::model::LoadUnit;

/// The share of the explained load from which a topic is dominant.
const DOMINANT_SHARE: f64 = 0.5;

/// One topic makes most of the load, and its partitions are distributed unevenly.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct SkewedTopic {
    /// The topic.
    pub topic: String,
    /// Its share of the load of all partitions, in percent.
    pub share_percent: f64,
    /// The highest number of its partitions that a pod owns.
    pub most: usize,
    /// The lowest number of its partitions that a pod owns.
    pub fewest: usize,
}

impl Kind for SkewedTopic {
    const STRUCTURAL: bool = false;

    fn fmt(&self, _unit: LoadUnit, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            topic,
            share_percent,
            most,
            fewest,
        } = self;
        write!(
            f,
            "topic {topic} makes {share_percent:.0} % of the load, and pods own {fewest} to {most} \
             of its partitions: assignors balance the partitions of all topics together; consume it \
             in a group of its own"
        )
    }
}

pub(super) fn find(view: &View<'_>) -> Option<SkewedTopic> {
    let topics = &view.group.topics;
    if topics.len() < 2 {
        return None;
    }
    let total: f64 = view.subject.attribution.partitions.iter().sum();
    let load = |topic| view.topic_load(topic);
    let topic = topics
        .indices()
        .max_by(|a, b| load(*a).total_cmp(&load(*b)))?;
    let share = load(topic) / total;
    let counts = view.counts(topic);
    let (most, fewest) = (*counts.iter().max()?, *counts.iter().min()?);
    // If a hot pod owns more than with an even distribution, another one owns at least two fewer.
    let even = topics.size(topic).div_ceil(view.pods());
    let explains = view.any_hot_owns_more_than(even, &counts);
    (share >= DOMINANT_SHARE && explains).then(|| SkewedTopic {
        topic: topics.name(topic).to_owned(),
        share_percent: share * 100.0,
        most,
        fewest,
    })
}

#[cfg(test)]
mod tests {
    use crate::forecast::diagnosis::case::{BIT, Case};
    use rstest::rstest;

    /// Three pods. Pod `a` owns three partitions of the topic `heavy`, `b` two and `c` one; with
    /// `even` all own two. The load of the topic `light` is `light`.
    fn skewed(even: bool, light: f64) -> Case {
        let last = if even { 2 } else { 0 };
        let heavy = [
            (0, 0.5),
            (0, 0.5),
            (1, 0.5),
            (1, 0.5),
            (2, 0.5),
            (last, 0.5),
        ];
        let light = light / 2.0;
        Case::of_topics(
            3,
            &[("heavy", &heavy), ("light", &[(1, light), (2, light)])],
        )
    }

    /// Three pods and two light topics, whose partitions each have the load `others`.
    fn three_topics(others: f64) -> Case {
        let heavy = [(0, 0.5), (0, 0.5), (0, 0.5), (1, 0.5), (1, 0.5), (2, 0.5)];
        let others = [(1, others), (2, others)];
        Case::of_topics(
            3,
            &[("heavy", &heavy), ("light", &others), ("other", &others)],
        )
    }

    #[rstest]
    #[case::at_half_of_the_load(
        three_topics(0.75),
        Some(
            "topic heavy makes 50 % of the load, and pods own 1 to 3 of its partitions: \
              assignors balance the partitions of all topics together; consume it in a group of \
              its own"
        )
    )]
    #[case::more(
        skewed(false, 1.0),
        Some(
            "topic heavy makes 75 % of the load, and pods own 1 to 3 of its partitions: \
              assignors balance the partitions of all topics together; consume it in a group of \
              its own"
        )
    )]
    #[case::less(three_topics(0.75 + BIT), None)]
    #[case::counts_within_one(
        Case::of_topics(2, &[("heavy", &[(0, 0.5), (0, 0.75), (1, 0.5)]), ("light", &[(1, 0.125)])]),
        None
    )]
    #[case::even(skewed(true, 0.25).with(|case| case.attribution.partitions[0] = 0.75), None)]
    // The pod with most partitions of the topic is not hot.
    #[case::others_are_hot(
        skewed(false, 0.5).with(|case| {
            case.attribution.partitions = vec![0.125, 0.125, 0.75, 0.75, 0.5, 0.125, 0.25, 0.25];
        }),
        None
    )]
    // The hot pod owns no more than with an even distribution.
    #[case::no_more_than_evenly(
        Case::of_topics(3, &[
            ("heavy", &[(0, 0.75), (0, 0.75), (1, 0.25), (1, 0.25)]),
            ("light", &[(2, 0.25)]),
        ]),
        None
    )]
    #[case::one_topic(Case::of(&[&[0.5, 0.5, 0.5], &[0.25]]), None)]
    fn skewed_topic(#[case] case: Case, #[case] message: Option<&str>) {
        assert_eq!(case.message("skewed_topic").as_deref(), message);
    }
}
