//! One simulated execution of a plan, evictions or a rejoin, and the resulting state of the group.

use kafka_assignors::{Algorithm, Assignment, Member, MemberIndex};

use super::attribution::Attribution;
use super::chance::Chance;
use super::membership::{Batch, LeaveJoinOrder, Timing, batches, rejoins};
use crate::group::{GroupModel, Protocol, ServingPodIndex};
use crate::statistics::{imbalance, mean};

/// The duration of a rebalance in seconds. In a classic group each member learns about it with its
/// next heartbeat (`heartbeat.interval.ms`, 3 s by default). With the default of KIP-848 (5 s) the
/// duration is similar.
const REBALANCE_SECONDS: f64 = 3.0;

/// The subject of a forecast: a group, and the attribution of its loads.
#[derive(Debug)]
pub struct Subject<'a> {
    /// The group.
    pub group: &'a GroupModel,
    /// The attribution of the loads of its pods.
    pub attribution: &'a Attribution,
    /// The assignor.
    pub algorithm: Algorithm,
    /// The target, if there is one.
    pub target: Option<f64>,
    /// The load above which a pod is hot; `None` without a target.
    pub threshold: Option<f64>,
}

/// The outcome of one simulated execution. Loads are in cores, or in the unit of a custom load
/// query.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Outcome {
    /// The highest load of a pod.
    pub(crate) peak: f64,
    /// The mean load.
    pub(crate) mean: f64,
    /// The number of hot pods.
    pub(crate) hot: usize,
    /// The number of partitions with a different owner than before.
    pub(crate) moved: usize,
    /// Seconds during which partitions were not consumed, summed over the partitions.
    pub(crate) unserved: f64,
}

impl Outcome {
    /// The highest load as a multiple of the mean; 1 if all loads are zero.
    pub(crate) fn imbalance(&self) -> f64 {
        imbalance(self.peak, self.mean)
    }
}

/// One in this number of samples treats the member ids of a `uniform` group as unknown. The broker
/// iterates over hash tables, whose order depends on the insertion order of the members as well as
/// on their ids. On recorded groups the intervals are too narrow if the ids are always used, and
/// too wide if they are never used.
const DISREGARDED_IDS_OF_UNIFORM: usize = 4;

/// The subjects of a sample's draws, see [`Chance::about`]. Draws for pods and members are nested,
/// so that each of them gets the same draws in every plan.
const SEQUENCE: usize = 0;
const MEMBER_IDS: usize = 1;
/// Above the subjects that [`batches`] uses.
const REPLACEMENT_IDS: usize = 100;

/// The execution of a plan.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Event<'a> {
    /// The pods of each wave are replaced, one wave after the other.
    Replacement {
        waves: &'a [&'a [ServingPodIndex]],
        /// The order of leaves and joins. If `None`, it is drawn.
        order: Option<LeaveJoinOrder>,
    },
    /// The members of these pods are removed from the group at once and return. The pods stay.
    Rejoin(&'a [ServingPodIndex]),
}

/// The members that join in a rebalance.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Joining {
    /// The members of replacements.
    Replacements,
    /// The members that were removed before, or in the same rebalance.
    Removed,
}

/// The group during an execution.
struct State {
    members: Vec<Member>,
    /// The pod of each member, or of its predecessor if the member runs in a replacement.
    pods: Vec<Placement>,
    owners: Assignment,
    /// The removed members that have not returned, with their indices in the group.
    removed: Vec<(usize, Member, Placement)>,
}

/// The pod of a member.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Placement {
    pod: ServingPodIndex,
    /// Whether the member runs in the replacement of the pod.
    replacement: bool,
}

impl<'a> Subject<'a> {
    /// The attributed load of each pod before the execution.
    #[must_use]
    pub fn loads(&self) -> Vec<f64> {
        self.loads_of(self.group.iter_pod_owners(), |_| true)
    }

    /// The highest load before the execution.
    #[must_use]
    pub fn peak(&self) -> f64 {
        self.loads().into_iter().fold(0.0, f64::max)
    }

    /// The highest load as a multiple of the mean, before the execution; 1 if all loads are zero.
    #[must_use]
    pub fn imbalance(&self) -> f64 {
        imbalance(self.peak(), mean(self.loads().into_iter()))
    }

    /// The load of each pod. Pods that stay keep their residual.
    fn loads_of(
        &self,
        owners: impl Iterator<Item = Option<ServingPodIndex>>,
        stays: impl Fn(ServingPodIndex) -> bool,
    ) -> Vec<f64> {
        let residuals = &self.attribution.residuals;
        let residuals = ServingPodIndex::all(residuals.len()).zip(residuals);
        let mut loads: Vec<f64> = residuals
            .map(|(pod, residual)| self.attribution.base + if stays(pod) { *residual } else { 0.0 })
            .collect();
        for (owner, load) in owners.zip(&self.attribution.partitions) {
            if let Some(sum) = owner.and_then(|pod| loads.get_mut(pod.get())) {
                *sum += load;
            }
        }
        // A pod with a negative residual that now owns less could get a negative load.
        for load in &mut loads {
            *load = load.max(0.0);
        }
        loads
    }

