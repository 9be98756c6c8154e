//! The Kafka consumer group: members, partitions, and what its assignor makes of a change.
//!
//! | module | holds |
//! |---|---|
//! | [`topics`] | topics, and their partitions numbered through |
//! | [`member`] | members as an assignor sees them |
//! | [`assignment`] | who owns which partition |
//! | [`assignors`] | Kafka's assignors, each a pure function |
//! | [`data`] | what a snapshot says about the group |

pub mod assignment;
pub mod assignors;
pub mod data;
pub mod member;
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
pub use topics::Topics;
