//! The state of a world and its events.

mod answers;
mod coordination;
mod disturbances;
mod lease;
mod requests;

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;
use rebalancer_core::group::Protocol;
use rebalancer_core::history::Rotation;
use rebalancer_core::hold_record::HoldRecord;
use rebalancer_core::model::{PodRef, PodUid};
use rebalancer_core::ports::JournalEntry;
use rebalancer_core::proposal::Proposal;

use crate::config::SimConfig;
use crate::fault_draws::FaultDraws;
use crate::fault_plan::FaultPlan;
use crate::group::ConsumerGroup;
use crate::history::LoadHistory;
use crate::pod::{Defect, PodKey, SimPod};
use crate::seeded::Seeded;
use crate::timeline::{Timeline, WorldEvent};
use crate::trace::{EvictionRequest, TraceRecord};
use crate::traffic::Traffic;
use crate::views::EvictionRecord;

pub(crate) use coordination::Coordinations;
pub(crate) use lease::HeldLease;
pub(crate) use requests::{Request, Requests, Response};

/// The state of a world. Times are durations since the creation of the world. The simulation starts
/// when the world has reached the configured initial age.
#[derive(Debug)]
pub(crate) struct State {
    pub(crate) config: SimConfig,
    pub(crate) now: Duration,
    pub(crate) pods: BTreeMap<PodKey, SimPod>,
    pub(crate) group: ConsumerGroup,
    pub(crate) traffic: Traffic,
    pub(crate) evictions: Vec<EvictionRecord>,
    pub(crate) faults: FaultDraws,
    pub(crate) requests: Requests,
    pub(crate) eviction_requests: Vec<EvictionRequest>,
    pub(crate) trace: Vec<TraceRecord>,
    /// The number of ready pods lost so far for reasons other than the runs.
    pub(crate) taken: u64,
    pub(crate) generation: i64,
    pub(crate) observed_generation: i64,
    /// The number of the current template.
    pub(crate) template: u64,
    pub(crate) lease: Option<HeldLease>,
    pub(crate) published: Vec<JournalEntry>,
    pub(crate) last_rotation: Option<Rotation>,
    pub(crate) last_hold: Option<HoldRecord>,
    /// The plan that waits for approval.
    pub(crate) proposal: Option<Proposal>,
    pub(crate) coordinations: Coordinations,
    timeline: Timeline,
    seeded: Seeded,
    /// The prefix of every pod name: the workload's name and the hash of the pod template.
    replica_set: String,
    /// The load in cores of one record per second.
    cost: f64,
    created: u64,
}

impl State {
    /// A world that has reached its initial age. The configuration must be valid.
    pub(crate) fn new(config: SimConfig) -> Self {
        let mut seeded = Seeded::new(config.seed);
        let replica_set = format!("{}-{}", config.workload.name, seeded.name_suffix(9));
        let mut names = Vec::new();
        let mut members = Vec::new();
        for key in 0..u64::from(config.pods) {
            let name = pod_name(&config, &mut seeded, &replica_set, key);
            let instance = config.static_members.then(|| name.clone());
            members.push((PodKey(key), member_id(&config, &mut seeded), instance));
            names.push(name);
        }
        let group = ConsumerGroup::new(
            config.algorithm(),
            config.protocol,
            config.partitions as usize,
            members,
        );
        let traffic = Traffic::draw(&config, &mut seeded, |rates| {
            top_quarter(group.rate_by_pod(rates))
        });
        let total_rate = config.mean_rate * f64::from(config.partitions);
        let cost = (config.mean_load - config.base_load) * f64::from(config.pods) / total_rate;
        let mut state = Self {
            now: Duration::ZERO,
            pods: BTreeMap::new(),
            group,
            traffic,
            evictions: Vec::new(),
            faults: FaultDraws::new(
                config
                    .faults
                    .clone()
                    .unwrap_or_else(|| FaultPlan::none(config.seed)),
            ),
            requests: Requests::default(),
            eviction_requests: Vec::new(),
            trace: Vec::new(),
            taken: 0,
            generation: 1,
            observed_generation: 1,
            template: 0,
            lease: None,
            published: Vec::new(),
            last_rotation: None,
            last_hold: None,
            proposal: None,
            coordinations: Coordinations::default(),
            timeline: Timeline::default(),
            seeded,
            replica_set,
            cost,
            created: 0,
            config,
        };
        state.settle(names);
        state
    }

