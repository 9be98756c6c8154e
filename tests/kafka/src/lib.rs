//! Real consumers, one client each, as pods would run them: librdkafka in this process, and Kafka's
//! own client in a Java process.

mod consumer;
mod member;

use harness::{Error, Kafka, Result};
use rdkafka::{
    admin::{AdminClient, AdminOptions, NewTopic, TopicReplication},
    client::DefaultClientContext,
    config::ClientConfig,
};

pub use consumer::{Consumer, GroupConfig, Partition};
pub use member::{JavaMember, Member};

/// Converts an error of librdkafka, for `map_err`.
pub fn failed(what: &str, error: impl std::fmt::Display) -> Error {
    Error::Document {
        what: what.to_owned(),
        message: error.to_string(),
    }
}

/// Creates topics with the given numbers of partitions on a real broker.
///
/// # Errors
/// If the broker rejects a topic or does not answer.
pub async fn create_topics(kafka: &Kafka, topics: &[(&str, usize)]) -> Result<()> {
    let admin: AdminClient<DefaultClientContext> = ClientConfig::new()
        .set("bootstrap.servers", kafka.bootstrap())
        .create()
        .map_err(|error| failed("a Kafka admin client", error))?;
    let topics: Vec<NewTopic<'_>> = topics
        .iter()
        .map(|(name, size)| {
            let size = i32::try_from(*size).unwrap_or(i32::MAX);
            NewTopic::new(name, size, TopicReplication::Fixed(1))
        })
        .collect();
    let made = admin
        .create_topics(&topics, &AdminOptions::new())
        .await
        .map_err(|error| failed("the answer to the creation of topics", error))?;
    for topic in made {
        topic.map_err(|(name, error)| failed(&format!("the creation of topic {name}"), error))?;
    }
    Ok(())
}
