//! Strategies of [proptest] that generate snapshots and policies, for testing your own policies.
//!
//! Behind the feature `proptest`:
//!
//! ```toml
//! [dev-dependencies]
//! rebalancer-core = { version = "0.1", features = ["proptest"] }
//! ```
//!
//! A test of one policy, here that it never evicts more than a third of the ready pods at once:
//!
//! ```
//! use proptest::prelude::*;
//! use rebalancer_core::model::{MaxUnavailable, Percent};
//! use rebalancer_core::plan::Plan;
//! use rebalancer_core::{Policy, decide, generate};
//!
//! let policy = Policy {
//!     max_unavailable: MaxUnavailable::Percent(Percent::new(30.0)?),
//!     ..Policy::default()
//! };
//! proptest!(|(snapshot in generate::as_json(generate::snapshot()))| {
//!     let decision = decide(&snapshot, &policy);
//!     let out = decision.plan().map_or(0, Plan::largest_wave);
//!     prop_assert!(out * 3 <= snapshot.ready());
//! });
//! # Ok::<(), rebalancer_core::model::InvalidQuantity>(())
//! ```
//!
//! Values shrink towards simple ones: fewer pods, healthy pods, round loads. With [`as_json`], a
//! counterexample is printed as a document that `rebalancer decide --snapshot -` reads.
//!
//! [proptest]: https://docs.rs/proptest

use std::fmt;
use std::num::NonZeroUsize;
use std::ops::Deref;
use std::time::Duration;

use jiff::Timestamp;
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;

use crate::history::Rotation;
use crate::lease::LeaseHolder;
use crate::model::{
    Autoscaler, Cores, CpuMetric, Deletion, Evictability, Load, MaxUnavailable, Measurement,
    MinimumPods, Percent, Pod, PodPhase, PodUid, Rollout, SampleFault, Seconds, Tolerance, TopK,
    WorkloadRef,
};
use crate::policy::{ExecutionPolicy, Policy, Strategy as Rule};
use crate::snapshot::{Snapshot, SnapshotData, UnknownPods};

/// A generated snapshot whose `Debug` is its JSON document, for counterexamples that people read
/// and pass to `rebalancer decide`.
#[derive(Clone, PartialEq)]
pub struct JsonSnapshot(pub Snapshot);

impl fmt::Debug for JsonSnapshot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match serde_json::to_string(&self.0) {
            Ok(json) => f.write_str(&json),
            // Every valid snapshot has a document.
            Err(error) => write!(f, "{:?} (no JSON: {error})", self.0),
        }
    }
}

impl Deref for JsonSnapshot {
    type Target = Snapshot;

    fn deref(&self) -> &Snapshot {
        &self.0
    }
}

/// The snapshots of a strategy, printed as JSON documents in counterexamples.
pub fn as_json(snapshots: impl Strategy<Value = Snapshot>) -> impl Strategy<Value = JsonSnapshot> {
    snapshots.prop_map(JsonSnapshot)
}

/// The maximum number of pods in a generated workload.
const MOST_PODS: usize = 14;
/// The measured container of generated snapshots.
const CONTAINER: &str = "consumer";

/// Loads: half of them multiples of a quarter core, so that ties are common; others up to 4 cores,
/// and a few of any valid size.
pub fn loads() -> impl Strategy<Value = Load> {
    prop_oneof![
        5 => (0..=12u8).prop_map(|quarters| f64::from(quarters) / 4.0),
        4 => 0.0..4.0f64,
        1 => prop_oneof![Just(0.0), Just(1e-9), 0.0..=1e15f64],
    ]
    .prop_filter_map("a load", |load| Load::new(load).ok())
}

/// Positive amounts of CPU, such as targets and requests: often multiples of a quarter core, up to
/// 4 cores.
pub fn cores() -> impl Strategy<Value = Cores> {
    prop_oneof![
        3 => (1..=8u8).prop_map(|quarters| f64::from(quarters) / 4.0),
        1 => 0.001..4.0f64,
    ]
    .prop_filter_map("an amount of CPU", |cores| Cores::new(cores).ok())
}

