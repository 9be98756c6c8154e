//! Hand-overs to the group of the world.
//!
//! From the first request of a hand-over until the group is at rest without members of a run, a
//! model of the coordinator and its clients ([`crate::kafka`]) plays the group. The owners that it
//! has are those of the world, so the loads of the pods follow. Pods that start or end meanwhile
//! join and leave the modelled group.

use std::task::Waker;
use std::time::Duration;

use kafka_assignors::{Assignment, MemberIndex, PartitionIndex};
use rebalancer_core::group::{Assignor, ClientFamily, Protocol};
use rebalancer_core::handover::{Connection, CoordinatorRequest, CoordinatorResponse};
use rebalancer_core::ports::{CoordinatorError, CoordinatorErrorKind, DescribedGroup};

use super::State;
use crate::config::SimConfig;
use crate::group::ObservedMember;
use crate::kafka::{
    ClientIdentity, ClientKind, ElectionOrder, GroupConfig, GroupWorld, RequestFault,
    RunningMember, TICK,
};
use crate::pod::PodKey;
use crate::timeline::WorldEvent;
use crate::trace::{TraceEvent, TraceRecord};

/// The heartbeat interval of a group of the consumer protocol
/// (`group.consumer.heartbeat.interval.ms`).
const CONSUMER_HEARTBEAT: Duration = Duration::from_secs(5);

/// The group while it is modelled.
#[derive(Debug)]
pub(crate) struct Coordination {
    group: GroupWorld,
    /// The pod of each client, and its last member id.
    clients: Vec<(PodKey, String)>,
}

/// The hand-overs of a world.
#[derive(Debug, Default)]
pub(crate) struct Coordinations {
    current: Option<Coordination>,
    waiters: Vec<Waiter>,
    /// The number of requests so far.
    tickets: u64,
    /// The number of runs that have a coordinator.
    runs: usize,
    /// The number of groups that were modelled so far.
    modelled: u64,
    /// The violations in the finished models.
    violations: Vec<String>,
    /// The number of rebalances in the finished models.
    rebalances: u32,
}

/// A request in flight.
#[derive(Debug)]
struct Waiter {
    ticket: u64,
    run: usize,
    connection: Connection,
    waker: Waker,
    response: Option<CoordinatorResponse>,
    /// A response that was not received before the time went on.
    late: Option<CoordinatorResponse>,
}

impl Waiter {
    fn is_waiting(&self) -> bool {
        self.response.is_none() && self.late.is_none()
    }
}

impl Coordination {
    /// The client that runs in a pod.
    fn client_of(&self, pod: PodKey) -> Option<usize> {
        let views = self.group.clients().enumerate().zip(&self.clients);
        let mut running = views.filter(|((_, view), _)| view.runs);
        let found = running.find(|(_, (of, _))| *of == pod);
        found.map(|((index, _), _)| index)
    }

    /// The members and owners of the modelled group.
    fn observed(&mut self, partitions: usize) -> (Vec<ObservedMember>, Assignment) {
        let mut members = Vec::new();
        let mut owners = Assignment::unowned(partitions);
        for (view, (pod, last_id)) in self.group.clients().zip(&mut self.clients) {
            if !view.runs && !view.is_member {
                continue;
            }
            // A client that is about to rejoin has no id for a moment.
            if !view.member_id.is_empty() {
                view.member_id.clone_into(last_id);
            }
            let index = MemberIndex::new(members.len());
            for partition in view.processing {
                owners.set(*partition, Some(index));
            }
            members.push(ObservedMember {
                pod: *pod,
                id: last_id.clone(),
                instance: view.instance.map(str::to_owned),
                absent: !view.runs,
            });
        }
        (members, owners)
    }
}

