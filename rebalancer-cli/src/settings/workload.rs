//! Assembles the settings of one workload.

use rebalancer_core::model::{Seconds, WorkloadRef};
use rebalancer_k8s::{Autoscalers, Settings as KubernetesSettings};
use rebalancer_prom::{
    Authentication, ClientCertificate, CredentialSetting, LabelNames, PrometheusSettings,
    SeriesSelection,
};

use super::definitions::acting::{
    APPROVAL, APPROVAL_EXPIRY, EVICTION_METHOD, GRACE_PERIOD, ONE_AT_A_TIME, RUN_TIMEOUT,
};
use super::definitions::decision::{
    FREEZE, HOLD_ALERT_AFTER, HOLD_QUERY, HPA_PREFIX, TARGET_CORES, TARGET_SOURCE,
};
use super::definitions::metrics::{
    FRESHNESS_QUERY, LOAD_QUERY, METRICS_TIME_WINDOW, PROMETHEUS_BEARER_TOKEN_FILE,
    PROMETHEUS_CA_FILE, PROMETHEUS_CLIENT_CERTIFICATE_FILE, PROMETHEUS_CLIENT_KEY_FILE,
    PROMETHEUS_CONTAINER_LABEL, PROMETHEUS_ENDPOINT, PROMETHEUS_HEADERS, PROMETHEUS_MATCHERS,
    PROMETHEUS_METHOD, PROMETHEUS_NAMESPACE_LABEL, PROMETHEUS_PASSWORD_FILE, PROMETHEUS_POD_LABEL,
    PROMETHEUS_TIMEOUT, PROMETHEUS_USERNAME,
};
use super::definitions::workload::{
    CONTAINER_NAME, DEPLOYMENT_NAME, KUBE_LABEL_SELECTOR, KUBE_NAMESPACE, WORKLOAD_KIND,
};
use super::group::group;
use super::policy::{execution, policy};
use super::reader::Reader;
use super::types::{ApprovalMode, TargetSource, WorkloadSettings, WorkloadToSteer};

/// The settings of one workload. If a required setting is missing, which is an error of the
/// reader, a placeholder stands for it.
pub(super) fn workload(reader: &mut Reader<'_>) -> WorkloadSettings {
    let policy = policy(reader);
    let target = reader.optional(&TARGET_CORES);
    let target_source = reader.value(&TARGET_SOURCE);
    let needs_target = target.is_none() && policy.needs_target();
    let autoscalers = match target_source {
        TargetSource::Prometheus => Autoscalers::No,
        TargetSource::Kubernetes if needs_target => Autoscalers::Required,
        TargetSource::Kubernetes => Autoscalers::IfPermitted,
    };
    let kubernetes = kubernetes(reader, autoscalers);
    let mut prometheus = prometheus(reader, &kubernetes);
    let group = group(reader, &kubernetes.workload, &prometheus.series, &policy);
    prometheus.group = group.metrics;
    let hot_duration = policy.minimum_hot_duration_seconds;
    prometheus.past = hot_duration.map(Seconds::to_duration);
    WorkloadSettings {
        execution: execution(reader),
        run_timeout: reader.optional(&RUN_TIMEOUT),
        prometheus,
        kafka: group.kafka,
        group: group.settings,
        kubernetes,
        hpa_prefix: reader.value(&HPA_PREFIX),
        target,
        target_source,
        policy,
        freeze: reader.optional(&FREEZE).unwrap_or_default(),
        approval: approval(reader),
        hold_alert_after: reader.value(&HOLD_ALERT_AFTER).into(),
        one_at_a_time: reader.value(&ONE_AT_A_TIME),
    }
}

/// The time for which a plan may be approved, if plans need approval.
fn approval(reader: &mut Reader<'_>) -> Option<Seconds> {
    let expiry = reader.value(&APPROVAL_EXPIRY).into();
    match reader.value(&APPROVAL) {
        ApprovalMode::None => None,
        ApprovalMode::Manual => Some(expiry),
    }
}

/// A workload that is steered, for which no metrics are needed.
pub(super) fn workload_to_steer(reader: &mut Reader<'_>) -> WorkloadToSteer {
    WorkloadToSteer {
        kubernetes: kubernetes(reader, Autoscalers::No),
        policy: policy(reader),
        freeze: reader.optional(&FREEZE).unwrap_or_default(),
    }
}

