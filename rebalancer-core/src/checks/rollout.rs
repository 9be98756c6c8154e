//! Check: no rollout and no scaling is in progress, and all pods have the same template.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

use super::rule::{CheckInput, Failure, Rule, Verdict};
use super::terminating::{Termination, Terminations, describe};
use crate::hold_reason::HoldReason;
use crate::model::{Pod, Rollout, RolloutFailure, Seconds};
use crate::ports::ScaleTarget;
use crate::wording::{list_some, pods_are};

/// Seconds after which a pod of a StatefulSet that is not ready is the reason why a rollout does
/// not progress: the default of `progressDeadlineSeconds`, which only Deployments have.
const PROGRESS_DEADLINE_SECONDS: u32 = 600;

/// No rollout is in progress: the controller has observed the specification, all pods are updated,
/// no surge pod exists, and the labels of the pods name one template.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct RolloutComplete {
    /// Progress of the controller; `None` if the snapshot does not contain it.
    pub rollout: Option<Rollout>,
    /// Number of the workload's pods by the hash of their template. Pods without a hash and pods
    /// that are terminating, ended or opted out are left out.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub templates: BTreeMap<String, usize>,
    /// The conditions by which the controller reports that the rollout does not progress.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub failures: Vec<RolloutFailure>,
    /// Pods of a StatefulSet that keep its rollout from progressing, each with the reason; absent
    /// if there are none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub obstacles: Option<String>,
}

impl HoldReason {
    /// The controller of the workload is rolling out or scaling.
    pub const ROLLOUT_IN_PROGRESS: Self = Self::new(
        "rollout_in_progress",
        "the workload is rolling out or scaling",
        "wait until the rollout is complete; `kubectl rollout status` shows why it is not",
    );

    /// The rollout or scaling of the workload cannot finish.
    pub const ROLLOUT_STUCK: Self = Self::new(
        "rollout_stuck",
        "a rollout or scaling of the workload does not progress",
        "the message has the condition or the pods: for example raise the quota, repair or roll back \
         the template, or delete a pod of a lost node",
    )
    // The loads of a workload that is stuck between two states cannot be trusted until it is
    // repaired.
    .missing_data();

    /// The pods of the workload were created from different templates.
    pub const MIXED_TEMPLATES: Self = Self::new(
        "mixed_templates",
        "the pods have different templates, as during a canary: their loads cannot be compared",
        "finish the canary, or exempt its pods with an annotation",
    );

    /// An eviction would update the pod to another template.
    pub const UPDATE_ON_DELETE: Self = Self::new(
        "update_on_delete",
        "an eviction would update the pod, because the StatefulSet updates its pods when they are \
         deleted (`updateStrategy: OnDelete`) and some are not up to date",
        "update the pods first: delete those of the old revision one by one",
    );
}

/// Why the check fails.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Obstacle {
    InProgress(String),
    Stuck(String),
    MixedTemplates,
    UpdateOnDelete { outdated: u32, desired: u32 },
}

impl RolloutComplete {
    /// Why the check fails; `None` if it passes.
    fn obstacle(&self) -> Option<Obstacle> {
        let mixed = self.templates.len() > 1;
        let Some(rollout) = &self.rollout else {
            return mixed.then_some(Obstacle::MixedTemplates);
        };
        // The controller of a paused rollout replaces no pods, so that it is as good as complete if
        // the pods have one template. Pods that are opted out may be of another one.
        let rollout = Rollout {
            updated: if rollout.paused && !self.templates.is_empty() {
                rollout.desired
            } else {
                rollout.updated
            },
            ..*rollout
        };
        let progress = in_progress(&rollout);
        if let Some(progress) = self.not_progressing(progress.as_deref()) {
            return Some(Obstacle::Stuck(progress));
        }
        let observed = rollout.observed_generation >= rollout.generation;
        if rollout.update_on_delete && observed && rollout.current == rollout.desired {
            return (rollout.updated != rollout.desired || mixed).then_some(
                Obstacle::UpdateOnDelete {
                    outdated: rollout.desired.saturating_sub(rollout.updated),
                    desired: rollout.desired,
                },
            );
        }
        match progress {
            Some(progress) => Some(Obstacle::InProgress(if rollout.paused {
                progress + "; the rollout is paused, and waits until it is resumed"
            } else {
                progress
            })),
            None => mixed.then_some(Obstacle::MixedTemplates),
        }
    }