impl SimConfig {
    /// The clients of the group, if a hand-over to them is modelled.
    fn client_kind(&self) -> Option<ClientKind> {
        match (self.protocol, self.assignor, self.client) {
            (Protocol::Classic, Assignor::Sticky, ClientFamily::Java) => {
                Some(ClientKind::JavaEager)
            }
            (Protocol::Classic, Assignor::Range, ClientFamily::Java) => Some(ClientKind::JavaRange),
            (Protocol::Classic, Assignor::CooperativeSticky, ClientFamily::Java) => {
                Some(ClientKind::JavaCooperative)
            }
            (Protocol::Classic, Assignor::CooperativeSticky, ClientFamily::Librdkafka) => {
                Some(if self.static_members {
                    ClientKind::LibrdkafkaStatic
                } else {
                    ClientKind::LibrdkafkaDynamic
                })
            }
            (Protocol::Classic | Protocol::Consumer, _, _) => None,
        }
    }
}

impl State {
    /// The number of a new run with a coordinator.
    pub(crate) fn new_coordinator(&mut self) -> usize {
        self.coordinations.runs += 1;
        self.coordinations.runs
    }

    /// Actions of hand-overs that are not allowed.
    pub(crate) fn handover_violations(&self) -> Vec<String> {
        let current = self.coordinations.current.iter();
        let current = current.flat_map(|current| current.group.violations());
        let finished = self.coordinations.violations.iter();
        finished.chain(current).cloned().collect()
    }

    /// The number of rebalances while the group was modelled.
    pub(crate) fn handover_rebalances(&self) -> u32 {
        let current = self.coordinations.current.as_ref();
        let current = current.map_or(0, |current| current.group.rebalances());
        self.coordinations.rebalances.saturating_add(current)
    }

    /// The group as its modelled coordinator describes it; `None` if it is not modelled.
    pub(super) fn modelled_group(&self) -> Option<DescribedGroup> {
        Some(self.coordinations.current.as_ref()?.group.describe())
    }

    /// Sends a request of a hand-over, and returns its number.
    pub(crate) fn send_to_coordinator(
        &mut self,
        run: usize,
        request: CoordinatorRequest,
        fault: RequestFault,
        waker: Waker,
    ) -> u64 {
        self.coordinations.tickets += 1;
        let ticket = self.coordinations.tickets;
        let mut waiter = Waiter {
            ticket,
            run,
            connection: request.connection(),
            waker,
            response: None,
            late: None,
        };
        // A group that is only read is not modelled.
        if self.coordinations.current.is_none() && request != CoordinatorRequest::Describe {
            self.coordinations.current = self.model_group();
        }
        match &mut self.coordinations.current {
            Some(current) => current.group.send_of(run, request, fault),
            None => waiter.response = Some(self.respond_unmodelled(&request, fault)),
        }
        self.coordinations.waiters.push(waiter);
        ticket
    }

    /// Returns the response to a request once it has arrived.
    pub(crate) fn coordinator_response(
        &mut self,
        ticket: u64,
        waker: &Waker,
    ) -> Option<CoordinatorResponse> {
        let waiters = &mut self.coordinations.waiters;
        let index = waiters.iter().position(|waiter| waiter.ticket == ticket)?;
        let waiter = waiters.get_mut(index)?;
        if waiter.is_waiting() {
            waiter.waker.clone_from(waker);
            return None;
        }
        let received = waiters.remove(index);
        received.response.or(received.late)
    }

    /// Forgets a request whose sender does not wait for the response.
    pub(crate) fn abandon_request(&mut self, ticket: u64) {
        let waiters = &mut self.coordinations.waiters;
        waiters.retain(|waiter| waiter.ticket != ticket);
    }

    /// Whether a response is awaited.
    pub(crate) fn awaits_coordinator(&self) -> bool {
        !self.coordinations.waiters.is_empty()
    }

    /// Whether a response has arrived that its sender has not received yet.
    pub(super) fn has_unreceived_response(&self) -> bool {
        let mut waiters = self.coordinations.waiters.iter();
        waiters.any(|waiter| waiter.response.is_some())
    }

    /// Lets the time go on although senders have not received their responses, which they still
    /// can.
    pub(super) fn set_aside_responses(&mut self) {
        for waiter in &mut self.coordinations.waiters {
            if let Some(response) = waiter.response.take() {
                waiter.late = Some(response);
            }
        }
    }

    /// Records a request to the coordinator of the group.
    pub(crate) fn trace_group_request(&mut self, run: usize) {
        let at = self.elapsed();
        self.trace.push(TraceRecord {
            run,
            begun: at,
            at,
            what: TraceEvent::GroupRequested,
        });
    }

