//! A consumer of either client.

use std::collections::BTreeSet;

use harness::{Result, kafka::JavaConsumers};
use rebalancer_core::group::{Assignor, Protocol};

use crate::{
    consumer::{Consumer, GroupConfig, Partition},
    failed,
};

/// A running consumer: a member of its group until it is dropped.
pub enum Member {
    /// A consumer of librdkafka, in this process.
    Librdkafka(Consumer),
    /// A consumer of Kafka's own client, in a Java process.
    Java(JavaMember),
}

/// A consumer of Kafka's own client.
pub struct JavaMember {
    process: &'static JavaConsumers,
    name: String,
}

impl JavaMember {
    /// Starts a consumer in the process. The pod name must be unique in it.
    ///
    /// # Errors
    /// If the process has ended, or has no such assignor.
    pub fn start(process: &'static JavaConsumers, group: &GroupConfig, pod: &str) -> Result<Self> {
        let topics = group.topics.join(",");
        let settings = java_settings(group, &topics)?;
        process.join(pod, &settings)?;
        Ok(Self {
            process,
            name: pod.to_owned(),
        })
    }

    /// The process.
    #[must_use]
    pub fn process(&self) -> &'static JavaConsumers {
        self.process
    }
}

impl Drop for JavaMember {
    fn drop(&mut self) {
        // An error means that the process has ended, and its consumers with it.
        let _ = self.process.leave(&self.name);
    }
}

impl Member {
    /// The name of the consumer's pod.
    #[must_use]
    pub fn pod(&self) -> &str {
        match self {
            Self::Librdkafka(consumer) => consumer.pod(),
            Self::Java(member) => &member.name,
        }
    }

    /// The member id; empty until the consumer has one.
    #[must_use]
    pub fn id(&self) -> String {
        match self {
            Self::Librdkafka(consumer) => consumer.id(),
            Self::Java(member) => member.process.member_id(&member.name),
        }
    }

    /// The partitions that the consumer owns.
    #[must_use]
    pub fn owned(&self) -> BTreeSet<Partition> {
        match self {
            Self::Librdkafka(consumer) => consumer.owned(),
            Self::Java(member) => member.process.owned(&member.name),
        }
    }
}

/// The settings of a consumer in a Java process. `topics` are those of the group, joined by commas.
pub(crate) fn java_settings<'a>(
    group: &'a GroupConfig,
    topics: &'a str,
) -> Result<Vec<(&'a str, &'a str)>> {
    let mut settings = vec![
        ("bootstrap.servers", group.bootstrap.as_str()),
        ("group.id", &group.id),
        ("topics", topics),
        ("auto.offset.reset", "earliest"),
        ("auto.commit.interval.ms", "500"),
    ];
    match group.protocol {
        Protocol::Classic => settings.extend([
            ("partition.assignment.strategy", class(&group.assignor)?),
            ("heartbeat.interval.ms", "300"),
            ("session.timeout.ms", "6000"),
        ]),
        Protocol::Consumer => settings.extend([
            ("group.protocol", "consumer"),
            ("group.remote.assignor", group.assignor.as_str()),
        ]),
    }
    if group.static_members {
        settings.push(("static", "true"));
    }
    settings.extend(&group.properties);
    Ok(settings)
}

/// The class of an assignor in Kafka's client.
fn class(assignor: &Assignor) -> Result<&'static str> {
    Ok(match assignor.as_str() {
        "cooperative-sticky" => "org.apache.kafka.clients.consumer.CooperativeStickyAssignor",
        "sticky" => "org.apache.kafka.clients.consumer.StickyAssignor",
        "range" => "org.apache.kafka.clients.consumer.RangeAssignor",
        "roundrobin" => "org.apache.kafka.clients.consumer.RoundRobinAssignor",
        other => {
            return Err(failed(
                "the assignor of a Java consumer",
                format!("{other} is not one of its classes"),
            ));
        }
    })
}
