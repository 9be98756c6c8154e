//! The random draws of a fault plan.

use std::ops::Range;
use std::time::Duration;

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rebalancer_core::model::{DifferingLabel, Load, Measurement, SampleFault, SampleInfo, Seconds};
use rebalancer_core::ports::{
    AutoscalerCandidate, DuplicateSeries, EvictionAnswer, GroupObservation, GroupState,
    LoadObservation, LoadSample, OffsetsWentBack, OwnerSample, PortErrorKind,
};

use crate::fault_plan::{FaultPlan, LATEST_EFFECT, LONGEST_OVERSLEEP, REQUEST_TIMEOUT};
use crate::kafka::RequestFault;
use crate::pod::Defect;

/// The outcome of a call. Times are durations since the start of the call.
#[derive(Debug, Clone, Copy)]
pub(crate) struct CallOutcome {
    /// The time at which the call reaches the server and takes effect; `None` for never.
    pub(crate) arrives: Option<Duration>,
    /// The time at which the caller has a response or gives up.
    pub(crate) answered: Duration,
    /// The failure that the caller sees instead of the server's response.
    pub(crate) failure: Option<CallFailure>,
}

/// The reason why a caller has no response from the server.
#[derive(Debug, Clone, Copy)]
pub(crate) enum CallFailure {
    /// The call certainly had no effect.
    Refused(PortErrorKind),
    /// The call may have had an effect.
    Lost(PortErrorKind),
}

/// The random numbers and the state of the faults.
#[derive(Debug, Clone)]
pub(crate) struct FaultDraws {
    plan: FaultPlan,
    generator: ChaCha8Rng,
    /// The end of the current outage, in the time of the world.
    outage_until: Duration,
}

const REFUSALS: [PortErrorKind; 7] = [
    PortErrorKind::Unreachable,
    PortErrorKind::Tls,
    PortErrorKind::Unauthorized,
    PortErrorKind::Forbidden,
    PortErrorKind::NotFound,
    PortErrorKind::Rejected,
    PortErrorKind::Setup,
];

const LOSSES: [PortErrorKind; 4] = [
    PortErrorKind::Timeout,
    PortErrorKind::Unreachable,
    PortErrorKind::Server,
    PortErrorKind::BadAnswer,
];

impl FaultDraws {
    pub(crate) fn new(plan: FaultPlan) -> Self {
        let mut generator = ChaCha8Rng::seed_from_u64(plan.seed);
        // The world itself uses streams 1 to 3.
        generator.set_stream(4);
        Self {
            plan,
            generator,
            outage_until: Duration::ZERO,
        }
    }

    /// The outcome of a call that starts at `now`.
    pub(crate) fn call_outcome(&mut self, now: Duration) -> CallOutcome {
        if self.chance(self.plan.outages) {
            self.outage_until = now + self.within(Duration::from_secs(60));
        }
        if now >= self.outage_until && !self.chance(self.plan.failing) {
            let arrives = self.within(self.plan.latency);
            return CallOutcome {
                arrives: Some(arrives),
                answered: arrives + self.within(self.plan.latency),
                failure: None,
            };
        }
        match self.below(20) {
            0..5 => CallOutcome {
                arrives: None,
                answered: self.within(self.plan.latency),
                failure: Some(CallFailure::Refused(self.one_of(&REFUSALS))),
            },
            5..9 => self.lost(None),
            9..14 => {
                let answered = self.within(REQUEST_TIMEOUT);
                let arrives = self.within(answered);
                self.lost_at(Some(arrives), answered)
            }
            14..18 => {
                let answered = self.within(REQUEST_TIMEOUT);
                let arrives = answered + self.within(LATEST_EFFECT.saturating_sub(answered));
                self.lost_at(Some(arrives), answered)
            }
            _ => {
                let answered = self.within(REQUEST_TIMEOUT);
                CallOutcome {
                    arrives: Some(self.within(answered)),
                    answered,
                    failure: None,
                }
            }
        }
    }

