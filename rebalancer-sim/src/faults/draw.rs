//! The draws of a fault plan.

use std::ops::Range;
use std::time::Duration;

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rebalancer_core::model::{Autoscaler, SampleFault, Seconds};
use rebalancer_core::ports::{
    EvictionAnswer, GroupObservation, LoadObservation, LoadSample, OwnerSample, PortErrorKind,
};

use super::{FaultPlan, LATEST_EFFECT, LONGEST_OVERSLEEP, REQUEST_TIMEOUT};

/// What becomes of one call. Lengths of time count from its beginning.
#[derive(Debug, Clone, Copy)]
pub(crate) struct CallOutcome {
    /// When it reaches the server and takes effect there; `None` for never.
    pub(crate) arrives: Option<Duration>,
    /// When the caller has an answer, or gives up.
    pub(crate) answered: Duration,
    /// What the caller is told instead of the server's answer.
    pub(crate) trouble: Option<CallFailure>,
}

/// Why a caller has no answer of the server.
#[derive(Debug, Clone, Copy)]
pub(crate) enum CallFailure {
    /// The call had no effect, and the caller knows it.
    Refused(PortErrorKind),
    /// The caller cannot know whether it had an effect.
    Lost(PortErrorKind),
}

/// Why a new pod does not come up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Defect {
    /// Its container ends again and again.
    Crashes,
    /// Its container cannot be created.
    NoImage,
    /// No node has room, for so long.
    NoRoom(Duration),
}

/// The state of the draws.
#[derive(Debug, Clone)]
pub(crate) struct Faults {
    plan: FaultPlan,
    generator: ChaCha8Rng,
    /// Nothing is in reach until then, in the time of the world.
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

impl Faults {
    pub(crate) fn new(plan: FaultPlan) -> Self {
        let mut generator = ChaCha8Rng::seed_from_u64(plan.seed);
        // Streams 1 to 3 are those of the world itself.
        generator.set_stream(4);
        Self {
            plan,
            generator,
            outage_until: Duration::ZERO,
        }
    }

    /// What becomes of a call that is begun at `now`.
    pub(crate) fn fate(&mut self, now: Duration) -> CallOutcome {
        if self.chance(self.plan.outages) {
            self.outage_until = now + self.within(Duration::from_secs(60));
        }
        if now >= self.outage_until && !self.chance(self.plan.failing) {
            let arrives = self.within(self.plan.latency);
            return CallOutcome {
                arrives: Some(arrives),
                answered: arrives + self.within(self.plan.latency),
                trouble: None,
            };
        }
        match self.below(20) {
            0..5 => CallOutcome {
                arrives: None,
                answered: self.within(self.plan.latency),
                trouble: Some(CallFailure::Refused(self.one_of(&REFUSALS))),
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
                    trouble: None,
                }
            }
        }
    }

