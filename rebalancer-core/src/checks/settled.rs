//! Check: the consumer group is settled.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::format::pods_are;
use super::rule::{CheckInput, Failure, Rule, Verdict};
use crate::hold_reason::HoldReason;
use crate::model::Seconds;
use crate::policy::PolicyField;

/// The consumer group is settled: no pod joined within the cooldown, and none is about to join or to
/// leave.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct GroupSettled {
    /// The pod that became ready last.
    pub newest: Option<String>,
    /// Seconds since that pod became ready.
    pub ready_seconds: Option<Seconds>,
    /// The cooldown, in seconds.
    pub cooldown_seconds: Seconds,
    /// Number of the workload's pods that are terminating: they are about to leave the group.
    pub terminating: usize,
    /// Number of the workload's pods that are younger than the cooldown and not ready: they are
    /// about to join the group. Older pods that are not ready are broken rather than starting.
    pub starting: usize,
}

impl HoldReason {
    /// A pod became ready within the cooldown, is starting or is terminating.
    pub const GROUP_NOT_SETTLED: Self = Self::new(
        "group_not_settled",
        "a pod became ready within the cooldown, is starting or is terminating, or partitions \
         changed their owner",
        "wait; if every run says so, the runs are closer together than the cooldown, or pods keep \
         restarting",
    )
    .governed_by(&[PolicyField::CooldownSeconds]);
}

impl Rule for GroupSettled {
    const REASONS: &'static [HoldReason] = &[HoldReason::GROUP_NOT_SETTLED];

    fn evaluate(input: &CheckInput<'_>) -> Option<(Verdict, Self)> {
        let cooldown = input.policy.cooldown_seconds;
        let mut newest: Option<(Seconds, &str)> = None;
        let (mut terminating, mut starting) = (0, 0);
        for pod in input.snapshot.pods().iter().filter(|pod| pod.owned) {
            if pod.terminating {
                terminating += 1;
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
        Some((
            Verdict::pass_if(terminating == 0 && starting == 0 && !joined_recently),
            Self {
                newest: newest.map(|(_, name)| name.to_owned()),
                ready_seconds: newest.map(|(seconds, _)| seconds),
                cooldown_seconds: cooldown,
                terminating,
                starting,
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
        if self.terminating > 0 {
            write!(f, "{} terminating; ", pods_are(self.terminating))?;
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
}
