//! The action, and the sentence that explains it.

use super::{Action, Analysis, HoldReason};
use crate::checks::{Check, Ranking};
use crate::forecast::{Diagnosis, Forecast};
use crate::group::GroupModel;
use crate::model::{Load, LoadUnit};
use crate::plan::{AssignmentPlan, Plan, RejoinPlan, Role, Victim};
use crate::policy::Policy;
use crate::scenario::alternatives;
use crate::snapshot::Snapshot;
use crate::strategy::forecast::{ForecastChoice, ForecastVerdict, GroupReport, PlanForecast};
use crate::strategy::rejoin_forecast::RejoinForecast;
use crate::strategy::{
    AssignVerdict, Choice, OutlierVerdict, RejoinVerdict, RotateOutliers, StrategyOutcome,
};
use crate::wording::{count_pods, list_some, plural};

/// The data that a conclusion is drawn from.
pub(super) struct Conclusion<'a> {
    pub(super) checks: &'a [Check],
    pub(super) choice: &'a Choice<'a>,
    pub(super) plan: Option<&'a Plan>,
    pub(super) ranking: &'a Ranking<'a>,
    pub(super) analysis: &'a Analysis,
    pub(super) policy: &'a Policy,
    pub(super) unit: LoadUnit,
    pub(super) snapshot: &'a Snapshot,
    /// The model of the consumer group, if the strategy uses it and the group is known.
    pub(super) group: Option<&'a GroupModel>,
}

