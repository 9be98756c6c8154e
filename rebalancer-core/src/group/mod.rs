//! The Kafka consumer group: what a snapshot says about it, and the model that forecasts use.
//!
//! The assignors, and the types that they work on, are in the crate `kafka-assignors`.
//!
//! | module | contents |
//! |---|---|
//! | [`data`] | what a snapshot says about the group |
//! | [`model`] | the same as forecasts work with it |
//! | [`recognise`] | recognition of the assignor from the owners of the partitions |

pub mod data;
pub mod model;
pub mod recognise;

#[doc(inline)]
pub use data::{GroupData, GroupMember, GroupTopic, InvalidGroup};
// These three are part of the documents.
pub use kafka_assignors::{Assignor, ClientFamily, Protocol};
#[doc(inline)]
pub use model::{Group, GroupProblem};
#[doc(inline)]
pub use recognise::{Knowledge, KnownAssignor};
