//! The PromQL that is asked. Every query adds up or picks the newest; none compares or chooses,
//! because Prometheus and VictoriaMetrics treat comparisons with NaN and label-less vectors
//! differently, and what a query drops cannot be reported.

use std::time::Duration;

/// The load: CPU seconds per second of the container, per pod.
pub(crate) fn load(namespace: &str, container: &str, window: Duration) -> String {
    format!(
        "sum by (pod) (rate({}[{}]))",
        cpu_series(namespace, container),
        duration(window)
    )
}

/// The age in seconds of the newest sample, per pod.
pub(crate) fn freshness(namespace: &str, container: &str) -> String {
    format!(
        "time() - max by (pod) (timestamp({}))",
        cpu_series(namespace, container)
    )
}

/// How often the same container is found, per pod. `id` is the container's cgroup: a restart
/// changes it and must not look like a double, while two scrape jobs see the same one. `cpu`
/// keeps kubelets apart that report each CPU of a container on its own.
pub(crate) fn copies(namespace: &str, container: &str) -> String {
    format!(
        "max by (pod) (count by (pod, id, cpu) ({}))",
        cpu_series(namespace, container)
    )
}

/// How many series have samples from the first half of the window, per pod. Where the server was
/// down for that long, the rate is of the last few samples only.
pub(crate) fn first_half(namespace: &str, container: &str, window: Duration) -> String {
    // Of an odd number of milliseconds the larger half, since no duration may be zero.
    let half = duration(window.saturating_add(Duration::from_millis(1)) / 2);
    format!(
        "count by (pod) (count_over_time({}[{half}] offset {half}))",
        cpu_series(namespace, container)
    )
}

/// What kube-state-metrics says about the autoscalers of a namespace. One request for all of it,
/// so that the parts belong to the same instant.
pub(crate) fn autoscalers(namespace: &str) -> String {
    // Both servers anchor regular expressions by themselves; the names hold no metacharacters.
    format!(
        "{{__name__=~\"kube_horizontalpodautoscaler_(info|spec_target_metric|\
         status_current_replicas|status_desired_replicas)\",namespace={}}}",
        string(namespace)
    )
}

/// Naming the container leaves out the pod's own cgroup, whose label is empty, and the pause
/// container.
fn cpu_series(namespace: &str, container: &str) -> String {
    format!(
        "container_cpu_usage_seconds_total{{namespace={},container={}}}",
        string(namespace),
        string(container)
    )
}

/// A PromQL string literal.
pub(crate) fn string(value: &str) -> String {
    let mut literal = String::with_capacity(value.len() + 2);
    literal.push('"');
    for c in value.chars() {
        match c {
            '\\' => literal.push_str("\\\\"),
            '"' => literal.push_str("\\\""),
            '\n' => literal.push_str("\\n"),
            c => literal.push(c),
        }
    }
    literal.push('"');
    literal
}

/// A PromQL duration, in the largest unit that keeps it whole. What is below a millisecond is
/// dropped.
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
    fn a_duration_is_in_the_largest_whole_unit(#[case] length: Duration, #[case] text: &str) {
        assert_eq!(duration(length), text);
    }

    #[rstest]
    #[case("plain", r#""plain""#)]
    #[case(r#"a"b"#, r#""a\"b""#)]
    #[case(r"a\b", r#""a\\b""#)]
    #[case("a\nb", r#""a\nb""#)]
    #[case(r#"x"} or vector(1) #"#, r#""x\"} or vector(1) #""#)]
    #[case("a.*é", r#""a.*é""#)]
    fn a_label_value_stays_inside_its_quotes(#[case] value: &str, #[case] literal: &str) {
        assert_eq!(string(value), literal);
    }

    #[test]
    fn the_queries_are_these() {
        assert_eq!(
            load("ns", "app", Duration::from_secs(300)),
            r#"sum by (pod) (rate(container_cpu_usage_seconds_total{namespace="ns",container="app"}[5m]))"#
        );
        assert_eq!(
            freshness("ns", "app"),
            r#"time() - max by (pod) (timestamp(container_cpu_usage_seconds_total{namespace="ns",container="app"}))"#
        );
        assert_eq!(
            copies("ns", "app"),
            r#"max by (pod) (count by (pod, id, cpu) (container_cpu_usage_seconds_total{namespace="ns",container="app"}))"#
        );
        assert_eq!(
            first_half("ns", "app", Duration::from_secs(300)),
            r#"count by (pod) (count_over_time(container_cpu_usage_seconds_total{namespace="ns",container="app"}[150s] offset 150s))"#
        );
        assert_eq!(
            autoscalers("n\"s"),
            r#"{__name__=~"kube_horizontalpodautoscaler_(info|spec_target_metric|status_current_replicas|status_desired_replicas)",namespace="n\"s"}"#
        );
    }

    #[rstest]
    #[case(Duration::from_secs(5), "2500ms")]
    #[case(Duration::from_millis(7), "4ms")]
    #[case(Duration::from_millis(1), "1ms")]
    #[case(Duration::from_secs(7200), "1h")]
    fn half_a_window_is_never_nothing(#[case] window: Duration, #[case] half: &str) {
        let query = first_half("ns", "app", window);
        let expected = format!("[{half}] offset {half}))");
        assert!(query.ends_with(&expected), "{query}");
    }

    #[rstest]
    #[case(load("n", "c", Duration::from_secs(1)))]
    #[case(first_half("n", "c", Duration::from_secs(1)))]
    #[case(freshness("n", "c"))]
    #[case(copies("n", "c"))]
    #[case(autoscalers("n"))]
    fn promql_never_decides(#[case] query: String) {
        for word in [
            "topk", "bottomk", "scalar", " > ", " < ", "==", "!=", " bool", "absent",
        ] {
            assert!(!query.contains(word), "{word} in {query}");
        }
    }
}
