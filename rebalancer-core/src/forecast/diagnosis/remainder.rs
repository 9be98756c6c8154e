//! Partitions that do not divide evenly among the pods.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::Kind;
use super::view::{View, float};
use crate::model::LoadUnit;
use crate::wording::plural;

/// The partitions do not divide evenly, and one more of them makes a pod hot.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Remainder {
    /// The number of partitions.
    pub partitions: usize,
    /// The number of pods.
    pub pods: usize,
    /// The number of pods that own one partition more than the others.
    pub larger: usize,
    /// The smallest number of pods with which no pod owns that additional partition.
    pub enough: usize,
    /// The next number of pods that divides the partitions evenly.
    pub divides: usize,
}

impl Kind for Remainder {
    const STRUCTURAL: bool = false;

    fn fmt(&self, _unit: LoadUnit, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            partitions,
            pods,
            larger,
            enough,
            divides,
        } = self;
        write!(
            f,
            "{partitions} partitions do not divide evenly among {pods} pods: {larger} {} one more, \
             which makes {} hot; with ",
            plural(*larger, "pod owns", "pods own"),
            plural(*larger, "it", "them"),
        )?;
        if enough < divides {
            let each = partitions / pods.max(&1);
            write!(
                f,
                "{enough} pods none owns more than {each}, and with {divides} they"
            )?;
        } else {
            write!(f, "{divides} pods they")?;
        }
        f.write_str(" divide evenly")
    }
}

/// Applies if, with partitions of equal load, the pods with one more would be hot and the others
/// would not. Fewer pods do not help, because each would own at least that number. More pods do, in
/// the extreme one per partition.
pub(super) fn find(view: &View<'_>) -> Option<Remainder> {
    let (partitions, pods) = (view.group.topics.partition_count(), view.pods());
    let (each, larger) = (partitions / pods, partitions % pods);
    let attribution = &view.subject.attribution;
    let total: f64 = attribution.partitions.iter().sum();
    let average = total / float(partitions);
    let load = |count: usize| attribution.base + average * float(count);
    let tips = larger > 0 && load(each + 1) > view.threshold && load(each) <= view.threshold;
    let explains = view.any_hot_owns_more_than(each, &view.group.partitions_by_pod());
    // `None` if there are fewer partitions than pods.
    let divides = (pods + 1..=partitions).find(|pods| partitions.is_multiple_of(*pods))?;
    (tips && explains).then(|| Remainder {
        partitions,
        pods,
        larger,
        enough: partitions.div_ceil(each),
        divides,
    })
}

#[cfg(test)]
mod tests {
    use crate::forecast::diagnosis::case::{BIT, Case};
    use rstest::rstest;

    #[rstest]
    #[case::one_divides(
        Case::of(&[&[0.5, 0.5, 0.5], &[0.5, 0.5, 0.5], &[0.5, 0.5], &[0.5, 0.5]]),
        Some("10 partitions do not divide evenly among 4 pods: 2 pods own one more, which makes \
              them hot; with 5 pods they divide evenly")
    )]
    #[case::fewer_pods_are_enough(
        Case::of(&[&[0.25; 5], &[0.25; 4], &[0.25; 4]]),
        Some("13 partitions do not divide evenly among 3 pods: 1 pod owns one more, which makes it \
              hot; with 4 pods none owns more than 4, and with 13 they divide evenly")
    )]
    // Two partitions of 0.5 are at the threshold, three are above it.
    #[case::fewer_at_the_threshold(
        Case::of(&[&[0.5, 0.5, 0.5], &[0.5, 0.5]]),
        Some("5 partitions do not divide evenly among 2 pods: 1 pod owns one more, which makes it \
              hot; with 3 pods none owns more than 2, and with 5 they divide evenly")
    )]
    #[case::fewer_above_it(
        Case::of(&[&[0.5, 0.5, 0.5], &[0.5, 0.5]]).with(|case| case.attribution.base = BIT),
        None
    )]
    // Four partitions of 0.25 are at the threshold.
    #[case::more_at_the_threshold(
        Case::of(&[&[0.25, 0.25, 0.25, 0.5], &[0.25, 0.25, 0.0]]),
        None
    )]
    #[case::more_above_it(
        Case::of(&[&[0.25, 0.25, 0.25, 0.5], &[0.25, 0.25, 0.0]])
            .with(|case| case.attribution.base = BIT),
        Some("7 partitions do not divide evenly among 2 pods: 1 pod owns one more, which makes it \
              hot; with 3 pods none owns more than 3, and with 7 they divide evenly")
    )]
    #[case::they_divide(Case::of(&[&[0.75, 0.75], &[0.75, 0.75]]), None)]
    #[case::fewer_than_pods(Case::of(&[&[1.25], &[]]), None)]
    // The pod with one more has light partitions, and the other one is hot.
    #[case::others_are_hot(Case::of(&[&[0.25, 0.25, 0.25], &[1.0, 0.75]]), None)]
    // The hot pod with one more is slow.
    #[case::slow_pod_is_hot(
        Case::of(&[&[0.25, 0.25, 0.25], &[0.875, 0.125]]).slow(&[(0, 1.0)]),
        None
    )]
    fn remainder(#[case] case: Case, #[case] message: Option<&str>) {
        assert_eq!(case.message("remainder").as_deref(), message);
    }
}
