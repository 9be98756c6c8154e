//! Fewer partitions than pods.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::Kind;
use super::view::View;
use crate::model::LoadUnit;
use crate::wording::plural;

/// There are fewer partitions than pods.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct TooFewPartitions {
    /// The number of partitions.
    pub partitions: usize,
    /// The number of pods.
    pub pods: usize,
}

// With fewer partitions than pods, each pod has at most one.
impl Kind for TooFewPartitions {
    const STRUCTURAL: bool = true;

    fn fmt(&self, _unit: LoadUnit, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { partitions, pods } = self;
        write!(
            f,
            "{partitions} {} for {pods} pods: each pod has at most one, however they are assigned; \
             add partitions, or run {partitions} {}",
            plural(*partitions, "partition", "partitions"),
            plural(*partitions, "pod", "pods")
        )
    }
}

/// Applies only if each pod has at most one partition. If a pod has several, as with range over
/// several topics or with several members in a pod, they could be distributed better.
pub(super) fn find(view: &View<'_>) -> Option<TooFewPartitions> {
    let (partitions, pods) = (view.group.topics.partition_count(), view.pods());
    let one_each = view
        .group
        .partitions_by_pod()
        .iter()
        .all(|count| *count <= 1);
    let found = partitions < pods && one_each && view.any_hot_by_partitions();
    found.then_some(TooFewPartitions { partitions, pods })
}

#[cfg(test)]
mod tests {
    use crate::forecast::diagnosis::case::Case;
    use rstest::rstest;

    #[rstest]
    #[case::fewer(
        Case::of(&[&[1.25], &[0.25], &[]]),
        Some("2 partitions for 3 pods: each pod has at most one, however they are assigned; add \
              partitions, or run 2 pods")
    )]
    #[case::one(
        Case::of(&[&[1.25], &[], &[]]),
        Some("1 partition for 3 pods: each pod has at most one, however they are assigned; add \
              partitions, or run 1 pod")
    )]
    #[case::equal_numbers(Case::of(&[&[1.25], &[0.25], &[0.25]]), None)]
    // An assignment of range over two topics.
    #[case::several_on_one_pod(
        Case::of_topics(4, &[("t", &[(0, 0.75)]), ("u", &[(0, 0.75), (1, 0.25)])]),
        None
    )]
    fn too_few_partitions(#[case] case: Case, #[case] message: Option<&str>) {
        assert_eq!(case.message("too_few_partitions").as_deref(), message);
    }
}
