//! One rebalance of one workload, over ports: observe, decide, execute, follow up.
//!
//! [`run_workload`] is the whole of it. The driver asks the ports, lets [`rebalancer_core`]
//! decide, and executes the plan step by step. It does no I/O of its own and does not log: it
//! emits a [`RunEvent`] for everything that happens, to the [`RunObserver`] of its caller. A real
//! cluster and a simulated one differ in their ports only.
//!
//! | module | contents |
//! |---|---|
//! | `run` | the sequence of a run |
//! | `ports` | the ports and the settings of a run |
//! | `context` | ports, settings and stop request, which all steps share |
//! | `lease` | acquires, keeps and releases the lease that excludes other runs |
//! | `observe` | reads loads, pods, autoscalers and the group into a snapshot |
//! | `approval` | lets a plan wait for the approval of a person |
//! | `execute` | performs the steps of the core's execution |
//! | `assign` | hands out the assignment of a decision |
//! | `hand_over` | performs the steps of the core's hand-over |
//! | `static_members` | removes static members of evicted pods from the group |
//! | `records` | publishes and remembers what was done |
//! | `follow` | compares the outcome of a rotation with its forecast |
//! | `clock` | the system clock |
//! | `stop` | the request to stop |
//! | `freeze` | the schedule of times at which no action may begin |
//! | `event` | events and observers |
//! | `error` | why a workload could not be observed |

mod approval;
mod assign;
mod clock;
mod context;
mod error;
mod event;
mod execute;
mod follow;
mod freeze;
mod hand_over;
mod lease;
mod observe;
mod ports;
mod records;
mod run;
mod static_members;
mod stop;

pub use assign::assign;
pub use clock::SystemClock;
pub use error::ObserveError;
pub use event::{JournalWrite, NoObserver, RunEvent, RunObserver, Wait, WaitReason};
pub use execute::execute;
pub use follow::follow;
pub use freeze::{FreezeSchedule, NeverFrozen};
pub use hand_over::hand_over;
pub use observe::{Readings, observe};
pub use ports::{Ports, RunSettings};
pub use run::{WorkloadRun, run_workload};
pub use stop::{Stop, StopHandle};

#[cfg(test)]
mod tests;
