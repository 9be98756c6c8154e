//! `range` of the broker, for the consumer protocol (KIP-848).
//!
//! The same rule as the client's [`range`](mod@super::range): runs per topic, static members first, the
//! remainder to the first. Early versions kept previous owners where they could; since Kafka 4.0 it
//! does not look at them, so it is not sticky and depends on ranks only.
//! Source: KIP-848 ("Server Side Assignors") and the broker's `RangeAssignor`.

use super::range;
use crate::{Assignment, Member, Topics};

/// One target assignment; `previous` is not looked at.
#[must_use]
pub fn assign(topics: &Topics, members: &[Member], previous: &Assignment) -> Assignment {
    range::assign(topics, members, previous)
}
