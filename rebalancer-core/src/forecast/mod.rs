//! What an eviction will do to a consumer group, before it is done.
//!
//! | module | holds |
//! |---|---|
//! | [`attribution`] | what each pod's load is made of |
//! | [`diagnosis`] | why pods are hot, and what would help |
//! | [`membership`] | who leaves and joins in which rebalance |
//! | [`replay`] | one imagined execution of a plan |
//! | [`search`] | the search for a plan |
//! | [`summary`] | many of them taken together |

pub mod attribution;
mod chance;
pub mod diagnosis;
pub mod membership;
pub mod replay;
pub mod search;
pub mod summary;

#[doc(inline)]
pub use attribution::{Attribution, Fit};
#[doc(inline)]
pub use diagnosis::{Diagnosis, diagnose};
#[doc(inline)]
pub use replay::Subject;
#[doc(inline)]
pub use summary::{Forecast, Sampling, Spread, forecast};
