//! The Kafka consumer group: members, partitions, and what its assignor makes of a change.
//!
//! | module | holds |
//! |---|---|
//! | [`topics`] | topics, and their partitions numbered through |
//! | [`member`] | members as an assignor sees them |
//! | [`assignment`] | who owns which partition |
//! | [`assignors`] | Kafka's assignors, each a pure function |
//! | [`data`] | what a snapshot says about the group |
//! | [`model`] | the same as forecasts work with it |
//! | [`recognise`] | which assignor it is, told from who owns what |

pub mod assignment;
pub mod assignors;
pub mod data;
pub mod member;
pub mod model;
pub mod recognise;
pub mod topics;

#[doc(inline)]
pub use assignment::Assignment;
#[doc(inline)]
pub use data::{
    Assignor, ClientFamily, GroupData, GroupMember, GroupTopic, InvalidGroup, Protocol,
};
#[doc(inline)]
pub use member::{Member, Subscription};
#[doc(inline)]
pub use model::{Group, GroupProblem};
#[doc(inline)]
pub use recognise::{Knowledge, KnownAssignor};
#[doc(inline)]
pub use topics::Topics;
