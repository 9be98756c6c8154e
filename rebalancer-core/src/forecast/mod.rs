//! Forecast of the effect of evictions and rejoins on a consumer group.
//!
//! | module | contents |
//! |---|---|
//! | [`attribution`] | attribution of the pods' loads to partitions |
//! | [`diagnosis`] | reasons why pods are hot, and what would help |
//! | [`membership`] | the order in which members leave and join |
//! | [`replay`] | one simulated execution of a plan |
//! | [`search`] | the search for a plan |
//! | [`summary`] | the summary of many simulated executions |

pub mod attribution;
pub(crate) mod chance;
pub mod diagnosis;
pub mod membership;
pub mod replay;
pub mod search;
pub mod summary;

pub use crate::statistics::Spread;
#[doc(inline)]
pub use attribution::{Attribution, Fit};
#[doc(inline)]
pub use diagnosis::{Diagnosis, diagnose};
#[doc(inline)]
pub use membership::LeaveJoinOrder;
#[doc(inline)]
pub use replay::Subject;
#[doc(inline)]
pub use summary::{Forecast, Sampling, forecast, forecast_rejoin};
