//! The decision: rotate, assign, rejoin or hold, always with the analysis and every check.

mod analysis;
mod assessment;
mod conclude;
mod document;
mod reasons;
mod rotation;

pub use crate::hold_reason::HoldReason;
pub use analysis::Analysis;
pub use assessment::PodAssessment;

use serde::{Deserialize, Serialize};

use crate::checks::{self, Check, CheckInput, HotPods, Ranking, limited_by_day};
use crate::group::{GroupModel, GroupProblem};
use crate::model::WorkloadRef;
use crate::plan::{AssignmentPlan, Plan, RejoinPlan};
use crate::policy::Policy;
use crate::proposal::PlanApproval;
use crate::snapshot::{Snapshot, resolve};
use crate::strategy::forecast::GroupReport;
use crate::strategy::{Choice, StrategyInput, choose};
use assessment::assess;
use conclude::Conclusion;
use document::DecisionDocument;

/// The decision about a snapshot, with its reasons.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(try_from = "DecisionDocument", into = "DecisionDocument")]
pub struct Decision {
    /// The workload.
    pub workload: WorkloadRef,
    /// The action.
    pub action: Action,
    /// The whole decision in one sentence, with its numbers.
    pub message: String,
    /// The loads, the target and the improvement.
    pub analysis: Analysis,
    /// Every check on the snapshot, passed or not.
    pub checks: Vec<Check>,
    /// The report on the consumer group, if the group is known and the strategy uses it.
    pub group: Option<Box<GroupReport>>,
    /// Why another strategy decided than the preferred one, with the strategy `auto`.
    pub fallback: Option<String>,
    /// The plan that waits for the approval of a person, or that was approved; `None` if plans need
    /// no approval, or the decision is to hold for another reason.
    pub approval: Option<Box<PlanApproval>>,
    /// Every pod: most loaded first, then the pods without a load by name.
    pub pods: Vec<PodAssessment>,
}

/// The action of a decision.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Action {
    /// Evict the pods of this plan.
    Rotate(Plan),
    /// Hand out the assignment of this plan. No pod is evicted.
    Assign(AssignmentPlan),
    /// Let the members of the pods of this plan rejoin the group. No pod is evicted.
    Rejoin(RejoinPlan),
    /// Do nothing.
    Hold(HoldReason),
}

impl Action {
    /// The word in documents, such as `rotate`; `None` for a hold.
    #[must_use]
    pub fn verb(&self) -> Option<&'static str> {
        match self {
            Self::Rotate(_) => Some("rotate"),
            Self::Assign(_) => Some("assign"),
            Self::Rejoin(_) => Some("rejoin"),
            Self::Hold(_) => None,
        }
    }
}

/// Decides what to do about one workload.
///
/// Pure: the same snapshot and policy give the same decision, and the order of the pods does not
/// matter. The strategy is applied even if a check fails, so that the decision shows what it would
/// have done. The action is then to hold, with the reason of the first check that failed.
#[must_use]
pub fn decide(snapshot: &Snapshot, policy: &Policy) -> Decision {
    let ranking = Ranking::new(snapshot, policy);
    let candidates = ranking.eligible().iter().map(|candidate| candidate.pod);
    let target = resolve(snapshot, candidates);
    let group = group(snapshot, policy);
    let hot = HotPods::new(snapshot, &ranking, policy, target.as_ref().ok());
    let limited = limited_by_day(snapshot, policy);
    let choice = choose(&StrategyInput {
        snapshot,
        policy: &limited,
        ranking: &ranking,
        target: target.as_ref().ok().map(|target| target.cores),
        group: group.as_ref(),
        too_briefly_hot: hot.as_ref().map_or_else(Vec::new, HotPods::too_briefly),
    });
    let plan = plan(&choice, &ranking, policy);
    let analysis = Analysis::new(&ranking, policy, target.as_ref().ok(), &choice);
    let checks = checks::evaluate(&CheckInput {
        snapshot,
        policy,
        ranking: &ranking,
        target: &target,
        group: group.as_ref(),
        hot: hot.as_ref(),
        imbalance: analysis.imbalance,
        plan: plan.as_ref(),
        redistributes: choice.assignment().is_some() || choice.rejoin().is_some(),
        assign_problem: choice.assign_problem(),
    });
    let conclusion = Conclusion {
        checks: &checks,
        choice: &choice,
        plan: plan.as_ref(),
        ranking: &ranking,
        analysis: &analysis,
        policy,
        unit: snapshot.load_unit(),
        snapshot,
        group: group.as_ref().and_then(|group| group.as_ref().ok()),
    };
    let (action, message) = conclusion.draw();
    let roles = choice.roles(snapshot.pods().len());
    Decision {
        workload: snapshot.workload().clone(),
        action,
        message,
        analysis,
        checks,
        group: choice.report,
        fallback: choice.fallback,
        approval: None,
        pods: assess(ranking, &roles),
    }
}

