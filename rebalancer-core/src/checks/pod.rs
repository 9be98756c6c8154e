//! The checks on one pod: each failure makes it ineligible, with the numbers.

use serde::{Deserialize, Serialize};

use super::workload::{Check, Finding, Verdict};
use crate::model::{Evictability, Pod, PodPhase, SampleFault, Seconds};
use crate::policy::Policy;

/// Why a pod may not be a victim.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, thiserror::Error)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(tag = "reason", rename_all = "snake_case")]
pub enum Ineligible {
    /// The workload does not own it.
    #[error("not owned by the workload")]
    NotOwned,
    /// Its phase is not Running.
    #[error("phase {phase}")]
    NotRunning {
        /// Its phase.
        phase: PodPhase,
    },
    /// It is on its way out.
    #[error("terminating")]
    Terminating,
    /// Its Ready condition is not true.
    #[error("not ready")]
    NotReady,
    /// The metrics do not know it.
    #[error("not measured")]
    NotMeasured,
    /// The metrics' answer for it is not a load.
    #[error("{fault}")]
    Unusable {
        /// What the answer was.
        fault: SampleFault,
    },
    /// Its newest sample is too old, or has no known age although ages are known.
    #[error("stale: {}", stale(*.age_seconds, *.maximum_seconds))]
    Stale {
        /// Age of the newest sample, in seconds; `None` when there was none.
        age_seconds: Option<Seconds>,
        /// The age that is allowed, in seconds.
        maximum_seconds: Seconds,
    },
    /// Its load was counted more than once.
    #[error("measured {series} times over")]
    MeasuredTwice {
        /// How often the same container was found in the metrics.
        series: u32,
    },
    /// It is younger than the rate window: its rate is not yet its load.
    #[error("too young: {} of at least {}", age_seconds.in_words(), minimum_seconds.in_words())]
    TooYoung {
        /// Its age, in seconds.
        age_seconds: Seconds,
        /// The age that is needed, in seconds.
        minimum_seconds: Seconds,
    },
    /// Its measured container restarted within the rate window: the counter began anew, and the
    /// rate mixes what the container spent before with what it spends since.
    #[error(
        "restarted {} ago, at least {} needed",
        restarted_seconds.in_words(),
        minimum_seconds.in_words()
    )]
    Restarted {
        /// Seconds since the restart.
        restarted_seconds: Seconds,
        /// Seconds that are needed.
        minimum_seconds: Seconds,
    },
    /// The metrics know nothing of it in the first half of the rate window, although it ran.
    #[error(
        "no sample in the first half of the window: the load is made of the last few samples only"
    )]
    WindowNotCovered,
    /// An annotation asks to leave it alone.
    #[error("opted out by {annotation}")]
    OptedOut {
        /// The annotation, as `key: value`.
        annotation: String,
    },
    /// No controller would replace it.
    #[error("no controller would replace it")]
    Bare,
    /// A kubelet's static pod.
    #[error("a static pod's mirror")]
    Mirror,
    /// A DaemonSet's pod.
    #[error("owned by a DaemonSet")]
    DaemonSet,
}

fn stale(age: Option<Seconds>, maximum: Seconds) -> String {
    match age {
        Some(age) => {
            format!(
                "newest sample {} old, at most {} allowed",
                age.in_words(),
                maximum.in_words()
            )
        }
        None => "no recent sample".into(),
    }
}

impl Ineligible {
    /// The word for the reason, as documents have it.
    #[must_use]
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::NotOwned => "not_owned",
            Self::NotRunning { .. } => "not_running",
            Self::Terminating => "terminating",
            Self::NotReady => "not_ready",
            Self::NotMeasured => "not_measured",
            Self::Unusable { .. } => "unusable",
            Self::Stale { .. } => "stale",
            Self::MeasuredTwice { .. } => "measured_twice",
            Self::TooYoung { .. } => "too_young",
            Self::Restarted { .. } => "restarted",
            Self::WindowNotCovered => "window_not_covered",
            Self::OptedOut { .. } => "opted_out",
            Self::Bare => "bare",
            Self::Mirror => "mirror",
            Self::DaemonSet => "daemon_set",
        }
    }
}

/// One rule on one pod; the last argument is whether the ages of the samples are known.
type PodCheck = fn(&Pod, &Policy, bool) -> Option<Ineligible>;

/// Every check on one pod, in the order a person would ask.
const CHECKS: [PodCheck; 9] = [
    owned,
    running,
    terminating,
    ready,
    measured,
    old_enough,
    not_restarted,
    not_opted_out,
    evictable,
];

