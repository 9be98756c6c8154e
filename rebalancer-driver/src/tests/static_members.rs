//! The removal of static members whose pods were evicted.

use std::sync::Mutex;

use rebalancer_core::SnapshotData;
use rebalancer_core::execution::StaticMemberOutcome;
use rebalancer_core::group::{
    DescribedDocument, GroupDocument, GroupKind, GroupState, MemberDocument,
};
use rebalancer_core::ports::{
    CoordinatorError, CoordinatorErrorKind, DescribedGroup, DescribedMember, GroupCoordinator,
    JoinRequest, JoinedGroup, LeavingMember, MemberLabels, OwnMember, SyncRequest, TopicPartition,
};

use super::*;

const INSTANCE: &str = "orders-a";
const MEMBER_ID: &str = "orders-a-1";

/// A workload whose pod `a` is hot and has a static member.
fn snapshot() -> Snapshot {
    let loads = [("a", 1.5), ("b", 0.6), ("c", 0.6), ("d", 0.6), ("e", 0.3)];
    let pods = loads.map(|(name, load)| Pod::new(name).with_load(Load::new(load).unwrap()));
    let member = MemberDocument {
        pod: "a".into(),
        id: Some(MEMBER_ID.into()),
        instance: Some(INSTANCE.into()),
        ..MemberDocument::default()
    };
    let described = DescribedDocument {
        kind: GroupKind::Classic,
        state: GroupState::Stable,
        protocol_type: "consumer".into(),
        assignor: None,
        client: None,
        classic_members: 0,
        removable_members: false,
        heartbeat_seconds: None,
        assignments_with_user_data: 0,
        outside_members: Vec::new(),
        pods_without_member: Vec::new(),
        cluster_id: None,
    };
    let group = GroupDocument {
        members: vec![member],
        described: Some(described),
        ..GroupDocument::default()
    };
    Snapshot::new(SnapshotData {
        target: Some(Cores::new(0.7).unwrap()),
        pods: pods.into(),
        group: Some(group),
        ..SnapshotData::default()
    })
    .unwrap()
}

/// The workload and the coordinator of its group.
struct Cluster {
    /// The number of reads of an evicted pod after which it is gone.
    reads_until_gone: usize,
    /// The response to a LeaveGroup request.
    leave: Result<(), CoordinatorErrorKind>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    evicted: Vec<PodUid>,
    reads_of_a: usize,
    left: Vec<LeavingMember>,
    /// The time that has passed.
    elapsed: Duration,
    renewals: usize,
}

impl Cluster {
    fn new(reads_until_gone: usize) -> Self {
        Self {
            reads_until_gone,
            leave: Ok(()),
            state: Mutex::default(),
        }
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    fn is_gone(&self) -> bool {
        self.state().reads_of_a > self.reads_until_gone
    }
}

#[async_trait]
impl PodActuator for Cluster {
    fn workload(&self) -> &WorkloadRef {
        unreachable!("not needed by an execution")
    }

    async fn observe(&self) -> Result<WorkloadObservation, PortError> {
        assert!(
            self.is_gone(),
            "the pods are read only for a pod that is gone"
        );
        Ok(pods(&["b", "c", "d", "e", "new"]))
    }

    async fn read_pod(&self, pod: &PodRef) -> Result<PodState, PortError> {
        if !self.state().evicted.contains(&pod.uid) {
            return Ok(PodState::Present { ready: true });
        }
        if pod.name == "a" {
            self.state().reads_of_a += 1;
        }
        Ok(if self.is_gone() {
            PodState::Gone
        } else {
            PodState::Terminating
        })
    }

    async fn count_ready(&self, _: usize) -> Result<usize, PortError> {
        Ok(5)
    }

    async fn read_workload(&self, _: usize) -> Result<WorkloadState, PortError> {
        Ok(WorkloadState {
            ready: 5,
            ..WorkloadState::default()
        })
    }

    async fn evict(&self, pod: &PodRef, _: bool) -> EvictionAnswer {
        self.state().evicted.push(pod.uid.clone());
        EvictionAnswer::Evicted
    }
}

#[async_trait]
impl GroupCoordinator for Cluster {
    async fn describe(&self) -> Result<DescribedGroup, CoordinatorError> {
        let member = DescribedMember {
            labels: MemberLabels {
                member_id: Some(MEMBER_ID.into()),
                instance: Some(INSTANCE.into()),
                ..MemberLabels::default()
            },
            ..DescribedMember::default()
        };
        Ok(DescribedGroup {
            kind: GroupKind::Classic,
            state: GroupState::Stable,
            protocol_type: "consumer".into(),
            assignor: None,
            removable_members: false,
            members: vec![member],
            topics: Vec::new(),
            cluster_id: None,
        })
    }

    async fn draw_member_id(&self, _: &JoinRequest) -> Result<String, CoordinatorError> {
        unreachable!("no member joins")
    }

    async fn join(&self, _: &JoinRequest) -> Result<JoinedGroup, CoordinatorError> {
        unreachable!("no member joins")
    }

    async fn sync(&self, _: &SyncRequest) -> Result<Vec<TopicPartition>, CoordinatorError> {
        unreachable!("no member joins")
    }

    async fn heartbeat(&self, _: OwnMember, _: &str, _: i32) -> Result<(), CoordinatorError> {
        unreachable!("no member joins")
    }

