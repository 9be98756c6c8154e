//! Every metric, one definition each, in the order of the exposition.

use rebalancer_core::HoldReason;
use rebalancer_core::execution::PodOutcome;
use rebalancer_core::handover::HandoverResult;
use rebalancer_core::plan::{AssignmentPlan, Plan, Role};

use super::api_errors::Component;
use super::facts::{RunResult, WorkloadFacts, seconds};
use super::metric::{Metric, MetricKind, Sample};

/// A gauge without own labels, unit and memory.
const GAUGE: Metric = Metric {
    base: "",
    unit: None,
    kind: MetricKind::Gauge,
    labels: &[],
    help: "",
    kept: false,
    samples: |_| Vec::new(),
};

/// A counter without own labels and unit.
const COUNTER: Metric = Metric {
    kind: MetricKind::Counter,
    ..GAUGE
};

/// Every metric. Loads are in cores, or in the unit of a custom load query, so their names have no
/// unit.
pub static METRICS: &[Metric] = &[
    Metric {
        base: "rebalancer_build_info",
        labels: &["version"],
        help: "The version of the program; always 1",
        samples: |_| Sample::each("version", [(env!("CARGO_PKG_VERSION"), Some(1.0))]),
        ..GAUGE
    },
    Metric {
        base: "rebalancer_dry_run",
        help: "Whether plans are not executed: 1 for a dry run",
        samples: |facts| Sample::one(Some(flag(facts.run.dry_run))),
        ..GAUGE
    },
    Metric {
        base: "rebalancer_last_run_timestamp",
        unit: Some("seconds"),
        help: "The end of the last run, whatever its result was",
        samples: |facts| Sample::one(facts.finished()),
        ..GAUGE
    },
    Metric {
        base: "rebalancer_last_success_timestamp",
        unit: Some("seconds"),
        help: "The end of the last run whose result was acted, held or planned",
        kept: true,
        samples: |facts| Sample::one(facts.finished().filter(|_| facts.result().is_success())),
        ..GAUGE
    },
    Metric {
        base: "rebalancer_last_rotation_timestamp",
        unit: Some("seconds"),
        help: "The end of the last run that evicted a pod, or began a hand-over or a rejoin",
        kept: true,
        samples: |facts| Sample::one(facts.finished().filter(|_| facts.acted())),
        ..GAUGE
    },
    Metric {
        base: "rebalancer_execution_duration",
        unit: Some("seconds"),
        help: "The duration of the last run",
        samples: |facts| Sample::one(facts.duration_seconds()),
        ..GAUGE
    },
    Metric {
        base: "rebalancer_last_run_result",
        labels: &["result"],
        help: "The result of the last run: 1 for the result that applies, 0 for the others",
        samples: |facts| {
            let words = RunResult::ALL.map(RunResult::as_str);
            Sample::state("result", words, Some(facts.result().as_str()))
        },
        ..GAUGE
    },
    Metric {
        base: "rebalancer_hold_reason",
        labels: &["reason"],
        help: "Why the last run held: 1 for the reason that applies, 0 for the others",
        samples: |facts| {
            let decided = facts.decided();
            let reason = decided.and_then(|decided| decided.decision.hold_reason());
            let words = HoldReason::all().map(HoldReason::as_str);
            Sample::state("reason", words, reason.map(HoldReason::as_str))
        },
        ..GAUGE
    },
    Metric {
        base: "rebalancer_hold_since_timestamp",
        unit: Some("seconds"),
        help: "The first of the consecutive runs that held for the reason; only with a lease",
        samples: |facts| {
            let held = facts.decided().and_then(|decided| decided.held);
            Sample::one(held.map(|held| seconds(held.since)))
        },
        ..GAUGE
    },
    Metric {
        base: "rebalancer_pods",
        labels: &["state"],
        help: "The pods: eligible for a plan, ready but ineligible, or not ready",
        samples: |facts| {
            let Some(analysis) = facts.decided().map(|decided| decided.decision.analysis) else {
                return Vec::new();
            };
            let ineligible = analysis.ready.saturating_sub(analysis.eligible);
            let not_ready = analysis.pods.saturating_sub(analysis.ready);
            let states = [
                ("eligible", analysis.eligible),
                ("ineligible", ineligible),
                ("not_ready", not_ready),
            ];
            Sample::each(
                "state",
                states.map(|(state, pods)| (state, Some(count(pods)))),
            )
        },
        ..GAUGE
    },
    Metric {
        base: "rebalancer_hot_pods",
        help: "The eligible pods whose load is above the threshold",
        samples: |facts| Sample::one(hot_pods(facts)),
        ..GAUGE
    },
    Metric {
        base: "rebalancer_load_mean",
        help: "The mean load of the eligible pods",
        samples: |facts| Sample::one(facts.decided().and_then(|d| d.decision.analysis.mean)),
        ..GAUGE
    },
    Metric {
        base: "rebalancer_load_max",
        help: "The highest load of an eligible pod",
        samples: |facts| Sample::one(facts.decided().and_then(|d| d.decision.analysis.max)),
        ..GAUGE
    },
    Metric {
        base: "rebalancer_load_variance_current",
        help: "The population variance of the loads of the eligible pods",
        samples: |facts| Sample::one(facts.decided().and_then(|d| d.decision.analysis.variance)),
        ..GAUGE
    },
    Metric {
        base: "rebalancer_load_target",
        help: "The load per pod that the autoscaler aims at",
        samples: |facts| Sample::one(facts.decided().and_then(|d| d.decision.analysis.target)),
        ..GAUGE
    },
    Metric {
        base: "rebalancer_load_threshold",
        help: "The load above which a pod is hot: tolerance times target",
        samples: |facts| Sample::one(facts.decided().and_then(|d| d.decision.analysis.threshold)),
        ..GAUGE
    },
    Metric {
        base: "rebalancer_imbalance",
        unit: Some("ratio"),
        help: "The highest load as a multiple of the mean, over the eligible pods",
        samples: |facts| Sample::one(facts.decided().and_then(|d| d.decision.analysis.imbalance)),
        ..GAUGE
    },
    Metric {
        base: "rebalancer_planned_evictions",
        help: "The pods that the last run decided to evict",
        samples: |facts| {
            Sample::one(facts.decided().map(|decided| {
                let plan = decided.decision.plan();
                count(plan.map_or(0, |plan| Plan::victims(plan).len()))
            }))
        },
        ..GAUGE
    },
    Metric {
        base: "rebalancer_planned_partition_moves",
        help: "The partitions that the last run decided to hand to other members",
        samples: |facts| {
            Sample::one(facts.decided().map(|decided| {
                let plan = decided.decision.assignment();
                count(plan.map_or(0, |plan| AssignmentPlan::moves(plan).len()))
            }))
        },
        ..GAUGE
    },
    Metric {
        base: "rebalancer_planned_rejoins",
        help: "The pods whose members the last run decided to let rejoin the group",
        samples: |facts| {
            Sample::one(facts.decided().map(|decided| {
                let plan = decided.decision.rejoin();
                count(plan.map_or(0, |plan| plan.pods().len()))
            }))
        },
        ..GAUGE
    },
    Metric {
        base: "rebalancer_last_run_rejoins",
        labels: &["outcome"],
        help: "The members that the last run was to let rejoin the group, by their outcome",
        samples: |facts| {
            let hand_over = facts.report.hand_over();
            let planned = hand_over
                .and_then(|hand_over| hand_over.rejoins)
                .unwrap_or(0);
            let returned = hand_over
                .and_then(|hand_over| hand_over.returned)
                .unwrap_or(0);
            let missing = planned.saturating_sub(returned);
            Sample::each(
                "outcome",
                [
                    ("returned", Some(count(returned))),
                    ("not_returned", Some(count(missing))),
                ],
            )
        },
        ..GAUGE
    },
    Metric {
        base: "rebalancer_last_run_evictions",
        labels: &["outcome"],
        help: "The outcomes of the planned evictions of the last run; all 0 for a dry run",
        samples: |facts| {
            let outcomes = OUTCOMES.map(|outcome| {
                let pods = count(facts.evicted_as(outcome));
                (outcome.as_str(), Some(pods))
            });
            Sample::each("outcome", outcomes)
        },
        ..GAUGE
    },
    Metric {
        base: "rebalancer_last_run_partition_moves",
        labels: &["outcome"],
        help: "The partitions that the last run was to move, by the outcome of the hand-over",
        samples: |facts| {
            let hand_over = facts.report.hand_over();
            let outcomes = HAND_OVERS.map(|outcome| {
                let same = hand_over.filter(|hand_over| hand_over.outcome == outcome);
                let moves = same.map_or(0, |hand_over| hand_over.planned);
                (outcome.as_str(), Some(count(moves)))
            });
            Sample::each("outcome", outcomes)
        },
        ..GAUGE
    },
    Metric {
        base: "rebalancer_forecast_imbalance",
        unit: Some("ratio"),
        labels: &["estimate"],
        help: "The forecast imbalance after the plan of the last run: mean, and the 90 % interval",
        samples: |facts| {
            let group = facts
                .decided()
                .and_then(|decided| decided.decision.group.as_ref());
            let Some(group) = group else {
                return Vec::new();
            };
            if let Some(plan) = &group.chosen {
                let peak = plan.forecast.peak_to_mean;
                let estimates = [("mean", peak.mean), ("p5", peak.p5), ("p95", peak.p95)];
                return Sample::each(
                    "estimate",
                    estimates.map(|(word, value)| (word, Some(value))),
                );
            }
            let assigns = facts
                .decided()
                .and_then(|decided| decided.decision.assignment());
            let assignment = group.assignment.as_ref().filter(|_| assigns.is_some());
            let peak = assignment.map(|assignment| assignment.peak_to_mean);
            Sample::each("estimate", [("mean", peak)])
        },
        ..GAUGE
    },
    Metric {
        base: "rebalancer_rotation_imbalance",
        unit: Some("ratio"),
        labels: &["moment"],
        help: "The imbalance before the latest rotation, as it was expected, and now",
        samples: |facts| {
            let outcome = facts.rotation_outcome();
            let forecast = outcome.and_then(|outcome| outcome.forecast);
            Sample::each(
                "moment",
                [
                    ("before", outcome.map(|outcome| outcome.before)),
                    ("expected", outcome.map(|outcome| outcome.hoped)),
                    ("expected_low", forecast.map(|(low, _)| low)),
                    ("expected_high", forecast.map(|(_, high)| high)),
                    ("now", outcome.map(|outcome| outcome.now)),
                ],
            )
        },
        ..GAUGE
    },
    Metric {
        base: "rebalancer_ineffective_rotations",
        help: "The consecutive rotations before the last run that did not help",
        samples: |facts| {
            Sample::one(facts.decided().map(|_| {
                let last = facts.last_rotation();
                last.map_or(0.0, |last| f64::from(last.ineffective))
            }))
        },
        ..GAUGE
    },
    Metric {
        base: "rebalancer_group_members",
        help: "The members of the consumer group in pods of the workload",
        samples: |facts| Sample::one(facts.run.group.map(|group| count(group.members))),
        ..GAUGE
    },
    Metric {
        base: "rebalancer_group_static_members",
        help: "The members with a group.instance.id",
        samples: |facts| Sample::one(facts.run.group.map(|group| count(group.static_members))),
        ..GAUGE
    },
    Metric {
        base: "rebalancer_group_partitions",
        help: "The partitions of the consumer group",
        samples: |facts| Sample::one(facts.run.group.map(|group| count(group.partitions))),
        ..GAUGE
    },
    Metric {
        base: "rebalancer_group_lag",
        unit: Some("records"),
        help: "The sum of the known lags of the partitions",
        samples: |facts| {
            let lag = facts.run.group.and_then(|group| group.lag);
            #[expect(clippy::cast_precision_loss, reason = "the rounding does not matter")]
            Sample::one(lag.map(|lag| lag as f64))
        },
        ..GAUGE
    },
    Metric {
        base: "rebalancer_executions",
        labels: &["status"],
        help: "The runs: success if the result was acted, held or planned, else error",
        samples: |facts| {
            let success = facts.result().is_success();
            let statuses = [("success", flag(success)), ("error", flag(!success))];
            Sample::each(
                "status",
                statuses.map(|(status, runs)| (status, Some(runs))),
            )
        },
        ..COUNTER
    },
    Metric {
        base: "rebalancer_pods_analyzed",
        help: "The pods that were considered, summed over the runs",
        samples: |facts| {
            let decided = facts.decided();
            let pods = decided.map_or(0, |decided| decided.decision.analysis.pods);
            Sample::one(Some(count(pods)))
        },
        ..COUNTER
    },
    Metric {
        base: "rebalancer_pods_deleted",
        labels: &["type"],
        help: "The evicted pods: most_busy are those above the threshold, least_busy the coldest",
        samples: |facts| {
            let types = [("most_busy", Role::Hottest), ("least_busy", Role::Coldest)];
            let types = types.map(|(word, role)| (word, Some(count(evicted_in(facts, role)))));
            Sample::each("type", types)
        },
        ..COUNTER
    },
    Metric {
        base: "rebalancer_api_errors",
        labels: &["component"],
        help: "The failed requests to prometheus, kubernetes and kafka",
        samples: |facts| {
            let errors = Component::ALL.map(|component| {
                let errors = facts.run.api_errors.of(component);
                (component.as_str(), Some(f64::from(errors)))
            });
            Sample::each("component", errors)
        },
        ..COUNTER
    },
];