    /// Why a rollout does not progress; `None` if it does, or if it is complete.
    fn not_progressing(&self, progress: Option<&str>) -> Option<String> {
        // A passed deadline is kept until the rollout is complete, which includes that the pods are
        // available. Failures to create a pod only matter while one is missing.
        let expired = |failure: &RolloutFailure| failure.condition == RolloutFailure::PROGRESSING;
        if progress.is_none() && !self.failures.iter().any(expired) {
            return None;
        }
        let failures = self.failures.iter().map(ToString::to_string);
        let causes: Vec<String> = failures.chain(self.obstacles.clone()).collect();
        if causes.is_empty() {
            return None;
        }
        let progress = progress.unwrap_or("the rollout is not complete");
        Some(format!(
            "{progress}, and it does not progress: {}",
            causes.join("; ")
        ))
    }

    /// The number of pods of each template, as a text.
    fn templates(&self) -> String {
        list_some(
            self.templates
                .iter()
                .map(|(template, pods)| format!("{} of template {template}", pods_are(*pods))),
        )
    }
}

impl Rule for RolloutComplete {
    const REASONS: &'static [HoldReason] = &[
        HoldReason::ROLLOUT_IN_PROGRESS,
        HoldReason::ROLLOUT_STUCK,
        HoldReason::MIXED_TEMPLATES,
        HoldReason::UPDATE_ON_DELETE,
    ];

    fn evaluate(input: &CheckInput<'_>) -> Option<(Verdict, Self)> {
        let data = input.snapshot.data();
        let numbers = Self {
            rollout: data.rollout,
            templates: templates(input.snapshot.pods()),
            failures: data.rollout_failures.clone(),
            obstacles: obstacles(input),
        };
        let verdict = if numbers.obstacle().is_some() {
            Verdict::Fail
        } else if numbers.rollout.is_none() && numbers.templates.is_empty() {
            Verdict::Skipped
        } else {
            Verdict::Pass
        };
        Some((verdict, numbers))
    }

    fn failure(&self) -> Failure {
        let (reason, missing_data) = match self.obstacle() {
            Some(Obstacle::InProgress(_)) | None => (HoldReason::ROLLOUT_IN_PROGRESS, false),
            Some(Obstacle::Stuck(_)) => (HoldReason::ROLLOUT_STUCK, true),
            Some(Obstacle::MixedTemplates) => (HoldReason::MIXED_TEMPLATES, false),
            Some(Obstacle::UpdateOnDelete { .. }) => (HoldReason::UPDATE_ON_DELETE, false),
        };
        Failure {
            reason,
            missing_data,
            untrusted_loads: true,
        }
    }
}

impl fmt::Display for RolloutComplete {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.obstacle(), &self.rollout) {
            (Some(Obstacle::InProgress(why) | Obstacle::Stuck(why)), _) => f.write_str(&why)?,
            (Some(Obstacle::MixedTemplates), rollout) => {
                let paused = rollout.is_some_and(|rollout| rollout.paused);
                let paused = if paused {
                    ", and the rollout is paused"
                } else {
                    ""
                };
                return write!(
                    f,
                    "the pods have {} different templates{paused}: {}",
                    self.templates.len(),
                    self.templates()
                );
            }
            (Some(Obstacle::UpdateOnDelete { outdated, desired }), _) => write!(
                f,
                "{outdated} of {desired} replicas are not up to date, and the StatefulSet updates a pod \
                 when it is deleted (updateStrategy OnDelete): an eviction would update the pod"
            )?,
            (None, None) if self.templates.is_empty() => {
                f.write_str("the rollout state is unknown; assumed complete")?;
            }
            (None, None) => {
                f.write_str("the rollout state is unknown; all pods have one template")?
            }
            (None, Some(rollout)) if rollout.paused && rollout.updated != rollout.desired => {
                f.write_str(
                    "the rollout is paused, and all pods that may be evicted have one template",
                )?;
            }
            (None, Some(rollout)) => {
                write!(f, "all {} replicas are up to date", rollout.desired)?;
            }
        }
        if self.templates.len() > 1 {
            write!(f, "; {}", self.templates())?;
        }
        Ok(())
    }
}

