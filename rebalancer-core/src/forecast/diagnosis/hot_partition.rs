//! A single partition that makes its owner hot.

use std::fmt;

use serde::{Deserialize, Serialize};

use kafka_assignors::PartitionIndex;

use super::Kind;
use super::view::View;
use crate::model::LoadUnit;
use crate::wording::plural;

/// A single partition makes its owner hot.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct HotPartition {
    /// The heaviest partition, as `topic-number`.
    pub partition: String,
    /// The pod that owns it.
    pub pod: String,
    /// The load of a pod with only this partition.
    pub load: f64,
    /// The threshold.
    pub threshold: f64,
    /// The number of such partitions.
    pub partitions: usize,
}

impl Kind for HotPartition {
    const STRUCTURAL: bool = true;

    fn fmt(&self, unit: LoadUnit, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            partition,
            pod,
            load,
            threshold,
            partitions,
        } = self;
        write!(
            f,
            "partition {partition} makes its owner hot: it alone takes {}, above the threshold of \
             {threshold:.3} (currently on {pod}",
            unit.amount(*load)
        )?;
        if *partitions > 1 {
            let more = partitions - 1;
            write!(f, "; {more} more {} like it", plural(more, "is", "are"))?;
        }
        f.write_str("); more partitions or better keys would help, evicting cannot")
    }
}

/// Applies if the most loaded pod owns a partition that alone would make it hot.
pub(super) fn find(view: &View<'_>) -> Option<HotPartition> {
    let peak = view
        .hot_by_partitions()
        .max_by(|a, b| view.explained(*a).total_cmp(&view.explained(*b)))?;
    let base = view.subject.attribution.base;
    let alone = |partition: PartitionIndex| base + view.partition_load(partition);
    let owners = view.group.pod_owners();
    let hot: Vec<PartitionIndex> = PartitionIndex::all(owners.len())
        .filter(|partition| alone(*partition) > view.threshold)
        .collect();
    let owned = hot
        .iter()
        .copied()
        .filter(|partition| owners.get(partition.get()).copied().flatten() == Some(peak));
    let heaviest = owned.max_by(|a, b| alone(*a).total_cmp(&alone(*b)))?;
    Some(HotPartition {
        partition: view.group.topics.partition_name(heaviest),
        pod: view.name(peak),
        load: alone(heaviest),
        threshold: view.threshold,
        partitions: hot.len(),
    })
}

#[cfg(test)]
mod tests {
    use crate::forecast::diagnosis::case::Case;
    use rstest::rstest;

    #[rstest]
    #[case::at(Case::of(&[&[1.0, 0.5], &[0.25, 0.25]]), None)]
    #[case::above(
        Case::of(&[&[0.5, 1.25], &[0.125, 0.0]]),
        Some("partition t-1 makes its owner hot: it alone takes 1.250 cores, above the \
              threshold of 1.000 (currently on a); more partitions or better keys would help, evicting cannot")
    )]
    #[case::with_the_base(
        Case::of(&[&[1.0, 0.5], &[0.25, 0.25]]).with(|case| case.attribution.base = 0.0625),
        Some("partition t-0 makes its owner hot: it alone takes 1.062 cores, above the \
              threshold of 1.000 (currently on a); more partitions or better keys would help, evicting cannot")
    )]
    // The heaviest partition of the most loaded pod.
    #[case::one_more(
        Case::of(&[&[1.5, 0.0], &[1.25, 1.125], &[0.0, 0.0], &[0.0, 0.0]])
            .with(|case| case.attribution.partitions[0] = 0.25),
        Some("partition t-2 makes its owner hot: it alone takes 1.250 cores, above the \
              threshold of 1.000 (currently on b; 1 more is like it); more partitions or better \
              keys would help, evicting cannot")
    )]
    #[case::two_more(
        Case::of(&[&[1.5, 0.0], &[1.25, 1.125], &[0.0, 0.0], &[0.0, 0.0]]),
        Some("partition t-2 makes its owner hot: it alone takes 1.250 cores, above the \
              threshold of 1.000 (currently on b; 2 more are like it); more partitions or better \
              keys would help, evicting cannot")
    )]
    // The most loaded pod has no hot partition, so its load could fall.
    #[case::not_on_the_most_loaded_pod(Case::of(&[&[1.25, 0.0], &[0.75, 0.75], &[0.0], &[0.0]]), None)]
    // The residual of a slow pod does not make it the most loaded one.
    #[case::not_on_a_slow_pod(
        Case::of(&[&[1.25, 0.0], &[0.5, 0.625], &[0.0], &[0.0]]).slow(&[(1, 2.0)]),
        Some("partition t-0 makes its owner hot: it alone takes 1.250 cores, above the \
              threshold of 1.000 (currently on a); more partitions or better keys would help, evicting cannot")
    )]
    fn hot_partition(#[case] case: Case, #[case] message: Option<&str>) {
        assert_eq!(case.message("hot_partition").as_deref(), message);
    }
}
