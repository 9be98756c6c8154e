//! Real consumers, one client each, as pods would run them: librdkafka in this process, and Kafka's
//! own client in a Java process. And the account of the records that they process.

mod consumer;
pub mod ledger;
mod member;
mod recorder;
mod traffic;
pub mod trial;
pub mod trial_table;

use harness::{Error, Kafka, Result};
use rdkafka::{
    admin::{AdminClient, AdminOptions, NewTopic, TopicReplication},
    client::DefaultClientContext,
    config::ClientConfig,
};

pub use consumer::{Commits, Consumer, GroupConfig, Partition};
pub use member::{JavaMember, Member};
pub use recorder::{ConsumerRecorder, Recorder};
pub use traffic::{Stream, Traffic};

/// Converts an error of librdkafka, for `map_err`.
pub fn failed(what: &str, error: impl std::fmt::Display) -> Error {
    Error::Document {
        what: what.to_owned(),
        message: error.to_string(),
    }
}

fn admin(kafka: &Kafka) -> Result<AdminClient<DefaultClientContext>> {
    ClientConfig::new()
        .set("bootstrap.servers", kafka.bootstrap())
        .create()
        .map_err(|error| failed("a Kafka admin client", error))
}

/// Creates topics with the given numbers of partitions on a real broker.
///
/// # Errors
/// If the broker rejects a topic or does not answer.
pub async fn create_topics(kafka: &Kafka, topics: &[(&str, usize)]) -> Result<()> {
    let topics: Vec<NewTopic<'_>> = topics
        .iter()
        .map(|(name, size)| {
            let size = i32::try_from(*size).unwrap_or(i32::MAX);
            NewTopic::new(name, size, TopicReplication::Fixed(1))
        })
        .collect();
    let made = admin(kafka)?
        .create_topics(&topics, &AdminOptions::new())
        .await
        .map_err(|error| failed("the answer to the creation of topics", error))?;
    for topic in made {
        topic.map_err(|(name, error)| failed(&format!("the creation of topic {name}"), error))?;
    }
    Ok(())
}

/// Deletes topics of a real broker.
///
/// # Errors
/// If the broker does not answer, or does not delete a topic.
pub async fn delete_topics(kafka: &Kafka, topics: &[&str]) -> Result<()> {
    let deleted = admin(kafka)?
        .delete_topics(topics, &AdminOptions::new())
        .await
        .map_err(|error| failed("the answer to the deletion of topics", error))?;
    for topic in deleted {
        topic.map_err(|(name, error)| failed(&format!("the deletion of topic {name}"), error))?;
    }
    Ok(())
}
