//! The lease of the workload, and the stored rotation.

use std::time::Duration;

use rebalancer_core::history::Rotation;
use rebalancer_core::lease::{self, LeaseHolder};
use rebalancer_core::model::Seconds;
use rebalancer_core::ports::LeaseState;
use rebalancer_core::proposal::{Proposal, ProposedPlan};

use super::State;

/// A lease that a run has acquired.
#[derive(Debug, Clone)]
pub(crate) struct HeldLease {
    pub(crate) holder: String,
    /// The time of the last renewal, since the start of the simulation.
    pub(crate) renewed: Duration,
}

impl HeldLease {
    /// The holder, as other runs see it at `now`.
    fn as_seen(&self, now: Duration) -> LeaseHolder {
        LeaseHolder {
            identity: self.holder.clone(),
            expires_seconds: self.expires().saturating_sub(now).into(),
        }
    }

    fn expires(&self) -> Duration {
        self.renewed.saturating_add(lease::DURATION)
    }
}

impl State {
    /// The lease, unless it has expired.
    pub(crate) fn valid_lease(&self) -> Option<&HeldLease> {
        let now = self.elapsed();
        self.lease.as_ref().filter(|lease| now < lease.expires())
    }

    /// Acquires the lease unless another run holds it. It is valid from `begun`, the time of the
    /// request, because the client writes that time into the lease.
    pub(crate) fn acquire_lease(&mut self, identity: &str, begun: Duration) -> LeaseState {
        let now = self.elapsed();
        if let Some(lease) = self.valid_lease()
            && lease.holder != identity
        {
            return LeaseState::HeldBy(lease.as_seen(now));
        }
        self.lease = Some(HeldLease {
            holder: identity.to_owned(),
            renewed: begun,
        });
        LeaseState::Held
    }

    /// Renews the lease, even an expired one that no other run has acquired since. A run that lost
    /// the lease does not get it back by renewing it, because another run may have acted meanwhile.
    pub(crate) fn renew_lease(&mut self, identity: &str, begun: Duration) -> LeaseState {
        let now = self.elapsed();
        match &mut self.lease {
            Some(lease) if lease.holder == identity => {
                // A delayed renewal does not undo a later one.
                lease.renewed = lease.renewed.max(begun);
                LeaseState::Held
            }
            Some(lease) => LeaseState::HeldBy(lease.as_seen(now)),
            None => LeaseState::HeldBy(LeaseHolder {
                identity: String::new(),
                expires_seconds: Seconds::ZERO,
            }),
        }
    }

    pub(crate) fn release_lease(&mut self, identity: &str) {
        let held = self.lease.as_ref();
        if held.is_some_and(|lease| lease.holder == identity) {
            self.lease = None;
        }
    }

    /// Stores the plan on the workload, where a person approves it at once.
    pub(crate) fn propose(&mut self, plan: ProposedPlan) {
        self.proposal = Some(Proposal {
            approved: Some(plan.id.clone()),
            plan: Some(plan),
        });
    }

    /// Removes the plan of this id and its approval. Returns whether it was approved.
    pub(crate) fn use_approval(&mut self, id: &str) -> bool {
        let stored = self.proposal.as_ref();
        let is_approved = stored.is_some_and(|stored| stored.approved.as_deref() == Some(id));
        if is_approved {
            self.proposal = None;
        }
        is_approved
    }

    /// Stores the rotation on the workload. As for a StatefulSet, that causes no new generation.
    pub(crate) fn remember(&mut self, rotation: Rotation) {
        self.last_rotation = Some(rotation);
    }
}
