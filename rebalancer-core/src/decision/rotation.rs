//! The record of a rotation that a decision led to.

use jiff::Timestamp;

use super::{Action, Decision};
use crate::history::{EarlierRotation, Rotation};
use crate::policy::Strategy;
use crate::proposal::ApprovalState;

impl Decision {
    /// The record of the rotation in which `victims` of the plan were evicted at `time`. `last` is
    /// the previous record. `None` if the decision has no numbers to judge the rotation by.
    #[must_use]
    pub fn rotation(
        &self,
        strategy: Strategy,
        last: Option<&Rotation>,
        time: Timestamp,
        victims: Vec<String>,
    ) -> Option<Rotation> {
        if let Some(approved) = self.approved_rotation(last, time) {
            return Some(Rotation {
                victims,
                ..approved
            });
        }
        let analysis = &self.analysis;
        let before = analysis.imbalance?;
        let group = self.group.as_ref();
        let forecast = group.and_then(|group| Some((group, group.chosen.as_ref()?.forecast)));
        let (hoped, range, strategy) = match forecast {
            // The forecast is over all ready pods; the imbalance that later runs see is over the
            // eligible pods.
            Some((group, forecast)) => {
                let scale = before / group.peak_to_mean;
                let peak = forecast.peak_to_mean;
                let range = (peak.p5 * scale, peak.p95 * scale);
                (peak.mean * scale, Some(range), Strategy::Forecast)
            }
            // The hottest pods are expected to fall to the mean of all chosen pods.
            None => {
                let fall = (analysis.top_mean? - analysis.both_mean?) / analysis.mean?;
                let applied = match strategy {
                    Strategy::Auto => Strategy::RotateOutliers,
                    Strategy::RotateOutliers
                    | Strategy::Forecast
                    | Strategy::Assign
                    | Strategy::Rejoin => strategy,
                };
                ((before - fall).max(1.0), None, applied)
            }
        };
        let (ineffective, earlier) = continued(last, before, time);
        Some(Rotation {
            time,
            victims,
            moves: 0,
            abandoned: None,
            imbalance_before: before,
            imbalance_hoped: hoped,
            imbalance_range: range,
            strategy,
            ineffective,
            earlier,
        })
    }

    /// The record of the approved plan, with the effect that was expected when it was proposed.
    /// `None` if the decision is not to execute an approved plan.
    fn approved_rotation(&self, last: Option<&Rotation>, time: Timestamp) -> Option<Rotation> {
        let approval = self.approval.as_ref();
        let approval = approval.filter(|approval| approval.state == ApprovalState::Approved)?;
        let expected = approval.plan.expected.clone()?;
        let before = self.analysis.imbalance.unwrap_or(expected.imbalance_before);
        let (ineffective, earlier) = continued(last, before, time);
        Some(Rotation {
            time,
            imbalance_before: before,
            ineffective,
            earlier,
            ..expected
        })
    }

    /// The record of the hand-over of the assignment, or of the rejoin, at `time`. `last` is the
    /// previous record, `abandoned` why it was abandoned. `None` if the decision is neither, or has
    /// no numbers to judge the outcome by.
    #[must_use]
    pub fn hand_over(
        &self,
        last: Option<&Rotation>,
        time: Timestamp,
        abandoned: Option<String>,
    ) -> Option<Rotation> {
        if let Some(approved) = self.approved_rotation(last, time) {
            return Some(Rotation {
                abandoned,
                ..approved
            });
        }
        let before = self.analysis.imbalance?;
        let group = self.group.as_ref()?;
        // The forecast is over all ready pods; the imbalance that later runs see is over the
        // eligible pods.
        let scale = before / group.peak_to_mean;
        let (moves, hoped, range, strategy) = match &self.action {
            Action::Assign(plan) => {
                let hoped = group.assignment.as_ref()?.peak_to_mean * scale;
                (plan.moves().len(), hoped, None, Strategy::Assign)
            }
            Action::Rejoin(_) => {
                let forecast = &group.rejoin.as_ref()?.forecast;
                let peak = forecast.peak_to_mean;
                let (low, high) = peak.interval();
                let range = (low * scale, high * scale);
                let moves = expected(forecast.moved_partitions.mean);
                (moves, peak.mean * scale, Some(range), Strategy::Rejoin)
            }
            Action::Rotate(_) | Action::Hold(_) => return None,
        };
        let (ineffective, earlier) = continued(last, before, time);
        Some(Rotation {
            time,
            victims: Vec::new(),
            moves,
            abandoned,
            imbalance_before: before,
            imbalance_hoped: hoped.max(1.0),
            imbalance_range: range,
            strategy,
            ineffective,
            earlier,
        })
    }
}

/// The part of a record at `time` that continues the last one, if the imbalance is `before` now:
/// the number of consecutive rotations that did not help, and the records of the earlier ones.
fn continued(last: Option<&Rotation>, before: f64, time: Timestamp) -> (u32, Vec<EarlierRotation>) {
    let Some(last) = last else {
        return (0, Vec::new());
    };
    let ineffective = last.effect(before).ineffective;
    (ineffective, last.earlier_of_next(before, time))
}

/// An expected number of partitions, rounded, at least 1.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a number of partitions"
)]
fn expected(partitions: f64) -> usize {
    partitions.round().max(1.0) as usize
}
