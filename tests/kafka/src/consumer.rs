//! A consumer that runs on its own thread.

use std::{
    collections::BTreeSet,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    thread::JoinHandle,
    time::{Duration, Instant},
};

use harness::Result;
use rdkafka::{
    ClientContext, Message as _, Offset, TopicPartitionList,
    config::{ClientConfig, RDKafkaLogLevel},
    consumer::{BaseConsumer, CommitMode, Consumer as _, ConsumerContext, Rebalance},
    error::{KafkaError, KafkaResult},
    message::BorrowedMessage,
};
use rebalancer_core::group::{Assignor, Protocol};

use crate::failed;
use crate::ledger::Event;
use crate::recorder::{ConsumerRecorder, now};

/// The longest wait for a record before a consumer checks whether it should stop. The last fraction
/// of a millisecond of each wait is a busy loop of the crate, which counts with hundreds of
/// consumers.
const POLL: Duration = Duration::from_millis(500);

/// The interval at which the state of a consumer is read.
const LOOK: Duration = Duration::from_millis(100);

/// The interval of commits of a consumer that commits itself.
const COMMIT_INTERVAL: Duration = Duration::from_secs(1);

/// The time at which a consumer commits the offsets of the records that it has processed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Commits {
    /// The client commits at its interval (`enable.auto.commit`).
    Automatic,
    /// The application commits after some records, and whenever partitions are revoked.
    ByApplication,
}

/// The configuration of the consumers of a group.
#[derive(Debug, Clone)]
pub struct GroupConfig {
    /// The address of the broker.
    pub bootstrap: String,
    /// The group id.
    pub id: String,
    /// The topics that each member subscribes to.
    pub topics: Vec<String>,
    /// The group protocol.
    pub protocol: Protocol,
    /// The assignor.
    pub assignor: Assignor,
    /// Whether members are static, with the pod name as `group.instance.id`.
    pub static_members: bool,
    /// More properties of the client.
    pub properties: Vec<(&'static str, &'static str)>,
}

impl GroupConfig {
    fn client(&self, pod: &str) -> ClientConfig {
        let mut config = ClientConfig::new();
        config
            .set("bootstrap.servers", &self.bootstrap)
            .set("group.id", &self.id)
            .set("client.id", pod)
            .set("auto.offset.reset", "earliest")
            .set("auto.commit.interval.ms", "500")
            // Only the log contains the member ids.
            .set("debug", "cgrp")
            .set_log_level(RDKafkaLogLevel::Debug);
        match self.protocol {
            Protocol::Classic => config
                .set("partition.assignment.strategy", self.assignor.as_str())
                // The interval within which a member learns of a rebalance.
                .set("heartbeat.interval.ms", "300")
                .set("session.timeout.ms", "6000"),
            Protocol::Consumer => config
                .set("group.protocol", "consumer")
                .set("group.remote.assignor", self.assignor.as_str()),
        };
        if self.static_members {
            config.set("group.instance.id", pod);
        }
        for (name, value) in &self.properties {
            config.set(*name, *value);
        }
        config
    }
}

/// A partition: a topic and a partition number.
pub type Partition = (String, i32);

/// A running consumer: a member of its group until it is closed or dropped.
pub struct Consumer {
    pod: String,
    state: Arc<State>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Debug, Default)]
struct State {
    id: Mutex<String>,
    owned: Mutex<BTreeSet<Partition>>,
    ends: AtomicBool,
}

impl Consumer {
    /// Starts a consumer whose `client.id` is the pod name. `consumed` is called for each record.
    ///
    /// # Errors
    /// If librdkafka rejects the configuration or the subscription.
    pub fn start(
        group: &GroupConfig,
        pod: &str,
        mut consumed: impl FnMut() + Send + 'static,
    ) -> Result<Self> {
        let consumed = move |_: &BaseConsumer<Membership>, _: &BorrowedMessage<'_>| consumed();
        Self::launch(group.client(pod), group, pod, None, consumed)
    }

