//! The table of the program's own metrics, generated from the code.

use std::fmt::Write as _;

use rebalancer_cli::metrics::{METRICS, MetricKind};

/// The table in `docs/metrics.md`.
pub(crate) fn table() -> String {
    let mut table =
        String::from("| metric | type | unit | labels | meaning |\n|---|---|---|---|---|\n");
    for metric in METRICS {
        let kind = match metric.kind() {
            MetricKind::Gauge if metric.is_kept() => "gauge, kept",
            MetricKind::Gauge => "gauge",
            MetricKind::Counter => "counter",
        };
        let labels: Vec<String> = metric
            .labels()
            .iter()
            .map(|label| format!("`{label}`"))
            .collect();
        let _ = writeln!(
            table,
            "| `{}` | {kind} | {} | {} | {} |",
            metric.name(),
            metric.unit().unwrap_or_default(),
            labels.join(", "),
            metric.help(),
        );
    }
    table
}
