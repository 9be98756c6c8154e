//! Everything known about one workload at one instant: the only input of a decision.

mod assemble;
mod assemble_group;
mod autoscalers;
mod group_model;
mod target;

pub use assemble::{AssembleSettings, Assembled, assemble};
pub(crate) use assemble_group::is_address_of;
pub use assemble_group::{GroupSettings, assemble_group};
pub use autoscalers::{AutoscalerByName, ChosenAutoscalers, choose_autoscalers};
pub(crate) use group_model::{instance_id_is_of_one_pod, instance_id_names};
pub(crate) use target::resolve;
pub use target::{ResolvedTarget, TargetOrigin, TargetProblem};

use std::collections::HashSet;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::group::{GroupDocument, InvalidGroup};
use crate::history::Rotation;
use crate::lease::LeaseHolder;
use crate::model::{
    Autoscaler, Cores, DifferingLabel, HoldQueryResult, LoadUnit, PastLoads, Pause,
    PausedAutoscaler, Pod, PodUid, Rollout, RolloutFailure, Seconds, WorkloadRef,
};
use crate::proposal::Proposal;

/// Everything known about one workload at one instant, validated: no pod occurs twice.
///
/// In JSON only `pods` is required (and a target for anything but a hold). A field that is left out
/// describes a healthy, settled workload:
///
/// ```
/// # use rebalancer_core::snapshot::Snapshot;
/// let snapshot: Snapshot = serde_json::from_str(
///     r#"{"target": 0.7, "pods": [{"name": "a", "load": 1.2}, {"name": "b", "load": 0.3}]}"#,
/// )?;
/// assert_eq!(snapshot.pods().len(), 2);
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(try_from = "SnapshotData", into = "SnapshotData")]
pub struct Snapshot {
    data: SnapshotData,
}

/// The fields of a [`Snapshot`], before they are validated.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct SnapshotData {
    /// The workload; a placeholder when left out.
    #[serde(default)]
    pub workload: WorkloadRef,
    /// The measured container; the workload's name when left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub container: Option<String>,
    /// The instant of the snapshot. Every age in the snapshot is relative to it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schemars(with = "Option<String>"))]
    pub taken_at: Option<Timestamp>,
    /// The target load per pod, if the operator set it; it overrides the autoscalers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target: Option<Cores>,
    /// The autoscalers of the workload.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub autoscalers: Vec<Autoscaler>,
    /// The paused object that would define the workload's autoscaler.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub paused_autoscaler: Option<PausedAutoscaler>,
    /// Progress of the workload's controller; if left out, no rollout is in progress.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rollout: Option<Rollout>,
    /// The conditions of the workload that report that its rollout does not progress.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub rollout_failures: Vec<RolloutFailure>,
    /// Why the metrics may be incomplete, as the server reports it; complete if left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub metrics_partial: Option<String>,
    /// Whether the ages of samples are known, so that a sample without an age is stale.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub freshness_known: bool,
    /// Whether the loads are of a custom query, so that their unit may not be cores.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub custom_load: bool,
    /// Seconds by which the clock of the metrics server is ahead of the cluster's; negative if it
    /// is behind, absent if unknown.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub clock_difference_seconds: Option<f64>,
    /// Pods with a recent load that Kubernetes does not list.
    #[serde(
        default,
        rename = "strangers",
        skip_serializing_if = "UnknownPods::is_empty"
    )]
    pub unknown_pods: UnknownPods,
    /// The labels that differ among the duplicate series of the first pod that has them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub duplicate_labels: Vec<DifferingLabel>,
    /// Number of pods whose container has nested cgroups, of which only the outermost one is
    /// counted.
    #[serde(default, skip_serializing_if = "crate::serialization::is_zero")]
    pub nested_cgroups: usize,
    /// Advice of the metrics source if it found no loads.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub metrics_advice: Option<String>,
    /// The result of the operator's query for a reason to hold, if one is configured.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hold_query: Option<HoldQueryResult>,
    /// Past loads of the pods, if a pod must have been above the threshold for some time to be hot.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub past_loads: Option<PastLoads>,
    /// The operator's order, in an annotation of the workload, not to act.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pause: Option<Pause>,
    /// The plan that waits for approval, if one is stored on the workload.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub proposal: Option<Proposal>,
    /// Another run that acts on this workload.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub other_run: Option<LeaseHolder>,
    /// The active freeze window, as the operator wrote it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub frozen: Option<String>,
    /// The record of the last rotation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_rotation: Option<Rotation>,
    /// The consumer group of the pods, if known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group: Option<GroupDocument>,
    /// The pods that the workload's selector matches.
    pub pods: Vec<Pod>,
}

/// Pods that the metrics contain and Kubernetes does not list.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct UnknownPods {
    /// Number of pods.
    pub pods: usize,
    /// The first of them by name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub example: Option<String>,
}

impl UnknownPods {
    fn is_empty(&self) -> bool {
        self.pods == 0
    }
}

/// A snapshot that contradicts itself.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidSnapshot {
    /// A pod has no name.
    #[error("pod number {position} of the snapshot has no name: give every pod a `name`")]
    PodWithoutName {
        /// Number of the pod in the list, from 1.
        position: usize,
    },
    /// The difference between the clocks is not a finite number.
    #[error(
        "`clock_difference_seconds` is not a finite number: give seconds, or leave the field out"
    )]
    ClockDifference,
    /// Two pods have the same name. (A pod and its successor of that name never exist at once.)
    #[error("the snapshot contains pod `{name}` twice: each pod must occur once")]
    DuplicateName {
        /// The name.
        name: String,
    },
    /// Two pods have the same UID.
    #[error("pods `{first}` and `{second}` have the same uid `{uid}`: each pod must have its own")]
    DuplicateUid {
        /// The UID.
        uid: PodUid,
        /// One pod.
        first: String,
        /// The other.
        second: String,
    },
    /// The group contradicts itself.
    #[error(transparent)]
    Group(#[from] InvalidGroup),
}