/// Why `pod` is not eligible; empty when it is. `freshness_known` is the snapshot's.
pub(crate) fn ineligible(pod: &Pod, policy: &Policy, freshness_known: bool) -> Vec<Ineligible> {
    CHECKS
        .iter()
        .filter_map(|check| check(pod, policy, freshness_known))
        .collect()
}

fn owned(pod: &Pod, _: &Policy, _: bool) -> Option<Ineligible> {
    (!pod.owned).then_some(Ineligible::NotOwned)
}

fn running(pod: &Pod, _: &Policy, _: bool) -> Option<Ineligible> {
    (pod.phase != PodPhase::Running).then_some(Ineligible::NotRunning { phase: pod.phase })
}

fn terminating(pod: &Pod, _: &Policy, _: bool) -> Option<Ineligible> {
    pod.terminating.then_some(Ineligible::Terminating)
}

fn ready(pod: &Pod, _: &Policy, _: bool) -> Option<Ineligible> {
    (!pod.ready).then_some(Ineligible::NotReady)
}

/// The pod has a load that can be trusted: finite, fresh, counted once, and taken over the window.
///
/// That a young or restarted pod has no samples from before is no fault of the metrics, and has
/// its own reason.
pub(crate) fn measured(pod: &Pod, policy: &Policy, freshness_known: bool) -> Option<Ineligible> {
    if let Some(fault) = pod.fault {
        return Some(Ineligible::Unusable { fault });
    }
    if pod.load.is_none() {
        return Some(Ineligible::NotMeasured);
    }
    if pod.series > 1 {
        return Some(Ineligible::MeasuredTwice { series: pod.series });
    }
    let maximum = policy.maximum_sample_age_seconds;
    let fresh = match pod.sample_age_seconds {
        Some(age) => age <= maximum,
        None => !freshness_known,
    };
    if !fresh {
        return Some(Ineligible::Stale {
            age_seconds: pod.sample_age_seconds,
            maximum_seconds: maximum,
        });
    }
    // A hole in the middle of the window does no harm: the counters went on, and the rate is taken
    // from the first sample to the last.
    let began_anew = too_young(pod, policy).is_some() || restarted(pod, policy).is_some();
    (!pod.window_covered && !began_anew).then_some(Ineligible::WindowNotCovered)
}

fn old_enough(pod: &Pod, policy: &Policy, _: bool) -> Option<Ineligible> {
    too_young(pod, policy)
}

fn not_restarted(pod: &Pod, policy: &Policy, _: bool) -> Option<Ineligible> {
    restarted(pod, policy)
}

/// The pod is younger than the rate window.
pub(crate) fn too_young(pod: &Pod, policy: &Policy) -> Option<Ineligible> {
    let minimum = policy.minimum_pod_age_seconds;
    pod.age_seconds
        .filter(|age| *age < minimum)
        .map(|age| Ineligible::TooYoung {
            age_seconds: age,
            minimum_seconds: minimum,
        })
}

/// The measured container is younger than the rate window, although the pod need not be. What is
/// long enough for a new pod is long enough for a new container.
fn restarted(pod: &Pod, policy: &Policy) -> Option<Ineligible> {
    let minimum = policy.minimum_pod_age_seconds;
    pod.restarted_seconds
        .filter(|since| *since < minimum)
        .map(|since| Ineligible::Restarted {
            restarted_seconds: since,
            minimum_seconds: minimum,
        })
}

fn not_opted_out(pod: &Pod, _: &Policy, _: bool) -> Option<Ineligible> {
    pod.opted_out
        .clone()
        .map(|annotation| Ineligible::OptedOut { annotation })
}

fn evictable(pod: &Pod, _: &Policy, _: bool) -> Option<Ineligible> {
    match pod.evictability {
        Evictability::Evictable => None,
        Evictability::Bare => Some(Ineligible::Bare),
        Evictability::Mirror => Some(Ineligible::Mirror),
        Evictability::DaemonSet => Some(Ineligible::DaemonSet),
    }
}

