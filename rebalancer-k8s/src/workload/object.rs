//! The fields of a workload's object that are read.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use rebalancer_core::model::{Rollout, RolloutFailure};
use serde::Deserialize;

use crate::annotations::{self, Annotation};
use crate::object_meta::null_as_default;

/// A Deployment or a StatefulSet.
#[derive(Deserialize)]
pub(super) struct Object {
    pub(super) metadata: Metadata,
    spec: Option<Spec>,
    status: Option<Status>,
}

#[derive(Deserialize)]
pub(super) struct Metadata {
    pub(super) uid: String,
    #[serde(default)]
    pub(super) generation: i64,
    #[serde(default, deserialize_with = "annotations::from_json")]
    pub(super) annotations: Vec<Annotation>,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct Spec {
    replicas: Option<u32>,
    selector: LabelSelector,
    update_strategy: UpdateStrategy,
    paused: bool,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct UpdateStrategy {
    #[serde(rename = "type")]
    kind: String,
    rolling_update: Option<RollingUpdate>,
}

#[derive(Deserialize)]
struct RollingUpdate {
    partition: Option<u32>,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct Status {
    observed_generation: i64,
    replicas: u32,
    updated_replicas: u32,
    #[serde(deserialize_with = "null_as_default")]
    conditions: Vec<Condition>,
}

#[derive(Deserialize)]
pub(super) struct Condition {
    #[serde(rename = "type")]
    kind: String,
    status: String,
    #[serde(default)]
    reason: String,
    #[serde(default)]
    message: String,
}

impl Condition {
    /// The failure that the condition reports, if it does: the rollout does not progress within its
    /// deadline, or a pod cannot be created.
    pub(super) fn into_failure(self) -> Option<RolloutFailure> {
        let Self {
            kind: condition,
            status,
            reason,
            message,
        } = self;
        let failed = match condition.as_str() {
            RolloutFailure::PROGRESSING => {
                status == "False" && reason == "ProgressDeadlineExceeded"
            }
            RolloutFailure::REPLICA_FAILURE => status == "True",
            _ => false,
        };
        failed.then_some(RolloutFailure {
            condition,
            reason,
            message: message.replace('\n', " "),
        })
    }
}

impl Object {
    pub(super) fn take_selector(&mut self) -> LabelSelector {
        let spec = self.spec.as_mut();
        spec.map(|spec| std::mem::take(&mut spec.selector))
            .unwrap_or_default()
    }

    pub(super) fn take_failures(&mut self) -> Vec<RolloutFailure> {
        let status = self.status.as_mut();
        let conditions = status.map(|status| std::mem::take(&mut status.conditions));
        let conditions = conditions.into_iter().flatten();
        conditions.filter_map(Condition::into_failure).collect()
    }

    pub(super) fn rollout(&self) -> Rollout {
        let spec = self.spec.as_ref();
        let status = self.status.as_ref();
        let current = status.map_or(0, |status| status.replicas);
        let updated = status.map_or(0, |status| status.updated_replicas);
        // The partition of a StatefulSet keeps some pods at the old template. They are up to date.
        let kept = spec
            .and_then(|spec| spec.update_strategy.rolling_update.as_ref()?.partition)
            .unwrap_or(0);
        Rollout {
            generation: self.metadata.generation,
            observed_generation: status.map_or(0, |status| status.observed_generation),
            desired: spec.and_then(|spec| spec.replicas).unwrap_or(1),
            current,
            updated: if kept == 0 {
                updated
            } else {
                updated.saturating_add(kept).min(current.max(updated))
            },
            paused: spec.is_some_and(|spec| spec.paused),
            update_on_delete: spec.is_some_and(|spec| spec.update_strategy.kind == "OnDelete"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;
    use serde_json::{Value, json};

    fn object(spec: Value, status: Value) -> Object {
        serde_json::from_value(json!({
            "metadata": {"uid": "u", "generation": 4, "annotations": {"rebalancer.io/skip": "true"}},
            "spec": spec,
            "status": status,
        }))
        .unwrap()
    }

    #[test]
    fn reads_the_rollout_of_a_deployment() {
        let object = object(
            json!({"replicas": 6, "selector": {"matchLabels": {"a": "b"}}, "template": {}}),
            json!({"observedGeneration": 3, "replicas": 7, "updatedReplicas": 2, "readyReplicas": 5}),
        );
        assert_eq!(
            object.rollout(),
            Rollout {
                generation: 4,
                observed_generation: 3,
                desired: 6,
                current: 7,
                updated: 2,
                ..Rollout::default()
            }
        );
        assert_eq!(
            annotations::opt_out_of_workload(&object.metadata.annotations).as_deref(),
            Some("rebalancer.io/skip: true (on the workload)")
        );
    }

    #[test]
    fn workload_that_was_not_observed_yet_has_no_replicas() {
        let rollout = object(json!({"replicas": null}), json!({})).rollout();
        assert_eq!(
            (
                rollout.desired,
                rollout.current,
                rollout.observed_generation
            ),
            (1, 0, 0)
        );
    }

    #[rstest]
    #[case(0, 2, 2)]
    #[case(4, 2, 6)]
    // No update has started: all replicas have the only template.
    #[case(4, 6, 6)]
    #[case(4, 1, 5)]
    fn pods_kept_by_a_partition_count_as_updated(
        #[case] partition: u32,
        #[case] updated: u32,
        #[case] counted: u32,
    ) {
        let rollout = object(
            json!({"replicas": 6, "updateStrategy": {"type": "RollingUpdate", "rollingUpdate": {"partition": partition}}}),
            json!({"replicas": 6, "updatedReplicas": updated}),
        )
        .rollout();
        assert_eq!(rollout.updated, counted);
    }

    #[test]
    fn reads_why_a_rollout_does_not_progress() {
        let condition = |kind: &str, status: &str, reason: &str| json!({"type": kind, "status": status, "reason": reason, "message": "why\nnot"});
        let conditions = json!([
            condition("Available", "False", "MinimumReplicasUnavailable"),
            condition("Progressing", "False", "ProgressDeadlineExceeded"),
            condition("ReplicaFailure", "True", "FailedCreate"),
        ]);
        let mut object = object(json!({}), json!({"conditions": conditions}));
        let failures: Vec<String> = object
            .take_failures()
            .iter()
            .map(ToString::to_string)
            .collect();
        assert_eq!(
            failures,
            [
                "Progressing: ProgressDeadlineExceeded (why not)",
                "ReplicaFailure: FailedCreate (why not)"
            ]
        );
        assert_eq!(object.take_failures(), []);
    }

    #[rstest]
    #[case(json!([]))]
    #[case(json!(null))]
    #[case(json!([{"type": "Progressing", "status": "True", "reason": "NewReplicaSetAvailable"}]))]
    #[case(json!([{"type": "Progressing", "status": "Unknown", "reason": "DeploymentPaused"}]))]
    #[case(json!([{"type": "Progressing", "status": "False", "reason": "RolloutAborted"}]))]
    #[case(json!([{"type": "ReplicaFailure", "status": "False"}]))]
    fn other_conditions_are_no_failures(#[case] conditions: Value) {
        let mut object = object(json!({}), json!({"conditions": conditions}));
        assert_eq!(object.take_failures(), []);
    }

    #[rstest]
    #[case(json!({}), false, false)]
    #[case(json!({"paused": true}), true, false)]
    #[case(json!({"updateStrategy": {"type": "OnDelete"}}), false, true)]
    #[case(json!({"updateStrategy": {"type": "RollingUpdate"}}), false, false)]
    fn reads_how_pods_are_updated(
        #[case] spec: Value,
        #[case] paused: bool,
        #[case] update_on_delete: bool,
    ) {
        let rollout = object(spec, json!({})).rollout();
        assert_eq!(
            (rollout.paused, rollout.update_on_delete),
            (paused, update_on_delete)
        );
    }
}