impl Conclusion<'_> {
    /// Concludes with the first failed check, or else with the outcome of the strategy.
    pub(super) fn draw(&self) -> (Action, String) {
        let failed = self
            .checks
            .iter()
            .find_map(|check| Some((check.hold_reason()?, &check.message)));
        if let Some((reason, message)) = failed {
            return (Action::Hold(reason), message.clone());
        }
        match &self.choice.outcome {
            Some(StrategyOutcome::RotateOutliers(outliers)) => self.by_outliers(outliers),
            Some(StrategyOutcome::Ineffective(_, diagnosis)) => (
                Action::Hold(HoldReason::of_diagnosis(diagnosis)),
                format!(
                    "{} is hot, but {}",
                    self.chosen(Role::Hottest),
                    self.explained(diagnosis)
                ),
            ),
            Some(StrategyOutcome::Forecast(forecasted)) => self.by_forecast(forecasted),
            Some(StrategyOutcome::Assign(verdict)) => self.by_assignment(verdict),
            Some(StrategyOutcome::Rejoin(verdict)) => self.by_rejoin(verdict),
            // A check has failed if there is no target or no group.
            None => self.within_tolerance(),
        }
    }

    /// The message of a diagnosis that gives the reason of the hold, with the changes of the group
    /// that would help instead.
    fn explained(&self, diagnosis: &Diagnosis) -> String {
        let message = diagnosis.message(self.unit);
        let alternatives = self.group.and_then(|group| {
            alternatives(self.snapshot, group, diagnosis, self.policy.forecast_seed)
        });
        match alternatives {
            Some(alternatives) => format!("{message}; {alternatives}"),
            None => message,
        }
    }

    fn by_outliers(&self, outliers: &RotateOutliers) -> (Action, String) {
        match (outliers.verdict, self.plan) {
            (OutlierVerdict::Rotate, Some(plan)) => {
                (Action::Rotate(plan.clone()), self.rotation(plan))
            }
            (OutlierVerdict::ImprovementTooSmall, _) => (
                Action::Hold(HoldReason::IMPROVEMENT_TOO_SMALL),
                self.improvement_too_small(outliers),
            ),
            // A strategy that wants to rotate has a plan.
            (OutlierVerdict::WithinTolerance | OutlierVerdict::Rotate, Some(_) | None) => {
                self.within_tolerance()
            }
        }
    }

    fn rotation(&self, plan: &Plan) -> String {
        format!(
            "evict {} of {} pods: {} above the threshold of {} with {} as the coldest{}; {}, more \
             than {} %",
            plan.victims().len(),
            self.analysis.pods,
            self.chosen(Role::Hottest),
            self.threshold(),
            self.chosen(Role::Coldest),
            self.more_cold_than_hot(plan),
            self.improvement(),
            self.policy.minimum_improvement_percent,
        )
    }

    /// Explains a plan with more cold pods than hot ones.
    fn more_cold_than_hot(&self, plan: &Plan) -> String {
        let victims = plan.victims().iter();
        let hottest = victims
            .filter(|victim| victim.role == Role::Hottest)
            .count();
        if plan.victims().len() - hottest <= hottest {
            return String::new();
        }
        let (are, them) = if hottest == 1 {
            ("is", "it")
        } else {
            ("are", "them")
        };
        format!(
            " (only {} {are} hot, but up to {} of the coldest are evicted with {them})",
            count_pods(hottest),
            self.policy.top_k
        )
    }

    fn improvement_too_small(&self, outliers: &RotateOutliers) -> String {
        let hottest = self.chosen(Role::Hottest);
        let threshold = self.threshold();
        if outliers.coldest == 0 {
            return format!(
                "{hottest} above the threshold of {threshold}, but no other pod is eligible to \
                 rotate with"
            );
        }
        format!(
            "{hottest} above the threshold of {threshold}, but the loads of the chosen pods are too \
             similar: {}, more than {} % is required",
            self.improvement(),
            self.policy.minimum_improvement_percent
        )
    }

    fn by_forecast(&self, forecasted: &ForecastChoice) -> (Action, String) {
        match (&forecasted.verdict, self.plan, &forecasted.report.chosen) {
            (ForecastVerdict::Rotate, Some(plan), Some(chosen)) => (
                Action::Rotate(plan.clone()),
                self.forecast_rotation(plan, forecasted, chosen),
            ),
            (ForecastVerdict::Structural(diagnosis), _, _) => (
                Action::Hold(HoldReason::of_diagnosis(diagnosis)),
                self.explained(diagnosis),
            ),
            (ForecastVerdict::Unexplained, _, _) => (
                Action::Hold(HoldReason::LOADS_UNEXPLAINED),
                forecasted.report.unexplained(),
            ),
            (ForecastVerdict::NoPlanHelps, _, _) => self.no_plan_helps(forecasted),
            // A strategy that wants to rotate has a plan.
            (
                ForecastVerdict::WithinTolerance | ForecastVerdict::Rotate,
                Some(_) | None,
                Some(_) | None,
            ) => self.no_eligible_pod_is_hot(forecasted),
        }
    }

    fn forecast_rotation(
        &self,
        plan: &Plan,
        forecasted: &ForecastChoice,
        chosen: &PlanForecast,
    ) -> String {
        let report = &forecasted.report;
        format!(
            "evict {} of {} pods: {}; {}; assignor {}",
            plan.victims().len(),
            self.analysis.pods,
            list_some(chosen.victims.iter().cloned()),
            expectation(report.peak_to_mean, &chosen.forecast),
            report.assignor,
        )
    }

    /// Holds because no plan helps. A diagnosis that explains why is the reason.
    fn no_plan_helps(&self, forecasted: &ForecastChoice) -> (Action, String) {
        let best = self.best_plan(forecasted);
        let explanation = diagnoses(forecasted).find(|diagnosis| {
            matches!(
                diagnosis,
                Diagnosis::Remainder { .. } | Diagnosis::SkewedTopic { .. }
            )
        });
        match explanation {
            Some(diagnosis) => (
                Action::Hold(HoldReason::of_diagnosis(diagnosis)),
                format!("{best}; {}", self.explained(diagnosis)),
            ),
            None => (Action::Hold(HoldReason::NO_PLAN_HELPS), best),
        }
    }

    fn best_plan(&self, forecasted: &ForecastChoice) -> String {
        let report = &forecasted.report;
        let required = self.required();
        match report.plans.first() {
            Some(PlanForecast { victims, forecast }) => format!(
                "no plan helps: the best of {}, evicting {}: {}; {required}",
                report.plans_tried,
                list_some(victims.iter().cloned()),
                expectation(report.peak_to_mean, forecast)
            ),
            None => format!("no plan helps: there is none to try; {required}"),
        }
    }

    /// The fall and the confidence that a plan needs.
    fn required(&self) -> String {
        format!(
            "more than {} % and at least {} % confidence are required",
            self.policy.minimum_improvement_percent, self.policy.minimum_confidence_percent
        )
    }

    fn no_eligible_pod_is_hot(&self, forecasted: &ForecastChoice) -> (Action, String) {
        let slow =
            diagnoses(forecasted).find(|diagnosis| matches!(diagnosis, Diagnosis::SlowPod { .. }));
        match slow {
            Some(slow) => (
                Action::Hold(HoldReason::SLOW_POD),
                format!("{}{}", slow.message(self.unit), self.hot_but_ineligible()),
            ),
            None => self.within_tolerance(),
        }
    }

    fn by_assignment(&self, verdict: &AssignVerdict) -> (Action, String) {
        match verdict {
            AssignVerdict::Assign(plan) => (Action::Assign(plan.clone()), self.assignment(plan)),
            AssignVerdict::NoAssignmentHelps(diagnosis) => {
                let best = self.best_assignment();
                match diagnosis {
                    Some(diagnosis) => (
                        Action::Hold(HoldReason::of_diagnosis(diagnosis)),
                        format!("{best}; {}", self.explained(diagnosis)),
                    ),
                    None => (Action::Hold(HoldReason::NO_ASSIGNMENT_HELPS), best),
                }
            }
            AssignVerdict::Unexplained => self.unexplained(),
            // A check has failed if the group is given no assignment.
            AssignVerdict::WithinTolerance | AssignVerdict::Problem(_) => self.balanced(),
        }
    }

    fn by_rejoin(&self, verdict: &RejoinVerdict) -> (Action, String) {
        match verdict {
            RejoinVerdict::Rejoin(plan) => (Action::Rejoin(plan.clone()), self.rejoin(plan)),
            RejoinVerdict::NoRejoinHelps(diagnosis) => {
                let best = self.best_rejoin();
                match diagnosis {
                    Some(diagnosis) => (
                        Action::Hold(HoldReason::of_diagnosis(diagnosis)),
                        format!("{best}; {}", self.explained(diagnosis)),
                    ),
                    None => (Action::Hold(HoldReason::NO_PLAN_HELPS), best),
                }
            }
            RejoinVerdict::Unexplained => self.unexplained(),
            // A check has failed if no member of the group is removed.
            RejoinVerdict::WithinTolerance | RejoinVerdict::Problem(_) => self.balanced(),
        }
    }

    fn rejoin(&self, plan: &RejoinPlan) -> String {
        let names = plan.pods().iter().map(|planned| planned.pod.clone());
        let report = self.report();
        let best = report.and_then(|report| report.rejoin.as_ref());
        let expected = self.expected_rejoin(best);
        let members = best.map_or(0, RejoinForecast::members);
        let twice = best.and_then(|best| best.double_processing_seconds);
        let twice = twice.map_or_else(String::new, |seconds| {
            format!(
                "; two members may process a partition for up to {} and the current batch",
                seconds.rounded_up()
            )
        });
        format!(
            "let {members} {} of {} of {} pods rejoin the group: {}; {}; {expected}; assignor {}; no \
             pod restarts{twice}",
            plural(members, "member", "members"),
            plan.pods().len(),
            self.analysis.pods,
            list_some(names),
            self.trigger(),
            report.map_or_else(String::new, |report| report.assignor.to_string()),
        )
    }

    fn best_rejoin(&self) -> String {
        let report = self.report();
        let trigger = self.trigger();
        let Some(best) = report.and_then(|report| report.rejoin.as_ref()) else {
            return format!(
                "{trigger}, but no rejoin helps: at least one member must stay in the group, and there \
                 is no other one"
            );
        };
        let names = best.pods.iter().map(|pod| pod.name.clone());
        format!(
            "{trigger}, but no rejoin helps: the best of {}, of the members of {}: {}; {}",
            report.map_or(0, |report| report.plans_tried),
            list_some(names),
            self.expected_rejoin(Some(best)),
            self.required(),
        )
    }

    fn expected_rejoin(&self, best: Option<&RejoinForecast>) -> String {
        let now = self.report().map_or(1.0, |report| report.peak_to_mean);
        best.map_or_else(String::new, |best| expectation(now, &best.forecast))
    }

    fn unexplained(&self) -> (Action, String) {
        let message = self.report().map(GroupReport::unexplained);
        (
            Action::Hold(HoldReason::LOADS_UNEXPLAINED),
            message.unwrap_or_default(),
        )
    }

    fn report(&self) -> Option<&GroupReport> {
        self.choice.report.as_deref()
    }

    fn assignment(&self, plan: &AssignmentPlan) -> String {
        let moves = plan.moves().len();
        let owner = if moves == 1 {
            "1 partition to another member"
        } else {
            &format!("{moves} partitions to other members")
        };
        format!(
            "assign {owner}: {}; {}; no pod is evicted",
            self.trigger(),
            self.expected_assignment()
        )
    }

    /// Why the strategy acts.
    fn trigger(&self) -> String {
        let hot = self.choice.hot.iter().cloned();
        if hot.len() > 0 {
            let above = format!("above the threshold of {}", self.threshold());
            return format!("{} {above}", list_some(hot));
        }
        let imbalance = self.report().map_or(1.0, |report| report.peak_to_mean);
        let tolerance = self.policy.imbalance_tolerance.map(f64::from);
        format!(
            "the imbalance (max/mean) of {imbalance:.2} is above its tolerance of {}",
            tolerance.unwrap_or_default()
        )
    }

    /// The best assignment, and its expected effect.
    fn expected_assignment(&self) -> String {
        let Some(best) = self.report().and_then(|report| report.assignment.as_ref()) else {
            return String::new();
        };
        let before = self.report().map_or(1.0, |report| report.peak_to_mean);
        let others = best.others.map(|others| {
            format!(
                "; without {} {} that no assignment brings to the level of the others, it falls from \
                 {:.2} to {:.2} (-{:.0} %)",
                others.outliers,
                plural(others.outliers, "pod", "pods"),
                others.peak_to_mean_before,
                others.peak_to_mean,
                others.fall_percent,
            )
        });
        format!(
            "the highest load falls from {:.2} to {:.2} times the mean (-{:.0} %; no assignment with \
             equal numbers of partitions reaches less than {:.2}){}, and {:.0} % of the load moves",
            before,
            best.peak_to_mean,
            best.fall_percent,
            best.lowest_peak_to_mean,
            others.unwrap_or_default(),
            best.moved_percent,
        )
    }

    fn best_assignment(&self) -> String {
        let best = self.report().and_then(|report| report.assignment.as_ref());
        if best.is_none_or(|best| best.moves == 0) {
            let lowest = best.map_or(1.0, |best| best.lowest_peak_to_mean);
            return format!(
                "{}, but no assignment that the group keeps is better than the current one (no \
                 assignment with equal numbers of partitions reaches less than {lowest:.2} times the \
                 mean)",
                self.trigger()
            );
        }
        format!(
            "{}, but no assignment helps: with the best one {}; more than {} % is required",
            self.trigger(),
            self.expected_assignment(),
            self.policy.minimum_improvement_percent
        )
    }

    /// Holds because no pod is hot and the imbalance is within its tolerance.
    fn balanced(&self) -> (Action, String) {
        let Some(tolerance) = self.policy.imbalance_tolerance else {
            return self.within_tolerance();
        };
        let imbalance = self.report().map_or(1.0, |report| report.peak_to_mean);
        let within = format!(
            "the imbalance (max/mean) is {imbalance:.2}, within its tolerance of {tolerance}"
        );
        let message = if self.analysis.threshold.is_some() {
            format!("{}; {within}", self.within_tolerance().1)
        } else {
            within
        };
        (Action::Hold(HoldReason::WITHIN_TOLERANCE), message)
    }

    fn within_tolerance(&self) -> (Action, String) {
        (
            Action::Hold(HoldReason::WITHIN_TOLERANCE),
            format!(
                "no eligible pod is above the threshold of {}; the highest load is {}{}",
                self.threshold(),
                self.amount(self.analysis.max),
                self.hot_but_ineligible(),
            ),
        )
    }

    fn amount(&self, load: Option<f64>) -> String {
        self.unit.amount(load.unwrap_or_default()).to_string()
    }

    fn threshold(&self) -> String {
        format!(
            "{} ({} × target {:.3})",
            self.amount(self.analysis.threshold),
            self.policy.tolerance,
            self.analysis.target.unwrap_or_default()
        )
    }

    fn improvement(&self) -> String {
        format!(
            "mean of the hottest {}, together with the coldest {}: improvement {:.1} %",
            self.amount(self.analysis.top_mean),
            self.amount(self.analysis.both_mean),
            self.analysis.improvement_percent.unwrap_or_default()
        )
    }

    /// The names of the chosen pods with a role.
    fn chosen(&self, role: Role) -> String {
        let victims: Vec<Victim> = self.choice.victims();
        let of_role = victims.into_iter().filter(|victim| victim.role == role);
        list_some(of_role.map(|victim| victim.name))
    }

    /// Lists the pods above the threshold that may not be victims, with the reasons.
    fn hot_but_ineligible(&self) -> String {
        let threshold = self.analysis.threshold;
        let mut hot = self
            .ranking
            .pods()
            .iter()
            .take_while(|ranked| ranked.load.map(Load::get) > threshold)
            .map(|ranked| (ranked.pod, self.ranking.reasons(ranked.index)))
            .filter(|(_, reasons)| !reasons.is_empty())
            .map(|(pod, reasons)| {
                let reasons: Vec<String> = reasons.iter().map(ToString::to_string).collect();
                format!("{} ({})", pod.name, reasons.join("; "))
            })
            .peekable();
        if hot.peek().is_none() {
            return String::new();
        }
        format!("; above it but not eligible: {}", list_some(hot))
    }
}

fn diagnoses(forecasted: &ForecastChoice) -> impl Iterator<Item = &Diagnosis> {
    let entries = forecasted.report.diagnosis.iter();
    entries.map(|entry| &entry.diagnosis)
}

/// The expected effect of a plan on the highest load.
fn expectation(now: f64, forecast: &Forecast) -> String {
    let peak = forecast.peak_to_mean;
    let direction = if forecast.expected_fall_percent < 0.0 {
        "rise"
    } else {
        "fall"
    };
    let caveat = if forecast.by_rates {
        ""
    } else {
        "; without the rates of the partitions the forecast is poor"
    };
    let (low, high) = peak.interval();
    format!(
        "the highest load is expected to {direction} by {:.1} %, from {now:.2} × the mean to \
         {:.2} × (90 % interval {low:.2} to {high:.2}), with {:.0} % confidence that it falls\
         {caveat}",
        forecast.expected_fall_percent.abs(),
        peak.mean,
        forecast.confidence_percent
    )
}
