//! Settings of the workload and of the connection to Kubernetes.

use std::time::Duration;

use rebalancer_k8s::{ConnectSettings, WorkloadKind};

use crate::settings::definition::{
    Absent, Attributes, Defaulted, Definition, Fallback, Mandatory, Optional, Required, Setting,
};
use crate::settings::value;

/// Every setting of the section, in the order of help.
pub(super) const SETTINGS: &[&dyn Setting] = &[
    &KUBE_NAMESPACE,
    &DEPLOYMENT_NAME,
    &WORKLOAD_KIND,
    &CONTAINER_NAME,
    &KUBE_LABEL_SELECTOR,
    &KUBE_CONTEXT,
    &KUBE_TIMEOUT,
];

pub(in crate::settings) static KUBE_NAMESPACE: Required<String> = Definition {
    name: "KUBE_NAMESPACE",
    help: "Namespace of the workload",
    value: &value::NAMESPACE,
    default: Mandatory,
    attributes: Attributes::USUAL,
};

pub(in crate::settings) static DEPLOYMENT_NAME: Required<String> = Definition {
    name: "DEPLOYMENT_NAME",
    help: "Name of the workload and, by default, of its measured container",
    value: &value::OBJECT_NAME,
    default: Mandatory,
    attributes: Attributes::USUAL,
};

pub(in crate::settings) static WORKLOAD_KIND: Defaulted<WorkloadKind> = Definition {
    name: "WORKLOAD_KIND",
    help: "Deployment, StatefulSet, or Kind.version.group of any kind with a scale subresource",
    value: &value::WORKLOAD_KIND,
    default: Fallback::Value(|| WorkloadKind::Deployment),
    attributes: Attributes::USUAL,
};

pub(in crate::settings) static CONTAINER_NAME: Optional<String> = Definition {
    name: "CONTAINER_NAME",
    help: "The measured container",
    value: &value::NAME,
    default: Absent(DEPLOYMENT_NAME.name),
    attributes: Attributes::USUAL,
};

pub(in crate::settings) static KUBE_LABEL_SELECTOR: Optional<String> = Definition {
    name: "KUBE_LABEL_SELECTOR",
    help: "Label selector that pods must match in addition to the workload's own selector",
    value: &value::LABEL_SELECTOR,
    default: Absent("none"),
    attributes: Attributes::USUAL,
};

pub(in crate::settings) static KUBE_CONTEXT: Optional<String> = Definition {
    name: "KUBE_CONTEXT",
    help: "Context of the kubeconfig; inside a cluster the pod's service account is used",
    value: &value::CONTEXT,
    default: Absent("the current one"),
    attributes: Attributes::WHOLE_RUN,
};

pub(in crate::settings) static KUBE_TIMEOUT: Defaulted<Duration> = Definition {
    name: "KUBE_TIMEOUT",
    help: "Timeout of each request to the Kubernetes API; 30s at most",
    value: &value::KUBE_TIMEOUT,
    default: Fallback::Value(|| ConnectSettings::default().request_timeout),
    attributes: Attributes::WHOLE_RUN,
};
