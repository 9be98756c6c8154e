//! One imagined execution of a plan, and what the group looks like after it.

use super::attribution::Attribution;
use super::chance::Chance;
use super::membership::{Batch, Order, Timing, batches};
use crate::group::{Group, Protocol};
use kafka_assignors::{Algorithm, Assignment, Member};

/// How long a rebalance of a classic group takes, in seconds: until each member has heard of it
/// with its next heartbeat (`heartbeat.interval.ms`, 3 s by default); about as long at the
/// default of KIP-848 (5 s).
const REBALANCE_SECONDS: f64 = 3.0;

/// A group and what explains its loads: all that a forecast works with.
#[derive(Debug)]
pub struct Subject<'a> {
    /// The group.
    pub group: &'a Group,
    /// What explains the loads of its pods.
    pub attribution: &'a Attribution,
    /// How it assigns.
    pub algorithm: Algorithm,
    /// The target, in cores, where there is one.
    pub target: Option<f64>,
    /// A pod with a higher load is hot; `None` when there is no target.
    pub threshold: Option<f64>,
}

/// What came of one imagined execution.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Outcome {
    /// The highest load of a pod, in cores.
    pub(crate) peak: f64,
    /// The mean load, in cores.
    pub(crate) mean: f64,
    pub(crate) hot: usize,
    /// Partitions that have another owner than before.
    pub(crate) moved: usize,
    /// Seconds during which partitions were not served, summed over the partitions.
    pub(crate) unserved: f64,
}

impl Outcome {
    /// The highest load as a multiple of the mean; 1 when nobody spends anything.
    pub(crate) fn imbalance(&self) -> f64 {
        if self.mean > 0.0 {
            self.peak / self.mean
        } else {
            1.0
        }
    }
}

/// The broker's `uniform` walks hash tables, whose order hangs on when members came to be in them as
/// well as on their ids. So in one of so many samples the ids are taken for unknown; without that the
/// intervals are too narrow, and with none that are known too wide, on what real groups did.
const DISREGARDED_IDS_OF_UNIFORM: usize = 4;

/// The matters that a sample draws luck for, see [`Chance::about`]. Pods and members follow on
/// their own, so that each has the same luck in every plan.
const SEQUENCE: usize = 0;
const MEMBER_IDS: usize = 1;
/// Below those of [`batches`], which are few.
const REPLACEMENT_IDS: usize = 100;

/// The group in the middle of it.
struct State {
    members: Vec<Member>,
    /// For each member its pod, and whether it is of the replacement.
    pods: Vec<(usize, bool)>,
    owners: Assignment,
}

impl<'a> Subject<'a> {
    /// The loads as they are explained, before anything is done, by pod.
    #[must_use]
    pub fn loads(&self) -> Vec<f64> {
        self.loads_of(self.pod_owners(), |_| true)
    }

    /// The highest load before anything is done.
    #[must_use]
    pub fn peak(&self) -> f64 {
        self.loads().into_iter().fold(0.0, f64::max)
    }

    /// The highest load as a multiple of the mean; 1 when nobody spends anything.
    #[must_use]
    pub fn imbalance(&self) -> f64 {
        let loads = self.loads();
        #[expect(clippy::cast_precision_loss, reason = "a number of pods")]
        let mean = loads.iter().sum::<f64>() / loads.len().max(1) as f64;
        if mean > 0.0 { self.peak() / mean } else { 1.0 }
    }

    /// What [`Group::pod_owners`] is, one after the other: a sample shall not make a list of it.
    fn pod_owners(&self) -> impl Iterator<Item = Option<usize>> {
        let owners = self.group.owners.owners();
        owners.map(|member| self.group.pod_of.get(member?).copied())
    }

    /// Loads by pod; the residual stays with a pod that `stays`.
    fn loads_of(
        &self,
        owners: impl Iterator<Item = Option<usize>>,
        stays: impl Fn(usize) -> bool,
    ) -> Vec<f64> {
        let residuals = self.attribution.residuals.iter().enumerate();
        let mut loads: Vec<f64> = residuals
            .map(|(pod, residual)| self.attribution.base + if stays(pod) { *residual } else { 0.0 })
            .collect();
        for (owner, load) in owners.zip(&self.attribution.partitions) {
            if let Some(sum) = owner.and_then(|pod| loads.get_mut(pod)) {
                *sum += load;
            }
        }
        // A pod that spends less than explained, and now owns less, spends nothing at the least.
        for load in &mut loads {
            *load = load.max(0.0);
        }
        loads
    }

    /// Plays the replacement of the pods of each wave once, in the order that is given or drawn.
    pub(crate) fn play(&self, waves: &[&[usize]], order: Option<Order>, chance: Chance) -> Outcome {
        let mut state = self.start(chance);
        let mut unserved = 0.0;
        for (number, wave) in waves.iter().enumerate() {
            let chance = chance.about(SEQUENCE).about(number);
            unserved += self.wave(&mut state, wave, order, chance);
        }
        self.outcome(&state, waves, unserved)
    }

    fn start(&self, chance: Chance) -> State {
        let ids = chance.about(MEMBER_IDS);
        let otherwise =
            self.algorithm == Algorithm::Uniform && ids.below(DISREGARDED_IDS_OF_UNIFORM) == 0;
        let named = |(place, member): (usize, &Member)| {
            let mut member = member.clone();
            if member.id.is_empty() || otherwise {
                member.id = unknown_id(ids.about(place));
            }
            member
        };
        State {
            members: self.group.members.iter().enumerate().map(named).collect(),
            pods: self.group.pod_of.iter().map(|pod| (*pod, false)).collect(),
            owners: self.group.owners.clone(),
        }
    }

