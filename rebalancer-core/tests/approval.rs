//! The rule that a person approves each plan.
#![expect(clippy::unwrap_used, reason = "helpers of tests may panic")]

mod described;

use described::{group, policy, skewed, snapshot, survives_json};
use jiff::Timestamp;
use proptest::prelude::*;
use rebalancer_core::approval::{DEFAULT_EXPIRY, await_approval};
use rebalancer_core::group::GroupDocument;
use rebalancer_core::model::{
    Load, MaxUnavailable, Measurement, MinimumPods, Percent, SampleInfo, TopK,
};
use rebalancer_core::plan::{Role, Victim};
use rebalancer_core::policy::Strategy as Rule;
use rebalancer_core::proposal::{ApprovalState, Proposal, ProposedPlan};
use rebalancer_core::{Decision, HoldReason, Policy, Snapshot, SnapshotData, decide, generate};
use rstest::rstest;
use serde_json::{Value, json};

const NOW: &str = "2026-01-02T03:00:00Z";
const EXPIRED: &str = "2026-01-02T04:00:00Z";

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn evicting() -> Policy {
    Policy {
        minimum_pods: MinimumPods::new(2).unwrap(),
        ..Policy::default()
    }
}

fn pods(loads: &[f64]) -> Value {
    let pods: Vec<Value> = loads
        .iter()
        .zip('a'..)
        .map(|(load, name)| json!({"name": name, "uid": format!("uid-{name}"), "load": load}))
        .collect();
    json!({"target": 0.7, "pods": pods})
}

/// Two hot pods and two cold ones: a, b, f and e are evicted.
fn uneven() -> Value {
    pods(&[1.2, 1.1, 0.8, 0.6, 0.4, 0.3])
}

/// The decision of a run on a workload with this proposal.
fn run(document: &Value, policy: &Policy, proposal: Option<&Proposal>, now: &str) -> Decision {
    let mut document = document.clone();
    document["proposal"] = serde_json::to_value(proposal).unwrap();
    document["taken_at"] = json!(now);
    let snapshot = snapshot(document);
    let decision = decide(&snapshot, policy);
    let decision = await_approval(decision, &snapshot, policy, DEFAULT_EXPIRY, at(now));
    survives_json(&decision);
    decision
}

fn state(decision: &Decision) -> Option<ApprovalState> {
    decision.approval.as_ref().map(|approval| approval.state)
}

/// The plan that a run proposes.
fn proposed(document: &Value, policy: &Policy) -> ProposedPlan {
    let decision = run(document, policy, None, NOW);
    assert_eq!(
        state(&decision),
        Some(ApprovalState::Proposed),
        "{}",
        decision.message
    );
    decision.approval.unwrap().plan
}

/// The proposal of this plan, with or without its approval.
fn stored(plan: &ProposedPlan, is_approved: bool) -> Proposal {
    Proposal {
        plan: Some(plan.clone()),
        approved: is_approved.then(|| plan.id.clone()),
    }
}

fn names(victims: &[Victim]) -> Vec<&str> {
    victims.iter().map(|victim| victim.name.as_str()).collect()
}

fn evicted(decision: &Decision) -> Vec<&str> {
    let plan = decision.plan();
    plan.map_or_else(Vec::new, |plan| names(plan.victims()))
}

fn assert_holds(decision: &Decision, reason: HoldReason, parts: &[&str]) {
    assert_eq!(decision.hold_reason(), Some(reason), "{}", decision.message);
    for part in parts {
        assert!(
            decision.message.contains(part),
            "{part:?}: {}",
            decision.message
        );
    }
}

#[test]
fn plan_waits_and_is_executed_when_it_is_approved() {
    let document = uneven();
    let first = run(&document, &evicting(), None, NOW);
    let plan = proposed(&document, &evicting());
    assert_holds(
        &first,
        HoldReason::APPROVAL_PENDING,
        &[&format!(
            "plan {} waits for approval until 2026-01-02T04:00:00Z: evict 4 of 6 pods",
            plan.id
        )],
    );
    assert_eq!(names(&plan.victims), ["a", "b", "f", "e"]);

    let again = run(
        &document,
        &evicting(),
        Some(&stored(&plan, false)),
        "2026-01-02T03:30:00Z",
    );
    assert_eq!(state(&again), Some(ApprovalState::Waiting));
    assert_eq!(again.approval.as_ref().unwrap().plan, plan);
    assert_holds(&again, HoldReason::APPROVAL_PENDING, &[&plan.id]);

    let approved = run(&document, &evicting(), Some(&stored(&plan, true)), NOW);
    assert_eq!(state(&approved), Some(ApprovalState::Approved));
    assert_eq!(evicted(&approved), ["a", "b", "f", "e"]);
    let begin = format!("approved plan {}: evict 4 of 6 pods", plan.id);
    assert!(approved.message.starts_with(&begin), "{}", approved.message);
}