impl Snapshot {
    /// Validates the fields. A pod without a UID gets its name as one.
    ///
    /// # Errors
    /// [`InvalidSnapshot`] if a pod has no name, a name or UID occurs twice, the difference between
    /// the clocks is not finite, or the group contradicts itself.
    pub fn new(mut data: SnapshotData) -> Result<Self, InvalidSnapshot> {
        if data
            .clock_difference_seconds
            .is_some_and(|seconds| !seconds.is_finite())
        {
            return Err(InvalidSnapshot::ClockDifference);
        }
        for (index, pod) in data.pods.iter_mut().enumerate() {
            if pod.name.is_empty() {
                return Err(InvalidSnapshot::PodWithoutName {
                    position: index + 1,
                });
            }
            if pod.uid.0.is_empty() {
                pod.uid.0.clone_from(&pod.name);
            }
        }
        let mut names = HashSet::with_capacity(data.pods.len());
        let mut uids = HashSet::with_capacity(data.pods.len());
        for pod in &data.pods {
            if !names.insert(pod.name.as_str()) {
                return Err(InvalidSnapshot::DuplicateName {
                    name: pod.name.clone(),
                });
            }
            if !uids.insert(&pod.uid) {
                let first = data.pods.iter().find(|other| other.uid == pod.uid);
                return Err(InvalidSnapshot::DuplicateUid {
                    uid: pod.uid.clone(),
                    first: first.map(|pod| pod.name.clone()).unwrap_or_default(),
                    second: pod.name.clone(),
                });
            }
        }
        if let Some(group) = &mut data.group {
            let ready = data.pods.iter().filter(|pod| pod.serves());
            group.complete(ready.map(|pod| pod.name.clone()));
            group.validate()?;
        }
        Ok(Self { data })
    }

    /// Adds what no port observes: another run that acts on the workload, and the active freeze
    /// window.
    #[must_use]
    pub fn in_circumstances(
        mut self,
        other_run: Option<LeaseHolder>,
        frozen: Option<String>,
    ) -> Self {
        self.data.other_run = other_run;
        self.data.frozen = frozen;
        self
    }

    /// The workload.
    #[must_use]
    pub fn workload(&self) -> &WorkloadRef {
        &self.data.workload
    }

    /// The measured container.
    #[must_use]
    pub fn container(&self) -> &str {
        self.data
            .container
            .as_deref()
            .unwrap_or(&self.data.workload.name)
    }

    /// The pods, in the order of the input.
    #[must_use]
    pub fn pods(&self) -> &[Pod] {
        &self.data.pods
    }

    /// The unit of the loads.
    #[must_use]
    pub fn load_unit(&self) -> LoadUnit {
        if self.data.custom_load {
            LoadUnit::Custom
        } else {
            LoadUnit::Cores
        }
    }

    /// The number of ready pods: owned, Running, Ready and not terminating.
    #[must_use]
    pub fn ready(&self) -> usize {
        self.pods().iter().filter(|pod| pod.serves()).count()
    }

    /// Seconds since the last rotation; `None` if none is recorded, or if the snapshot has no
    /// instant.
    #[must_use]
    pub fn since_last_rotation(&self) -> Option<Seconds> {
        Some(self.data.last_rotation.as_ref()?.age(self.data.taken_at?))
    }

    /// All fields.
    #[must_use]
    pub fn data(&self) -> &SnapshotData {
        &self.data
    }
}

impl TryFrom<SnapshotData> for Snapshot {
    type Error = InvalidSnapshot;
    fn try_from(data: SnapshotData) -> Result<Self, Self::Error> {
        Self::new(data)
    }
}

impl From<Snapshot> for SnapshotData {
    fn from(snapshot: Snapshot) -> Self {
        snapshot.data
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case(
        r#"{"pods":[{"name":"a"},{"name":"a"}]}"#,
        "the snapshot contains pod `a` twice"
    )]
    #[case(
        r#"{"pods":[{"name":"a","uid":"1"},{"name":"b","uid":"1"}]}"#,
        "pods `a` and `b` have the same uid `1`"
    )]
    #[case(
        r#"{"pods":[{"name":""}]}"#,
        "pod number 1 of the snapshot has no name"
    )]
    #[case(r#"{"pods":[{"name":"a","load":-1}]}"#, "-1 is not a valid load")]
    #[case(r#"{"target":0,"pods":[]}"#, "0 is not a valid number of cores")]
    #[case(r#"{"pods":[{"name":"a","cpu":1}]}"#, "unknown field `cpu`")]
    #[case(r#"{"target":1}"#, "missing field `pods`")]
    fn invalid_snapshot_is_refused_with_a_reason(#[case] json: &str, #[case] expected: &str) {
        let error = serde_json::from_str::<Snapshot>(json).unwrap_err();
        assert!(error.to_string().contains(expected), "{error}");
    }

    #[test]
    fn defaults_describe_a_healthy_workload() {
        let snapshot: Snapshot = serde_json::from_str(r#"{"pods":[{"name":"a"}]}"#).unwrap();
        let pod = &snapshot.pods()[0];
        assert!(pod.serves());
        assert_eq!(pod, &Pod::new("a"));
        assert_eq!(snapshot.container(), "workload");
    }
}