fn seconds() -> impl Strategy<Value = Seconds> {
    prop_oneof![
        1 => Just(0.0),
        2 => (0..=12u8).prop_map(|steps| f64::from(steps) * 30.0),
        2 => 0.0..1000.0f64,
    ]
    .prop_filter_map("a time", |time| Seconds::new(time).ok())
}

fn percents() -> impl Strategy<Value = Percent> {
    prop_oneof![
        3 => (0..=20u8).prop_map(|steps| f64::from(steps) * 5.0),
        1 => 0.0..=100.0f64,
    ]
    .prop_filter_map("a percent", |percent| Percent::new(percent).ok())
}

/// A way in which a pod differs from a healthy, measured one.
#[derive(Debug, Clone)]
enum Trait {
    Unmeasured,
    Fault(SampleFault),
    SampleAge(Seconds),
    Series(u32),
    Phase(PodPhase),
    Unready,
    Terminating,
    Deleted(Seconds),
    Template(u8),
    PodRequest(Cores),
    Unowned,
    Evictability(Evictability),
    OptedOut,
    Age(Seconds),
    ReadySince(Seconds),
    RestartedSince(Seconds),
    WindowNotCovered,
    NoRequest,
    OtherRequests(Load),
}

impl Trait {
    fn give(self, pod: &mut Pod) {
        match self {
            Self::Unmeasured => pod.measurement = Measurement::Missing(*pod.measurement.samples()),
            Self::Fault(fault) => {
                pod.measurement = Measurement::Faulty(fault, *pod.measurement.samples());
            }
            Self::SampleAge(age) => pod.measurement.samples_mut().age = Some(age),
            Self::Series(series) => pod.measurement.samples_mut().series = series,
            Self::Phase(phase) => (pod.phase, pod.ready) = (phase, phase == PodPhase::Running),
            Self::Unready => pod.ready = false,
            Self::Terminating => pod.terminating = true,
            Self::Deleted(overdue) => {
                (pod.terminating, pod.ready) = (true, false);
                pod.deletion = Some(Box::new(Deletion {
                    requested_seconds: Some(overdue),
                    overdue_seconds: Some(overdue),
                    finalizers: Vec::new(),
                    node: Some("node".into()),
                }));
            }
            Self::Template(number) => pod.template = Some(format!("template-{number}")),
            Self::PodRequest(request) => pod.pod_request = Some(request),
            Self::Unowned => pod.owned = false,
            Self::Evictability(evictability) => pod.evictability = evictability,
            Self::OptedOut => pod.opted_out = Some("rebalancer.io/skip: true".into()),
            Self::Age(age) => pod.age_seconds = Some(age),
            Self::ReadySince(since) => pod.ready_seconds = Some(since),
            Self::RestartedSince(since) => pod.restarted_seconds = Some(since),
            Self::WindowNotCovered => pod.measurement.samples_mut().window_covered = false,
            Self::NoRequest => pod.request = None,
            Self::OtherRequests(requests) => pod.other_requests = requests,
        }
    }
}

fn traits() -> impl Strategy<Value = Trait> {
    prop_oneof![
        2 => Just(Trait::Unmeasured),
        1 => prop_oneof![Just(SampleFault::NotFinite), Just(SampleFault::Negative)]
            .prop_map(Trait::Fault),
        2 => seconds().prop_map(Trait::SampleAge),
        1 => (1..=3u32).prop_map(Trait::Series),
        1 => prop_oneof![
            Just(PodPhase::Pending),
            Just(PodPhase::Succeeded),
            Just(PodPhase::Failed),
            Just(PodPhase::Unknown),
        ]
        .prop_map(Trait::Phase),
        1 => Just(Trait::Unready),
        1 => Just(Trait::Terminating),
        1 => seconds().prop_map(Trait::Deleted),
        1 => (0..2u8).prop_map(Trait::Template),
        1 => cores().prop_map(Trait::PodRequest),
        1 => Just(Trait::Unowned),
        1 => prop_oneof![
            Just(Evictability::Bare),
            Just(Evictability::Mirror),
            Just(Evictability::DaemonSet),
        ]
        .prop_map(Trait::Evictability),
        1 => Just(Trait::OptedOut),
        2 => seconds().prop_map(Trait::Age),
        2 => seconds().prop_map(Trait::ReadySince),
        1 => seconds().prop_map(Trait::RestartedSince),
        1 => Just(Trait::WindowNotCovered),
        1 => Just(Trait::NoRequest),
        1 => loads().prop_map(Trait::OtherRequests),
    ]
}

