//! A pod whose partitions do not explain its load.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::Kind;
use super::view::View;
use crate::model::LoadUnit;

/// The load of a pod exceeds what its partitions explain.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct SlowPod {
    /// The pod.
    pub pod: String,
    /// Its load.
    pub load: f64,
    /// The load that its partitions explain.
    pub explained: f64,
}

impl Kind for SlowPod {
    const STRUCTURAL: bool = false;

    fn fmt(&self, unit: LoadUnit, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} uses {}, but its partitions explain only {:.3}: evict only this pod",
            self.pod,
            unit.amount(self.load),
            self.explained
        )
    }
}

pub(super) fn find(view: &View<'_>) -> impl Iterator<Item = SlowPod> {
    let slow = view.subject.attribution.slow.iter().copied();
    slow.filter(|pod| view.hot.contains(pod))
        .map(|pod| SlowPod {
            pod: view.name(pod),
            load: view.load(pod),
            explained: view.explained(pod),
        })
}

#[cfg(test)]
mod tests {
    use crate::forecast::diagnosis::case::{BIT, Case, name};
    use crate::model::LoadUnit;
    use rstest::rstest;

    #[rstest]
    #[case::below_the_threshold(0.25 - BIT, &[])]
    #[case::at_the_threshold(0.25, &[])]
    #[case::hot(
        0.5,
        &["b uses 1.250 cores, but its partitions explain only 0.750: evict only this pod"]
    )]
    fn slow_pod(#[case] residual: f64, #[case] messages: &[&str]) {
        let case = Case::of(&[&[0.5, 0.75], &[0.75]]).slow(&[(1, residual)]);
        let found = case.found();
        let found = found.iter().filter(|found| name(found) == "slow_pod");
        assert_eq!(
            found
                .map(|found| found.message(LoadUnit::Cores))
                .collect::<Vec<_>>(),
            messages
        );
    }

    #[test]
    fn reports_each_slow_pod() {
        let case = Case::of(&[&[0.5], &[0.5], &[0.25]]).slow(&[(0, 1.0), (1, 2.0), (2, 0.25)]);
        let found = case.found();
        let messages = found.iter().map(|found| found.message(LoadUnit::Cores));
        let messages: Vec<String> = messages.collect();
        let message = |pod, load| {
            format!(
                "{pod} uses {load} cores, but its partitions explain only 0.500: evict only this pod"
            )
        };
        assert_eq!(
            messages[1..],
            [message("a", "1.500"), message("b", "2.500")]
        );
    }

    #[test]
    fn custom_loads_have_no_unit() {
        let case = Case::of(&[&[0.5], &[0.25]]).slow(&[(0, 1.0)]);
        assert_eq!(
            case.found()[0].message(LoadUnit::Custom),
            "a uses 1.500, but its partitions explain only 0.500: evict only this pod"
        );
    }
}
