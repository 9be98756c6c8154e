//! HorizontalPodAutoscalers of `autoscaling/v2`, reduced to those of the workload.

use rebalancer_core::model::{Autoscaler, Cores, CpuMetric};
use serde::Deserialize;

use crate::cpu_quantity::CpuQuantity;

/// An autoscaler as the API lists it.
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

/// Only whether there is any is of interest.
#[derive(Deserialize)]
struct Condition {}

/// Those of `hpas` that scale the workload. Where none does and a prefix is set, the one of that
/// name: whoever sets a prefix says that it is the workload's, whatever it refers to.
pub(crate) fn of_workload(
    hpas: Vec<Hpa>,
    kind: &str,
    group: &str,
    name: &str,
    prefix: &str,
) -> Vec<Autoscaler> {
    let (referring, others): (Vec<Hpa>, Vec<Hpa>) = hpas
        .into_iter()
        .partition(|hpa| hpa.spec.scale_target_ref.is(kind, group, name));
    if !referring.is_empty() {
        return referring.iter().map(Hpa::reduce).collect();
    }
    if prefix.is_empty() {
        return Vec::new();
    }
    let conventional = format!("{prefix}{name}");
    others
        .iter()
        .filter(|hpa| hpa.metadata.name == conventional)
        .map(|hpa| {
            let scales = &hpa.spec.scale_target_ref;
            tracing::warn!(
                "HorizontalPodAutoscaler {conventional} is taken for its name (HPA_PREFIX): it \
                 scales {} {}, and none scales the workload",
                scales.kind,
                scales.name
            );
            hpa.reduce()
        })
        .collect()
}

impl ObjectReference {
    /// Whether it is the object. The version does not matter: one object has several. Nor does a
    /// reference without any tell it from the object.
    fn is(&self, kind: &str, group: &str, name: &str) -> bool {
        let other_group = match self.api_version.as_deref() {
            None | Some("") => false,
            Some(api_version) => {
                // `v1`: the core API.
                api_version.split_once('/').map_or("", |(group, _)| group) != group
            }
        };
        self.kind == kind && self.name == name && !other_group
    }
}

impl Hpa {
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

    /// The replicas it sees and wants. The API writes a 0 where its controller said nothing yet,
    /// and leaves it at that while the metrics are missing.
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

    /// `External s0-kafka-lag average 1000`.
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
    fn cpu_metrics_are_read(#[case] json: Value, #[case] metric: CpuMetric) {
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
    fn other_metrics_are_described(#[case] json: Value, #[case] words: &str) {
        let autoscaler = reduce(json);
        assert_eq!(autoscaler.other_metrics, [words]);
        assert!(autoscaler.cpu.is_empty());
    }

    #[rstest]
    #[case(json!(null), None, None)]
    #[case(json!({"currentMetrics": null, "desiredReplicas": 0}), None, None)]
    #[case(json!({"currentReplicas": 3, "desiredReplicas": 5, "conditions": [{"type": "AbleToScale"}]}), Some(3), Some(5))]
    #[case(json!({"currentReplicas": 3, "desiredReplicas": 3}), Some(3), Some(3))]
    // Metrics are missing since ever: it wants nothing in particular.
    #[case(json!({"currentReplicas": 3, "desiredReplicas": 0, "conditions": [{"type": "ScalingActive"}]}), Some(3), None)]
    #[case(json!({"currentReplicas": 0, "desiredReplicas": 0, "conditions": [{"type": "ScalingActive"}]}), Some(0), Some(0))]
    fn replicas_are_what_the_controller_said(
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
    #[case("", json!({"apiVersion": "apps/v1", "kind": "Deployment", "name": "ingestion"}), true)]
    // By name alone only under the conventional one.
    #[case("keda-hpa-", json!({"apiVersion": "apps/v1", "kind": "Deployment", "name": "other"}), true)]
    #[case("", json!({"apiVersion": "apps/v1", "kind": "Deployment", "name": "other"}), false)]
    #[case("", json!({"apiVersion": "apps/v1", "kind": "StatefulSet", "name": "ingestion"}), false)]
    #[case("", json!({"apiVersion": "elsewhere.io/v1", "kind": "Deployment", "name": "ingestion"}), false)]
    #[case("", json!({"apiVersion": "v1", "kind": "Deployment", "name": "ingestion"}), false)]
    #[case("", json!({"apiVersion": "apps/v1beta1", "kind": "Deployment", "name": "ingestion"}), true)]
    #[case("", json!({"kind": "Deployment", "name": "ingestion"}), true)]
    #[case("", json!({"apiVersion": "", "kind": "Deployment", "name": "ingestion"}), true)]
    fn the_workloads_autoscaler_is_found(
        #[case] prefix: &str,
        #[case] reference: Value,
        #[case] found: bool,
    ) {
        let hpas = vec![
            hpa("keda-hpa-ingestion", reference, json!([]), json!(null)),
            hpa(
                "unrelated",
                json!({"kind": "Deployment", "name": "x"}),
                json!([]),
                json!(null),
            ),
        ];
        let names: Vec<_> = of_workload(hpas, "Deployment", "apps", "ingestion", prefix)
            .into_iter()
            .map(|autoscaler| autoscaler.name)
            .collect();
        assert_eq!(
            names,
            if found {
                vec!["keda-hpa-ingestion"]
            } else {
                vec![]
            }
        );
    }

    #[rstest]
    #[case("", &[])]
    #[case("keda-hpa-", &["keda-hpa-ingestion"])]
    #[case("other-", &[])]
    fn a_name_counts_only_with_a_prefix(#[case] prefix: &str, #[case] expected: &[&str]) {
        let other = || json!({"apiVersion": "apps/v1", "kind": "Deployment", "name": "other"});
        let hpas = ["ingestion", "keda-hpa-ingestion"]
            .map(|name| hpa(name, other(), json!([]), json!(null)))
            .into();
        let found = of_workload(hpas, "Deployment", "apps", "ingestion", prefix);
        let names: Vec<_> = found.iter().map(|found| found.name.as_str()).collect();
        assert_eq!(names, expected);
    }

    #[test]
    fn one_that_refers_to_the_workload_goes_before_one_that_is_named_like_it() {
        let other = json!({"apiVersion": "apps/v1", "kind": "Deployment", "name": "other"});
        let hpas = vec![
            hpa("keda-hpa-ingestion", other, json!([]), json!(null)),
            hpa("scaler", deployment(), json!([]), json!(null)),
            hpa("scaler-2", deployment(), json!([]), json!(null)),
        ];
        let found = of_workload(hpas, "Deployment", "apps", "ingestion", "keda-hpa-");
        assert_eq!(found.len(), 2);
        assert!(
            found
                .iter()
                .all(|autoscaler| autoscaler.name.starts_with("scaler"))
        );
    }
}
