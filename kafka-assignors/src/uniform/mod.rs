//! `uniform` of the broker, for the consumer protocol (KIP-848).
//!
//! | when | then |
//! |---|---|
//! | all members subscribe alike | `alike`: quotas, linear in the partitions |
//! | otherwise | `differing`: fill up, then move partitions from the fullest to the emptiest |
//!
//! What is computed is the target of the group; members get there one heartbeat after the other.
//! The order in which the broker walks the members is that of a Java hash table of their ids.
//! Source: KIP-848, and the broker's `UniformAssignor` as of Kafka 4.3.

mod alike;
mod differing;
mod wheels;

use super::{java_hash, order};
use crate::{Assignment, Member, Topics, member};

/// One target assignment; `previous` is the target before.
#[must_use]
pub fn assign(topics: &Topics, members: &[Member], previous: &Assignment) -> Assignment {
    let kept = order::still_wanted(topics, members, previous);
    let walk = java_hash::walk(members);
    if member::subscribed_alike(members) {
        alike::assign(topics, members, &walk, kept)
    } else {
        differing::assign(topics, members, &walk, kept)
    }
}
