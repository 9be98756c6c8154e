//! The consumers of a group, of either client.

use std::collections::BTreeMap;
use std::time::Duration;

use harness::kafka::{JavaConsumers, JavaEvent, JavaEventKind};
use harness::wait::{Look, until};
use harness::{KafkaVersion, Result};
use rebalancer_core::group::ClientFamily;

use crate::consumer::{Commits, Consumer, GroupConfig, Partition};
use crate::failed;
use crate::ledger::{ConsumerIndex, Entry, Event, Ledger};
use crate::member::java_settings;
use crate::recorder::Recorder;

/// The time limit for a consumer to close.
const CLOSED_DEADLINE: Duration = Duration::from_secs(60);

/// The interval of checks whether a consumer has closed.
const POLL: Duration = Duration::from_millis(50);

/// The running consumers of a group.
pub(super) struct Members {
    config: GroupConfig,
    commits: Commits,
    recorder: Recorder,
    client: Client,
}

enum Client {
    /// By name.
    Librdkafka(BTreeMap<String, Consumer>),
    Java(Java),
}

/// The process of the consumers, and every consumer that it was asked to start, in this order.
struct Java {
    process: JavaConsumers,
    started: Vec<(String, ConsumerIndex)>,
}

impl Members {
    /// A group without consumers. `version` is that of the Java client.
    pub(super) fn new(
        client: ClientFamily,
        version: KafkaVersion,
        config: GroupConfig,
        commits: Commits,
        recorder: Recorder,
    ) -> Result<Self> {
        let client = if client == ClientFamily::Java {
            Client::Java(Java {
                process: JavaConsumers::start(version, &[])?,
                started: Vec::new(),
            })
        } else {
            Client::Librdkafka(BTreeMap::new())
        };
        Ok(Self {
            config,
            commits,
            recorder,
            client,
        })
    }

    /// Starts a consumer.
    pub(super) fn start(&mut self, name: &str) -> Result<()> {
        let recorder = self.recorder.consumer();
        match &mut self.client {
            Client::Librdkafka(running) => {
                let consumer = Consumer::recorded(&self.config, name, self.commits, recorder)?;
                running.insert(name.to_owned(), consumer);
            }
            Client::Java(java) => {
                let topics = self.config.topics.join(",");
                let mut settings = java_settings(&self.config, &topics)?;
                if self.commits == Commits::ByApplication {
                    settings.extend([
                        ("enable.auto.commit", "false"),
                        ("commit", "async"),
                        ("commit.ms", "1000"),
                    ]);
                }
                java.started.push((name.to_owned(), recorder.index()));
                java.process.join(name, &settings)?;
            }
        }
        Ok(())
    }

    /// Closes a consumer, and waits until it has ended.
    pub(super) async fn close(&mut self, name: &str) -> Result<()> {
        match &mut self.client {
            Client::Librdkafka(running) => {
                let consumer = running.remove(name);
                ended(consumer.into_iter().collect()).await
            }
            Client::Java(java) => {
                java.process.leave(name)?;
                let what = format!("the end of consumer {name}");
                until(what, CLOSED_DEADLINE, POLL, async || {
                    Ok(if java.process.is_over(name) {
                        Look::Done(())
                    } else {
                        Look::Not("it runs".to_owned())
                    })
                })
                .await
            }
        }
    }

    /// Closes all consumers.
    pub(super) async fn close_all(&mut self) -> Result<()> {
        match &mut self.client {
            Client::Librdkafka(running) => {
                let running = std::mem::take(running);
                for consumer in running.values() {
                    consumer.end();
                }
                ended(running.into_values().collect()).await
            }
            // Ends with the process. Nothing is measured any more.
            Client::Java(java) => {
                let failures = java.process.failures();
                if failures.is_empty() {
                    Ok(())
                } else {
                    Err(failed("the Java consumers", failures.join("; ")))
                }
            }
        }
    }

    /// The account of everything that was reported so far.
    pub(super) fn ledger(&self) -> Ledger {
        match &self.client {
            Client::Librdkafka(_) => self.recorder.ledger([]),
            Client::Java(java) => self.recorder.ledger(java.entries(&self.recorder)),
        }
    }
}

/// Waits for the end of consumers.
async fn ended(consumers: Vec<Consumer>) -> Result<()> {
    let dropped = tokio::task::spawn_blocking(move || drop(consumers));
    dropped
        .await
        .map_err(|error| failed("the end of consumers", error))
}

impl Java {
    /// The reports of the consumers.
    fn entries(&self, recorder: &Recorder) -> Vec<Entry> {
        let mut started: BTreeMap<&str, Vec<ConsumerIndex>> = BTreeMap::new();
        for (name, index) in self.started.iter().rev() {
            started.entry(name).or_default().push(*index);
        }
        let mut entries = Vec::new();
        for event in self.process.events() {
            let Some(indices) = started.get_mut(event.consumer.as_str()) else {
                continue;
            };
            if let Some(consumer) = indices.last() {
                let at = event.at;
                let reports = reports(&event, recorder).into_iter();
                entries.extend(reports.map(|event| Entry {
                    at,
                    consumer: *consumer,
                    event,
                }));
            }
            // The next consumer of the name is another one.
            if matches!(event.kind, JavaEventKind::Left | JavaEventKind::Failed(_)) {
                indices.pop();
            }
        }
        entries
    }
}

/// The reports that an event consists of.
fn reports(event: &JavaEvent, recorder: &Recorder) -> Vec<Event> {
    let index = |(topic, number): &Partition| recorder.partition(topic, *number);
    match &event.kind {
        // The callback ends each rebalance, also if no partition was added.
        JavaEventKind::Assigned(partitions) => vec![
            Event::Rebalanced,
            Event::Assigned(partitions.iter().filter_map(index).collect()),
        ],
        JavaEventKind::Revoked(partitions) => {
            vec![Event::Revoked(
                partitions.iter().filter_map(index).collect(),
            )]
        }
        JavaEventKind::Lost(partitions) => {
            vec![Event::Lost(partitions.iter().filter_map(index).collect())]
        }
        JavaEventKind::Processed { since, records } => {
            let processed = records.iter().filter_map(|(partition, [first, last])| {
                Some(Event::Processed {
                    partition: index(partition)?,
                    first: *first,
                    last: *last,
                    since: *since,
                })
            });
            processed.collect()
        }
        JavaEventKind::Committed(offsets) => {
            let committed = offsets.iter().filter_map(|(partition, next)| {
                Some(Event::Committed {
                    partition: index(partition)?,
                    next: *next,
                })
            });
            committed.collect()
        }
        JavaEventKind::Left | JavaEventKind::Failed(_) => vec![Event::Closed],
        JavaEventKind::Member(_) | JavaEventKind::Refused { .. } => Vec::new(),
    }
}