    /// Creates the first pods as if they had started long ago.
    fn settle(&mut self, names: Vec<String>) {
        self.record_rates();
        for (name, number) in names.into_iter().zip(0..) {
            let startup = self.seeded.jittered(self.config.startup_delay);
            let started = self.config.pending_delay.min(self.config.initial_age);
            let ready = started.saturating_add(startup).min(self.config.initial_age);
            let key = self.new_pod(name);
            if let Some(pod) = self.pods.get_mut(&key) {
                pod.started = Some(started);
                pod.ready = Some(ready);
                pod.canary = number < self.config.canaries;
            }
        }
        for number in 0..self.config.stuck_pods {
            let name = if self.config.has_stable_names() {
                // Of a time with more replicas.
                stable_name(&self.config, u64::from(self.config.pods + number))
            } else {
                self.seeded.pod_name(&self.replica_set)
            };
            let key = self.new_pod(name);
            if let Some(pod) = self.pods.get_mut(&key) {
                pod.terminating = true;
                pod.started = Some(Duration::ZERO);
                (pod.deleted, pod.lost) = (Some(Duration::ZERO), Some(Duration::ZERO));
            }
        }
        self.record_loads();
        self.now = self.config.initial_age;
        self.schedule_drift();
        self.schedule_disturbance();
    }

    /// Advances the time and executes the events that are due, in order. Time ends with the year
    /// 9999.
    pub(crate) fn advance(&mut self, duration: Duration) {
        let until = self.now.saturating_add(duration);
        self.set_aside_responses();
        while !self.advance_towards(until) {
            self.set_aside_responses();
        }
    }

    /// Advances as [`advance`](Self::advance), but at most to the next response of the group's
    /// coordinator, and not beyond a response that was not received yet. Returns whether `until`
    /// was reached, which counts from the creation of the world.
    pub(crate) fn advance_towards(&mut self, until: Duration) -> bool {
        if self.has_unreceived_response() {
            return false;
        }
        let until = until.min(self.horizon());
        loop {
            let event = self.timeline.next_at().unwrap_or(until).min(until);
            while self.next_step_of_model().is_some_and(|at| at <= event) {
                if self.step_model() {
                    return false;
                }
            }
            let Some((at, event)) = self.timeline.next_until(until) else {
                break;
            };
            self.now = at.max(self.now);
            self.execute(event);
        }
        self.now = until.max(self.now);
        true
    }

    pub(crate) fn timestamp(&self) -> Timestamp {
        let since_start = self.now.saturating_sub(self.config.initial_age);
        // Only calendar units, which a `Duration` does not have, can fail.
        self.config
            .start
            .saturating_add(since_start)
            .unwrap_or(Timestamp::MAX)
    }

    /// The time since the start of the simulation.
    pub(crate) fn elapsed(&self) -> Duration {
        self.now.saturating_sub(self.config.initial_age)
    }

    fn horizon(&self) -> Duration {
        let left = Timestamp::MAX
            .duration_since(self.config.start)
            .unsigned_abs();
        self.config.initial_age.saturating_add(left)
    }

