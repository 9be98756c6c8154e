//! The time limits of a hand-over.

use std::time::Duration;

use crate::group::RebalanceProtocol;

/// The time limits of a hand-over.
///
/// The defaults keep the time for which a group is affected short even if this process dies: two
/// sessions of six seconds and one rejoin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HandoverLimits {
    /// The longest that the members may take to rejoin in the probe; beyond it nothing is handed
    /// out.
    pub join: Duration,
    /// The longest duration of the whole hand-over.
    pub total: Duration,
    /// The heartbeat interval of the members, as far as it is known. The leader is removed once the
    /// members have had the time for a heartbeat, so that it waits in JoinGroup: then it learns of
    /// its removal at once, and an eager one has committed. A larger interval than that of the
    /// members only lengthens the wait.
    pub heartbeat: Duration,
}

impl HandoverLimits {
    /// The longest time until an adapter reports that a request has no response, except for
    /// requests that the coordinator answers at the end of a phase; and the longest time to
    /// connect, if there is no connection. It is below the shortest session timeout, so that the
    /// barrier outlasts a request.
    pub const REQUEST: Duration = Duration::from_secs(5);
    /// The longest time until an adapter reports that a heartbeat has no response. There is time
    /// for another one before the session expires.
    pub const HEARTBEAT_RESPONSE: Duration = Duration::from_secs(2);
    /// The session timeouts to try: the first one is the default minimum of brokers, and a broker
    /// that does not allow it gets the next one. A long session timeout lengthens the time for
    /// which the group waits for a member of ours that died.
    pub(crate) const SESSION_TIMEOUTS: [Duration; 3] = [
        Duration::from_secs(6),
        Duration::from_secs(10),
        Duration::from_secs(30),
    ];
    /// The longest session timeout in an eager group, which stands still while it waits.
    pub(crate) const LONGEST_EAGER_SESSION: Duration = Duration::from_secs(10);
    /// The rebalance timeout of our members. It is below that of every client, so that it never
    /// becomes the rebalance timeout of the group.
    pub(crate) const REBALANCE_TIMEOUT: Duration = Duration::from_secs(10);
    /// The time between the two reads that confirm that the group is at rest: two heartbeats of the
    /// clients' default interval.
    pub(crate) const REST: Duration = Duration::from_secs(6);
    /// The interval of heartbeats of our members.
    pub(crate) const HEARTBEAT: Duration = Duration::from_secs(2);
    /// The interval of heartbeats while the assigner waits for the members to rejoin.
    pub(crate) const FAST_HEARTBEAT: Duration = Duration::from_millis(50);
    /// The interval between two reads of the group while a change is expected.
    pub(crate) const POLL: Duration = Duration::from_millis(100);
    /// The duration of draws of member ids after which an id is accepted that wins at fewer sizes
    /// of the coordinator's table.
    pub(crate) const DRAW: Duration = Duration::from_secs(1);
    /// The longest duration of draws of member ids.
    pub(crate) const LONGEST_DRAW: Duration = Duration::from_secs(3);
    /// The duration within which the assigner must be listed after its JoinGroup request.
    pub(crate) const PARK: Duration = Duration::from_secs(1);
    /// The time after a heartbeat within which a member rejoins.
    pub(crate) const PARKING_MARGIN: Duration = Duration::from_millis(300);
    /// The longest wait for the members to be parked, before the leader is removed.
    pub(crate) const LONGEST_HOLD: Duration = Duration::from_secs(5);
    /// The longest wait for the end of the join phase after the scout has left.
    ///
    /// A removed dynamic member of librdkafka sometimes requests two member ids and uses the
    /// second. The first one is pending and holds up the group until it expires with the session
    /// timeout of that member (45 s by default), whether the assigner leaves or not. So the
    /// assigner waits.
    pub(crate) const LEADERSHIP: Duration = Duration::from_secs(50);
    /// The time after which a removal whose response was lost, and that has not taken effect, is
    /// not expected to arrive any more. Until then the join phase is held open.
    pub(crate) const LATE_REMOVAL: Duration = Duration::from_secs(2);
    /// The pause before our members try again to leave.
    pub(crate) const LEAVE_PAUSE: Duration = Duration::from_millis(300);
    /// The longest wait for removed members to rejoin.
    pub(crate) const LONGEST_RETURN: Duration = Duration::from_secs(8);
    /// The longest wait for removed members once the others have their partitions again. The
    /// removed members may still process theirs, which would go to others if the assigner left.
    pub(crate) const LONGEST_ABSENCE: Duration = Duration::from_secs(15);
    /// The longest wait for removed members of a group of KIP-848: two of the longest heartbeat
    /// intervals that a broker allows by default (15 s). The group goes on meanwhile.
    pub(crate) const CONSUMER_RETURN: Duration = Duration::from_secs(30);
    /// The shortest and the longest wait for all members to sync, so that a member that is slower
    /// to poll than others does not miss an assignment. It triples whenever members lagged behind.
    pub(crate) const SYNCING: [Duration; 2] = [Duration::from_millis(300), Duration::from_secs(3)];
    /// The longest wait for removed members, and for the group to settle, after a stop request.
    pub(crate) const STOP: Duration = Duration::from_secs(5);

    /// The defaults for a group of this protocol.
    #[must_use]
    pub fn of(protocol: RebalanceProtocol) -> Self {
        let join = match protocol {
            RebalanceProtocol::Cooperative => 6,
            RebalanceProtocol::Eager => 4,
        };
        Self {
            join: Duration::from_secs(join),
            total: Duration::from_secs(120),
            // The default of Java, librdkafka, franz-go and sarama.
            heartbeat: Duration::from_secs(3),
        }
    }
}
