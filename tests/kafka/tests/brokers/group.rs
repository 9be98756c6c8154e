//! A group of real consumers, and the adapter that observes it.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use consumers::{Consumer, GroupConfig, JavaMember, Member, Partition};
use harness::{
    Kafka, KafkaVersion, Result,
    kafka::{JavaConsumers, Listener, double_owners},
    wait::{Look, until},
};
use rebalancer_core::group::{Assignor, ClientFamily, Protocol};
use rebalancer_core::ports::{GroupObservation, GroupSource as _, PortError};
use rebalancer_kafka::{Kafka as Adapter, KafkaSettings, Security};

/// Two topics whose partition counts are not divisible by the number of members.
const SIZES: [(&str, i32); 2] = [("clicks", 13), ("views", 8)];
/// The number of members.
pub(crate) const MEMBERS: usize = 4;
/// The time without a change after which a group counts as settled.
const CALM: Duration = Duration::from_millis(1500);
/// The time limit for a group to settle, on a machine that is busy with a build.
const SETTLED_DEADLINE: Duration = Duration::from_secs(120);

/// Running consumers of one group on a broker.
pub(crate) struct Group {
    pub(crate) kafka: &'static Kafka,
    pub(crate) id: String,
    /// The topics with their numbers of partitions.
    pub(crate) topics: Vec<(String, i32)>,
    pub(crate) consumers: Vec<Member>,
    /// The process of the consumers, if they are of Java.
    pub(crate) java: Option<&'static JavaConsumers>,
    config: GroupConfig,
}

/// The client of the consumers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Client {
    Librdkafka,
    Java,
}

/// The kind of a group.
#[derive(Debug, Clone)]
pub(crate) struct Kind {
    pub(crate) client: Client,
    pub(crate) version: KafkaVersion,
    pub(crate) protocol: Protocol,
    pub(crate) assignor: Assignor,
    pub(crate) static_members: bool,
    pub(crate) properties: Vec<(&'static str, &'static str)>,
}

impl Kind {
    /// A classic group with `cooperative-sticky` and dynamic members of librdkafka.
    pub(crate) fn classic(version: KafkaVersion) -> Self {
        Self {
            client: Client::Librdkafka,
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
    /// Creates topics and starts members on the shared broker. The name must be unique there.
    pub(crate) async fn start(name: &str, kind: Kind) -> Result<Self> {
        let kafka = Kafka::secured(kind.version).await?;
        Self::start_on(kafka, name, kind).await
    }

    /// Creates topics and starts members on a broker.
    pub(crate) async fn start_on(kafka: &'static Kafka, name: &str, kind: Kind) -> Result<Self> {
        let topics = SIZES.map(|(topic, size)| (format!("{name}-{topic}"), size));
        for (topic, size) in &topics {
            kafka.admin().create_topic(topic, *size).await?;
        }
        Self::of_topics(kafka, name, kind, topics.into()).await
    }

    /// Starts members that subscribe to existing topics.
    pub(crate) async fn of_topics(
        kafka: &'static Kafka,
        name: &str,
        kind: Kind,
        topics: Vec<(String, i32)>,
    ) -> Result<Self> {
        let mut properties = kind.properties;
        // A broker may know a new topic a moment after its creation.
        properties.push(match kind.client {
            Client::Librdkafka => ("topic.metadata.refresh.interval.ms", "500"),
            Client::Java => ("metadata.max.age.ms", "500"),
        });
        let java = match kind.client {
            Client::Librdkafka => None,
            Client::Java => Some(JavaConsumers::shared(kind.version).await?),
        };
        let mut group = Self {
            kafka,
            id: name.to_owned(),
            consumers: Vec::new(),
            java,
            config: GroupConfig {
                bootstrap: kafka.bootstrap(),
                id: name.to_owned(),
                topics: topics.iter().map(|(topic, _)| topic.clone()).collect(),
                protocol: kind.protocol,
                assignor: kind.assignor,
                static_members: kind.static_members,
                properties,
            },
            topics,
        };
        for number in 0..MEMBERS {
            let member = group.member(number)?;
            group.consumers.push(member);
        }
        group.settled().await?;
        Ok(group)
    }

    /// Starts another member, which the caller keeps.
    pub(crate) fn member(&self, number: usize) -> Result<Member> {
        let pod = format!("{}{number}", self.pods());
        Ok(match self.java {
            None => Member::Librdkafka(Consumer::start(&self.config, &pod, || ())?),
            Some(process) => Member::Java(JavaMember::start(process, &self.config, &pod)?),
        })
    }

    /// The client library of the members.
    pub(crate) fn client(&self) -> ClientFamily {
        match self.java {
            Some(_) => ClientFamily::Java,
            None => ClientFamily::Librdkafka,
        }
    }

    /// The prefix of the names of the pods.
    fn pods(&self) -> String {
        format!("{}-pod-", self.id)
    }

    /// The assignments of partitions that another member still owned, by the events of the members,
    /// which only Java members have. A member that exceeded its poll interval does not give up its
    /// partitions, so the events of `except` are left out.
    pub(crate) fn double_owners(&self, except: Option<&str>) -> Vec<String> {
        let Some(process) = self.java else {
            return Vec::new();
        };
        let mut events = process.events_of(&self.pods());
        events.retain(|event| Some(event.consumer.as_str()) != except);
        double_owners(&events)
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
            let owned: Vec<_> = self.consumers.iter().map(Member::owned).collect();
            if owned != last {
                last = owned;
                since = Instant::now();
            }
            let count: usize = last.iter().map(BTreeSet::len).sum();
            let distinct: BTreeSet<&Partition> = last.iter().flatten().collect();
            let is_settled = count == partitions
                && distinct.len() == partitions
                && last.iter().all(|owned| !owned.is_empty());
            Ok(if is_settled && since.elapsed() >= CALM {
                Look::Done(())
            } else {
                let failures = self.java.map(JavaConsumers::failures);
                Look::Not(format!("{last:?}, failures {failures:?}"))
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
