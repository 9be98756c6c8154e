//! The built-in PromQL queries.
//!
//! A query only aggregates; it never compares or selects. Prometheus and VictoriaMetrics treat
//! comparisons with NaN and vectors without labels differently, and samples that a query drops
//! cannot be reported.

use std::time::Duration;

use crate::labels::{CGROUP, CONTAINERS, CPU, LabelNames, NAMESPACES, PODS};
use crate::literal::{regex_literal, string_literal};
use crate::matchers::Matchers;

/// The metric with the CPU seconds of containers.
pub(crate) const CPU_METRIC: &str = "container_cpu_usage_seconds_total";
/// The label by which the response to the autoscaler query tells its metrics apart.
pub(crate) const AUTOSCALER_METRIC: &str = "rebalancer_metric";
/// The metrics of kube-state-metrics about autoscalers, without their common prefix.
const AUTOSCALER_METRICS: [&str; 4] = [
    "info",
    "spec_target_metric",
    "status_current_replicas",
    "status_desired_replicas",
];

/// The series that the built-in queries read: the operator's matchers, and the names of labels.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct SeriesSelection {
    /// `PROMETHEUS_POD_LABEL`, `PROMETHEUS_NAMESPACE_LABEL`, `PROMETHEUS_CONTAINER_LABEL`.
    pub labels: LabelNames,
    /// `PROMETHEUS_MATCHERS`, which every built-in query contains.
    pub matchers: Matchers,
}

impl SeriesSelection {
    /// Returns the selector of a metric's series: with `own` matchers, which may be empty, and
    /// those of the operator.
    pub(crate) fn of(&self, metric: &str, own: &str) -> String {
        let matchers = &self.matchers;
        match (own.is_empty(), matchers.is_empty()) {
            (true, true) => metric.to_owned(),
            (true, false) => format!("{metric}{{{matchers}}}"),
            (false, true) => format!("{metric}{{{own}}}"),
            (false, false) => format!("{metric}{{{own},{matchers}}}"),
        }
    }
}

/// The CPU series of one container.
#[derive(Debug, Clone, Copy)]
pub(crate) struct CpuSeries<'a> {
    pub(crate) selection: &'a SeriesSelection,
    pub(crate) namespace: &'a str,
    pub(crate) container: &'a str,
}

impl CpuSeries<'_> {
    /// The selector. Selecting the container excludes the cgroup of the pod, whose label is empty,
    /// and the pause container.
    fn selector(&self) -> String {
        self.selection.of(CPU_METRIC, &self.own_matchers())
    }

    fn own_matchers(&self) -> String {
        let LabelNames {
            namespace,
            container,
            ..
        } = &self.selection.labels;
        format!(
            "{namespace}={},{container}={}",
            string_literal(self.namespace),
            string_literal(self.container)
        )
    }

    /// The selector of the series of some pods.
    fn selector_of_pods(&self, pods: &[&str]) -> String {
        let names: Vec<String> = pods.iter().map(|pod| regex_literal(pod)).collect();
        let own = format!(
            "{},{}=~{}",
            self.own_matchers(),
            self.selection.labels.pod,
            string_literal(&names.join("|"))
        );
        self.selection.of(CPU_METRIC, &own)
    }

    /// The load per pod: CPU seconds per second of the container.
    pub(crate) fn load(&self, window: Duration) -> String {
        let (pod, series) = (&self.selection.labels.pod, self.selector());
        format!("sum by ({pod}) (rate({series}[{}]))", duration(window))
    }

    /// The age of the newest sample per pod, in seconds.
    pub(crate) fn sample_age(&self) -> String {
        let (pod, series) = (&self.selection.labels.pod, self.selector());
        format!("time() - max by ({pod}) (timestamp({series}))")
    }

    /// The number of series of one container that contribute to its load, per pod. More than one
    /// are duplicates, or those before and after a restart. `cpu` separates the series of kubelets
    /// that report each CPU of a container.
    pub(crate) fn series_count(&self, window: Duration) -> String {
        let (pod, series) = (&self.selection.labels.pod, self.selector());
        let window = duration(window);
        format!("max by ({pod}) (count by ({pod}, {CPU}) (last_over_time({series}[{window}])))")
    }

    /// The samples of every series of these pods: those of the window, and those of another window
    /// before it, which show when a series began.
    pub(crate) fn raw_samples(&self, pods: &[&str], window: Duration) -> String {
        let series = self.selector_of_pods(pods);
        format!("{series}[{}]", duration(window.saturating_mul(2)))
    }

    /// The containers of the namespace, with the labels that may have its name and theirs: to find
    /// out why there are no loads.
    pub(crate) fn containers_by_label(&self) -> String {
        let namespace = string_literal(self.namespace);
        let series = NAMESPACES.map(|label| {
            self.selection
                .of(CPU_METRIC, &format!("{label}={namespace}"))
        });
        format!(
            "count by ({}, {}) ({})",
            NAMESPACES.join(", "),
            CONTAINERS.join(", "),
            series.join(" or ")
        )
    }

    /// The pods with this namespace and container, with the labels that may have their names.
    pub(crate) fn pods_by_label(&self, namespace_label: &str, container_label: &str) -> String {
        let own = format!(
            "{namespace_label}={},{container_label}={}",
            string_literal(self.namespace),
            string_literal(self.container)
        );
        let series = self.selection.of(CPU_METRIC, &own);
        format!("count by ({}) ({series})", PODS.join(", "))
    }

    /// The load per pod and cgroup of these pods.
    pub(crate) fn cgroup_loads(&self, pods: &[&str], window: Duration) -> String {
        let (pod, series) = (&self.selection.labels.pod, self.selector_of_pods(pods));
        let window = duration(window);
        format!("sum by ({pod}, {CGROUP}) (rate({series}[{window}]))")
    }

    /// The number of series with samples in the first half of the window, per pod. If the server
    /// was down in the first half, the rate is that of the last few samples only.
    pub(crate) fn window_coverage(&self, window: Duration) -> String {
        let (pod, series) = (&self.selection.labels.pod, self.selector());
        // Rounds an odd number of milliseconds up, since a PromQL duration must not be zero.
        let half = duration(window.saturating_add(Duration::from_millis(1)) / 2);
        format!("count by ({pod}) (count_over_time({series}[{half}] offset {half}))")
    }

    /// The number of samples in the window, of the series of each pod that has most of them.
    pub(crate) fn sample_count(&self, window: Duration) -> String {
        let (pod, series) = (&self.selection.labels.pod, self.selector());
        let window = duration(window);
        format!("max by ({pod}) (count_over_time({series}[{window}]))")
    }
}

