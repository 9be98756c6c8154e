//! HorizontalPodAutoscalers of `autoscaling/v2`, each with the object that it scales.

use rebalancer_core::model::{Autoscaler, Cores, CpuMetric};
use rebalancer_core::ports::{AutoscalerCandidate, ScaleTarget};
use serde::Deserialize;

use crate::cpu_quantity::CpuQuantity;

/// An autoscaler in a list response.
#[derive(Deserialize)]
pub(crate) struct Hpa {
    metadata: Metadata,
    spec: Spec,
    status: Option<Status>,
}

#[derive(Deserialize)]
struct Metadata {
    name: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Spec {
    scale_target_ref: ObjectReference,
    min_replicas: Option<u32>,
    metrics: Option<Vec<Metric>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ObjectReference {
    api_version: Option<String>,
    kind: String,
    name: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Metric {
    #[serde(rename = "type")]
    kind: String,
    resource: Option<ResourceMetric>,
    container_resource: Option<ResourceMetric>,
    pods: Option<NamedMetric>,
    object: Option<NamedMetric>,
    external: Option<NamedMetric>,
}

#[derive(Deserialize)]
struct ResourceMetric {
    name: String,
    container: Option<String>,
    target: Target,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct NamedMetric {
    metric: MetricName,
    target: Target,
    described_object: Option<ObjectReference>,
}

#[derive(Deserialize)]
struct MetricName {
    name: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Target {
    average_utilization: Option<u32>,
    average_value: Option<String>,
    value: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Status {
    current_replicas: Option<u32>,
    desired_replicas: Option<u32>,
    conditions: Option<Vec<Condition>>,
}

/// A condition. Only the presence of conditions matters.
#[derive(Deserialize)]
struct Condition {}

impl Hpa {
    /// The autoscaler with the object that it scales.
    pub(crate) fn into_candidate(self) -> AutoscalerCandidate {
        let autoscaler = self.reduce();
        let ObjectReference {
            api_version,
            kind,
            name,
        } = self.spec.scale_target_ref;
        AutoscalerCandidate {
            autoscaler,
            scale_targets: vec![ScaleTarget::new(kind, name, api_version.as_deref())],
        }
    }

    fn reduce(&self) -> Autoscaler {
        let mut cpu = Vec::new();
        let mut other_metrics = Vec::new();
        for metric in self.spec.metrics.iter().flatten() {
            match metric.cpu() {
                Some(metric) => cpu.push(metric),
                None => other_metrics.push(metric.describe()),
            }
        }
        let (current_replicas, desired_replicas) = self.replicas();
        Autoscaler {
            name: self.metadata.name.clone(),
            cpu,
            other_metrics,
            current_replicas,
            desired_replicas,
        }
    }

    /// Returns the current and the desired number of replicas. The API reports 0 until the
    /// controller sets a number, which it does not do while the metrics are missing.
    fn replicas(&self) -> (Option<u32>, Option<u32>) {
        let Some(status) = &self.status else {
            return (None, None);
        };
        let current = status.current_replicas.unwrap_or(0);
        let desired = status.desired_replicas.unwrap_or(0);
        let never_synced = status.conditions.iter().flatten().next().is_none();
        if never_synced && current == 0 && desired == 0 {
            return (None, None);
        }
        let may_want_none = self.spec.min_replicas == Some(0) || current == 0;
        (
            Some(current),
            Some(desired).filter(|&desired| desired > 0 || may_want_none),
        )
    }
}

impl Metric {
    fn cpu(&self) -> Option<CpuMetric> {
        let (resource, container) = match self.kind.as_str() {
            "Resource" => (self.resource.as_ref()?, None),
            "ContainerResource" => {
                let resource = self.container_resource.as_ref()?;
                (resource, Some(resource.container.clone()?))
            }
            _ => return None,
        };
        if resource.name != "cpu" {
            return None;
        }
        let cores = || {
            let quantity = CpuQuantity::parse(resource.target.average_value.as_deref()?)?;
            Cores::new(quantity.0).ok()
        };
        Some(match (resource.target.average_utilization, container) {
            (Some(percent), None) => CpuMetric::Utilization { percent },
            (Some(percent), Some(container)) => {
                CpuMetric::ContainerUtilization { container, percent }
            }
            (None, None) => CpuMetric::AverageValue { cores: cores()? },
            (None, Some(container)) => CpuMetric::ContainerAverageValue {
                container,
                cores: cores()?,
            },
        })
    }

    /// Describes the metric, such as `External s0-kafka-lag average 1000`.
    fn describe(&self) -> String {
        let kind = &self.kind;
        let resource = self.resource.as_ref().or(self.container_resource.as_ref());
        if let Some(ResourceMetric {
            name,
            container,
            target,
        }) = resource
        {
            let of = container
                .iter()
                .map(|container| format!(" of container {container}"));
            return format!(
                "{kind} {name}{} {}",
                of.collect::<String>(),
                target.describe()
            );
        }
        let named = self
            .pods
            .as_ref()
            .or(self.object.as_ref())
            .or(self.external.as_ref());
        match named {
            Some(NamedMetric {
                metric,
                target,
                described_object,
            }) => {
                let on = described_object
                    .iter()
                    .map(|object| format!(" on {}/{}", object.kind, object.name));
                format!(
                    "{kind} {}{} {}",
                    metric.name,
                    on.collect::<String>(),
                    target.describe()
                )
            }
            None => kind.clone(),
        }
    }
}

impl Target {
    fn describe(&self) -> String {
        if let Some(percent) = self.average_utilization {
            return format!("{percent} % of the request");
        }
        match (&self.average_value, &self.value) {
            (Some(average), _) => format!("average {average}"),
            (None, Some(value)) => format!("value {value}"),
            (None, None) => "without a target".to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;
    use serde_json::{Value, json};

    fn hpa(name: &str, reference: Value, metrics: Value, status: Value) -> Hpa {
        serde_json::from_value(json!({
            "metadata": {"name": name, "namespace": "a", "managedFields": []},
            "spec": {
                "scaleTargetRef": reference,
                "minReplicas": 1,
                "maxReplicas": 10,
                "metrics": metrics,
                "behavior": {"scaleUp": {}}
            },
            "status": status,
        }))
        .unwrap()
    }

    fn deployment() -> Value {
        json!({"apiVersion": "apps/v1", "kind": "Deployment", "name": "ingestion"})
    }

    fn reduce(metric: Value) -> Autoscaler {
        hpa("h", deployment(), json!([metric]), json!(null)).reduce()
    }

    #[rstest]
    #[case(
        json!({"type": "Resource", "resource": {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 70}}}),
        CpuMetric::Utilization { percent: 70 }
    )]
    #[case(
        json!({"type": "Resource", "resource": {"name": "cpu", "target": {"type": "AverageValue", "averageValue": "700m"}}}),
        CpuMetric::AverageValue { cores: Cores::new(0.7).unwrap() }
    )]
    #[case(
        json!({"type": "ContainerResource", "containerResource": {"name": "cpu", "container": "app",
            "target": {"type": "Utilization", "averageUtilization": 150}}}),
        CpuMetric::ContainerUtilization { container: "app".into(), percent: 150 }
    )]
    #[case(
        json!({"type": "ContainerResource", "containerResource": {"name": "cpu", "container": "app",
            "target": {"type": "AverageValue", "averageValue": "2"}}}),
        CpuMetric::ContainerAverageValue { container: "app".into(), cores: Cores::new(2.0).unwrap() }
    )]
    fn cpu_metric_is_read(#[case] json: Value, #[case] metric: CpuMetric) {
        let autoscaler = reduce(json);
        assert_eq!(autoscaler.cpu, [metric]);
        assert!(autoscaler.other_metrics.is_empty());
    }

    #[rstest]
    #[case(
        json!({"type": "External", "external": {"metric": {"name": "s0-kafka-lag", "selector": {}},
            "target": {"type": "AverageValue", "averageValue": "1000"}}}),
        "External s0-kafka-lag average 1000"
    )]
    #[case(
        json!({"type": "Object", "object": {"metric": {"name": "rps"},
            "describedObject": {"apiVersion": "v1", "kind": "Service", "name": "web"},
            "target": {"type": "Value", "value": "10k"}}}),
        "Object rps on Service/web value 10k"
    )]
    #[case(
        json!({"type": "Pods", "pods": {"metric": {"name": "rps"}, "target": {"type": "AverageValue", "averageValue": "5"}}}),
        "Pods rps average 5"
    )]
    #[case(
        json!({"type": "Resource", "resource": {"name": "memory", "target": {"type": "Utilization", "averageUtilization": 80}}}),
        "Resource memory 80 % of the request"
    )]
    #[case(
        json!({"type": "ContainerResource", "containerResource": {"name": "memory", "container": "app",
            "target": {"type": "AverageValue", "averageValue": "1Gi"}}}),
        "ContainerResource memory of container app average 1Gi"
    )]
    #[case(
        json!({"type": "Resource", "resource": {"name": "cpu", "target": {"type": "AverageValue", "averageValue": "0"}}}),
        "Resource cpu average 0"
    )]
    #[case(json!({"type": "Lunar"}), "Lunar")]
    fn other_metric_is_described(#[case] json: Value, #[case] words: &str) {
        let autoscaler = reduce(json);
        assert_eq!(autoscaler.other_metrics, [words]);
        assert!(autoscaler.cpu.is_empty());
    }

    #[rstest]
    #[case(json!(null), None, None)]
    #[case(json!({"currentMetrics": null, "desiredReplicas": 0}), None, None)]
    #[case(json!({"currentReplicas": 3, "desiredReplicas": 5, "conditions": [{"type": "AbleToScale"}]}), Some(3), Some(5))]
    #[case(json!({"currentReplicas": 3, "desiredReplicas": 3}), Some(3), Some(3))]
    // The metrics were never available, so the desired number is unknown.
    #[case(json!({"currentReplicas": 3, "desiredReplicas": 0, "conditions": [{"type": "ScalingActive"}]}), Some(3), None)]
    #[case(json!({"currentReplicas": 0, "desiredReplicas": 0, "conditions": [{"type": "ScalingActive"}]}), Some(0), Some(0))]
    fn replicas_are_unknown_until_the_controller_sets_them(
        #[case] status: Value,
        #[case] current: Option<u32>,
        #[case] desired: Option<u32>,
    ) {
        let autoscaler = hpa("h", deployment(), json!(null), status).reduce();
        assert_eq!(
            (autoscaler.current_replicas, autoscaler.desired_replicas),
            (current, desired)
        );
    }

    #[rstest]
    #[case(json!({"apiVersion": "apps/v1", "kind": "Deployment", "name": "x"}), Some("apps"))]
    #[case(json!({"apiVersion": "v1", "kind": "Deployment", "name": "x"}), Some(""))]
    #[case(json!({"apiVersion": "", "kind": "Deployment", "name": "x"}), None)]
    #[case(json!({"kind": "Deployment", "name": "x"}), None)]
    fn scale_target_is_reported(#[case] reference: Value, #[case] group: Option<&str>) {
        let candidate = hpa("h", reference, json!([]), json!(null)).into_candidate();
        assert_eq!(candidate.autoscaler.name, "h");
        let expected = ScaleTarget {
            kind: "Deployment".into(),
            name: "x".into(),
            api_group: group.map(Into::into),
        };
        assert_eq!(candidate.scale_targets, [expected]);
    }
}
