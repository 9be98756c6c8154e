//! Check: no freeze window is active.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::rule::{CheckInput, Failure, Rule, Verdict};
use crate::hold_reason::HoldReason;

/// No freeze window is active.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct NotFrozen {
    /// The active freeze window, as the operator wrote it.
    pub window: Option<String>,
}

impl HoldReason {
    /// A freeze window is active.
    pub const FROZEN: Self = Self::new(
        "frozen",
        "a freeze window of the operator is active",
        "nothing: runs act again after the window",
    )
    .that_may_last();
}

impl Rule for NotFrozen {
    const REASONS: &'static [HoldReason] = &[HoldReason::FROZEN];

    fn evaluate(input: &CheckInput<'_>) -> Option<(Verdict, Self)> {
        let window = input.snapshot.data().frozen.clone();
        Some((Verdict::pass_if(window.is_none()), Self { window }))
    }

    fn failure(&self) -> Failure {
        Failure {
            reason: HoldReason::FROZEN,
            missing_data: false,
            untrusted_loads: false,
        }
    }
}

impl fmt::Display for NotFrozen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.window {
            None => f.write_str("no freeze window is active"),
            Some(window) => write!(f, "the freeze window `{window}` is active"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::rule::testing::check_snapshot;
    use super::*;
    use crate::checks::CheckDetails;
    use crate::policy::Policy;
    use serde_json::json;

    #[test]
    fn names_the_active_window() {
        let snapshot = json!({"frozen": "* 9-17 * * 1-5 UTC", "pods": []});
        let check = check_snapshot(CheckDetails::Freeze, &snapshot, &Policy::default());
        assert_eq!(check.verdict, Verdict::Fail);
        assert_eq!(
            check.message,
            "the freeze window `* 9-17 * * 1-5 UTC` is active"
        );
    }

    #[test]
    fn passes_outside_of_windows() {
        let check = check_snapshot(
            CheckDetails::Freeze,
            &json!({"pods": []}),
            &Policy::default(),
        );
        assert_eq!(check.verdict, Verdict::Pass);
    }
}
