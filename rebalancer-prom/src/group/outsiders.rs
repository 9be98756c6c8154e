//! Consumers that are not members of a group.
//!
//! The Java client reports the partitions that a consumer reads, whether the group assigned them or
//! the application did. The client id shows the consumers that never join a group.

use std::collections::BTreeMap;

use rebalancer_core::ports::OwnerSample;

/// A kind of consumer that is not a member of a group.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Outsider {
    /// Kafka Streams reads changelog topics with it to restore state stores.
    Restore,
    /// Kafka Streams reads the topics of global tables with it.
    Global,
    /// A consumer without `group.id`, with the client id that the Java client generates.
    NoGroup,
}

impl Outsider {
    /// Recognises the kind from a client id.
    fn of(client_id: &str) -> Option<Self> {
        let generated = || client_id.strip_prefix("consumer-null-");
        let is_number = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
        if client_id.ends_with("-restore-consumer") {
            Some(Self::Restore)
        } else if client_id.ends_with("-global-consumer") {
            Some(Self::Global)
        } else if generated().is_some_and(is_number) {
            Some(Self::NoGroup)
        } else {
            None
        }
    }

    const fn description(self) -> &'static str {
        match self {
            Self::Restore => "restore consumers of Kafka Streams",
            Self::Global => "global consumers of Kafka Streams",
            Self::NoGroup => "consumers without a group.id",
        }
    }
}

/// The samples of such consumers: their number and one topic, by kind.
#[derive(Debug, Default)]
pub(super) struct Outsiders(BTreeMap<Outsider, (usize, String)>);

impl Outsiders {
    /// Whether the sample is about a consumer that is not a member of a group. Counts it if so.
    pub(super) fn take(&mut self, sample: &OwnerSample) -> bool {
        let client_id = sample
            .owner
            .as_ref()
            .and_then(|owner| owner.client_id.as_deref());
        let Some(kind) = client_id.and_then(Outsider::of) else {
            return false;
        };
        let (count, _) = self
            .0
            .entry(kind)
            .or_insert_with(|| (0, sample.topic.clone()));
        *count += 1;
        true
    }

    /// Describes the samples that were counted.
    pub(super) fn into_note(self) -> Option<String> {
        let kinds: Vec<String> = self
            .0
            .into_iter()
            .map(|(kind, (count, topic))| {
                let (kind, s) = (kind.description(), if count == 1 { "" } else { "s" });
                format!("{count} partition{s} of {kind}, such as of topic {topic}")
            })
            .collect();
        (!kinds.is_empty()).then(|| {
            format!(
                "left out, because these consumers are not members of the group: {}",
                kinds.join("; ")
            )
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rebalancer_core::ports::MemberLabels;
    use rstest::rstest;

    #[rstest]
    #[case("orders-5b4f-StreamThread-1-restore-consumer", Some(Outsider::Restore))]
    #[case("orders-5b4f-StateUpdater-1-restore-consumer", Some(Outsider::Restore))]
    #[case("orders-5b4f-global-consumer", Some(Outsider::Global))]
    #[case("consumer-null-3", Some(Outsider::NoGroup))]
    #[case("orders-5b4f-StreamThread-1-consumer", None)]
    #[case("consumer-orders-1", None)]
    #[case("consumer-null-", None)]
    #[case("consumer-null-and-void-1", None)]
    fn client_id_shows_consumers_without_a_group(
        #[case] client_id: &str,
        #[case] expected: Option<Outsider>,
    ) {
        assert_eq!(Outsider::of(client_id), expected);
    }

    #[test]
    fn note_counts_what_is_left_out() {
        let sample = |client_id: &str, topic: &str| OwnerSample {
            topic: topic.into(),
            partition: 0,
            owner: Some(MemberLabels {
                client_id: Some(client_id.into()),
                ..MemberLabels::default()
            }),
        };
        let mut outsiders = Outsiders::default();
        assert!(outsiders.take(&sample("a-restore-consumer", "a-changelog")));
        assert!(outsiders.take(&sample("b-restore-consumer", "b-changelog")));
        assert!(outsiders.take(&sample("a-global-consumer", "rates")));
        assert!(!outsiders.take(&sample("a-consumer", "orders")));
        assert_eq!(
            outsiders.into_note().as_deref(),
            Some(
                "left out, because these consumers are not members of the group: 2 partitions of \
                 restore consumers of Kafka Streams, such as of topic a-changelog; 1 partition of \
                 global consumers of Kafka Streams, such as of topic rates"
            )
        );
        assert_eq!(Outsiders::default().into_note(), None);
    }
}