    fn execute(&mut self, event: WorldEvent) {
        let now = self.now;
        match event {
            WorldEvent::Started(key) => {
                if self.start_is_blocked(key) {
                    return;
                }
                let startup = self.seeded.jittered(self.config.startup_delay);
                if let Some(pod) = self.alive(key) {
                    pod.started = Some(now);
                    if pod.defect == Some(Defect::Crashes) {
                        return;
                    }
                    self.schedule(startup, WorldEvent::Ready(key));
                    self.record_loads();
                }
            }
            WorldEvent::Ready(key) => {
                if let Some(pod) = self.alive(key) {
                    pod.ready = Some(now);
                    self.schedule(self.config.join_delay, WorldEvent::Joined(key));
                }
            }
            WorldEvent::Joined(key) => {
                let ready = self.alive(key).is_some_and(|pod| pod.ready.is_some());
                // A pod that crashed and became ready again may already be a member.
                if ready && !self.has_member(key) {
                    self.join(key);
                }
            }
            WorldEvent::Left(key) => {
                if self.leave_silently(key) {
                    self.schedule(self.config.session_timeout, WorldEvent::SessionEnded(key));
                } else {
                    self.leave(key);
                }
                if self.pods.get(&key).is_some_and(|pod| pod.lost.is_none()) {
                    self.schedule(self.config.exit_delay, WorldEvent::Gone(key));
                }
            }
            WorldEvent::Gone(key) => {
                if let Some(pod) = self.pods.get_mut(&key) {
                    pod.gone = Some(now);
                    pod.history.record(now, 0.0, self.config.metrics_window);
                }
                self.schedule(self.config.metrics_window, WorldEvent::Forgotten(key));
                // A StatefulSet creates the next pod of the name only now.
                if self.config.has_stable_names() {
                    self.replenish();
                }
            }
            // A modelled group has its own sessions.
            WorldEvent::SessionEnded(_) | WorldEvent::Rebalanced if self.is_modelled() => {}
            WorldEvent::SessionEnded(key) => {
                let due = self.group.session_ended(key);
                self.members_changed(due);
            }
            WorldEvent::Rebalanced => {
                if self.group.is_unsettled() {
                    self.group.rebalance(now, self.config.metrics_window);
                    self.record_loads();
                }
            }
            WorldEvent::Forgotten(key) => {
                self.pods.remove(&key);
            }
            WorldEvent::Drifted => {
                self.traffic.drift(self.config.drift, &mut self.seeded);
                self.record_rates();
                self.record_loads();
                self.schedule_drift();
            }
            WorldEvent::Disturbed => {
                self.disturb();
                self.schedule_disturbance();
            }
            WorldEvent::Observed => self.observed_generation = self.generation,
            WorldEvent::RollOn => self.roll_on(),
            WorldEvent::Arrived(request) => self.arrive(request),
        }
    }

    /// Begins the termination of a pod. Its ReplicaSet creates a replacement immediately.
    pub(crate) fn terminate(&mut self, key: PodKey) {
        let now = self.now;
        if let Some(pod) = self.alive(key) {
            pod.terminating = true;
            pod.deleted = Some(now);
            self.schedule(self.config.leave_delay, WorldEvent::Left(key));
            self.replenish();
        }
    }

    /// Creates pods up to the number of replicas.
    pub(crate) fn replenish(&mut self) {
        if self.config.has_stable_names() {
            for ordinal in 0..u64::from(self.config.pods) {
                let name = stable_name(&self.config, ordinal);
                if self.listed().all(|(_, pod)| pod.name != name) {
                    self.create(name);
                }
            }
            return;
        }
        let wanted = self.config.pods as usize;
        let current = self.listed().filter(|(_, pod)| !pod.terminating).count();
        for _ in current..wanted {
            let name = self.seeded.pod_name(&self.replica_set);
            self.create(name);
        }
    }

    fn create(&mut self, name: String) {
        let created = self.new_pod(name);
        self.schedule(self.config.pending_delay, WorldEvent::Started(created));
    }

    /// Whether the pod's consumer is in the group, or about to join it.
    fn has_member(&self, key: PodKey) -> bool {
        self.runs_in_model(key)
            .unwrap_or_else(|| self.group.has(key))
    }

    fn join(&mut self, key: PodKey) {
        let name = self.pods.get(&key).map(|pod| pod.name.clone());
        let instance = name.filter(|_| self.config.static_members);
        if self.joins_model(key, instance.as_deref()) {
            return;
        }
        let id = member_id(&self.config, &mut self.seeded);
        let due = self.group.join(key, id, instance);
        self.members_changed(due);
    }

    /// Removes the pod's member from the group, if it has one.
    pub(crate) fn leave(&mut self, key: PodKey) {
        if self.leaves_model(key, false) {
            return;
        }
        let due = self.group.leave(key);
        self.members_changed(due);
    }

    /// Ends the pod's static member without its leaving, and returns whether there is one.
    fn leave_silently(&mut self, key: PodKey) -> bool {
        let silent = self.config.static_members && self.has_member(key);
        if silent && !self.leaves_model(key, true) {
            self.group.mark_absent(key);
            self.members_changed(false);
        }
        silent
    }