    /// The fault of a request to the coordinator of the group. A hand-over makes hundreds of
    /// requests and few mistakes end it, so faults are rarer than those of other calls.
    pub(crate) fn request_fault(&mut self, now: Duration) -> RequestFault {
        const RARER: f64 = 0.05;
        if now < self.outage_until || self.chance(self.plan.failing * RARER) {
            return if self.below(2) == 0 {
                RequestFault::LostRequest
            } else {
                RequestFault::LostResponse
            };
        }
        let latency = self.plan.latency.min(Duration::from_secs(1));
        if self.chance(RARER) && !latency.is_zero() {
            return RequestFault::Slow(self.within(latency));
        }
        RequestFault::None
    }

    /// The duration of a call without faults.
    pub(crate) fn round_trip(&mut self) -> Duration {
        self.within(self.plan.latency) + self.within(self.plan.latency)
    }

    fn lost(&mut self, arrives: Option<Duration>) -> CallOutcome {
        let answered = self.within(REQUEST_TIMEOUT);
        self.lost_at(arrives, answered)
    }

    fn lost_at(&mut self, arrives: Option<Duration>, answered: Duration) -> CallOutcome {
        CallOutcome {
            arrives,
            answered,
            failure: Some(CallFailure::Lost(self.one_of(&LOSSES))),
        }
    }

    /// The time that a process sleeps beyond the requested duration.
    pub(crate) fn oversleep(&mut self) -> Duration {
        if self.chance(self.plan.oversleeping) {
            self.within(LONGEST_OVERSLEEP)
        } else {
            Duration::ZERO
        }
    }

    /// Whether a response is an odd one.
    pub(crate) fn odd(&mut self) -> bool {
        self.chance(self.plan.odd)
    }

    /// A refusal of an eviction for reasons other than the pod and its budget.
    pub(crate) fn refusal(&mut self) -> EvictionAnswer {
        let message = String::from("simulated fault");
        match self.below(4) {
            0 => EvictionAnswer::Failed { message },
            1 if self.below(4) == 0 => EvictionAnswer::Forbidden { message },
            _ => EvictionAnswer::Throttled {
                message,
                retry_after: match self.below(5) {
                    0 => Some(Duration::ZERO),
                    1 => Some(Duration::MAX),
                    2 => Some(self.within(Duration::from_secs(40))),
                    _ => None,
                },
            },
        }
    }

    /// Distorts loads in a way that is possible with a metrics server.
    pub(crate) fn distort_loads(&mut self, loads: &mut LoadObservation) {
        match self.below(14) {
            0 => loads.partial = Some("one store did not answer".into()),
            1 => {
                let kept = self.below(10);
                let mut turn = 0;
                loads.samples.retain(|_| {
                    turn += 1;
                    turn % 10 != kept
                });
            }
            2 => self.distort_one(loads, |sample, _| {
                make_faulty(sample, SampleFault::NotFinite)
            }),
            3 => self.distort_one(loads, |sample, _| {
                make_faulty(sample, SampleFault::Negative)
            }),
            4 => self.distort_one(loads, |sample, _| {
                sample.measurement.samples_mut().series = 2;
            }),
            11 => self.duplicate_all(loads),
            12 => self.stop_counters(loads),
            5 => self.distort_one(loads, |sample, faults| {
                sample.measurement.samples_mut().age =
                    Some(faults.within(Duration::from_secs(600)).into());
            }),
            6 => self.distort_one(loads, |sample, _| {
                sample.measurement.samples_mut().age = None;
            }),
            7 => {
                for sample in &mut loads.samples {
                    sample.measurement.samples_mut().window_covered = false;
                }
            }
            8 => loads.evaluated_at = None,
            9 => {
                let by = self.within(Duration::from_secs(600));
                loads.evaluated_at = loads.evaluated_at.and_then(|at| {
                    if by.subsec_nanos().is_multiple_of(2) {
                        at.checked_sub(by).ok()
                    } else {
                        at.checked_add(by).ok()
                    }
                });
            }
            10 => {
                loads.freshness_known = false;
                for sample in &mut loads.samples {
                    sample.measurement.samples_mut().age = None;
                }
            }
            _ => {
                if let Some(mut sample) = loads.samples.first().cloned() {
                    sample.pod = "pod-of-another-workload".into();
                    sample.measurement.samples_mut().age = Some(Seconds::ZERO);
                    loads.samples.push(sample);
                }
            }
        }
    }

