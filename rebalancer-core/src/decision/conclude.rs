//! What follows when no check failed, and the sentence that says why.

use super::{Action, Analysis, HoldReason, PodAssessment};
use crate::checks::list_some;
use crate::forecast::{Diagnosis, Forecast};
use crate::model::Load;
use crate::plan::{Plan, Role, Victim};
use crate::policy::Policy;
use crate::strategy::Judgement;
use crate::strategy::forecast::{self, ForecastChoice, PlanForecast};
use crate::strategy::rotate_outliers::{self, RotateOutliers};

/// What a conclusion is drawn from.
pub(super) struct Scene<'a> {
    pub(super) plan: Option<Plan>,
    /// The victims of the plan, or of the one that would have been.
    pub(super) chosen: &'a [Victim],
    pub(super) pods: &'a [PodAssessment],
    pub(super) analysis: &'a Analysis,
    pub(super) policy: &'a Policy,
}

/// The action when no check failed, and the sentence that says why.
pub(super) fn conclude(judgement: Option<&Judgement>, scene: Scene<'_>) -> (Action, String) {
    match judgement {
        Some(Judgement::RotateOutliers(outliers)) => scene.by_outliers(outliers),
        Some(Judgement::Ineffective(_, diagnosis)) => (
            Action::Hold(HoldReason::by(diagnosis)),
            format!("{} is hot, but {diagnosis}", scene.named(Role::Hottest)),
        ),
        Some(Judgement::Forecast(forecasted)) => scene.by_forecast(forecasted),
        // Without a target or a group a check has failed.
        None => scene.within_tolerance(),
    }
}

fn number(number: Option<f64>) -> f64 {
    number.unwrap_or_default()
}

