//! The lease of the workload: who may act on it.

use std::time::Duration;

use async_trait::async_trait;
use rebalancer_core::history::Rotation;
use rebalancer_core::lease::{self, LeaseHolder};
use rebalancer_core::model::Seconds;
use rebalancer_core::ports::{Journal, JournalEntry, LeaseState, PortError, RunLease};

use crate::state::State;
use crate::world::SimWorld;

/// A lease somebody took.
#[derive(Debug, Clone)]
pub(crate) struct Lease {
    pub(crate) holder: String,
    /// When it was last renewed, in the time since the world was handed over.
    pub(crate) renewed: Duration,
}

impl Lease {
    /// What others are told about it at `now`.
    fn told(&self, now: Duration) -> LeaseHolder {
        let ends = self.renewed.saturating_add(lease::DURATION);
        LeaseHolder {
            identity: self.holder.clone(),
            expires_seconds: ends.saturating_sub(now).into(),
        }
    }
}

impl State {
    /// Who holds the lease now.
    pub(crate) fn lease_holder(&self) -> Option<&Lease> {
        let now = self.elapsed();
        self.lease
            .as_ref()
            .filter(|lease| now < lease.renewed.saturating_add(lease::DURATION))
    }

    /// Takes the lease unless another holds it. It counts from `begun`, when the request was made:
    /// that is the time its holder writes down.
    pub(crate) fn acquire_lease(&mut self, identity: &str, begun: Duration) -> LeaseState {
        match self.held_by_another(identity) {
            Some(holder) => LeaseState::HeldBy(holder),
            None => {
                self.lease = Some(Lease {
                    holder: identity.to_owned(),
                    renewed: begun,
                });
                LeaseState::Held
            }
        }
    }

    /// Renews the lease, even one that ended as long as nobody took it since. Who lost it does not
    /// get it back by renewing: another run may have acted meanwhile.
    pub(crate) fn renew_lease(&mut self, identity: &str, begun: Duration) -> LeaseState {
        let now = self.elapsed();
        match &mut self.lease {
            Some(lease) if lease.holder == identity => {
                // A renewal that was late on its way does not undo a later one.
                lease.renewed = lease.renewed.max(begun);
                LeaseState::Held
            }
            Some(lease) => LeaseState::HeldBy(lease.told(now)),
            None => LeaseState::HeldBy(LeaseHolder {
                identity: String::new(),
                expires_seconds: Seconds::ZERO,
            }),
        }
    }

    pub(crate) fn release_lease(&mut self, identity: &str) {
        if self
            .lease
            .as_ref()
            .is_some_and(|lease| lease.holder == identity)
        {
            self.lease = None;
        }
    }

    fn held_by_another(&self, identity: &str) -> Option<LeaseHolder> {
        let now = self.elapsed();
        let lease = self.lease_holder()?;
        (lease.holder != identity).then(|| lease.told(now))
    }
}

/// The lease of a [`SimWorld`]'s workload, as one run sees it.
#[derive(Debug, Clone)]
pub struct SimLease {
    world: SimWorld,
    identity: String,
}

impl SimLease {
    pub(crate) fn new(world: SimWorld, identity: String) -> Self {
        Self { world, identity }
    }
}

#[async_trait]
impl RunLease for SimLease {
    async fn acquire(&self) -> Result<LeaseState, PortError> {
        let mut state = self.world.lock();
        let now = state.elapsed();
        Ok(state.acquire_lease(&self.identity, now))
    }

    async fn renew(&self) -> Result<LeaseState, PortError> {
        let mut state = self.world.lock();
        let now = state.elapsed();
        Ok(state.renew_lease(&self.identity, now))
    }

    async fn release(&self) -> Result<(), PortError> {
        self.world.lock().release_lease(&self.identity);
        Ok(())
    }
}

impl State {
    /// Keeps the rotation on the workload. As with a StatefulSet, that is no new generation.
    pub(crate) fn remember(&mut self, rotation: Rotation) {
        self.last_rotation = Some(rotation);
    }
}

/// The journal of a [`SimWorld`]: what is remembered shows in the next observation.
#[derive(Debug, Clone)]
pub struct SimJournal {
    world: SimWorld,
}

impl SimJournal {
    pub(crate) fn new(world: SimWorld) -> Self {
        Self { world }
    }
}

#[async_trait]
impl Journal for SimJournal {
    async fn publish(&self, entry: &JournalEntry) -> Result<(), PortError> {
        self.world.lock().published.push(entry.clone());
        Ok(())
    }

    async fn remember(&self, rotation: &Rotation) -> Result<Option<i64>, PortError> {
        self.world.lock().remember(rotation.clone());
        Ok(None)
    }
}
