//! The result of the operator's query for a reason to hold.

use rebalancer_adapter::{Secrets, excerpt_up_to};
use rebalancer_core::model::HoldQueryResult;

use crate::envelope::{Labels, Sample};
use crate::error::PromError;
use crate::response::{QueryResponse, Samples};

/// The maximum length of a series in a message, in characters.
const SERIES_CHARS: usize = 200;

/// Counts the series of the response and names the first of them.
pub(crate) fn result(response: &QueryResponse) -> Result<HoldQueryResult, PromError> {
    let Samples { samples, partial } = response.samples()?;
    let mut examples: Vec<String> = samples.iter().map(name).collect();
    examples.sort_unstable();
    examples.truncate(HoldQueryResult::EXAMPLES);
    let examples = examples.iter().map(|example| {
        let shown = response.without_secrets(example);
        excerpt_up_to(SERIES_CHARS, shown.as_bytes(), &Secrets::default())
    });
    Ok(HoldQueryResult {
        series: samples.len(),
        examples: examples.collect(),
        partial: partial.map(|partial| partial.to_string()),
    })
}

/// `ALERTS{alertname="Lag"} = 1`.
fn name(sample: &Sample<'_>) -> String {
    let series = series(&sample.labels);
    match sample.value {
        Some(value) => format!("{series} = {}", value.number),
        None => format!("{series} (a histogram)"),
    }
}

fn series(labels: &Labels<'_>) -> String {
    const NAME: &str = "__name__";
    let mut others: Vec<String> = labels
        .iter()
        .filter(|(name, _)| *name != NAME)
        .map(|(name, value)| format!("{name}={value:?}"))
        .collect();
    others.sort_unstable();
    let name = labels.get(NAME).unwrap_or_default();
    if others.is_empty() && !name.is_empty() {
        return name.to_owned();
    }
    format!("{name}{{{}}}", others.join(","))
}