fn kubernetes(reader: &mut Reader<'_>, autoscalers: Autoscalers) -> KubernetesSettings {
    let workload = WorkloadRef {
        namespace: reader.required(&KUBE_NAMESPACE).unwrap_or_default(),
        kind: reader.value(&WORKLOAD_KIND).to_string(),
        name: reader.required(&DEPLOYMENT_NAME).unwrap_or_default(),
    };
    KubernetesSettings {
        container: reader
            .optional(&CONTAINER_NAME)
            .unwrap_or_else(|| workload.name.clone()),
        label_selector: reader.optional(&KUBE_LABEL_SELECTOR),
        autoscalers,
        eviction_method: reader.value(&EVICTION_METHOD),
        grace_period: reader.optional(&GRACE_PERIOD),
        ..KubernetesSettings::new(workload)
    }
}

fn prometheus(reader: &mut Reader<'_>, kubernetes: &KubernetesSettings) -> PrometheusSettings {
    let endpoint = reader.required(&PROMETHEUS_ENDPOINT).unwrap_or_default();
    let headers = reader.optional(&PROMETHEUS_HEADERS).unwrap_or_default();
    let settings = PrometheusSettings {
        method: reader.value(&PROMETHEUS_METHOD),
        timeout: reader.value(&PROMETHEUS_TIMEOUT),
        window: reader.value(&METRICS_TIME_WINDOW),
        container: kubernetes.container.clone(),
        series: SeriesSelection {
            labels: LabelNames {
                pod: reader.value(&PROMETHEUS_POD_LABEL),
                namespace: reader.value(&PROMETHEUS_NAMESPACE_LABEL),
                container: reader.value(&PROMETHEUS_CONTAINER_LABEL),
            },
            matchers: reader.optional(&PROMETHEUS_MATCHERS).unwrap_or_default(),
        },
        load_query: reader.optional(&LOAD_QUERY),
        freshness_query: reader.optional(&FRESHNESS_QUERY),
        hold_query: reader.optional(&HOLD_QUERY),
        authentication: authentication(reader, &headers),
        ca_file: reader.optional(&PROMETHEUS_CA_FILE),
        client_certificate: client_certificate(reader),
        headers,
        ..PrometheusSettings::new(endpoint, kubernetes.workload.clone())
    };
    if settings.freshness_query.is_some() && settings.load_query.is_none() {
        reader.invalid(
            &FRESHNESS_QUERY,
            "it requires LOAD_QUERY; without one, freshness is read from the CPU series",
        );
    }
    settings
}

/// The files of the client certificate, of which both or none must be set.
fn client_certificate(reader: &mut Reader<'_>) -> Option<ClientCertificate> {
    let certificate = reader.optional(&PROMETHEUS_CLIENT_CERTIFICATE_FILE);
    let key = reader.optional(&PROMETHEUS_CLIENT_KEY_FILE);
    match (certificate, key) {
        (Some(certificate_file), Some(key_file)) => Some(ClientCertificate {
            certificate_file,
            key_file,
        }),
        (Some(_), None) => {
            let reason = "PROMETHEUS_CLIENT_KEY_FILE must be set as well";
            reader.invalid(&PROMETHEUS_CLIENT_CERTIFICATE_FILE, reason);
            None
        }
        (None, Some(_)) => {
            let reason = "PROMETHEUS_CLIENT_CERTIFICATE_FILE must be set as well";
            reader.invalid(&PROMETHEUS_CLIENT_KEY_FILE, reason);
            None
        }
        (None, None) => None,
    }
}

/// The one kind of authentication that the settings select.
fn authentication(reader: &mut Reader<'_>, headers: &[(String, String)]) -> Authentication {
    let authentication = Authentication::from_settings(
        reader.optional(&PROMETHEUS_BEARER_TOKEN_FILE),
        reader.optional(&PROMETHEUS_USERNAME),
        reader.optional(&PROMETHEUS_PASSWORD_FILE),
        headers,
    );
    authentication.unwrap_or_else(|conflict| {
        let reason = conflict.reason;
        match conflict.setting {
            CredentialSetting::BearerTokenFile => {
                reader.invalid(&PROMETHEUS_BEARER_TOKEN_FILE, reason);
            }
            CredentialSetting::Username => reader.invalid(&PROMETHEUS_USERNAME, reason),
            CredentialSetting::PasswordFile => reader.invalid(&PROMETHEUS_PASSWORD_FILE, reason),
            CredentialSetting::Headers => reader.invalid(&PROMETHEUS_HEADERS, reason),
        }
        Authentication::None
    })
}