/// The run would choose other pods by now: b is not hot any more, and c and f are.
#[test]
fn plan_stays_while_it_is_valid_and_is_executed_exactly() {
    let plan = proposed(&uneven(), &evicting());
    let now = pods(&[1.2, 0.6, 1.3, 0.5, 0.4, 1.1]);
    let own = decide(&snapshot(now.clone()), &evicting());
    assert_ne!(evicted(&own), ["a", "b", "f", "e"]);

    let waiting = run(&now, &evicting(), Some(&stored(&plan, false)), NOW);
    assert_eq!(state(&waiting), Some(ApprovalState::Waiting));
    assert_eq!(waiting.approval.as_ref().unwrap().plan, plan);

    let approved = run(&now, &evicting(), Some(&stored(&plan, true)), NOW);
    assert_eq!(approved.plan().unwrap().victims(), plan.victims);
    for decision in [waiting, approved] {
        let role = |name: &str| {
            let pod = decision.pods.iter().find(|pod| pod.name == name);
            pod.unwrap().role
        };
        assert_eq!(role("a"), Some(Role::Hottest));
        assert_eq!(role("f"), Some(Role::Coldest));
        assert_eq!(role("c"), None);
    }
    // The expectation is that of the proposal.
    let expected = plan.expected.as_ref().unwrap();
    let approved = run(&now, &evicting(), Some(&stored(&plan, true)), NOW);
    let record = approved.rotation(Rule::RotateOutliers, None, at(NOW), vec!["a".into()]);
    let record = record.unwrap();
    assert_eq!(record.imbalance_hoped, expected.imbalance_hoped);
    assert_eq!(Some(record.imbalance_before), approved.analysis.imbalance);
    assert_eq!(record.victims, ["a"]);
}

/// Changes after which the plan to evict a, b, f and e, two at a time, is not valid.
#[rstest]
#[case::replaced(|document: &mut Value| document["pods"][0]["uid"] = json!("newer"), "pod a is gone or was replaced")]
#[case::gone(|document: &mut Value| { document["pods"].as_array_mut().unwrap().remove(4); }, "pod e is gone or was replaced")]
#[case::young(|document: &mut Value| document["pods"][5]["age_seconds"] = json!(10), "pod f may not be evicted: too young: 10 s of at least 300 s")]
#[case::opted_out(|document: &mut Value| document["pods"][0]["opted_out"] = json!("rebalancer.io/skip: true"), "pod a may not be evicted: opted out by rebalancer.io/skip: true")]
#[case::not_hot(|document: &mut Value| {
    document["pods"][0]["load"] = json!(0.8);
    document["pods"][1]["load"] = json!(0.8);
}, "no load of a, b is above 1.050 any more")]
fn invalid_plan_is_not_executed_and_another_one_waits(
    #[case] change: fn(&mut Value),
    #[case] problem: &str,
) {
    let mut document = pods(&[1.2, 1.1, 0.8, 0.6, 0.4, 0.3, 1.0, 0.5]);
    let plan = proposed(&document, &evicting());
    assert_eq!(names(&plan.victims), ["a", "b", "f", "e"]);
    // The run is to act on another pod.
    document["pods"][6]["load"] = json!(1.4);
    change(&mut document);

    let approved = run(&document, &evicting(), Some(&stored(&plan, true)), NOW);
    let says = format!(
        "the approved plan {} cannot be executed: {problem}; plan ",
        plan.id
    );
    assert_holds(&approved, HoldReason::APPROVAL_INVALID, &[&says]);
    assert_eq!(state(&approved), Some(ApprovalState::Proposed));
    assert_ne!(approved.approval.unwrap().plan.id, plan.id);

    let waiting = run(&document, &evicting(), Some(&stored(&plan, false)), NOW);
    let says = format!("; it replaces plan {}: {problem}", plan.id);
    assert_holds(&waiting, HoldReason::APPROVAL_PENDING, &[&says]);
    assert_eq!(state(&waiting), Some(ApprovalState::Proposed));
}

