//! Joins the observation of a consumer group with the pods that Kubernetes lists.

mod described;
mod lags;
mod members;
mod missing;
mod owned;
mod static_members;
#[cfg(test)]
mod tests;
mod topics;

use std::collections::BTreeMap;

use crate::group::{
    Assignor, ClientFamily, GroupDocument, GroupKind, OffsetsWentBackDocument, Protocol,
    TopicDocument,
};
use crate::model::{Pod, Seconds};
use crate::ports::{GroupObservation, OffsetsWentBack};

use members::Pods;
pub(crate) use members::is_address_of;
pub(super) use members::is_word_of;
use missing::Missing;
use owned::Owned;
pub(super) use static_members::contains_uuid;

/// Upper bound for the partitions of a group, so that a wrong number in a label cannot exhaust the
/// memory. Kafka clusters are limited to a small multiple of it.
const MOST_PARTITIONS: usize = 100_000;

/// The description of an observation without any sample.
const NO_OWNERS: &str = "the metrics report no owner of any partition: check the group id, the \
                         configured group metrics or assignment query, and whether the consumers \
                         are scraped";

/// The description of a group whose members subscribe to no topic that exists.
const NO_TOPICS: &str = "the members of the group subscribe to no topic that exists";

/// The operator's settings for the group. They override what its brokers report.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct GroupSettings {
    /// The group id.
    pub id: Option<String>,
    /// The assignor; `None` if the brokers report it, or to recognise it.
    pub assignor: Option<Assignor>,
    /// The client library; `None` if the members show it, or for the default.
    pub client: Option<ClientFamily>,
    /// The group protocol; `None` if the brokers report it, or for the default.
    pub protocol: Option<Protocol>,
    /// `session.timeout.ms` of static members; `None` for Kafka's default.
    pub session_timeout: Option<Seconds>,
    /// Whether a run removes static members of evicted pods. It can only do so in a classic group
    /// that its brokers describe.
    pub removes_static_members: bool,
}

/// Assembles the document of a group from settings, observation and pods. Data that does not match
/// is left out and described in [`GroupDocument::partial`].
#[must_use]
pub fn assemble_group(
    settings: &GroupSettings,
    observation: Option<GroupObservation>,
    pods: &[Pod],
) -> GroupDocument {
    let mut group = GroupDocument {
        id: settings.id.clone(),
        assignor: settings.assignor,
        client: settings.client.unwrap_or_default(),
        protocol: settings.protocol.unwrap_or_default(),
        session_timeout_seconds: settings.session_timeout,
        ..GroupDocument::default()
    };
    let Some(mut observation) = observation else {
        return group;
    };
    let mut missing = Missing::default();
    if let Some(partial) = observation.partial.take() {
        missing.add(partial);
    }
    let pods = Pods::new(pods);
    group.notes = std::mem::take(&mut observation.notes);
    let described = observation.described.take();
    let (now, before, described_topics) = match &described {
        Some(described) => {
            let mut now = Owned::described(described, &pods);
            described::report_outside_members(&now.outside, settings.session_timeout, &mut missing);
            now.report_out_of_range(&mut missing);
            if described.topics.is_empty() && missing.is_empty() {
                missing.add(NO_TOPICS.to_owned());
            }
            let without = pods.without_member(now.members.values());
            let outside = std::mem::take(&mut now.outside);
            let heartbeat = observation.heartbeat;
            let document = described::document(described, outside, without, heartbeat);
            described::resolve(&mut group, settings, &document);
            group.removes_static_members =
                settings.removes_static_members && document.kind == GroupKind::Classic;
            group.described = Some(document);
            // The brokers do not report earlier owners.
            (now, None, described.topics.as_slice())
        }
        None => {
            let (now, before) = owned_by_metrics(&observation, &pods, settings, &mut missing);
            (now, before, [].as_slice())
        }
    };
    now.report_duplicate_owners(before.as_ref(), &mut missing);
    let rates = observation.rates.as_deref();
    let mut topics = topics::topics(
        &now,
        before.as_ref(),
        described_topics,
        rates.unwrap_or_default(),
        &mut missing,
    );
    if let Some(rates) = rates {
        topics::fill_rates(&mut topics, rates, &mut missing);
    }
    topics::fill_racks(&mut topics, described_topics);
    if let Some(lags) = &observation.lags {
        lags::fill_lags(&mut topics, lags);
    }
    let catching_up = lags::catching_up(&topics, observation.rate_window);
    group.notes.extend(catching_up.as_ref().map(lags::note));
    group.notes.extend(now.streams_note());
    let offsets_went_back = observation
        .offsets_went_back
        .and_then(|offsets| of_topics(offsets, &topics));
    let moved_lately = before.map_or(0, |before| now.moved_since(&before));
    let members = now.members.into_values().collect();
    GroupDocument {
        members: if described.is_some() {
            members
        } else {
            pods.with_idle(members)
        },
        topics,
        rate_unit: observation.rate_unit,
        partial: missing.into_message(),
        moved_lately,
        offsets_went_back,
        catching_up,
        ..group
    }
}

/// The owners now and one cooldown earlier, according to metrics.
fn owned_by_metrics(
    observation: &GroupObservation,
    pods: &Pods<'_>,
    settings: &GroupSettings,
    missing: &mut Missing,
) -> (Owned, Option<Owned>) {
    let id = settings.id.as_deref();
    let now = Owned::of(&observation.owners, pods, id);
    // Faults of the earlier owners are not reported.
    let before = observation.owners_before.as_ref();
    let before = before.map(|before| Owned::of(before, pods, id));
    now.report_unknown_owners(observation.other_groups, missing);
    now.report_out_of_range(missing);
    let nothing = now.is_empty() && before.as_ref().is_none_or(Owned::is_empty);
    if nothing && missing.is_empty() {
        missing.add(NO_OWNERS.to_owned());
    }
    (now, before)
}

/// The partitions of the group's topics whose offset went back; `None` if there is none.
fn of_topics(
    offsets: OffsetsWentBack,
    topics: &BTreeMap<String, TopicDocument>,
) -> Option<OffsetsWentBackDocument> {
    let mut partitions = offsets.partitions;
    partitions.retain(|(topic, _)| topics.contains_key(topic));
    partitions.sort_unstable();
    partitions.dedup();
    (!partitions.is_empty()).then(|| OffsetsWentBackDocument {
        partitions: partitions
            .into_iter()
            .map(|(topic, number)| format!("{topic}-{number}"))
            .collect(),
        window_seconds: offsets.window_seconds,
    })
}