/// Counts the pods of each template.
fn templates(pods: &[Pod]) -> BTreeMap<String, usize> {
    let mut templates = BTreeMap::new();
    for pod in pods {
        let counts = pod.owned && !pod.terminating && !pod.has_ended() && pod.opted_out.is_none();
        if let (true, Some(template)) = (counts, &pod.template) {
            match templates.get_mut(template.as_str()) {
                Some(pods) => *pods += 1,
                None => drop(templates.insert(template.clone(), 1)),
            }
        }
    }
    templates
}

/// The pods that keep the rollout of a StatefulSet from progressing. Its controller reports no
/// condition: it waits for the pod of each ordinal to end and to become ready.
fn obstacles(input: &CheckInput<'_>) -> Option<String> {
    if ScaleTarget::of_workload(input.snapshot.workload()).kind != "StatefulSet" {
        return None;
    }
    let deadline = Seconds::whole(PROGRESS_DEADLINE_SECONDS);
    let terminations = Terminations::new(input.snapshot, input.policy);
    let owned = input.snapshot.pods().iter().filter(|pod| pod.owned);
    let mut pods: Vec<String> = owned
        .filter_map(|pod| match terminations.of(pod) {
            Some(Termination::Leaving) => None,
            Some(termination) => Some(format!(
                "pod {} is stuck in Terminating",
                describe(pod, &termination)
            )),
            None => {
                let unready = pod.unready_seconds.filter(|seconds| *seconds >= deadline)?;
                let seconds = unready.rounded();
                Some(format!("pod {} has not been ready for {seconds}", pod.name))
            }
        })
        .collect();
    pods.sort_unstable();
    (!pods.is_empty()).then(|| list_some(pods.into_iter()))
}

/// The unfinished part of a rollout; `None` if the rollout is complete.
fn in_progress(rollout: &Rollout) -> Option<String> {
    if rollout.observed_generation < rollout.generation {
        return Some(format!(
            "the controller has not observed the current specification yet (generation {} of {})",
            rollout.observed_generation, rollout.generation
        ));
    }
    if rollout.updated != rollout.desired {
        return Some(format!(
            "a rollout or scaling is in progress: {} of {} replicas are up to date",
            rollout.updated, rollout.desired
        ));
    }
    (rollout.current != rollout.desired).then(|| {
        format!(
            "a rollout or scaling is in progress: {} pods exist for {} replicas",
            rollout.current, rollout.desired
        )
    })
}

/// Why an execution that began with the rollout `before` must stop when the rollout is `now`;
/// `None` if it may continue.
///
/// Only the specification counts. Replacements that are still starting lower the status, but are
/// not a rollout; a new generation means that someone changed the template or the scale.
pub(crate) fn changed_since(before: Option<Rollout>, now: Option<Rollout>) -> Option<String> {
    let (before, now) = (before?, now?);
    if before.desired != now.desired {
        return Some(format!(
            "the workload was scaled from {} to {} replicas meanwhile",
            before.desired, now.desired
        ));
    }
    (before.generation != now.generation).then(|| {
        format!(
            "the workload's specification was changed meanwhile (generation {} to {})",
            before.generation, now.generation
        )
    })
}

