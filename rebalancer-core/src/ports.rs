//! The ports: what the core needs from the world, as traits beside plain types.
//!
//! An adapter is made for one workload; whoever wires the program gives it what it needs to know
//! (endpoints, queries, names). Both ports are asked concurrently, so neither depends on what the
//! other answered.

use std::error::Error as StdError;
use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;

use crate::history::Rotation;
use crate::lease::LeaseHolder;
use crate::model::{
    Autoscaler, Load, Pod, PodRef, Rate, Rollout, SampleFault, Seconds, WorkloadRef, WorkloadState,
};

/// A port could not answer. The adapter's own typed error is the source.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub struct PortError {
    /// What kind of trouble it is, for those who act on it.
    pub kind: PortErrorKind,
    /// What was attempted, on what, what happened, and what to do: one line for a person.
    pub message: String,
    /// The adapter's error.
    #[source]
    pub source: Option<Box<dyn StdError + Send + Sync>>,
}

impl PortError {
    /// An error with no further cause.
    pub fn new(kind: PortErrorKind, message: impl Into<String>) -> Self {
        Self {
            kind,
            message: message.into(),
            source: None,
        }
    }

    /// Wraps an adapter's error: its `Display` becomes the message.
    pub fn from_source(kind: PortErrorKind, source: impl StdError + Send + Sync + 'static) -> Self {
        Self {
            kind,
            message: source.to_string(),
            source: Some(Box::new(source)),
        }
    }
}

/// What kind of trouble a port met.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum PortErrorKind {
    /// No connection, or it broke.
    Unreachable,
    /// Certificates or the handshake.
    Tls,
    /// No answer in time.
    Timeout,
    /// 401: who we are was not accepted.
    Unauthorized,
    /// 403: we may not do this.
    Forbidden,
    /// 404: it does not exist.
    NotFound,
    /// Our request was refused as wrong (a PromQL error, an invalid object).
    Rejected,
    /// The server is in trouble (5xx).
    Server,
    /// An answer came that is not of the expected form.
    BadAnswer,
    /// The adapter was set up wrongly (a token file that cannot be read, no such context).
    Setup,
}

/// One pod's load as the metrics gave it.
#[derive(Debug, Clone, PartialEq)]
pub struct LoadSample {
    /// The value of the `pod` label.
    pub pod: String,
    /// The load, or why the number is none.
    pub load: Result<Load, SampleFault>,
    /// Age of the newest sample behind it, in seconds; `None` when it cannot be known.
    pub age: Option<Seconds>,
    /// How often the same container was found; above 1 means that its load is counted twice.
    pub series: u32,
    /// There are samples from the first half of the rate window too; true when not known.
    pub window_covered: bool,
}

/// The loads of all pods at one instant.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct LoadObservation {
    /// One sample a pod; no pod twice.
    pub samples: Vec<LoadSample>,
    /// Why the answer may lack something, in the server's words; `None` when it is complete.
    pub partial: Option<String>,
    /// The ages of the samples are known; false with a custom load query that has no freshness
    /// query beside it.
    pub freshness_known: bool,
    /// The loads come from a custom query, so that their unit is not known to be cores.
    pub custom: bool,
    /// When the queries were evaluated, by the clock of the metrics server; `None` when it did
    /// not say.
    pub evaluated_at: Option<Timestamp>,
}

/// How metrics name a member of a group; at least one of these, whichever they have.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct MemberLabels {
    /// The name of its pod.
    pub pod: Option<String>,
    /// Its host's address as the broker sees it: the pod's IP, perhaps after a `/`.
    pub host: Option<String>,
    /// `client.id`.
    pub client_id: Option<String>,
    /// Its member id (`consumer id`).
    pub member_id: Option<String>,
    /// `group.instance.id`.
    pub instance: Option<String>,
}

/// A partition, and who owns it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct OwnerSample {
    /// The topic.
    pub topic: String,
    /// The number of the partition.
    pub partition: u32,
    /// The member that owns it; `None` when the metrics say that nobody does.
    pub owner: Option<MemberLabels>,
}

