//! The adapter against an API server that is a table of replies.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "helpers of tests may fail a test as tests may"
)]

mod errors;
mod eviction;
mod failures;
mod journal;
mod lease;
mod observation;
mod ready_count;
mod server;
