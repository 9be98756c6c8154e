//! The hold reasons that no check gives, and the list of all hold reasons.

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::checks;
use crate::forecast::Diagnosis;
use crate::hold_reason::HoldReason;
use crate::policy::PolicyField;

/// Defines the hold reasons of strategies and of approval, and [`STRATEGY_REASONS`].
macro_rules! strategy_reasons {
    ($($(#[doc = $doc:literal])* $NAME:ident = $reason:expr;)*) => {
        impl HoldReason {
            $($(#[doc = $doc])* pub const $NAME: Self = $reason;)*
        }

        /// The hold reasons that strategies give, and those of plans that need approval.
        const STRATEGY_REASONS: &[HoldReason] = &[$(HoldReason::$NAME),*];
    };
}

strategy_reasons! {
    /// No eligible pod is above the threshold.
    WITHIN_TOLERANCE = HoldReason::new(
        "within_tolerance",
        "no eligible pod is above the threshold",
        "nothing; a lower tolerance makes runs act earlier",
    )
    .that_may_last()
    .governed_by(&[PolicyField::Tolerance]);
    /// The loads of the hottest and of the coldest pods are too similar.
    IMPROVEMENT_TOO_SMALL = HoldReason::new(
        "improvement_too_small",
        "the loads of the hottest and of the coldest pods are too similar",
        "nothing; if all pods are hot, add capacity",
    )
    .that_may_last()
    .governed_by(&[PolicyField::MinimumImprovementPercent]);
    /// The rates of the partitions do not explain the loads.
    LOADS_UNEXPLAINED = HoldReason::new(
        "loads_unexplained",
        "the rates of the partitions do not explain the loads",
        "check that the rates are those of the topics that the pods consume",
    )
    .missing_data();
    /// The assignor deals out the same loads again, whichever pods are evicted.
    POSITIONAL_ASSIGNOR = HoldReason::new(
        "positional_assignor",
        "the assignor deals out the same loads again, whichever pods are evicted",
        "use a sticky assignor",
    );
    /// Static members get the same partitions back.
    STATIC_MEMBERSHIP = HoldReason::new(
        "static_membership",
        "static members get the same partitions back after a restart",
        "use the strategy `assign`, which also moves partitions of static members, or do without \
         `group.instance.id`",
    );
    /// There are fewer partitions than pods.
    TOO_FEW_PARTITIONS = HoldReason::new(
        "too_few_partitions",
        "there are fewer partitions than pods",
        "add partitions, or run fewer pods",
    );
    /// A single partition makes its owner hot.
    HOT_PARTITION = HoldReason::new(
        "hot_partition",
        "a single partition makes its owner hot, whichever pod that is",
        "spread the keys over more partitions",
    )
    .that_may_last();
    /// No plan helps, and the pods cannot own equal numbers of partitions.
    REMAINDER = HoldReason::new(
        "remainder",
        "no plan helps, because the number of partitions is not divisible by the number of pods",
        "choose a number of pods that divides the number of partitions",
    )
    .that_may_last();
    /// No plan helps, and one topic with most of the load is spread unevenly.
    SKEWED_TOPIC = HoldReason::new(
        "skewed_topic",
        "no plan helps, because one topic with most of the load is spread unevenly",
        "consume the topic in a group of its own, or use an assignor that spreads each topic evenly",
    )
    .that_may_last();
    /// A pod is slow for reasons other than its partitions, and may not be evicted.
    SLOW_POD = HoldReason::new(
        "slow_pod",
        "a pod is slow for reasons other than its partitions, and may not be evicted",
        "see why the pod is not eligible; find out what differs, for example its node",
    )
    .that_may_last();
    /// All pods together have too much load.
    CAPACITY = HoldReason::new(
        "capacity",
        "all pods together have too much load",
        "add pods",
    )
    .that_may_last();
    /// No plan is expected to lower the highest load enough with enough confidence.
    NO_PLAN_HELPS = HoldReason::new(
        "no_plan_helps",
        "no plan is expected to lower the highest load enough, with enough confidence",
        "nothing; the message has the best plan and its forecast",
    )
    .that_may_last()
    .governed_by(&[
        PolicyField::MinimumImprovementPercent,
        PolicyField::MinimumConfidencePercent,
    ]);
    /// No assignment lowers the highest load enough.
    NO_ASSIGNMENT_HELPS = HoldReason::new(
        "no_assignment_helps",
        "no assignment that the group would keep is expected to lower the highest load enough",
        "nothing; the message has the best assignment and the lower bound",
    )
    .that_may_last()
    .governed_by(&[PolicyField::MinimumImprovementPercent]);
    /// The plan waits for the approval of a person.
    APPROVAL_PENDING = HoldReason::new(
        "approval_pending",
        "the plan waits for the approval of a person",
        "read the plan, and approve it with `rebalancer approve`; or let it expire",
    )
    .that_may_last();
    /// The approved plan cannot be executed any more.
    APPROVAL_INVALID = HoldReason::new(
        "approval_invalid",
        "the approved plan cannot be executed any more, and another one waits for approval",
        "read the new plan, and approve it; the message has the cause",
    )
    .that_may_last();
    /// The approved plan is not executed by this run.
    APPROVAL_DEFERRED = HoldReason::new(
        "approval_deferred",
        "the approved plan is not executed by this run, and stays approved",
        "nothing: a later run executes it, unless it expires before that; the message has the cause",
    )
    .that_may_last();
    /// A plan could not be stored for approval, or its approval could not be removed before the
    /// first action.
    APPROVAL_UNAVAILABLE = HoldReason::new(
        "approval_unavailable",
        "a plan could not be stored for approval, or its approval could not be removed before the first \
         action",
        "see the message: the account needs the right `patch` on the workload",
    )
    .that_fails();
}

impl HoldReason {
    /// Every hold reason: those of the checks, in the order of the checks, then those of the
    /// strategies and of approval.
    pub fn all() -> impl Iterator<Item = Self> {
        let of_checks = checks::HOLD_REASONS.iter().copied().flatten();
        of_checks.chain(STRATEGY_REASONS).copied()
    }

    /// The hold reason of a diagnosis.
    pub(super) fn of_diagnosis(diagnosis: &Diagnosis) -> Self {
        match diagnosis {
            Diagnosis::Capacity { .. } => Self::CAPACITY,
            Diagnosis::PositionalAssignor { .. } => Self::POSITIONAL_ASSIGNOR,
            Diagnosis::StaticMembership { .. } => Self::STATIC_MEMBERSHIP,
            Diagnosis::TooFewPartitions { .. } => Self::TOO_FEW_PARTITIONS,
            Diagnosis::HotPartition { .. } => Self::HOT_PARTITION,
            Diagnosis::Remainder { .. } => Self::REMAINDER,
            Diagnosis::SkewedTopic { .. } => Self::SKEWED_TOPIC,
            Diagnosis::SlowPod { .. } => Self::SLOW_POD,
        }
    }
}

impl Serialize for HoldReason {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl<'de> Deserialize<'de> for HoldReason {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let word = String::deserialize(deserializer)?;
        Self::all()
            .find(|reason| reason.as_str() == word)
            .ok_or_else(|| de::Error::custom(format_args!("`{word}` is not a hold reason")))
    }
}

#[cfg(feature = "schema")]
impl schemars::JsonSchema for HoldReason {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "HoldReason".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        let reasons: Vec<schemars::Schema> = Self::all()
            .map(|reason| {
                schemars::json_schema!({
                    "type": "string",
                    "const": reason.as_str(),
                    "description": reason.meaning(),
                })
            })
            .collect();
        schemars::json_schema!({
            "description": "Why a run does not act. The word of a reason never changes its meaning.",
            "oneOf": reasons,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn words_are_unique() {
        let words: HashSet<&str> = HoldReason::all().map(HoldReason::as_str).collect();
        assert_eq!(words.len(), HoldReason::all().count());
        assert_eq!(words.len(), 62);
    }

    #[test]
    fn words_survive_a_round_trip() {
        for reason in HoldReason::all() {
            let json = serde_json::to_string(&reason).unwrap();
            assert_eq!(serde_json::from_str::<HoldReason>(&json).unwrap(), reason);
        }
    }

    #[test]
    fn unknown_word_is_refused() {
        let error = serde_json::from_str::<HoldReason>("\"bored\"").unwrap_err();
        assert!(
            error.to_string().contains("`bored` is not a hold reason"),
            "{error}"
        );
    }
}
