//! Parsers for the fuzz targets. This module is not part of the crate's interface.

use std::time::Duration;

use rebalancer_adapter::Secrets;
use rebalancer_core::ports::{AutoscalerCandidate, GroupObservation, LoadObservation};
use reqwest::StatusCode;

use crate::error::PromError;
use crate::group::{GroupResponses, OwnerRules, Owners, Rates};
use crate::labels::LabelNames;
use crate::literal;
use crate::loads::{LoadResponses, PodValues};
use crate::matchers::Matchers;
use crate::query::{self, CpuSeries, SeriesSelection};
use crate::response::QueryResponse;
use crate::series::ExaminedSeries;

/// The secret header of every request, which a target looks for in errors.
pub const HEADER: &str = "Bearer correct-horse-battery-staple";
/// The part of [`HEADER`] that no error may show.
pub const SECRET: &str = "correct-horse-battery-staple";

fn response(status: u16, body: &[u8]) -> QueryResponse {
    let mut secrets = Secrets::default();
    secrets.add_header(HEADER.as_bytes());
    let status = StatusCode::from_u16(status).unwrap_or_default();
    QueryResponse::for_fuzzing(status, body, secrets)
}

/// Returns the observation from the bodies of the responses about loads, sample ages and duplicate
/// series. The last body is also the response about window coverage.
///
/// # Errors
/// The error of the first response that is not a vector of one number per pod.
pub fn observation(status: u16, bodies: [&[u8]; 3]) -> Result<LoadObservation, PromError> {
    let pod = LabelNames::default().pod;
    let values = |body: &[u8]| PodValues::from_response(response(status, body), &pod);
    let [loads, sample_ages, series] = bodies;
    let responses = LoadResponses {
        custom: false,
        loads: values(loads)?,
        sample_ages: Some(values(sample_ages)?),
        series: Some(values(series)?),
        window_coverage: Some(values(series)?),
        ..LoadResponses::default()
    };
    Ok(responses.into_observation())
}

/// Returns the number of series of each pod that have samples at the same time, from the body of a
/// response with raw samples.
///
/// # Errors
/// If the response is not a matrix.
pub fn simultaneous_series(status: u16, body: &[u8]) -> Result<Vec<u32>, PromError> {
    let response = response(status, body);
    let series = response.series()?.samples;
    let examined = ExaminedSeries::of(&series, &LabelNames::default(), 300.0);
    Ok(examined.simultaneous.into_values().collect())
}

/// Returns the observation from the bodies of the responses about owners now, owners before and
/// rates. `other_groups` is whether the owners may be those of other groups as well.
///
/// # Errors
/// The error of the first response that is not a vector of one number per partition.
pub fn group(
    status: u16,
    bodies: [&[u8]; 3],
    other_groups: bool,
) -> Result<GroupObservation, PromError> {
    let [now, before, rates] = bodies.map(|body| response(status, body));
    let names = LabelNames::default();
    let responses = GroupResponses {
        owners: Owners::from_response(&now, &names)?,
        before: Some(Owners::from_response(&before, &names)?),
        rates: Some(Rates::from_response(&rates)?),
        dispute: None,
        window: Duration::from_secs(300),
        rules: OwnerRules::CUSTOM,
        other_groups,
    };
    // A panic is a finding; the source adds a dispute to the observation as text.
    if let Some(rates) = &responses.rates {
        let _ = rates.disputed(&responses.owners, responses.window);
    }
    Ok(responses.into_observation())
}

/// Returns the autoscalers of a namespace in the body of a response.
///
/// # Errors
/// If the response is not a vector.
pub fn autoscalers(
    status: u16,
    body: &[u8],
    namespace: &str,
) -> Result<Vec<AutoscalerCandidate>, PromError> {
    let response = response(status, body);
    let samples = response.samples()?.samples;
    Ok(crate::autoscalers::candidates(&samples, namespace))
}

/// Returns the literal of a label value.
#[must_use]
pub fn literal(value: &str) -> String {
    literal::string_literal(value)
}

/// Returns the text as label matchers, as they are written in queries; `None` if it is not valid.
#[must_use]
pub fn matchers(text: &str) -> Option<String> {
    text.parse()
        .ok()
        .map(|matchers: Matchers| matchers.to_string())
}

/// Returns queries about a namespace and a container.
#[must_use]
pub fn queries(namespace: &str, container: &str, window: Duration) -> [String; 4] {
    let selection = SeriesSelection::default();
    let cpu = CpuSeries {
        selection: &selection,
        namespace,
        container,
    };
    [
        cpu.load(window),
        cpu.sample_age(),
        cpu.series_count(window),
        query::autoscalers(&selection, namespace),
    ]
}
