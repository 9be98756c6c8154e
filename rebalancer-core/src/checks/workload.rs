//! The checks on the snapshot as a whole: each failure holds the run, with the numbers.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

use super::group::GroupKnown;
use super::metrics::{ClocksAgree, LoadPlausible, LoadsNotAllZero, MeasuredPodsExist};
use super::{list_some, pod};
use crate::history::RotationOutcome;
use crate::lease::LeaseHolder;
use crate::model::{Pod, Rollout, Seconds};
use crate::plan::Plan;
use crate::policy::Policy;
use crate::snapshot::{ResolvedTarget, Snapshot, TargetProblem};

/// What a check came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// The rule is kept.
    Pass,
    /// The rule is broken: nothing is evicted.
    Fail,
    /// There was nothing to apply the rule to.
    Skipped,
}

impl Verdict {
    pub(crate) fn pass_if(kept: bool) -> Self {
        if kept { Self::Pass } else { Self::Fail }
    }
}

/// One rule applied to a snapshot: its verdict, and its numbers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Check {
    /// What it came to.
    pub verdict: Verdict,
    /// One line for a person.
    pub message: String,
    /// Which rule, and its numbers.
    #[serde(flatten)]
    pub finding: Finding,
}

impl Check {
    pub(crate) fn new(verdict: Verdict, finding: Finding) -> Self {
        Self {
            verdict,
            message: finding.to_string(),
            finding,
        }
    }

    /// It failed for want of knowledge that does not come by itself with time.
    #[must_use]
    pub fn means_missing_data(&self) -> bool {
        self.verdict == Verdict::Fail
            && match &self.finding {
                Finding::MetricsComplete { .. }
                | Finding::MeasuredOnce { .. }
                | Finding::ClocksAgree(_)
                | Finding::MeasuredPodsExist(_)
                | Finding::LoadsNotAllZero(_)
                | Finding::LoadPlausible(_) => true,
                Finding::Group(known) => known.problem.as_ref().is_some_and(|p| !p.is_transient()),
                Finding::Target { problem, .. } => {
                    !matches!(problem, Some(TargetProblem::NoEligiblePods))
                }
                // New pods are not measured yet, and that passes.
                Finding::Coverage { .. }
                | Finding::Rollout { .. }
                | Finding::Autoscaler { .. }
                | Finding::Settled { .. }
                | Finding::PodsFound { .. }
                | Finding::EligiblePods { .. }
                | Finding::OneAtATime { .. }
                | Finding::Freeze { .. }
                | Finding::Cooldown { .. }
                | Finding::LastRotation { .. }
                | Finding::EvictionLimit { .. }
                | Finding::MinimumReady { .. } => false,
            }
    }
}

impl Check {
    /// It failed for what the snapshot is, and not for what may be done now: the loads do not tell
    /// what the group is like once it has settled.
    #[must_use]
    pub fn means_untrusted_loads(&self) -> bool {
        self.verdict == Verdict::Fail
            && match &self.finding {
                Finding::MetricsComplete { .. }
                | Finding::MeasuredOnce { .. }
                | Finding::ClocksAgree(_)
                | Finding::MeasuredPodsExist(_)
                | Finding::LoadsNotAllZero(_)
                | Finding::LoadPlausible(_)
                | Finding::Group(_)
                | Finding::Coverage { .. }
                | Finding::Rollout { .. }
                | Finding::Autoscaler { .. }
                | Finding::Settled { .. }
                | Finding::PodsFound { .. }
                | Finding::EligiblePods { .. } => true,
                Finding::Target { .. }
                | Finding::OneAtATime { .. }
                | Finding::Freeze { .. }
                | Finding::Cooldown { .. }
                | Finding::LastRotation { .. }
                | Finding::EvictionLimit { .. }
                | Finding::MinimumReady { .. } => false,
            }
    }
}

