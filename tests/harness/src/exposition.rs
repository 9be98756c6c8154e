//! What exporters expose that a test imagines: of a Kafka group, say.

use std::{
    collections::BTreeMap,
    fmt::Write as _,
    sync::{Mutex, PoisonError},
    time::Instant,
};

/// A series of an imagined exporter.
#[derive(Debug, Clone)]
pub struct Series {
    /// The name and the labels, as in the text format.
    name: String,
    value: f64,
    per_second: f64,
    since: Instant,
}

impl Series {
    /// One that stands still.
    #[must_use]
    pub fn gauge(name: impl Into<String>, value: f64) -> Self {
        Self::growing(name, value, 0.0)
    }

    /// One that grows by so much a second, from that value on: an offset, say. Its clones grow with
    /// it.
    #[must_use]
    pub fn growing(name: impl Into<String>, value: f64, per_second: f64) -> Self {
        Self {
            name: name.into(),
            value,
            per_second,
            since: Instant::now(),
        }
    }
}

/// What all tests imagine, each by a name of its own.
#[derive(Debug, Default)]
pub(crate) struct Exposition {
    by_name: Mutex<BTreeMap<String, Vec<Series>>>,
}

impl Exposition {
    /// Exposes these from now on, in place of what the name had.
    pub(crate) fn set(&self, name: String, series: Vec<Series>) {
        let mut by_name = self.by_name.lock().unwrap_or_else(PoisonError::into_inner);
        by_name.insert(name, series);
    }

    /// All of it, in the text format. Without times: so a series that is gone ends at once in the
    /// servers, as those of real exporters do.
    pub(crate) fn text(&self) -> String {
        let by_name = self.by_name.lock().unwrap_or_else(PoisonError::into_inner);
        let mut out = String::new();
        for series in by_name.values().flatten() {
            let grown = series.per_second * series.since.elapsed().as_secs_f64();
            // Writing to a string cannot fail.
            let _ = writeln!(out, "{} {}", series.name, series.value + grown);
        }
        out
    }
}