    /// The fault of the next request to the coordinator.
    pub(crate) fn coordinator_fault(&mut self) -> RequestFault {
        let now = self.elapsed();
        self.faults.request_fault(now)
    }

    /// Handles a request to a group that is not modelled. A group of the consumer protocol
    /// (KIP-848) needs no model: its broker removes members at once, and assigns their partitions
    /// to others.
    fn respond_unmodelled(
        &mut self,
        request: &CoordinatorRequest,
        fault: RequestFault,
    ) -> CoordinatorResponse {
        let CoordinatorRequest::Leave { members, .. } = request else {
            return self.unmodelled(request, fault);
        };
        if self.config.protocol != Protocol::Consumer {
            return self.unmodelled(request, fault);
        }
        let lost = CoordinatorError::new(CoordinatorErrorKind::Lost, "no response (simulated)");
        if fault == RequestFault::LostRequest {
            return CoordinatorResponse::Left(Err(lost));
        }
        let ids: Vec<&str> = members
            .iter()
            .map(|member| member.member_id.as_str())
            .collect();
        let removed = self.group.remove_members(&ids);
        for pod in removed.iter().flatten() {
            // The consumer learns of it at its next heartbeat, and joins again.
            let noticed = self.seeded.within(CONSUMER_HEARTBEAT);
            self.schedule(noticed, WorldEvent::Joined(*pod));
        }
        self.members_changed(removed.iter().any(Option::is_some));
        if fault.has_no_response() {
            return CoordinatorResponse::Left(Err(lost));
        }
        let results = removed
            .iter()
            .map(|pod| pod.map(|_| ()).ok_or(CoordinatorErrorKind::UnknownMember));
        CoordinatorResponse::Left(Ok(results.collect()))
    }

    /// The response of a coordinator whose group is not modelled.
    fn unmodelled(&self, request: &CoordinatorRequest, fault: RequestFault) -> CoordinatorResponse {
        let lost = fault.has_no_response();
        let error = |kind| CoordinatorError::new(kind, format!("simulated coordinator: {kind}"));
        let refused = || error(CoordinatorErrorKind::Other);
        match request {
            CoordinatorRequest::Describe if lost => {
                CoordinatorResponse::Described(Err(error(CoordinatorErrorKind::Lost)))
            }
            CoordinatorRequest::Describe => {
                CoordinatorResponse::Described(Ok(self.describe_group()))
            }
            CoordinatorRequest::DrawMemberId(request) => {
                CoordinatorResponse::Drawn(request.own, Err(refused()))
            }
            CoordinatorRequest::Join(request) => {
                CoordinatorResponse::Joined(request.own, Err(refused()))
            }
            CoordinatorRequest::Sync(request) => {
                CoordinatorResponse::Synced(request.own, Err(refused()))
            }
            CoordinatorRequest::Heartbeat { own, .. } => {
                CoordinatorResponse::Heartbeat(*own, Err(refused()))
            }
            CoordinatorRequest::Leave { .. } => CoordinatorResponse::Left(Err(refused())),
        }
    }

    /// Begins to model the group as it is.
    fn model_group(&mut self) -> Option<Coordination> {
        let kind = self.config.client_kind()?;
        let config = &self.config;
        let partitions = usize::try_from(config.partitions).unwrap_or(usize::MAX);
        self.coordinations.modelled += 1;
        let mut group = GroupConfig::new(kind, 0, partitions, config.election);
        group.rebalances_on_release = match config.election {
            ElectionOrder::Table { coordinator, .. } => {
                coordinator == kafka_assignors::coordinator_order::CoordinatorFamily::Java
            }
            ElectionOrder::Salted(_) => true,
        };
        group.heartbeat = config.rebalance_delay.max(TICK);
        group.poll = config.poll_interval;
        group.session = config.session_timeout;
        // Member ids do not repeat those of an earlier model.
        group.seed = config.seed ^ (self.coordinations.modelled << 32);
        let mut clients = Vec::new();
        let mut members = Vec::new();
        for (member, owned) in self.group.described() {
            clients.push((member.pod, member.id.clone()));
            members.push(RunningMember {
                identity: self.identity(member.pod, member.instance),
                member_id: member.id,
                owned: owned
                    .into_iter()
                    .filter_map(|number| Some(PartitionIndex::new(usize::try_from(number).ok()?)))
                    .collect(),
                absent: self.group.is_absent(member.pod),
            });
        }
        let unsettled = self.group.is_unsettled();
        Some(Coordination {
            group: GroupWorld::running(group, self.elapsed(), members, unsettled),
            clients,
        })
    }

