//! Reasons why pods are hot, and what would help.
//!
//! Each kind of diagnosis is one module: its numbers, its message, and the rule that finds it.

mod capacity;
#[cfg(test)]
mod case;
mod hot_partition;
mod positional_assignor;
mod remainder;
mod skewed_topic;
mod slow_pod;
mod static_membership;
mod too_few_partitions;
mod view;

use std::fmt;

use serde::{Deserialize, Serialize};

use super::replay::Subject;
use crate::group::{GroupModel, KnownAssignor};
use crate::model::LoadUnit;
use view::View;

pub use capacity::Capacity;
pub use hot_partition::HotPartition;
pub use positional_assignor::PositionalAssignor;
pub use remainder::Remainder;
pub use skewed_topic::SkewedTopic;
pub use slow_pod::SlowPod;
pub use static_membership::StaticMembership;
pub use too_few_partitions::TooFewPartitions;

/// A reason for hot pods, with its numbers. The message includes the remedy. Loads are in cores, or
/// in the unit of a custom load query.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(tag = "kind", rename_all = "snake_case")]
#[non_exhaustive]
pub enum Diagnosis {
    /// All pods together have a higher load than the threshold allows.
    Capacity(Capacity),
    /// The assignor depends on the ranks of the member ids only: replacing a pod changes which pod
    /// has which load, but no load.
    PositionalAssignor(PositionalAssignor),
    /// A replacement has the `group.instance.id` of its predecessor and gets its partitions back.
    StaticMembership(StaticMembership),
    /// There are fewer partitions than pods.
    TooFewPartitions(TooFewPartitions),
    /// A single partition makes its owner hot.
    HotPartition(HotPartition),
    /// The partitions do not divide evenly, and one more of them makes a pod hot.
    Remainder(Remainder),
    /// One topic makes most of the load, and its partitions are distributed unevenly, because
    /// assignors balance the partitions of all topics together.
    SkewedTopic(SkewedTopic),
    /// The load of a pod exceeds what its partitions explain. The cause is its node, its
    /// neighbours, or the pod itself.
    SlowPod(SlowPod),
}

/// The common interface of the kinds.
trait Kind {
    /// Whether evictions cannot change it, except for evictions of slow pods.
    const STRUCTURAL: bool;

    /// Writes the message.
    fn fmt(&self, unit: LoadUnit, f: &mut fmt::Formatter<'_>) -> fmt::Result;
}

impl Diagnosis {
    /// The diagnosis of a positional assignor.
    pub(crate) fn positional_assignor(assignor: KnownAssignor) -> Self {
        Self::PositionalAssignor(PositionalAssignor {
            assignor: assignor.to_string(),
        })
    }

    /// The diagnosis of static members, if each replacement gets its partitions back.
    pub(crate) fn static_membership(group: &GroupModel) -> Option<Self> {
        StaticMembership::of(group).map(Self::StaticMembership)
    }

    /// Whether evictions cannot change it, except for evictions of slow pods.
    #[must_use]
    pub fn is_structural(&self) -> bool {
        fn of<K: Kind>(_: &K) -> bool {
            K::STRUCTURAL
        }
        match self {
            Self::Capacity(kind) => of(kind),
            Self::PositionalAssignor(kind) => of(kind),
            Self::StaticMembership(kind) => of(kind),
            Self::TooFewPartitions(kind) => of(kind),
            Self::HotPartition(kind) => of(kind),
            Self::Remainder(kind) => of(kind),
            Self::SkewedTopic(kind) => of(kind),
            Self::SlowPod(kind) => of(kind),
        }
    }