/// Healthy, measured pods with a CPU request, in any order; names are unique, and a UID is not
/// always the name.
fn healthy_pods(
    pods: std::ops::RangeInclusive<usize>,
    loads: impl Strategy<Value = Load>,
) -> impl Strategy<Value = Vec<Pod>> {
    (vec((loads, any::<bool>()), pods), cores())
        .prop_map(|(pods, request)| {
            pods.into_iter()
                .enumerate()
                .map(|(index, (load, own_uid))| {
                    let mut pod = Pod::new(format!("{CONTAINER}-{index}")).with_load(load);
                    if own_uid {
                        pod.uid = PodUid(format!("uid-{index}"));
                    }
                    pod.request = Some(request);
                    pod
                })
                .collect::<Vec<Pod>>()
        })
        .prop_shuffle()
}

/// Pods of every kind: most are healthy and measured; others are not measured, stale, young, not
/// ready, terminating, stuck in Terminating, of another template, not owned, opted out, not
/// evictable, measured twice, restarted, or measured in a part of the window.
pub fn pods() -> impl Strategy<Value = Vec<Pod>> {
    (
        healthy_pods(0..=MOST_PODS, loads()),
        // Most workloads have few unusual pods, one in ten has many.
        prop_oneof![
            9 => vec((any::<prop::sample::Index>(), traits()), 0..=3),
            1 => vec((any::<prop::sample::Index>(), traits()), 0..=2 * MOST_PODS),
        ],
    )
        .prop_map(|(mut pods, traits)| {
            for (index, given) in traits {
                if !pods.is_empty() {
                    let index = index.index(pods.len());
                    given.give(&mut pods[index]);
                }
            }
            pods
        })
}

/// A fault of the metrics of all pods.
#[derive(Debug, Clone, Copy)]
enum MetricsFault {
    None,
    /// No pod is measured.
    Nothing,
    /// The counters stand still.
    Zero,
    /// The metrics server was down.
    Hole,
}

impl MetricsFault {
    fn apply(self, pods: &mut [Pod]) {
        for pod in pods {
            match self {
                Self::None => {}
                Self::Nothing => pod.measurement = Measurement::Missing(*pod.measurement.samples()),
                Self::Zero => {
                    if let Measurement::Load(load, _) = &mut pod.measurement {
                        *load = Load::ZERO;
                    }
                }
                Self::Hole => pod.measurement.samples_mut().window_covered = false,
            }
        }
    }
}

fn metrics_faults() -> impl Strategy<Value = MetricsFault> {
    prop_oneof![
        24 => Just(MetricsFault::None),
        1 => Just(MetricsFault::Nothing),
        1 => Just(MetricsFault::Zero),
        1 => Just(MetricsFault::Hole),
    ]
}

/// The metrics beside the loads: whether the loads are of a custom query, the difference between
/// the clocks, and unknown pods.
fn metrics() -> impl Strategy<Value = SnapshotData> {
    let difference = prop_oneof![
        12 => Just(None),
        12 => (-60.0..=60.0f64).prop_map(Some),
        1 => (-1e6..=1e6f64).prop_map(Some),
    ];
    let unknown_pods = prop_oneof![
        2 => Just(UnknownPods::default()),
        1 => (1..=20usize).prop_map(|pods| UnknownPods {
            pods,
            example: Some(format!("{CONTAINER}-of-others")),
        }),
    ];
    (any::<bool>(), difference, unknown_pods).prop_map(
        |(custom_load, clock_difference_seconds, unknown_pods)| SnapshotData {
            custom_load,
            clock_difference_seconds,
            unknown_pods,
            ..SnapshotData::default()
        },
    )
}

