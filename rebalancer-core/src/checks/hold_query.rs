//! Check: the operator's query finds no reason to hold.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::rule::{CheckInput, Failure, Rule, Verdict};
use crate::hold_reason::HoldReason;
use crate::model::HoldQueryResult;

/// The operator's query finds no reason to hold. Recorded only if there is a query.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct HoldQueryEmpty {
    /// The result of the query.
    pub result: HoldQueryResult,
}

impl HoldReason {
    /// The operator's query returned series.
    pub const HOLD_QUERY: Self = Self::new(
        "hold_query",
        "the hold query returned series, each of which is a reason to hold",
        "nothing, if the query is right: runs act again when it returns nothing; the message has the \
         series",
    );

    /// The response to the operator's query may lack series.
    pub const HOLD_QUERY_PARTIAL: Self = Self::new(
        "hold_query_partial",
        "the response to the hold query may be incomplete, and has no series",
        "check the stores behind the metrics server; the message has its warning",
    )
    .missing_data();
}

impl Rule for HoldQueryEmpty {
    const REASONS: &'static [HoldReason] =
        &[HoldReason::HOLD_QUERY, HoldReason::HOLD_QUERY_PARTIAL];

    fn evaluate(input: &CheckInput<'_>) -> Option<(Verdict, Self)> {
        let result = input.snapshot.data().hold_query.clone()?;
        let is_empty = result.series == 0 && result.partial.is_none();
        Some((Verdict::pass_if(is_empty), Self { result }))
    }

    fn failure(&self) -> Failure {
        let is_partial = self.result.series == 0;
        Failure {
            reason: if is_partial {
                HoldReason::HOLD_QUERY_PARTIAL
            } else {
                HoldReason::HOLD_QUERY
            },
            missing_data: is_partial,
            untrusted_loads: false,
        }
    }
}

impl fmt::Display for HoldQueryEmpty {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let HoldQueryResult {
            series,
            examples,
            partial,
        } = &self.result;
        match (series, partial) {
            (0, None) => f.write_str("the hold query returned no series"),
            (0, Some(partial)) => write!(
                f,
                "the hold query returned no series, but its response may be incomplete: {partial}"
            ),
            (series, _) => {
                let plural = if *series == 1 {
                    "1 series"
                } else {
                    &format!("{series} series")
                };
                write!(
                    f,
                    "the hold query returned {plural}: {}",
                    examples.join(", ")
                )?;
                match series.saturating_sub(examples.len()) {
                    0 => Ok(()),
                    more => write!(f, ", and {more} more"),
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::rule::testing::check_snapshot;
    use super::*;
    use crate::checks::CheckDetails;
    use crate::policy::Policy;
    use rstest::rstest;
    use serde_json::{Value, json};

    #[rstest]
    #[case::nothing(json!({"series": 0}), None, "the hold query returned no series")]
    #[case::alerts(
        json!({"series": 3, "examples": ["ALERTS{alertname=\"Lag\"} = 1", "up = 0"]}),
        Some(HoldReason::HOLD_QUERY),
        "the hold query returned 3 series: ALERTS{alertname=\"Lag\"} = 1, up = 0, and 1 more"
    )]
    #[case::partial(
        json!({"series": 0, "partial": "a store is down"}),
        Some(HoldReason::HOLD_QUERY_PARTIAL),
        "the hold query returned no series, but its response may be incomplete: a store is down"
    )]
    #[case::partial_with_series(
        json!({"series": 1, "examples": ["up = 0"], "partial": "a store is down"}),
        Some(HoldReason::HOLD_QUERY),
        "the hold query returned 1 series: up = 0"
    )]
    fn any_series_holds(
        #[case] result: Value,
        #[case] reason: Option<HoldReason>,
        #[case] message: &str,
    ) {
        let snapshot = json!({"hold_query": result, "pods": []});
        let check = check_snapshot(CheckDetails::HoldQuery, &snapshot, &Policy::default());
        assert_eq!(check.hold_reason(), reason);
        assert_eq!(check.message, message);
        let partial = reason == Some(HoldReason::HOLD_QUERY_PARTIAL);
        assert_eq!(check.means_missing_data(), partial);
    }
}
