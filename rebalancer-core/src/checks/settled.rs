//! Check: the consumer group is settled.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::rule::{CheckInput, Failure, Rule, Verdict};
use super::terminating::{Termination, Terminations, describe};
use crate::hold_reason::HoldReason;
use crate::model::Seconds;
use crate::policy::PolicyField;
use crate::wording::{list_some, pods_are};

/// The consumer group is settled: no pod joined within the cooldown, and none is about to join or
/// to leave.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct GroupSettled {
    /// The pod that became ready last.
    pub newest: Option<String>,
    /// Seconds since that pod became ready.
    pub ready_seconds: Option<Seconds>,
    /// The cooldown, in seconds.
    pub cooldown_seconds: Seconds,
    /// Number of the workload's pods that are terminating: they are about to leave the group. Stuck
    /// pods are not among them.
    pub terminating: usize,
    /// Some of the terminating pods, each with its age and what keeps it; absent if there are none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub leaving: Option<String>,
    /// Number of the workload's pods that are younger than the cooldown and not ready: they are
    /// about to join the group. Older pods that are not ready are broken rather than starting.
    pub starting: usize,
    /// Number of the workload's pods that are stuck in Terminating: minutes beyond their grace
    /// period, not ready, not measured and without partitions. They count as gone.
    #[serde(default, skip_serializing_if = "crate::serialization::is_zero")]
    pub stuck: usize,
    /// Some of the stuck pods, each with its age and what keeps it; absent if there are none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gone: Option<String>,
}

impl HoldReason {
    /// A pod became ready within the cooldown, is starting or is terminating.
    pub const GROUP_NOT_SETTLED: Self = Self::new(
        "group_not_settled",
        "a pod became ready within the cooldown, is starting or is terminating, or partitions \
         changed their owner",
        "wait; if every run says so, the runs are closer together than the cooldown, or pods keep \
         restarting, or a terminating pod still works: the message names it, and `kubectl delete pod \
         --force` removes it",
    )
    .governed_by(&[PolicyField::CooldownSeconds]);
}

impl Rule for GroupSettled {
    const REASONS: &'static [HoldReason] = &[HoldReason::GROUP_NOT_SETTLED];

    fn evaluate(input: &CheckInput<'_>) -> Option<(Verdict, Self)> {
        let cooldown = input.policy.cooldown_seconds;
        let mut newest: Option<(Seconds, &str)> = None;
        let mut starting = 0;
        let (mut leaving, mut gone) = (Vec::new(), Vec::new());
        let terminations = Terminations::new(input.snapshot, input.policy);
        for pod in input.snapshot.pods().iter().filter(|pod| pod.owned) {
            if let Some(termination) = terminations.of(pod) {
                let described = describe(pod, &termination);
                match termination {
                    Termination::Stuck => gone.push(described),
                    Termination::Leaving | Termination::StillWorking(_) => leaving.push(described),
                }
            } else if pod.serves() {
                let joined = pod
                    .ready_seconds
                    .map(|seconds| (seconds, pod.name.as_str()));
                newest = newest.into_iter().chain(joined).min();
            } else if !pod.has_ended() && pod.age_seconds.is_some_and(|age| age < cooldown) {
                starting += 1;
            }
        }
        let joined_recently = newest.is_some_and(|(seconds, _)| seconds < cooldown);
        leaving.sort_unstable();
        gone.sort_unstable();
        let some = |pods: &[String]| (!pods.is_empty()).then(|| list_some(pods.iter().cloned()));
        Some((
            Verdict::pass_if(leaving.is_empty() && starting == 0 && !joined_recently),
            Self {
                newest: newest.map(|(_, name)| name.to_owned()),
                ready_seconds: newest.map(|(seconds, _)| seconds),
                cooldown_seconds: cooldown,
                terminating: leaving.len(),
                leaving: some(&leaving),
                starting,
                stuck: gone.len(),
                gone: some(&gone),
            },
        ))
    }

    fn failure(&self) -> Failure {
        Failure {
            reason: HoldReason::GROUP_NOT_SETTLED,
            missing_data: false,
            untrusted_loads: true,
        }
    }
}