/// The values of `query` at regular times over the past `length`, and for two more steps: with the
/// first, there is a value that is at least that old wherever the server begins, and with the
/// second also if one value is missing.
pub(crate) fn past_values(query: &str, length: Duration, step: Duration) -> String {
    let length = length.saturating_add(step.saturating_mul(2));
    let (length, step) = (duration(length), duration(step));
    // The query of an operator may end with a comment.
    format!("(\n{query}\n)[{length}:{step}]")
}

/// The series of kube-state-metrics about the autoscalers of a namespace. One query for all of
/// them, so that they belong to the same instant.
///
/// Exact names, because some servers do not permit a regular expression for the name of a metric.
/// `or` ignores the name: it drops a series if an earlier one has the same labels. The additional
/// label [`AUTOSCALER_METRIC`] keeps the series apart.
pub(crate) fn autoscalers(selection: &SeriesSelection, namespace: &str) -> String {
    let own = &selection.labels.namespace;
    let mut labels = vec![own.to_string()];
    if *own == LabelNames::default().namespace {
        // The label of kube-state-metrics' series if it is scraped without `honor_labels`;
        // `namespace` is then the namespace of kube-state-metrics.
        labels.push("exported_namespace".to_owned());
    }
    let mut selectors = Vec::new();
    for metric in AUTOSCALER_METRICS {
        for label in &labels {
            let series = selection.of(
                &format!("kube_horizontalpodautoscaler_{metric}"),
                &format!("{label}={}", string_literal(namespace)),
            );
            selectors.push(format!(
                "label_replace({series},\"{AUTOSCALER_METRIC}\",\"{metric}\",\"__name__\",\".*\")"
            ));
        }
    }
    selectors.join(" or ")
}

/// The facts of kube-state-metrics about the pods of a namespace, per pod: readiness, time of
/// creation, and CPU request of the container. The labels have a prefix if it is scraped without
/// `honor_labels`.
pub(crate) fn pod_facts(
    selection: &SeriesSelection,
    namespace: &str,
    container: &str,
) -> [String; 3] {
    let own = &selection.labels;
    let mut labels = vec![(own.namespace.to_string(), own.container.to_string())];
    if *own == LabelNames::default() {
        labels.push(("exported_namespace".into(), "exported_container".into()));
    }
    let (namespace, container) = (string_literal(namespace), string_literal(container));
    [
        ("kube_pod_status_ready", ",condition=\"true\"", false),
        ("kube_pod_created", "", false),
        (
            "kube_pod_container_resource_requests",
            ",resource=\"cpu\"",
            true,
        ),
    ]
    .map(|(metric, matcher, of_container)| {
        let selectors = labels.iter().map(|(namespace_label, container_label)| {
            let container = if of_container {
                format!(",{container_label}={container}")
            } else {
                String::new()
            };
            selection.of(
                metric,
                &format!("{namespace_label}={namespace}{container}{matcher}"),
            )
        });
        let selectors: Vec<String> = selectors.collect();
        format!(
            "max by ({}, exported_pod) ({})",
            own.pod,
            selectors.join(" or ")
        )
    })
}

