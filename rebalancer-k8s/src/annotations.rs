//! The annotations that the rebalancer reads and writes.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use bytes::Bytes;
use jiff::{SignedDuration, Timestamp};
use rebalancer_core::model::Pause;
use serde::{Deserialize, Deserializer};

use crate::object_meta::text;

/// On a pod or a workload: `true` exempts the pods from eviction.
const SKIP: &str = "rebalancer.io/skip";
/// On a workload: asks not to act until the annotation is removed. The value is `true`, or the
/// reason.
pub const FREEZE: &str = "rebalancer.io/freeze";
/// On a workload: asks not to act before this time, in the form of RFC 3339.
pub const PAUSED_UNTIL: &str = "rebalancer.io/paused-until";
/// On a workload: the reason for [`PAUSED_UNTIL`].
pub const PAUSE_REASON: &str = "rebalancer.io/pause-reason";
/// On a workload: its last rotation, kept for the next run.
pub(crate) const LAST_ROTATION: &str = "rebalancer.io/last-rotation";
/// On a workload: the plan that waits for approval, in JSON.
pub(crate) const PLAN: &str = "rebalancer.io/plan";
/// On a workload: the id of the plan that a person has approved.
pub const APPROVE: &str = "rebalancer.io/approve";
/// On a Lease: the hold of the last run, kept for the next run.
pub(crate) const LAST_HOLD: &str = "rebalancer.io/last-hold";
/// On a Lease: the workload that the Lease is about.
pub(crate) const WORKLOAD: &str = "rebalancer.io/workload";
/// On a pod: `false` exempts it from eviction by the cluster autoscaler, and by us.
const SAFE_TO_EVICT: &str = "cluster-autoscaler.kubernetes.io/safe-to-evict";
/// On a pod: `true` exempts it from voluntary disruption by Karpenter, and from eviction by us. A
/// duration does so until the pod is that old.
const DO_NOT_DISRUPT: &str = "karpenter.sh/do-not-disrupt";
/// The name of [`DO_NOT_DISRUPT`] before Karpenter 0.32.
const DO_NOT_EVICT: &str = "karpenter.sh/do-not-evict";
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

/// Returns all of them by name.
pub(crate) fn to_map(annotations: &[Annotation]) -> BTreeMap<String, String> {
    annotations
        .iter()
        .map(|Annotation { name, value }| (text(name), text(value)))
        .collect()
}

