//! One HTTP server that exposes the metrics of cadvisor, kube-state-metrics, the pods' own work,
//! and the fake exporters of tests.

use std::{
    fmt::Write as _,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use k8s_openapi::api::autoscaling::v2::{HorizontalPodAutoscaler, MetricSpec, MetricTarget};
use kube::{Api, ResourceExt as _};

use crate::{
    Result,
    exposition::Exposition,
    http::{HttpServer, Reply},
    meters::Meters,
    quantity::cores,
    work::Works,
};

/// Interval between reads of the autoscalers.
const REFRESH: Duration = Duration::from_secs(1);

/// Starts the server: cadvisor at `/metrics/cadvisor`, kube-state-metrics at `/metrics`, fake
/// exporters at `/metrics/fake_exporters`, and the metrics of `Work` at `/metrics/pods`.
pub(crate) async fn start(
    client: kube::Client,
    meters: Arc<Meters>,
    fake_exporters: Arc<Exposition>,
    works: Arc<Works>,
) -> Result<HttpServer> {
    let autoscalers = Arc::new(Mutex::new(String::new()));
    let known = Arc::clone(&autoscalers);
    tokio::spawn(async move {
        loop {
            // A failed read shows up as metrics that do not change.
            if let Ok(list) = Api::<HorizontalPodAutoscaler>::all(client.clone())
                .list(&Default::default())
                .await
            {
                *known.lock().unwrap_or_else(PoisonError::into_inner) = lines(&list.items);
            }
            tokio::time::sleep(REFRESH).await;
        }
    });
    HttpServer::start(move |request| {
        let (status, body) = match request.path.as_str() {
            "/metrics/cadvisor" => (200, meters.cadvisor()),
            "/metrics/fake_exporters" => (200, fake_exporters.text()),
            "/metrics" => {
                let mut body = meters.requests();
                body.push_str(&autoscalers.lock().unwrap_or_else(PoisonError::into_inner));
                (200, body)
            }
            "/metrics/pods" => (200, works.metrics()),
            _ => (404, String::new()),
        };
        Reply::Answer {
            status,
            content_type: "text/plain; version=0.0.4".to_owned(),
            body,
        }
    })
    .await
}

/// The labels after those of the object, and a value.
type Sample = (String, f64);

/// A metric name, and a function that returns an autoscaler's samples.
type Family = (&'static str, fn(&HorizontalPodAutoscaler) -> Vec<Sample>);

/// The kube-state-metrics families about autoscalers.
fn lines(autoscalers: &[HorizontalPodAutoscaler]) -> String {
    let families: [Family; 6] = [
        ("kube_horizontalpodautoscaler_info", info),
        ("kube_horizontalpodautoscaler_spec_min_replicas", |hpa| {
            gauge(hpa.spec.min_replicas)
        }),
        ("kube_horizontalpodautoscaler_spec_max_replicas", |hpa| {
            gauge(hpa.spec.max_replicas.into())
        }),
        ("kube_horizontalpodautoscaler_spec_target_metric", targets),
        (
            "kube_horizontalpodautoscaler_status_current_replicas",
            |hpa| {
                gauge(Some(
                    hpa.status
                        .as_ref()
                        .and_then(|status| status.current_replicas)
                        .unwrap_or(0),
                ))
            },
        ),
        (
            "kube_horizontalpodautoscaler_status_desired_replicas",
            |hpa| {
                gauge(Some(
                    hpa.status
                        .as_ref()
                        .map_or(0, |status| status.desired_replicas),
                ))
            },
        ),
    ];
    let mut out = String::new();
    for (family, samples) in families {
        // Writing to a string cannot fail.
        let _ = writeln!(out, "# TYPE {family} gauge");
        for hpa in autoscalers {
            let (namespace, name) = (hpa.namespace().unwrap_or_default(), hpa.name_any());
            for (labels, value) in samples(hpa) {
                let _ = writeln!(
                    out,
                    "{family}{{namespace=\"{namespace}\",horizontalpodautoscaler=\"{name}\"{labels}}} {value}"
                );
            }
        }
    }
    out
}

fn gauge(value: Option<i32>) -> Vec<Sample> {
    value
        .map(|value| (String::new(), f64::from(value)))
        .into_iter()
        .collect()
}

fn info(hpa: &HorizontalPodAutoscaler) -> Vec<Sample> {
    let target = &hpa.spec.scale_target_ref;
    let version = target
        .api_version
        .as_ref()
        .map(|version| format!(",scaletargetref_api_version=\"{version}\""))
        .unwrap_or_default();
    let labels = format!(
        "{version},scaletargetref_kind=\"{}\",scaletargetref_name=\"{}\"",
        target.kind, target.name
    );
    vec![(labels, 1.0)]
}

fn targets(hpa: &HorizontalPodAutoscaler) -> Vec<Sample> {
    let metrics = hpa.spec.metrics.as_deref().unwrap_or_default();
    metrics
        .iter()
        .filter_map(resource)
        .flat_map(|(name, target)| target_values(name, target))
        .collect()
}

/// The resource metrics. As in kube-state-metrics, a container's metric has the same labels as a
/// pod's.
fn resource(metric: &MetricSpec) -> Option<(&str, &MetricTarget)> {
    let of_pod = metric
        .resource
        .as_ref()
        .map(|source| (source.name.as_str(), &source.target));
    of_pod.or_else(|| {
        metric
            .container_resource
            .as_ref()
            .map(|source| (source.name.as_str(), &source.target))
    })
}

fn target_values(name: &str, target: &MetricTarget) -> Vec<Sample> {
    let utilization = target
        .average_utilization
        .map(|value| ("utilization", f64::from(value)));
    let average = target
        .average_value
        .as_ref()
        .and_then(|value| Some(("average", cores(&value.0)?)));
    [utilization, average]
        .into_iter()
        .flatten()
        .map(|(kind, value)| {
            (
                format!(",metric_name=\"{name}\",metric_target_type=\"{kind}\""),
                value,
            )
        })
        .collect()
}
