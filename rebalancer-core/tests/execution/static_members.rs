//! The removal of static members whose pods were evicted.

use proptest::prelude::*;
use proptest::sample::select;
use rebalancer_core::Snapshot;
use rebalancer_core::execution::{StaticMemberOutcome, StaticMembers};
use rebalancer_core::group::{GroupKind, GroupState};
use rebalancer_core::model::{Pod, PodPhase, PodRef, PodUid};
use rebalancer_core::ports::{
    CoordinatorError, CoordinatorErrorKind, DescribedGroup, DescribedMember, LeavingMember,
    MemberLabels, PodState,
};
use rstest::rstest;
use serde_json::{Value, json};

use crate::script::plan;

/// The workload of the plan, and members in its pods: pod, instance id, host.
fn snapshot(kind: &str, group_type: Option<&str>, members: &[(&str, &str, &str)]) -> Snapshot {
    let pods: Vec<Value> = ["a", "b", "c", "d"]
        .iter()
        .zip(1..)
        .map(|(name, number)| {
            json!({"name": name, "uid": format!("uid-{name}"), "ip": format!("10.0.0.{number}")})
        })
        .collect();
    let members: Vec<Value> = members
        .iter()
        .enumerate()
        .map(|(index, (pod, instance, host))| {
            json!({
                "pod": pod, "name": format!("{pod}/{index}"), "id": id(instance),
                "instance": instance, "host": host,
            })
        })
        .collect();
    let mut group = json!({"members": members});
    if let Some(group_type) = group_type {
        group["described"] =
            json!({"kind": group_type, "state": "Stable", "protocol_type": "consumer"});
    }
    serde_json::from_value(json!({
        "workload": {"namespace": "n", "kind": kind, "name": "w"},
        "pods": pods,
        "group": group,
    }))
    .unwrap()
}

fn id(instance: &str) -> String {
    format!("{instance}-1")
}

/// The group with members of these instance ids and member ids.
fn group(members: &[(&str, &str)]) -> DescribedGroup {
    let members = members.iter().map(|(instance, id)| DescribedMember {
        labels: MemberLabels {
            member_id: Some((*id).to_owned()),
            instance: Some((*instance).to_owned()),
            ..MemberLabels::default()
        },
        ..DescribedMember::default()
    });
    DescribedGroup {
        kind: GroupKind::Classic,
        state: GroupState::Rebalancing("PreparingRebalance".into()),
        protocol_type: "consumer".into(),
        assignor: None,
        removable_members: false,
        members: members.collect(),
        topics: Vec::new(),
        cluster_id: None,
    }
}

fn uid(pod: &str) -> PodUid {
    PodUid(format!("uid-{pod}"))
}

fn reference(pod: &str) -> PodRef {
    PodRef {
        name: pod.into(),
        uid: uid(pod),
    }
}

/// A pod that exists now.
fn existing(name: &str) -> Pod {
    let mut pod = Pod::new(name);
    pod.uid = uid(name);
    pod
}

const UUID: &str = "9b1deb4d-3b7d-4bad-9bdd-2b0d7b3dcb6d";

/// Whether the static member of the evicted pod `a` is a candidate.
#[rstest]
#[case::name("Deployment", "classic", "orders-a", "/10.9.9.9", true)]
#[case::uid("StatefulSet", "classic", "orders-uid-a", "/10.9.9.9", true)]
#[case::address("StatefulSet", "classic", "orders-10-0-0-1", "/10.9.9.9", true)]
#[case::uuid("Deployment", "classic", UUID, "/10.0.0.1", true)]
#[case::uuid_of_another_host("Deployment", "classic", UUID, "/10.9.9.9", false)]
#[case::replacement_has_the_name("StatefulSet", "classic", "orders-a", "/10.0.0.1", false)]
#[case::number("Deployment", "classic", "orders-1", "/10.0.0.1", false)]
#[case::kip_848("Deployment", "consumer", "orders-a", "/10.0.0.1", false)]
fn instance_id_belongs_to_the_pod_alone(
    #[case] kind: &str,
    #[case] group_type: &str,
    #[case] instance: &str,
    #[case] host: &str,
    #[case] expected: bool,
) {
    let snapshot = snapshot(kind, Some(group_type), &[("a", instance, host)]);
    let members = StaticMembers::of(&snapshot, &plan(4));
    assert_eq!(!members.is_empty(), expected);
}