/// Policies that do not allow the plan of four pods in one wave.
#[rstest]
#[case::day(Policy { max_evictions_per_day: Some(2), ..evicting() }, "it evicts 4 pods, and 2 may still be evicted within 24 hours")]
#[case::waves(Policy { max_unavailable: MaxUnavailable::Percent(Percent::new(50.0).unwrap()), ..evicting() }, "it evicts 4 pods at once, and 3 may be unavailable")]
#[case::minimum(Policy { minimum_pods: MinimumPods::new(4).unwrap(), top_k: TopK::new(1).unwrap(), ..evicting() }, "it would leave 2 of 6 ready pods, less than the minimum of 4")]
fn plan_is_within_the_limits_of_the_run_that_executes_it(
    #[case] policy: Policy,
    #[case] problem: &str,
) {
    let plan = proposed(&uneven(), &evicting());
    let approved = run(&uneven(), &policy, Some(&stored(&plan, true)), NOW);
    assert_holds(&approved, HoldReason::APPROVAL_INVALID, &[problem]);
}

/// Other workloads have used up a part of the limit of evictions, or a pod is not ready for the
/// moment.
#[rstest]
#[case::limit(
    Policy { max_evictions: Some(2), ..evicting() },
    |_: &mut Value| {},
    "it evicts 4 pods, and this run may still evict 2"
)]
#[case::not_ready(
    Policy { max_unavailable: MaxUnavailable::Percent(Percent::new(50.0).unwrap()), ..evicting() },
    |document: &mut Value| document["pods"][1]["ready"] = json!(false),
    "pod b is not ready"
)]
fn plan_that_only_this_run_must_not_execute_stays_approved(
    #[case] policy: Policy,
    #[case] change: fn(&mut Value),
    #[case] problem: &str,
) {
    let before = pods(&[1.2, 1.1, 0.8, 0.6, 0.4, 0.3, 1.0, 0.5]);
    let plan = proposed(&before, &evicting());
    let mut now = before.clone();
    change(&mut now);

    let approved = run(&now, &policy, Some(&stored(&plan, true)), NOW);
    let says = format!(
        "the approved plan {} is not executed by this run: {problem}; a later run may execute it until \
         2026-01-02T04:00:00Z: evict 4 of 8 pods",
        plan.id
    );
    assert_holds(&approved, HoldReason::APPROVAL_DEFERRED, &[&says]);
    assert_eq!(state(&approved), Some(ApprovalState::Deferred));
    assert_eq!(approved.approval.unwrap().plan, plan);

    let waiting = run(&now, &policy, Some(&stored(&plan, false)), NOW);
    let says = format!("; not in this run: {problem}");
    assert_holds(&waiting, HoldReason::APPROVAL_PENDING, &[&plan.id, &says]);
    assert_eq!(state(&waiting), Some(ApprovalState::Waiting));
    assert_eq!(waiting.approval.unwrap().plan, plan);

    let later = run(&before, &evicting(), Some(&stored(&plan, true)), NOW);
    assert_eq!(evicted(&later), ["a", "b", "f", "e"]);
}

/// An obstacle of the moment does not hide that the plan is invalid for good.
#[test]
fn invalid_plan_is_replaced_although_a_pod_is_not_ready() {
    let mut document = pods(&[1.2, 1.1, 0.8, 0.6, 0.4, 0.3, 1.0, 0.5]);
    let plan = proposed(&document, &evicting());
    document["pods"][1]["ready"] = json!(false);
    document["pods"][5]["uid"] = json!("newer");
    let approved = run(&document, &evicting(), Some(&stored(&plan, true)), NOW);
    let problem = "pod f is gone or was replaced";
    assert_holds(&approved, HoldReason::APPROVAL_INVALID, &[problem]);
}

