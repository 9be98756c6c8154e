//! The end-to-end suite: one binary, so that its tests share one cluster.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "clippy's leave for tests does not reach the helpers beside them"
)]

mod harness;
