//! The parsers of answers, for the fuzz targets: nothing here is part of the crate's interface.

use std::time::Duration;

use rebalancer_adapter::Secrets;
use rebalancer_core::ports::{AutoscalerCandidate, GroupObservation, LoadObservation};
use reqwest::StatusCode;

use crate::error::PromError;
use crate::group::{self, Owners, Rates};
use crate::loads::{self, PodValues};
use crate::query;
use crate::transport::Answer;

/// The header that is sent with every question, so that a target can look for it in errors.
pub const HEADER: &str = "Bearer correct-horse-battery-staple";
/// The part of [`HEADER`] that no error may show.
pub const SECRET: &str = "correct-horse-battery-staple";

fn answer(status: u16, body: &[u8]) -> Answer {
    let mut secrets = Secrets::default();
    secrets.add_header(HEADER.as_bytes());
    let status = StatusCode::from_u16(status).unwrap_or_default();
    Answer::made_up(status, body, secrets)
}

/// What the bodies of the three answers (loads, ages, copies) together say of the pods.
///
/// # Errors
/// What is wrong with the first answer that is no vector of one number a pod.
pub fn observation(status: u16, bodies: [&[u8]; 3]) -> Result<LoadObservation, PromError> {
    let values = |body: &[u8]| PodValues::from_answer(answer(status, body));
    let [load, ages, copies] = bodies;
    Ok(loads::observation(
        false,
        values(load)?,
        Some(values(ages)?),
        Some(values(copies)?),
        // Read like the others; whatever pods it names.
        Some(values(copies)?),
    ))
}

/// What the bodies of the three answers (owners now and before, rates) together say of a group.
/// `other_groups` is whether the owners may be those of other groups as well.
///
/// # Errors
/// What is wrong with the first answer that is no vector of one number a partition.
pub fn group(
    status: u16,
    bodies: [&[u8]; 3],
    other_groups: bool,
) -> Result<GroupObservation, PromError> {
    let [now, before, rates] = bodies.map(|body| answer(status, body));
    Ok(group::observation(
        Owners::from_answer(&now)?,
        Some(Owners::from_answer(&before)?),
        Some(Rates::from_answer(&rates)?),
        other_groups,
    ))
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
    let answer = answer(status, body);
    let samples = answer.samples()?.samples;
    Ok(crate::autoscalers::candidates(&samples, namespace))
}

/// The literal of a label's value.
#[must_use]
pub fn literal(value: &str) -> String {
    query::string(value)
}

/// Every query that is asked of a namespace and a container.
#[must_use]
pub fn queries(namespace: &str, container: &str, window: Duration) -> [String; 4] {
    [
        query::load(namespace, container, window),
        query::freshness(namespace, container),
        query::copies(namespace, container),
        query::autoscalers(namespace),
    ]
}