    /// Handles a change of membership. `due` means that it requires a rebalance.
    pub(super) fn members_changed(&mut self, due: bool) {
        let keep = self.config.metrics_window;
        if due && !self.group.delays_rebalance() {
            self.group.rebalance(self.now, keep);
        } else {
            self.group.remember(self.now, keep);
            if due {
                self.schedule(self.config.rebalance_delay, WorldEvent::Rebalanced);
            }
        }
        self.record_loads();
    }

    /// The pod in the cluster with this name and UID, terminating or not.
    pub(crate) fn find(&self, wanted: &PodRef) -> Option<(PodKey, &SimPod)> {
        self.listed()
            .find(|(_, pod)| pod.uid == wanted.uid && pod.name == wanted.name)
    }

    /// The pods in the cluster in the order of their creation, including terminating ones.
    pub(crate) fn listed(&self) -> impl Iterator<Item = (PodKey, &SimPod)> {
        self.pods
            .iter()
            .filter(|(_, pod)| pod.gone.is_none())
            .map(|(key, pod)| (*key, pod))
    }

    pub(crate) fn ready_pods(&self) -> usize {
        self.listed().filter(|(_, pod)| pod.serves()).count()
    }

    /// The pod, unless it is terminating or gone.
    pub(crate) fn alive(&mut self, key: PodKey) -> Option<&mut SimPod> {
        self.pods
            .get_mut(&key)
            .filter(|pod| !pod.terminating && pod.gone.is_none())
    }

    fn new_pod(&mut self, name: String) -> PodKey {
        let key = PodKey(self.created);
        self.created += 1;
        let pod = SimPod {
            name,
            uid: PodUid(self.seeded.uuid()),
            created: self.now,
            started: None,
            ready: None,
            terminating: false,
            deleted: None,
            lost: None,
            gone: None,
            template: self.template,
            canary: false,
            opted_out: false,
            defect: None,
            scrape_offset: self.seeded.within(self.config.scrape_interval),
            history: LoadHistory::default(),
        };
        self.pods.insert(key, pod);
        key
    }

    /// Adds the current load of every running pod to its history.
    pub(crate) fn record_loads(&mut self) {
        let rates = self.group.rate_by_pod(self.traffic.rates());
        for (key, pod) in &mut self.pods {
            if pod.runs() {
                let rate = rates.get(key).copied().unwrap_or(0.0);
                let load = self.config.base_load + self.cost * rate;
                pod.history
                    .record(self.now, load, self.config.metrics_window);
            }
        }
    }

    fn record_rates(&mut self) {
        self.traffic.record(self.now, self.config.metrics_window);
    }

    pub(crate) fn schedule(&mut self, delay: Duration, event: WorldEvent) {
        self.timeline
            .schedule(self.now.saturating_add(delay), event);
    }

    fn schedule_drift(&mut self) {
        if self.config.drift > 0.0 {
            self.schedule(self.config.drift_interval, WorldEvent::Drifted);
        }
    }
}

/// The sum of the rates of the quarter of the pods with the highest rates, at least of one pod.
fn top_quarter(rates: BTreeMap<PodKey, f64>) -> f64 {
    let mut rates: Vec<f64> = rates.into_values().collect();
    rates.sort_by(|a, b| b.total_cmp(a));
    let pods = rates.len().div_ceil(4);
    rates.into_iter().take(pods).sum()
}

/// The name of one of the first pods.
fn pod_name(config: &SimConfig, seeded: &mut Seeded, replica_set: &str, ordinal: u64) -> String {
    if config.has_stable_names() {
        stable_name(config, ordinal)
    } else {
        seeded.pod_name(replica_set)
    }
}

fn stable_name(config: &SimConfig, ordinal: u64) -> String {
    format!("{}-{ordinal}", config.workload.name)
}

/// A member id. In the consumer protocol (KIP-848) it is a UUID alone.
fn member_id(config: &SimConfig, seeded: &mut Seeded) -> String {
    let uuid = seeded.uuid();
    match config.protocol {
        Protocol::Classic => format!("{}-{uuid}", config.workload.name),
        Protocol::Consumer => uuid,
    }
}
