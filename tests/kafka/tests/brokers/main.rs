//! The Kafka adapter against real brokers and groups of real consumers.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "clippy's leave for tests does not reach the helpers beside them"
)]

mod coordinator;
mod failures;
mod group;
mod hand_over;
mod java;
mod observation;
mod rights;
mod security;