/// Returns the annotation that exempts a pod from eviction, as `name: value`. `age` is the age of
/// the pod.
pub(crate) fn opt_out_of_pod(
    annotations: &[Annotation],
    age: impl FnOnce() -> Duration,
) -> Option<String> {
    let says = |name, word: &str| {
        value_of(annotations, name).is_some_and(|value| value.eq_ignore_ascii_case(word))
    };
    for (name, word) in [
        (SKIP, "true"),
        (SAFE_TO_EVICT, "false"),
        (DO_NOT_DISRUPT, "true"),
        (DO_NOT_EVICT, "true"),
    ] {
        if says(name, word) {
            return Some(format!("{name}: {word}"));
        }
    }
    if let Some(value) = value_of(annotations, DO_NOT_DISRUPT)
        && let Some(protected) = duration(&value)
        && age() < protected
    {
        return Some(format!("{DO_NOT_DISRUPT}: {value}"));
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

/// The annotations of a workload by which an operator asks not to act, not parsed.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct PauseAnnotations {
    /// `rebalancer.io/freeze`.
    pub freeze: Option<String>,
    /// `rebalancer.io/paused-until`.
    pub until: Option<String>,
    /// `rebalancer.io/pause-reason`.
    pub reason: Option<String>,
}

impl PauseAnnotations {
    pub(crate) fn of(annotations: &[Annotation]) -> Self {
        let value = |name| value_of(annotations, name).map(Cow::into_owned);
        Self {
            freeze: value(FREEZE),
            until: value(PAUSED_UNTIL),
            reason: value(PAUSE_REASON),
        }
    }

    /// Whether the workload is frozen, with or without a reason.
    #[must_use]
    pub fn is_frozen(&self) -> bool {
        self.freeze().is_some_and(|freeze| freeze.problem.is_none())
    }

    /// Returns the order at the time `now`. A value that cannot be understood asks not to act.
    #[must_use]
    pub fn at(&self, now: Timestamp) -> Option<Pause> {
        self.freeze().or_else(|| self.until(now))
    }

    fn freeze(&self) -> Option<Pause> {
        let value = self.freeze.as_deref()?;
        let text = value.trim();
        let is_true = text.eq_ignore_ascii_case("true");
        let problem = "is empty: set it to `true` or to a reason, or remove it";
        (!text.eq_ignore_ascii_case("false")).then(|| Pause {
            annotation: format!("{FREEZE}: {value}"),
            until: None,
            reason: (!is_true && !text.is_empty()).then(|| text.to_owned()),
            problem: text.is_empty().then(|| problem.to_owned()),
        })
    }

    fn until(&self, now: Timestamp) -> Option<Pause> {
        let value = self.until.as_deref()?;
        let until = value.trim().parse::<Timestamp>().ok();
        let problem =
            "is not a time of RFC 3339, such as 2026-11-28T06:00:00Z: correct or remove it";
        until.is_none_or(|until| now < until).then(|| Pause {
            annotation: format!("{PAUSED_UNTIL}: {value}"),
            until,
            reason: self.reason.clone(),
            problem: until.is_none().then(|| problem.to_owned()),
        })
    }
}

/// Whether the annotations are those of a mirror pod.
pub(crate) fn is_mirror(annotations: &[Annotation]) -> bool {
    value_of(annotations, MIRROR).is_some()
}

/// Parses a duration such as `5m` or `1h30m`. `None` if the text is not a positive duration.
fn duration(text: &str) -> Option<Duration> {
    text.parse::<SignedDuration>().ok()?.try_into().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case::nothing(None, None, None)]
    #[case::frozen(
        Some("true"),
        None,
        Some("frozen by its annotation `rebalancer.io/freeze: true`")
    )]
    #[case::with_a_reason(Some("incident 7"), None, Some("frozen (incident 7) by"))]
    #[case::not_frozen(Some("False"), None, None)]
    #[case::empty(
        Some(""),
        None,
        Some("`rebalancer.io/freeze: ` of the workload is empty")
    )]
    #[case::paused(
        None,
        Some("2026-01-02T03:00:01Z"),
        Some("paused until 2026-01-02T03:00:01Z")
    )]
    #[case::with_an_offset(
        None,
        Some("2026-01-02T04:00:01+01:00"),
        Some("paused until 2026-01-02T03:00:01Z")
    )]
    #[case::over(None, Some("2026-01-02T03:00:00Z"), None)]
    #[case::invalid(
        None,
        Some("tomorrow"),
        Some("`rebalancer.io/paused-until: tomorrow` of the workload is not a time of RFC 3339")
    )]
    #[case::without_offset(None, Some("2026-01-01T00:00:00"), Some("is not a time of RFC 3339"))]
    #[case::thawed_and_paused(Some("false"), Some("2026-01-02T04:00:00Z"), Some("paused until"))]
    fn annotations_of_the_workload_ask_not_to_act(
        #[case] freeze: Option<&str>,
        #[case] until: Option<&str>,
        #[case] expected: Option<&str>,
    ) {
        let annotations = PauseAnnotations {
            freeze: freeze.map(str::to_owned),
            until: until.map(str::to_owned),
            reason: None,
        };
        let pause = annotations.at("2026-01-02T03:00:00Z".parse().unwrap());
        let message = pause.map(|pause| pause.to_string());
        assert_eq!(message.is_some(), expected.is_some(), "{message:?}");
        let message = message.unwrap_or_default();
        assert!(message.contains(expected.unwrap_or_default()), "{message}");
    }

    #[rstest]
    #[case(SKIP, "true", Some("rebalancer.io/skip: true"))]
    #[case(SKIP, "false", None)]
    #[case(
        SAFE_TO_EVICT,
        "False",
        Some("cluster-autoscaler.kubernetes.io/safe-to-evict: false")
    )]
    #[case(SAFE_TO_EVICT, "true", None)]
    #[case(DO_NOT_DISRUPT, "true", Some("karpenter.sh/do-not-disrupt: true"))]
    #[case(DO_NOT_DISRUPT, "false", None)]
    #[case(DO_NOT_DISRUPT, "601s", Some("karpenter.sh/do-not-disrupt: 601s"))]
    #[case(DO_NOT_DISRUPT, "1h30m", Some("karpenter.sh/do-not-disrupt: 1h30m"))]
    #[case(DO_NOT_DISRUPT, "10m", None)]
    #[case(DO_NOT_DISRUPT, "-1h", None)]
    #[case(DO_NOT_DISRUPT, "soon", None)]
    #[case(DO_NOT_EVICT, "true", Some("karpenter.sh/do-not-evict: true"))]
    #[case(
        PREFER_NO_EVICTION,
        "",
        Some("descheduler.alpha.kubernetes.io/prefer-no-eviction: ")
    )]
    fn annotation_exempts_a_pod_of_ten_minutes(
        #[case] name: &str,
        #[case] value: &str,
        #[case] expected: Option<&str>,
    ) {
        let annotation = Annotation {
            name: name.to_owned().into(),
            value: value.to_owned().into(),
        };
        let found = opt_out_of_pod(&[annotation], || Duration::from_secs(600));
        assert_eq!(found.as_deref(), expected);
    }
}
