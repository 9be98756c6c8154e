//! The table of the program's own metrics, generated from the code.

use std::fmt::Write as _;

use rebalancer_cli::metrics::{METRICS, MISSED_RUNS, MetricKind, PROCESS_METRICS, RUN_DURATION};

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

/// The table of the metrics of a resident process.
pub(crate) fn of_process() -> String {
    let mut table = String::from("| metric | type | unit | meaning |\n|---|---|---|---|\n");
    for metric in PROCESS_METRICS {
        let unit = metric.unit().unwrap_or_default();
        let _ = writeln!(
            table,
            "| `{}` | gauge | {unit} | {} |",
            metric.name(),
            metric.help()
        );
    }
    let (name, help) = MISSED_RUNS;
    let _ = writeln!(table, "| `{name}_total` | counter |  | {help} |");
    let (name, help) = RUN_DURATION;
    let _ = writeln!(table, "| `{name}_seconds` | histogram | seconds | {help} |");
    table
}