    async fn leave(
        &self,
        members: &[LeavingMember],
        _: &str,
    ) -> Result<Vec<Result<(), CoordinatorErrorKind>>, CoordinatorError> {
        assert!(
            self.is_gone(),
            "a member is removed only if its pod is gone"
        );
        self.state().left.extend_from_slice(members);
        match self.leave {
            Ok(()) => Ok(members.iter().map(|_| Ok(())).collect()),
            Err(kind) => Err(CoordinatorError::new(kind, "cannot remove members")),
        }
    }
}

/// Sleeps pass at once.
#[async_trait]
impl Clock for Cluster {
    fn now(&self) -> Timestamp {
        Timestamp::UNIX_EPOCH
    }

    fn elapsed(&self) -> Duration {
        self.state().elapsed
    }

    async fn sleep(&self, duration: Duration) {
        self.state().elapsed += duration;
    }
}

#[async_trait]
impl RunLease for Cluster {
    async fn acquire(&self) -> Result<LeaseState, PortError> {
        unreachable!("an execution does not acquire the lease")
    }

    async fn renew(&self) -> Result<LeaseState, PortError> {
        self.state().renewals += 1;
        Ok(LeaseState::Held)
    }

    async fn release(&self) -> Result<(), PortError> {
        unreachable!("an execution does not release the lease")
    }
}

fn executed(cluster: &Cluster, policy: ExecutionPolicy, with_kafka: bool) -> ExecutionReport {
    let snapshot = snapshot();
    let rules = Policy {
        minimum_pods: MinimumPods::new(1).unwrap(),
        ..Policy::default()
    };
    let decision = decide(&snapshot, &rules);
    assert!(decision.plan().is_some(), "{}", decision.message);
    let metrics = MockMetrics::new();
    let ports = Ports {
        coordinator: with_kafka.then_some(cluster as &dyn GroupCoordinator),
        lease: Some(cluster),
        ..Ports::new(&metrics, cluster, cluster)
    };
    let assemble = settings();
    let settings = RunSettings {
        policy: &rules,
        ..acting(&assemble, policy)
    };
    let held_since = Some(Duration::ZERO);
    let stop = Stop::never();
    let report = block_on(execute(
        &decision, &snapshot, &settings, ports, held_since, &stop,
    ));
    let report = report.unwrap();
    assert_eq!(report.outcome, ExecutionOutcome::Completed, "{report:?}");
    report
}

/// The outcome of the one member, and its message.
fn outcome(report: &ExecutionReport) -> (StaticMemberOutcome, &str) {
    let [member] = &report.static_members[..] else {
        panic!("{report:?}");
    };
    assert_eq!(
        (member.pod.as_str(), member.instance.as_str()),
        ("a", INSTANCE)
    );
    let message = member.message.as_deref();
    (member.outcome, message.unwrap_or_default())
}

/// The replacements are ready before the evicted pod is gone.
#[test]
fn member_is_removed_once_its_pod_is_gone() {
    let cluster = Cluster::new(3);
    let report = executed(&cluster, ExecutionPolicy::default(), true);
    assert_eq!(outcome(&report), (StaticMemberOutcome::Removed, ""));
    let left = LeavingMember {
        member_id: MEMBER_ID.into(),
        instance: Some(INSTANCE.into()),
    };
    assert_eq!(cluster.state().left, [left]);
}

#[test]
fn dry_run_only_says_that_it_would_remove() {
    let cluster = Cluster::new(0);
    let policy = ExecutionPolicy {
        dry_run: true,
        ..ExecutionPolicy::default()
    };
    let report = executed(&cluster, policy, true);
    assert_eq!(outcome(&report), (StaticMemberOutcome::WouldRemove, ""));
    assert_eq!(cluster.state().left, []);
}

#[rstest]
#[case::switched_off(false, true)]
#[case::without_kafka(true, false)]
fn nothing_is_removed(#[case] remove_static_members: bool, #[case] with_kafka: bool) {
    let cluster = Cluster::new(0);
    let policy = ExecutionPolicy {
        remove_static_members,
        ..ExecutionPolicy::default()
    };
    let report = executed(&cluster, policy, with_kafka);
    assert_eq!(report.static_members, []);
    assert_eq!(cluster.state().left, []);
}

#[rstest]
#[case::forbidden(CoordinatorErrorKind::Forbidden)]
#[case::lost(CoordinatorErrorKind::Lost)]
fn failed_removal_does_not_fail_the_run(#[case] kind: CoordinatorErrorKind) {
    let cluster = Cluster {
        leave: Err(kind),
        ..Cluster::new(0)
    };
    let report = executed(&cluster, ExecutionPolicy::default(), true);
    let expected = (StaticMemberOutcome::Failed, "cannot remove members");
    assert_eq!(outcome(&report), expected);
    let requests = cluster.state().left.len();
    // A missing right stays missing.
    assert_eq!(requests == 1, kind == CoordinatorErrorKind::Forbidden);
}

#[test]
fn wait_for_a_pod_that_does_not_end_is_limited() {
    let cluster = Cluster::new(usize::MAX);
    let report = executed(&cluster, ExecutionPolicy::default(), true);
    let (found, message) = outcome(&report);
    assert_eq!(found, StaticMemberOutcome::Kept);
    assert!(message.contains("still terminating"), "{message}");
    assert_eq!(cluster.state().left, []);
    assert!(cluster.state().elapsed < Duration::from_secs(90));
    assert!(cluster.state().renewals >= 2);
}
