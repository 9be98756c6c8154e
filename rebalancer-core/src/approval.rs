//! Approval: a plan waits until a person approves exactly that plan.
//!
//! 1. A run that decides to act proposes its plan and holds ([`HoldReason::APPROVAL_PENDING`]).
//! 2. Later runs that decide to act keep the proposed plan as long as it is *valid*, even if they
//!    would choose other pods or partitions by now: loads change from run to run, and a plan must
//!    not change while a person reads it. A plan that is no longer valid is replaced by that of the
//!    run, and an approval of it does not apply to the new one.
//! 3. A run that decides to act executes the plan if it is valid and approved; its own choice does
//!    not matter. If it is approved and not valid, the run holds ([`HoldReason::APPROVAL_INVALID`])
//!    and proposes its own plan.
//! 4. A valid plan may be *deferred*: this run must not execute it, and a later one may. The plan
//!    and its approval stay as they are ([`HoldReason::APPROVAL_DEFERRED`] if it is approved).
//! 5. A run that decides to hold, for whatever reason, changes nothing: the plan goes on waiting.
//!
//! A proposed plan is valid if
//! - it has not expired, and its id is that of its contents;
//! - the run would act in the same way: evict, assign or rejoin;
//! - its pods exist with the same UIDs, and the pods to evict may be evicted;
//! - its evictions are within the limit of a day, and its waves within the size of a wave and the
//!   minimum of ready pods;
//! - its partitions have the owners that they had, and its members may rejoin;
//! - it still helps: if it evicts pods that were hot, or lets their members rejoin, at least one of
//!   them is still hot; if it moves partitions, the highest load of the pods that it changes falls.
//!
//! It is deferred if
//! - this run may not evict as many pods any more, because it has evicted pods of other workloads;
//! - a pod to evict is not ready for the moment.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use crate::checks::{Ineligible, evictions_left_of_day};
use crate::decision::{Action, Decision, HoldReason, PodAssessment};
use crate::handover::HandoverPlan;
use crate::model::{Load, Pod, PodRef, Seconds};
use crate::plan::{AssignmentPlan, InvalidPlan, Plan, RejoinPlan, Role};
use crate::policy::Policy;
use crate::proposal::{ApprovalState, PlanApproval, ProposedPlan};
use crate::snapshot::Snapshot;
use crate::wording::{count_pods, list_some};

/// The default of the time for which a proposed plan may be approved and executed: an hour.
pub const DEFAULT_EXPIRY: Seconds = Seconds::whole(3600);

/// Lets a decision to act wait for the approval of a person; `policy` is that of the decision. A
/// plan may be approved and executed for `expiry`.
///
/// The decision that is returned has [`approval`](Decision::approval) if the decision was to act. A
/// plan that it proposes is to be stored, and the approval of a plan that it executes is to be
/// removed before the first action, so that it is used once.
#[must_use]
pub fn await_approval(
    decision: Decision,
    snapshot: &Snapshot,
    policy: &Policy,
    expiry: Seconds,
    now: Timestamp,
) -> Decision {
    let Some(own) = proposed(&decision, snapshot, policy, expiry, now) else {
        return decision;
    };
    let proposal = snapshot.data().proposal.clone().unwrap_or_default();
    let Some(stored) = proposal.plan.clone() else {
        let stale = stale_approval(proposal.approved.as_deref());
        return wait(decision, ApprovalState::Proposed, own, &stale);
    };
    let validation = PlanValidation {
        decision: &decision,
        snapshot,
        policy,
        now,
    };
    match (validation.of(&stored), proposal.approves(&stored)) {
        (Ok(valid), true) => {
            let decision = adopt(decision, &stored, &valid.action, &own);
            match valid.deferred {
                None => execute(decision, stored, valid.action),
                Some(why) => defer(decision, stored, &why),
            }
        }
        (Ok(valid), false) => {
            let decision = adopt(decision, &stored, &valid.action, &own);
            let why = valid
                .deferred
                .map(|why| format!("; not in this run: {why}"));
            let stale = stale_approval(proposal.approved.as_deref());
            let end = why.unwrap_or_default() + &stale;
            wait(decision, ApprovalState::Waiting, stored, &end)
        }
        (Err(problem), true) => {
            let message = format!(
                "the approved plan {} cannot be executed: {problem}; {}",
                stored.id,
                waits(&own)
            );
            hold(
                decision,
                HoldReason::APPROVAL_INVALID,
                message,
                ApprovalState::Proposed,
                own,
            )
        }
        (Err(problem), false) => {
            let replaces = format!("; it replaces plan {}: {problem}", stored.id);
            let stale = stale_approval(proposal.approved.as_deref());
            wait(decision, ApprovalState::Proposed, own, &(replaces + &stale))
        }
    }
}

