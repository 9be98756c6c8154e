//! A simulated cluster and consumer group in memory, under virtual time.
//!
//! The pods of a Deployment consume a topic as one group. What a pod spends follows from the
//! partitions it owns: a base, plus a cost for each record. Evicting a pod creates a replacement
//! at once; the old pod leaves the group, its partitions go to others, and when the replacement is
//! ready it joins and takes some over, all as Kafka's own assignors have it. The metrics see all that through a rate window, late and
//! smoothed. [`SimWorld`] hands out the ports of [`rebalancer_core::ports`] to it, so whatever
//! runs on a real cluster runs on a simulated one, hours in no time, and the same way each time.
//!
//! Nothing goes wrong in it unless it is asked for: see [`faults`].
//!
//! There is no I/O, no real clock and no randomness but that of the seed.
//!
//! ```
//! use std::time::Duration;
//!
//! use rebalancer_core::ports::{Clock, MetricsSource, PodActuator};
//! use rebalancer_sim::{SimConfig, SimWorld};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let world = SimWorld::new(SimConfig::seeded(10))?;
//! let (metrics, actuator, clock) = (world.metrics(), world.actuator(), world.clock());
//!
//! // The hottest pod, as the metrics show it ...
//! let loads = metrics.loads().await?;
//! let hottest = loads
//!     .samples
//!     .iter()
//!     .max_by_key(|sample| sample.load.clone().ok())
//!     .ok_or("no samples")?;
//! let pods = actuator.observe().await?.pods;
//! let pod = pods
//!     .iter()
//!     .find(|pod| pod.name == hottest.pod)
//!     .ok_or("not in the cluster")?;
//!
//! // ... is evicted, and ten minutes later another one is in its place.
//! actuator.evict(&pod.reference(), false).await;
//! assert_eq!(actuator.count_ready(8).await?, 7);
//! clock.sleep(Duration::from_secs(600)).await;
//! assert_eq!(actuator.count_ready(8).await?, 8);
//! assert!(world.loads().iter().all(|load| load.name != pod.name));
//! # Ok(())
//! # }
//! ```
//!
//! # What is simplified
//! - A rebalance interrupts only what changes hands, and nobody lags behind: a partition that
//!   nobody served for a while brings no more load afterwards.
//! - There is one topic, to which all members subscribe.
//! - The HorizontalPodAutoscaler has its minimum at its maximum, so it never scales.

mod answers;
mod budget;
mod config;
pub mod faults;
mod group;
mod history;
mod lease;
mod pod;
mod ports;
mod seeded;
mod state;
mod timeline;
mod traffic;
mod world;

pub use budget::{Budget, BudgetLimit};
pub use config::{InvalidConfig, SimConfig};
pub use lease::{SimJournal, SimLease};
pub use ports::{SimActuator, SimClock, SimMetrics};
pub use world::{Eviction, Owner, PartitionView, PodLoad, SimWorld};
