//! Tests against a server on the loopback interface.

mod autoscalers;
mod connections;
mod group;
mod loads;
mod requests;
mod responses;
mod settings;
mod tls;

use std::time::Duration;

use rebalancer_core::model::WorkloadRef;

use super::PrometheusSource;
use crate::error::PromError;
use crate::settings::PrometheusSettings;

fn settings(url: &str) -> PrometheusSettings {
    let workload = WorkloadRef {
        namespace: "ns".into(),
        kind: "Deployment".into(),
        name: "app".into(),
    };
    PrometheusSettings {
        timeout: Duration::from_secs(5),
        ..PrometheusSettings::new(url, workload)
    }
}

fn sample(pod: &str, value: &str) -> String {
    format!(r#"{{"metric":{{"pod":"{pod}"}},"value":[1795471462.279,"{value}"]}}"#)
}

async fn failure(settings: PrometheusSettings) -> PromError {
    PrometheusSource::new(settings)
        .unwrap()
        .observe_loads()
        .await
        .unwrap_err()
}
