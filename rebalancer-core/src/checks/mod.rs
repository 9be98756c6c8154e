//! Checks: rules applied to a snapshot or to a pod, each a small function of its own, each
//! recorded with its verdict and its numbers even when it passes.

mod group;
mod history;
mod metrics;
mod pod;
mod workload;

pub use group::GroupKnown;
pub(crate) use group::group;
pub(crate) use history::{cooldown, eviction_limit, freeze, last_rotation, one_at_a_time};
pub use metrics::{ClocksAgree, LoadPlausible, LoadsNotAllZero, MeasuredPodsExist};
pub(crate) use metrics::{clocks_agree, load_plausible, loads_not_all_zero, measured_pods_exist};
pub use pod::Ineligible;
pub(crate) use pod::{eligibility, ineligible};
use workload::pods_are;
pub use workload::{Check, Finding, Verdict};
pub(crate) use workload::{
    autoscaler, changed_since, coverage, measured_once, metrics_complete, minimum_ready,
    pods_found, rollout, settled, target,
};

/// How many things a message names before it stops.
const NAMED: usize = 5;

/// The first few of a list in words, and how many more there are.
pub(crate) fn list_some(items: impl Iterator<Item = String>) -> String {
    let mut items = items;
    let mut named: Vec<String> = items.by_ref().take(NAMED).collect();
    match items.count() {
        0 => {}
        more => named.push(format!("and {more} more")),
    }
    named.join(", ")
}
