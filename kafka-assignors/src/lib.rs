#![doc = include_str!("../README.md")]

pub mod consumer_range;
pub mod cooperative_sticky;
pub mod coordinator_order;
pub mod librdkafka_cooperative_sticky;
pub mod librdkafka_sticky;
pub mod range;
pub mod roundrobin;
pub mod sticky;
pub mod uniform;

mod abstract_sticky;
mod algorithm;
mod assignment;
mod assignor;
mod index;
mod java_hash;
mod librdkafka;
mod member;
mod order;
mod racks;
mod topics;

pub use algorithm::{Algorithm, Settled};
pub use assignment::Assignment;
pub use assignor::{Assignor, ClientFamily, Protocol};
pub use index::{MemberIndex, PartitionIndex, TopicIndex};
pub use member::{Member, Subscription, subscribed_alike};
pub use racks::RackRule;
pub use topics::Topics;
