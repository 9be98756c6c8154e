//! KEDA's `ScaledObject`s, which define HorizontalPodAutoscalers. KEDA deletes the autoscaler of a
//! paused one until it is resumed.

use std::collections::HashMap;

use rebalancer_core::model::{PausedAutoscaler, WorkloadRef};
use rebalancer_core::ports::ScaleTarget;
use serde::Deserialize;

/// A boolean; KEDA reads any other text as true.
const PAUSED: &str = "autoscaling.keda.sh/paused";
/// The number of replicas at which the workload is paused.
const PAUSED_REPLICAS: &str = "autoscaling.keda.sh/paused-replicas";

/// A `ScaledObject` in a list response.
#[derive(Deserialize)]
pub(crate) struct ScaledObject {
    metadata: Metadata,
    spec: Spec,
}

#[derive(Deserialize)]
struct Metadata {
    name: String,
    annotations: Option<HashMap<String, String>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Spec {
    scale_target_ref: Reference,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Reference {
    api_version: Option<String>,
    kind: Option<String>,
    name: String,
}

/// The paused object that scales the workload, if there is one.
pub(crate) fn paused(objects: &[ScaledObject], workload: &WorkloadRef) -> Option<PausedAutoscaler> {
    let target = ScaleTarget::of_workload(workload);
    let mut ours = objects
        .iter()
        .filter(|object| object.scale_target().is_same_object(&target));
    ours.find_map(ScaledObject::paused)
}

impl ScaledObject {
    fn scale_target(&self) -> ScaleTarget {
        let Reference {
            api_version,
            kind,
            name,
        } = &self.spec.scale_target_ref;
        let text = |text: &Option<String>| text.clone().filter(|text| !text.is_empty());
        ScaleTarget::new(
            text(kind).unwrap_or_else(|| "Deployment".to_owned()),
            name.clone(),
            Some(text(api_version).as_deref().unwrap_or("apps/v1")),
        )
    }

    fn paused(&self) -> Option<PausedAutoscaler> {
        let annotations = self.metadata.annotations.as_ref()?;
        let replicas = annotations
            .get(PAUSED_REPLICAS)
            .map(|replicas| format!("{PAUSED_REPLICAS}: {replicas}"));
        let paused = || {
            let value = annotations.get(PAUSED)?;
            (!is_false(value)).then(|| format!("{PAUSED}: {value}"))
        };
        Some(PausedAutoscaler {
            object: format!("ScaledObject {}", self.metadata.name),
            annotation: replicas.or_else(paused)?,
        })
    }
}

/// Whether Go's `strconv.ParseBool` reads the text as false.
fn is_false(text: &str) -> bool {
    ["0", "f", "F", "false", "FALSE", "False"].contains(&text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;
    use serde_json::{Value, json};

    fn find(annotations: Value, reference: Value) -> Option<PausedAutoscaler> {
        let object = json!({
            "metadata": {"name": "scaled", "annotations": annotations},
            "spec": {"scaleTargetRef": reference, "triggers": []},
        });
        let workload = WorkloadRef {
            namespace: "shop".into(),
            kind: "Deployment".into(),
            name: "orders".into(),
        };
        paused(&[serde_json::from_value(object).unwrap()], &workload)
    }

    #[rstest]
    #[case(json!({"autoscaling.keda.sh/paused": "true"}), Some("autoscaling.keda.sh/paused: true"))]
    #[case(json!({"autoscaling.keda.sh/paused": "yes"}), Some("autoscaling.keda.sh/paused: yes"))]
    #[case(json!({"autoscaling.keda.sh/paused": "false"}), None)]
    #[case(json!({"autoscaling.keda.sh/paused": "0"}), None)]
    #[case(
        json!({"autoscaling.keda.sh/paused": "false", "autoscaling.keda.sh/paused-replicas": "4"}),
        Some("autoscaling.keda.sh/paused-replicas: 4")
    )]
    // KEDA keeps the autoscaler.
    #[case(json!({"autoscaling.keda.sh/paused-scale-in": "true"}), None)]
    #[case(json!(null), None)]
    fn annotation_pauses_a_scaled_object(
        #[case] annotations: Value,
        #[case] expected: Option<&str>,
    ) {
        let found = find(annotations, json!({"name": "orders"}));
        let annotation = found.as_ref().map(|found| found.annotation.as_str());
        assert_eq!(annotation, expected);
        assert!(found.is_none_or(|found| found.object == "ScaledObject scaled"));
    }

    #[rstest]
    #[case(json!({"name": "orders"}), true)]
    #[case(json!({"name": "orders", "kind": "Deployment", "apiVersion": "apps/v1"}), true)]
    #[case(json!({"name": "orders", "kind": "", "apiVersion": ""}), true)]
    #[case(json!({"name": "other"}), false)]
    #[case(json!({"name": "orders", "kind": "StatefulSet"}), false)]
    #[case(json!({"name": "orders", "kind": "Rollout", "apiVersion": "argoproj.io/v1alpha1"}), false)]
    fn scaled_object_refers_to_a_deployment_by_default(
        #[case] reference: Value,
        #[case] ours: bool,
    ) {
        let found = find(json!({"autoscaling.keda.sh/paused": "true"}), reference);
        assert_eq!(found.is_some(), ours);
    }
}
