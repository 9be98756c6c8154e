//! The execution: a state machine that turns a plan into actions, one event at a time.
//!
//! The state machine does no I/O. The caller asks [`Execution::step`] for the next action,
//! performs it, and passes the result to [`Execution::handle`], until the step is [`Step::Done`]:
//!
//! ```text
//! wave ─► read pod ─► count ready ─► evict ─► next victim … ─► wait until ready ─► next wave, or done
//!            │             │           ├─ blocked: retry until the eviction timeout
//!            └─ gone       └─ too few  └─ no response: read the pod, never evict again
//! ```
//!
//! If the run holds a lease, the lease is renewed between two actions.
//!
//! These rules hold for every sequence of events. Each is documented in the module that owns it:
//!
//! | rule | module |
//! |---|---|
//! | A pod is evicted only right after it was read (same UID, ready, not terminating) and the ready pods were counted. | `machine::victims` |
//! | An eviction is requested only if the minimum of ready pods remains without the pod. | `machine::victims` |
//! | An eviction is repeated only if the server confirmed that the previous request had no effect. | `eviction` |
//! | The coldest pods wait for the hottest, and stay if no hottest pod could be evicted. | `wave` |
//! | The next wave starts only if every pod of the previous wave is out. | `machine::waves` |
//! | The next wave waits until all replacements are ready, and never starts if the workload changed or a replacement fails. | `replacements` |
//! | No pod is evicted unless the lease is known to be held. | `lease` |
//! | No pod is evicted after a stop, in a freeze window, or while an annotation of the workload pauses it. | `machine` |
//! | Every victim ends with an outcome. | `ledger` |
//! | A static member of an evicted pod is removed from its group only if the pod is gone and no other pod uses or will use its id. | `static_members` |
//! | A dry run reports no more evictions at once than the budgets allow together. | `allowance` |

mod allowance;
mod baseline;
mod eviction;
mod lease;
mod ledger;
mod machine;
mod outcome;
mod replacements;
mod static_members;
mod step;
mod waiting;
mod wave;

pub use baseline::Baseline;
pub use lease::LeaseRenewal;
pub use machine::Execution;
pub use outcome::{ExecutionOutcome, ExecutionReport, PodOutcome, PodReport, StopReason};
pub use static_members::{StaticMemberOutcome, StaticMemberReport, StaticMembers};
pub use step::{ExecutionEvent, Step, StopCause};
pub use waiting::{Awaited, Waiting};
