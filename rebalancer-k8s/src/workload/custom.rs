//! The rollout of a kind that only the API server knows, as far as common fields show it.

use rebalancer_core::model::{Rollout, RolloutFailure};
use serde::Deserialize;
use serde_json::Value;

use super::object::{Condition, Metadata};

/// An object of any kind. Its fields may be of any type.
#[derive(Deserialize)]
pub(super) struct CustomObject {
    pub(super) metadata: Metadata,
    #[serde(default)]
    spec: Value,
    #[serde(default)]
    status: Value,
}

/// The scale subresource.
#[derive(Deserialize)]
pub(super) struct Scale {
    spec: Option<ScaleSpec>,
    pub(super) status: Option<ScaleStatus>,
}

#[derive(Deserialize)]
struct ScaleSpec {
    replicas: Option<u32>,
}

#[derive(Deserialize)]
pub(super) struct ScaleStatus {
    replicas: Option<u32>,
    pub(super) selector: Option<String>,
}

impl CustomObject {
    /// The progress of the controller. `None` if the scale subresource does not have the numbers of
    /// replicas.
    pub(super) fn rollout(&self, scale: &Scale) -> Option<Rollout> {
        let desired = scale.spec.as_ref()?.replicas?;
        let current = scale.status.as_ref()?.replicas?;
        let status = |field: &str| self.status.get(field);
        let is_true = |value: Option<&Value>| value.and_then(Value::as_bool) == Some(true);
        let updated = status("updatedReplicas").and_then(number);
        // A kind that does not report the observed generation may change its own one at any time.
        let (generation, observed_generation) = match status("observedGeneration").and_then(number)
        {
            Some(observed) => (self.metadata.generation, observed),
            None => (0, 0),
        };
        Some(Rollout {
            generation,
            observed_generation,
            desired,
            current,
            updated: updated
                .and_then(|updated| u32::try_from(updated).ok())
                .unwrap_or(current),
            // An Argo Rollout that waits in a step of a canary has no `spec.paused`.
            paused: is_true(self.spec.get("paused"))
                || is_true(status("controllerPause"))
                || status("phase").and_then(Value::as_str) == Some("Paused"),
            update_on_delete: false,
        })
    }

    /// The conditions that report that the rollout does not progress.
    pub(super) fn failures(&self) -> Vec<RolloutFailure> {
        let conditions = self.status.get("conditions").and_then(Value::as_array);
        conditions
            .into_iter()
            .flatten()
            .filter_map(|condition| Condition::deserialize(condition).ok())
            .filter_map(Condition::into_failure)
            .collect()
    }
}

/// A whole number, or a text that is one: `status.observedGeneration` of an Argo Rollout is a text.
fn number(value: &Value) -> Option<i64> {
    match value {
        Value::Number(number) => number.as_i64(),
        Value::String(text) => text.parse().ok(),
        Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;
    use serde_json::json;

    fn rollout(spec: Value, status: Value) -> Option<Rollout> {
        let object: CustomObject = serde_json::from_value(json!({
            "metadata": {"uid": "u", "generation": 7}, "spec": spec, "status": status,
        }))
        .unwrap();
        let scale = json!({"spec": {"replicas": 8}, "status": {"replicas": 9, "selector": "a=b"}});
        object.rollout(&serde_json::from_value(scale).unwrap())
    }

    #[rstest]
    #[case::number(json!(6), (7, 6))]
    #[case::text(json!("6"), (7, 6))]
    #[case::hash(json!("5f7b9c"), (0, 0))]
    #[case::absent(json!(null), (0, 0))]
    fn observed_generation_is_a_number_or_a_text(
        #[case] observed: Value,
        #[case] generations: (i64, i64),
    ) {
        let rollout = rollout(json!({}), json!({"observedGeneration": observed})).unwrap();
        assert_eq!(
            (rollout.generation, rollout.observed_generation),
            generations
        );
        assert_eq!(
            (rollout.desired, rollout.current, rollout.updated),
            (8, 9, 9)
        );
    }

    #[rstest]
    #[case(json!({}), json!({"updatedReplicas": 2, "phase": "Paused"}), 2, true)]
    #[case(json!({}), json!({"updatedReplicas": 2, "controllerPause": true}), 2, true)]
    #[case(json!({"paused": true}), json!({"updatedReplicas": 2}), 2, true)]
    #[case(json!({"paused": "no"}), json!({"updatedReplicas": "many", "phase": 3}), 9, false)]
    #[case(json!(null), json!(null), 9, false)]
    #[case(json!([]), json!("none"), 9, false)]
    fn reads_common_fields_of_any_type(
        #[case] spec: Value,
        #[case] status: Value,
        #[case] updated: u32,
        #[case] paused: bool,
    ) {
        let rollout = rollout(spec, status).unwrap();
        assert_eq!((rollout.updated, rollout.paused), (updated, paused));
    }

    #[test]
    fn conditions_of_another_form_are_left_out() {
        let object: CustomObject = serde_json::from_value(json!({
            "metadata": {"uid": "u"},
            "status": {"conditions": ["x", {"type": 1},
                {"type": "ReplicaFailure", "status": "True", "message": "exceeded quota"}]},
        }))
        .unwrap();
        let failures: Vec<String> = object.failures().iter().map(ToString::to_string).collect();
        assert_eq!(failures, ["ReplicaFailure (exceeded quota)"]);
    }
}
