//! The Kafka consumer group of a workload.
//!
//! The owners of partitions have two representations: the document names them per topic, and the
//! model has them as an [`Assignment`](kafka_assignors::Assignment) of the crate `kafka-assignors`,
//! which also contains the assignors.
//!
//! | module | contents |
//! |---|---|
//! | [`assign_problem`] | reasons why a group is given no assignment |
//! | [`document`] | the group in a snapshot, in terms of names |
//! | [`model`] | the group in a forecast, in terms of indices |
//! | [`problem`] | reasons why a group cannot be modelled |
//! | [`rebalance_protocol`] | the part that members take in a rebalance |
//! | [`recognise`] | recognition of the assignor from the owners of the partitions |
//! | [`state`] | the type and the state of a group, as its brokers name them |

pub mod assign_problem;
pub mod document;
pub mod model;
pub mod problem;
pub mod rebalance_protocol;
pub mod recognise;
pub mod state;

#[doc(inline)]
pub use assign_problem::AssignProblem;
#[doc(inline)]
pub use document::{
    CatchingUpDocument, DescribedDocument, GroupDocument, InvalidGroup, MemberDocument,
    OffsetsWentBackDocument, OutsideMember, TopicDocument,
};
// These three are part of the documents.
pub use kafka_assignors::{Assignor, ClientFamily, Protocol};
#[doc(inline)]
pub use model::{GroupModel, ServingPodIndex};
#[doc(inline)]
pub use problem::GroupProblem;
#[doc(inline)]
pub use rebalance_protocol::RebalanceProtocol;
#[doc(inline)]
pub use recognise::{Knowledge, KnownAssignor};
#[doc(inline)]
pub use state::{GroupKind, GroupState};