    /// Starts a consumer that reports everything to a recorder.
    ///
    /// # Errors
    /// As [`Self::start`].
    pub fn recorded(
        group: &GroupConfig,
        pod: &str,
        commits: Commits,
        recorder: ConsumerRecorder,
    ) -> Result<Self> {
        let mut config = group.client(pod);
        // A record counts as processed once it has been recorded, and not when it was returned by
        // the client: a record that is returned while the consumer closes is never processed.
        config.set("enable.auto.offset.store", "false");
        if commits == Commits::ByApplication {
            config.set("enable.auto.commit", "false");
        }
        let records = recorder.clone();
        let mut committed_at = now();
        let consumed = move |client: &BaseConsumer<Membership>, record: &BorrowedMessage<'_>| {
            records.processed(record.topic(), record.partition(), record.offset());
            // An error means that the partition is being revoked. The next owner processes the
            // record again.
            let _ = client.store_offset_from_message(record);
            if commits == Commits::ByApplication
                && now().saturating_sub(committed_at) >= COMMIT_INTERVAL
            {
                committed_at = now();
                let _ = client.commit_consumer_state(CommitMode::Async);
            }
        };
        let recording = Recording { recorder, commits };
        Self::launch(config, group, pod, Some(recording), consumed)
    }

    fn launch(
        config: ClientConfig,
        group: &GroupConfig,
        pod: &str,
        recording: Option<Recording>,
        mut consumed: impl FnMut(&BaseConsumer<Membership>, &BorrowedMessage<'_>) + Send + 'static,
    ) -> Result<Self> {
        let state = Arc::<State>::default();
        let recorder = recording.as_ref().map(|it| it.recorder.clone());
        let membership = Membership {
            state: Arc::clone(&state),
            recording,
        };
        let client: BaseConsumer<Membership> = config
            .create_with_context(membership)
            .map_err(|error| failed(&format!("consumer {pod}"), error))?;
        let topics: Vec<&str> = group.topics.iter().map(String::as_str).collect();
        client
            .subscribe(&topics)
            .map_err(|error| failed(&format!("the subscription of {pod}"), error))?;
        let shared = Arc::clone(&state);
        let thread = std::thread::spawn(move || {
            let mut seen = Instant::now();
            while !shared.ends.load(Ordering::Relaxed) {
                // librdkafka retries transient failures. A permanent failure shows as
                // a group that does not settle.
                if let Some(Ok(record)) = client.poll(POLL) {
                    debug_assert!(record.partition() >= 0);
                    consumed(&client, &record);
                }
                // Asks another thread of librdkafka, so not for each record.
                if seen.elapsed() >= LOOK {
                    shared.see(&client);
                    seen = Instant::now();
                }
            }
            // Leaves the group.
            drop(client);
            shared.own(BTreeSet::new());
            if let Some(recorder) = recorder {
                recorder.report(Event::Closed);
            }
        });
        Ok(Self {
            pod: pod.to_owned(),
            state,
            thread: Some(thread),
        })
    }

    /// The name of the consumer's pod.
    #[must_use]
    pub fn pod(&self) -> &str {
        &self.pod
    }

    /// The member id; empty until the consumer has one.
    #[must_use]
    pub fn id(&self) -> String {
        let id = self.state.id.lock();
        id.unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The partitions that the consumer owns.
    #[must_use]
    pub fn owned(&self) -> BTreeSet<Partition> {
        let owned = self.state.owned.lock();
        owned.unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Requests that the consumer leaves its group, without waiting for it.
    pub fn end(&self) {
        self.state.ends.store(true, Ordering::Relaxed);
    }
}

impl Drop for Consumer {
    fn drop(&mut self) {
        self.end();
        if let Some(thread) = self.thread.take() {
            // A panic of the thread has already been printed.
            let _ = thread.join();
        }
    }
}

impl State {
    fn see(&self, client: &BaseConsumer<Membership>) {
        if let Ok(list) = client.assignment() {
            let owned = list.elements();
            let owned = owned
                .iter()
                .map(|one| (one.topic().to_owned(), one.partition()));
            self.own(owned.collect());
        }
    }

    fn own(&self, partitions: BTreeSet<Partition>) {
        let owned = self.owned.lock();
        *owned.unwrap_or_else(PoisonError::into_inner) = partitions;
    }
}

/// The state that a client's callbacks record.
struct Membership {
    state: Arc<State>,
    recording: Option<Recording>,
}

/// The recorder of a consumer, and when the consumer commits.
struct Recording {
    recorder: ConsumerRecorder,
    commits: Commits,
}

impl Recording {
    fn partitions(&self, list: &TopicPartitionList) -> Vec<kafka_assignors::PartitionIndex> {
        let elements = list.elements();
        let elements = elements.iter().map(|one| (one.topic(), one.partition()));
        self.recorder.partitions(elements)
    }
}

impl ClientContext for Membership {
    /// The bindings of librdkafka have no call for the member id, so it is read from the log line
    /// `Group "…": updating member id "…" -> "…"`. It is empty once the member has left. In the
    /// same way, rebalances are counted by the responses to JoinGroup.
    fn log(&self, _: RDKafkaLogLevel, facility: &str, message: &str) {
        let id = message.rsplit('"').nth(1).unwrap_or_default();
        if facility == "MEMBERID" && !id.is_empty() && !message.ends_with("(not-set)\"") {
            let known = self.state.id.lock();
            *known.unwrap_or_else(PoisonError::into_inner) = id.to_owned();
        }
        if let Some(recording) = &self.recording
            && facility == "JOINGROUP"
            && message.contains("JoinGroup response: GenerationId")
            && message.contains("(no error)")
        {
            recording.recorder.report(Event::Rebalanced);
        }
    }

    fn error(&self, _: KafkaError, _: &str) {}
}

impl ConsumerContext for Membership {
    fn pre_rebalance(&self, client: &BaseConsumer<Self>, rebalance: &Rebalance<'_>) {
        let (Some(recording), Rebalance::Revoke(list)) = (&self.recording, rebalance) else {
            return;
        };
        let partitions = recording.partitions(list);
        if client.assignment_lost() {
            recording.recorder.report(Event::Lost(partitions));
            return;
        }
        recording.recorder.report(Event::Revoked(partitions));
        if recording.commits == Commits::ByApplication {
            // An error means that there is nothing to commit, or that the group does not take it.
            // Then records are processed again, which the ledger counts.
            let _ = client.commit_consumer_state(CommitMode::Sync);
        }
    }

    fn post_rebalance(&self, _: &BaseConsumer<Self>, rebalance: &Rebalance<'_>) {
        if let (Some(recording), Rebalance::Assign(list)) = (&self.recording, rebalance) {
            let partitions = recording.partitions(list);
            recording.recorder.report(Event::Assigned(partitions));
        }
    }

    fn commit_callback(&self, result: KafkaResult<()>, offsets: &TopicPartitionList) {
        let Some(recording) = &self.recording else {
            return;
        };
        if result.is_err() {
            return;
        }
        for one in offsets.elements() {
            if let Offset::Offset(next) = one.offset() {
                let recorder = &recording.recorder;
                recorder.committed(one.topic(), one.partition(), next);
            }
        }
    }
}
