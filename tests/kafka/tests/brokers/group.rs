//! A group of real consumers, and the adapter that observes it.

use std::time::{Duration, Instant};

use consumers::{Consumer, GroupConfig};
use harness::{
    Kafka, KafkaVersion, Result,
    kafka::Listener,
    wait::{Look, until},
};
use rebalancer_core::group::{Assignor, Protocol};
use rebalancer_core::ports::{GroupObservation, GroupSource as _, PortError};
use rebalancer_kafka::{Kafka as Adapter, KafkaSettings, Security};

/// Two topics whose partition counts are not divisible by the number of members.
const SIZES: [(&str, i32); 2] = [("clicks", 13), ("views", 8)];
/// The number of members.
const MEMBERS: usize = 4;
/// The time without a change after which a group counts as settled.
const CALM: Duration = Duration::from_millis(1500);
/// The time limit for a group to settle, on a machine that is busy with a build.
const SETTLED_DEADLINE: Duration = Duration::from_secs(120);

/// Running consumers of one group on a secured broker.
pub(crate) struct Group {
    pub(crate) kafka: &'static Kafka,
    pub(crate) id: String,
    /// The topics with their numbers of partitions.
    pub(crate) topics: Vec<(String, i32)>,
    pub(crate) consumers: Vec<Consumer>,
}

/// The kind of a group.
#[derive(Debug, Clone)]
pub(crate) struct Kind {
    pub(crate) version: KafkaVersion,
    pub(crate) protocol: Protocol,
    pub(crate) assignor: Assignor,
    pub(crate) static_members: bool,
    pub(crate) properties: Vec<(&'static str, &'static str)>,
}

impl Kind {
    /// A classic group with `cooperative-sticky` and dynamic members.
    pub(crate) fn classic(version: KafkaVersion) -> Self {
        Self {
            version,
            protocol: Protocol::Classic,
            assignor: Assignor::CooperativeSticky,
            static_members: false,
            properties: Vec::new(),
        }
    }

    /// A group of KIP-848.
    pub(crate) fn consumer() -> Self {
        Self {
            protocol: Protocol::Consumer,
            assignor: Assignor::Uniform,
            ..Self::classic(KafkaVersion::Current)
        }
    }
}

impl Group {
    /// Creates topics and starts members. The name must be unique on the broker.
    pub(crate) async fn start(name: &str, kind: Kind) -> Result<Self> {
        let kafka = Kafka::secured(kind.version).await?;
        let topics = SIZES.map(|(topic, size)| (format!("{name}-{topic}"), size));
        for (topic, size) in &topics {
            kafka.admin().create_topic(topic, *size).await?;
        }
        Self::of_topics(name, kind, topics.into()).await
    }

    /// Starts members that subscribe to existing topics.
    pub(crate) async fn of_topics(
        name: &str,
        kind: Kind,
        topics: Vec<(String, i32)>,
    ) -> Result<Self> {
        let kafka = Kafka::secured(kind.version).await?;
        let mut properties = kind.properties;
        // A broker may know a new topic a moment after its creation.
        properties.push(("topic.metadata.refresh.interval.ms", "500"));
        let config = GroupConfig {
            bootstrap: kafka.bootstrap(),
            id: name.to_owned(),
            topics: topics.iter().map(|(topic, _)| topic.clone()).collect(),
            protocol: kind.protocol,
            assignor: kind.assignor,
            static_members: kind.static_members,
            properties,
        };
        let consumers: Result<Vec<Consumer>> = (0..MEMBERS)
            .map(|number| Consumer::start(&config, &format!("{name}-pod-{number}"), || ()))
            .collect();
        let group = Self {
            kafka,
            id: name.to_owned(),
            topics,
            consumers: consumers?,
        };
        group.settled().await?;
        Ok(group)
    }

    /// Waits until each partition has one owner and nothing has changed for a moment.
    pub(crate) async fn settled(&self) -> Result<()> {
        let partitions: i32 = self.topics.iter().map(|(_, size)| size).sum();
        let partitions = usize::try_from(partitions).unwrap();
        let mut last = Vec::new();
        let mut since = Instant::now();
        let what = format!("group {} to settle", self.id);
        let pause = Duration::from_millis(50);
        until(what, SETTLED_DEADLINE, pause, async || {
            let owned: Vec<_> = self.consumers.iter().map(Consumer::owned).collect();
            if owned != last {
                last = owned;
                since = Instant::now();
            }
            let count: usize = last.iter().map(std::collections::BTreeSet::len).sum();
            let is_settled = count == partitions && last.iter().all(|owned| !owned.is_empty());
            Ok(if is_settled && since.elapsed() >= CALM {
                Look::Done(())
            } else {
                Look::Not(format!("{last:?}"))
            })
        })
        .await
    }

    /// The adapter for the group, over a listener.
    pub(crate) fn adapter(&self, listener: Listener, security: Security) -> Adapter {
        adapter(self.kafka, listener, &self.id, security)
    }

    /// Observes the group over the listener without security.
    pub(crate) async fn observe(&self) -> GroupObservation {
        let adapter = self.adapter(Listener::Plaintext, Security::default());
        adapter.group().await.unwrap().unwrap()
    }
}

/// The adapter for a group, over a listener.
pub(crate) fn adapter(
    kafka: &Kafka,
    listener: Listener,
    group: &str,
    security: Security,
) -> Adapter {
    at(&kafka.address(listener).to_string(), group, security)
}

/// The adapter for a group, at an address.
pub(crate) fn at(servers: &str, group: &str, security: Security) -> Adapter {
    Adapter::new(KafkaSettings {
        security,
        timeout: Duration::from_secs(10),
        ..KafkaSettings::new(servers.parse().unwrap(), group)
    })
    .unwrap()
}

/// The error of an observation.
pub(crate) async fn failure(adapter: &Adapter) -> PortError {
    match adapter.group().await {
        Ok(observation) => panic!("an error is expected: {observation:?}"),
        Err(error) => error,
    }
}
