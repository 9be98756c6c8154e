//! The record of a rotation that a decision led to.

use jiff::Timestamp;

use super::Decision;
use crate::history::Rotation;
use crate::policy::Strategy;

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
                    Strategy::RotateOutliers | Strategy::Forecast | Strategy::Assign => strategy,
                };
                ((before - fall).max(1.0), None, applied)
            }
        };
        Some(Rotation {
            time,
            victims,
            moves: 0,
            abandoned: None,
            imbalance_before: before,
            imbalance_hoped: hoped,
            imbalance_range: range,
            strategy,
            ineffective: last.map_or(0, |last| last.effect(before).ineffective),
        })
    }

    /// The record of the hand-over of the assignment at `time`. `last` is the previous record,
    /// `abandoned` why the hand-over was abandoned. `None` if the decision is not to assign, or has no
    /// numbers to judge the assignment by.
    #[must_use]
    pub fn hand_over(
        &self,
        last: Option<&Rotation>,
        time: Timestamp,
        abandoned: Option<String>,
    ) -> Option<Rotation> {
        let plan = self.assignment()?;
        let before = self.analysis.imbalance?;
        let group = self.group.as_ref()?;
        let assignment = group.assignment.as_ref()?;
        Some(Rotation {
            time,
            victims: Vec::new(),
            moves: plan.moves().len(),
            abandoned,
            imbalance_before: before,
            // The forecast is over all ready pods; the imbalance that later runs see is over the
            // eligible pods.
            imbalance_hoped: (assignment.peak_to_mean * before / group.peak_to_mean).max(1.0),
            imbalance_range: None,
            strategy: Strategy::Assign,
            ineffective: last.map_or(0, |last| last.effect(before).ineffective),
        })
    }
}