/// Which rule, and the numbers it was applied to.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(tag = "name", rename_all = "snake_case")]
pub enum Finding {
    /// No other run is acting on the workload.
    OneAtATime {
        /// The run that is.
        other_run: Option<LeaseHolder>,
    },
    /// It is not a time at which nothing may be done.
    Freeze {
        /// The freeze window that it is in, as the operator wrote it.
        window: Option<String>,
    },
    /// The last rotation was longer ago than the cooldown.
    Cooldown {
        /// Seconds since it was; `None` when there was none or nobody remembers.
        since_seconds: Option<Seconds>,
        /// Seconds that must have passed.
        cooldown_seconds: Seconds,
    },
    /// The last rotation helped, or was long enough ago to try again. Imbalances are the highest
    /// load as a multiple of the mean.
    LastRotation {
        /// The imbalance now.
        imbalance: Option<f64>,
        /// The imbalance before it.
        before: Option<f64>,
        /// What was hoped for.
        hoped: Option<f64>,
        /// What was forecast for nine of ten cases, from and to, where there was a forecast.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        forecast: Option<(f64, f64)>,
        /// How many rotations in a row have not helped.
        #[serde(rename = "futile")]
        ineffective: u32,
        /// Seconds since it was.
        since_seconds: Option<Seconds>,
        /// Seconds that must have passed when it did not help.
        wait_seconds: Seconds,
    },
    /// The run may still evict pods.
    EvictionLimit {
        /// How many; `None` when there is no limit.
        left: Option<usize>,
    },
    /// The workload is not rolling out: generation observed, all pods updated, no surge.
    Rollout {
        /// How far the controller is; `None` when the snapshot does not say.
        rollout: Option<Rollout>,
    },
    /// No autoscaler is in the middle of a scaling.
    Autoscaler {
        /// Current and desired replicas of the autoscaler that is, or else of the first.
        scaling: Option<Scaling>,
    },
    /// The group is settled: no pod joined within the cooldown, none is about to join or to leave.
    Settled {
        /// The pod that became ready last.
        newest: Option<String>,
        /// Seconds since it did.
        ready_seconds: Option<Seconds>,
        /// Seconds that must have passed.
        cooldown_seconds: Seconds,
        /// Pods of the workload that are terminating: they are about to leave the group.
        terminating: usize,
        /// Pods of the workload that are younger than the cooldown and not ready yet: they are
        /// about to join. Older ones that are not ready are broken rather than starting.
        starting: usize,
    },
    /// Where pods are to be, some were found.
    PodsFound {
        /// Pods that the selector matches.
        selected: usize,
        /// Those that the workload owns.
        owned: usize,
        /// The replicas that the workload wants; `None` when the snapshot does not say.
        desired: Option<u32>,
    },
    /// The metrics' answer was complete.
    MetricsComplete {
        /// Why it was not, in the server's words.
        partial: Option<String>,
    },
    /// Enough of the ready pods have a load to trust.
    Coverage {
        /// Ready pods.
        ready: usize,
        /// Those with a load to trust.
        measured: usize,
        /// The share, in percent; `None` when no pod is ready.
        percent: Option<f64>,
        /// The share that is needed, in percent.
        minimum_percent: f64,
        /// Some of those without one, each with the reason; absent when all have one.
        without: Option<String>,
    },
    /// The metrics give each pod once.
    MeasuredOnce {
        /// Pods whose container was found more than once.
        pods: usize,
        /// One of them.
        example: Option<String>,
        /// How often its container was found.
        series: Option<u32>,
    },
    /// The clocks of the metrics server and of the cluster agree.
    ClocksAgree(ClocksAgree),
    /// The metrics are about the workload's pods, and not only about others.
    MeasuredPodsExist(MeasuredPodsExist),
    /// Somebody spends something.
    LoadsNotAllZero(LoadsNotAllZero),
    /// No pod spends what no pod can spend.
    LoadPlausible(LoadPlausible),
    /// Some pod is eligible.
    EligiblePods {
        /// Pods in the snapshot.
        pods: usize,
        /// Those that may be victims.
        eligible: usize,
        /// How many pods there are for each reason against it.
        ineligible: BTreeMap<String, usize>,
    },
    /// The target is known.
    Target {
        /// The target and where it comes from.
        target: Option<ResolvedTarget>,
        /// Why there is none.
        problem: Option<TargetProblem>,
    },
    /// The consumer group is known and settled.
    Group(GroupKnown),
    /// The minimum of ready pods is kept while the largest wave is out.
    MinimumReady {
        /// Ready pods.
        ready: usize,
        /// Pods of the largest wave; `None` when there is no plan.
        wave: Option<usize>,
        /// Pods that would be left.
        left: Option<usize>,
        /// Pods that must be left.
        minimum: usize,
        /// The `MAX_UNAVAILABLE` that makes the plan possible, where one does.
        max_unavailable: Option<usize>,
    },
}

