//! `range` of the broker, for the consumer protocol (KIP-848).
//!
//! Follows the same rule as the client's [`range`](mod@crate::range): contiguous runs per topic,
//! static members first, the remainder to the first ones. Early versions kept previous owners where
//! possible. Since Kafka 4.0 the broker ignores them, so the assignment depends on ranks only.
//! Source: KIP-848 ("Server Side Assignors") and the broker's `RangeAssignor`.

use crate::{Assignment, Member, Topics, range};

/// Computes the target assignment. Ignores the previous owners.
#[must_use]
pub fn assign(topics: &Topics, members: &[Member], previous: &Assignment) -> Assignment {
    range::assign(topics, members, previous)
}