/// The model of the consumer group, if the strategy uses it.
fn group(snapshot: &Snapshot, policy: &Policy) -> Option<Result<GroupModel, GroupProblem>> {
    let uses_group = policy.strategy.uses_group();
    uses_group.then(|| snapshot.group_model())
}

/// The plan of evictions, if the strategy wants to rotate.
fn plan(choice: &Choice<'_>, ranking: &Ranking<'_>, policy: &Policy) -> Option<Plan> {
    if !choice.rotates() {
        return None;
    }
    let wave_size = policy.max_unavailable.wave_size(ranking.ready());
    Plan::new(choice.victims(), wave_size)
}

impl Decision {
    /// The plan of evictions, if the decision is to rotate.
    #[must_use]
    pub fn plan(&self) -> Option<&Plan> {
        match &self.action {
            Action::Rotate(plan) => Some(plan),
            Action::Assign(_) | Action::Rejoin(_) | Action::Hold(_) => None,
        }
    }

    /// The partitions to hand to other members, if the decision is to assign.
    #[must_use]
    pub fn assignment(&self) -> Option<&AssignmentPlan> {
        match &self.action {
            Action::Assign(plan) => Some(plan),
            Action::Rotate(_) | Action::Rejoin(_) | Action::Hold(_) => None,
        }
    }

    /// The pods whose members rejoin, if the decision is to let members rejoin.
    #[must_use]
    pub fn rejoin(&self) -> Option<&RejoinPlan> {
        match &self.action {
            Action::Rejoin(plan) => Some(plan),
            Action::Rotate(_) | Action::Assign(_) | Action::Hold(_) => None,
        }
    }

    /// The word for the action in documents, such as `rotate`; `None` if the decision is to hold.
    #[must_use]
    pub fn verb(&self) -> Option<&'static str> {
        self.action.verb()
    }

    /// The hold reason, if the decision is to hold.
    #[must_use]
    pub fn hold_reason(&self) -> Option<HoldReason> {
        match self.action {
            Action::Rotate(_) | Action::Assign(_) | Action::Rejoin(_) => None,
            Action::Hold(reason) => Some(reason),
        }
    }

    /// The failed checks that make the run fail because data is missing, although another check is
    /// the hold reason.
    pub fn other_missing_data(&self) -> impl Iterator<Item = &Check> {
        let is_hold = self.hold_reason().is_some();
        self.checks.iter().filter(move |check| {
            is_hold && check.means_missing_data() && check.message != self.message
        })
    }

    /// Whether data is missing or untrusted: either the hold reason says so, or any failed check
    /// does. So missing metrics are noticed even while an earlier check fails in every run.
    #[must_use]
    pub fn means_missing_data(&self) -> bool {
        let reason = self.hold_reason();
        reason.is_some_and(HoldReason::means_missing_data)
            || self.checks.iter().any(Check::means_missing_data)
    }
}
