//! The built-in PromQL queries.
//!
//! A query only aggregates; it never compares or selects. Prometheus and VictoriaMetrics treat
//! comparisons with NaN and vectors without labels differently, and samples that a query drops
//! cannot be reported.

use std::time::Duration;

/// The load per pod: CPU seconds per second of the container.
pub(crate) fn load(namespace: &str, container: &str, window: Duration) -> String {
    format!(
        "sum by (pod) (rate({}[{}]))",
        cpu_series(namespace, container),
        duration(window)
    )
}

/// The age of the newest sample per pod, in seconds.
pub(crate) fn sample_age(namespace: &str, container: &str) -> String {
    format!(
        "time() - max by (pod) (timestamp({}))",
        cpu_series(namespace, container)
    )
}

/// The number of series of one container per pod; more than 1 means duplicate series.
///
/// `id` is the cgroup of the container: a restart changes it and is not a duplicate, while two
/// scrape jobs report the same `id`. `cpu` separates the series of kubelets that report each CPU of
/// a container.
pub(crate) fn duplicate_series(namespace: &str, container: &str) -> String {
    format!(
        "max by (pod) (count by (pod, id, cpu) ({}))",
        cpu_series(namespace, container)
    )
}

/// The number of series with samples in the first half of the window, per pod. If the server was
/// down in the first half, the rate is that of the last few samples only.
pub(crate) fn window_coverage(namespace: &str, container: &str, window: Duration) -> String {
    // Rounds an odd number of milliseconds up, since a PromQL duration must not be zero.
    let half = duration(window.saturating_add(Duration::from_millis(1)) / 2);
    format!(
        "count by (pod) (count_over_time({}[{half}] offset {half}))",
        cpu_series(namespace, container)
    )
}

/// The series of kube-state-metrics about the autoscalers of a namespace. One query for all of
/// them, so that they belong to the same instant.
pub(crate) fn autoscalers(namespace: &str) -> String {
    // Both servers anchor regular expressions. The names contain no metacharacters.
    format!(
        "{{__name__=~\"kube_horizontalpodautoscaler_(info|spec_target_metric|\
         status_current_replicas|status_desired_replicas)\",namespace={}}}",
        string_literal(namespace)
    )
}

/// The CPU series of one container. Selecting the container excludes the cgroup of the pod, whose
/// label is empty, and the pause container.
fn cpu_series(namespace: &str, container: &str) -> String {
    format!(
        "container_cpu_usage_seconds_total{{namespace={},container={}}}",
        string_literal(namespace),
        string_literal(container)
    )
}

/// Returns a PromQL string literal.
pub(crate) fn string_literal(value: &str) -> String {
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

    #[rstest]
    #[case("plain", r#""plain""#)]
    #[case(r#"a"b"#, r#""a\"b""#)]
    #[case(r"a\b", r#""a\\b""#)]
    #[case("a\nb", r#""a\nb""#)]
    #[case(r#"x"} or vector(1) #"#, r#""x\"} or vector(1) #""#)]
    #[case("a.*é", r#""a.*é""#)]
    fn string_literal_is_escaped(#[case] value: &str, #[case] literal: &str) {
        assert_eq!(string_literal(value), literal);
    }

    #[test]
    fn query_texts() {
        assert_eq!(
            load("ns", "app", Duration::from_secs(300)),
            r#"sum by (pod) (rate(container_cpu_usage_seconds_total{namespace="ns",container="app"}[5m]))"#
        );
        assert_eq!(
            sample_age("ns", "app"),
            r#"time() - max by (pod) (timestamp(container_cpu_usage_seconds_total{namespace="ns",container="app"}))"#
        );
        assert_eq!(
            duplicate_series("ns", "app"),
            r#"max by (pod) (count by (pod, id, cpu) (container_cpu_usage_seconds_total{namespace="ns",container="app"}))"#
        );
        assert_eq!(
            window_coverage("ns", "app", Duration::from_secs(300)),
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
    fn half_of_a_window_is_never_zero(#[case] window: Duration, #[case] half: &str) {
        let query = window_coverage("ns", "app", window);
        let expected = format!("[{half}] offset {half}))");
        assert!(query.ends_with(&expected), "{query}");
    }

    #[rstest]
    #[case(load("n", "c", Duration::from_secs(1)))]
    #[case(window_coverage("n", "c", Duration::from_secs(1)))]
    #[case(sample_age("n", "c"))]
    #[case(duplicate_series("n", "c"))]
    #[case(autoscalers("n"))]
    fn queries_neither_compare_nor_select(#[case] query: String) {
        for word in [
            "topk", "bottomk", "scalar", " > ", " < ", "==", "!=", " bool", "absent",
        ] {
            assert!(!query.contains(word), "{word} in {query}");
        }
    }
}
