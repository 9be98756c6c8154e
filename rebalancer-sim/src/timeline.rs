//! What is going to happen, in order.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::pod::PodKey;

/// Something that happens to the world by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum WorldEvent {
    /// The pod's containers run.
    Started(PodKey),
    /// The pod becomes Ready.
    Ready(PodKey),
    /// The pod's consumer joins the group.
    Joined(PodKey),
    /// The consumer of a terminating pod leaves the group.
    Left(PodKey),
    /// The session of the pod's static member ends.
    SessionEnded(PodKey),
    /// The group has heard that members came or went, and rebalances.
    Rebalanced,
    /// A terminating pod is gone from the cluster.
    Gone(PodKey),
    /// The last sample of a gone pod leaves the metrics' window.
    Forgotten(PodKey),
    /// The rates of the partitions drift.
    Drifted,
    /// Something happens that is none of the workload's own doing.
    Disturbed,
    /// The controller sees the present specification.
    Observed,
    /// The controller goes on with a rollout.
    RollOn,
    /// The request of this number reaches the server.
    Arrived(usize),
}

/// Events to come. Those of the same instant happen in the order in which they were planned.
#[derive(Debug, Clone, Default)]
pub(crate) struct Timeline {
    events: BTreeMap<(Duration, u64), WorldEvent>,
    planned: u64,
}

impl Timeline {
    pub(crate) fn plan(&mut self, at: Duration, event: WorldEvent) {
        self.events.insert((at, self.planned), event);
        self.planned += 1;
    }

    /// Takes the next event, unless it lies beyond `until`.
    pub(crate) fn next_until(&mut self, until: Duration) -> Option<(Duration, WorldEvent)> {
        let entry = self.events.first_entry()?;
        let at = entry.key().0;
        (at <= until).then(|| (at, entry.remove()))
    }
}