/// The plan of a decision as it is proposed; `None` if the decision is to hold.
fn proposed(
    decision: &Decision,
    snapshot: &Snapshot,
    policy: &Policy,
    expiry: Seconds,
    now: Timestamp,
) -> Option<ProposedPlan> {
    let lifetime = SignedDuration::try_from(expiry.to_duration()).ok();
    let expires = lifetime.and_then(|lifetime| now.checked_add(lifetime).ok());
    let (mut victims, mut moves, mut rejoins) = (Vec::new(), Vec::new(), Vec::new());
    let mut pods = Vec::new();
    let expected = match &decision.action {
        Action::Rotate(plan) => {
            victims = plan.victims().to_vec();
            decision.rotation(policy.strategy, None, now, Vec::new())
        }
        Action::Assign(plan) => {
            moves = plan.moves().to_vec();
            pods = references(snapshot, &pods_of_moves(snapshot, plan));
            decision.hand_over(None, now, None)
        }
        Action::Rejoin(plan) => {
            rejoins = plan.pods().to_vec();
            let names = plan.pods().iter().map(|planned| planned.pod.as_str());
            pods = references(snapshot, &names.collect());
            decision.hand_over(None, now, None)
        }
        Action::Hold(_) => return None,
    };
    let plan = ProposedPlan {
        id: String::new(),
        created: now,
        expires: expires.unwrap_or(now),
        message: decision.message.clone(),
        victims,
        moves,
        rejoins,
        pods,
        expected,
    };
    Some(plan.with_id())
}

/// The pods whose members give or get partitions.
fn pods_of_moves<'a>(snapshot: &'a Snapshot, plan: &AssignmentPlan) -> HashSet<&'a str> {
    let moves = plan.moves().iter();
    let concerned: HashSet<&str> = moves
        .flat_map(|moved| [moved.from.as_str(), moved.to.as_str()])
        .collect();
    let members = pods_of_members(snapshot).into_iter();
    members
        .filter(|(member, _)| concerned.contains(member))
        .map(|(_, pod)| pod)
        .collect()
}

/// The pod of each member of the group, by the name of the member.
fn pods_of_members(snapshot: &Snapshot) -> HashMap<&str, &str> {
    let group = snapshot.data().group.as_ref();
    let members = group.into_iter().flat_map(|group| &group.members);
    members
        .map(|member| (member.name(), member.pod.as_str()))
        .collect()
}

fn references(snapshot: &Snapshot, names: &HashSet<&str>) -> Vec<PodRef> {
    let pods = snapshot.pods().iter();
    pods.filter(|pod| names.contains(pod.name.as_str()))
        .map(Pod::reference)
        .collect()
}

fn waits(plan: &ProposedPlan) -> String {
    format!(
        "plan {} waits for approval until {:.0}: {}",
        plan.id, plan.expires, plan.message
    )
}

/// The end of a message about a plan that is not approved, although another one is.
fn stale_approval(approved: Option<&str>) -> String {
    approved.map_or_else(String::new, |id| {
        format!("; the approval of {id} does not apply to it")
    })
}

/// Holds because the plan waits for approval.
fn wait(decision: Decision, state: ApprovalState, plan: ProposedPlan, end: &str) -> Decision {
    let message = waits(&plan) + end;
    hold(decision, HoldReason::APPROVAL_PENDING, message, state, plan)
}

fn hold(
    decision: Decision,
    reason: HoldReason,
    message: String,
    state: ApprovalState,
    plan: ProposedPlan,
) -> Decision {
    Decision {
        action: Action::Hold(reason),
        message,
        approval: Some(Box::new(PlanApproval { state, plan })),
        ..decision
    }
}

/// Holds although `plan` is approved, because this run must not execute it. The plan and its
/// approval stay stored for a later run.
#[must_use]
pub fn defer(decision: Decision, plan: ProposedPlan, why: &str) -> Decision {
    let message = format!(
        "the approved plan {} is not executed by this run: {why}; a later run may execute it until \
         {:.0}: {}",
        plan.id, plan.expires, plan.message
    );
    let (reason, state) = (HoldReason::APPROVAL_DEFERRED, ApprovalState::Deferred);
    hold(decision, reason, message, state, plan)
}