    /// Adds a second series of every container, so that each load is counted twice. Any label may
    /// separate the series; nested cgroups are counted once.
    fn duplicate_all(&mut self, loads: &mut LoadObservation) {
        const LABELS: [&str; 6] = ["job", "endpoint", "metrics_path", "id", "name", "cluster"];
        let label = LABELS.get(self.below(LABELS.len() + 1));
        let Some(label) = label else {
            loads.nested_cgroups = loads.samples.iter().map(|s| s.pod.clone()).collect();
            return;
        };
        for sample in &mut loads.samples {
            let samples = SampleInfo {
                series: 2,
                ..*sample.measurement.samples()
            };
            if let Some(load) = sample.measurement.load() {
                let doubled = Load::new(2.0 * load.get()).map_err(|_| SampleFault::NotFinite);
                sample.measurement = Measurement::new(doubled, samples);
            }
            loads.duplicates.push(DuplicateSeries {
                pod: sample.pod.clone(),
                labels: vec![DifferingLabel {
                    name: (*label).to_owned(),
                    values: vec!["one".to_owned(), "other".to_owned()],
                }],
            });
        }
    }

    /// Stops the counters of a part of the pods, as those of a node whose runtime failed.
    fn stop_counters(&mut self, loads: &mut LoadObservation) {
        let (nodes, broken) = (self.between(1..5).as_secs(), self.below(4));
        for (index, sample) in loads.samples.iter_mut().enumerate() {
            let node = index.checked_rem(usize::try_from(nodes).unwrap_or(1));
            if node == Some(broken) && sample.measurement.load().is_some() {
                let samples = *sample.measurement.samples();
                sample.measurement = Measurement::Load(Load::ZERO, samples);
            }
        }
    }

    fn distort_one(
        &mut self,
        loads: &mut LoadObservation,
        distort: impl Fn(&mut LoadSample, &mut Self),
    ) {
        let index = self.below(loads.samples.len());
        if let Some(sample) = loads.samples.get_mut(index) {
            distort(sample, self);
        }
    }

    /// Distorts the state of the group in a way that is possible with its source.
    pub(crate) fn distort_group(&mut self, group: &mut GroupObservation) {
        match &mut group.described {
            Some(described) => {
                let lags = group.lags.as_mut();
                match self.below(6) {
                    0 => described.state = GroupState::from("CompletingRebalance".to_owned()),
                    1 => described.members.clear(),
                    2 => {
                        let index = self.below(described.members.len().max(1));
                        if let Some(member) = described.members.get_mut(index) {
                            member.labels.client_id = Some("of another workload".into());
                            member.labels.instance = None;
                        }
                    }
                    3 => {
                        let index = self.below(described.members.len().max(1));
                        if let Some(member) = described.members.get_mut(index) {
                            member.owned.clear();
                        }
                    }
                    4 => {
                        for sample in lags.into_iter().flatten() {
                            sample.records = Some(u64::MAX);
                        }
                    }
                    _ => {
                        group.partial = Some("the offsets of 1 partition could not be read".into())
                    }
                }
            }
            None => self.distort_metrics_of_group(group),
        }
    }

