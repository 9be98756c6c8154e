//! Static members of evicted pods that no other pod takes over.
//!
//! A static member does not leave its group when its process ends. Its partitions are not consumed
//! until a process joins with its `group.instance.id`, or until its session times out (45 s by
//! default). If the replacement has another id, the wait has no use, and the member is removed. A
//! member is removed only if all of this holds:
//!
//! - The id belonged to the evicted pod alone: it contains the name (unless replacements keep it),
//!   the UID or the address of the pod, or a UUID. In the last case the host of the member is the
//!   address of the pod.
//! - The pod is gone, so that its process owns nothing any more.
//! - No other pod exists whose name, UID or address is in the id. It may be about to join with it.
//! - The group has the id under the member id that was observed before the eviction. A process that
//!   has joined with the id since has another member id.

use serde::{Deserialize, Serialize};

use crate::group::{GroupKind, MemberDocument};
use crate::model::{Pod, PodRef, PodUid};
use crate::plan::Plan;
use crate::ports::{
    CoordinatorError, CoordinatorErrorKind, DescribedGroup, LeavingMember, PodState,
};
use crate::snapshot::{Snapshot, instance_id_is_of_one_pod, instance_id_names, is_address_of};

/// The outcome for a static member of an evicted pod. The words are part of the published documents
/// and keep their meaning.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum StaticMemberOutcome {
    /// The member was removed from the group.
    Removed,
    /// Only in a dry run: a real run would remove the member once its pod is gone.
    WouldRemove,
    /// The group had no such member any more.
    AlreadyGone,
    /// The member was left alone, for example because another process has joined with its id, or
    /// because its pod was still terminating when the run ended.
    Kept,
    /// The removal failed. The partitions of the member wait for its session timeout.
    Failed,
}

impl StaticMemberOutcome {
    /// The word in the documents.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Removed => "removed",
            Self::WouldRemove => "would_remove",
            Self::AlreadyGone => "already_gone",
            Self::Kept => "kept",
            Self::Failed => "failed",
        }
    }
}

/// The result for one static member of an evicted pod.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct StaticMemberReport {
    /// The `group.instance.id`.
    pub instance: String,
    /// The member id.
    pub id: String,
    /// The name of the evicted pod.
    pub pod: String,
    /// The UID of the evicted pod.
    pub uid: PodUid,
    /// The outcome.
    pub outcome: StaticMemberOutcome,
    /// Details of the outcome, such as the error.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
}

/// The static members of the pods of a plan that no other pod takes over. See the
/// [module](crate::execution) for the rules.
///
/// The caller reports evicted pods, what it reads about them and the group, and the response to the
/// removal, in any order. No member is removed while data about it is missing.
#[derive(Debug, Clone, Default)]
pub struct StaticMembers {
    entries: Vec<Entry>,
}

#[derive(Debug, Clone)]
struct Entry {
    pod: PodRef,
    instance: String,
    id: String,
    state: State,
    /// The last failure to read the pod or the group, or to remove the member.
    failure: Option<String>,
    /// Whether a removal may have been executed although its response was lost.
    in_doubt: bool,
    /// Whether the outcome was returned by [`StaticMembers::newly_settled`].
    is_reported: bool,
}

#[derive(Debug, Clone)]
enum State {
    /// The pod was not evicted.
    Idle,
    /// The pod was evicted, and may still run.
    Ending,
    /// The pod is gone.
    Gone,
    /// The outcome is final.
    Settled(StaticMemberOutcome, Option<String>),
}

impl Entry {
    fn settle(&mut self, outcome: StaticMemberOutcome, message: Option<String>) {
        self.state = State::Settled(outcome, message);
    }

    /// Records that the group does not have the member.
    fn settle_absent(&mut self) {
        if self.in_doubt {
            let message = "the response to the removal was lost, and the group no longer has the \
                           member";
            self.settle(StaticMemberOutcome::Removed, Some(message.into()));
        } else {
            self.settle(StaticMemberOutcome::AlreadyGone, None);
        }
    }

    fn report(&self) -> Option<StaticMemberReport> {
        let State::Settled(outcome, message) = &self.state else {
            return None;
        };
        Some(StaticMemberReport {
            instance: self.instance.clone(),
            id: self.id.clone(),
            pod: self.pod.name.clone(),
            uid: self.pod.uid.clone(),
            outcome: *outcome,
            message: message.clone(),
        })
    }

