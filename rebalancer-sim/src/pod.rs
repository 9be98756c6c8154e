//! A simulated pod.

use std::time::Duration;

use rebalancer_core::model::{
    Cores, Deletion, Evictability, Load, Measurement, Pod, PodPhase, PodUid, SampleFault,
    SampleInfo,
};
use rebalancer_core::ports::{LoadSample, PodState};

use crate::config::SimConfig;
use crate::history::LoadHistory;

/// `terminationGracePeriodSeconds` of every pod: the default of Kubernetes.
const GRACE_PERIOD: Duration = Duration::from_secs(30);

/// The key of a pod within a world: its number in the order of creation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct PodKey(pub(crate) u64);

/// The reason why a new pod does not start.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Defect {
    /// The container crashes again and again.
    Crashes,
    /// The image cannot be pulled.
    NoImage,
    /// No node has room for the pod, for this long.
    NoRoom(Duration),
}

/// A pod, from its creation until its last sample leaves the metrics window. Times are durations
/// since the creation of the world.
#[derive(Debug, Clone)]
pub(crate) struct SimPod {
    pub(crate) name: String,
    pub(crate) uid: PodUid,
    pub(crate) created: Duration,
    pub(crate) started: Option<Duration>,
    pub(crate) ready: Option<Duration>,
    pub(crate) terminating: bool,
    /// The time at which its deletion was requested.
    pub(crate) deleted: Option<Duration>,
    /// The time at which its node was lost. The pod is terminating from then on, and never gone.
    pub(crate) lost: Option<Duration>,
    pub(crate) gone: Option<Duration>,
    /// The number of the template from which the pod was created.
    pub(crate) template: u64,
    /// Whether a canary created the pod from another template.
    pub(crate) canary: bool,
    /// Whether an annotation opts the pod out of eviction.
    pub(crate) opted_out: bool,
    /// Why the pod does not start.
    pub(crate) defect: Option<Defect>,
    /// The time of the first possible scrape; the others follow at the scrape interval.
    pub(crate) scrape_offset: Duration,
    pub(crate) history: LoadHistory,
}

impl SimPod {
    /// Whether the pod counts as one of the workload's ready pods.
    pub(crate) fn serves(&self) -> bool {
        self.ready.is_some() && !self.terminating
    }

    /// Whether the pod's containers run.
    pub(crate) fn runs(&self) -> bool {
        self.started.is_some() && self.gone.is_none() && self.lost.is_none()
    }

    pub(crate) fn state(&self) -> PodState {
        if self.gone.is_some() {
            PodState::Gone
        } else if self.terminating {
            PodState::Terminating
        } else if self.opted_out {
            PodState::OptedOut
        } else {
            PodState::Present {
                ready: self.ready.is_some(),
            }
        }
    }

    /// The pod as the Kubernetes API reports it.
    pub(crate) fn as_listed(&self, now: Duration, config: &SimConfig) -> Pod {
        Pod {
            name: self.name.clone(),
            ip: None,
            node: None,
            uid: self.uid.clone(),
            measurement: Measurement::default(),
            phase: if self.started.is_some() {
                PodPhase::Running
            } else {
                PodPhase::Pending
            },
            ready: self.ready.is_some(),
            terminating: self.terminating,
            deletion: self.deleted.map(|deleted| self.deletion(deleted, now)),
            owned: true,
            evictability: Evictability::Evictable,
            opted_out: self
                .opted_out
                .then(|| "rebalancer.io/skip: true".to_owned()),
            age_seconds: Some(now.saturating_sub(self.created).into()),
            ready_seconds: self.ready.map(|ready| now.saturating_sub(ready).into()),
            unready_seconds: None,
            restarted_seconds: None,
            request: Cores::new(config.request).ok(),
            pod_request: None,
            other_requests: Load::ZERO,
            template: Some(if self.canary {
                "canary".to_owned()
            } else {
                format!("template-{}", self.template)
            }),
        }
    }

    fn deletion(&self, deleted: Duration, now: Duration) -> Box<Deletion> {
        let due = deleted.saturating_add(GRACE_PERIOD);
        Box::new(Deletion {
            requested_seconds: Some(now.saturating_sub(deleted).into()),
            overdue_seconds: (now > due).then(|| now.saturating_sub(due).into()),
            finalizers: Vec::new(),
            node: Some("node".to_owned()),
        })
    }

