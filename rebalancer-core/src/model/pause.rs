//! The operator's order on the workload itself not to act.

use std::fmt;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// The operator's order, in an annotation of the workload, not to act.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Pause {
    /// The annotation, as `name: value`.
    pub annotation: String,
    /// The end of the pause; absent if it ends when the annotation is removed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schemars(with = "Option<String>"))]
    pub until: Option<Timestamp>,
    /// The operator's reason, if one is given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Why the value of the annotation cannot be used, as the end of a sentence; absent if it can.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
}

impl fmt::Display for Pause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let annotation = &self.annotation;
        match (&self.problem, self.until) {
            (Some(problem), _) => {
                return write!(f, "the annotation `{annotation}` of the workload {problem}");
            }
            (None, Some(until)) => write!(f, "the workload is paused until {until:.0}")?,
            (None, None) => f.write_str("the workload is frozen")?,
        }
        if let Some(reason) = &self.reason {
            write!(f, " ({reason})")?;
        }
        write!(f, " by its annotation `{annotation}`")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn message_names_the_annotation_and_the_end() {
        let frozen = Pause {
            annotation: "rebalancer.io/freeze: true".into(),
            until: None,
            reason: None,
            problem: None,
        };
        assert_eq!(
            frozen.to_string(),
            "the workload is frozen by its annotation `rebalancer.io/freeze: true`"
        );
        let paused = Pause {
            annotation: "rebalancer.io/paused-until: 2026-11-28T06:00:00Z".into(),
            until: Some("2026-11-28T06:00:00Z".parse().unwrap()),
            reason: Some("release 42".into()),
            problem: None,
        };
        assert_eq!(
            paused.to_string(),
            "the workload is paused until 2026-11-28T06:00:00Z (release 42) by its annotation \
             `rebalancer.io/paused-until: 2026-11-28T06:00:00Z`"
        );
    }
}