    /// The message for operators, which includes the remedy.
    #[must_use]
    pub fn message(&self, unit: LoadUnit) -> String {
        fmt::from_fn(|f| match self {
            Self::Capacity(kind) => kind.fmt(unit, f),
            Self::PositionalAssignor(kind) => kind.fmt(unit, f),
            Self::StaticMembership(kind) => kind.fmt(unit, f),
            Self::TooFewPartitions(kind) => kind.fmt(unit, f),
            Self::HotPartition(kind) => kind.fmt(unit, f),
            Self::Remainder(kind) => kind.fmt(unit, f),
            Self::SkewedTopic(kind) => kind.fmt(unit, f),
            Self::SlowPod(kind) => kind.fmt(unit, f),
        })
        .to_string()
    }
}

/// Finds the reasons for hot pods, structural ones first. `names` are the names of the group's
/// pods.
#[must_use]
pub fn diagnose(subject: &Subject<'_>, names: &[&str]) -> Vec<Diagnosis> {
    let Some(view) = View::new(subject, names) else {
        return Vec::new();
    };
    [
        capacity::find(&view).map(Diagnosis::Capacity),
        positional_assignor::find(&view).map(Diagnosis::PositionalAssignor),
        static_membership::find(&view).map(Diagnosis::StaticMembership),
        too_few_partitions::find(&view).map(Diagnosis::TooFewPartitions),
        hot_partition::find(&view).map(Diagnosis::HotPartition),
        remainder::find(&view).map(Diagnosis::Remainder),
        skewed_topic::find(&view).map(Diagnosis::SkewedTopic),
    ]
    .into_iter()
    .flatten()
    .chain(slow_pod::find(&view).map(Diagnosis::SlowPod))
    .collect()
}

#[cfg(test)]
mod tests {
    use super::case::{BIT, Case, name, one_hot};
    use super::*;
    use kafka_assignors::Algorithm;
    use rstest::rstest;

    /// A slow pod is evicted in any group, so the group is not the reason.
    #[rstest]
    #[case::explained_at_the_threshold(1.0, false)]
    #[case::explained_above_the_threshold(1.0 + BIT, true)]
    fn slow_pod_is_not_attributed_to_the_group(#[case] explained: f64, #[case] of_group: bool) {
        let case = Case::of(&[&[explained], &[], &[]])
            .slow(&[(0, 0.5)])
            .with_static_members(&[0, 1, 2]);
        let case = case.with(|case| case.algorithm = Algorithm::Range);
        let kinds: Vec<&str> = case.found().iter().map(name).collect();
        let of_the_group = [
            "positional_assignor",
            "static_membership",
            "too_few_partitions",
            "hot_partition",
        ];
        let expected = if of_group { &of_the_group[..] } else { &[] };
        assert_eq!(kinds, [expected, &["slow_pod"]].concat());
    }

    #[rstest]
    #[case::no_hot_pod(Case::of(&[&[1.0], &[0.25]]).with(|case| case.algorithm = Algorithm::Range))]
    #[case::no_threshold(one_hot().with(|case| {
        case.algorithm = Algorithm::Range;
        case.threshold = None;
    }))]
    #[case::no_pods(Case::of(&[]))]
    fn finds_nothing(#[case] case: Case) {
        assert_eq!(case.found(), []);
    }

    #[test]
    fn structural_diagnoses_come_first() {
        let heavy = [(0, 0.75), (0, 0.75), (0, 0.75), (0, 1.25), (1, 0.25)];
        let light = [(1, 0.0), (1, 0.0)];
        let case = Case::of_topics(2, &[("heavy", &heavy), ("light", &light)])
            .slow(&[(1, 2.0)])
            .with_static_members(&[0, 1])
            .with(|case| case.algorithm = Algorithm::Range);
        let kinds: Vec<&str> = case.found().iter().map(name).collect();
        let expected = [
            "capacity",
            "positional_assignor",
            "static_membership",
            "hot_partition",
            "skewed_topic",
            "slow_pod",
        ];
        assert_eq!(kinds, expected);
        let structural: Vec<bool> = case.found().iter().map(Diagnosis::is_structural).collect();
        assert_eq!(structural, [true, true, true, true, false, false]);
    }

    #[rstest]
    #[case::no_partitions(Case::of(&[&[], &[]]))]
    #[case::no_load(Case::of_topics(2, &[("t", &[(0, 0.0), (0, 0.0), (0, 0.0)]), ("u", &[(1, 0.0)])]))]
    fn numbers_are_finite_without_partitions_or_loads(#[case] case: Case) {
        let case = case.with(|case| case.attribution.residuals = vec![1.5, 0.0]);
        for found in case.found() {
            let message = found.message(LoadUnit::Cores);
            assert!(
                !message.contains("NaN") && !message.contains("inf"),
                "{message}"
            );
            assert_ne!(name(&found), "remainder");
            assert_ne!(name(&found), "skewed_topic");
        }
    }
}
