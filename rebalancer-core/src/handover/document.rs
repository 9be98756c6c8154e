//! The hand-over in the document of a run.

use serde::{Deserialize, Serialize};

use super::outcome::{AbandonReason, HandoverOutcome, HandoverReport};
use crate::execution::StopReason;
use crate::model::Seconds;

/// The overall outcome of a hand-over. The words are part of the published documents and keep their
/// meaning.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum HandoverResult {
    /// The group has the planned assignment, and kept it when the rebalancer's members left.
    Assigned,
    /// The planned assignment was handed out, but some partitions had another owner afterwards.
    NotKept,
    /// The hand-over was abandoned, or did not begin.
    Abandoned,
}

impl HandoverResult {
    /// The word in documents.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Assigned => "assigned",
            Self::NotKept => "not_kept",
            Self::Abandoned => "abandoned",
        }
    }
}

/// The result of handing out an assignment.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct HandoverDocument {
    /// The overall outcome.
    pub outcome: HandoverResult,
    /// Why the hand-over ended early, if it was asked to; absent if it was not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stopped: Option<StopReason>,
    /// A summary in one sentence, with the numbers.
    pub message: String,
    /// The number of partitions that were to move.
    pub planned: usize,
    /// The number of partitions that have another owner than before; absent if it is not known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub moved: Option<usize>,
    /// The number of rebalances that the hand-over caused.
    pub rebalances: u32,
    /// The duration of the first rebalance, which measured how fast the members rejoin, in seconds; absent
    /// if it did not finish.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub probe_seconds: Option<Seconds>,
    /// The duration of the hand-over, in seconds.
    pub seconds: Seconds,
    /// The number of members that were asked to rejoin by removing them.
    pub removed: usize,
    /// Whether the group was at rest at the end, without members of the rebalancer.
    pub settled: bool,
}

impl HandoverDocument {
    /// The document of a hand-over that was to move `planned` partitions.
    #[must_use]
    pub fn new(report: &HandoverReport, planned: usize) -> Self {
        let (outcome, stopped) = match &report.outcome {
            HandoverOutcome::Assigned => (HandoverResult::Assigned, None),
            HandoverOutcome::NotKept { .. } => (HandoverResult::NotKept, None),
            HandoverOutcome::Abandoned(reason) => {
                let stopped = if let AbandonReason::Stopped(cause) = reason {
                    Some(cause.reason())
                } else {
                    None
                };
                (HandoverResult::Abandoned, stopped)
            }
        };
        Self {
            outcome,
            stopped,
            message: message(report, planned),
            planned,
            moved: report.moved,
            rebalances: report.rebalances,
            probe_seconds: report.probe_seconds,
            seconds: report.seconds,
            removed: report.removed,
            settled: report.settled,
        }
    }

    /// The document of a hand-over that did not begin, for this reason.
    #[must_use]
    pub fn not_begun(why: &str, planned: usize) -> Self {
        Self {
            outcome: HandoverResult::Abandoned,
            stopped: None,
            message: format!("the hand-over did not begin: {why}"),
            planned,
            moved: Some(0),
            rebalances: 0,
            probe_seconds: None,
            seconds: Seconds::ZERO,
            removed: 0,
            settled: true,
        }
    }

    /// Whether members of the rebalancer joined the group, or may have.
    #[must_use]
    pub fn has_begun(&self) -> bool {
        self.rebalances > 0 || !self.settled
    }
}

/// The summary of a hand-over.
fn message(report: &HandoverReport, planned: usize) -> String {
    let cost = format!(
        "{} {} in {:.1} s",
        report.rebalances,
        if report.rebalances == 1 {
            "rebalance"
        } else {
            "rebalances"
        },
        report.seconds.get()
    );
    let partitions = |count: usize| match count {
        1 => "1 partition".to_owned(),
        count => format!("{count} partitions"),
    };
    let end = if report.settled {
        "the group is at rest"
    } else {
        "the group was not at rest when the run ended"
    };
    match &report.outcome {
        HandoverOutcome::Assigned => {
            format!("{} assigned to other members; {cost}", partitions(planned))
        }
        HandoverOutcome::NotKept {
            partitions: lost,
            example,
        } => format!(
            "{} assigned to other members, but the group did not keep {}, such as {example}; {cost}; \
             {end}",
            partitions(planned),
            partitions(*lost),
        ),
        HandoverOutcome::Abandoned(reason) => {
            format!("the hand-over was abandoned: {reason}; {cost}; {end}")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::execution::StopCause;
    use rstest::rstest;

    #[rstest]
    #[case::assigned(
        HandoverOutcome::Assigned,
        "assigned",
        None,
        "7 partitions assigned to other members; 5 rebalances in 9.2 s"
    )]
    #[case::not_kept(
        HandoverOutcome::NotKept { partitions: 1, example: "orders-3".into() },
        "not_kept",
        None,
        "7 partitions assigned to other members, but the group did not keep 1 partition, such as \
         orders-3; 5 rebalances in 9.2 s; the group is at rest"
    )]
    #[case::lost_election(
        HandoverOutcome::Abandoned(AbandonReason::ElectionLost),
        "abandoned",
        None,
        "the hand-over was abandoned: the coordinator elected another leader: it orders members in a \
         way that is not known (Kafka built for Scala 2.12, or another product); 5 rebalances in 9.2 \
         s; the group is at rest"
    )]
    #[case::stopped(
        HandoverOutcome::Abandoned(AbandonReason::Stopped(StopCause::RunTimeout)),
        "abandoned",
        Some(StopReason::RunTimeout),
        "the hand-over was abandoned: the run timeout was reached; 5 rebalances in 9.2 s; the group \
         is at rest"
    )]
    fn message_has_the_outcome_and_the_cost(
        #[case] outcome: HandoverOutcome,
        #[case] word: &str,
        #[case] stopped: Option<StopReason>,
        #[case] message: &str,
    ) {
        let report = HandoverReport {
            outcome,
            rebalances: 5,
            probe_seconds: None,
            seconds: Seconds::new(9.2).unwrap(),
            removed: 1,
            moved: Some(7),
            settled: true,
        };
        let document = HandoverDocument::new(&report, 7);
        assert_eq!(document.outcome.as_str(), word);
        assert_eq!(document.stopped, stopped);
        assert_eq!(document.message, message);
        let json = serde_json::to_value(&document).unwrap();
        assert_eq!(json["outcome"], word);
        assert_eq!(
            serde_json::from_value::<HandoverDocument>(json).unwrap(),
            document
        );
    }
}