/// Replicas of an autoscaler.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Scaling {
    /// The autoscaler's name.
    pub autoscaler: String,
    /// `status.currentReplicas`.
    pub current: u32,
    /// `status.desiredReplicas`.
    pub desired: u32,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::OneAtATime { other_run: None } => {
                f.write_str("no other run is acting on this workload")
            }
            Self::OneAtATime {
                other_run: Some(other),
            } => write!(
                f,
                "another run is acting on this workload: {} (its lease ends in {} unless renewed)",
                other.identity,
                other.expires_seconds.in_words()
            ),
            Self::Freeze { window: None } => f.write_str("no freeze window"),
            Self::Freeze {
                window: Some(window),
            } => write!(f, "frozen by FREEZE={window}"),
            Self::Cooldown {
                since_seconds: None,
                ..
            } => f.write_str("no rotation is remembered"),
            Self::Cooldown {
                since_seconds: Some(since),
                cooldown_seconds,
            } => write!(
                f,
                "the last rotation was {} ago (cooldown {})",
                since.in_words(),
                cooldown_seconds.in_words()
            ),
            Self::LastRotation {
                imbalance: Some(now),
                before: Some(before),
                hoped: Some(hoped),
                forecast,
                ineffective,
                since_seconds: Some(since),
                wait_seconds,
            } => {
                let helped = if *ineffective == 0 {
                    "helped"
                } else {
                    "did not help"
                };
                let outcome = RotationOutcome {
                    before: *before,
                    hoped: *hoped,
                    forecast: *forecast,
                    now: *now,
                };
                let since = since.in_words();
                write!(f, "the last rotation, {since} ago, {helped}: {outcome}")?;
                if *ineffective > 0 {
                    write!(
                        f,
                        "; the next is tried {} after it",
                        wait_seconds.in_words()
                    )?;
                }
                Ok(())
            }
            Self::LastRotation { .. } => f.write_str("no rotation to judge by what came of it"),
            Self::EvictionLimit { left: None } => f.write_str("no limit on evictions"),
            Self::EvictionLimit { left: Some(0) } => {
                f.write_str("this run may evict no further pod (MAX_EVICTIONS)")
            }
            Self::EvictionLimit { left: Some(left) } => {
                write!(f, "this run may evict {left} pods at most (MAX_EVICTIONS)")
            }
            Self::Rollout { rollout: None } => {
                f.write_str("the rollout state is not known; assumed settled")
            }
            Self::Rollout {
                rollout: Some(rollout),
            } => match rollout_under_way(rollout) {
                Some(progress) => f.write_str(&progress),
                None => write!(
                    f,
                    "all {} replicas are of the present template",
                    rollout.desired
                ),
            },
            Self::Autoscaler { scaling: None } => f.write_str("no autoscaler reports its replicas"),
            Self::Autoscaler {
                scaling:
                    Some(Scaling {
                        autoscaler,
                        current,
                        desired,
                    }),
            } => {
                if current == desired {
                    write!(f, "{autoscaler} stays at {current} replicas")
                } else {
                    write!(
                        f,
                        "{autoscaler} is scaling from {current} to {desired} replicas"
                    )
                }
            }
            Self::Settled {
                newest,
                ready_seconds,
                cooldown_seconds,
                terminating,
                starting,
            } => {
                if *terminating > 0 {
                    write!(f, "{} terminating; ", pods_are(*terminating))?;
                }
                if *starting > 0 {
                    write!(f, "{} starting; ", pods_are(*starting))?;
                }
                match (newest, ready_seconds) {
                    (Some(pod), Some(seconds)) => write!(
                        f,
                        "the last pod to become ready, {pod}, did so {} ago (cooldown {})",
                        seconds.in_words(),
                        cooldown_seconds.in_words()
                    ),
                    (Some(_), None) | (None, Some(_) | None) => {
                        f.write_str("no pod became ready lately")
                    }
                }
            }
            Self::PodsFound {
                selected,
                owned,
                desired,
            } => {
                write!(f, "{owned} of {selected} selected pods are the workload's")?;
                match desired {
                    Some(desired) if *owned == 0 && *desired > 0 => write!(
                        f,
                        ", which wants {desired}: does KUBE_LABEL_SELECTOR match them?"
                    ),
                    Some(_) | None => Ok(()),
                }
            }
            Self::MetricsComplete { partial: None } => f.write_str("the metrics are complete"),
            Self::MetricsComplete {
                partial: Some(words),
            } => write!(f, "the metrics may lack something: {words}"),
            Self::Coverage {
                ready,
                measured,
                percent,
                minimum_percent,
                without,
            } => match percent {
                None => f.write_str("the workload has no ready pod"),
                Some(percent) => {
                    write!(
                        f,
                        "{measured} of {ready} ready pods have a load ({percent:.0} %, at least \
                         {minimum_percent} % needed)"
                    )?;
                    match without {
                        Some(pods) => write!(f, "; without: {pods}"),
                        None => Ok(()),
                    }
                }
            },
            Self::MeasuredOnce {
                pods,
                example,
                series,
            } => match (example, series) {
                (Some(pod), Some(series)) => write!(
                    f,
                    "{} in the metrics more than once, {pod} {series} times: is the same \
                     container scraped by two jobs?",
                    pods_are(*pods)
                ),
                (Some(_), None) | (None, Some(_) | None) => {
                    f.write_str("each pod is in the metrics once")
                }
            },
            Self::ClocksAgree(finding) => finding.fmt(f),
            Self::MeasuredPodsExist(finding) => finding.fmt(f),
            Self::LoadsNotAllZero(finding) => finding.fmt(f),
            Self::LoadPlausible(finding) => finding.fmt(f),
            Self::Group(known) => known.fmt(f),
            Self::EligiblePods {
                pods,
                eligible,
                ineligible,
            } => {
                write!(f, "{eligible} of {pods} pods are eligible")?;
                let mut separator = ": ";
                for (reason, count) in ineligible {
                    write!(f, "{separator}{count} {reason}")?;
                    separator = ", ";
                }
                Ok(())
            }
            Self::Target { target, problem } => match (target, problem) {
                (Some(target), _) => {
                    write!(
                        f,
                        "the target is {:.3} cores a pod ({})",
                        target.cores, target.origin
                    )
                }
                (None, Some(problem)) => fmt::Display::fmt(problem, f),
                (None, None) => f.write_str("the target is not known"),
            },
            Self::MinimumReady {
                ready,
                wave,
                left,
                minimum,
                max_unavailable,
            } => match (wave, left) {
                (Some(wave), Some(left)) => {
                    write!(
                        f,
                        "{wave} of {ready} ready pods out at once would leave {left}, "
                    )?;
                    if left >= minimum {
                        write!(f, "at least {minimum} must be left")
                    } else {
                        write!(f, "but MINIMUM_PODS_REQUIRED is {minimum}: ")?;
                        match max_unavailable {
                            Some(most) => {
                                write!(f, "MAX_UNAVAILABLE={most} would make the plan possible")
                            }
                            None => f.write_str("no MAX_UNAVAILABLE makes a plan possible"),
                        }
                    }
                }
                (Some(_), None) | (None, Some(_) | None) => {
                    write!(f, "{ready} pods are ready, at least {minimum} must be left")
                }
            },
        }
    }
}