impl fmt::Display for GroupSettled {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(pods) = &self.leaving {
            write!(f, "{} terminating: {pods}; ", pods_are(self.terminating))?;
        }
        if let Some(pods) = &self.gone {
            let are = pods_are(self.stuck);
            write!(f, "{are} stuck in Terminating and not counted: {pods}; ")?;
        }
        if self.starting > 0 {
            write!(f, "{} starting; ", pods_are(self.starting))?;
        }
        match (&self.newest, self.ready_seconds) {
            (Some(pod), Some(seconds)) => write!(
                f,
                "the newest ready pod, {pod}, became ready {} ago (cooldown {})",
                seconds.rounded(),
                self.cooldown_seconds.rounded()
            ),
            (Some(_), None) | (None, Some(_) | None) => f.write_str("no pod became ready recently"),
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
    #[case::ready_since_long_ago(json!([{"name": "a"}]), Verdict::Pass, None)]
    #[case::at_the_cooldown(json!([{"name": "a", "ready_seconds": 300}]), Verdict::Pass, Some("a"))]
    #[case::ready_recently(
        json!([{"name": "a", "ready_seconds": 900}, {"name": "b", "ready_seconds": 299.9}]),
        Verdict::Fail,
        Some("b")
    )]
    #[case::tie_names_the_first_by_name(
        json!([{"name": "b", "ready_seconds": 9}, {"name": "a", "ready_seconds": 9}]),
        Verdict::Fail,
        Some("a")
    )]
    #[case::not_owned(
        json!([{"name": "a", "ready_seconds": 1, "owned": false}]),
        Verdict::Pass,
        None
    )]
    #[case::terminating(json!([{"name": "a", "terminating": true}]), Verdict::Fail, None)]
    #[case::starting(
        json!([{"name": "a", "ready": false, "phase": "Pending", "age_seconds": 299}]),
        Verdict::Fail,
        None
    )]
    #[case::not_ready_for_long(
        json!([{"name": "a", "ready": false, "age_seconds": 300}, {"name": "b", "ready": false}]),
        Verdict::Pass,
        None
    )]
    #[case::ended(
        json!([{"name": "a", "ready": false, "phase": "Failed", "age_seconds": 5}]),
        Verdict::Pass,
        None
    )]
    #[case::not_owned_and_terminating(
        json!([{"name": "a", "terminating": true, "owned": false}]),
        Verdict::Pass,
        None
    )]
    #[case::stuck(
        json!([{"name": "a"}, {"name": "b", "terminating": true, "ready": false,
            "deletion": {"overdue_seconds": 300}}]),
        Verdict::Pass,
        None
    )]
    #[case::terminating_for_long_and_still_ready(
        json!([{"name": "a"}, {"name": "b", "terminating": true,
            "deletion": {"overdue_seconds": 300}}]),
        Verdict::Fail,
        None
    )]
    fn fails_while_pods_join_or_leave(
        #[case] pods: Value,
        #[case] verdict: Verdict,
        #[case] newest: Option<&str>,
    ) {
        let snapshot = json!({"pods": pods});
        let check = check_snapshot(CheckDetails::Settled, &snapshot, &Policy::default());
        assert_eq!(check.verdict, verdict, "{}", check.message);
        let json = serde_json::to_value(&check).unwrap();
        assert_eq!(json["newest"].as_str(), newest);
    }

    #[test]
    fn message_names_terminating_pods_with_age_and_cause() {
        let stuck = json!({"requested_seconds": 259_230, "overdue_seconds": 259_200, "node": "n1"});
        let snapshot = json!({"pods": [
            {"name": "a"},
            {"name": "b", "terminating": true, "ready": false, "deletion": stuck},
            {"name": "c", "terminating": true, "ready": false, "load": 0.1, "deletion": stuck},
            {"name": "d", "terminating": true, "deletion": {"requested_seconds": 12}},
        ]});
        let check = check_snapshot(CheckDetails::Settled, &snapshot, &Policy::default());
        assert_eq!(
            check.message,
            "2 pods are terminating: c (for 3 d, 3 d beyond its grace period: node n1 has not \
             confirmed its end; still measured), d (for 12 s); 1 pod is stuck in Terminating and not \
             counted: b (for 3 d, 3 d beyond its grace period: node n1 has not confirmed its end); no \
             pod became ready recently"
        );
    }
}
