//! The decision at each time of the past, with the records of the decisions before it.

use jiff::Timestamp;

use super::document::{BacktestAction, BacktestHold, BacktestImbalance, BacktestReport};
use super::history::MetricsHistory;
use super::past_pods::{PastPods, PodsAt};
use crate::decision::{Action, Decision, decide};
use crate::history::Rotation;
use crate::hold_reason::HoldReason;
use crate::model::Seconds;
use crate::policy::Policy;
use crate::ports::GroupObservation;
use crate::snapshot::{GroupSettings, Snapshot, SnapshotData, assemble_group};

/// The circumstances of a run that the metrics of the pods do not have.
#[derive(Debug, Clone, Default)]
pub struct Circumstances {
    /// The active freeze window, as the operator wrote it.
    pub frozen: Option<String>,
    /// The consumer group at the time of the run; `None` if its past is not known.
    pub group: Option<GroupObservation>,
}

/// A replay in progress: the caller provides the circumstances of each run in order.
///
/// Pure: the same arguments yield the same report. The records of the simulated actions replace the
/// one of the workload, so cooldowns and back-offs are those that the runs would have seen.
pub struct Replay<'a> {
    history: &'a MetricsHistory,
    present: &'a Snapshot,
    policy: &'a Policy,
    group: Option<&'a GroupSettings>,
    past: PastPods<'a>,
    /// The pods of the next run.
    next: Option<PodsAt>,
    /// The index of the first run. The times before it only show the ages of pods.
    first: usize,
    last_rotation: Option<Rotation>,
    without_data: usize,
    actions: Vec<BacktestAction>,
    holds: Vec<Held>,
    imbalances: Vec<Option<f64>>,
    /// The imbalances with the actions.
    with_actions: Vec<Option<f64>>,
    /// The part of the imbalance above 1 that the last action was expected to leave.
    left: f64,
    /// The reason of the run before, and the number of runs since it began.
    current: Option<(HoldReason, usize)>,
}

/// The runs that held for one reason.
struct Held {
    reason: HoldReason,
    runs: usize,
    longest: usize,
    imbalances: Vec<f64>,
    last: Timestamp,
    message: String,
}

impl<'a> Replay<'a> {
    /// Starts with the run at index `first`. `present` has the present autoscalers, target and
    /// pods, which apply to the past where the history knows nothing else.
    #[must_use]
    pub fn new(
        history: &'a MetricsHistory,
        first: usize,
        present: &'a Snapshot,
        policy: &'a Policy,
        group: Option<&'a GroupSettings>,
    ) -> Self {
        let mut past = PastPods::new(history, present, policy.maximum_sample_age_seconds);
        let next = past.find(|at| at.index >= first);
        Self {
            history,
            present,
            policy,
            group,
            past,
            next,
            first,
            last_rotation: None,
            without_data: 0,
            actions: Vec::new(),
            holds: Vec::new(),
            imbalances: Vec::new(),
            with_actions: Vec::new(),
            left: 1.0,
            current: None,
        }
    }

    /// The time of the next run; `None` after the last one.
    #[must_use]
    pub fn next_at(&self) -> Option<Timestamp> {
        let next = self.next.as_ref()?;
        Some(self.history.at(next.index))
    }

    /// Decides as the next run would have.
    pub fn run(&mut self, circumstances: Circumstances) {
        let Some(pods) = self.next.take() else { return };
        self.next = self.past.next();
        if !pods.is_measured() {
            self.without_data += 1;
            self.note(None);
            self.current = None;
            return;
        }
        let at = self.history.at(pods.index);
        // The names of the pods are unique, and nothing else can be invalid.
        let Ok(snapshot) = self.snapshot(pods, at, circumstances) else {
            self.without_data += 1;
            self.note(None);
            return;
        };
        let decision = decide(&snapshot, self.policy);
        self.note(decision.analysis.imbalance);
        match decision.hold_reason() {
            Some(reason) => self.held(reason, at, &decision),
            None => self.acted(at, &decision),
        }
    }

    /// Notes the imbalance of a run.
    fn note(&mut self, imbalance: Option<f64>) {
        let with_actions = imbalance.map(|imbalance| 1.0 + (imbalance - 1.0) * self.left);
        self.imbalances.push(imbalance);
        self.with_actions.push(with_actions);
    }

    fn snapshot(
        &self,
        PodsAt { index, pods }: PodsAt,
        at: Timestamp,
        circumstances: Circumstances,
    ) -> Result<Snapshot, crate::snapshot::InvalidSnapshot> {
        let present = self.present.data();
        let group = match (self.group, circumstances.group) {
            (Some(settings), Some(group)) => Some(assemble_group(settings, Some(group), &pods)),
            (Some(_) | None, Some(_) | None) => None,
        };
        Snapshot::new(SnapshotData {
            workload: present.workload.clone(),
            container: present.container.clone(),
            taken_at: Some(at),
            target: present.target,
            autoscalers: present.autoscalers.clone(),
            metrics_partial: self.history.partial_at(index).map(str::to_owned),
            freshness_known: self.history.sample_ages.is_some(),
            custom_load: self.history.custom,
            frozen: circumstances.frozen,
            last_rotation: self.last_rotation.clone(),
            group,
            pods,
            ..SnapshotData::default()
        })
    }