#[cfg(test)]
mod tests {
    use super::super::rule::testing::check_snapshot;
    use super::*;
    use crate::checks::CheckDetails;
    use crate::policy::Policy;
    use rstest::rstest;
    use serde_json::{Value, json};

    fn state(numbers: [u32; 5]) -> Rollout {
        let [generation, observed, desired, current, updated] = numbers;
        Rollout {
            generation: generation.into(),
            observed_generation: observed.into(),
            desired,
            current,
            updated,
            ..Rollout::default()
        }
    }

    // generation, observed, desired, current, updated
    #[rstest]
    #[case::complete([3, 3, 6, 6, 6], None)]
    #[case::scaled_to_zero([1, 1, 0, 0, 0], None)]
    #[case::not_observed([4, 3, 6, 6, 6], Some("generation 3 of 4"))]
    #[case::half_updated([4, 4, 6, 6, 3], Some("3 of 6 replicas are up to date"))]
    #[case::surge([4, 4, 6, 8, 6], Some("8 pods exist for 6 replicas"))]
    #[case::scaling_up([4, 4, 9, 6, 6], Some("6 of 9 replicas"))]
    #[case::scaling_down([4, 4, 3, 6, 6], Some("6 of 3 replicas"))]
    fn rollout_is_in_progress_until_all_replicas_are_updated(
        #[case] numbers: [u32; 5],
        #[case] expected: Option<&str>,
    ) {
        let progress = in_progress(&state(numbers));
        match expected {
            None => assert_eq!(progress, None),
            Some(text) => assert!(progress.as_ref().unwrap().contains(text), "{progress:?}"),
        }
    }

    #[test]
    fn unknown_rollout_is_skipped() {
        let check = check_snapshot(
            CheckDetails::Rollout,
            &json!({"pods": []}),
            &Policy::default(),
        );
        assert_eq!(check.verdict, Verdict::Skipped);
    }

    #[rstest]
    #[case::unchanged([3, 3, 6, 6, 6], false)]
    // Evictions change the status, but not the specification.
    #[case::replacements_missing([3, 3, 6, 4, 4], false)]
    #[case::scaled([4, 4, 7, 7, 7], true)]
    #[case::scaled_without_new_generation([3, 3, 7, 7, 7], true)]
    #[case::new_template([4, 3, 6, 6, 6], true)]
    fn only_a_new_specification_counts_as_changed(#[case] now: [u32; 5], #[case] changed: bool) {
        let before = Some(state([3, 3, 6, 6, 6]));
        assert_eq!(changed_since(before, Some(state(now))).is_some(), changed);
        assert_eq!(changed_since(None, Some(state(now))), None);
        assert_eq!(changed_since(before, None), None);
    }

    fn rollout(numbers: [u32; 5]) -> Value {
        serde_json::to_value(state(numbers)).unwrap()
    }

    fn with(mut rollout: Value, flag: &str) -> Value {
        rollout[flag] = json!(true);
        rollout
    }

    fn pods(templates: &[&str]) -> Value {
        let pod = |(index, template): (usize, &&str)| json!({"name": format!("p{index}"), "template": template});
        templates.iter().enumerate().map(pod).collect()
    }

    fn deadline() -> Value {
        json!([{"condition": "Progressing", "reason": "ProgressDeadlineExceeded",
            "message": "ReplicaSet \"o-1\" has timed out progressing."}])
    }

    fn quota() -> Value {
        json!([{"condition": "ReplicaFailure", "reason": "FailedCreate",
            "message": "exceeded quota: q"}])
    }