    /// How long a call takes when nothing is wrong.
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
            trouble: Some(CallFailure::Lost(self.one_of(&LOSSES))),
        }
    }

    /// How much longer than asked for a process sleeps.
    pub(crate) fn oversleep(&mut self) -> Duration {
        if self.chance(self.plan.oversleeping) {
            self.within(LONGEST_OVERSLEEP)
        } else {
            Duration::ZERO
        }
    }

    /// An answer is to be an odd one.
    pub(crate) fn odd(&mut self) -> bool {
        self.chance(self.plan.odd)
    }

    /// The refusal of an eviction that the pod and its budget have no part in.
    pub(crate) fn refusal(&mut self) -> EvictionAnswer {
        let message = String::from("as the fault plan has it");
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

    /// Bends an observation of the loads in one of the ways a metrics server may.
    pub(crate) fn bend_loads(&mut self, loads: &mut LoadObservation) {
        match self.below(12) {
            0 => loads.partial = Some("one store did not answer".into()),
            1 => {
                let kept = self.below(10);
                let mut turn = 0;
                loads.samples.retain(|_| {
                    turn += 1;
                    turn % 10 != kept
                });
            }
            2 => self.bend_one(loads, |sample, _| sample.load = Err(SampleFault::NotFinite)),
            3 => self.bend_one(loads, |sample, _| sample.load = Err(SampleFault::Negative)),
            4 => self.bend_one(loads, |sample, _| sample.series = 2),
            5 => self.bend_one(loads, |sample, faults| {
                sample.age = Some(faults.within(Duration::from_secs(600)).into());
            }),
            6 => self.bend_one(loads, |sample, _| sample.age = None),
            7 => {
                for sample in &mut loads.samples {
                    sample.window_covered = false;
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
                    sample.age = None;
                }
            }
            _ => {
                if let Some(sample) = loads.samples.first().cloned() {
                    loads.samples.push(LoadSample {
                        pod: "a-pod-of-somebody-else".into(),
                        age: Some(Seconds::ZERO),
                        ..sample
                    });
                }
            }
        }
    }

    fn bend_one(&mut self, loads: &mut LoadObservation, bend: impl Fn(&mut LoadSample, &mut Self)) {
        let index = self.below(loads.samples.len());
        if let Some(sample) = loads.samples.get_mut(index) {
            bend(sample, self);
        }
    }

    /// Bends what is known of the group in one of the ways in which metrics lie.
    pub(crate) fn bend_group(&mut self, group: &mut GroupObservation) {
        match self.below(6) {
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
                    let bent = self.below(rates.len().max(1));
                    if let Some(sample) = rates.get_mut(bent) {
                        sample.rate = Err(SampleFault::NotFinite);
                    }
                }
            }
            4 => group.rates = None,
            _ => group.owners.clear(),
        }
    }

    /// Bends autoscalers in one of the ways in which their status may be behind.
    pub(crate) fn bend_autoscalers(&mut self, autoscalers: &mut Vec<Autoscaler>) {
        match self.below(5) {
            0 => autoscalers.clear(),
            1 => {
                for autoscaler in autoscalers {
                    autoscaler.current_replicas = None;
                    autoscaler.desired_replicas = None;
                }
            }
            2 => {
                for autoscaler in autoscalers {
                    autoscaler.current_replicas = autoscaler
                        .current_replicas
                        .map(|pods| pods.saturating_add(1));
                }
            }
            3 => {
                for autoscaler in autoscalers {
                    autoscaler.current_replicas = autoscaler
                        .current_replicas
                        .map(|pods| pods.saturating_add(1));
                    autoscaler.desired_replicas = autoscaler.current_replicas;
                }
            }
            _ => autoscalers.extend(autoscalers.first().cloned()),
        }
    }

    /// Why a new pod does not come up; `None` when it does.
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

    /// How long until something happens to the world; `None` for never.
    pub(crate) fn until_disturbed(&mut self) -> Option<Duration> {
        let mean = self.plan.disturbed_every?;
        Some(self.within(mean.saturating_mul(2)))
    }

    /// A number below `limit`; 0 when there is none.
    pub(crate) fn below(&mut self, limit: usize) -> usize {
        if limit == 0 {
            return 0;
        }
        self.generator.random_range(0..limit)
    }

    pub(crate) fn between(&mut self, range: Range<u64>) -> Duration {
        Duration::from_secs(self.generator.random_range(range))
    }

    /// A length of time shorter than `limit`, or none at all.
    pub(crate) fn within(&mut self, limit: Duration) -> Duration {
        let nanos = u64::try_from(limit.as_nanos()).unwrap_or(u64::MAX);
        if nanos == 0 {
            return Duration::ZERO;
        }
        Duration::from_nanos(self.generator.random_range(0..nanos))
    }

    fn chance(&mut self, share: f64) -> bool {
        // No draw for what cannot be, so that a calm plan costs nothing.
        share > 0.0 && self.generator.random::<f64>() < share
    }

    fn one_of<const N: usize>(&mut self, kinds: &[PortErrorKind; N]) -> PortErrorKind {
        kinds[self.below(N)]
    }
}