/// The decision to execute the approved plan.
fn execute(decision: Decision, plan: ProposedPlan, action: Action) -> Decision {
    Decision {
        action,
        message: format!("approved plan {}: {}", plan.id, plan.message),
        approval: Some(Box::new(PlanApproval {
            state: ApprovalState::Approved,
            plan,
        })),
        ..decision
    }
}

/// The decision with the roles of the pods in `plan`, and without the forecasts of the plan that
/// the run itself would execute.
fn adopt(
    mut decision: Decision,
    plan: &ProposedPlan,
    action: &Action,
    own: &ProposedPlan,
) -> Decision {
    if plan.changes() == own.changes() {
        return decision;
    }
    let threshold = decision.analysis.threshold;
    for pod in &mut decision.pods {
        pod.role = match action {
            Action::Rotate(plan) => {
                let mut victims = plan.victims().iter();
                victims.find_map(|victim| (victim.uid == pod.uid).then_some(victim.role))
            }
            Action::Rejoin(plan) => plan.contains(&pod.name).then(|| {
                if pod.load.map(Load::get) > threshold {
                    Role::Hottest
                } else {
                    Role::Coldest
                }
            }),
            Action::Assign(_) | Action::Hold(_) => None,
        };
    }
    if let Some(group) = &mut decision.group {
        (group.chosen, group.assignment, group.rejoin) = (None, None, None);
    }
    decision
}

/// The action of a valid plan.
struct ValidPlan {
    action: Action,
    /// Why this run must not execute it, although a later run may.
    deferred: Option<String>,
}

/// Validates proposed plans against the decision of a run and what the run observed.
struct PlanValidation<'a> {
    decision: &'a Decision,
    snapshot: &'a Snapshot,
    policy: &'a Policy,
    now: Timestamp,
}

