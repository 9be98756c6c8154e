//! Checks on one pod: every reason why a pod may not be a victim.
//!
//! A reason is one entry of [`ineligible_reasons!`], and its rule is one function in [`RULES`] or
//! [`EVICTION_RULES`].

use serde::{Deserialize, Serialize};

use crate::model::{
    Deletion, Evictability, Load, LoadUnit, Measurement, Pod, PodPhase, SampleFault, Seconds,
};
use crate::policy::Policy;
use crate::snapshot::Snapshot;

/// Defines [`Ineligible`]: each reason with its word in documents, its numbers and its message.
macro_rules! ineligible_reasons {
    ($(
        $(#[doc = $doc:literal])*
        $word:literal => $Name:ident $({ $($fields:tt)* })? ($($message:tt)+);
    )*) => {
        /// Why a pod may not be a victim.
        #[derive(Debug, Clone, PartialEq, Serialize, Deserialize, thiserror::Error)]
        #[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
        #[serde(tag = "reason")]
        #[non_exhaustive]
        pub enum Ineligible {
            $(
                $(#[doc = $doc])*
                #[serde(rename = $word)]
                #[error($($message)+)]
                $Name $({ $($fields)* })?,
            )*
        }

        impl Ineligible {
            /// The word for the reason in documents.
            #[must_use]
            pub fn as_str(&self) -> &'static str {
                match self {
                    $(Self::$Name { .. } => $word,)*
                }
            }
        }
    };
}

ineligible_reasons! {
    /// The workload does not own the pod.
    "not_owned" => NotOwned ("not owned by the workload");
    /// The phase of the pod is not Running.
    "not_running" => NotRunning {
        /// The phase.
        phase: PodPhase,
    } ("phase {phase}");
    /// The pod is terminating.
    "terminating" => Terminating {
        /// The deletion, if its details are known.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        deletion: Option<Box<Deletion>>,
    } ("terminating{}", deletion.iter().map(|deletion| format!(" {deletion}")).collect::<String>());
    /// The pod's Ready condition is not true.
    "not_ready" => NotReady ("not ready");
    /// The metrics do not contain the pod.
    "not_measured" => NotMeasured ("not measured");
    /// The value of the metrics is not a load.
    "unusable" => Unusable {
        /// Why the value is not a load.
        fault: SampleFault,
    } ("{fault}");
    /// The newest sample is too old, or its age is unknown although ages are known in general.
    "stale" => Stale {
        /// Age of the newest sample, in seconds; `None` if unknown.
        age_seconds: Option<Seconds>,
        /// The allowed age, in seconds.
        maximum_seconds: Seconds,
    } ("stale: {}", stale(*age_seconds, *maximum_seconds));
    /// The load is exactly 0 over the whole window although the pod is ready: its counter has
    /// stopped. An idle consumer still uses some CPU.
    "counter_stopped" => CounterStopped {
        /// The node of the pod, if known.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        node: Option<String>,
    } ("load of exactly 0 for the whole window: its counter has stopped{}", on_node(node.as_deref()));
    /// The metrics contain duplicate series of the pod, so its load was counted more than once.
    "measured_twice" => MeasuredTwice {
        /// Number of series of the measured container.
        series: u32,
    } ("measured {series} times over");
    /// The pod is younger than the rate window, so its rate is not its load yet.
    "too_young" => TooYoung {
        /// Age of the pod, in seconds.
        age_seconds: Seconds,
        /// The required age, in seconds.
        minimum_seconds: Seconds,
    } ("too young: {} of at least {}", age_seconds.rounded(), minimum_seconds.rounded());
    /// The measured container restarted within the rate window. Its counter was reset, and the rate
    /// mixes the load before and after the restart.
    "restarted" => Restarted {
        /// Seconds since the restart.
        restarted_seconds: Seconds,
        /// Required seconds since the restart.
        minimum_seconds: Seconds,
    } ("restarted {} ago, at least {} required", restarted_seconds.rounded(), minimum_seconds.rounded());
    /// The metrics have no sample in the first half of the rate window, although the pod ran.
    "window_not_covered" => WindowNotCovered
        ("no sample in the first half of the window: the load is made of the last few samples only");
    /// An annotation opts the pod out.
    "opted_out" => OptedOut {
        /// The annotation, as `key: value`.
        annotation: String,
    } ("opted out by {annotation}");
    /// No controller would replace the pod.
    "bare" => Bare ("no controller would replace it");
    /// The pod is the mirror of a static pod.
    "mirror" => Mirror ("mirror of a static pod");
    /// The pod is owned by a DaemonSet.
    "daemon_set" => DaemonSet ("owned by a DaemonSet");
}

fn stale(age: Option<Seconds>, maximum: Seconds) -> String {
    match age {
        Some(age) => format!(
            "newest sample {} old, at most {} allowed",
            age.rounded(),
            maximum.rounded()
        ),
        None => "no recent sample".into(),
    }
}

fn on_node(node: Option<&str>) -> String {
    node.map_or_else(String::new, |node| format!(" on node {node}"))
}

/// The facts of a snapshot that decide whether its loads can be trusted.
#[derive(Debug, Clone, Copy)]
pub(super) struct LoadFacts {
    /// Whether the ages of samples are known.
    freshness_known: bool,
    /// The unit of the loads.
    unit: LoadUnit,
}

impl LoadFacts {
    pub(super) fn of(snapshot: &Snapshot) -> Self {
        Self {
            freshness_known: snapshot.data().freshness_known,
            unit: snapshot.load_unit(),
        }
    }
}

/// A rule on one pod.
type PodRule = fn(&Pod, &Policy, LoadFacts) -> Option<Ineligible>;

/// Every rule on the state and the load of a pod, in the order in which its reason is reported.
const RULES: [PodRule; 7] = [
    owned,
    running,
    not_terminating,
    ready,
    untrusted_load,
    |pod, policy, _| too_young(pod, policy),
    |pod, policy, _| restarted(pod, policy),
];

/// The rules that forbid an eviction, reported after the others.
const EVICTION_RULES: [PodRule; 2] = [not_opted_out, evictable];

/// Why `pod` is not eligible; empty if it is. A strategy without evictions needs the load only.
pub(super) fn ineligible(pod: &Pod, policy: &Policy, facts: LoadFacts) -> Vec<Ineligible> {
    let of_evictions: &[PodRule] = if policy.strategy.evicts() {
        &EVICTION_RULES
    } else {
        &[]
    };
    RULES
        .iter()
        .chain(of_evictions)
        .filter_map(|rule| rule(pod, policy, facts))
        .collect()
}

fn owned(pod: &Pod, _: &Policy, _: LoadFacts) -> Option<Ineligible> {
    (!pod.owned).then_some(Ineligible::NotOwned)
}

fn running(pod: &Pod, _: &Policy, _: LoadFacts) -> Option<Ineligible> {
    (pod.phase != PodPhase::Running).then_some(Ineligible::NotRunning { phase: pod.phase })
}

fn not_terminating(pod: &Pod, _: &Policy, _: LoadFacts) -> Option<Ineligible> {
    pod.terminating.then(|| Ineligible::Terminating {
        deletion: pod.deletion.clone(),
    })
}

fn ready(pod: &Pod, _: &Policy, _: LoadFacts) -> Option<Ineligible> {
    (!pod.ready).then_some(Ineligible::NotReady)
}

/// Why the load of the pod cannot be trusted; `None` if it is finite, fresh, of one series, covers
/// the rate window, and is that of a counter that moves.
pub(super) fn untrusted_load(pod: &Pod, policy: &Policy, facts: LoadFacts) -> Option<Ineligible> {
    let (load, samples) = match &pod.measurement {
        Measurement::Missing(_) => return Some(Ineligible::NotMeasured),
        Measurement::Faulty(fault, _) => return Some(Ineligible::Unusable { fault: *fault }),
        Measurement::Load(load, samples) => (*load, samples),
    };
    if samples.series > 1 {
        return Some(Ineligible::MeasuredTwice {
            series: samples.series,
        });
    }
    let maximum = policy.maximum_sample_age_seconds;
    let fresh = match samples.age {
        Some(age) => age <= maximum,
        None => !facts.freshness_known,
    };
    if !fresh {
        return Some(Ineligible::Stale {
            age_seconds: samples.age,
            maximum_seconds: maximum,
        });
    }
    // A gap in the middle of the window does not matter, because the rate is taken from the first
    // to the last sample. A new pod or container cannot have older samples; it has its own reason.
    let started_recently = too_young(pod, policy).is_some() || restarted(pod, policy).is_some();
    if started_recently {
        return None;
    }
    if !samples.window_covered {
        return Some(Ineligible::WindowNotCovered);
    }
    // A load in another unit may be 0, such as the lag of a consumer.
    let may_be_zero = match facts.unit {
        LoadUnit::Cores => !pod.ready,
        LoadUnit::Custom => true,
    };
    (load == Load::ZERO && !may_be_zero).then(|| Ineligible::CounterStopped {
        node: pod.node.clone(),
    })
}

/// The reason if the pod is younger than the rate window.
pub(super) fn too_young(pod: &Pod, policy: &Policy) -> Option<Ineligible> {
    let minimum = policy.minimum_pod_age_seconds;
    pod.age_seconds
        .filter(|age| *age < minimum)
        .map(|age| Ineligible::TooYoung {
            age_seconds: age,
            minimum_seconds: minimum,
        })
}

/// The reason if the measured container is younger than the rate window. The required age of a pod
/// also applies to a container.
fn restarted(pod: &Pod, policy: &Policy) -> Option<Ineligible> {
    let minimum = policy.minimum_pod_age_seconds;
    pod.restarted_seconds
        .filter(|since| *since < minimum)
        .map(|since| Ineligible::Restarted {
            restarted_seconds: since,
            minimum_seconds: minimum,
        })
}

fn not_opted_out(pod: &Pod, _: &Policy, _: LoadFacts) -> Option<Ineligible> {
    pod.opted_out
        .clone()
        .map(|annotation| Ineligible::OptedOut { annotation })
}

fn evictable(pod: &Pod, _: &Policy, _: LoadFacts) -> Option<Ineligible> {
    match pod.evictability {
        Evictability::Evictable => None,
        Evictability::Bare => Some(Ineligible::Bare),
        Evictability::Mirror => Some(Ineligible::Mirror),
        Evictability::DaemonSet => Some(Ineligible::DaemonSet),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::SampleInfo;
    use rstest::rstest;

    const FACTS: LoadFacts = LoadFacts {
        freshness_known: false,
        unit: LoadUnit::Cores,
    };

    fn idle() -> Pod {
        Pod::new("a").with_load(Load::ZERO)
    }

    fn healthy() -> Pod {
        Pod::new("a").with_load(Load::new(1.0).unwrap())
    }

    fn with_samples(samples: SampleInfo) -> Pod {
        Pod {
            measurement: Measurement::Load(Load::new(1.0).unwrap(), samples),
            ..healthy()
        }
    }

    fn with_sample_age(age: f64) -> Pod {
        with_samples(SampleInfo {
            age: seconds(age),
            ..SampleInfo::default()
        })
    }

    fn without_coverage() -> Pod {
        with_samples(SampleInfo {
            window_covered: false,
            ..SampleInfo::default()
        })
    }

    fn seconds(value: f64) -> Option<Seconds> {
        Some(Seconds::new(value).unwrap())
    }

    #[rstest]
    #[case::healthy(healthy(), &[])]
    #[case::not_owned(Pod { owned: false, ..healthy() }, &["not_owned"])]
    #[case::pending(
        Pod { phase: PodPhase::Pending, ready: false, ..healthy() },
        &["not_running", "not_ready"]
    )]
    #[case::terminating(Pod { terminating: true, ..healthy() }, &["terminating"])]
    #[case::not_ready(Pod { ready: false, ..healthy() }, &["not_ready"])]
    #[case::missing(Pod { measurement: Measurement::default(), ..healthy() }, &["not_measured"])]
    #[case::faulty(
        Pod {
            measurement: Measurement::Faulty(SampleFault::NotFinite, SampleInfo::default()),
            ..healthy()
        },
        &["unusable"]
    )]
    #[case::fresh(with_sample_age(150.0), &[])]
    #[case::stale(with_sample_age(150.1), &["stale"])]
    #[case::duplicates(
        with_samples(SampleInfo { series: 2, ..SampleInfo::default() }),
        &["measured_twice"]
    )]
    #[case::old_enough(Pod { age_seconds: seconds(300.0), ..healthy() }, &[])]
    #[case::young(Pod { age_seconds: seconds(299.9), ..healthy() }, &["too_young"])]
    #[case::restarted_long_ago(Pod { restarted_seconds: seconds(300.0), ..healthy() }, &[])]
    #[case::restarted(Pod { restarted_seconds: seconds(299.9), ..healthy() }, &["restarted"])]
    #[case::not_covered(without_coverage(), &["window_not_covered"])]
    #[case::not_covered_and_old(
        Pod { age_seconds: seconds(300.0), ..without_coverage() },
        &["window_not_covered"]
    )]
    #[case::not_covered_because_young(
        Pod { age_seconds: seconds(299.9), ..without_coverage() },
        &["too_young"]
    )]
    #[case::not_covered_because_restarted(
        Pod { restarted_seconds: seconds(20.0), ..without_coverage() },
        &["restarted"]
    )]
    #[case::stale_and_not_covered(
        with_samples(SampleInfo {
            age: seconds(150.1),
            window_covered: false,
            ..SampleInfo::default()
        }),
        &["stale"]
    )]
    #[case::zero(idle(), &["counter_stopped"])]
    #[case::almost_zero(Pod::new("a").with_load(Load::new(1e-9).unwrap()), &[])]
    #[case::zero_and_not_ready(Pod { ready: false, ..idle() }, &["not_ready"])]
    #[case::zero_because_young(Pod { age_seconds: seconds(299.9), ..idle() }, &["too_young"])]
    #[case::zero_because_restarted(
        Pod { restarted_seconds: seconds(20.0), ..idle() },
        &["restarted"]
    )]
    #[case::opted_out(
        Pod { opted_out: Some("rebalancer.io/skip: true".into()), ..healthy() },
        &["opted_out"]
    )]
    #[case::bare(Pod { evictability: Evictability::Bare, ..healthy() }, &["bare"])]
    #[case::mirror(Pod { evictability: Evictability::Mirror, ..healthy() }, &["mirror"])]
    #[case::daemon_set(
        Pod { evictability: Evictability::DaemonSet, ..healthy() },
        &["daemon_set"]
    )]
    fn each_rule_has_its_own_reason(#[case] pod: Pod, #[case] expected: &[&str]) {
        let reasons = ineligible(&pod, &Policy::default(), FACTS);
        let words: Vec<&str> = reasons.iter().map(Ineligible::as_str).collect();
        assert_eq!(words, expected);
        // The documents contain the same word.
        for reason in &reasons {
            assert_eq!(
                serde_json::to_value(reason).unwrap()["reason"],
                reason.as_str()
            );
        }
    }

    #[test]
    fn unknown_sample_age_is_stale_if_ages_are_known() {
        let facts = LoadFacts {
            freshness_known: true,
            ..FACTS
        };
        let reasons = ineligible(&healthy(), &Policy::default(), facts);
        assert_eq!(reasons.len(), 1);
        assert_eq!(reasons[0].to_string(), "stale: no recent sample");
    }

    #[test]
    fn zero_in_another_unit_is_a_load() {
        let facts = LoadFacts {
            unit: LoadUnit::Custom,
            ..FACTS
        };
        assert_eq!(ineligible(&idle(), &Policy::default(), facts), []);
    }

    #[rstest]
    #[case(
        Pod { node: Some("n-1".into()), ..idle() },
        "load of exactly 0 for the whole window: its counter has stopped on node n-1"
    )]
    #[case(
        idle(),
        "load of exactly 0 for the whole window: its counter has stopped"
    )]
    #[case(
        Pod { restarted_seconds: seconds(42.0), ..healthy() },
        "restarted 42 s ago, at least 300 s required"
    )]
    #[case(
        without_coverage(),
        "no sample in the first half of the window: the load is made of the last few samples only"
    )]
    fn message_explains_the_reason(#[case] pod: Pod, #[case] message: &str) {
        let reasons = ineligible(&pod, &Policy::default(), FACTS);
        let messages: Vec<String> = reasons.iter().map(ToString::to_string).collect();
        assert_eq!(messages, [message]);
    }
}
