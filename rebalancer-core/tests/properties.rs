//! Properties of every decision, for any snapshot and policy.
#![expect(clippy::unwrap_used, reason = "helpers of tests")]

mod reference;

use std::collections::HashSet;

use jiff::Timestamp;
use proptest::prelude::*;
use rebalancer_core::checks::{CheckDetails, Verdict};
use rebalancer_core::execution::{Baseline, Execution, StopReason};
use rebalancer_core::execution::{ExecutionOutcome, ExecutionReport, PodOutcome, PodReport};
use rebalancer_core::group_details::GroupDetails;
use rebalancer_core::hold_record::{HeldSince, HoldRecord};
use rebalancer_core::model::{Cores, Load, Measurement, Pod, Seconds, Tolerance};
use rebalancer_core::plan::Role;
use rebalancer_core::report::{
    Decided, Failed, FollowUp, Report, ReportCommand, SCHEMA, WorkloadReport,
};
use rebalancer_core::{
    Action, Decision, HoldReason, Plan, Policy, Snapshot, SnapshotData, decide, generate,
};
use serde::Serialize;
use serde::de::DeserializeOwned;

fn with_role(decision: &Decision, role: Role) -> HashSet<String> {
    decision
        .pods
        .iter()
        .filter(|pod| pod.role == Some(role))
        .map(|pod| pod.name.clone())
        .collect()
}

fn victims(decision: &Decision) -> Vec<(String, Role)> {
    decision
        .plan()
        .map(|plan| {
            plan.victims()
                .iter()
                .map(|victim| (victim.name.clone(), victim.role))
                .collect()
        })
        .unwrap_or_default()
}

fn word(decision: &Decision) -> &'static str {
    decision
        .hold_reason()
        .map_or("rotate", |reason| reason.as_str())
}

/// The snapshot with different pods.
fn with_pods(snapshot: &Snapshot, pods: Vec<Pod>) -> Snapshot {
    Snapshot::new(SnapshotData {
        pods,
        ..snapshot.data().clone()
    })
    .unwrap()
}

fn scaled(snapshot: &Snapshot, factor: f64) -> Option<Snapshot> {
    let mut data = snapshot.data().clone();
    data.target = Some(Cores::new(data.target?.get() * factor).ok()?);
    for pod in &mut data.pods {
        if let Measurement::Load(load, _) = &mut pod.measurement {
            *load = Load::new(load.get() * factor).ok()?;
        }
    }
    Some(Snapshot::new(data).unwrap())
}

fn round_trip<T: Serialize + DeserializeOwned + PartialEq + std::fmt::Debug>(
    value: &T,
) -> Result<(), TestCaseError> {
    let json = serde_json::to_string(value).unwrap();
    let back: T = match serde_json::from_str(&json) {
        Ok(back) => back,
        Err(error) => return Err(TestCaseError::fail(format!("{error}: {json}"))),
    };
    prop_assert_eq!(&back, value);
    prop_assert_eq!(serde_json::to_string(&back).unwrap(), json);
    Ok(())
}

/// Any report of an execution. It need not belong to a plan.
fn execution_report() -> impl Strategy<Value = ExecutionReport> {
    let outcomes = prop::sample::select(vec![
        PodOutcome::Evicted,
        PodOutcome::AlreadyGone,
        PodOutcome::WouldWait,
        PodOutcome::Blocked,
        PodOutcome::Failed,
        PodOutcome::Unknown,
        PodOutcome::NotAttempted,
    ]);
    let reasons = prop::sample::select(vec![
        StopReason::Stopped,
        StopReason::Frozen,
        StopReason::MinimumPods,
        StopReason::ReadyUnknown,
        StopReason::Forbidden,
        StopReason::WaveIncomplete,
        StopReason::ReadyTimeout,
        StopReason::WorkloadChanged,
    ]);
    let text = || prop::option::of("[a-z\"\\\\\n ö]{0,8}");
    (
        prop::option::of(reasons),
        any::<bool>(),
        prop::collection::vec((outcomes, text()), 0..4),
    )
        .prop_map(|(stopped, dry_run, pods)| ExecutionReport {
            outcome: if stopped.is_some() {
                ExecutionOutcome::Incomplete
            } else {
                ExecutionOutcome::Completed
            },
            stopped,
            message: format!("{} pods", pods.len()),
            dry_run,
            note: dry_run.then(|| "a note".to_owned()),
            pods: pods
                .into_iter()
                .enumerate()
                .map(|(index, (outcome, message))| PodReport {
                    name: format!("consumer-{index}"),
                    uid: rebalancer_core::model::PodUid(format!("uid-{index}")),
                    outcome,
                    message,
                    budget: None,
                })
                .collect(),
            static_members: Vec::new(),
        })
}