    fn held(&mut self, reason: HoldReason, at: Timestamp, decision: &Decision) {
        let since = match self.current {
            Some((current, runs)) if current == reason => runs + 1,
            Some(_) | None => 1,
        };
        self.current = Some((reason, since));
        let position = self.holds.iter().position(|held| held.reason == reason);
        let index = position.unwrap_or_else(|| {
            self.holds.push(Held {
                reason,
                runs: 0,
                longest: 0,
                imbalances: Vec::new(),
                last: at,
                message: String::new(),
            });
            self.holds.len() - 1
        });
        if let Some(held) = self.holds.get_mut(index) {
            held.runs += 1;
            held.longest = held.longest.max(since);
            held.imbalances.extend(decision.analysis.imbalance);
            held.last = at;
            held.message.clone_from(&decision.message);
        }
    }

    fn acted(&mut self, at: Timestamp, decision: &Decision) {
        self.current = None;
        let names = match &decision.action {
            Action::Rotate(plan) => {
                let victims = plan.victims().iter();
                victims.map(|victim| victim.name.clone()).collect()
            }
            Action::Rejoin(plan) => plan.pods().iter().map(|pod| pod.pod.clone()).collect(),
            Action::Assign(_) | Action::Hold(_) => Vec::new(),
        };
        let last = self.last_rotation.as_ref();
        let rotation = match &decision.action {
            Action::Rotate(_) => {
                let strategy = self.policy.strategy;
                decision.rotation(strategy, last, at, Vec::clone(&names))
            }
            Action::Assign(_) | Action::Rejoin(_) | Action::Hold(_) => {
                decision.hand_over(last, at, None)
            }
        };
        self.actions.push(BacktestAction {
            at,
            action: decision.verb().unwrap_or_default().to_owned(),
            pods: names,
            moves: decision.assignment().map_or(0, |plan| plan.moves().len()),
            message: decision.message.clone(),
            imbalance_before: decision.analysis.imbalance,
            imbalance_expected: rotation.as_ref().map(|rotation| rotation.imbalance_hoped),
            imbalance_range: rotation
                .as_ref()
                .and_then(|rotation| rotation.imbalance_range),
        });
        self.left = match (decision.analysis.imbalance, &rotation) {
            (Some(before), Some(rotation)) if before > 1.0 => {
                ((rotation.imbalance_hoped - 1.0) / (before - 1.0)).clamp(0.0, 1.0)
            }
            (Some(_) | None, _) => 1.0,
        };
        self.last_rotation = rotation;
    }

    /// The report on the runs so far. `assumptions` are those of the caller, which come first.
    #[must_use]
    pub fn finish(self, mut assumptions: Vec<String>) -> BacktestReport {
        let runs = self.imbalances.len();
        let step = self.history.step.as_secs_f64();
        let lasting = |runs: usize| {
            #[expect(clippy::cast_precision_loss, reason = "a number of runs")]
            let seconds = step * runs as f64;
            Seconds::new(seconds).unwrap_or(Seconds::ZERO)
        };
        let mut holds = self.holds;
        // The sort is stable: among equals the first reason stays first.
        holds.sort_by_key(|held| std::cmp::Reverse(held.runs));
        let holds = holds.into_iter().map(|held| {
            let known = !held.imbalances.is_empty();
            BacktestHold {
                reason: held.reason,
                missing_data: held.reason.means_missing_data(),
                runs: held.runs,
                seconds: lasting(held.runs),
                longest_seconds: lasting(held.longest),
                mean_imbalance: known
                    .then(|| crate::statistics::mean(held.imbalances.iter().copied())),
                last: held.last,
                message: held.message,
            }
        });
        assumptions.extend(assumed(self.history, !self.actions.is_empty()));
        let evicting = self
            .actions
            .iter()
            .filter(|action| action.action == "rotate");
        BacktestReport {
            strategy: self.policy.strategy,
            since: self.history.at(self.first),
            until: self.history.at(self.first + runs.saturating_sub(1)),
            step_seconds: lasting(1),
            runs,
            runs_without_data: self.without_data,
            evictions: evicting.map(|action| action.pods.len()).sum(),
            holds: holds.collect(),
            imbalance: BacktestImbalance::of(
                self.imbalances,
                if self.actions.is_empty() {
                    Vec::new()
                } else {
                    self.with_actions
                },
            ),
            actions: self.actions,
            assumptions,
        }
    }
}

/// The assumptions of a replay of this history.
fn assumed(history: &MetricsHistory, acted: bool) -> Vec<String> {
    let mut assumptions = Vec::new();
    if acted {
        assumptions.push(
            "the loads are those that were measured, without the effect of these actions: later actions \
             may be overstated, and an action seems not to have helped"
                .to_owned(),
        );
        assumptions.push(
            "with the actions, the imbalance above 1 falls by the part that the last one expected, until \
             the next one"
                .to_owned(),
        );
    }
    assumptions.push(
        "pods belong to the workload by their names; rollouts, restarts, opt-outs and terminating pods of \
         the past are not known"
            .to_owned(),
    );
    assumptions.push(if history.ready.is_empty() {
        "without kube-state-metrics a pod counts as ready from its first load until its newest sample is \
         too old"
            .to_owned()
    } else {
        "readiness, ages and requests of the pods are those of kube-state-metrics, where it has them"
            .to_owned()
    });
    if history.series_counts.is_some() {
        assumptions.push(
            "several series of a container in one run are a restart, in consecutive runs duplicates"
                .to_owned(),
        );
    }
    assumptions
}