    /// Whether the member of a pod that is gone may be removed. Settles or postpones it if not.
    fn may_be_removed(&mut self, pods: &[Pod], group: &DescribedGroup) -> bool {
        if group.kind != GroupKind::Classic {
            let message = "the group does not use the classic protocol any more";
            self.settle(StaticMemberOutcome::Kept, Some(message.into()));
            return false;
        }
        let instance = Some(self.instance.as_str());
        let mut members = group.members.iter().map(|member| &member.labels);
        let Some(found) = members.find(|labels| labels.instance.as_deref() == instance) else {
            self.settle_absent();
            return false;
        };
        if found.member_id.as_ref() != Some(&self.id) {
            let message = "another process has joined with its instance id";
            self.settle(StaticMemberOutcome::Kept, Some(message.into()));
            return false;
        }
        let existing = || pods.iter().filter(|pod| !pod.has_ended());
        if existing().any(|pod| pod.uid == self.pod.uid) {
            self.state = State::Ending;
            return false;
        }
        if let Some(pod) = existing().find(|pod| instance_id_names(&self.instance, pod)) {
            let message = format!("pod {} may join with its instance id", pod.name);
            self.settle(StaticMemberOutcome::Kept, Some(message));
            return false;
        }
        true
    }
}

impl StaticMembers {
    /// The static members of the plan's pods whose `group.instance.id` belongs to the pod alone.
    ///
    /// Empty unless the brokers described the group of the snapshot, and it is a classic one.
    #[must_use]
    pub fn of(snapshot: &Snapshot, plan: &Plan) -> Self {
        let Some(group) = &snapshot.data().group else {
            return Self::default();
        };
        let described = group.described.as_ref();
        if described.is_none_or(|described| described.kind != GroupKind::Classic) {
            return Self::default();
        }
        let has_stable_names = snapshot.has_stable_names();
        let of_pod = |pod: &Pod| -> Vec<Entry> {
            let members = group.members.iter().filter(|it| it.pod == pod.name);
            let entries = members.filter_map(|member| entry(member, pod, has_stable_names));
            entries.collect()
        };
        let victims = plan.victims().iter();
        let pods = victims.filter_map(|victim| {
            let mut pods = snapshot.pods().iter();
            pods.find(|pod| pod.uid == victim.uid)
        });
        Self {
            entries: pods.flat_map(of_pod).collect(),
        }
    }

    /// Whether there are no such members.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Records that the pod was evicted, or may have been.
    pub fn evicted(&mut self, uid: &PodUid) {
        for entry in self.entries.iter_mut().filter(|it| it.pod.uid == *uid) {
            if let State::Idle = entry.state {
                entry.state = State::Ending;
            }
        }
    }

    /// The evicted pods that may still run, each once.
    #[must_use]
    pub fn ending_pods(&self) -> Vec<PodRef> {
        let ending = self.entries.iter().filter(|entry| match entry.state {
            State::Ending => true,
            State::Idle | State::Gone | State::Settled(..) => false,
        });
        let mut pods: Vec<PodRef> = ending.map(|entry| entry.pod.clone()).collect();
        // The members of a pod are neighbours.
        pods.dedup();
        pods
    }

    /// The number of members of evicted pods that have no outcome yet.
    #[must_use]
    pub fn open(&self) -> usize {
        let open = self.entries.iter().filter(|entry| match entry.state {
            State::Ending | State::Gone => true,
            State::Idle | State::Settled(..) => false,
        });
        open.count()
    }

    /// Whether a member without an outcome had a pod that is gone, so that the pods and the group
    /// should be read for [`removable`](Self::removable).
    #[must_use]
    pub fn has_removal_due(&self) -> bool {
        let mut entries = self.entries.iter();
        entries.any(|entry| matches!(entry.state, State::Gone))
    }

    /// Records the state of a pod, or why it could not be read.
    pub fn pod_read(&mut self, pod: &PodRef, read: &Result<PodState, String>) {
        for entry in self.entries.iter_mut().filter(|it| it.pod == *pod) {
            let State::Ending = entry.state else { continue };
            match read {
                Ok(PodState::Gone) => {
                    entry.state = State::Gone;
                    entry.failure = None;
                }
                Ok(PodState::Present { .. } | PodState::OptedOut | PodState::Terminating) => {
                    entry.failure = None;
                }
                Err(why) => entry.failure = Some(why.clone()),
            }
        }
    }

    /// The members to remove now, according to the pods of the workload and the group as its
    /// coordinator describes it. Members that must stay get their outcome.
    #[must_use]
    pub fn removable(&mut self, pods: &[Pod], group: &DescribedGroup) -> Vec<LeavingMember> {
        let mut members = Vec::new();
        for entry in self.gone() {
            if entry.may_be_removed(pods, group) {
                members.push(LeavingMember {
                    member_id: entry.id.clone(),
                    instance: Some(entry.instance.clone()),
                });
            }
        }
        members
    }

    /// Records that the pods could not be read for [`removable`](Self::removable).
    pub fn pods_unknown(&mut self, why: &str) {
        for entry in self.gone() {
            entry.failure = Some(why.to_owned());
        }
    }

    /// Records that the coordinator could not be asked about the group.
    pub fn group_unknown(&mut self, error: &CoordinatorError) {
        for entry in self.gone() {
            failed(entry, error);
        }
    }