/// The checks on the pods taken together: some pod must be eligible.
pub(crate) fn eligibility<'a>(reasons: impl ExactSizeIterator<Item = &'a [Ineligible]>) -> Check {
    let pods = reasons.len();
    let mut eligible = 0;
    let mut ineligible = std::collections::BTreeMap::new();
    for reasons in reasons {
        if reasons.is_empty() {
            eligible += 1;
        }
        for reason in reasons {
            *ineligible.entry(reason.as_str().to_owned()).or_insert(0) += 1;
        }
    }
    Check::new(
        Verdict::pass_if(eligible > 0),
        Finding::EligiblePods {
            pods,
            eligible,
            ineligible,
        },
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Load;
    use rstest::rstest;

    fn healthy() -> Pod {
        Pod::new("a").with_load(Load::new(1.0).unwrap())
    }

    fn seconds(value: f64) -> Option<Seconds> {
        Some(Seconds::new(value).unwrap())
    }

    #[rstest]
    #[case::healthy(healthy(), &[])]
    #[case::owner(Pod { owned: false, ..healthy() }, &["not_owned"])]
    #[case::phase(Pod { phase: PodPhase::Pending, ready: false, ..healthy() }, &["not_running", "not_ready"])]
    #[case::terminating(Pod { terminating: true, ..healthy() }, &["terminating"])]
    #[case::ready(Pod { ready: false, ..healthy() }, &["not_ready"])]
    #[case::absent(Pod { load: None, ..healthy() }, &["not_measured"])]
    #[case::nan(Pod { load: None, fault: Some(SampleFault::NotFinite), ..healthy() }, &["unusable"])]
    #[case::fresh(Pod { sample_age_seconds: seconds(150.0), ..healthy() }, &[])]
    #[case::stale(Pod { sample_age_seconds: seconds(150.1), ..healthy() }, &["stale"])]
    #[case::doubled(Pod { series: 2, ..healthy() }, &["measured_twice"])]
    #[case::old(Pod { age_seconds: seconds(300.0), ..healthy() }, &[])]
    #[case::young(Pod { age_seconds: seconds(299.9), ..healthy() }, &["too_young"])]
    #[case::restarted_long_ago(Pod { restarted_seconds: seconds(300.0), ..healthy() }, &[])]
    #[case::restarted(Pod { restarted_seconds: seconds(299.9), ..healthy() }, &["restarted"])]
    #[case::hole(Pod { window_covered: false, ..healthy() }, &["window_not_covered"])]
    #[case::hole_and_old(
        Pod { window_covered: false, age_seconds: seconds(300.0), ..healthy() },
        &["window_not_covered"]
    )]
    #[case::no_sample_before_its_birth(
        Pod { window_covered: false, age_seconds: seconds(299.9), ..healthy() },
        &["too_young"]
    )]
    #[case::no_sample_while_it_was_down(
        Pod { window_covered: false, restarted_seconds: seconds(20.0), ..healthy() },
        &["restarted"]
    )]
    #[case::stale_above_all(
        Pod { window_covered: false, sample_age_seconds: seconds(150.1), ..healthy() },
        &["stale"]
    )]
    #[case::annotation(Pod { opted_out: Some("rebalancer.io/skip: true".into()), ..healthy() }, &["opted_out"])]
    #[case::bare(Pod { evictability: Evictability::Bare, ..healthy() }, &["bare"])]
    #[case::mirror(Pod { evictability: Evictability::Mirror, ..healthy() }, &["mirror"])]
    #[case::daemon_set(Pod { evictability: Evictability::DaemonSet, ..healthy() }, &["daemon_set"])]
    fn each_check_has_its_own_reason(#[case] pod: Pod, #[case] expected: &[&str]) {
        let reasons = ineligible(&pod, &Policy::default(), false);
        let words: Vec<&str> = reasons.iter().map(Ineligible::as_str).collect();
        assert_eq!(words, expected);
        // The word in the documents is the same.
        for reason in &reasons {
            assert_eq!(
                serde_json::to_value(reason).unwrap()["reason"],
                reason.as_str()
            );
        }
    }

    #[test]
    fn where_ages_are_known_a_missing_one_is_stale() {
        let reasons = ineligible(&healthy(), &Policy::default(), true);
        assert_eq!(reasons.len(), 1);
        assert_eq!(reasons[0].to_string(), "stale: no recent sample");
    }

    #[rstest]
    #[case(
        Pod { restarted_seconds: seconds(42.0), ..healthy() },
        "restarted 42 s ago, at least 300 s needed"
    )]
    #[case(
        Pod { window_covered: false, ..healthy() },
        "no sample in the first half of the window: the load is made of the last few samples only"
    )]
    fn what_is_wrong_with_the_window_is_said(#[case] pod: Pod, #[case] message: &str) {
        let reasons = ineligible(&pod, &Policy::default(), false);
        let said: Vec<String> = reasons.iter().map(ToString::to_string).collect();
        assert_eq!(said, [message]);
    }
}
