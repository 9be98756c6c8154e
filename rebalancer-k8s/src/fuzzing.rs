//! The parsers of responses, for the fuzz targets. Not part of the public interface.

use std::collections::BTreeMap;

use bytes::Bytes;
use http::StatusCode;
use jiff::Timestamp;
use rebalancer_core::model::{PausedAutoscaler, Pod, PodUid, RolloutFailure, WorkloadRef};
use rebalancer_core::ports::{AutoscalerCandidate, DisruptionBudget};
use serde::de::DeserializeOwned;

use crate::autoscalers::Hpa;
use crate::budgets::Budget;
use crate::keda::{self, ScaledObject};
use crate::pages::{Collect, Pages as _};
use crate::pods::{ReadyCount, Reduction};
use crate::refusal::Refusal;

/// A parsed page of pods.
#[derive(Debug)]
pub struct Page {
    /// The reduced pods.
    pub pods: Vec<Pod>,
    /// Number of pods on the page.
    pub items: usize,
    /// Continue token of the next page.
    pub next: Option<String>,
    /// Number of pods that are ready and controlled by the given owner.
    pub ready: usize,
}

/// Parses a page of pods in either format, like a run: once to reduce the pods, and once to count
/// the ready pods.
///
/// # Errors
/// The message about a page that does not have the expected form.
pub fn pods(
    body: &[u8],
    taken_at: Timestamp,
    container: &str,
    owner: &str,
) -> Result<Page, String> {
    let owners = [owner.to_owned()];
    let mut reduction = Reduction::new(taken_at, container);
    let mut count = ReadyCount::new(&owners, usize::MAX);
    let body = Bytes::copy_from_slice(body);
    let reduced = reduction.page(&body);
    let counted = count.page(&body);
    let end = reduced.map_err(|error| error.to_string())?;
    counted.map_err(|error| error.to_string())?;
    Ok(Page {
        pods: reduction.finish(&owners, None).pods,
        items: end.items,
        next: end.next,
        ready: count.ready,
    })
}

/// Parses a response that is not a success. Returns its message, and whether it is from the API
/// server.
#[must_use]
pub fn refusal(status: u16, body: &[u8]) -> (String, bool) {
    let status = StatusCode::from_u16(status).unwrap_or_default();
    let refusal = Refusal::read(status, None, &Bytes::copy_from_slice(body));
    (refusal.message, refusal.from_api)
}

/// Parses a page of HorizontalPodAutoscalers.
///
/// # Errors
/// The message about a page that does not have the expected form.
pub fn autoscalers(body: &[u8]) -> Result<Vec<AutoscalerCandidate>, String> {
    let hpas: Vec<Hpa> = list(body, "HorizontalPodAutoscaler")?;
    Ok(hpas.into_iter().map(Hpa::into_candidate).collect())
}

/// Parses a page of PodDisruptionBudgets, and returns those that cover any of the pods. A pod is
/// its UID and its labels.
///
/// # Errors
/// The message about a page that does not have the expected form, or about an unknown operator.
pub fn budgets(
    body: &[u8],
    pods: &[(PodUid, BTreeMap<String, String>)],
) -> Result<Vec<DisruptionBudget>, String> {
    let budgets: Vec<Budget> = list(body, "PodDisruptionBudget")?;
    let covering = budgets.into_iter().map(|budget| budget.covering(pods));
    covering
        .filter_map(Result::transpose)
        .collect::<Result<_, _>>()
        .map_err(|error| error.to_string())
}

/// Parses a page of ScaledObjects, and returns the paused one that scales the workload.
///
/// # Errors
/// The message about a page that does not have the expected form.
pub fn paused(body: &[u8], workload: &WorkloadRef) -> Result<Option<PausedAutoscaler>, String> {
    let objects: Vec<ScaledObject> = list(body, "ScaledObject")?;
    Ok(keda::paused(&objects, workload))
}

/// Parses the object of a workload: as a Deployment or StatefulSet, and as an object of a kind that
/// only the API server knows. Returns the failures of its rollout in each reading.
///
/// # Errors
/// The message about an object that does not have the expected form.
pub fn workload(body: &[u8]) -> Result<[Vec<RolloutFailure>; 2], String> {
    crate::workload::failures(body).map_err(|error| error.to_string())
}

fn list<T: DeserializeOwned>(body: &[u8], kind: &'static str) -> Result<Vec<T>, String> {
    let mut pages = Collect::of_kind(kind);
    let page = pages.page(&Bytes::copy_from_slice(body));
    page.map_err(|error| error.to_string())?;
    Ok(pages.objects)
}