pub(crate) fn pods_are(pods: usize) -> String {
    match pods {
        1 => "1 pod is".into(),
        pods => format!("{pods} pods are"),
    }
}

/// What is unfinished about a rollout; `None` when it is done.
pub(crate) fn rollout_under_way(rollout: &Rollout) -> Option<String> {
    if rollout.observed_generation < rollout.generation {
        return Some(format!(
            "the controller has not seen the present specification yet (generation {} of {})",
            rollout.observed_generation, rollout.generation
        ));
    }
    if rollout.updated != rollout.desired {
        return Some(format!(
            "a rollout or scaling is under way: {} of {} replicas are of the present template",
            rollout.updated, rollout.desired
        ));
    }
    if rollout.current != rollout.desired {
        return Some(format!(
            "a rollout or scaling is under way: {} pods exist for {} replicas",
            rollout.current, rollout.desired
        ));
    }
    None
}

/// Why an execution that began with `before` must not go on with `now`; `None` when it may.
///
/// Only the specification counts: pods that are missing because their replacements still start
/// are no rollout, but a new generation is a template or a scale that somebody changed meanwhile.
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

pub(crate) fn rollout(snapshot: &Snapshot) -> Check {
    let rollout = snapshot.data().rollout;
    Check::new(
        match rollout {
            None => Verdict::Skipped,
            Some(rollout) => Verdict::pass_if(rollout_under_way(&rollout).is_none()),
        },
        Finding::Rollout { rollout },
    )
}

