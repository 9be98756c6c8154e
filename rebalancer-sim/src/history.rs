//! The history of a value, as far back as the metrics window.

use std::collections::VecDeque;
use std::time::Duration;

/// A value over time, such as the load of a pod: zero before the first change, and constant between
/// changes. Times are durations since the creation of the world.
#[derive(Debug, Clone, Default)]
pub(crate) struct LoadHistory {
    changes: VecDeque<(Duration, f64)>,
}

impl LoadHistory {
    /// Sets the value from `at` on. Calls must be in chronological order. Changes older than `keep`
    /// before `at` are dropped.
    pub(crate) fn record(&mut self, at: Duration, load: f64, keep: Duration) {
        if self.now() == load && !self.changes.is_empty() {
            return;
        }
        self.changes.push_back((at, load));
        let oldest = at.saturating_sub(keep);
        // The last change before the window gives the value at the start of the window.
        while self
            .changes
            .get(1)
            .is_some_and(|(second, _)| *second <= oldest)
        {
            self.changes.pop_front();
        }
    }

    /// The current value.
    pub(crate) fn now(&self) -> f64 {
        self.changes.back().map_or(0.0, |(_, load)| *load)
    }

    /// The average over the `window` before `until`. The average of a pod that is younger than the
    /// window is too low, as in real metrics.
    pub(crate) fn average(&self, until: Duration, window: Duration) -> f64 {
        let from = until.saturating_sub(window);
        let ends = self
            .changes
            .iter()
            .skip(1)
            .map(|(at, _)| *at)
            .chain([until]);
        let sum: f64 = self
            .changes
            .iter()
            .zip(ends)
            .map(|((begin, load), end)| {
                let length = end.min(until).saturating_sub((*begin).max(from));
                load * length.as_secs_f64()
            })
            .sum();
        sum / window.as_secs_f64()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WINDOW: Duration = Duration::from_secs(100);

    fn at(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn average_of_a_young_pod_is_low() {
        let mut history = LoadHistory::default();
        history.record(at(1000), 1.0, WINDOW);
        assert_eq!(history.average(at(1025), WINDOW), 0.25);
        assert_eq!(history.average(at(1100), WINDOW), 1.0);
        assert_eq!(history.average(at(5000), WINDOW), 1.0);
    }

    #[test]
    fn changes_show_in_proportion_and_old_changes_are_dropped() {
        let mut history = LoadHistory::default();
        for hour in 0..50 {
            history.record(at(hour * 3600), f64::from(hour as u32 % 2), WINDOW);
        }
        assert!(history.changes.len() <= 3);
        history.record(at(50 * 3600), 0.5, WINDOW);
        assert_eq!(history.average(at(50 * 3600 + 50), WINDOW), 0.75);
    }

    #[test]
    fn average_falls_after_the_end_of_a_pod() {
        let mut history = LoadHistory::default();
        history.record(at(0), 2.0, WINDOW);
        history.record(at(500), 0.0, WINDOW);
        assert_eq!(history.average(at(550), WINDOW), 1.0);
        assert_eq!(history.average(at(600), WINDOW), 0.0);
    }
}