    /// Records the response to the removal of `members`: a result for each of them.
    pub fn removed(
        &mut self,
        members: &[LeavingMember],
        response: &Result<Vec<Result<(), CoordinatorErrorKind>>, CoordinatorError>,
    ) {
        for entry in self.gone() {
            let of_entry = |member: &LeavingMember| {
                member.member_id == entry.id
                    && member.instance.as_deref() == Some(entry.instance.as_str())
            };
            let Some(index) = members.iter().position(of_entry) else {
                continue;
            };
            match response {
                Ok(results) => match results.get(index) {
                    Some(Ok(())) => entry.settle(StaticMemberOutcome::Removed, None),
                    Some(Err(kind)) => refused(entry, *kind),
                    None => refused(entry, CoordinatorErrorKind::Other),
                },
                Err(error) => {
                    entry.in_doubt |= error.kind == CoordinatorErrorKind::Lost;
                    failed(entry, error);
                }
            }
        }
    }

    /// Gives every member of an evicted pod that has none yet its outcome. `why` is the reason for
    /// which a real run does not wait longer.
    pub fn finish(&mut self, dry_run: bool, why: &str) {
        for entry in &mut self.entries {
            let is_ending = match entry.state {
                State::Ending => true,
                State::Gone => false,
                State::Idle | State::Settled(..) => continue,
            };
            let settled = if dry_run {
                (StaticMemberOutcome::WouldRemove, None)
            } else if let Some(failure) = entry.failure.take() {
                (StaticMemberOutcome::Failed, Some(failure))
            } else if is_ending {
                let message = format!("its pod was still terminating: {why}");
                (StaticMemberOutcome::Kept, Some(message))
            } else {
                (StaticMemberOutcome::Kept, Some(why.to_owned()))
            };
            entry.settle(settled.0, settled.1);
        }
    }

    /// The reports of the members whose outcome was determined since the last call.
    #[must_use]
    pub fn newly_settled(&mut self) -> Vec<StaticMemberReport> {
        let new = self.entries.iter_mut().filter(|entry| !entry.is_reported);
        new.filter_map(|entry| {
            let report = entry.report()?;
            entry.is_reported = true;
            Some(report)
        })
        .collect()
    }

    /// The reports of all members with an outcome, in the order of the plan.
    #[must_use]
    pub fn reports(&self) -> Vec<StaticMemberReport> {
        self.entries.iter().filter_map(Entry::report).collect()
    }

    fn gone(&mut self) -> impl Iterator<Item = &mut Entry> {
        let entries = self.entries.iter_mut();
        entries.filter(|entry| matches!(entry.state, State::Gone))
    }
}

/// The member, if it is a static one whose id belongs to the pod alone.
fn entry(member: &MemberDocument, pod: &Pod, has_stable_names: bool) -> Option<Entry> {
    let (instance, id) = (member.instance.as_ref()?, member.id.as_ref()?);
    let is_in_pod = instance_id_names(instance, pod)
        || member
            .host
            .as_deref()
            .is_some_and(|host| is_address_of(host, pod));
    let is_candidate = is_in_pod && instance_id_is_of_one_pod(instance, pod, has_stable_names);
    is_candidate.then(|| Entry {
        pod: pod.reference(),
        instance: instance.clone(),
        id: id.clone(),
        state: State::Idle,
        failure: None,
        in_doubt: false,
        is_reported: false,
    })
}

/// Records a failure of the coordinator. A missing right does not appear by itself; everything else
/// may pass.
fn failed(entry: &mut Entry, error: &CoordinatorError) {
    if error.kind == CoordinatorErrorKind::Forbidden {
        entry.settle(StaticMemberOutcome::Failed, Some(error.message.clone()));
    } else {
        entry.failure = Some(error.message.clone());
    }
}

/// Records that the coordinator refused to remove the member.
fn refused(entry: &mut Entry, kind: CoordinatorErrorKind) {
    match kind {
        CoordinatorErrorKind::UnknownMember => entry.settle_absent(),
        CoordinatorErrorKind::FencedInstance => {
            let message = "another process has joined with its instance id";
            entry.settle(StaticMemberOutcome::Kept, Some(message.into()));
        }
        CoordinatorErrorKind::IllegalGeneration
        | CoordinatorErrorKind::RebalanceInProgress
        | CoordinatorErrorKind::InvalidSessionTimeout
        | CoordinatorErrorKind::GroupFull
        | CoordinatorErrorKind::InconsistentProtocol
        | CoordinatorErrorKind::CoordinatorChanged
        | CoordinatorErrorKind::Forbidden
        | CoordinatorErrorKind::Other
        | CoordinatorErrorKind::Lost => {
            entry.failure = Some(format!("the coordinator did not remove it: {kind}"));
        }
    }
}
