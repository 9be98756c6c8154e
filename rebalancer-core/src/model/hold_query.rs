//! The result of the operator's query for a reason to hold.

use serde::{Deserialize, Serialize};

/// The result of the operator's query for a reason to hold: any series in it holds.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct HoldQueryResult {
    /// Number of series in the result.
    pub series: usize,
    /// The first of them with labels and value, such as `ALERTS{alertname="Lag"} = 1`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub examples: Vec<String>,
    /// Why the response may be incomplete, as the server reports it; complete if left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub partial: Option<String>,
}

impl HoldQueryResult {
    /// The number of series that [`examples`](Self::examples) has at most.
    pub const EXAMPLES: usize = 3;
}
