//! What a pod has spent, as far back as the metrics look.

use std::collections::VecDeque;
use std::time::Duration;

/// The load of one pod over time: constant between changes, nothing before the first, and nothing
/// after the end. Instants are lengths of time since the beginning of the world.
#[derive(Debug, Clone, Default)]
pub(crate) struct LoadHistory {
    changes: VecDeque<(Duration, f64)>,
}

impl LoadHistory {
    /// From `at` on the pod spends `load` cores. Changes come in the order of time; what is older
    /// than `keep` before `at` is forgotten.
    pub(crate) fn record(&mut self, at: Duration, load: f64, keep: Duration) {
        if self.now() == load && !self.changes.is_empty() {
            return;
        }
        self.changes.push_back((at, load));
        let oldest = at.saturating_sub(keep);
        // The last change before the window says what was spent at its beginning.
        while self
            .changes
            .get(1)
            .is_some_and(|(second, _)| *second <= oldest)
        {
            self.changes.pop_front();
        }
    }

    /// What is spent now, in cores.
    pub(crate) fn now(&self) -> f64 {
        self.changes.back().map_or(0.0, |(_, load)| *load)
    }

    /// The CPU time spent in the `window` before `until`, over the whole of the window: a pod that
    /// was not there for all of it reads low. In cores.
    pub(crate) fn average(&self, until: Duration, window: Duration) -> f64 {
        let from = until.saturating_sub(window);
        let ends = self
            .changes
            .iter()
            .skip(1)
            .map(|(at, _)| *at)
            .chain([until]);
        let spent: f64 = self
            .changes
            .iter()
            .zip(ends)
            .map(|((begin, load), end)| {
                let length = end.min(until).saturating_sub((*begin).max(from));
                load * length.as_secs_f64()
            })
            .sum();
        spent / window.as_secs_f64()
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
    fn a_young_pod_reads_low() {
        let mut history = LoadHistory::default();
        history.record(at(1000), 1.0, WINDOW);
        assert_eq!(history.average(at(1025), WINDOW), 0.25);
        assert_eq!(history.average(at(1100), WINDOW), 1.0);
        assert_eq!(history.average(at(5000), WINDOW), 1.0);
    }

    #[test]
    fn a_change_shows_in_proportion_and_old_changes_are_forgotten() {
        let mut history = LoadHistory::default();
        for hour in 0..50 {
            history.record(at(hour * 3600), f64::from(hour as u32 % 2), WINDOW);
        }
        assert!(history.changes.len() <= 3);
        history.record(at(50 * 3600), 0.5, WINDOW);
        assert_eq!(history.average(at(50 * 3600 + 50), WINDOW), 0.75);
    }

    #[test]
    fn a_pod_that_ended_fades() {
        let mut history = LoadHistory::default();
        history.record(at(0), 2.0, WINDOW);
        history.record(at(500), 0.0, WINDOW);
        assert_eq!(history.average(at(550), WINDOW), 1.0);
        assert_eq!(history.average(at(600), WINDOW), 0.0);
    }
}