fn cpu_metrics() -> impl Strategy<Value = CpuMetric> {
    let container = || prop_oneof![4 => Just(CONTAINER), 1 => Just("sidecar")];
    let percent = || prop_oneof![9 => 1..=150u32, 1 => Just(0)];
    prop_oneof![
        3 => percent().prop_map(|percent| CpuMetric::Utilization { percent }),
        1 => cores().prop_map(|cores| CpuMetric::AverageValue { cores }),
        1 => (container(), percent()).prop_map(|(container, percent)| {
            CpuMetric::ContainerUtilization {
                container: container.into(),
                percent,
            }
        }),
        1 => (container(), cores()).prop_map(|(container, cores)| {
            CpuMetric::ContainerAverageValue {
                container: container.into(),
                cores,
            }
        }),
    ]
}

/// Autoscalers with CPU metrics of every kind, and other metrics; most are not scaling.
pub fn autoscalers() -> impl Strategy<Value = Vec<Autoscaler>> {
    let replicas = prop_oneof![
        8 => option::of(1..=20u32).prop_map(|replicas| (replicas, replicas)),
        1 => (option::of(1..=20u32), option::of(1..=20u32)),
    ];
    let autoscaler = (
        prop_oneof![8 => vec(cpu_metrics(), 1..=1), 2 => vec(cpu_metrics(), 0..=3)],
        vec(Just("kafka lag".to_owned()), 0..=1),
        replicas,
    );
    prop_oneof![
        8 => vec(autoscaler.clone(), 1..=1),
        2 => vec(autoscaler, 0..=3),
    ]
    .prop_map(|autoscalers| {
        autoscalers
            .into_iter()
            .enumerate()
            .map(|(index, (cpu, other_metrics, replicas))| Autoscaler {
                name: format!("autoscaler-{index}"),
                cpu,
                other_metrics,
                current_replicas: replicas.0,
                desired_replicas: replicas.1,
            })
            .collect()
    })
}

fn finished_rollouts() -> impl Strategy<Value = Rollout> {
    (1..=9i64, 0..=20u32).prop_map(|(generation, replicas)| Rollout {
        generation,
        observed_generation: generation,
        desired: replicas,
        current: replicas,
        updated: replicas,
        ..Rollout::default()
    })
}

/// Rollouts, most of them finished.
pub fn rollouts() -> impl Strategy<Value = Rollout> {
    prop_oneof![
        4 => finished_rollouts(),
        1 => (1..=9i64, 0..=9i64, 0..=20u32, 0..=20u32, 0..=20u32).prop_map(
            |(generation, observed_generation, desired, current, updated)| Rollout {
                generation,
                observed_generation,
                desired,
                current,
                updated,
                ..Rollout::default()
            }
        ),
    ]
}

fn workloads() -> impl Strategy<Value = WorkloadRef> {
    prop_oneof![
        Just(WorkloadRef::default()),
        Just(WorkloadRef {
            namespace: "ingestion".into(),
            kind: "StatefulSet".into(),
            name: CONTAINER.into(),
        }),
    ]
}

fn instants() -> impl Strategy<Value = Option<Timestamp>> {
    option::of(0..=4_000_000_000_000i64)
        .prop_map(|millisecond| Timestamp::from_millisecond(millisecond?).ok())
}

/// Validates generated fields. Names are unique by construction.
fn validated(data: SnapshotData) -> Option<Snapshot> {
    Snapshot::new(data).ok()
}

/// Settled workloads of 1 to 14 healthy, measured pods with a fixed target: under every policy of
/// [`policy`] each pod is eligible and each check passes, except `minimum_ready`, which depends on
/// the plan.
pub fn healthy_snapshot() -> impl Strategy<Value = Snapshot> {
    settled(healthy_pods(1..=MOST_PODS, loads()), cores())
}

