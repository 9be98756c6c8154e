//! The Kafka adapter against real brokers and groups of real librdkafka consumers.
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
mod observation;
mod rights;
mod security;