/// Whether the workload is scaled to zero and has no pods.
fn wants_none(snapshot: &Snapshot) -> bool {
    let desired = snapshot.data().rollout.map(|rollout| rollout.desired);
    desired == Some(0) && snapshot.pods().is_empty()
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 512,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn order_of_pods_does_not_matter(
        (snapshot, permuted) in generate::snapshot().prop_flat_map(|snapshot| {
            let pods = Just(snapshot.pods().to_vec()).prop_shuffle();
            (Just(snapshot), pods)
        }),
        policy in generate::policy(),
    ) {
        let permuted = with_pods(&snapshot, permuted);
        prop_assert_eq!(decide(&permuted, &policy), decide(&snapshot, &policy));
    }

    #[test]
    fn victims_are_eligible_and_measured(
        snapshot in generate::snapshot(),
        policy in generate::policy(),
    ) {
        let decision = decide(&snapshot, &policy);
        for pod in &decision.pods {
            prop_assert_eq!(pod.eligible, pod.reasons.is_empty());
            if pod.load.is_none() {
                prop_assert!(!pod.eligible, "{:?}", pod);
            }
            if pod.role.is_some() {
                prop_assert!(pod.eligible, "{:?}", pod);
            }
        }
        for victim in decision.plan().map(Plan::victims).unwrap_or_default() {
            let pod = snapshot.pods().iter().find(|pod| pod.uid == victim.uid).unwrap();
            prop_assert!(pod.serves(), "{:?}", pod);
            prop_assert_eq!(pod.load(), Some(victim.load));
            prop_assert_eq!(&pod.name, &victim.name);
            let assessed = decision.pods.iter().find(|pod| pod.uid == victim.uid).unwrap();
            prop_assert_eq!(assessed.role, Some(victim.role));
        }
    }

    #[test]
    fn plan_respects_top_k_minimum_and_threshold(
        snapshot in prop_oneof![generate::snapshot(), generate::skewed_snapshot()],
        policy in generate::policy(),
    ) {
        let decision = decide(&snapshot, &policy);
        if let Some(plan) = decision.plan() {
            let uids: HashSet<_> = plan.victims().iter().map(|victim| &victim.uid).collect();
            prop_assert_eq!(uids.len(), plan.victims().len());
            let count = |role| plan.victims().iter().filter(|v| v.role == role).count();
            prop_assert!((1..=policy.top_k.get()).contains(&count(Role::Hottest)));
            prop_assert!((1..=policy.top_k.get()).contains(&count(Role::Coldest)));
            prop_assert_eq!(plan.waves().flatten().count(), plan.victims().len());
            prop_assert!(
                snapshot.ready() >= plan.largest_wave() + policy.minimum_pods.get(),
                "{:?}",
                plan
            );
        }
        let Some(threshold) = decision.analysis.threshold else {
            prop_assert!(decision.pods.iter().all(|pod| pod.role.is_none()));
            return Ok(());
        };
        for pod in &decision.pods {
            if pod.role == Some(Role::Hottest) {
                prop_assert!(pod.load.unwrap().get() > threshold, "{:?}", pod);
            }
        }
    }

    #[test]
    fn higher_tolerance_never_adds_a_hottest_pod(
        snapshot in generate::snapshot(),
        policy in generate::policy(),
        factor in 1.0..4.0f64,
    ) {
        let tolerant = Policy {
            tolerance: Tolerance::new(policy.tolerance.get() * factor).unwrap(),
            ..policy
        };
        let before = with_role(&decide(&snapshot, &policy), Role::Hottest);
        let after = with_role(&decide(&snapshot, &tolerant), Role::Hottest);
        prop_assert!(after.is_subset(&before), "{:?} {:?}", before, after);
    }

    #[test]
    fn scaling_loads_and_target_changes_no_decision(
        snapshot in prop_oneof![generate::healthy_snapshot(), generate::snapshot()],
        policy in generate::policy(),
        exponent in -8..=8i32,
    ) {
        // Scaled loads in cores could become implausible.
        let snapshot = Snapshot::new(SnapshotData {
            custom_load: true,
            ..snapshot.data().clone()
        })
        .unwrap();
        let Some(scaled) = scaled(&snapshot, f64::from(exponent).exp2()) else {
            return Ok(());
        };
        let (before, after) = (decide(&snapshot, &policy), decide(&scaled, &policy));
        prop_assert_eq!(word(&before), word(&after));
        prop_assert_eq!(victims(&before), victims(&after));
        prop_assert_eq!(
            before.analysis.improvement_percent.map(f64::to_bits),
            after.analysis.improvement_percent.map(f64::to_bits)
        );
        for role in [Role::Hottest, Role::Coldest] {
            prop_assert_eq!(with_role(&before, role), with_role(&after, role));
        }
    }

    #[test]
    fn healthy_snapshots_match_the_reference(
        snapshot in prop_oneof![generate::healthy_snapshot(), generate::skewed_snapshot()],
        policy in generate::policy(),
    ) {
        let decision = decide(&snapshot, &policy);
        for check in &decision.checks {
            let may_fail = matches!(check.details, CheckDetails::MinimumReady(_));
            prop_assert!(check.verdict != Verdict::Fail || may_fail, "{:?}", check);
        }
        let target = snapshot.data().target.unwrap().get();
        compare_with_the_reference(&snapshot, &policy, &decision, target)?;
    }

    #[test]
    fn eligible_pods_of_any_snapshot_match_the_reference(
        snapshot in generate::snapshot(),
        policy in generate::policy(),
    ) {
        let decision = decide(&snapshot, &policy);
        if let Some(target) = decision.analysis.target {
            compare_with_the_reference(&snapshot, &policy, &decision, target)?;
        }
    }

    #[test]
    fn skewed_snapshots_are_rotated_by_the_default_policy(
        snapshot in generate::skewed_snapshot(),
    ) {
        let decision = decide(&snapshot, &Policy::default());
        prop_assert!(decision.plan().is_some(), "{}", decision.message);
    }

    #[test]
    fn hold_has_no_plan_and_missing_data_has_its_reason(
        snapshot in generate::snapshot(),
        policy in generate::policy(),
    ) {
        let decision = decide(&snapshot, &policy);
        let json = serde_json::to_value(&decision).unwrap();
        let failed: Vec<&CheckDetails> = decision
            .checks
            .iter()
            .filter(|check| check.verdict == Verdict::Fail)
            .map(|check| &check.details)
            .collect();
        match &decision.action {
            Action::Hold(reason) => {
                prop_assert!(decision.plan().is_none());
                prop_assert_eq!(&json["victims"], &serde_json::json!([]));
                prop_assert_eq!(&json["decision"]["reason"], reason.as_str());
                // These reasons are given only if every check passed.
                let judged = [HoldReason::WITHIN_TOLERANCE, HoldReason::IMPROVEMENT_TOO_SMALL];
                prop_assert_eq!(judged.contains(reason), failed.is_empty());
            }
            Action::Rotate(_) => {
                prop_assert!(failed.is_empty(), "{:?}", failed);
                prop_assert_eq!(&json["decision"]["action"], "rotate");
            }
            action @ (Action::Assign(_) | _) => prop_assert!(false, "unexpected action {action:?}"),
        }
        let reason = decision.hold_reason();
        if snapshot.ready() == 0 || decision.analysis.eligible == 0 {
            prop_assert!(reason.is_some());
            prop_assert_ne!(reason, Some(HoldReason::WITHIN_TOLERANCE));
        }
        if decision.analysis.target.is_none()
            || snapshot.data().metrics_partial.is_some()
            || snapshot.pods().iter().any(|pod| pod.owned && pod.measurement.duplicate_series().is_some())
        {
            prop_assert!(!failed.is_empty());
        }
        // Every check is recorded with a message.
        prop_assert_eq!(decision.checks.len(), 19);
        prop_assert!(decision.checks.iter().all(|check| !check.message.is_empty()));
        prop_assert!(!decision.message.is_empty());
    }

    #[test]
    fn the_first_failed_check_is_the_reason(
        snapshot in generate::snapshot(),
        policy in generate::policy(),
    ) {
        let decision = decide(&snapshot, &policy);
        let first = decision.checks.iter().find(|check| check.verdict == Verdict::Fail);
        if let Some(check) = first {
            prop_assert_eq!(&decision.message, &check.message);
            let json = serde_json::to_value(check).unwrap();
            let expected = match json["name"].as_str().unwrap() {
                "one_at_a_time" => "another_run",
                "freeze" => "frozen",
                "cooldown" => "cooldown",
                "last_rotation" => "rotation_did_not_help",
                "eviction_limit" => "eviction_limit",
                // The reason depends on the templates and on the times of the pods.
                "rollout" => {
                    let mixed = json["templates"].as_object().is_some_and(|found| found.len() > 1);
                    let words = ["rollout_in_progress", "rollout_stuck", "mixed_templates"];
                    let possible = &words[..if mixed { 3 } else { 2 }];
                    let found = word(&decision);
                    prop_assert!(possible.contains(&found));
                    return Ok(());
                }
                "autoscaler" => "autoscaler_scaling",
                "settled" => "group_not_settled",
                "pods_found" if wants_none(&snapshot) => "scaled_to_zero",
                "pods_found" => "no_pods_found",
                "metrics_complete" => "metrics_partial",
                "coverage" if snapshot.ready() == 0 => "no_ready_pods",
                "coverage" => "insufficient_coverage",
                "measured_once" => "pods_measured_twice",
                "clocks_agree" => "clocks_apart",
                "measured_pods_exist" => "metrics_of_other_pods",
                "loads_not_all_zero" => "loads_all_zero",
                "load_plausible" => "implausible_load",
                "eligible_pods" => "no_eligible_pods",
                "target" => "target_unknown",
                "minimum_ready" => "minimum_pods",
                name => return Err(TestCaseError::fail(format!("unexpected check {name}"))),
            };
            prop_assert_eq!(word(&decision), expected);
        }
    }

    #[test]
    fn eviction_limit_is_kept_and_changes_nothing_else(
        snapshot in generate::healthy_snapshot(),
        policy in generate::policy(),
        limit in 0..6usize,
    ) {
        let free = decide(&snapshot, &policy);
        let limited = decide(&snapshot, &Policy { max_evictions: Some(limit), ..policy });
        if let Some(plan) = limited.plan() {
            prop_assert!(plan.victims().len() <= limit);
            prop_assert_eq!(plan.victims()[0].role, Role::Hottest);
        }
        if limit == 0 {
            prop_assert!(limited.plan().is_none());
        }
        if free.plan().is_some_and(|plan| plan.victims().len() <= limit && limit >= 2 * policy.top_k.get()) {
            prop_assert_eq!(free.plan(), limited.plan());
        }
    }

    #[test]
    fn documents_survive_a_round_trip(
        snapshot in generate::snapshot(),
        policy in generate::policy(),
        execution_policy in generate::execution_policy(),
        execution in prop::option::of(execution_report()),
        second in 0..4_000_000_000i64,
    ) {
        let decision = decide(&snapshot, &policy);
        round_trip(&snapshot)?;
        round_trip(&decision)?;
        round_trip(&policy)?;
        round_trip(&execution_policy)?;
        if let Some(execution) = &execution {
            round_trip(execution)?;
        }
        let outcome = snapshot.data().last_rotation.as_ref().map(|last| last.outcome(1.25));
        let follow_up = outcome.map(|outcome| FollowUp {
            after_seconds: Seconds::whole(330),
            outcome: Some(outcome),
            message: outcome.to_string(),
        });
        let report = Report {
            schema: SCHEMA.into(),
            version: "0.1.0".into(),
            command: ReportCommand::Run,
            started: Some(Timestamp::from_second(second).unwrap()),
            finished: Some(Timestamp::from_millisecond(second * 1000 + 1).unwrap()),
            dry_run: execution_policy.dry_run,
            workloads: vec![
                WorkloadReport::Decided(Box::new(Decided {
                    held: decision.hold_reason().map(|reason| {
                        let now = Timestamp::from_second(second).unwrap();
                        let record = HoldRecord::next(None, reason, now);
                        HeldSince::of(&record, reason, now, Seconds::ZERO)
                    }),
                    decision,
                    execution,
                    hand_over: None,
                    follow_up: follow_up.clone(),
                    consumer_group: GroupDetails::of(&snapshot).map(Box::new),
                })),
                WorkloadReport::Failed(Failed {
                    workload: snapshot.workload().clone(),
                    error: "no connection".into(),
                }),
            ],
        };
        round_trip(&report)?;
    }

    #[test]
    fn equal_input_gives_equal_bytes(
        snapshot in generate::snapshot(),
        policy in generate::policy(),
        execution_policy in generate::execution_policy(),
    ) {
        let bytes = || {
            let decision = decide(&snapshot.clone(), &policy);
            let execution = decision.plan().map(|plan| {
                let now = std::time::Duration::ZERO;
                let baseline = Baseline::of(&snapshot);
                Execution::new(plan, policy.minimum_pods, execution_policy, baseline, now).report()
            });
            serde_json::to_vec(&(decision, execution)).unwrap()
        };
        prop_assert_eq!(bytes(), bytes());
    }
}

