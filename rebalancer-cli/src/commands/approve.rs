//! `approve`: a person approves the plan that waits on a workload.

use rebalancer_core::ports::{PortError, PortErrorKind};
use rebalancer_k8s::{APPROVE, KubernetesSteering, SteeredObject};
use tracing::warn;

use crate::settings::SettingsError;
use crate::steering::{Failure, SteeredWorkload, Target};

/// The workloads whose plan is to be approved: those with the plan of this id, or all of them if
/// none has it, so that each one says so. Without an id, there must be only one workload: nothing
/// is approved that was not looked at.
pub(super) fn choose<'a>(
    targets: Vec<Target<'a>>,
    id: Option<&str>,
) -> Result<Vec<Target<'a>>, SettingsError> {
    let Some(id) = id else {
        return if targets.len() > 1 {
            Err(ambiguous(&targets))
        } else {
            Ok(targets)
        };
    };
    let (named, others): (Vec<_>, Vec<_>) =
        targets.into_iter().partition(|target| target.has_plan(id));
    if named.is_empty() {
        return Ok(others);
    }
    for failure in others
        .iter()
        .filter_map(|other| other.object.as_ref().err())
    {
        warn!("{failure}");
    }
    Ok(named)
}

fn ambiguous(targets: &[Target<'_>]) -> SettingsError {
    let waiting = targets.iter().filter_map(|target| {
        let (workload, plan) = (&target.workload.kubernetes.workload, target.waiting_plan()?);
        let command = plan.approval_command(workload);
        Some(format!("`{command}` ({})", plan.message))
    });
    let waiting: Vec<String> = waiting.collect();
    let plans = if waiting.is_empty() {
        "no plan waits".to_owned()
    } else {
        format!("the plans that wait: {}", waiting.join(", "))
    };
    SettingsError::Invalid {
        name: "approve".to_owned(),
        problem: format!(
            "there are {} workloads: give the id of one plan with --id; {plans}",
            targets.len()
        ),
    }
}

/// Approves the plan that waits, by its id: if a run replaces the plan meanwhile, the other plan is
/// not approved.
pub(super) async fn approve_plan(
    steering: &KubernetesSteering,
    object: &SteeredObject,
    id: Option<&str>,
    dry_run: bool,
    result: SteeredWorkload,
) -> Result<SteeredWorkload, Failure> {
    let proposal = object.proposal.as_ref();
    let stored = proposal.and_then(|proposal| proposal.plan.clone());
    let problem = match &stored {
        None => "no plan waits for approval; a run with APPROVAL=manual proposes one".to_owned(),
        Some(plan) if id.is_some_and(|id| id != plan.id) => format!(
            "plan {} does not wait for approval; it is plan {} that does: {}",
            id.unwrap_or_default(),
            plan.id,
            plan.message
        ),
        Some(plan) if object.at >= plan.expires => format!(
            "plan {} expired at {:.0}; the next run proposes another one",
            plan.id, plan.expires
        ),
        Some(_) => String::new(),
    };
    let Some(plan) = stored.filter(|_| problem.is_empty()) else {
        let message = format!("{}: {problem}", result.workload);
        let error = PortError::new(PortErrorKind::Rejected, message);
        return Err(Failure::Port(error));
    };
    let is_approved = proposal.is_some_and(|proposal| proposal.approves(&plan));
    if !is_approved {
        let annotation = (APPROVE, Some(plan.id.as_str()));
        steering.annotate(object, &[annotation], dry_run).await?;
    }
    Ok(SteeredWorkload {
        changed: Some(!is_approved),
        plan: Some(Box::new(plan)),
        approved: Some(is_approved || !dry_run),
        pause: object.pause.at(object.at),
        ..result
    })
}
