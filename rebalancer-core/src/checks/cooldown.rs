//! Check: the last rotation is longer ago than the cooldown.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::rule::{CheckInput, Failure, Rule, Verdict};
use crate::hold_reason::HoldReason;
use crate::model::Seconds;
use crate::policy::PolicyField;

/// The last rotation is longer ago than the cooldown.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct CooldownOver {
    /// Seconds since the last rotation; `None` if no rotation is recorded.
    pub since_seconds: Option<Seconds>,
    /// The cooldown, in seconds.
    pub cooldown_seconds: Seconds,
}

impl HoldReason {
    /// The last rotation is less than the cooldown ago.
    pub const COOLDOWN: Self = Self::new(
        "cooldown",
        "the last rotation is less than the cooldown ago",
        "wait, or let this run ignore the recorded rotation",
    )
    .that_may_last()
    .governed_by(&[PolicyField::CooldownSeconds, PolicyField::IgnoreHistory]);
}

impl Rule for CooldownOver {
    const REASONS: &'static [HoldReason] = &[HoldReason::COOLDOWN];

    fn evaluate(input: &CheckInput<'_>) -> Option<(Verdict, Self)> {
        let cooldown_seconds = input.policy.cooldown_seconds;
        let since_seconds = input.snapshot.since_last_rotation();
        let verdict = match since_seconds {
            Some(since) if !input.policy.ignore_history => {
                Verdict::pass_if(since >= cooldown_seconds)
            }
            Some(_) | None => Verdict::Skipped,
        };
        Some((
            verdict,
            Self {
                since_seconds,
                cooldown_seconds,
            },
        ))
    }

    fn failure(&self) -> Failure {
        Failure {
            reason: HoldReason::COOLDOWN,
            missing_data: false,
            untrusted_loads: false,
        }
    }
}

impl fmt::Display for CooldownOver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.since_seconds {
            None => f.write_str("no previous rotation is recorded"),
            Some(since) => write!(
                f,
                "the last rotation was {} ago (cooldown {})",
                since.rounded(),
                self.cooldown_seconds.rounded()
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::last_rotation::testing::rotated;
    use super::super::rule::testing::check_snapshot;
    use super::*;
    use crate::checks::CheckDetails;
    use crate::policy::Policy;
    use rstest::rstest;
    use serde_json::{Value, json};

    #[rstest]
    #[case::too_recent(rotated(299, 0), false, Verdict::Fail)]
    #[case::at_the_cooldown(rotated(300, 0), false, Verdict::Pass)]
    #[case::in_the_future(rotated(-60, 0), false, Verdict::Fail)]
    #[case::history_ignored(rotated(1, 0), true, Verdict::Skipped)]
    #[case::no_rotation(json!({"pods": []}), false, Verdict::Skipped)]
    fn fails_within_the_cooldown(
        #[case] snapshot: Value,
        #[case] ignore_history: bool,
        #[case] verdict: Verdict,
    ) {
        let policy = Policy {
            ignore_history,
            ..Policy::default()
        };
        let check = check_snapshot(CheckDetails::Cooldown, &snapshot, &policy);
        assert_eq!(check.verdict, verdict);
    }
}
