//! A plan that waits for the approval of a person. It is stored on the workload.

use std::fmt::Write as _;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::history::Rotation;
use crate::model::{PodRef, WorkloadRef};
use crate::plan::{PlannedMove, PlannedRejoin, Victim};

/// A plan that waits for the approval of a person: pods to evict, partitions that get other owners,
/// or pods whose members rejoin the group.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct ProposedPlan {
    /// The id, by which the plan is approved: a hash of 32 bits of the times and the changes.
    /// Another plan has the same id with a probability of one in four billion.
    pub id: String,
    /// The time of the proposal, by the clock of the cluster.
    #[cfg_attr(feature = "schema", schemars(with = "String"))]
    pub created: Timestamp,
    /// The time from which the plan is no longer executed, by the clock of the cluster.
    #[cfg_attr(feature = "schema", schemars(with = "String"))]
    pub expires: Timestamp,
    /// The plan in one sentence, with its numbers.
    pub message: String,
    /// The pods to evict, in order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub victims: Vec<Victim>,
    /// The partitions that get other owners.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub moves: Vec<PlannedMove>,
    /// The pods whose members rejoin the group.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub rejoins: Vec<PlannedRejoin>,
    /// The pods whose members rejoin, or give or get partitions, with their UIDs.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub pods: Vec<PodRef>,
    /// The record of the rotation with its expected effect; absent if the effect cannot be judged.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expected: Option<Rotation>,
}

/// The plan that is stored on a workload, and the id that a person has approved.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Proposal {
    /// The stored plan.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub plan: Option<ProposedPlan>,
    /// The id of the approved plan, which may be another one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub approved: Option<String>,
}

/// The plan of a run whose plans need the approval of a person.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct PlanApproval {
    /// The state of the plan.
    pub state: ApprovalState,
    /// The plan.
    pub plan: ProposedPlan,
}

/// The state of a plan that needs the approval of a person.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum ApprovalState {
    /// The plan is proposed by this run, and waits.
    Proposed,
    /// The plan was proposed by an earlier run, and waits.
    Waiting,
    /// The plan was approved, and is executed by this run.
    Approved,
    /// The plan was approved, and is not executed by this run. It stays approved.
    Deferred,
}

impl Proposal {
    /// The stored plan, if it has not expired at the time `now`.
    #[must_use]
    pub fn current(&self, now: Timestamp) -> Option<&ProposedPlan> {
        self.plan.as_ref().filter(|plan| now < plan.expires)
    }

    /// Whether `plan` is approved.
    #[must_use]
    pub fn approves(&self, plan: &ProposedPlan) -> bool {
        self.approved.as_ref() == Some(&plan.id)
    }
}

impl ProposedPlan {
    /// The plan with the id of its contents.
    #[must_use]
    pub(crate) fn with_id(self) -> Self {
        let id = self.computed_id();
        Self { id, ..self }
    }

    /// Whether the plan is as it was proposed: its times and changes are those of its id.
    #[must_use]
    pub fn is_intact(&self) -> bool {
        self.id == self.computed_id()
    }

    /// The command that approves the plan of this workload.
    #[must_use]
    pub fn approval_command(&self, workload: &WorkloadRef) -> String {
        let WorkloadRef {
            namespace,
            kind,
            name,
        } = workload;
        let kind = match kind.as_str() {
            "Deployment" => "deployment",
            "StatefulSet" => "statefulset",
            other => other,
        };
        format!(
            "rebalancer approve -n {namespace} {kind}/{name} --id {}",
            self.id
        )
    }

    fn computed_id(&self) -> String {
        let text = format!("{};{};{}", self.created, self.expires, self.changes());
        // The hash FNV-1a, which is the same in every version of the program.
        let hash = text.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3)
        });
        format!("{:08x}", (hash >> 32) ^ (hash & 0xffff_ffff))
    }

    /// The changes as text, without loads, which differ from run to run.
    pub(crate) fn changes(&self) -> String {
        let mut text = String::new();
        // Writing to a string cannot fail.
        for victim in &self.victims {
            let _ = write!(text, "evict {} {};", victim.uid, victim.wave);
        }
        for moved in &self.moves {
            let (partition, from, to) = (moved.partition_name(), &moved.from, &moved.to);
            let _ = write!(text, "move {partition} {from} {to};");
        }
        for planned in &self.rejoins {
            let _ = write!(text, "rejoin {};", planned.pod);
        }
        for pod in &self.pods {
            let _ = write!(text, "pod {} {};", pod.name, pod.uid);
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;
    use serde_json::json;

    fn plan() -> ProposedPlan {
        let plan: ProposedPlan = serde_json::from_value(json!({
            "id": "", "created": "2026-01-02T03:00:00Z", "expires": "2026-01-02T04:00:00Z",
            "message": "evict 2 of 8 pods",
            "victims": [
                {"name": "a", "uid": "1", "role": "hottest", "load": 1.25, "wave": 1},
                {"name": "b", "uid": "2", "role": "coldest", "load": 0.1, "wave": 2},
            ],
        }))
        .unwrap();
        plan.with_id()
    }

    #[rstest]
    #[case::another_pod("/victims/0/uid", json!("3"))]
    #[case::another_wave("/victims/1/wave", json!(1))]
    #[case::later("/expires", json!("2026-01-02T05:00:00Z"))]
    fn changed_plan_is_noticed(#[case] pointer: &str, #[case] value: serde_json::Value) {
        let mut changed = serde_json::to_value(plan()).unwrap();
        *changed.pointer_mut(pointer).unwrap() = value;
        let changed: ProposedPlan = serde_json::from_value(changed).unwrap();
        assert!(plan().is_intact() && !changed.is_intact());
    }

    /// An approval of the first one does not approve the second one.
    #[test]
    fn same_changes_at_another_time_have_another_id() {
        let later = ProposedPlan {
            created: "2026-01-02T03:10:00Z".parse().unwrap(),
            ..plan()
        };
        let later = later.with_id();
        assert_eq!(later.changes(), plan().changes());
        assert_ne!(later.id, plan().id);
        assert_eq!(later.id.len(), 8);
    }

    #[test]
    fn document_survives_a_round_trip() {
        let text = serde_json::to_string(&plan()).unwrap();
        let read: ProposedPlan = serde_json::from_str(&text).unwrap();
        assert_eq!(read, plan());
        assert!(read.is_intact());
    }

    #[test]
    fn only_the_id_of_the_plan_approves_it_until_it_expires() {
        let at = |text: &str| text.parse().unwrap();
        let mut proposal = Proposal {
            plan: Some(plan()),
            approved: Some("00000000".into()),
        };
        assert!(!proposal.approves(&plan()));
        proposal.approved = Some(plan().id);
        assert!(proposal.approves(&plan()));
        assert!(proposal.current(at("2026-01-02T03:59:59Z")).is_some());
        assert!(proposal.current(at("2026-01-02T04:00:00Z")).is_none());
    }
}
