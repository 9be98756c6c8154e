//! The consumer group, from the brokers to the types of the port.

mod described;
mod observe;
mod offsets;
mod unknown;

pub(crate) use described::{describe, flattened};
pub(crate) use observe::observe;