    /// Simulates the execution of a plan once.
    pub(crate) fn play(&self, event: Event<'_>, chance: Chance) -> Outcome {
        let mut state = self.start(chance);
        let mut unserved = 0.0;
        match event {
            Event::Replacement { waves, order } => {
                for (number, wave) in waves.iter().enumerate() {
                    let chance = chance.about(SEQUENCE).about(number);
                    unserved += self.wave(&mut state, wave, order, chance);
                }
                let evicted = |pod| waves.iter().any(|wave| wave.contains(&pod));
                self.outcome(&state, |pod| !evicted(pod), unserved)
            }
            Event::Rejoin(pods) => {
                let chance = chance.about(SEQUENCE).about(0);
                for batch in rejoins(pods, self.group.protocol, chance) {
                    unserved += self.rebalance(&mut state, &batch, Joining::Removed, chance);
                }
                self.outcome(&state, |_| true, unserved)
            }
        }
    }

    fn start(&self, chance: Chance) -> State {
        let placement = |pod: &ServingPodIndex| Placement {
            pod: *pod,
            replacement: false,
        };
        State {
            members: members_with_ids(self.group, self.algorithm, chance.about(MEMBER_IDS)),
            pods: self.group.pod_of.iter().map(placement).collect(),
            owners: self.group.owners.clone(),
            removed: Vec::new(),
        }
    }

    /// Replaces the pods of one wave. Returns the seconds during which partitions were not
    /// consumed.
    fn wave(
        &self,
        state: &mut State,
        wave: &[ServingPodIndex],
        order: Option<LeaveJoinOrder>,
        chance: Chance,
    ) -> f64 {
        let is_static = |pod: &ServingPodIndex| {
            let members = self.group.pod_of.iter().zip(&self.group.members);
            let mut of_pod = members.filter(|(of, _)| *of == pod).peekable();
            of_pod.peek().is_some() && of_pod.all(|(_, member)| member.instance.is_some())
        };
        // The run removes members that do not return, as if they left by themselves.
        let is_removed = |pod: &ServingPodIndex| {
            let mut members = self.group.pod_of.iter().zip(&self.group.returns);
            self.group.removes_static_members && members.all(|(of, returns)| of != pod || !*returns)
        };
        let (fixed, dynamic): (Vec<ServingPodIndex>, Vec<ServingPodIndex>) = wave
            .iter()
            .partition(|pod| is_static(pod) && !is_removed(pod));
        // The partitions of a static member are not consumed until it returns or its session
        // expires.
        let of_fixed = |pod: Option<ServingPodIndex>| pod.is_some_and(|pod| fixed.contains(&pod));
        #[expect(clippy::cast_precision_loss, reason = "a number of partitions")]
        let waiting = if fixed.is_empty() {
            0.0
        } else {
            let owners = self.group.iter_pod_owners();
            owners.filter(|pod| of_fixed(*pod)).count() as f64
        };
        let mut unserved = waiting * self.group.session_timeout;
        let timing = order.map_or(
            Timing::Startups(&self.group.startups, self.group.stable_names),
            Timing::Known,
        );
        let mut rebalances = batches(&dynamic, timing, self.group.protocol, chance);
        // A replacement with the same instance id continues the membership, without a rebalance.
        // With another one it joins as a new member, and the old one leaves when its session
        // expires.
        let returns = |pod: &ServingPodIndex| {
            let mut members = self.group.pod_of.iter().zip(&self.group.returns);
            members.all(|(of, returns)| of != pod || *returns)
        };
        let new: Vec<ServingPodIndex> = fixed.iter().copied().filter(|pod| !returns(pod)).collect();
        if !new.is_empty() {
            rebalances.extend(batches(
                &new,
                Timing::Known(LeaveJoinOrder::JoinFirst),
                self.group.protocol,
                chance,
            ));
        }
        for batch in &rebalances {
            unserved += self.rebalance(state, batch, Joining::Replacements, chance);
        }
        unserved
    }

