//! The event queue of a world.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::pod::PodKey;

/// A scheduled event of the simulation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum WorldEvent {
    /// The pod's containers start.
    Started(PodKey),
    /// The pod becomes Ready.
    Ready(PodKey),
    /// The pod's consumer joins the group.
    Joined(PodKey),
    /// The consumer of a terminating pod leaves the group.
    Left(PodKey),
    /// The session of the pod's static member expires.
    SessionEnded(PodKey),
    /// The members of the group have noticed a change of membership, and the group rebalances.
    Rebalanced,
    /// A terminating pod is removed from the cluster.
    Gone(PodKey),
    /// The last sample of a removed pod leaves the metrics window.
    Forgotten(PodKey),
    /// The rates of the partitions drift.
    Drifted,
    /// A disturbance of the fault plan occurs.
    Disturbed,
    /// The controller observes the current specification.
    Observed,
    /// The controller continues a rollout.
    RollOn,
    /// The request of this number reaches the server.
    Arrived(usize),
}

/// The scheduled events by time. Events of the same time happen in the order in which they were
/// scheduled.
#[derive(Debug, Clone, Default)]
pub(crate) struct Timeline {
    events: BTreeMap<(Duration, u64), WorldEvent>,
    scheduled: u64,
}

impl Timeline {
    pub(crate) fn schedule(&mut self, at: Duration, event: WorldEvent) {
        self.events.insert((at, self.scheduled), event);
        self.scheduled += 1;
    }

    /// The time of the next event.
    pub(crate) fn next_at(&self) -> Option<Duration> {
        self.events.keys().next().map(|(at, _)| *at)
    }

    /// Removes and returns the next event, unless it is later than `until`.
    pub(crate) fn next_until(&mut self, until: Duration) -> Option<(Duration, WorldEvent)> {
        let entry = self.events.first_entry()?;
        let at = entry.key().0;
        (at <= until).then(|| (at, entry.remove()))
    }
}