pub(crate) fn autoscaler(snapshot: &Snapshot) -> Check {
    let mut reported = snapshot.data().autoscalers.iter().filter_map(|autoscaler| {
        Some(Scaling {
            autoscaler: autoscaler.name.clone(),
            current: autoscaler.current_replicas?,
            desired: autoscaler.desired_replicas?,
        })
    });
    let first = reported.next();
    let scaling = first
        .iter()
        .cloned()
        .chain(reported)
        .find(|scaling| scaling.current != scaling.desired);
    let verdict = match (&first, &scaling) {
        (None, _) => Verdict::Skipped,
        (Some(_), scaling) => Verdict::pass_if(scaling.is_none()),
    };
    Check::new(
        verdict,
        Finding::Autoscaler {
            scaling: scaling.or(first),
        },
    )
}

pub(crate) fn settled(snapshot: &Snapshot, policy: &Policy) -> Check {
    let cooldown = policy.cooldown_seconds;
    let mut newest: Option<(Seconds, &str)> = None;
    let (mut terminating, mut starting) = (0, 0);
    for pod in snapshot.pods().iter().filter(|pod| pod.owned) {
        if pod.terminating {
            terminating += 1;
        } else if pod.serves() {
            let joined = pod
                .ready_seconds
                .map(|seconds| (seconds, pod.name.as_str()));
            newest = newest.into_iter().chain(joined).min();
        } else if !pod.has_ended() && pod.age_seconds.is_some_and(|age| age < cooldown) {
            starting += 1;
        }
    }
    let joined_lately = newest.is_some_and(|(seconds, _)| seconds < cooldown);
    Check::new(
        Verdict::pass_if(terminating == 0 && starting == 0 && !joined_lately),
        Finding::Settled {
            newest: newest.map(|(_, name)| name.to_owned()),
            ready_seconds: newest.map(|(seconds, _)| seconds),
            cooldown_seconds: cooldown,
            terminating,
            starting,
        },
    )
}

pub(crate) fn pods_found(snapshot: &Snapshot) -> Check {
    let selected = snapshot.pods().len();
    let owned = snapshot.pods().iter().filter(|pod| pod.owned).count();
    let desired = snapshot.data().rollout.map(|rollout| rollout.desired);
    // No pods at all are as it should be in a workload that wants none.
    let expected = selected > 0 || desired.is_some_and(|desired| desired > 0);
    Check::new(
        Verdict::pass_if(owned > 0 || !expected),
        Finding::PodsFound {
            selected,
            owned,
            desired,
        },
    )
}

pub(crate) fn metrics_complete(snapshot: &Snapshot) -> Check {
    let partial = snapshot.data().metrics_partial.clone();
    Check::new(
        Verdict::pass_if(partial.is_none()),
        Finding::MetricsComplete { partial },
    )
}

pub(crate) fn coverage(snapshot: &Snapshot, policy: &Policy) -> Check {
    let freshness_known = snapshot.data().freshness_known;
    let mut ready = 0;
    let mut without: Vec<(&Pod, pod::Ineligible)> = Vec::new();
    for pod in snapshot.pods().iter().filter(|pod| pod.serves()) {
        ready += 1;
        if let Some(why) = pod::measured(pod, policy, freshness_known) {
            without.push((pod, why));
        }
    }
    let measured = ready - without.len();
    without.sort_unstable_by_key(|(pod, _)| pod.name.as_str());
    let minimum = policy.minimum_coverage_percent.get();
    #[expect(clippy::cast_precision_loss, reason = "counts of pods")]
    let percent = (ready > 0).then(|| measured as f64 * 100.0 / ready as f64);
    let without = (!without.is_empty()).then(|| {
        list_some(
            without
                .iter()
                .map(|(pod, why)| format!("{} ({why})", pod.name)),
        )
    });
    Check::new(
        Verdict::pass_if(percent.is_some_and(|percent| percent >= minimum)),
        Finding::Coverage {
            ready,
            measured,
            percent,
            minimum_percent: minimum,
            without,
        },
    )
}