#[test]
fn expired_plan_is_not_executed_although_it_was_approved() {
    let plan = proposed(&uneven(), &evicting());
    let approved = run(&uneven(), &evicting(), Some(&stored(&plan, true)), EXPIRED);
    assert_holds(
        &approved,
        HoldReason::APPROVAL_INVALID,
        &["it expired at 2026-01-02T04:00:00Z"],
    );
    let next = approved.approval.unwrap().plan;
    assert_eq!(next.created, at(EXPIRED));
    // The new plan evicts the same pods, and the approval of the old one does not apply to it.
    assert_eq!(names(&next.victims), names(&plan.victims));
    let proposal = Proposal {
        plan: Some(next),
        approved: Some(plan.id.clone()),
    };
    let stale = run(&uneven(), &evicting(), Some(&proposal), EXPIRED);
    let says = format!("the approval of {} does not apply to it", plan.id);
    assert_holds(&stale, HoldReason::APPROVAL_PENDING, &[&says]);
}

#[test]
fn plan_that_was_changed_by_hand_is_not_executed() {
    let mut plan = proposed(&uneven(), &evicting());
    plan.victims.truncate(1);
    let approved = run(&uneven(), &evicting(), Some(&stored(&plan, true)), NOW);
    assert_holds(
        &approved,
        HoldReason::APPROVAL_INVALID,
        &["it was changed after it was proposed"],
    );
}

#[test]
fn approval_without_a_plan_does_not_approve_the_next_one() {
    let proposal = Proposal {
        plan: None,
        approved: Some("00000000".into()),
    };
    let decision = run(&uneven(), &evicting(), Some(&proposal), NOW);
    assert_eq!(state(&decision), Some(ApprovalState::Proposed));
    assert_holds(
        &decision,
        HoldReason::APPROVAL_PENDING,
        &["the approval of 00000000 does not apply to it"],
    );
}

/// A check fails, or there is nothing to do: the plan goes on waiting.
#[rstest]
#[case::balanced(pods(&[0.7; 6]), HoldReason::WITHIN_TOLERANCE)]
#[case::frozen(described::with(uneven(), |document| document["frozen"] = json!("* * * * *")), HoldReason::FROZEN)]
fn hold_changes_nothing(#[case] document: Value, #[case] reason: HoldReason) {
    let plan = proposed(&uneven(), &evicting());
    let decision = run(&document, &evicting(), Some(&stored(&plan, true)), NOW);
    assert_eq!(decision.hold_reason(), Some(reason));
    assert_eq!(decision.approval, None);
}

/// Six pods with four partitions each. All heavy ones are on the first pod.
fn piled_up() -> Value {
    let light = || vec![6.0, 7.0, 5.0, 6.0];
    let rates = [vec![30.0; 4], light(), light(), light(), light(), light()];
    group("cooperative-sticky", &rates)
}

fn with_uids(mut document: Value) -> Value {
    for pod in document["pods"].as_array_mut().unwrap() {
        pod["uid"] = json!(format!("uid-{}", pod["name"].as_str().unwrap()));
    }
    document
}

#[rstest]
#[case::assign(Rule::Assign, skewed("cooperative-sticky"))]
#[case::rejoin(Rule::Rejoin, piled_up())]
fn redistribution_is_executed_for_the_same_pods_only(#[case] rule: Rule, #[case] document: Value) {
    let document = with_uids(document);
    let policy = policy(rule);
    let plan = proposed(&document, &policy);
    assert!(plan.victims.is_empty());
    assert!(plan.pods.iter().any(|pod| pod.name == "pod-00"), "{plan:?}");
    let expected = plan.expected.as_ref().unwrap();
    assert!(expected.imbalance_hoped < expected.imbalance_before);

    let approved = run(&document, &policy, Some(&stored(&plan, true)), NOW);
    assert_eq!(
        state(&approved),
        Some(ApprovalState::Approved),
        "{}",
        approved.message
    );
    let moves = approved.assignment().map(|plan| plan.moves().to_vec());
    assert_eq!(moves.unwrap_or_default(), plan.moves);
    let rejoins = approved.rejoin().map(|plan| plan.pods().to_vec());
    assert_eq!(rejoins.unwrap_or_default(), plan.rejoins);

    // As a StatefulSet does: another pod of the same name.
    let mut replaced = document;
    replaced["pods"][0]["uid"] = json!("newer");
    let decision = run(&replaced, &policy, Some(&stored(&plan, true)), NOW);
    assert_holds(
        &decision,
        HoldReason::APPROVAL_INVALID,
        &["pod pod-00 is gone or was replaced"],
    );
}