#[test]
fn nothing_is_removed_from_a_group_that_metrics_report() {
    let snapshot = snapshot("Deployment", None, &[("a", "orders-a", "/10.0.0.1")]);
    assert!(StaticMembers::of(&snapshot, &plan(4)).is_empty());
}

/// The members of the pods `a` and `b`, of which `a` was evicted.
fn of_two() -> StaticMembers {
    let members = [
        ("a", "orders-a", "/10.0.0.1"),
        ("b", "orders-b", "/10.0.0.2"),
    ];
    let snapshot = snapshot("Deployment", Some("classic"), &members);
    let mut members = StaticMembers::of(&snapshot, &plan(4));
    members.evicted(&uid("a"));
    members
}

fn gone() -> StaticMembers {
    let mut members = of_two();
    members.pod_read(&reference("a"), &Ok(PodState::Gone));
    members
}

fn leaving() -> LeavingMember {
    LeavingMember {
        member_id: id("orders-a"),
        instance: Some("orders-a".into()),
    }
}

fn observed() -> DescribedGroup {
    group(&[("orders-a", &id("orders-a")), ("orders-b", &id("orders-b"))])
}

/// The outcome and the message of the one member with an outcome.
fn outcome(members: &mut StaticMembers) -> (StaticMemberOutcome, String) {
    let new = members.newly_settled();
    assert_eq!(new, members.reports());
    assert!(members.newly_settled().is_empty());
    assert_eq!(new.len(), 1, "{new:?}");
    let report = &new[0];
    assert_eq!(
        (report.pod.as_str(), report.instance.as_str()),
        ("a", "orders-a")
    );
    (report.outcome, report.message.clone().unwrap_or_default())
}

#[test]
fn member_is_removed_once_the_pod_is_gone() {
    let mut members = of_two();
    assert_eq!(members.ending_pods(), [reference("a")]);
    members.pod_read(&reference("a"), &Ok(PodState::Terminating));
    assert!(!members.has_removal_due());
    members.pod_read(&reference("a"), &Ok(PodState::Gone));
    assert!(members.has_removal_due());
    let pods = [existing("b"), existing("new")];
    assert_eq!(members.removable(&pods, &observed()), [leaving()]);
    members.removed(&[leaving()], &Ok(vec![Ok(())]));
    assert_eq!(members.open(), 0);
    assert_eq!(outcome(&mut members).0, StaticMemberOutcome::Removed);
}

#[rstest]
#[case::no_member(group(&[]), StaticMemberOutcome::AlreadyGone, "")]
#[case::taken_over(
    group(&[("orders-a", "orders-a-2")]),
    StaticMemberOutcome::Kept,
    "another process has joined"
)]
#[case::migrated(
    DescribedGroup { kind: GroupKind::Consumer, ..observed() },
    StaticMemberOutcome::Kept,
    "does not use the classic protocol"
)]
fn member_that_is_not_the_same_stays(
    #[case] group: DescribedGroup,
    #[case] expected: StaticMemberOutcome,
    #[case] message: &str,
) {
    let mut members = gone();
    assert_eq!(members.removable(&[], &group), []);
    let (outcome, found) = outcome(&mut members);
    assert_eq!(outcome, expected);
    assert!(found.contains(message), "{found}");
}

