//! The Lease object.

use jiff::{SignedDuration, Timestamp};
use rebalancer_core::hold_record::HoldRecord;
use rebalancer_core::lease::{DURATION, LeaseHolder};
use rebalancer_core::model::Seconds;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::annotations::LAST_HOLD;
use crate::clock::MicroTime;

/// A Lease with all its fields, because an update replaces the whole object.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Lease {
    metadata: Map<String, Value>,
    #[serde(default)]
    pub(super) spec: Spec,
    #[serde(flatten)]
    rest: Map<String, Value>,
}

#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Spec {
    #[serde(skip_serializing_if = "Option::is_none")]
    holder_identity: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    lease_duration_seconds: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    acquire_time: Option<MicroTime>,
    #[serde(skip_serializing_if = "Option::is_none")]
    renew_time: Option<MicroTime>,
    #[serde(skip_serializing_if = "Option::is_none")]
    lease_transitions: Option<u32>,
    #[serde(flatten)]
    rest: Map<String, Value>,
}

impl Lease {
    /// The hold of the last run. A record that cannot be read counts as absent.
    pub(super) fn last_hold(&self) -> Option<HoldRecord> {
        let record = self.metadata.get("annotations")?.get(LAST_HOLD)?.as_str()?;
        serde_json::from_str(record)
            .inspect_err(|error| tracing::debug!(%error, record, "invalid record of a hold"))
            .ok()
    }

    /// Records the hold of this run; `None` removes the record.
    pub(super) fn set_last_hold(&mut self, hold: Option<&HoldRecord>) {
        let annotations = self
            .metadata
            .entry("annotations")
            .or_insert_with(|| json!({}));
        let Some(annotations) = annotations.as_object_mut() else {
            return;
        };
        match hold.map(serde_json::to_string) {
            Some(Ok(record)) => {
                annotations.insert(LAST_HOLD.to_owned(), record.into());
            }
            // A record can always be written.
            Some(Err(_)) | None => {
                annotations.remove(LAST_HOLD);
            }
        }
    }
}

/// The current holder of a Lease.
#[derive(Debug)]
pub(super) enum Standing {
    /// This run.
    Ours,
    /// No run, or a run that did not renew the Lease in time.
    Free,
    /// Another run.
    Other(LeaseHolder),
}

impl Spec {
    /// The identity of the run that holds the Lease.
    pub(super) fn holder(&self) -> Option<&str> {
        self.holder_identity
            .as_deref()
            .filter(|holder| !holder.is_empty())
    }

    /// The time at which the Lease was last renewed or released.
    pub(super) fn renewed(&self) -> Option<Timestamp> {
        self.renew_time.map(|MicroTime(time)| time)
    }

    /// The end of the Lease, unless it is renewed.
    fn expires(&self) -> Option<Timestamp> {
        let duration = self.lease_duration_seconds.map_or_else(
            || SignedDuration::try_from(DURATION).unwrap_or(SignedDuration::MAX),
            |seconds| SignedDuration::from_secs(seconds.into()),
        );
        // Without a renewal time, the Lease counts as expired.
        let MicroTime(renewed) = self.renew_time?;
        Some(renewed.checked_add(duration).unwrap_or(Timestamp::MAX))
    }

    /// Returns the holder at the time `now`, as seen by the run `identity`.
    pub(super) fn standing(&self, identity: &str, now: Timestamp) -> Standing {
        let Some(holder) = self.holder() else {
            return Standing::Free;
        };
        if holder == identity {
            return Standing::Ours;
        }
        let left = self
            .expires()
            .map_or(0.0, |expires| expires.duration_since(now).as_secs_f64());
        if left <= 0.0 {
            tracing::info!(
                holder,
                expired_seconds_ago = -left,
                "the lease of another run expired without being released"
            );
            return Standing::Free;
        }
        Standing::Other(LeaseHolder {
            identity: holder.to_owned(),
            expires_seconds: Seconds::new(left).unwrap_or(Seconds::ZERO),
        })
    }