    /// Distorts the state of the group in a way that is possible with metrics.
    fn distort_metrics_of_group(&mut self, group: &mut GroupObservation) {
        match self.below(7) {
            0 => group.partial = Some("one store did not answer".into()),
            1 if !group.owners.is_empty() => {
                let lost = self.below(group.owners.len());
                group.owners.remove(lost);
            }
            2 if !group.owners.is_empty() => {
                let (one, other) = (
                    self.below(group.owners.len()),
                    self.below(group.owners.len()),
                );
                let owner = group.owners.get(other).map(|sample| sample.owner.clone());
                let sample = group.owners.get(one).cloned();
                group.owners.extend(
                    sample
                        .zip(owner)
                        .map(|(sample, owner)| OwnerSample { owner, ..sample }),
                );
            }
            3 => {
                if let Some(rates) = &mut group.rates {
                    let index = self.below(rates.len().max(1));
                    if let Some(sample) = rates.get_mut(index) {
                        sample.rate = Err(SampleFault::NotFinite);
                    }
                }
            }
            4 => group.rates = None,
            5 => {
                let rates = group.rates.iter().flatten();
                let partitions = rates.map(|sample| (sample.topic.clone(), sample.partition));
                group.offsets_went_back = Some(OffsetsWentBack {
                    partitions: partitions.take(1).collect(),
                    window_seconds: Seconds::whole(300),
                });
            }
            _ => group.owners.clear(),
        }
    }

    /// Distorts autoscalers as if their status were missing or outdated.
    pub(crate) fn distort_autoscalers(&mut self, candidates: &mut Vec<AutoscalerCandidate>) {
        match self.below(5) {
            0 => candidates.clear(),
            1 => {
                for AutoscalerCandidate { autoscaler, .. } in candidates {
                    autoscaler.current_replicas = None;
                    autoscaler.desired_replicas = None;
                }
            }
            2 => {
                for AutoscalerCandidate { autoscaler, .. } in candidates {
                    autoscaler.current_replicas = autoscaler
                        .current_replicas
                        .map(|pods| pods.saturating_add(1));
                }
            }
            3 => {
                for AutoscalerCandidate { autoscaler, .. } in candidates {
                    autoscaler.current_replicas = autoscaler
                        .current_replicas
                        .map(|pods| pods.saturating_add(1));
                    autoscaler.desired_replicas = autoscaler.current_replicas;
                }
            }
            _ => candidates.extend(candidates.first().cloned()),
        }
    }

    /// The reason why a new pod does not start; `None` if it starts.
    pub(crate) fn defect(&mut self) -> Option<Defect> {
        if !self.chance(self.plan.broken_pods) {
            return None;
        }
        Some(match self.below(3) {
            0 => Defect::Crashes,
            1 => Defect::NoImage,
            _ => Defect::NoRoom(self.within(Duration::from_secs(240))),
        })
    }

    /// The time until the next disturbance; `None` for never.
    pub(crate) fn until_disturbed(&mut self) -> Option<Duration> {
        let mean = self.plan.disturbed_every?;
        Some(self.within(mean.saturating_mul(2)))
    }

    /// Ends the disturbances of the cluster.
    pub(crate) fn end_disturbances(&mut self) {
        self.plan.disturbed_every = None;
        self.plan.broken_pods = 0.0;
    }

    /// A random number below `limit`; 0 if `limit` is 0.
    pub(crate) fn below(&mut self, limit: usize) -> usize {
        if limit == 0 {
            return 0;
        }
        self.generator.random_range(0..limit)
    }

    /// A random duration of a whole number of seconds.
    pub(crate) fn between(&mut self, range: Range<u64>) -> Duration {
        Duration::from_secs(self.generator.random_range(range))
    }

    /// A random duration shorter than `limit`; zero if `limit` is zero.
    pub(crate) fn within(&mut self, limit: Duration) -> Duration {
        let nanos = u64::try_from(limit.as_nanos()).unwrap_or(u64::MAX);
        if nanos == 0 {
            return Duration::ZERO;
        }
        Duration::from_nanos(self.generator.random_range(0..nanos))
    }

    fn chance(&mut self, share: f64) -> bool {
        // A share of 0 needs no draw, so a plan without faults is cheap.
        share > 0.0 && self.generator.random::<f64>() < share
    }

    fn one_of<const N: usize>(&mut self, kinds: &[PortErrorKind; N]) -> PortErrorKind {
        kinds[self.below(N)]
    }
}

fn make_faulty(sample: &mut LoadSample, fault: SampleFault) {
    sample.measurement = Measurement::Faulty(fault, *sample.measurement.samples());
}