/// For example, the pods of a custom kind may keep their names.
#[test]
fn member_stays_for_a_pod_that_its_id_names() {
    let mut replacement = existing("a");
    replacement.uid = PodUid("another".into());
    replacement.ready = false;
    let mut members = gone();
    assert_eq!(members.removable(&[replacement.clone()], &observed()), []);
    assert_eq!(outcome(&mut members).0, StaticMemberOutcome::Kept);
    // A pod that has ended does not join.
    replacement.phase = PodPhase::Failed;
    let mut members = gone();
    assert_eq!(members.removable(&[replacement], &observed()), [leaving()]);
}

#[test]
fn pod_that_is_listed_is_not_gone() {
    let mut members = gone();
    assert_eq!(members.removable(&[existing("a")], &observed()), []);
    assert_eq!(members.ending_pods(), [reference("a")]);
}

#[rstest]
#[case::left(Ok(vec![Err(CoordinatorErrorKind::UnknownMember)]), StaticMemberOutcome::AlreadyGone)]
#[case::fenced(Ok(vec![Err(CoordinatorErrorKind::FencedInstance)]), StaticMemberOutcome::Kept)]
#[case::forbidden(
    Err(CoordinatorError::new(CoordinatorErrorKind::Forbidden, "grant READ")),
    StaticMemberOutcome::Failed
)]
fn response_is_final(
    #[case] response: Result<Vec<Result<(), CoordinatorErrorKind>>, CoordinatorError>,
    #[case] expected: StaticMemberOutcome,
) {
    let mut members = gone();
    members.removed(&[leaving()], &response);
    assert_eq!(outcome(&mut members).0, expected);
}

#[rstest]
#[case::refused(Ok(vec![Err(CoordinatorErrorKind::Other)]), "did not remove it: refused")]
#[case::empty(Ok(Vec::new()), "did not remove it: refused")]
#[case::lost(
    Err(CoordinatorError::new(CoordinatorErrorKind::Lost, "no response")),
    "no response"
)]
fn failed_removal_is_repeated(
    #[case] response: Result<Vec<Result<(), CoordinatorErrorKind>>, CoordinatorError>,
    #[case] message: &str,
) {
    let mut members = gone();
    members.removed(&[leaving()], &response);
    assert_eq!(members.removable(&[], &observed()), [leaving()]);
    members.finish(false, "stopped");
    let (outcome, found) = outcome(&mut members);
    assert_eq!(outcome, StaticMemberOutcome::Failed);
    assert!(found.contains(message), "{found}");
}

#[test]
fn member_that_is_absent_after_a_lost_response_was_removed() {
    let mut members = gone();
    let lost = CoordinatorError::new(CoordinatorErrorKind::Lost, "no response");
    members.removed(&[leaving()], &Err(lost));
    assert_eq!(members.removable(&[], &group(&[])), []);
    let (outcome, message) = outcome(&mut members);
    assert_eq!(outcome, StaticMemberOutcome::Removed);
    assert!(message.contains("was lost"), "{message}");
}

#[test]
fn pod_that_does_not_end_keeps_its_member() {
    let mut members = of_two();
    members.finish(false, "a stop was requested");
    let (outcome, message) = outcome(&mut members);
    assert_eq!(outcome, StaticMemberOutcome::Kept);
    assert_eq!(
        message,
        "its pod was still terminating: a stop was requested"
    );
}

#[test]
fn dry_run_says_that_it_would_remove() {
    let mut members = of_two();
    members.finish(true, "");
    assert_eq!(outcome(&mut members).0, StaticMemberOutcome::WouldRemove);
}