impl Scene<'_> {
    fn threshold(&self) -> String {
        format!(
            "{:.3} cores ({} × target {:.3})",
            number(self.analysis.threshold),
            self.policy.tolerance,
            number(self.analysis.target)
        )
    }

    fn named(&self, role: Role) -> String {
        let of_role = self.chosen.iter().filter(|victim| victim.role == role);
        list_some(of_role.map(|victim| victim.name.clone()))
    }

    fn by_outliers(self, outliers: &RotateOutliers) -> (Action, String) {
        let threshold = self.threshold();
        let minimum = self.policy.minimum_improvement_percent;
        let change = || {
            format!(
                "mean of the hottest {:.3} cores, together with the coldest {:.3}: {:.1} %",
                number(self.analysis.top_mean),
                number(self.analysis.both_mean),
                number(self.analysis.improvement_percent)
            )
        };
        match (outliers.verdict, &self.plan) {
            (rotate_outliers::Verdict::Rotate, Some(plan)) => {
                let message = format!(
                    "evict {} of {} pods: {} above the threshold of {threshold} with {} as the \
                     coldest; {}, more than {minimum} %",
                    plan.victims().len(),
                    self.analysis.pods,
                    self.named(Role::Hottest),
                    self.named(Role::Coldest),
                    change(),
                );
                (Action::Rotate(plan.clone()), message)
            }
            (rotate_outliers::Verdict::ImprovementTooSmall, _) => {
                let why = if outliers.coldest == 0 {
                    "but no other pod is eligible to rotate with".into()
                } else {
                    format!(
                        "but the pods to rotate are too alike: {}, more than {minimum} % is needed",
                        change()
                    )
                };
                let hottest = self.named(Role::Hottest);
                (
                    Action::Hold(HoldReason::ImprovementTooSmall),
                    format!("{hottest} above the threshold of {threshold}, {why}"),
                )
            }
            // Without a plan a check has failed.
            (
                rotate_outliers::Verdict::WithinTolerance | rotate_outliers::Verdict::Rotate,
                Some(_) | None,
            ) => self.within_tolerance(),
        }
    }

    fn by_forecast(self, forecasted: &ForecastChoice) -> (Action, String) {
        let report = &forecasted.report;
        let said = || report.diagnosis.iter().map(|finding| &finding.diagnosis);
        match (&forecasted.verdict, &self.plan, &report.chosen) {
            (forecast::ForecastVerdict::Rotate, Some(plan), Some(chosen)) => {
                let message = format!(
                    "evict {} of {} pods: {}; {}; assignor {}",
                    plan.victims().len(),
                    self.analysis.pods,
                    list_some(chosen.victims.iter().cloned()),
                    expected(report.peak_to_mean, &chosen.forecast),
                    report.assignor,
                );
                (Action::Rotate(plan.clone()), message)
            }
            (forecast::ForecastVerdict::Structural(diagnosis), _, _) => (
                Action::Hold(HoldReason::by(diagnosis)),
                diagnosis.to_string(),
            ),
            (forecast::ForecastVerdict::Unexplained, _, _) => {
                let fit = report.fit.as_ref().map_or(0.0, |fit| fit.goodness * 100.0);
                (
                    Action::Hold(HoldReason::LoadsUnexplained),
                    format!(
                        "the rates of the partitions explain {fit:.0} % of the variance of the \
                         loads, too little to forecast anything: do GROUP_RATE_QUERY and the pods \
                         belong together?"
                    ),
                )
            }
            (forecast::ForecastVerdict::NoPlanHelps, _, _) => {
                // What explains more than that nothing helps is the reason.
                let why = said().find(|found| {
                    matches!(
                        found,
                        Diagnosis::Remainder { .. } | Diagnosis::SkewedTopic { .. }
                    )
                });
                let reason = why.map_or(HoldReason::NoPlanHelps, HoldReason::by);
                let why = why.map_or_else(String::new, |why| format!("; {why}"));
                (
                    Action::Hold(reason),
                    format!("{}{why}", self.no_plan_helps(forecasted)),
                )
            }
            (
                forecast::ForecastVerdict::WithinTolerance | forecast::ForecastVerdict::Rotate,
                Some(_) | None,
                Some(_) | None,
            ) => {
                // Hot, but not to be evicted.
                let slow = said().find(|found| matches!(found, Diagnosis::SlowPod { .. }));
                match slow {
                    Some(slow) => {
                        let ineligible = hot_but_ineligible(self.pods, self.analysis.threshold);
                        (
                            Action::Hold(HoldReason::SlowPod),
                            format!("{slow}{ineligible}"),
                        )
                    }
                    None => self.within_tolerance(),
                }
            }
        }
    }

    fn no_plan_helps(&self, forecasted: &ForecastChoice) -> String {
        let report = &forecasted.report;
        let needed = format!(
            "at least {} % and {} % confidence are needed",
            self.policy.minimum_improvement_percent, self.policy.minimum_confidence_percent
        );
        match report.plans.first() {
            Some(PlanForecast { victims, forecast }) => format!(
                "no plan helps: the best of {}, evicting {}: {}; {needed}",
                report.plans_tried,
                list_some(victims.iter().cloned()),
                expected(report.peak_to_mean, forecast)
            ),
            None => format!("no plan helps: there is none to try; {needed}"),
        }
    }

    fn within_tolerance(&self) -> (Action, String) {
        (
            Action::Hold(HoldReason::WithinTolerance),
            format!(
                "no eligible pod is above the threshold of {}; the most loaded spends {:.3}{}",
                self.threshold(),
                number(self.analysis.max),
                hot_but_ineligible(self.pods, self.analysis.threshold),
            ),
        )
    }
}

/// A forecast in words: what the highest load is expected to do.
fn expected(now: f64, forecast: &Forecast) -> String {
    let peak = forecast.peak_to_mean;
    let (low, high) = peak.interval();
    let direction = if forecast.expected_fall_percent < 0.0 {
        "rise"
    } else {
        "fall"
    };
    let poorer = if forecast.by_rates {
        ""
    } else {
        "; without the rates of the partitions this is a poor forecast"
    };
    format!(
        "the highest load is expected to {direction} by {:.1} %, from {now:.2} × the mean to \
         {:.2} × ({:.2} to {:.2} in nine of ten cases), with {:.0} % confidence that it falls\
         {poorer}",
        forecast.expected_fall_percent.abs(),
        peak.mean,
        low,
        high,
        forecast.confidence_percent
    )
}

/// Names the pods above the threshold that may not be victims, with the reasons.
fn hot_but_ineligible(pods: &[PodAssessment], threshold: Option<f64>) -> String {
    let mut hot = pods
        .iter()
        .take_while(|pod| pod.load.map(Load::get) > threshold)
        .filter(|pod| !pod.eligible)
        .map(|pod| {
            let reasons: Vec<String> = pod.reasons.iter().map(ToString::to_string).collect();
            format!("{} ({})", pod.name, reasons.join("; "))
        })
        .peekable();
    if hot.peek().is_none() {
        return String::new();
    }
    format!("; above it but not eligible: {}", list_some(hot))
}