/// What arrives in a partition.
#[derive(Debug, Clone, PartialEq)]
pub struct RateSample {
    /// The topic.
    pub topic: String,
    /// The number of the partition.
    pub partition: u32,
    /// Records or bytes per second, or why the number is none.
    pub rate: Result<Rate, SampleFault>,
}

/// The consumer group at one instant, as metrics know it.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct GroupObservation {
    /// Who owns what now. A partition that is there twice is told by both its owners.
    pub owners: Vec<OwnerSample>,
    /// Who owned what a cooldown ago; `None` when nobody was asked.
    pub owners_before: Option<Vec<OwnerSample>>,
    /// What arrives in each partition, perhaps of other topics too; `None` when nobody was asked.
    pub rates: Option<Vec<RateSample>>,
    /// What the rates count, for people.
    pub rate_unit: Option<String>,
    /// The metrics do not say which group the owners are in: those of topics that no pod of the
    /// workload owns anything of may be of another.
    pub other_groups: bool,
    /// Why the answer may lack something, in the server's words; `None` when it is complete.
    pub partial: Option<String>,
}

/// The workload, its pods and its autoscalers at one instant.
#[derive(Debug, Clone, PartialEq)]
pub struct WorkloadObservation {
    /// The instant, by the clock of the cluster where it can be known.
    pub taken_at: Timestamp,
    /// How far its controller is; `None` for kinds that do not report it.
    pub rollout: Option<Rollout>,
    /// Its autoscalers, when this port was asked to read them.
    pub autoscalers: Vec<Autoscaler>,
    /// The pods its selector matches, without loads. Pods that it does not own are among them
    /// and marked so.
    pub pods: Vec<Pod>,
    /// What is remembered of the last rotation, where somebody could write it down.
    pub last_rotation: Option<Rotation>,
}

/// What a pod is when it is read again right before its eviction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PodState {
    /// The same pod (same UID), not terminating.
    Present {
        /// Its Ready condition.
        ready: bool,
    },
    /// The same pod, which an annotation now asks to leave alone.
    OptedOut,
    /// The same pod, on its way out.
    Terminating,
    /// No pod of that name, or one with another UID: ours is gone.
    Gone,
}

/// What came of asking for an eviction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EvictionAnswer {
    /// Accepted.
    Evicted,
    /// 404, or a UID conflict: the pod was gone already.
    AlreadyGone,
    /// 429: a PodDisruptionBudget forbids it now.
    Blocked {
        /// The budget and its numbers, in the server's words.
        message: String,
        /// The name of the budget, when the server gave it.
        budget: Option<String>,
        /// How long the server asks to wait, when it does.
        retry_after: Option<Duration>,
    },
    /// 429 without a budget: the server is too busy, and did nothing.
    Throttled {
        /// What the server said.
        message: String,
        /// How long the server asks to wait, when it does.
        retry_after: Option<Duration>,
    },
    /// 403: this and every other eviction is forbidden to us.
    Forbidden {
        /// The permission that is missing: verb and resource.
        message: String,
    },
    /// Refused or failed for certain: the pod was not evicted.
    Failed {
        /// What happened.
        message: String,
    },
    /// The answer was lost (timeout, broken connection): it may have taken effect.
    Unknown {
        /// What happened.
        message: String,
    },
}

/// Where loads come from.
#[async_trait]
pub trait MetricsSource: Send + Sync {
    /// The load of every pod of the workload.
    ///
    /// # Errors
    /// When no trustworthy answer was had at all. What is wrong with a single pod is in its
    /// sample instead.
    async fn loads(&self) -> Result<LoadObservation, PortError>;

    /// The workload's autoscalers as kube-state-metrics reports them, for those who cannot grant
    /// the Kubernetes API's (`TARGET_SOURCE=prometheus`).
    ///
    /// # Errors
    /// When no trustworthy answer was had.
    async fn autoscalers(&self) -> Result<Vec<Autoscaler>, PortError>;

    /// The consumer group of the workload; `None` when the source was not told where to find one.
    ///
    /// # Errors
    /// When no trustworthy answer was had.
    async fn group(&self) -> Result<Option<GroupObservation>, PortError> {
        Ok(None)
    }
}

