//! Strategy `assign`: hands out an assignment to the group, without restarting a pod. The execution
//! is the [hand-over](crate::handover).
//!
//! | module | contents |
//! |---|---|
//! | [`choose`] | whether a better assignment is worth a hand-over |
//! | [`suitable`](mod@suitable) | whether the group can be given an assignment, or its members can rejoin |
//! | [`target`](mod@target) | the assignment with the lowest peak that the group keeps |
//! | [`keeps`](mod@keeps) | the proof that the group keeps it |
//! | [`phases`] | the assignments of the hand-over, rebalance by rebalance |
//! | `instance`, `start`, `search`, `exact` | the search for the owners, in plain numbers |

pub mod choose;
mod exact;
mod instance;
pub mod keeps;
pub mod phases;
mod search;
mod start;
pub mod suitable;
pub mod target;

#[doc(inline)]
pub use super::assignment_forecast::{AssignmentForecast, OthersForecast};
#[doc(inline)]
pub use crate::group::AssignProblem;
#[doc(inline)]
pub use choose::{AssignChoice, AssignVerdict, assign_strategy};
#[doc(inline)]
pub use keeps::keeps;
#[doc(inline)]
pub(crate) use suitable::can_remove_consumers;
pub(crate) use suitable::described_document;
pub use suitable::{can_rejoin, clients, suitable};
#[doc(inline)]
pub use target::{ExpectedLoads, PartitionMove, Target, expected_loads, target};

#[cfg(test)]
mod tests;