    /// Returns the spec with `identity` as the holder, renewed at `now`.
    pub(super) fn held_by(mut self, identity: &str, now: Timestamp) -> Self {
        let now = Some(MicroTime(now));
        if self.holder() != Some(identity) {
            self.holder_identity = Some(identity.to_owned());
            self.acquire_time = now;
            self.lease_transitions = self
                .lease_transitions
                .map(|so_far| so_far.saturating_add(1));
            self.lease_transitions.get_or_insert(0);
        }
        self.renew_time = now;
        self.lease_duration_seconds = Some(seconds_of_a_lease());
        self
    }

    /// Returns the spec without a holder.
    pub(super) fn released(mut self, now: Timestamp) -> Self {
        self.holder_identity = Some(String::new());
        self.renew_time = Some(MicroTime(now));
        // The API does not allow zero.
        self.lease_duration_seconds = Some(1);
        self
    }
}

fn seconds_of_a_lease() -> u32 {
    u32::try_from(DURATION.as_secs()).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;
    use serde_json::json;

    fn now() -> Timestamp {
        "2026-01-02T03:10:00Z".parse().unwrap()
    }

    fn spec(spec: Value) -> Spec {
        serde_json::from_value(spec).unwrap()
    }

    #[rstest]
    #[case::without_holder(json!({}), "free")]
    #[case::released(json!({"holderIdentity": "", "leaseDurationSeconds": 1,
        "renewTime": "2026-01-02T03:10:00.000000Z"}), "free")]
    #[case::ours(json!({"holderIdentity": "me"}), "ours")]
    #[case::never_renewed(json!({"holderIdentity": "you"}), "free")]
    #[case::ended(json!({"holderIdentity": "you", "leaseDurationSeconds": 90,
        "renewTime": "2026-01-02T03:08:30.000000Z"}), "free")]
    #[case::lasting(json!({"holderIdentity": "you", "leaseDurationSeconds": 90,
        "renewTime": "2026-01-02T03:08:31.500000Z"}), "you for 1.5 s")]
    #[case::of_the_default_length(json!({"holderIdentity": "you",
        "renewTime": "2026-01-02T03:10:00.000000Z"}), "you for 90 s")]
    #[case::longer_than_time(json!({"holderIdentity": "you", "leaseDurationSeconds": u32::MAX,
        "renewTime": "9999-12-01T00:00:00.000000Z"}), "other")]
    fn lease_belongs_to_its_holder_until_it_expires(#[case] given: Value, #[case] expected: &str) {
        let found = match spec(given).standing("me", now()) {
            Standing::Ours => "ours".into(),
            Standing::Free => "free".into(),
            Standing::Other(_) if expected == "other" => "other".into(),
            Standing::Other(holder) => {
                format!("{} for {} s", holder.identity, holder.expires_seconds.get())
            }
        };
        assert_eq!(found, expected);
    }

    #[test]
    fn taking_over_counts_as_a_transition_and_renewing_does_not() {
        let taken = spec(
            json!({"holderIdentity": "you", "leaseTransitions": 3, "strategy": "x",
            "acquireTime": "2026-01-02T03:00:00.000000Z"}),
        )
        .held_by("me", now());
        assert_eq!(
            serde_json::to_value(&taken).unwrap(),
            json!({"holderIdentity": "me", "leaseDurationSeconds": 90, "leaseTransitions": 4,
                "acquireTime": "2026-01-02T03:10:00.000000Z",
                "renewTime": "2026-01-02T03:10:00.000000Z", "strategy": "x"})
        );
        let later = "2026-01-02T03:10:20.1234567Z".parse().unwrap();
        assert_eq!(
            serde_json::to_value(taken.held_by("me", later)).unwrap(),
            json!({"holderIdentity": "me", "leaseDurationSeconds": 90, "leaseTransitions": 4,
                "acquireTime": "2026-01-02T03:10:00.000000Z",
                "renewTime": "2026-01-02T03:10:20.123456Z", "strategy": "x"})
        );
    }
}