/// Settled workloads with pods hot and cold enough that the default policy rotates them.
pub fn skewed_snapshot() -> impl Strategy<Value = Snapshot> {
    let target = 0.5f64;
    let load = move |share: std::ops::RangeInclusive<u8>| {
        share.prop_filter_map("a load", move |tenths| {
            Load::new(f64::from(tenths) / 10.0 * target).ok()
        })
    };
    let pods = (
        vec(load(25..=40), 1..=3),
        vec(load(0..=5), 6..=MOST_PODS - 3),
    )
        .prop_map(|(hot, cold)| {
            hot.into_iter()
                .chain(cold)
                .enumerate()
                .map(|(index, load)| Pod::new(format!("{CONTAINER}-{index}")).with_load(load))
                .collect::<Vec<Pod>>()
        })
        .prop_shuffle();
    settled(
        pods,
        Just(target).prop_filter_map("an amount of CPU", |cores| Cores::new(cores).ok()),
    )
}

fn settled(
    pods: impl Strategy<Value = Vec<Pod>>,
    targets: impl Strategy<Value = Cores>,
) -> impl Strategy<Value = Snapshot> {
    (
        pods,
        targets,
        workloads(),
        option::of(finished_rollouts()),
        instants(),
        any::<bool>(),
    )
        .prop_filter_map(
            "a snapshot",
            |(mut pods, target, workload, rollout, taken_at, freshness_known)| {
                // A check fails if all loads are zero.
                if pods.len() > 1 && pods.iter().all(|pod| pod.load() == Some(Load::ZERO)) {
                    return None;
                }
                let mut custom_load = false;
                for pod in &mut pods {
                    pod.measurement.samples_mut().age = freshness_known.then_some(Seconds::ZERO);
                    // In cores, such a load would be implausible, or of a counter that has stopped.
                    custom_load |= pod
                        .load()
                        .is_some_and(|load| load.get() > 16.0 || load == Load::ZERO);
                }
                validated(SnapshotData {
                    workload,
                    container: Some(CONTAINER.into()),
                    taken_at,
                    target: Some(target),
                    rollout,
                    freshness_known,
                    custom_load,
                    pods,
                    ..SnapshotData::default()
                })
            },
        )
}

/// Sometimes another run, a freeze window, and a last rotation with its age in seconds.
fn circumstances()
-> impl Strategy<Value = (Option<LeaseHolder>, Option<String>, Option<(u64, Rotation)>)> {
    let other_run = seconds().prop_map(|expires_seconds| LeaseHolder {
        identity: "another-run".into(),
        expires_seconds,
    });
    let rotation = (0..4_000u64, 1.0..3.0f64, 0.0..1.0f64, 0..4u32).prop_map(
        |(ago, before, fall, ineffective)| {
            let rotation = Rotation {
                time: Timestamp::UNIX_EPOCH,
                victims: vec![format!("{CONTAINER}-0")],
                moves: 0,
                abandoned: None,
                imbalance_before: before,
                imbalance_hoped: (before - fall).max(1.0),
                imbalance_range: None,
                strategy: Rule::RotateOutliers,
                ineffective,
                earlier: Vec::new(),
            };
            (ago, rotation)
        },
    );
    (
        option::weighted(0.02, other_run),
        option::weighted(0.02, Just("* 8-17 * * MON-FRI UTC".to_owned())),
        option::weighted(0.3, rotation),
    )
}