    /// The pod as the metrics report it. A pod is reported from its second scrape on, since a rate
    /// needs two samples, and until its samples leave the window, even if it is gone.
    pub(crate) fn as_measured(&self, now: Duration, config: &SimConfig) -> Option<LoadSample> {
        let started = self.started?;
        let first = self.scrape_at_or_after(started, config.scrape_interval);
        let end = self.gone.or(self.lost).unwrap_or(now);
        let last = self.scrape_at_or_before(end, config.scrape_interval)?;
        let age = now.saturating_sub(last);
        if last < first.saturating_add(config.scrape_interval) || age > config.metrics_window {
            return None;
        }
        let average = self.history.average(now, config.metrics_window);
        // The window is covered if the newest sample before its second half is in its first half.
        let half = now.saturating_sub(config.metrics_window / 2);
        let window_covered = self
            .scrape_at_or_before(half.min(last), config.scrape_interval)
            .is_some_and(|sampled| {
                sampled >= first && sampled >= now.saturating_sub(config.metrics_window)
            });
        Some(LoadSample {
            pod: self.name.clone(),
            // A valid configuration yields finite, positive loads.
            measurement: Measurement::new(
                Load::new(average).map_err(|_| SampleFault::NotFinite),
                SampleInfo {
                    age: Some(age.into()),
                    series: 1,
                    window_covered,
                },
            ),
        })
    }

    fn scrape_at_or_before(&self, at: Duration, interval: Duration) -> Option<Duration> {
        let since = at.checked_sub(self.scrape_offset)?;
        at.checked_sub(remainder(since, interval))
    }

    fn scrape_at_or_after(&self, at: Duration, interval: Duration) -> Duration {
        let since = at.saturating_sub(self.scrape_offset);
        let late = remainder(since, interval);
        let on_time = self.scrape_offset.saturating_add(since);
        if late.is_zero() {
            on_time
        } else {
            on_time.saturating_add(interval.saturating_sub(late))
        }
    }
}

fn remainder(length: Duration, interval: Duration) -> Duration {
    let nanos = length
        .as_nanos()
        .checked_rem(interval.as_nanos())
        .unwrap_or(0);
    // The remainder is less than `interval`, so it fits a `Duration`.
    Duration::from_nanos_u128(nanos)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pod(started: u64) -> SimPod {
        let mut history = LoadHistory::default();
        history.record(Duration::from_secs(started), 0.5, Duration::from_secs(300));
        SimPod {
            name: "a".into(),
            uid: PodUid("a".into()),
            created: Duration::from_secs(started),
            started: Some(Duration::from_secs(started)),
            ready: None,
            terminating: false,
            deleted: None,
            lost: None,
            gone: None,
            template: 0,
            canary: false,
            opted_out: false,
            defect: None,
            scrape_offset: Duration::from_secs(4),
            history,
        }
    }

    #[rstest::rstest]
    #[case::scraped_never(103, None)]
    #[case::scraped_once(110, None)]
    #[case::scraped_twice(124, Some(0.0))]
    #[case::between_scrapes(133, Some(9.0))]
    fn pod_is_measured_from_its_second_scrape_on(#[case] now: u64, #[case] age: Option<f64>) {
        // Scrapes at 4, 19, …, 109, 124, 139.
        let sample = pod(100).as_measured(Duration::from_secs(now), &SimConfig::default());
        let seen = sample.map(|sample| sample.measurement.samples().age.unwrap().get());
        assert_eq!(seen, age);
    }

    #[rstest::rstest]
    // Scrapes at 4, 19, …, 109, 124; the window is 300 seconds.
    #[case::young(pod(100), 124, false)]
    #[case::just_not(pod(100), 258, false)]
    #[case::since_half_of_the_window(pod(100), 259, true)]
    #[case::old(pod(100), 4000, true)]
    #[case::gone_a_moment_ago(SimPod { gone: Some(Duration::from_secs(1000)), ..pod(100) }, 1100, true)]
    #[case::gone_as_long_as_the_samples_last(
        SimPod { gone: Some(Duration::from_secs(1000)), ..pod(100) }, 1294, true)]
    fn window_is_covered_by_samples_of_its_first_half(
        #[case] pod: SimPod,
        #[case] now: u64,
        #[case] covered: bool,
    ) {
        let sample = pod.as_measured(Duration::from_secs(now), &SimConfig::default());
        assert_eq!(
            sample.unwrap().measurement.samples().window_covered,
            covered
        );
    }

    #[test]
    fn removed_pod_is_measured_until_its_samples_leave_the_window() {
        let mut pod = pod(100);
        pod.gone = Some(Duration::from_secs(1000));
        // The last scrape is at 994.
        let measured = |now| pod.as_measured(Duration::from_secs(now), &SimConfig::default());
        assert_eq!(
            measured(1100)
                .unwrap()
                .measurement
                .samples()
                .age
                .unwrap()
                .get(),
            106.0
        );
        assert!(measured(1294).is_some());
        assert!(measured(1295).is_none());
    }
}
