//! A resident process, which runs on a schedule: `rebalancer serve`.
//!
//! Each run is the same as that of a CronJob, with connections of its own. `configuration` reads
//! the configuration again when it changes, `leader` elects the process that runs, `http` serves
//! the metrics and the probes, and `status` is what these show.
//! [`commands::serve`](crate::commands) is the loop.

pub(crate) mod configuration;
pub(crate) mod http;
pub(crate) mod leader;
pub(crate) mod status;
