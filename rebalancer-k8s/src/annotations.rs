//! The annotations that the rebalancer reads and writes.

use std::borrow::Cow;
use std::collections::HashMap;

use bytes::Bytes;
use serde::{Deserialize, Deserializer};

/// On a pod or a workload: `true` exempts the pods from eviction.
const SKIP: &str = "rebalancer.io/skip";
/// On a workload: its last rotation, kept for the next run.
pub(crate) const LAST_ROTATION: &str = "rebalancer.io/last-rotation";
/// On a Lease: the workload that the Lease is about.
pub(crate) const WORKLOAD: &str = "rebalancer.io/workload";
/// On a pod: `false` exempts it from eviction by the cluster autoscaler, and by us.
const SAFE_TO_EVICT: &str = "cluster-autoscaler.kubernetes.io/safe-to-evict";
/// On a pod: any value asks the descheduler, and us, not to evict it.
const PREFER_NO_EVICTION: &str = "descheduler.alpha.kubernetes.io/prefer-no-eviction";
/// On a pod: the kubelet runs it from a file; evicting it has no effect.
const MIRROR: &str = "kubernetes.io/config.mirror";

/// The annotations of an object, as entries of a protobuf map.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct Annotation {
    #[prost(bytes = "bytes", tag = "1")]
    name: Bytes,
    #[prost(bytes = "bytes", tag = "2")]
    value: Bytes,
}

/// Reads annotations from a JSON object or `null`.
pub(crate) fn from_json<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Vec<Annotation>, D::Error> {
    let entries = Option::<HashMap<String, String>>::deserialize(deserializer)?;
    Ok(entries
        .into_iter()
        .flatten()
        .map(|(name, value)| Annotation {
            name: name.into(),
            value: value.into(),
        })
        .collect())
}

/// Returns the value of the annotation `name`.
pub(crate) fn value_of<'a>(annotations: &'a [Annotation], name: &str) -> Option<Cow<'a, str>> {
    annotations
        .iter()
        .find(|annotation| annotation.name == name)
        .map(|annotation| String::from_utf8_lossy(&annotation.value))
}

/// Returns the annotation that exempts a pod from eviction, as `name: value`.
pub(crate) fn opt_out_of_pod(annotations: &[Annotation]) -> Option<String> {
    let says = |name, word: &str| {
        value_of(annotations, name).is_some_and(|value| value.eq_ignore_ascii_case(word))
    };
    if says(SKIP, "true") {
        return Some(format!("{SKIP}: true"));
    }
    if says(SAFE_TO_EVICT, "false") {
        return Some(format!("{SAFE_TO_EVICT}: false"));
    }
    let value = value_of(annotations, PREFER_NO_EVICTION)?;
    Some(format!("{PREFER_NO_EVICTION}: {value}"))
}

/// Returns the annotation of a workload that exempts all its pods from eviction.
pub(crate) fn opt_out_of_workload(annotations: &[Annotation]) -> Option<String> {
    let value = value_of(annotations, SKIP)?;
    value
        .eq_ignore_ascii_case("true")
        .then(|| format!("{SKIP}: {value} (on the workload)"))
}

/// Whether the annotations are those of a mirror pod.
pub(crate) fn is_mirror(annotations: &[Annotation]) -> bool {
    value_of(annotations, MIRROR).is_some()
}
