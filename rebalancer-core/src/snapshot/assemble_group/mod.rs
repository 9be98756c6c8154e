//! Joins the metrics of a consumer group with the pods that Kubernetes lists.

mod members;
mod missing;
mod owned;
mod static_members;
#[cfg(test)]
mod tests;
mod topics;

use std::collections::BTreeMap;

use crate::group::{
    Assignor, ClientFamily, GroupDocument, OffsetsWentBackDocument, Protocol, TopicDocument,
};
use crate::model::{Pod, Seconds};
use crate::ports::{GroupObservation, OffsetsWentBack};

use members::Pods;
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

/// The operator's settings for the group.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct GroupSettings {
    /// The group id.
    pub id: Option<String>,
    /// The assignor; `None` to recognise it.
    pub assignor: Option<Assignor>,
    /// The client library.
    pub client: ClientFamily,
    /// The group protocol.
    pub protocol: Protocol,
    /// `session.timeout.ms` of static members; `None` for Kafka's default.
    pub session_timeout: Option<Seconds>,
}

/// Assembles the document of a group from settings, metrics and pods. Data that does not match is
/// left out and described in [`GroupDocument::partial`].
#[must_use]
pub fn assemble_group(
    settings: &GroupSettings,
    observation: Option<GroupObservation>,
    pods: &[Pod],
) -> GroupDocument {
    let group = GroupDocument {
        id: settings.id.clone(),
        assignor: settings.assignor,
        client: settings.client,
        protocol: settings.protocol,
        session_timeout_seconds: settings.session_timeout,
        ..GroupDocument::default()
    };
    let Some(observation) = observation else {
        return group;
    };
    let mut missing = Missing::default();
    if let Some(partial) = observation.partial {
        missing.add(partial);
    }
    let pods = Pods::new(pods);
    let id = settings.id.as_deref();
    let now = Owned::of(&observation.owners, &pods, id);
    // Faults of the earlier owners are not reported.
    let before = observation
        .owners_before
        .map(|before| Owned::of(&before, &pods, id));
    now.report_unknown_owners(observation.other_groups, &mut missing);
    now.report_duplicate_owners(before.as_ref(), &mut missing);
    let nothing = now.is_empty() && before.as_ref().is_none_or(Owned::is_empty);
    if nothing && missing.is_empty() {
        missing.add(NO_OWNERS.to_owned());
    }
    let rates = observation.rates.as_deref();
    let mut topics = topics::topics(
        &now,
        before.as_ref(),
        rates.unwrap_or_default(),
        &mut missing,
    );
    if let Some(rates) = rates {
        topics::fill_rates(&mut topics, rates, &mut missing);
    }
    let mut notes = observation.notes;
    notes.extend(now.streams_note());
    let offsets_went_back = observation
        .offsets_went_back
        .and_then(|offsets| of_topics(offsets, &topics));
    let moved_lately = before.map_or(0, |before| now.moved_since(&before));
    GroupDocument {
        members: pods.with_idle(now.members.into_values().collect()),
        topics,
        rate_unit: observation.rate_unit,
        partial: missing.into_message(),
        moved_lately,
        offsets_went_back,
        notes,
        ..group
    }
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