    /// The identity of a pod's consumer.
    fn identity(&self, pod: PodKey, instance: Option<String>) -> ClientIdentity {
        ClientIdentity {
            client_id: self.client_id(pod),
            host: None,
            instance,
        }
    }

    /// The pod's consumer joins the modelled group; false if the group is not modelled.
    pub(super) fn joins_model(&mut self, pod: PodKey, instance: Option<&str>) -> bool {
        let identity = self.identity(pod, instance.map(str::to_owned));
        let Some(current) = &mut self.coordinations.current else {
            return false;
        };
        current.group.start_client(identity);
        current.clients.push((pod, String::new()));
        self.adopt_model();
        true
    }

    /// The pod's consumer leaves the modelled group, or ends without leaving; false if the group is
    /// not modelled.
    pub(super) fn leaves_model(&mut self, pod: PodKey, silently: bool) -> bool {
        let Some(current) = &mut self.coordinations.current else {
            return false;
        };
        if let Some(client) = current.client_of(pod) {
            if silently {
                current.group.kill_client(client);
            } else {
                current.group.end_client(client);
            }
        }
        self.adopt_model();
        true
    }

    /// Whether the pod's consumer runs in the modelled group; `None` if it is not modelled.
    pub(super) fn runs_in_model(&self, pod: PodKey) -> Option<bool> {
        let current = self.coordinations.current.as_ref()?;
        Some(current.client_of(pod).is_some())
    }

    /// Whether the group is modelled.
    pub(super) fn is_modelled(&self) -> bool {
        self.coordinations.current.is_some()
    }

    /// The time of the next step of the model, since the creation of the world.
    pub(super) fn next_step_of_model(&self) -> Option<Duration> {
        let current = self.coordinations.current.as_ref()?;
        let at = current.group.now().saturating_add(TICK);
        Some(self.config.initial_age.saturating_add(at))
    }

    /// Advances the modelled group by a step. Returns whether a response has arrived.
    pub(super) fn step_model(&mut self) -> bool {
        let Some(current) = &mut self.coordinations.current else {
            return false;
        };
        current.group.tick();
        let now = self.config.initial_age.saturating_add(current.group.now());
        self.now = self.now.max(now);
        let mut arrived = false;
        for (run, response) in current.group.take_responses() {
            let connection = response.connection();
            let mut waiters = self.coordinations.waiters.iter_mut();
            let waiter = waiters.find(|waiter| {
                waiter.is_waiting() && (waiter.run, waiter.connection) == (run, connection)
            });
            // The process that sent the request may have ended.
            if let Some(waiter) = waiter {
                waiter.response = Some(response);
                waiter.waker.wake_by_ref();
                arrived = true;
            }
        }
        self.adopt_model();
        arrived
    }

    /// Takes over the owners of the modelled group. The model ends once the group is at rest.
    fn adopt_model(&mut self) {
        let Some(current) = &mut self.coordinations.current else {
            return;
        };
        let partitions = usize::try_from(self.config.partitions).unwrap_or(usize::MAX);
        let rebalancing = current.group.is_rebalancing();
        let over = current.group.is_settled()
            && current.group.is_quiet()
            && self.coordinations.waiters.is_empty();
        if current.group.take_changed() {
            let (members, owners) = current.observed(partitions);
            self.group.adopt(members, owners, rebalancing);
            self.group.remember(self.now, self.config.metrics_window);
            self.record_loads();
        }
        if over && let Some(finished) = self.coordinations.current.take() {
            let violations = finished.group.violations().iter().cloned();
            self.coordinations.violations.extend(violations);
            let rebalances = finished.group.rebalances();
            self.coordinations.rebalances =
                self.coordinations.rebalances.saturating_add(rebalances);
        }
    }
}