    #[rstest]
    #[case::complete(json!({"rollout": rollout([3, 3, 2, 2, 2]), "pods": pods(&["x", "x"])}), None, "all 2")]
    #[case::unknown_with_one_template(json!({"pods": pods(&["x", "x"])}), None, "one template")]
    #[case::canary_of_an_unknown_kind(
        json!({"pods": pods(&["x", "y", "x"])}),
        Some("mixed_templates"),
        "the pods have 2 different templates: 2 pods are of template x, 1 pod is of template y"
    )]
    // The status of the owner does not matter.
    #[case::canary_that_the_owner_calls_complete(
        json!({"rollout": rollout([3, 3, 3, 3, 3]), "pods": pods(&["x", "y", "x"])}),
        Some("mixed_templates"),
        "2 different templates"
    )]
    #[case::paused_canary(
        json!({"rollout": with(rollout([3, 3, 3, 3, 1]), "paused"), "pods": pods(&["x", "y", "x"])}),
        Some("mixed_templates"),
        "2 different templates, and the rollout is paused: 2 pods are of template x"
    )]
    #[case::rolling_update(
        json!({"rollout": rollout([3, 3, 3, 3, 1]), "pods": pods(&["x", "y", "x"])}),
        Some("rollout_in_progress"),
        "1 of 3 replicas are up to date; 2 pods are of template x, 1 pod is of template y"
    )]
    #[case::paused_before_it_began(
        json!({"rollout": with(rollout([3, 3, 2, 2, 0]), "paused"), "pods": pods(&["x", "x"])}),
        None,
        "the rollout is paused, and all pods that may be evicted have one template"
    )]
    #[case::paused_canary_is_opted_out(
        json!({"rollout": with(rollout([3, 3, 2, 2, 1]), "paused"), "pods": [
            {"name": "a", "template": "x"},
            {"name": "b", "template": "y", "opted_out": "rebalancer.io/skip: true"}]}),
        None,
        "the rollout is paused, and all pods that may be evicted have one template"
    )]
    #[case::paused_with_unknown_templates(
        json!({"rollout": with(rollout([3, 3, 2, 2, 0]), "paused"), "pods": [{"name": "a"}]}),
        Some("rollout_in_progress"),
        "0 of 2 replicas are up to date; the rollout is paused, and waits until it is resumed"
    )]
    #[case::paused_and_scaling(
        json!({"rollout": with(rollout([3, 3, 4, 2, 0]), "paused"), "pods": pods(&["x", "x"])}),
        Some("rollout_in_progress"),
        "2 pods exist for 4 replicas; the rollout is paused"
    )]
    #[case::canary_is_opted_out(
        json!({"pods": [{"name": "a", "template": "x"},
            {"name": "b", "template": "y", "opted_out": "rebalancer.io/skip: true"}]}),
        None,
        "one template"
    )]
    #[case::old_pod_is_leaving(
        json!({"pods": [{"name": "a", "template": "x"},
            {"name": "b", "template": "y", "terminating": true},
            {"name": "c", "template": "z", "owned": false},
            {"name": "d", "template": "w", "phase": "Failed"}]}),
        None,
        "one template"
    )]
    #[case::unready_pods_count(
        json!({"pods": [{"name": "a", "template": "x"}, {"name": "b", "template": "y", "ready": false}]}),
        Some("mixed_templates"),
        "1 pod is of template y"
    )]
    #[case::deadline(
        json!({"rollout": rollout([3, 3, 10, 8, 8]), "rollout_failures": deadline(), "pods": []}),
        Some("rollout_stuck"),
        "8 of 10 replicas are up to date, and it does not progress: Progressing: \
         ProgressDeadlineExceeded (ReplicaSet \"o-1\" has timed out progressing.)"
    )]
    #[case::deadline_with_unavailable_pods(
        json!({"rollout": rollout([3, 3, 8, 8, 8]), "rollout_failures": deadline(), "pods": []}),
        Some("rollout_stuck"),
        "the rollout is not complete, and it does not progress"
    )]
    #[case::quota(
        json!({"rollout": rollout([3, 3, 10, 8, 8]), "rollout_failures": quota(), "pods": []}),
        Some("rollout_stuck"),
        "ReplicaFailure: FailedCreate (exceeded quota: q)"
    )]
    #[case::quota_that_no_longer_matters(
        json!({"rollout": rollout([3, 3, 8, 8, 8]), "rollout_failures": quota(), "pods": []}),
        None,
        "all 8 replicas are up to date"
    )]
    #[case::outdated_on_delete(
        json!({"rollout": with(rollout([3, 3, 2, 2, 0]), "update_on_delete"), "pods": pods(&["x", "x"])}),
        Some("update_on_delete"),
        "2 of 2 replicas are not up to date"
    )]
    #[case::partly_outdated_on_delete(
        json!({"rollout": with(rollout([3, 3, 2, 2, 1]), "update_on_delete"), "pods": pods(&["x", "y"])}),
        Some("update_on_delete"),
        "1 of 2 replicas are not up to date"
    )]
    #[case::current_on_delete(
        json!({"rollout": with(rollout([3, 3, 2, 2, 2]), "update_on_delete"), "pods": pods(&["x", "x"])}),
        None,
        "all 2 replicas are up to date"
    )]
    #[case::scaling_on_delete(
        json!({"rollout": with(rollout([3, 3, 3, 2, 2]), "update_on_delete"), "pods": pods(&["x", "x"])}),
        Some("rollout_in_progress"),
        "2 of 3 replicas"
    )]
    fn holds_unless_all_pods_have_the_current_template(
        #[case] snapshot: Value,
        #[case] reason: Option<&str>,
        #[case] says: &str,
    ) {
        let check = check_snapshot(CheckDetails::Rollout, &snapshot, &Policy::default());
        let found = check.hold_reason();
        assert_eq!(found.map(HoldReason::as_str), reason, "{}", check.message);
        assert!(check.message.contains(says), "{}", check.message);
        assert_eq!(check.means_missing_data(), reason == Some("rollout_stuck"));
    }

    #[rstest]
    #[case::lost_node(
        json!({"name": "s-1", "terminating": true, "ready": false,
            "deletion": {"requested_seconds": 4000, "overdue_seconds": 3970, "node": "n1"}}),
        Some("pod s-1 (for 4000 s, 3970 s beyond its grace period: node n1 has not confirmed its end) is \
              stuck in Terminating")
    )]
    #[case::broken(
        json!({"name": "s-1", "ready": false, "unready_seconds": 600}),
        Some("pod s-1 has not been ready for 600 s")
    )]
    #[case::starting(json!({"name": "s-1", "ready": false, "unready_seconds": 599}), None)]
    #[case::leaving(json!({"name": "s-1", "terminating": true, "ready": false}), None)]
    fn stateful_set_waits_for_the_pod_of_an_ordinal(
        #[case] pod: Value,
        #[case] says: Option<&str>,
        #[values("StatefulSet", "StatefulSet.v1.apps", "Deployment")] kind: &str,
    ) {
        let snapshot = json!({
            "workload": {"namespace": "a", "kind": kind, "name": "s"},
            "rollout": rollout([3, 3, 2, 2, 1]),
            "pods": [{"name": "s-0"}, pod],
        });
        let check = check_snapshot(CheckDetails::Rollout, &snapshot, &Policy::default());
        let says = says.filter(|_| kind != "Deployment");
        let reason = says.map_or("rollout_in_progress", |_| "rollout_stuck");
        assert_eq!(check.hold_reason().unwrap().as_str(), reason);
        if let Some(says) = says {
            assert!(check.message.contains(says), "{}", check.message);
        }
    }

    #[test]
    fn complete_stateful_set_with_an_unready_pod_is_not_stuck() {
        let snapshot = json!({
            "workload": {"namespace": "a", "kind": "StatefulSet", "name": "s"},
            "rollout": rollout([3, 3, 1, 1, 1]),
            "pods": [{"name": "s-0", "ready": false, "unready_seconds": 9000}],
        });
        let check = check_snapshot(CheckDetails::Rollout, &snapshot, &Policy::default());
        assert_eq!(check.verdict, Verdict::Pass);
    }
}