/// Snapshots of every kind: pods of [`pods`], targets that are fixed, of autoscalers of every kind,
/// or missing, rollouts and scalings in progress, and metrics that are partial or wrong. Every hold
/// reason of a check occurs, and so do plans.
pub fn snapshot() -> impl Strategy<Value = Snapshot> {
    (
        pods(),
        (
            prop_oneof![1 => cores().prop_map(Some), 1 => Just(None)],
            autoscalers(),
        ),
        workloads(),
        option::of(Just(CONTAINER.to_owned())),
        option::of(rollouts()),
        instants(),
        option::weighted(0.05, Just("one of two stores did not answer".to_owned())),
        any::<bool>(),
        option::weighted(0.8, Just(Seconds::whole(15))),
        (metrics_faults(), metrics(), circumstances()),
    )
        .prop_filter_map(
            "a snapshot",
            |(
                mut pods,
                (target, autoscalers),
                workload,
                container,
                rollout,
                taken_at,
                metrics_partial,
                freshness_known,
                sample_age,
                (fault, metrics, (other_run, frozen, rotation)),
            )| {
                fault.apply(&mut pods);
                for pod in &mut pods {
                    let samples = pod.measurement.samples_mut();
                    samples.age = samples.age.or(sample_age);
                }
                let last_rotation = rotation.and_then(|(ago, rotation)| {
                    let time = taken_at?.checked_sub(Duration::from_secs(ago)).ok()?;
                    Some(Rotation { time, ..rotation })
                });
                validated(SnapshotData {
                    workload,
                    container,
                    taken_at,
                    other_run,
                    frozen,
                    last_rotation,
                    target,
                    autoscalers,
                    rollout,
                    metrics_partial,
                    freshness_known,
                    pods,
                    ..metrics
                })
            },
        )
}

/// Minimums of ready pods, mostly small ones.
pub fn minimum_pods() -> impl Strategy<Value = MinimumPods> {
    (1..=5usize).prop_filter_map("a number of pods", |pods| MinimumPods::new(pods).ok())
}

fn max_unavailable() -> impl Strategy<Value = MaxUnavailable> {
    prop_oneof![
        2 => Just(MaxUnavailable::All),
        1 => (1..=5usize).prop_filter_map("a number of pods", |pods| {
            NonZeroUsize::new(pods).map(MaxUnavailable::Pods)
        }),
        1 => percents().prop_map(MaxUnavailable::Percent),
    ]
}

/// Policies: every field takes values around its default and at its bounds.
pub fn policy() -> impl Strategy<Value = Policy> {
    (
        (1..=5usize).prop_filter_map("a number of pods", |pods| TopK::new(pods).ok()),
        prop_oneof![
            2 => (4..=10u8).prop_map(|quarters| f64::from(quarters) / 4.0),
            1 => 1.0..4.0f64,
        ]
        .prop_filter_map("a tolerance", |tolerance| Tolerance::new(tolerance).ok()),
        prop_oneof![
            2 => Just(Percent::DEFAULT_MINIMUM_IMPROVEMENT),
            1 => percents(),
        ],
        minimum_pods(),
        max_unavailable(),
        (seconds(), seconds(), seconds()),
        prop_oneof![2 => Just(Percent::DEFAULT_MINIMUM_COVERAGE), 1 => percents()],
    )
        .prop_map(
            |(top_k, tolerance, improvement, minimum_pods, max_unavailable, ages, coverage)| {
                Policy {
                    strategy: Rule::RotateOutliers,
                    top_k,
                    tolerance,
                    minimum_improvement_percent: improvement,
                    minimum_pods,
                    max_unavailable,
                    minimum_pod_age_seconds: ages.0,
                    cooldown_seconds: ages.1,
                    maximum_sample_age_seconds: ages.2,
                    minimum_coverage_percent: coverage,
                    ..Policy::default()
                }
            },
        )
}

/// Policies of an execution: timeouts from zero to minutes; one in four is a dry run.
pub fn execution_policy() -> impl Strategy<Value = ExecutionPolicy> {
    (seconds(), seconds(), proptest::bool::weighted(0.25)).prop_map(
        |(eviction_timeout, ready_timeout, dry_run)| ExecutionPolicy {
            eviction_timeout_seconds: eviction_timeout,
            ready_timeout_seconds: ready_timeout,
            dry_run,
            remove_static_members: true,
        },
    )
}
