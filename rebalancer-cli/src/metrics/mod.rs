//! The program's own metrics, in the OpenMetrics and Prometheus text formats.
//!
//! `list` defines each metric once: name, unit, labels, meaning, and how its value follows from the
//! facts about a workload. The exposition and the table in `docs/metrics.md` derive from the list.
//! Everything but `publish` is free of I/O.
//!
//! The metrics describe the last run. `process` has those of a resident process beside them, and
//! `served` keeps both for its HTTP server. Two kinds of values outlive it: counters and the times
//! of past successes ([`Metric::is_kept`]). A file is read before it is replaced, and what it has
//! of these is carried over. A push does not touch what a failed run knows nothing about.

mod api_errors;
mod exposition;
mod facts;
mod list;
mod metric;
mod previous;
mod process;
mod publish;
mod served;

pub(crate) use api_errors::ErrorCounter;
pub use api_errors::{ApiErrors, Component};
pub use exposition::{Exposition, Part};
pub use facts::{GroupFacts, RunFacts, RunResult, Times, WorkloadFacts};
pub use list::METRICS;
pub use metric::{Metric, MetricKind, Sample, WORKLOAD_LABELS};
pub use previous::Previous;
pub use process::{MISSED_RUNS, PROCESS_METRICS, ProcessMetric, RUN_DURATION};
pub(crate) use publish::Publisher;
pub(crate) use served::ServedMetrics;

#[cfg(test)]
mod tests;