impl PlanValidation<'_> {
    /// Returns the action of the plan if it is valid, or why it is not.
    fn of(&self, plan: &ProposedPlan) -> Result<ValidPlan, String> {
        if self.now >= plan.expires {
            return Err(format!("it expired at {:.0}", plan.expires));
        }
        if !plan.is_intact() {
            return Err("it was changed after it was proposed".to_owned());
        }
        let action = action(plan).map_err(|error| error.to_string())?;
        let (now, then) = (self.decision.verb(), action.verb());
        if now != then {
            let word = |verb: Option<&'static str>| verb.unwrap_or("hold");
            return Err(format!(
                "the run would {}, and the plan is to {}",
                word(now),
                word(then)
            ));
        }
        let present: HashSet<_> = self.snapshot.pods().iter().map(Pod::reference).collect();
        if let Some(gone) = plan.pods.iter().find(|pod| !present.contains(pod)) {
            return Err(gone_or_replaced(&gone.name));
        }
        let deferred = match &action {
            Action::Rotate(plan) => self.check_evictions(plan)?,
            Action::Assign(plan) => self.check_moves(plan).map(|()| None)?,
            Action::Rejoin(plan) => self.check_rejoin(plan).map(|()| None)?,
            Action::Hold(_) => None,
        };
        Ok(ValidPlan { action, deferred })
    }

    /// Returns why the plan is deferred, if it is valid and this run must not execute it.
    fn check_evictions(&self, plan: &Plan) -> Result<Option<String>, String> {
        let victims = plan.victims().len();
        let left = evictions_left_of_day(self.snapshot, self.policy);
        if let Some(left) = left.filter(|left| *left < victims) {
            return Err(format!(
                "it evicts {}, and {left} may still be evicted within 24 hours",
                count_pods(victims)
            ));
        }
        // The limits of a wave depend on the number of ready pods, so they are not checked
        // meanwhile.
        if let Some(not_ready) = self.check_victims(plan)? {
            return Ok(Some(not_ready));
        }
        self.check_waves(plan)?;
        let loads = plan.victims().iter();
        let loads = loads.map(|victim| (victim.name.as_str(), victim.load.get()));
        self.check_hot(self.decision.analysis.threshold, loads)?;
        let left = self.policy.max_evictions;
        Ok(left.filter(|left| *left < victims).map(|left| {
            format!(
                "it evicts {}, and this run may still evict {left}",
                count_pods(victims)
            )
        }))
    }

    /// Returns the first victim that is not ready, if all of them may be evicted once they are
    /// ready.
    fn check_victims(&self, plan: &Plan) -> Result<Option<String>, String> {
        let mut not_ready = None;
        for victim in plan.victims() {
            let mut pods = self.decision.pods.iter();
            let pod = pods.find(|pod| pod.uid == victim.uid);
            let pod = pod.ok_or_else(|| gone_or_replaced(&victim.name))?;
            if pod.eligible {
                continue;
            }
            if pod.reasons == [Ineligible::NotReady] {
                not_ready.get_or_insert_with(|| format!("pod {} is not ready", victim.name));
                continue;
            }
            let reasons: Vec<String> = pod.reasons.iter().map(Ineligible::to_string).collect();
            return Err(format!(
                "pod {} may not be evicted: {}",
                victim.name,
                reasons.join("; ")
            ));
        }
        Ok(not_ready)
    }

    fn check_waves(&self, plan: &Plan) -> Result<(), String> {
        let (ready, wave) = (self.decision.analysis.ready, plan.largest_wave());
        let most = self.policy.max_unavailable.wave_size(ready);
        if wave > most {
            return Err(format!(
                "it evicts {} at once, and {most} may be unavailable",
                count_pods(wave)
            ));
        }
        let left = ready.saturating_sub(wave);
        if left < self.policy.minimum_pods.get() {
            return Err(format!(
                "it would leave {left} of {ready} ready pods, less than the minimum of {}",
                self.policy.minimum_pods
            ));
        }
        Ok(())
    }

    fn check_moves(&self, plan: &AssignmentPlan) -> Result<(), String> {
        HandoverPlan::new(self.snapshot, plan, Duration::ZERO)
            .map_err(|error| error.to_string())?;
        let pods = pods_of_members(self.snapshot);
        let mut changes: HashMap<&str, f64> = HashMap::new();
        for moved in plan.moves() {
            let changed = [(&moved.from, -moved.load), (&moved.to, moved.load)];
            for (member, change) in changed {
                let pod = pods.get(member.as_str()).copied().unwrap_or_default();
                *changes.entry(pod).or_default() += change;
            }
        }
        let changed = self.decision.pods.iter().filter_map(|pod| {
            let change = changes.get(pod.name.as_str())?;
            Some((pod.load?.get(), change))
        });
        let (before, after) = changed
            .fold((0.0_f64, 0.0_f64), |(before, after), (load, change)| {
                (before.max(load), after.max(load + change))
            });
        if after < before {
            return Ok(());
        }
        Err(format!(
            "it would not lower the highest load of the pods that it changes, {before:.3}"
        ))
    }

    fn check_rejoin(&self, plan: &RejoinPlan) -> Result<(), String> {
        HandoverPlan::rejoin(self.snapshot, plan, Duration::ZERO)
            .map_err(|error| error.to_string())?;
        let analysis = &self.decision.analysis;
        let tolerance = self.policy.imbalance_tolerance;
        let tolerated = tolerance.zip(analysis.mean);
        let tolerated = tolerated.map(|(tolerance, mean)| tolerance.get() * mean);
        let bound = analysis.threshold.into_iter().chain(tolerated);
        let loads = plan.pods().iter();
        let loads = loads.map(|planned| (planned.pod.as_str(), planned.load));
        self.check_hot(bound.reduce(f64::min), loads)
    }

    /// Checks that one of the pods whose planned load is above `bound` still has such a load.
    fn check_hot<'p>(
        &self,
        bound: Option<f64>,
        planned: impl Iterator<Item = (&'p str, f64)>,
    ) -> Result<(), String> {
        let Some(bound) = bound else { return Ok(()) };
        let planned = planned.filter(|(_, load)| *load > bound);
        let hot: Vec<&str> = planned.map(|(name, _)| name).collect();
        let is_hot = |pod: &PodAssessment| {
            hot.contains(&pod.name.as_str()) && pod.load.is_some_and(|load| load.get() > bound)
        };
        if hot.is_empty() || self.decision.pods.iter().any(is_hot) {
            return Ok(());
        }
        let hot = list_some(hot.into_iter().map(str::to_owned));
        Err(format!("no load of {hot} is above {bound:.3} any more"))
    }
}

fn gone_or_replaced(pod: &str) -> String {
    format!("pod {pod} is gone or was replaced")
}

/// The action of a plan.
fn action(plan: &ProposedPlan) -> Result<Action, InvalidPlan> {
    if !plan.moves.is_empty() {
        AssignmentPlan::try_from(plan.moves.clone()).map(Action::Assign)
    } else if !plan.rejoins.is_empty() {
        RejoinPlan::try_from(plan.rejoins.clone()).map(Action::Rejoin)
    } else {
        Plan::try_from(plan.victims.clone()).map(Action::Rotate)
    }
}
