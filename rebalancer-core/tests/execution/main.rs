//! The execution: scripted scenarios, and properties in a random world.
#![expect(clippy::unwrap_used, reason = "helpers of tests may panic")]

mod dry_run;
mod eviction;
mod lease;
mod replacements;
mod script;
mod static_members;
mod stop;
mod waiting;
mod wave;
#[path = "../world/mod.rs"]
mod world;