fn compare_with_the_reference(
    snapshot: &Snapshot,
    policy: &Policy,
    decision: &Decision,
    target: f64,
) -> Result<(), TestCaseError> {
    let eligible: Vec<(String, f64)> = snapshot
        .pods()
        .iter()
        .filter(|pod| {
            decision
                .pods
                .iter()
                .any(|assessed| assessed.name == pod.name && assessed.eligible)
        })
        .map(|pod| (pod.name.clone(), pod.load().unwrap().get()))
        .collect();
    let minimum = policy.minimum_improvement_percent.get();
    let expected = reference::rotate_outliers(
        &eligible,
        target,
        policy.tolerance.get(),
        policy.top_k.get(),
        minimum,
    );
    let set = |names: &[String]| names.iter().cloned().collect::<HashSet<_>>();
    prop_assert_eq!(with_role(decision, Role::Hottest), set(&expected.hottest));
    prop_assert_eq!(with_role(decision, Role::Coldest), set(&expected.coldest));
    match (expected.improvement, decision.analysis.improvement_percent) {
        (None, None) => {}
        (Some(expected), Some(actual)) => {
            prop_assert!((expected - actual).abs() <= 1e-9 * expected.abs().max(1.0));
            if (expected - minimum).abs() <= 1e-9 * minimum.max(1.0) {
                // At equality rounding decides; the table tests have exact cases.
                return Ok(());
            }
        }
        (expected, actual) => prop_assert!(false, "{expected:?} {actual:?}"),
    }
    match &decision.action {
        Action::Rotate(_) => {
            prop_assert!(expected.rotate);
            let in_turn: Vec<(String, Role)> = expected
                .hottest
                .iter()
                .map(|name| (name.clone(), Role::Hottest))
                .chain(
                    expected
                        .coldest
                        .iter()
                        .map(|name| (name.clone(), Role::Coldest)),
                )
                .collect();
            prop_assert_eq!(victims(decision), in_turn);
        }
        Action::Hold(HoldReason::WITHIN_TOLERANCE) => prop_assert!(expected.hottest.is_empty()),
        Action::Hold(HoldReason::IMPROVEMENT_TOO_SMALL) => {
            prop_assert!(!expected.rotate && !expected.hottest.is_empty());
        }
        // The strategy wants to rotate, but a check of the plan fails.
        Action::Hold(
            HoldReason::MINIMUM_PODS
            | HoldReason::ROTATION_DID_NOT_HELP
            | HoldReason::EVICTION_LIMIT,
        ) => prop_assert!(expected.rotate),
        // Every other reason is of a check that does not depend on the plan, or of the consumer
        // group, which the strategy does not use.
        Action::Hold(reason) => {
            let of_group = [
                HoldReason::GROUP_UNKNOWN,
                HoldReason::LOADS_UNEXPLAINED,
                HoldReason::POSITIONAL_ASSIGNOR,
                HoldReason::STATIC_MEMBERSHIP,
                HoldReason::TOO_FEW_PARTITIONS,
                HoldReason::HOT_PARTITION,
                HoldReason::REMAINDER,
                HoldReason::SKEWED_TOPIC,
                HoldReason::SLOW_POD,
                HoldReason::CAPACITY,
                HoldReason::NO_PLAN_HELPS,
            ];
            prop_assert!(!of_group.contains(reason), "{reason:?}");
        }
        action @ (Action::Assign(_) | _) => prop_assert!(false, "unexpected action {action:?}"),
    }
    Ok(())
}
