//! Fake exporters: series that a test defines, for example of a Kafka group.

use std::{
    collections::BTreeMap,
    fmt::Write as _,
    sync::{Mutex, PoisonError},
    time::Instant,
};

/// A series of a fake exporter.
#[derive(Debug, Clone)]
pub struct Series {
    /// The name and labels in the text format.
    name: String,
    value: f64,
    per_second: f64,
    since: Instant,
}

impl Series {
    /// A series with a constant value.
    #[must_use]
    pub fn gauge(name: impl Into<String>, value: f64) -> Self {
        Self::growing(name, value, 0.0)
    }

    /// A series that starts at `value` and grows by `per_second` each second, such as an offset.
    /// Clones share the start time.
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

/// The series of all tests, by exporter name.
#[derive(Debug, Default)]
pub(crate) struct Exposition {
    by_name: Mutex<BTreeMap<String, Vec<Series>>>,
}

impl Exposition {
    /// Replaces the series of one exporter.
    pub(crate) fn set(&self, name: String, series: Vec<Series>) {
        let mut by_name = self.by_name.lock().unwrap_or_else(PoisonError::into_inner);
        by_name.insert(name, series);
    }

    /// Renders all series in the text format. Samples have no timestamps, so the metrics servers
    /// mark a removed series as stale at once, as with real exporters.
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
