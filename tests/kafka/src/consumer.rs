//! A consumer that runs on its own thread.

use std::{
    collections::BTreeSet,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    thread::JoinHandle,
    time::Duration,
};

use harness::Result;
use rdkafka::{
    ClientContext, Message as _,
    config::{ClientConfig, RDKafkaLogLevel},
    consumer::{BaseConsumer, Consumer as _, ConsumerContext},
    error::KafkaError,
};
use rebalancer_core::group::{Assignor, Protocol};

use crate::failed;

/// The longest wait for a record before a consumer checks whether it should stop.
const POLL: Duration = Duration::from_millis(100);

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
        let state = Arc::<State>::default();
        let client: BaseConsumer<Membership> = group
            .client(pod)
            .create_with_context(Membership(Arc::clone(&state)))
            .map_err(|error| failed(&format!("consumer {pod}"), error))?;
        let topics: Vec<&str> = group.topics.iter().map(String::as_str).collect();
        client
            .subscribe(&topics)
            .map_err(|error| failed(&format!("the subscription of {pod}"), error))?;
        let shared = Arc::clone(&state);
        let thread = std::thread::spawn(move || {
            while !shared.ends.load(Ordering::Relaxed) {
                // librdkafka retries transient failures. A permanent failure shows as
                // a group that does not settle.
                if let Some(Ok(record)) = client.poll(POLL) {
                    debug_assert!(record.partition() >= 0);
                    consumed();
                }
                shared.see(&client);
            }
            // Leaves the group.
            drop(client);
            shared.own(BTreeSet::new());
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
struct Membership(Arc<State>);

impl ClientContext for Membership {
    /// The bindings of librdkafka have no call for the member id, so it is read from the log line
    /// `Group "…": updating member id "…" -> "…"`. It is empty once the member has left.
    fn log(&self, _: RDKafkaLogLevel, facility: &str, message: &str) {
        let id = message.rsplit('"').nth(1).unwrap_or_default();
        if facility == "MEMBERID" && !id.is_empty() && !message.ends_with("(not-set)\"") {
            let known = self.0.id.lock();
            *known.unwrap_or_else(PoisonError::into_inner) = id.to_owned();
        }
    }

    fn error(&self, _: KafkaError, _: &str) {}
}

impl ConsumerContext for Membership {}
