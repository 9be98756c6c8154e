//! The hand-over of an assignment to a classic consumer group, as a state machine without I/O.
//!
//! Two members of ours join the group for some seconds. The *scout* joins first: its rebalance
//! measures how fast the members rejoin, and its response names the leader. Then the *assigner*
//! joins. Because the scout does not rejoin, the join phase stays open (the *barrier*) while the
//! leader is removed and rejoins. The coordinator elects the assigner, whose member id was chosen
//! for that. When the scout leaves, the assigner receives the subscriptions of all members, hands
//! out the target, and leaves. The group's own assignor keeps the target, because it is sticky and
//! the target is balanced.
//!
//! With the other goal ([`HandoverGoal::Rejoin`]), a set of members rejoins, and the group's own
//! assignor deals the partitions again. Then we never lead. A second member of ours, the *trigger*,
//! begins the rebalance in place of the assigner, and the set is removed behind the barrier. Once
//! its members are back, ours leave in one request, and the join phase ends.
//!
//! In a group of the consumer protocol (KIP-848) there is no join phase to hold open. The set is
//! removed in one request, without members of ours, and its members return one by one with their
//! heartbeats. Until then two members may process a partition, so such a plan is made only on
//! request.
//!
//! In a classic group, no member is removed outside an open join phase, so no removed member can
//! process partitions that another member already owns. Each member of a JoinGroup response gets an
//! entry in the SyncGroup request. A partition is given to a new owner only if no other member of
//! the same response claims it and its former owner is in that response.
//!
//! [`Handover`] asks the caller for requests and wake-ups ([`HandoverStep`]), and receives the
//! responses ([`HandoverEvent`]). Its own members are kept alive only by heartbeats that it asks
//! for itself, so a caller that hangs loses the membership after the session timeout.
//!
//! | stage | file |
//! |---|---|
//! | the group is confirmed; the scout joins | `machine/probe.rs` |
//! | the barrier: the assigner or the trigger joins, members are removed and return | `machine/barrier.rs` |
//! | the assigner becomes the leader | `machine/leadership.rs` |
//! | restore, first and second phase | `machine/handing.rs` |
//! | verification, leaving, abandoning | `machine/ending.rs` |
//! | members of a group of KIP-848 are removed, and return | `machine/consumer.rs` |

mod document;
mod limits;
mod machine;
mod outcome;
mod plan;
mod response;
mod stage;
mod step;

pub use crate::group::RebalanceProtocol;
pub use document::{HandoverDocument, HandoverResult};
pub use limits::HandoverLimits;
pub use machine::Handover;
pub use outcome::{AbandonReason, HandoverOutcome, HandoverReport};
pub use plan::{
    HandoverGoal, HandoverMember, HandoverPlan, HandoverPlanError, HandoverTarget, HandoverWork,
};
pub use stage::HandoverStage;
pub use step::{Connection, CoordinatorRequest, CoordinatorResponse, HandoverEvent, HandoverStep};
