//! The form of a decision in documents.

use serde::{Deserialize, Serialize};

use super::{Action, Analysis, Decision, HoldReason, PodAssessment};
use crate::checks::Check;
use crate::model::WorkloadRef;
use crate::plan::{
    AssignmentPlan, InvalidPlan, Plan, PlannedMove, PlannedRejoin, RejoinPlan, Victim,
};
use crate::proposal::PlanApproval;
use crate::strategy::forecast::GroupReport;

/// The form of a decision in documents.
#[derive(Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub(super) struct DecisionDocument {
    workload: WorkloadRef,
    decision: ActionDocument,
    analysis: Analysis,
    victims: Vec<Victim>,
    /// The partitions that get other owners, if the action is to assign.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    moves: Vec<PlannedMove>,
    /// The pods whose members rejoin the group, if the action is to rejoin. No pod restarts.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    rejoins: Vec<PlannedRejoin>,
    checks: Vec<Check>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    group: Option<Box<GroupReport>>,
    /// Why another strategy decided than the preferred one, with the strategy `auto`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    fallback: Option<String>,
    /// The plan that waits for the approval of a person, or that was approved; absent if plans need
    /// no approval, or the decision is to hold for another reason.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    approval: Option<Box<PlanApproval>>,
    pods: Vec<PodAssessment>,
}

/// Why pods are evicted, partitions move, or members rejoin.
#[derive(Clone, Copy, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
enum RotateReason {
    /// Pods are above the threshold, and the improvement exceeds the minimum.
    AboveThreshold,
    /// The highest load is forecast to fall enough, with enough confidence.
    PeakFalls,
}

/// The form of an action in documents.
#[derive(Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(tag = "action", rename_all = "snake_case")]
enum ActionDocument {
    Rotate {
        reason: RotateReason,
        message: String,
    },
    Assign {
        reason: RotateReason,
        message: String,
    },
    Rejoin {
        reason: RotateReason,
        message: String,
    },
    Hold {
        reason: HoldReason,
        message: String,
    },
}

impl From<Decision> for DecisionDocument {
    fn from(decision: Decision) -> Self {
        let message = decision.message;
        let forecast = decision
            .group
            .as_ref()
            .and_then(|group| group.chosen.as_ref());
        let reason = match forecast {
            Some(_) => RotateReason::PeakFalls,
            None => RotateReason::AboveThreshold,
        };
        let (mut victims, mut moves, mut rejoins) = (Vec::new(), Vec::new(), Vec::new());
        let action = match decision.action {
            Action::Rotate(plan) => {
                victims = plan.into();
                ActionDocument::Rotate { reason, message }
            }
            Action::Assign(plan) => {
                moves = plan.into();
                ActionDocument::Assign {
                    reason: RotateReason::PeakFalls,
                    message,
                }
            }
            Action::Rejoin(plan) => {
                rejoins = plan.into();
                ActionDocument::Rejoin {
                    reason: RotateReason::PeakFalls,
                    message,
                }
            }
            Action::Hold(reason) => ActionDocument::Hold { reason, message },
        };
        Self {
            workload: decision.workload,
            decision: action,
            analysis: decision.analysis,
            victims,
            moves,
            rejoins,
            checks: decision.checks,
            group: decision.group,
            fallback: decision.fallback,
            approval: decision.approval,
            pods: decision.pods,
        }
    }
}

impl TryFrom<DecisionDocument> for Decision {
    type Error = InvalidPlan;
    fn try_from(document: DecisionDocument) -> Result<Self, Self::Error> {
        let (action, message) = match document.decision {
            ActionDocument::Rotate { message, .. } => {
                let plan = Plan::try_from(document.victims)?;
                (Action::Rotate(plan), message)
            }
            ActionDocument::Assign { message, .. } => {
                let plan = AssignmentPlan::try_from(document.moves)?;
                (Action::Assign(plan), message)
            }
            ActionDocument::Rejoin { message, .. } => {
                let plan = RejoinPlan::try_from(document.rejoins)?;
                (Action::Rejoin(plan), message)
            }
            ActionDocument::Hold { reason, message } => (Action::Hold(reason), message),
        };
        Ok(Self {
            workload: document.workload,
            action,
            message,
            analysis: document.analysis,
            checks: document.checks,
            group: document.group,
            fallback: document.fallback,
            approval: document.approval,
            pods: document.pods,
        })
    }
}
