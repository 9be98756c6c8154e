//! The lease of a workload: its durations and its holder.
//!
//! The durations depend on each other. A run renews its lease between two actions, and an action
//! takes at most 30 seconds, the timeout of a request. A run starts an eviction only if the lease
//! lasts longer than the eviction can take.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::model::Seconds;

/// The time from the last renewal of a lease until it expires.
pub const DURATION: Duration = Duration::from_secs(90);
/// The age of the last renewal from which the lease is renewed between two actions.
pub const RENEW_AFTER: Duration = Duration::from_secs(20);
/// The greatest age of the last renewal at which an eviction may start. The response to a request
/// may take 30 seconds, and the lease must be held until then.
pub const SAFE_FOR: Duration = Duration::from_secs(50);

/// Another run that holds the lease.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct LeaseHolder {
    /// The identity that the holder wrote: its host name (in a pod, the pod's name) and a number.
    pub identity: String,
    /// The time in seconds until the lease expires and may be taken over, unless it is renewed.
    pub expires_seconds: Seconds,
}