    /// Returns the seconds during which partitions were not consumed.
    fn rebalance(&self, state: &mut State, batch: &Batch, joining: Joining, chance: Chance) -> f64 {
        if batch.leave.is_empty() && batch.join.is_empty() {
            return 0.0;
        }
        let mut new_indices = Vec::with_capacity(state.members.len());
        let mut next = 0;
        for (index, (member, placement)) in state.members.iter().zip(&state.pods).enumerate() {
            // To the assignor it is as if a member that claims its partitions again had not left.
            let claims = || {
                self.algorithm
                    .claims_survive_removal(member.instance.is_some())
            };
            let is_removed = joining == Joining::Removed;
            let stays = placement.replacement
                || !batch.leave.contains(&placement.pod)
                || (is_removed && claims());
            if is_removed && !stays {
                state.removed.push((index, member.clone(), *placement));
            }
            new_indices.push(stays.then_some(MemberIndex::new(next)));
            next += usize::from(stays);
        }
        let stays = |index: &mut std::slice::Iter<'_, Option<MemberIndex>>| {
            index.next().is_some_and(Option::is_some)
        };
        let mut indices = new_indices.iter();
        state.members.retain(|_| stays(&mut indices));
        let mut indices = new_indices.iter();
        state.pods.retain(|_| stays(&mut indices));
        for pod in &batch.join {
            match joining {
                Joining::Replacements => self.join_replacement(state, *pod, chance),
                Joining::Removed => self.join_removed(state, *pod, chance),
            }
        }
        let before = state.owners.renumbered(&new_indices);
        let settled = self
            .algorithm
            .settle(&self.group.topics, &state.members, &before);
        let moved = before
            .owners()
            .zip(settled.assignment.owners())
            .filter(|(before, after)| before != after)
            .count();
        state.owners = settled.assignment;
        // In an eager rebalance all partitions stop, else only those that move.
        let stopped = match (self.algorithm.is_eager(), self.group.protocol) {
            (true, Protocol::Classic) => self.group.topics.partition_count(),
            (true | false, Protocol::Classic | Protocol::Consumer) => moved,
        };
        #[expect(clippy::cast_precision_loss, reason = "a number of partitions")]
        let stopped = stopped as f64;
        stopped * REBALANCE_SECONDS
    }

    /// Adds the members of a pod's replacement.
    fn join_replacement(&self, state: &mut State, pod: ServingPodIndex, chance: Chance) {
        let members = self.group.members.iter().zip(&self.group.pod_of);
        for (index, (original, of)) in members.enumerate() {
            if *of != pod {
                continue;
            }
            let chance = chance.about(REPLACEMENT_IDS).about(index);
            let neighbour = if self.group.stable_names {
                original
            } else {
                let any = chance.about(0).below(self.group.members.len());
                self.group.members.get(any).unwrap_or(original)
            };
            state.members.push(replacement(original, neighbour, chance));
            state.pods.push(Placement {
                pod,
                replacement: true,
            });
        }
    }

    /// Adds the removed members of a pod again. In a classic group they get new member ids.
    fn join_removed(&self, state: &mut State, pod: ServingPodIndex, chance: Chance) {
        for (index, member, placement) in std::mem::take(&mut state.removed) {
            if placement.pod != pod {
                state.removed.push((index, member, placement));
                continue;
            }
            let chance = chance.about(REPLACEMENT_IDS).about(index);
            state.members.push(match self.group.protocol {
                Protocol::Classic => replacement(&member, &member, chance),
                Protocol::Consumer => member,
            });
            state.pods.push(placement);
        }
    }

    /// The outcome of an execution after which the pods that `stays` names are the same.
    fn outcome(
        &self,
        state: &State,
        stays: impl Fn(ServingPodIndex) -> bool,
        unserved: f64,
    ) -> Outcome {
        let owners = || {
            let owners = state.owners.owners();
            owners.map(|member| state.pods.get(member?.get()).copied())
        };
        let pods = owners().map(|owner| owner.map(|placement| placement.pod));
        let loads = self.loads_of(pods, stays);
        let original = |pod: ServingPodIndex| Placement {
            pod,
            replacement: false,
        };
        let moved = owners().zip(self.group.iter_pod_owners());
        let moved = moved.filter(|(now, before)| *now != before.map(original));
        let threshold = self.threshold.unwrap_or(f64::INFINITY);
        Outcome {
            peak: loads.iter().copied().fold(0.0, f64::max),
            mean: mean(loads.iter().copied()),
            hot: loads.iter().filter(|load| **load > threshold).count(),
            moved: moved.count(),
            unserved,
        }
    }
}

/// The members of a group, with drawn ids where they are unknown.
pub(crate) fn members_with_ids(
    group: &GroupModel,
    algorithm: Algorithm,
    ids: Chance,
) -> Vec<Member> {
    let disregard_ids =
        algorithm == Algorithm::Uniform && ids.below(DISREGARDED_IDS_OF_UNIFORM) == 0;
    let with_id = |(index, member): (usize, &Member)| {
        let mut member = member.clone();
        if member.id.is_empty() || disregard_ids {
            member.id = unknown_id(ids.about(index));
        }
        member
    };
    group.members.iter().enumerate().map(with_id).collect()
}

/// The member of a replacement, with an id as the coordinator or the client will generate it.
///
/// Ids are `<client.id>-<uuid>`, or a UUID alone in KIP-848. If the client id contains the pod's
/// name, the replacement has a different client id, whose rank among the others is unknown. The
/// client id of `neighbour`, a random member, stands for it. A member that rejoins keeps its own.
pub(crate) fn replacement(original: &Member, neighbour: &Member, chance: Chance) -> Member {
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

/// A random id. Only its order among the others matters.
fn unknown_id(chance: Chance) -> String {
    format!("{:016x}", chance.bits())
}