/// The outcomes of an eviction that is no dry run.
const OUTCOMES: [PodOutcome; 6] = [
    PodOutcome::Evicted,
    PodOutcome::AlreadyGone,
    PodOutcome::Blocked,
    PodOutcome::Failed,
    PodOutcome::Unknown,
    PodOutcome::NotAttempted,
];

/// The outcomes of the hand-over of an assignment.
const HAND_OVERS: [HandoverResult; 3] = [
    HandoverResult::Assigned,
    HandoverResult::NotKept,
    HandoverResult::Abandoned,
];

fn flag(value: bool) -> f64 {
    f64::from(u8::from(value))
}

#[expect(clippy::cast_precision_loss, reason = "numbers of pods and partitions")]
fn count(number: usize) -> f64 {
    number as f64
}

/// The number of eligible pods above the threshold; `None` if there is no threshold.
fn hot_pods(facts: &WorkloadFacts<'_>) -> Option<f64> {
    let decision = &facts.decided()?.decision;
    let threshold = decision.analysis.threshold?;
    let hot = decision.pods.iter().filter(|pod| {
        let load = pod.load.map(f64::from);
        pod.eligible && load.is_some_and(|load| load > threshold)
    });
    Some(count(hot.count()))
}

/// The number of evicted pods that had this role in the plan.
fn evicted_in(facts: &WorkloadFacts<'_>, role: Role) -> usize {
    let Some(decided) = facts.decided() else {
        return 0;
    };
    let executions = decided
        .execution
        .iter()
        .filter(|execution| !execution.dry_run);
    let evicted = executions
        .flat_map(|execution| &execution.pods)
        .filter(|pod| pod.outcome == PodOutcome::Evicted);
    let victims = || decided.decision.plan().into_iter().flat_map(Plan::victims);
    let has_role = |uid| victims().any(|victim| victim.role == role && &victim.uid == uid);
    evicted.filter(|pod| has_role(&pod.uid)).count()
}