/// An input of the removal, in any order.
#[derive(Debug, Clone)]
enum Input {
    Evicted(&'static str),
    Read(&'static str, Result<PodState, String>),
    /// The pods that exist, by name and UID, and the member ids of the group by instance id.
    Removable(
        Vec<(&'static str, &'static str)>,
        Vec<(&'static str, &'static str)>,
    ),
    Removed(Result<(), CoordinatorErrorKind>),
}

fn input() -> impl Strategy<Value = Input> {
    let pods = || select(vec!["a", "b"]);
    let states = prop_oneof![
        3 => Just(Ok(PodState::Gone)),
        1 => Just(Ok(PodState::Terminating)),
        1 => Just(Ok(PodState::Present { ready: true })),
        1 => Just(Err("failed".to_owned())),
    ];
    let existing = prop::collection::vec(
        (
            select(vec!["a", "b", "x"]),
            select(vec!["uid-a", "uid-b", "uid-x"]),
        ),
        0..2,
    );
    let group = prop::collection::vec(
        (
            select(vec!["orders-a", "orders-b"]),
            select(vec!["orders-a-1", "orders-b-1", "orders-a-2"]),
        ),
        0..3,
    );
    let results = select(vec![
        Ok(()),
        Err(CoordinatorErrorKind::UnknownMember),
        Err(CoordinatorErrorKind::Other),
        Err(CoordinatorErrorKind::Lost),
    ]);
    prop_oneof![
        pods().prop_map(Input::Evicted),
        (pods(), states).prop_map(|(pod, read)| Input::Read(pod, read)),
        (existing, group).prop_map(|(pods, group)| Input::Removable(pods, group)),
        results.prop_map(Input::Removed),
    ]
}

proptest! {
    /// Whatever happens in whichever order, a member is removed only if its pod was evicted and is
    /// gone, no existing pod is in its id, and the group has it under the id that was observed; and
    /// each member of an evicted pod has an outcome in the end.
    #[test]
    fn member_is_removed_only_if_no_process_can_have_it(
        inputs in prop::collection::vec(input(), 0..20),
    ) {
        let members = [("a", "orders-a", "/10.0.0.1"), ("b", "orders-b", "/10.0.0.2")];
        let snapshot = snapshot("Deployment", Some("classic"), &members);
        let mut members = StaticMembers::of(&snapshot, &plan(4));
        let (mut evicted, mut gone) = (Vec::new(), Vec::new());
        let mut settled = Vec::new();
        let mut requested = Vec::new();
        for input in inputs {
            match input {
                Input::Evicted(pod) => {
                    members.evicted(&uid(pod));
                    evicted.push(pod);
                }
                Input::Read(pod, read) => {
                    members.pod_read(&reference(pod), &read);
                    if read == Ok(PodState::Gone) && evicted.contains(&pod) {
                        gone.push(pod);
                    }
                }
                Input::Removable(pods, group_of) => {
                    let existing: Vec<Pod> = pods
                        .iter()
                        .map(|(name, uid)| {
                            let mut pod = Pod::new(*name);
                            pod.uid = PodUid((*uid).to_owned());
                            pod
                        })
                        .collect();
                    requested = members.removable(&existing, &group(&group_of));
                    for member in &requested {
                        let instance = member.instance.as_deref().unwrap();
                        let pod = instance.trim_start_matches("orders-");
                        prop_assert!(gone.contains(&pod));
                        prop_assert!(!settled.contains(&pod.to_owned()));
                        let of_pod = format!("uid-{pod}");
                        prop_assert!(pods.iter().all(|(name, uid)| *name != pod && *uid != of_pod));
                        let found = group_of.iter().find(|(of, _)| *of == instance).unwrap();
                        prop_assert_eq!(found.1, &id(instance));
                        prop_assert_eq!(&member.member_id, &id(instance));
                    }
                }
                Input::Removed(result) => {
                    let results = requested.iter().map(|_| result).collect();
                    members.removed(&requested, &Ok(results));
                }
            }
            settled.extend(members.newly_settled().into_iter().map(|report| report.pod));
        }
        members.finish(false, "the end");
        settled.extend(members.newly_settled().into_iter().map(|report| report.pod));
        settled.sort_unstable();
        evicted.sort_unstable();
        evicted.dedup();
        prop_assert_eq!(settled, evicted);
        prop_assert_eq!(members.open(), 0);
    }
}
