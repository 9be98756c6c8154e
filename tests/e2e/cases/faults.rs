//! Every call of the program combined with every fault, on real servers behind a proxy.
//!
//! Whatever fails, the run ends in time with the right exit code and message, evicts no pod
//! outside the plan and none twice, and reports an outcome for each pod.

mod acting;
mod api_server;
mod leases;
mod lifecycle;
mod reading;
mod records;
mod table;

use std::{panic::AssertUnwindSafe, time::Duration};

use ::harness::{Result, proxy::Seen};
use futures::{FutureExt as _, future::join_all};
use tokio::sync::{Semaphore, SemaphorePermit};

use crate::support::Outcome;
use table::Kind;

/// The calls that observe, the calls that act, and the queries to Prometheus; each has every fault.
const CALLS: [&str; 39] = [
    "acquiring: get leases",
    "acquiring: create leases",
    "acquiring: update leases",
    "observing: get deployments",
    "observing: list replicasets",
    "observing: list pods",
    "observing: list horizontalpodautoscalers",
    "observing: list scaledobjects",
    "before a dry run: list poddisruptionbudgets",
    "before an eviction: get pods",
    "before an eviction: list pods",
    "before an eviction: get deployments",
    "create pods/eviction",
    "delete pods",
    "after a lost answer: get pods",
    "after a pause: get deployments",
    "after a pause: list replicasets",
    "after a pause: list pods",
    "between waves: get deployments",
    "between waves: list replicasets",
    "between waves: list pods",
    "after the last wave: get deployments",
    "after the last wave: list replicasets",
    "after the last wave: list pods",
    "create events",
    "patch deployments",
    "using an approval: patch deployments",
    "renewing: update leases",
    "giving back: update leases",
    "query load",
    "query freshness",
    "query duplicates",
    "query window",
    "query autoscalers",
    "query hold",
    "query past",
    "query samples",
    "query cgroups",
    "query labels",
];

/// The number of combinations, which docs/safety.md names.
#[test]
fn number_of_cases_is_documented() {
    let (calls, faults) = (CALLS.len(), Kind::ALL.len());
    eprintln!(
        "{calls} calls × {faults} faults: {} cases, and {} of connections",
        calls * faults,
        2 * reading::CONNECTION_FAULTS.len()
    );
    assert_eq!(calls * faults, 780);
}

/// Runs a case for each fault concurrently; panics with the names of the failed ones.
async fn each(
    call: &str,
    kinds: impl IntoIterator<Item = Kind>,
    case: impl AsyncFn(Kind) -> Result<()>,
) {
    assert!(CALLS.contains(&call), "{call} is not counted");
    let cases = kinds.into_iter().map(async |kind| {
        let ended = AssertUnwindSafe(case(kind)).catch_unwind().await;
        let failure = match ended {
            Ok(Ok(())) => return None,
            Ok(Err(error)) => error.to_string(),
            Err(panic) => {
                let text = panic.downcast_ref::<String>().map(String::as_str);
                let text = text.or_else(|| panic.downcast_ref::<&str>().copied());
                text.unwrap_or_default().to_owned()
            }
        };
        Some(format!("=== {call} × {kind:?}: {failure}"))
    });
    let wrong: Vec<_> = join_all(cases).await.into_iter().flatten().collect();
    assert!(
        wrong.is_empty(),
        "{} cases went wrong\n{}",
        wrong.len(),
        wrong.join("\n")
    );
}

/// A permit to run the program: many concurrent runs on few cores would only be slow. Runs that
/// wait for a response that never comes need no permit.
async fn turn(kind: Kind) -> Option<SemaphorePermit<'static>> {
    static TURNS: Semaphore = Semaphore::const_new(10);
    if kind.stalls() {
        return None;
    }
    TURNS.acquire().await.ok()
}

/// The program's timeout for the API server. It is short only where a case needs it, since a busy
/// machine could not keep to it: half of the timeout is for the connection.
fn patience(kind: Kind) -> Vec<(&'static str, &'static str)> {
    if kind.stalls() {
        vec![("KUBE_TIMEOUT", "10s")]
    } else {
        vec![]
    }
}

/// Panics unless the run ended within a bound that allows for three failed reads and a
/// busy machine; a call without a response takes the time that [`patience`] gives.
fn assert_in_time(run: &Outcome) {
    assert!(
        run.0.elapsed < Duration::from_secs(50),
        "not in time: {}",
        run.0
    );
}

/// Panics unless the proxy broke the expected number of calls.
fn assert_broken(seen: &[Seen], calls: usize) {
    let broken = seen.iter().filter(|seen| seen.fault.is_some()).count();
    assert_eq!(broken, calls, "{}", listed(seen));
}

/// The calls, one per line.
fn listed(seen: &[Seen]) -> String {
    let lines: Vec<_> = seen.iter().map(ToString::to_string).collect();
    lines.join("\n")
}

/// The messages in the log that contain those words.
fn said(run: &Outcome, words: &str) -> Vec<String> {
    let messages = run.log().into_iter().filter_map(|line| {
        let message = line["msg"].as_str()?;
        message.contains(words).then(|| message.to_owned())
    });
    messages.collect()
}