pub(crate) fn measured_once(snapshot: &Snapshot) -> Check {
    let doubled: Vec<&Pod> = snapshot
        .pods()
        .iter()
        .filter(|pod| pod.owned && pod.series > 1)
        .collect();
    let example = doubled.iter().min_by_key(|pod| pod.name.as_str());
    Check::new(
        Verdict::pass_if(example.is_none()),
        Finding::MeasuredOnce {
            pods: doubled.len(),
            example: example.map(|pod| pod.name.clone()),
            series: example.map(|pod| pod.series),
        },
    )
}

pub(crate) fn target(target: &Result<ResolvedTarget, TargetProblem>) -> Check {
    Check::new(
        Verdict::pass_if(target.is_ok()),
        Finding::Target {
            target: target.as_ref().ok().cloned(),
            problem: target.as_ref().err().cloned(),
        },
    )
}

pub(crate) fn minimum_ready(ready: usize, plan: Option<&Plan>, policy: &Policy) -> Check {
    let minimum = policy.minimum_pods.get();
    let wave = plan.map(Plan::largest_wave);
    let left = wave.map(|wave| ready.saturating_sub(wave));
    let possible = ready.saturating_sub(minimum);
    let kept = left.is_none_or(|left| left >= minimum);
    Check::new(
        match left {
            None => Verdict::Skipped,
            Some(_) => Verdict::pass_if(kept),
        },
        Finding::MinimumReady {
            ready,
            wave,
            left,
            minimum,
            max_unavailable: (!kept && possible > 0).then_some(possible),
        },
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Load, PodUid};
    use crate::plan::{Role, Victim};
    use rstest::rstest;
    use serde_json::{Value, json};

    fn snapshot(value: Value) -> Snapshot {
        serde_json::from_value(value).unwrap()
    }

    fn policy(value: Value) -> Policy {
        serde_json::from_value(value).unwrap()
    }

    fn state(numbers: [u32; 5]) -> Rollout {
        let [generation, observed, desired, current, updated] = numbers;
        Rollout {
            generation: generation.into(),
            observed_generation: observed.into(),
            desired,
            current,
            updated,
        }
    }

    // generation, observed, desired, current, updated
    #[rstest]
    #[case::done([3, 3, 6, 6, 6], None)]
    #[case::empty([1, 1, 0, 0, 0], None)]
    #[case::not_seen([4, 3, 6, 6, 6], Some("generation 3 of 4"))]
    #[case::half_way([4, 4, 6, 6, 3], Some("3 of 6 replicas are of the present template"))]
    #[case::surge([4, 4, 6, 8, 6], Some("8 pods exist for 6 replicas"))]
    #[case::scaling_up([4, 4, 9, 6, 6], Some("6 of 9 replicas"))]
    #[case::scaling_down([4, 4, 3, 6, 6], Some("6 of 3 replicas"))]
    fn a_rollout_is_under_way_until_all_is_new(
        #[case] numbers: [u32; 5],
        #[case] expected: Option<&str>,
    ) {
        let progress = rollout_under_way(&state(numbers));
        match expected {
            None => assert_eq!(progress, None),
            Some(words) => assert!(progress.as_ref().unwrap().contains(words), "{progress:?}"),
        }
    }

    #[test]
    fn a_rollout_that_is_not_known_is_skipped() {
        let check = rollout(&snapshot(json!({"pods": []})));
        assert_eq!(check.verdict, Verdict::Skipped);
    }

    #[rstest]
    #[case::same([3, 3, 6, 6, 6], false)]
    // The status follows the evictions; only what somebody asked for counts.
    #[case::replacements_missing([3, 3, 6, 4, 4], false)]
    #[case::scaled([4, 4, 7, 7, 7], true)]
    #[case::scaled_by_an_older_source([3, 3, 7, 7, 7], true)]
    #[case::template([4, 3, 6, 6, 6], true)]
    fn only_the_specification_counts_between_waves(#[case] now: [u32; 5], #[case] changed: bool) {
        let before = Some(state([3, 3, 6, 6, 6]));
        assert_eq!(changed_since(before, Some(state(now))).is_some(), changed);
        assert_eq!(changed_since(None, Some(state(now))), None);
        assert_eq!(changed_since(before, None), None);
    }

    #[rstest]
    #[case::none(json!([]), Verdict::Skipped, None)]
    #[case::not_reported(json!([{"name": "a", "current_replicas": 3}]), Verdict::Skipped, None)]
    #[case::calm(
        json!([{"name": "a", "current_replicas": 3, "desired_replicas": 3}]),
        Verdict::Pass,
        Some("a")
    )]
    #[case::up(
        json!([{"name": "a", "current_replicas": 3, "desired_replicas": 4}]),
        Verdict::Fail,
        Some("a")
    )]
    #[case::down(
        json!([{"name": "a", "current_replicas": 3, "desired_replicas": 2}]),
        Verdict::Fail,
        Some("a")
    )]
    #[case::one_of_several(
        json!([
            {"name": "a", "current_replicas": 3, "desired_replicas": 3},
            {"name": "b"},
            {"name": "c", "current_replicas": 3, "desired_replicas": 2},
        ]),
        Verdict::Fail,
        Some("c")
    )]
    fn an_autoscaler_must_not_be_scaling(
        #[case] autoscalers: Value,
        #[case] verdict: Verdict,
        #[case] named: Option<&str>,
    ) {
        let check = autoscaler(&snapshot(json!({"autoscalers": autoscalers, "pods": []})));
        assert_eq!(check.verdict, verdict);
        let json = serde_json::to_value(&check).unwrap();
        assert_eq!(json["scaling"]["autoscaler"].as_str(), named);
    }

    #[rstest]
    #[case::long_ago(json!([{"name": "a"}]), Verdict::Pass, None)]
    #[case::at_the_cooldown(json!([{"name": "a", "ready_seconds": 300}]), Verdict::Pass, Some("a"))]
    #[case::lately(
        json!([{"name": "a", "ready_seconds": 900}, {"name": "b", "ready_seconds": 299.9}]),
        Verdict::Fail,
        Some("b")
    )]
    #[case::of_equals_the_first_by_name(
        json!([{"name": "b", "ready_seconds": 9}, {"name": "a", "ready_seconds": 9}]),
        Verdict::Fail,
        Some("a")
    )]
    #[case::not_serving(
        json!([{"name": "a", "ready_seconds": 1, "owned": false}]),
        Verdict::Pass,
        None
    )]
    #[case::terminating(json!([{"name": "a", "terminating": true}]), Verdict::Fail, None)]
    #[case::starting(
        json!([{"name": "a", "ready": false, "phase": "Pending", "age_seconds": 299}]),
        Verdict::Fail,
        None
    )]
    #[case::broken_for_long(
        json!([{"name": "a", "ready": false, "age_seconds": 300}, {"name": "b", "ready": false}]),
        Verdict::Pass,
        None
    )]
    #[case::ended(
        json!([{"name": "a", "ready": false, "phase": "Failed", "age_seconds": 5}]),
        Verdict::Pass,
        None
    )]
    #[case::strangers_terminating(
        json!([{"name": "a", "terminating": true, "owned": false}]),
        Verdict::Pass,
        None
    )]
    fn the_group_must_be_settled(
        #[case] pods: Value,
        #[case] verdict: Verdict,
        #[case] newest: Option<&str>,
    ) {
        let check = settled(&snapshot(json!({"pods": pods})), &Policy::default());
        assert_eq!(check.verdict, verdict, "{}", check.message);
        let json = serde_json::to_value(&check).unwrap();
        assert_eq!(json["newest"].as_str(), newest);
    }

    #[rstest]
    #[case::all(10, 0, Verdict::Pass, Some(100.0))]
    #[case::at_the_minimum(10, 1, Verdict::Pass, Some(90.0))]
    #[case::below(10, 2, Verdict::Fail, Some(80.0))]
    #[case::nobody(0, 0, Verdict::Fail, None)]
    fn enough_of_the_ready_pods_must_have_a_load(
        #[case] ready: usize,
        #[case] without: usize,
        #[case] verdict: Verdict,
        #[case] percent: Option<f64>,
    ) {
        let mut pods: Vec<Value> = (0..ready)
            .map(|index| match index < without {
                true => json!({"name": format!("pod-{index}")}),
                false => json!({"name": format!("pod-{index}"), "load": 1.0}),
            })
            .collect();
        // Whoever does not serve is not counted.
        pods.push(json!({"name": "unready", "ready": false}));
        pods.push(json!({"name": "stranger", "owned": false, "load": 1.0}));
        let check = coverage(&snapshot(json!({"pods": pods})), &Policy::default());
        assert_eq!(check.verdict, verdict);
        let json = serde_json::to_value(&check).unwrap();
        assert_eq!(json["percent"].as_f64(), percent);
        assert_eq!(json["ready"], ready);
    }

    #[test]
    fn the_pods_without_a_load_are_named_up_to_five() {
        let pods: Vec<Value> = (0..7)
            .rev()
            .map(|index| json!({"name": format!("pod-{index}")}))
            .collect();
        let check = coverage(&snapshot(json!({"pods": pods})), &Policy::default());
        assert_eq!(
            check.message,
            "0 of 7 ready pods have a load (0 %, at least 90 % needed); without: pod-0 (not \
             measured), pod-1 (not measured), pod-2 (not measured), pod-3 (not measured), pod-4 \
             (not measured), and 2 more"
        );
    }

    #[rstest]
    #[case::once(json!([{"name": "a"}]), Verdict::Pass, None)]
    #[case::twice(
        json!([{"name": "b", "series": 3}, {"name": "a", "series": 2}]),
        Verdict::Fail,
        Some(("a", 2))
    )]
    #[case::stranger(json!([{"name": "a", "series": 2, "owned": false}]), Verdict::Pass, None)]
    fn the_metrics_must_give_each_pod_once(
        #[case] pods: Value,
        #[case] verdict: Verdict,
        #[case] example: Option<(&str, u64)>,
    ) {
        let check = measured_once(&snapshot(json!({"pods": pods})));
        assert_eq!(check.verdict, verdict);
        let json = serde_json::to_value(&check).unwrap();
        let found = json["example"].as_str().zip(json["series"].as_u64());
        assert_eq!(found, example);
    }

    // ready, victims, size of a wave, minimum
    #[rstest]
    #[case::kept(6, 4, 4, 2, Verdict::Pass, None)]
    #[case::broken(6, 4, 4, 3, Verdict::Fail, Some(3))]
    #[case::in_waves(6, 4, 3, 3, Verdict::Pass, None)]
    #[case::never(3, 2, 1, 3, Verdict::Fail, None)]
    #[case::fewer_than_the_minimum(2, 2, 2, 3, Verdict::Fail, None)]
    fn the_minimum_is_kept_while_the_largest_wave_is_out(
        #[case] ready: usize,
        #[case] victims: usize,
        #[case] wave: usize,
        #[case] minimum: usize,
        #[case] verdict: Verdict,
        #[case] advice: Option<u64>,
    ) {
        let victims = (0..victims)
            .map(|index| Victim {
                name: index.to_string(),
                uid: PodUid(index.to_string()),
                role: Role::Hottest,
                load: Load::ZERO,
                wave: 1,
            })
            .collect();
        let plan = Plan::new(victims, wave);
        let policy = policy(json!({"minimum_pods": minimum}));
        let check = minimum_ready(ready, plan.as_ref(), &policy);
        assert_eq!(check.verdict, verdict, "{}", check.message);
        let json = serde_json::to_value(&check).unwrap();
        assert_eq!(json["max_unavailable"].as_u64(), advice);
    }

    #[test]
    fn without_a_plan_there_is_no_minimum_to_keep() {
        let check = minimum_ready(1, None, &Policy::default());
        assert_eq!(check.verdict, Verdict::Skipped);
        assert_eq!(check.message, "1 pods are ready, at least 3 must be left");
    }
}