/// Where pods are read, and evicted.
#[async_trait]
pub trait PodActuator: Send + Sync {
    /// The workload this actuator is for.
    fn workload(&self) -> &WorkloadRef;

    /// The workload with its pods and autoscalers, now.
    ///
    /// # Errors
    /// When the workload does not exist or anything about it could not be read.
    async fn observe(&self) -> Result<WorkloadObservation, PortError>;

    /// One pod, now.
    ///
    /// # Errors
    /// When it could not be read; that it is gone is no error.
    async fn read_pod(&self, pod: &PodRef) -> Result<PodState, PortError>;

    /// The workload's ready pods (owned, Running, Ready, not terminating), now. Any lower bound
    /// that is at least `enough` will do, so that a large workload need not be listed again for
    /// every victim; a number below `enough` must be exact.
    ///
    /// # Errors
    /// When they could not be counted.
    async fn count_ready(&self, enough: usize) -> Result<usize, PortError>;

    /// The workload between two waves: its rollout, and its ready pods as
    /// [`count_ready`](Self::count_ready) counts them.
    ///
    /// # Errors
    /// When it could not be read.
    async fn read_workload(&self, enough: usize) -> Result<WorkloadState, PortError>;

    /// Evicts the pod, with its UID as a precondition; in a dry run the server only says what it
    /// would do.
    async fn evict(&self, pod: &PodRef, dry_run: bool) -> EvictionAnswer;
}

/// Sees to it that only one run at a time acts on a workload.
///
/// A lease is taken before the workload is observed and given back after the last action. It
/// ends by itself [`lease::DURATION`](crate::lease::DURATION) after it was last renewed, so that
/// a run that died holds nobody up for long.
#[async_trait]
pub trait RunLease: Send + Sync {
    /// Takes the lease, unless another run holds it.
    ///
    /// # Errors
    /// When that could not be told; the lease must then be taken as not held.
    async fn acquire(&self) -> Result<LeaseState, PortError>;

    /// Renews the lease.
    ///
    /// # Errors
    /// When that could not be told; the lease may have been renewed or not.
    async fn renew(&self) -> Result<LeaseState, PortError>;

    /// Gives the lease back, if it is still held.
    ///
    /// # Errors
    /// When it could not be given back; it ends by itself.
    async fn release(&self) -> Result<(), PortError>;
}

/// Who holds a lease.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LeaseState {
    /// This run does.
    Held,
    /// Another run does.
    HeldBy(LeaseHolder),
}

/// Tells the world, and later runs, what was done.
#[async_trait]
pub trait Journal: Send + Sync {
    /// Publishes what was done, for people and their alerts.
    ///
    /// # Errors
    /// When it could not be published.
    async fn publish(&self, entry: &JournalEntry) -> Result<(), PortError>;

    /// Keeps `rotation` for the next run, in the place of the one before. The answer is the
    /// generation that the workload has by it, where that itself gave it a new one, as an
    /// annotation does to a Deployment; `None` where it did not.
    ///
    /// # Errors
    /// When it could not be kept.
    async fn remember(&self, rotation: &Rotation) -> Result<Option<i64>, PortError>;
}

/// Something that was done, or not done although it was planned.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JournalEntry {
    /// The pod it was done to; `None` when it is about the workload as a whole.
    pub pod: Option<PodRef>,
    /// A word for machines, such as `Rotated`.
    pub reason: &'static str,
    /// One sentence for people, with the numbers.
    pub message: String,
    /// It is not as it should be.
    pub warning: bool,
    /// When, by the clock of the cluster.
    pub at: Timestamp,
}

/// Time, for whoever drives an execution: the real one, or a simulated one.
#[async_trait]
pub trait Clock: Send + Sync {
    /// The present instant, which somebody may set back.
    fn now(&self) -> Timestamp;

    /// Time since some fixed instant; it never runs backwards.
    fn elapsed(&self) -> Duration;

    /// Returns after `duration`.
    async fn sleep(&self, duration: Duration);
}