#[test]
fn partition_with_another_owner_is_not_moved() {
    let document = with_uids(skewed("cooperative-sticky"));
    let policy = policy(Rule::Assign);
    let plan = proposed(&document, &policy);
    let mut changed = document.clone();
    let mut known: GroupDocument = serde_json::from_value(changed["group"].clone()).unwrap();
    let moved = &plan.moves[0];
    let topic = known.topics.get_mut(&moved.topic).unwrap();
    // The group has rebalanced: two partitions have changed places.
    let index = moved.partition as usize;
    let other = topic
        .owners
        .iter()
        .position(|owner| owner.as_ref() == Some(&moved.to));
    topic.owners.swap(index, other.unwrap());
    changed["group"] = serde_json::to_value(known).unwrap();
    let decision = run(&changed, &policy, Some(&stored(&plan, true)), NOW);
    assert_holds(
        &decision,
        HoldReason::APPROVAL_INVALID,
        &["the plan does not belong to the group of the snapshot: it moves"],
    );
}

/// The pods that would get partitions are the hot ones by now.
#[test]
fn moves_that_do_not_help_any_more_are_not_executed() {
    let policy = policy(Rule::Assign);
    let document = with_uids(skewed("cooperative-sticky"));
    let plan = proposed(&document, &policy);
    let mut rates = vec![vec![10.0; 3]; 4];
    for moved in &plan.moves {
        let pod: usize = moved.to.trim_start_matches("pod-").parse().unwrap();
        rates[pod] = vec![40.0, 35.0, 30.0];
    }
    rates[0] = vec![5.0, 5.0, 5.0];
    let now = with_uids(group("cooperative-sticky", &rates));
    let decision = run(&now, &policy, Some(&stored(&plan, true)), NOW);
    assert_holds(
        &decision,
        HoldReason::APPROVAL_INVALID,
        &["it would not lower the highest load of the pods that it changes"],
    );
}

#[test]
fn plan_to_evict_is_not_executed_by_a_run_that_would_assign() {
    let document = with_uids(skewed("cooperative-sticky"));
    let evict = Policy {
        minimum_pods: MinimumPods::new(1).unwrap(),
        ..policy(Rule::RotateOutliers)
    };
    let plan = proposed(&document, &evict);
    let decision = run(
        &document,
        &policy(Rule::Assign),
        Some(&stored(&plan, true)),
        NOW,
    );
    assert_holds(
        &decision,
        HoldReason::APPROVAL_INVALID,
        &["the run would assign, and the plan is to rotate"],
    );
}

fn with_loads(snapshot: &Snapshot, loads: &[Load]) -> Snapshot {
    let mut data: SnapshotData = snapshot.data().clone();
    for (pod, load) in data.pods.iter_mut().zip(loads) {
        pod.measurement = Measurement::Load(*load, SampleInfo::default());
    }
    Snapshot::new(data).unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    /// Whatever the loads of later runs are, nothing is done without an approval, and with one
    /// exactly the approved plan on pods that may be evicted.
    #[test]
    fn nothing_but_the_approved_plan_is_executed(
        snapshot in generate::as_json(generate::snapshot()),
        loads in prop::collection::vec(generate::loads(), 14),
        policy in generate::policy(),
        is_approved: bool,
    ) {
        let now = snapshot.data().taken_at.unwrap_or(at(NOW));
        let await_run = |snapshot: &Snapshot, proposal: Option<Proposal>| {
            let mut data = snapshot.data().clone();
            data.proposal = proposal;
            let snapshot = Snapshot::new(data).unwrap();
            let decision = decide(&snapshot, &policy);
            await_approval(decision, &snapshot, &policy, DEFAULT_EXPIRY, now)
        };
        let first = await_run(&snapshot, None);
        prop_assert!(first.hold_reason().is_some());
        if let Some(approval) = first.approval {
            let plan = approval.plan;
            let later = with_loads(&snapshot, &loads);
            let decision = await_run(&later, Some(stored(&plan, is_approved)));
            prop_assert!(is_approved || decision.hold_reason().is_some());
            if let Some(executed) = decision.plan() {
                prop_assert_eq!(executed.victims(), plan.victims.as_slice());
                for victim in executed.victims() {
                    let pod = decision.pods.iter().find(|pod| pod.uid == victim.uid);
                    prop_assert!(pod.is_some_and(|pod| pod.eligible), "{}", victim.name);
                }
                let left = decision.analysis.ready - executed.largest_wave();
                prop_assert!(left >= policy.minimum_pods.get());
            }
        }
    }
}
