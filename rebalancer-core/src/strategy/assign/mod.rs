//! Strategy `assign`: hands out an assignment to the group, without restarting a pod.
//!
//! | module | contents |
//! |---|---|
//! | [`target`](mod@target) | the assignment with the lowest peak that the group keeps |
//! | [`keeps`](mod@keeps) | the proof that the group keeps it |
//! | [`phases`] | the assignments of the hand-over, rebalance by rebalance |
//! | [`problem`] | reasons why no assignment is handed out |
//! | `instance`, `start`, `search`, `exact` | the search for the owners, in plain numbers |

mod exact;
mod instance;
pub mod keeps;
pub mod phases;
pub mod problem;
mod search;
mod start;
pub mod target;

#[doc(inline)]
pub use keeps::keeps;
#[doc(inline)]
pub use problem::AssignProblem;
#[doc(inline)]
pub use target::{ExpectedLoads, PartitionMove, Target, expected_loads, target};

#[cfg(test)]
mod tests;