/// Returns a PromQL duration in the largest unit in which it is a whole number. Drops fractions of
/// a millisecond.
pub(crate) fn duration(duration: Duration) -> String {
    let millis = duration.as_millis();
    for (unit, of_millis) in [("h", 3_600_000), ("m", 60_000), ("s", 1_000)] {
        if millis > 0 && millis.is_multiple_of(of_millis) {
            return format!("{}{unit}", millis / of_millis);
        }
    }
    format!("{millis}ms")
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case(Duration::from_secs(300), "5m")]
    #[case(Duration::from_secs(90), "90s")]
    #[case(Duration::from_millis(500), "500ms")]
    #[case(Duration::from_millis(1500), "1500ms")]
    #[case(Duration::from_secs(7200), "2h")]
    #[case(Duration::from_micros(1900), "1ms")]
    fn duration_has_the_largest_whole_unit(#[case] length: Duration, #[case] text: &str) {
        assert_eq!(duration(length), text);
    }

    fn cpu(selection: &SeriesSelection) -> CpuSeries<'_> {
        CpuSeries {
            selection,
            namespace: "ns",
            container: "app",
        }
    }

    fn mapped() -> SeriesSelection {
        SeriesSelection {
            labels: LabelNames {
                pod: "exported_pod".parse().unwrap(),
                namespace: "k8s.namespace.name".parse().unwrap(),
                container: "container_name".parse().unwrap(),
            },
            matchers: r#"cluster="eu",tenant=~"a|b""#.parse().unwrap(),
        }
    }

    const WINDOW: Duration = Duration::from_secs(300);

    #[test]
    fn query_texts() {
        let selection = SeriesSelection::default();
        let cpu = cpu(&selection);
        assert_eq!(
            cpu.load(WINDOW),
            r#"sum by (pod) (rate(container_cpu_usage_seconds_total{namespace="ns",container="app"}[5m]))"#
        );
        assert_eq!(
            cpu.sample_age(),
            r#"time() - max by (pod) (timestamp(container_cpu_usage_seconds_total{namespace="ns",container="app"}))"#
        );
        assert_eq!(
            cpu.series_count(WINDOW),
            r#"max by (pod) (count by (pod, cpu) (last_over_time(container_cpu_usage_seconds_total{namespace="ns",container="app"}[5m])))"#
        );
        assert_eq!(
            cpu.raw_samples(&["a-1", "b.c"], WINDOW),
            r#"container_cpu_usage_seconds_total{namespace="ns",container="app",pod=~"a-1|b\\.c"}[10m]"#
        );
        assert_eq!(
            cpu.cgroup_loads(&["a-1"], WINDOW),
            r#"sum by (pod, id) (rate(container_cpu_usage_seconds_total{namespace="ns",container="app",pod=~"a-1"}[5m]))"#
        );
        assert_eq!(
            cpu.window_coverage(WINDOW),
            r#"count by (pod) (count_over_time(container_cpu_usage_seconds_total{namespace="ns",container="app"}[150s] offset 150s))"#
        );
    }

    #[test]
    fn past_values_are_those_of_a_subquery() {
        let minutes = |minutes: u64| Duration::from_secs(60 * minutes);
        let query = past_values("sum(x) # all", minutes(15), minutes(1));
        assert_eq!(query, "(\nsum(x) # all\n)[17m:1m]");
    }

    #[test]
    fn every_query_has_the_matchers_and_the_names_of_labels() {
        let selection = mapped();
        let cpu = cpu(&selection);
        let series = r#"container_cpu_usage_seconds_total{"k8s.namespace.name"="ns",container_name="app",cluster="eu",tenant=~"a|b"}"#;
        assert_eq!(
            cpu.load(WINDOW),
            format!("sum by (exported_pod) (rate({series}[5m]))")
        );
        assert_eq!(
            cpu.sample_age(),
            format!("time() - max by (exported_pod) (timestamp({series}))")
        );
        assert_eq!(
            cpu.series_count(WINDOW),
            format!(
                "max by (exported_pod) (count by (exported_pod, cpu) (last_over_time({series}[5m])))"
            )
        );
        let of_pods = series.replace(",cluster", r#",exported_pod=~"a|b",cluster"#);
        assert_eq!(
            cpu.raw_samples(&["a", "b"], WINDOW),
            format!("{of_pods}[10m]")
        );
        assert_eq!(
            cpu.cgroup_loads(&["a", "b"], WINDOW),
            format!("sum by (exported_pod, id) (rate({of_pods}[5m]))")
        );
        assert_eq!(
            cpu.window_coverage(WINDOW),
            format!("count by (exported_pod) (count_over_time({series}[150s] offset 150s))")
        );
    }

    #[test]
    fn search_queries_have_the_known_labels_and_the_matchers() {
        let selection = mapped();
        let cpu = cpu(&selection);
        let query = cpu.containers_by_label();
        assert_eq!(query.matches(r#"="ns",cluster="eu""#).count(), 4, "{query}");
        assert_eq!(
            cpu.pods_by_label("exported_namespace", "container_name"),
            r#"count by (pod, exported_pod, pod_name, kubernetes_pod_name, k8s_pod_name) (container_cpu_usage_seconds_total{exported_namespace="ns",container_name="app",cluster="eu",tenant=~"a|b"})"#
        );
    }

    #[test]
    fn autoscaler_query_has_exact_names_and_distinct_labels() {
        let query = autoscalers(&mapped(), "n\"s");
        let of = |metric: &str| {
            format!(
                r#"label_replace(kube_horizontalpodautoscaler_{metric}{{"k8s.namespace.name"="n\"s",cluster="eu",tenant=~"a|b"}},"rebalancer_metric","{metric}","__name__",".*")"#
            )
        };
        assert_eq!(query, AUTOSCALER_METRICS.map(of).join(" or "));
        // Without a mapping, both labels that kube-state-metrics may have are searched.
        let query = autoscalers(&SeriesSelection::default(), "ns");
        assert!(query.contains(r#"_info{namespace="ns"}"#), "{query}");
        assert!(
            query.contains(r#"_info{exported_namespace="ns"}"#),
            "{query}"
        );
        assert_eq!(query.matches(" or ").count(), 7);
    }

    #[rstest]
    #[case("app-1", "app-1")]
    #[case("a.b", r"a\.b")]
    #[case(r"\.+*?()|[]{}^$", r"\\\.\+\*\?\(\)\|\[\]\{\}\^\$")]
    fn regex_literal_is_escaped(#[case] text: &str, #[case] regex: &str) {
        assert_eq!(regex_literal(text), regex);
    }

    #[rstest]
    #[case("", "", "m")]
    #[case("", "a=\"b\"", "m{a=\"b\"}")]
    #[case("c=\"d\"", "", "m{c=\"d\"}")]
    #[case("c=\"d\"", "a=\"b\"", "m{c=\"d\",a=\"b\"}")]
    fn selector_has_braces_only_if_needed(
        #[case] own: &str,
        #[case] matchers: &str,
        #[case] selector: &str,
    ) {
        let selection = SeriesSelection {
            matchers: matchers.parse().unwrap(),
            ..SeriesSelection::default()
        };
        assert_eq!(selection.of("m", own), selector);
    }

    #[rstest]
    #[case(Duration::from_secs(5), "2500ms")]
    #[case(Duration::from_millis(7), "4ms")]
    #[case(Duration::from_millis(1), "1ms")]
    #[case(Duration::from_secs(7200), "1h")]
    fn half_of_a_window_is_never_zero(#[case] window: Duration, #[case] half: &str) {
        let selection = SeriesSelection::default();
        let query = cpu(&selection).window_coverage(window);
        let expected = format!("[{half}] offset {half}))");
        assert!(query.ends_with(&expected), "{query}");
    }

    #[test]
    fn queries_neither_compare_nor_select() {
        let selection = SeriesSelection::default();
        let cpu = cpu(&selection);
        for query in [
            cpu.load(WINDOW),
            cpu.window_coverage(WINDOW),
            cpu.sample_age(),
            cpu.series_count(WINDOW),
            autoscalers(&selection, "n"),
        ] {
            for word in [
                "topk", "bottomk", "scalar", " > ", " < ", "==", "!=", "=~", " bool", "absent",
            ] {
                assert!(!query.contains(word), "{word} in {query}");
            }
        }
    }
}
