//! Names of labels, as the operator's metrics have them.

use std::fmt;
use std::str::FromStr;

use crate::literal::string_literal;

/// The label with the cgroup of a container.
pub(crate) const CGROUP: &str = "id";
/// The label that separates the CPUs of a container, in the metrics of old kubelets.
pub(crate) const CPU: &str = "cpu";
/// The names that scrape configurations and exporters give the label of the namespace.
pub(crate) const NAMESPACES: [&str; 4] = [
    "namespace",
    "exported_namespace",
    "kubernetes_namespace",
    "k8s_namespace_name",
];
/// The names of the label of the container.
pub(crate) const CONTAINERS: [&str; 4] = [
    "container",
    "exported_container",
    "container_name",
    "k8s_container_name",
];
/// The names of the label of the pod.
pub(crate) const PODS: [&str; 5] = [
    "pod",
    "exported_pod",
    "pod_name",
    "kubernetes_pod_name",
    "k8s_pod_name",
];

/// The name of a label: letters, digits, `_`, and `.` as in the names of OpenTelemetry.
///
/// `Display` writes the name as PromQL requires it. Prometheus 3 and VictoriaMetrics accept a name
/// with a `.` in quotes.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct LabelName(String);

impl LabelName {
    /// Returns the name without quotes.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for LabelName {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let text = text.trim();
        let begins_well = text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
        let is_allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '.');
        if begins_well && text.chars().all(is_allowed) && text != "__name__" {
            return Ok(Self(text.to_owned()));
        }
        Err(format!(
            "`{text}` is not a label name: it must begin with a letter or `_`, and consist of \
             letters, digits, `_` and `.`, for example exported_pod"
        ))
    }
}

impl fmt::Display for LabelName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.contains('.') {
            f.write_str(&string_literal(&self.0))
        } else {
            f.write_str(&self.0)
        }
    }
}

/// The labels that identify a container in the metrics.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LabelNames {
    /// `PROMETHEUS_POD_LABEL`: the label with the name of the pod.
    pub pod: LabelName,
    /// `PROMETHEUS_NAMESPACE_LABEL`: the label with the namespace of the pod.
    pub namespace: LabelName,
    /// `PROMETHEUS_CONTAINER_LABEL`: the label with the name of the container.
    pub container: LabelName,
}

impl Default for LabelNames {
    /// The names that a kubelet and kube-state-metrics use.
    fn default() -> Self {
        Self {
            pod: LabelName("pod".to_owned()),
            namespace: LabelName("namespace".to_owned()),
            container: LabelName("container".to_owned()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case("pod", "pod")]
    #[case(" exported_pod ", "exported_pod")]
    #[case("_a1", "_a1")]
    #[case("k8s.pod.name", "\"k8s.pod.name\"")]
    fn name_with_a_dot_is_quoted(#[case] text: &str, #[case] promql: &str) {
        assert_eq!(text.parse::<LabelName>().unwrap().to_string(), promql);
    }

    #[rstest]
    #[case("")]
    #[case("1pod")]
    #[case(".pod")]
    #[case("exported-pod")]
    #[case("pod name")]
    #[case("pod\"")]
    #[case("pöd")]
    #[case("__name__")]
    fn other_text_is_not_a_label_name(#[case] text: &str) {
        let problem = text.parse::<LabelName>().unwrap_err();
        assert!(problem.contains("is not a label name"), "{problem}");
    }
}
