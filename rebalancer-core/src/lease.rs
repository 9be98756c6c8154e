//! One run at a time: how long a lease lasts, and how a run keeps it.
//!
//! The lengths fit each other: a run renews its lease between two actions, none of which takes
//! longer than a request may (30 seconds), and begins no eviction unless the lease lasts longer
//! than that eviction can.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::model::Seconds;

/// A lease ends so long after it was last renewed.
pub const DURATION: Duration = Duration::from_secs(90);
/// It is renewed between two actions when its last renewal is older than this.
pub const RENEW_AFTER: Duration = Duration::from_secs(20);
/// No eviction is begun when its last renewal is older than this: the answer to a request may
/// take half a minute, and until then the lease must be ours.
pub const SAFE_FOR: Duration = Duration::from_secs(50);

/// Another run that holds the lease.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct LeaseHolder {
    /// Who it is, by its own words: a host, which in a pod is the pod's name, and a number.
    pub identity: String,
    /// Its lease ends after so many seconds unless it is renewed, and may be taken over then.
    pub expires_seconds: Seconds,
}