    /// Replaces the pods of one wave; yields the seconds that partitions were not served.
    fn wave(&self, state: &mut State, wave: &[usize], order: Option<Order>, chance: Chance) -> f64 {
        let is_static = |pod: &usize| {
            let members = self.group.pod_of.iter().zip(&self.group.members);
            let mut of_pod = members.filter(|(of, _)| *of == pod).peekable();
            of_pod.peek().is_some() && of_pod.all(|(_, member)| member.instance.is_some())
        };
        let (fixed, dynamic): (Vec<usize>, Vec<usize>) =
            wave.iter().partition(|pod| is_static(pod));
        // Nobody serves what a static member owned until it is back or its session is over.
        let of_fixed = |pod: Option<usize>| pod.is_some_and(|pod| fixed.contains(&pod));
        #[expect(clippy::cast_precision_loss, reason = "a number of partitions")]
        let waiting = if fixed.is_empty() {
            0.0
        } else {
            self.pod_owners().filter(|pod| of_fixed(*pod)).count() as f64
        };
        let mut unserved = waiting * self.group.session_timeout;
        let timing = order.map_or(
            Timing::Startups(&self.group.startups, self.group.stable_names),
            Timing::Known,
        );
        let mut rebalances = batches(&dynamic, timing, self.group.protocol, chance);
        // A replacement of the same name takes the place of the member before it, and nothing is
        // assigned anew. Of another name it joins at once, and the old member goes when its
        // session is over.
        if !self.group.stable_names {
            rebalances.extend(batches(
                &fixed,
                Timing::Known(Order::JoinFirst),
                self.group.protocol,
                chance,
            ));
        }
        for batch in &rebalances {
            unserved += self.rebalance(state, batch, chance);
        }
        unserved
    }

    fn rebalance(&self, state: &mut State, batch: &Batch, chance: Chance) -> f64 {
        if batch.leave.is_empty() && batch.join.is_empty() {
            return 0.0;
        }
        let mut places = Vec::with_capacity(state.members.len());
        let mut next = 0;
        for (pod, replacement) in &state.pods {
            let stays = *replacement || !batch.leave.contains(pod);
            places.push(stays.then_some(next));
            next += usize::from(stays);
        }
        let stays = |place: &mut std::slice::Iter<'_, Option<usize>>| {
            place.next().is_some_and(Option::is_some)
        };
        let mut place = places.iter();
        state.members.retain(|_| stays(&mut place));
        let mut place = places.iter();
        state.pods.retain(|_| stays(&mut place));
        for pod in &batch.join {
            let originals = self
                .group
                .members
                .iter()
                .zip(&self.group.pod_of)
                .enumerate();
            for (place, (original, _)) in originals.filter(|(_, (_, of))| *of == pod) {
                let chance = chance.about(REPLACEMENT_IDS).about(place);
                let neighbour = if self.group.stable_names {
                    original
                } else {
                    let any = chance.about(0).below(self.group.members.len());
                    self.group.members.get(any).unwrap_or(original)
                };
                state.members.push(replacement(original, neighbour, chance));
                state.pods.push((*pod, true));
            }
        }
        let before = state.owners.renumbered(&places);
        let settled = self
            .algorithm
            .settle(&self.group.topics, &state.members, &before);
        let moved = before
            .owners()
            .zip(settled.assignment.owners())
            .filter(|(before, after)| before != after)
            .count();
        state.owners = settled.assignment;
        // Everybody stops in an eager rebalance, else only what moves.
        let stopped = match (self.algorithm.is_eager(), self.group.protocol) {
            (true, Protocol::Classic) => self.group.topics.partitions(),
            (true | false, Protocol::Classic | Protocol::Consumer) => moved,
        };
        #[expect(clippy::cast_precision_loss, reason = "a number of partitions")]
        let stopped = stopped as f64;
        stopped * REBALANCE_SECONDS
    }

    fn outcome(&self, state: &State, waves: &[&[usize]], unserved: f64) -> Outcome {
        let owners = || {
            let owners = state.owners.owners();
            owners.map(|member| state.pods.get(member?).copied())
        };
        let evicted = |pod: usize| waves.iter().any(|wave| wave.contains(&pod));
        let loads = self.loads_of(owners().map(|owner| owner.map(|(pod, _)| pod)), |pod| {
            !evicted(pod)
        });
        let moved = owners().zip(self.pod_owners());
        let moved = moved.filter(|(now, before)| *now != before.map(|pod| (pod, false)));
        let peak = loads.iter().copied().fold(0.0, f64::max);
        #[expect(clippy::cast_precision_loss, reason = "a number of pods")]
        let mean = loads.iter().sum::<f64>() / loads.len().max(1) as f64;
        let threshold = self.threshold.unwrap_or(f64::INFINITY);
        Outcome {
            peak,
            mean,
            hot: loads.iter().filter(|load| **load > threshold).count(),
            moved: moved.count(),
            unserved,
        }
    }
}

/// The member of a replacement: the same, with an id as the coordinator or the client will make it.
/// Ids are `<client.id>-<uuid>`, or a UUID alone in KIP-848. A client id that is made of the pod's
/// name is another one then; where it will be among the others nobody knows, so that it is taken
/// next to that of `neighbour`, any member.
fn replacement(original: &Member, neighbour: &Member, chance: Chance) -> Member {
    const UUID: usize = 36;
    let client = neighbour.id.len().checked_sub(UUID);
    let client = client
        .and_then(|end| neighbour.id.get(..end))
        .unwrap_or_default();
    Member {
        id: format!("{client}{}", unknown_id(chance)),
        ..original.clone()
    }
}

/// An id of which only the order among others matters.
fn unknown_id(chance: Chance) -> String {
    format!("{:016x}", chance.bits())
}
