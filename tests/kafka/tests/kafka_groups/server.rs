//! The Kafka cluster of the consumers.

use harness::{Kafka, Result};
use rdkafka::{mocking::MockCluster, producer::DefaultProducerContext};

use consumers::{create_topics, failed};

/// Two topics whose partition counts are not divisible by any number of members in the cases.
const TOPICS: [(&str, usize); 2] = [("clicks", 13), ("views", 8)];

/// A mock cluster in this process, or a real broker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Mock,
    Broker,
}

/// A cluster with two topics for the case.
pub(crate) struct Cluster {
    pub(crate) bootstrap: String,
    /// The topics and their numbers of partitions.
    pub(crate) topics: Vec<(String, usize)>,
    // Kept alive until the case ends.
    _mock: Option<MockCluster<'static, DefaultProducerContext>>,
}

impl Cluster {
    /// Starts a mock cluster, or uses the shared broker, and creates topics with names of
    /// their own.
    pub(crate) async fn start(kind: Kind, name: &str) -> Result<Self> {
        let topics = TOPICS.map(|(topic, size)| (format!("{name}-{topic}"), size));
        let (bootstrap, mock) = match kind {
            Kind::Mock => {
                let mock = MockCluster::new(1).map_err(|error| failed("a mock cluster", error))?;
                for (topic, size) in &topics {
                    let size = i32::try_from(*size).unwrap_or(i32::MAX);
                    mock.create_topic(topic, size, 1)
                        .map_err(|error| failed(&format!("topic {topic}"), error))?;
                }
                (mock.bootstrap_servers(), Some(mock))
            }
            Kind::Broker => {
                let kafka = Kafka::shared().await?;
                let named: Vec<(&str, usize)> = topics
                    .iter()
                    .map(|(topic, size)| (topic.as_str(), *size))
                    .collect();
                create_topics(kafka, &named).await?;
                (kafka.bootstrap(), None)
            }
        };
        Ok(Self {
            bootstrap,
            topics: topics.into(),
            _mock: mock,
        })
    }
}
