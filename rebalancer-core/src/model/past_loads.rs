//! Past loads of the pods, by which a load that lasts is distinguished from a short one.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::quantity::{Load, Seconds};

/// The loads of the pods at regular times before the snapshot.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct PastLoads {
    /// The time between two loads of a pod, in seconds.
    pub step_seconds: Seconds,
    /// The loads of each pod by its name, newest first. A time without a load has no entry.
    pub pods: BTreeMap<String, Vec<PastLoad>>,
}

/// The load of a pod at a past time.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct PastLoad {
    /// The time from then until the snapshot, in seconds.
    pub age_seconds: Seconds,
    /// The load.
    pub load: Load,
}

/// The largest distance of two loads that is not a gap, in steps. The servers align the times of
/// the loads differently.
const LARGEST_DISTANCE: f64 = 2.0;
/// The distance of two loads up to which there is no gap, in seconds. The newest samples of
/// VictoriaMetrics appear 30 seconds late.
const NO_GAP: f64 = 60.0;

impl PastLoads {
    /// The time for which the load of a pod has been above `threshold`, given that it is now. A gap
    /// ends it: a load that is not known is not a high one.
    #[must_use]
    pub fn above_for(&self, pod: &str, threshold: f64) -> Seconds {
        let mut above = Seconds::ZERO;
        let largest = (LARGEST_DISTANCE * self.step_seconds.get()).max(NO_GAP);
        for past in self.pods.get(pod).into_iter().flatten() {
            let is_gap = past.age_seconds.get() - above.get() > largest;
            if is_gap || past.load.get() <= threshold {
                break;
            }
            above = past.age_seconds;
        }
        above
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case::never(&[], 0.0)]
    #[case::whole_time(&[(10.0, 1.2), (70.0, 1.1), (130.0, 1.3)], 130.0)]
    #[case::since_a_low_load(&[(10.0, 1.2), (70.0, 1.0), (130.0, 1.3)], 10.0)]
    #[case::at_the_threshold(&[(10.0, 1.0)], 0.0)]
    #[case::one_missing_load(&[(10.0, 1.2), (130.0, 1.3)], 130.0)]
    #[case::gap(&[(10.0, 1.2), (190.0, 1.3)], 10.0)]
    #[case::gap_at_the_end(&[(130.0, 1.2)], 0.0)]
    fn time_above_the_threshold_ends_at_a_low_load_or_a_gap(
        #[case] loads: &[(f64, f64)],
        #[case] expected: f64,
    ) {
        let loads = loads.iter().map(|(age, load)| PastLoad {
            age_seconds: Seconds::new(*age).unwrap(),
            load: Load::new(*load).unwrap(),
        });
        let past = PastLoads {
            step_seconds: Seconds::whole(60),
            pods: BTreeMap::from([("a".to_owned(), loads.collect())]),
        };
        assert_eq!(past.above_for("a", 1.0).get(), expected);
        assert_eq!(past.above_for("other", 1.0), Seconds::ZERO);
    }
}
