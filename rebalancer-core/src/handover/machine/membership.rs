//! The members of ours: their ids, generations, connections and heartbeats.

use std::time::Duration;

use crate::handover::limits::HandoverLimits;
use crate::handover::step::{Connection, CoordinatorRequest};
use crate::ports::{LeavingMember, OwnMember};

/// The members of ours, and the connections to the coordinator.
#[derive(Debug, Clone, Default)]
pub(super) struct OwnMembers {
    scout: Own,
    assigner: Own,
    control_in_use: bool,
    /// Pending member ids that were drawn and are not used.
    pub(super) unused: Vec<String>,
    /// The index of the session timeout in [`HandoverLimits::SESSION_TIMEOUTS`].
    session: usize,
}

/// A member of ours.
#[derive(Debug, Clone, Default)]
struct Own {
    /// The member id that is reserved for it or with which it has joined.
    id: Option<String>,
    /// The generation of its last JoinGroup or SyncGroup response, while heartbeats are due.
    generation: Option<i32>,
    /// The time of the next heartbeat.
    heartbeat: Option<Duration>,
    /// Whether a request is in flight on its connection.
    in_use: bool,
    /// Whether its first JoinGroup was sent.
    parked: bool,
}

impl OwnMembers {
    fn get(&self, own: OwnMember) -> &Own {
        match own {
            OwnMember::Scout => &self.scout,
            OwnMember::Assigner => &self.assigner,
        }
    }

    fn get_mut(&mut self, own: OwnMember) -> &mut Own {
        match own {
            OwnMember::Scout => &mut self.scout,
            OwnMember::Assigner => &mut self.assigner,
        }
    }

    /// The member id; empty if there is none.
    pub(super) fn id(&self, own: OwnMember) -> &str {
        self.get(own).id.as_deref().unwrap_or_default()
    }

    pub(super) fn has(&self, own: OwnMember) -> bool {
        self.get(own).id.is_some()
    }

    pub(super) fn is_own(&self, id: &str) -> bool {
        [OwnMember::Scout, OwnMember::Assigner]
            .into_iter()
            .any(|own| self.get(own).id.as_deref() == Some(id))
            || self.unused.iter().any(|unused| unused == id)
    }

    /// Reserves a member id for the member.
    pub(super) fn choose(&mut self, own: OwnMember, id: String) {
        self.get_mut(own).id = Some(id);
    }

    /// Forgets a member that is no longer in the group.
    pub(super) fn forget(&mut self, own: OwnMember) {
        let member = self.get_mut(own);
        member.id = None;
        member.stop_heartbeats();
    }

    /// The session timeout of our members.
    pub(super) fn session_timeout(&self) -> Duration {
        let timeouts = HandoverLimits::SESSION_TIMEOUTS;
        timeouts
            .get(self.session)
            .copied()
            .unwrap_or(HandoverLimits::LONGEST_EAGER_SESSION)
    }

    /// Chooses the next longer session timeout; `None` if there is none.
    pub(super) fn lengthen_session(&mut self) -> Option<Duration> {
        self.session += 1;
        HandoverLimits::SESSION_TIMEOUTS.get(self.session).copied()
    }

    pub(super) fn is_free(&self, connection: Connection) -> bool {
        match connection {
            Connection::Control => !self.control_in_use,
            Connection::Own(own) => !self.get(own).in_use,
        }
    }

    pub(super) fn occupy(&mut self, connection: Connection) {
        self.set_in_use(connection, true);
    }

    pub(super) fn release(&mut self, connection: Connection) {
        self.set_in_use(connection, false);
    }

    fn set_in_use(&mut self, connection: Connection, in_use: bool) {
        match connection {
            Connection::Control => self.control_in_use = in_use,
            Connection::Own(own) => self.get_mut(own).in_use = in_use,
        }
    }

    /// Notes that the first JoinGroup of the member was sent.
    pub(super) fn park(&mut self, own: OwnMember) {
        self.get_mut(own).parked = true;
    }

    pub(super) fn is_parked(&self, own: OwnMember) -> bool {
        self.get(own).parked
    }

    /// Starts heartbeats of a member of this generation.
    pub(super) fn start_heartbeats(&mut self, own: OwnMember, generation: i32, now: Duration) {
        let member = self.get_mut(own);
        member.generation = Some(generation);
        member.heartbeat = Some(now + HandoverLimits::HEARTBEAT);
    }

    pub(super) fn stop_heartbeats(&mut self, own: OwnMember) {
        self.get_mut(own).stop_heartbeats();
    }

    /// The generation of the member, while heartbeats are due.
    pub(super) fn generation(&self, own: OwnMember) -> Option<i32> {
        self.get(own).generation
    }

    /// The heartbeat that is due, whose connection is thereby in use.
    pub(super) fn heartbeat(&mut self, now: Duration) -> Option<CoordinatorRequest> {
        [OwnMember::Scout, OwnMember::Assigner]
            .into_iter()
            .find_map(|own| {
                let member = self.get_mut(own);
                let due = member.heartbeat.is_some_and(|due| due <= now) && !member.in_use;
                let request = CoordinatorRequest::Heartbeat {
                    own,
                    member_id: member.id.clone().filter(|_| due)?,
                    generation: member.generation?,
                };
                member.in_use = true;
                member.heartbeat = Some(now + HandoverLimits::HEARTBEAT);
                Some(request)
            })
    }

    /// Dates the next heartbeat of the member.
    pub(super) fn heartbeat_answered(&mut self, now: Duration, own: OwnMember) {
        let member = self.get_mut(own);
        if member.heartbeat.is_some() {
            member.heartbeat = Some(now + HandoverLimits::HEARTBEAT);
        }
    }

    /// The time of the next heartbeat on a free connection.
    pub(super) fn next_heartbeat(&self) -> Option<Duration> {
        let members = [&self.scout, &self.assigner].into_iter();
        members
            .filter(|member| !member.in_use)
            .filter_map(|member| member.heartbeat)
            .min()
    }

    /// Everything of ours that the coordinator may know: members and pending ids.
    pub(super) fn all(&self) -> Vec<LeavingMember> {
        let members = [&self.assigner.id, &self.scout.id].into_iter().flatten();
        members
            .chain(&self.unused)
            .map(|id| LeavingMember {
                member_id: id.clone(),
                instance: None,
            })
            .collect()
    }

    /// Forgets everything of ours, because the coordinator has removed it.
    pub(super) fn forget_all(&mut self) {
        self.forget(OwnMember::Scout);
        self.forget(OwnMember::Assigner);
        self.unused.clear();
    }
}

impl Own {
    fn stop_heartbeats(&mut self) {
        self.generation = None;
        self.heartbeat = None;
    }
}
