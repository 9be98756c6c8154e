//! Check: enough of the ready pods have a load that can be trusted.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::pod::{Ineligible, LoadFacts, untrusted_load};
use super::rule::{CheckInput, Failure, Rule, Verdict};
use crate::hold_reason::HoldReason;
use crate::model::Pod;
use crate::policy::PolicyField;
use crate::wording::list_some;

/// Enough of the ready pods have a load that can be trusted.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Coverage {
    /// Number of ready pods.
    pub ready: usize,
    /// Number of ready pods with a trusted load.
    pub measured: usize,
    /// Share of the ready pods with a trusted load, in percent; `None` if no pod is ready.
    pub percent: Option<f64>,
    /// The required share, in percent.
    pub minimum_percent: f64,
    /// Some of the ready pods without a trusted load, each with the reason; `None` if all have one.
    pub without: Option<String>,
    /// Advice of the metrics source if it found no loads: how the metrics may name the pods.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub advice: Option<String>,
}

impl HoldReason {
    /// The workload has no ready pod.
    pub const NO_READY_PODS: Self = Self::new(
        "no_ready_pods",
        "the workload has no ready pod",
        "find out why the pods are not ready",
    );

    /// Too few of the ready pods have a trusted load.
    pub const INSUFFICIENT_COVERAGE: Self = Self::new(
        "insufficient_coverage",
        "too few of the ready pods have a load that can be trusted",
        "the message lists pods with the reason; `not measured`: check the names of the container \
         and of the namespace in the metrics; `stale`: scrape more often, or use a longer window; `its \
         counter has stopped`: check the kubelet of the node",
    )
    .missing_data()
    .governed_by(&[
        PolicyField::MinimumCoveragePercent,
        PolicyField::MaximumSampleAgeSeconds,
    ]);
}

impl Rule for Coverage {
    const REASONS: &'static [HoldReason] =
        &[HoldReason::NO_READY_PODS, HoldReason::INSUFFICIENT_COVERAGE];

    fn evaluate(input: &CheckInput<'_>) -> Option<(Verdict, Self)> {
        let facts = LoadFacts::of(input.snapshot);
        let mut ready = 0;
        let mut without: Vec<(&Pod, Ineligible)> = Vec::new();
        for pod in input.snapshot.pods().iter().filter(|pod| pod.serves()) {
            ready += 1;
            if let Some(why) = untrusted_load(pod, input.policy, facts) {
                without.push((pod, why));
            }
        }
        let measured = ready - without.len();
        without.sort_unstable_by_key(|(pod, _)| pod.name.as_str());
        let minimum = input.policy.minimum_coverage_percent.get();
        #[expect(clippy::cast_precision_loss, reason = "counts of pods")]
        let percent = (ready > 0).then(|| measured as f64 * 100.0 / ready as f64);
        let without = (!without.is_empty()).then(|| {
            list_some(
                without
                    .iter()
                    .map(|(pod, why)| format!("{} ({why})", pod.name)),
            )
        });
        Some((
            Verdict::pass_if(percent.is_some_and(|percent| percent >= minimum)),
            Self {
                ready,
                measured,
                percent,
                minimum_percent: minimum,
                without,
                advice: input.snapshot.data().metrics_advice.clone(),
            },
        ))
    }

    fn failure(&self) -> Failure {
        Failure {
            reason: match self.percent {
                None => HoldReason::NO_READY_PODS,
                Some(_) => HoldReason::INSUFFICIENT_COVERAGE,
            },
            // New pods have no load yet, which changes with time.
            missing_data: false,
            untrusted_loads: true,
        }
    }
}

impl fmt::Display for Coverage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(percent) = self.percent else {
            return f.write_str("the workload has no ready pod");
        };
        let Self {
            ready,
            measured,
            minimum_percent,
            ..
        } = self;
        write!(
            f,
            "{measured} of {ready} ready pods have a load ({percent:.0} %, at least \
             {minimum_percent} % required)"
        )?;
        if let Some(pods) = &self.without {
            write!(f, "; without a load: {pods}")?;
        }
        match &self.advice {
            Some(advice) => write!(f, "; {advice}"),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::rule::testing::check_snapshot;
    use super::*;
    use crate::checks::CheckDetails;
    use crate::policy::Policy;
    use rstest::rstest;
    use serde_json::{Value, json};

    #[rstest]
    #[case::all(10, 0, Verdict::Pass, Some(100.0))]
    #[case::at_the_minimum(10, 1, Verdict::Pass, Some(90.0))]
    #[case::below(10, 2, Verdict::Fail, Some(80.0))]
    #[case::no_ready_pod(0, 0, Verdict::Fail, None)]
    fn counts_the_ready_pods_only(
        #[case] ready: usize,
        #[case] without: usize,
        #[case] verdict: Verdict,
        #[case] percent: Option<f64>,
    ) {
        let mut pods: Vec<Value> = (0..ready)
            .map(|index| match index < without {
                true => json!({"name": format!("pod-{index}")}),
                false => json!({"name": format!("pod-{index}"), "load": 1.0}),
            })
            .collect();
        pods.push(json!({"name": "unready", "ready": false}));
        pods.push(json!({"name": "unknown", "owned": false, "load": 1.0}));
        let snapshot = json!({"pods": pods});
        let check = check_snapshot(CheckDetails::Coverage, &snapshot, &Policy::default());
        assert_eq!(check.verdict, verdict);
        let json = serde_json::to_value(&check).unwrap();
        assert_eq!(json["percent"].as_f64(), percent);
        assert_eq!(json["ready"], ready);
    }

    #[test]
    fn advice_of_the_metrics_source_is_part_of_the_message() {
        let snapshot = json!({"metrics_advice": "set X=y", "pods": [{"name": "a"}]});
        let check = check_snapshot(CheckDetails::Coverage, &snapshot, &Policy::default());
        assert!(
            check
                .message
                .ends_with("without a load: a (not measured); set X=y"),
            "{}",
            check.message
        );
    }

    #[test]
    fn stopped_counters_are_not_loads() {
        let pods: Vec<Value> = (0..8)
            .map(|index| json!({"name": format!("pod-{index}"), "load": 0.5, "node": "n"}))
            .collect();
        let mut snapshot = json!({"pods": pods});
        snapshot["pods"][3]["load"] = json!(0.0);
        let check = check_snapshot(CheckDetails::Coverage, &snapshot, &Policy::default());
        assert_eq!(check.verdict, Verdict::Fail);
        assert!(
            check.message.ends_with(
                "pod-3 (load of exactly 0 for the whole window: its counter has stopped on node n)"
            ),
            "{}",
            check.message
        );
        snapshot["custom_load"] = json!(true);
        let check = check_snapshot(CheckDetails::Coverage, &snapshot, &Policy::default());
        assert_eq!(check.verdict, Verdict::Pass);
    }

    #[test]
    fn message_lists_five_pods_without_a_load() {
        let pods: Vec<Value> = (0..7)
            .rev()
            .map(|index| json!({"name": format!("pod-{index}")}))
            .collect();
        let snapshot = json!({"pods": pods});
        let check = check_snapshot(CheckDetails::Coverage, &snapshot, &Policy::default());
        assert_eq!(
            check.message,
            "0 of 7 ready pods have a load (0 %, at least 90 % required); without a load: pod-0 \
             (not measured), pod-1 (not measured), pod-2 (not measured), pod-3 (not measured), \
             pod-4 (not measured), and 2 more"
        );
    }
}
