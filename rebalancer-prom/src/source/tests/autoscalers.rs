//! Autoscalers from kube-state-metrics.

use rebalancer_core::model::CpuMetric;
use rebalancer_core::ports::{AutoscalerCandidate, MetricsSource as _, ScaleTarget};

use super::settings;
use crate::PrometheusSource;
use crate::testing::{Reply, Server};

#[tokio::test]
async fn autoscalers_are_read_from_kube_state_metrics() {
    let server = Server::always(Reply::vector(concat!(
        r#"{"metric":{"rebalancer_metric":"info","horizontalpodautoscaler":"h","scaletargetref_kind":"Deployment","scaletargetref_name":"app"},"value":[1,"1"]},"#,
        r#"{"metric":{"rebalancer_metric":"spec_target_metric","horizontalpodautoscaler":"h","metric_name":"cpu","metric_target_type":"utilization"},"value":[1,"70"]}"#,
    )))
    .await;
    let source = PrometheusSource::new(settings(&server.url)).unwrap();
    let autoscalers = source.autoscalers().await.unwrap();
    assert_eq!(autoscalers.len(), 1);
    let AutoscalerCandidate {
        autoscaler,
        scale_targets,
    } = &autoscalers[0];
    assert_eq!(autoscaler.name, "h");
    assert_eq!(autoscaler.cpu, [CpuMetric::Utilization { percent: 70 }]);
    assert_eq!(
        *scale_targets,
        [ScaleTarget::new("Deployment", "app", None)]
    );
    let request = &server.requests()[0];
    assert!(
        request.contains(r#"kube_horizontalpodautoscaler_info{namespace="ns"}"#),
        "{request}"
    );
}
