//! The hand-over of an assignment, or the rejoin of members, in the document of a run.

use serde::{Deserialize, Serialize};

use super::outcome::{AbandonReason, HandoverOutcome, HandoverReport};
use super::plan::HandoverWork;
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
    /// The members rejoined, and the group has dealt its partitions.
    Rejoined,
    /// The hand-over or the rejoin was abandoned, or did not begin.
    Abandoned,
}

impl HandoverResult {
    /// The word in documents.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Assigned => "assigned",
            Self::NotKept => "not_kept",
            Self::Rejoined => "rejoined",
            Self::Abandoned => "abandoned",
        }
    }
}

/// The result of handing out an assignment, or of letting members rejoin.
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
    /// The number of partitions that were to move; 0 if members rejoined.
    pub planned: usize,
    /// The number of members that were to rejoin; absent if an assignment was handed out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rejoins: Option<usize>,
    /// The number of removed members that were seen in the group again; absent if an assignment was
    /// handed out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub returned: Option<usize>,
    /// The number of partitions that have another owner than before; absent if it is not known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub moved: Option<usize>,
    /// In a group of KIP-848: the seconds from the removal until all removed members were seen in
    /// the group again. Until then, and until the batches of that time were complete, two members
    /// may have processed a partition. Absent in a classic group, or if a member was not seen
    /// again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub double_processing_seconds: Option<Seconds>,
    /// The number of rebalances that the hand-over caused, without those in which members of a
    /// cooperative group give up partitions after a rejoin. 1 for a rejoin in a group of KIP-848.
    pub rebalances: u32,
    /// The duration of the first rebalance, which measured how fast the members rejoin, in seconds;
    /// absent if it did not finish.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub probe_seconds: Option<Seconds>,
    /// The duration of the hand-over, in seconds.
    pub seconds: Seconds,
    /// The number of members that were asked to rejoin by removing them.
    pub removed: usize,
    /// Whether the group was at rest at the end, without members of the rebalancer. Also true if
    /// the hand-over ended before it changed the group.
    pub settled: bool,
}

impl HandoverDocument {
    /// The document of a hand-over with this work.
    #[must_use]
    pub fn new(report: &HandoverReport, work: HandoverWork) -> Self {
        let (outcome, stopped) = match &report.outcome {
            HandoverOutcome::Assigned => (HandoverResult::Assigned, None),
            HandoverOutcome::NotKept { .. } => (HandoverResult::NotKept, None),
            HandoverOutcome::Rejoined => (HandoverResult::Rejoined, None),
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
            message: message(report, work),
            planned: work.moves(),
            rejoins: work.rejoins(),
            returned: work.rejoins().map(|_| report.returned),
            moved: report.moved,
            double_processing_seconds: report.double_processing,
            rebalances: report.rebalances,
            probe_seconds: report.probe_seconds,
            seconds: report.seconds,
            removed: report.removed,
            settled: report.settled,
        }
    }

    /// The document of a hand-over that did not begin, for this reason.
    #[must_use]
    pub fn not_begun(why: &str, work: HandoverWork) -> Self {
        Self {
            outcome: HandoverResult::Abandoned,
            stopped: None,
            message: format!("the {} did not begin: {why}", work.noun()),
            planned: work.moves(),
            rejoins: work.rejoins(),
            returned: work.rejoins().map(|_| 0),
            moved: Some(0),
            double_processing_seconds: None,
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

impl HandoverWork {
    fn moves(self) -> usize {
        match self {
            Self::Moves(partitions) => partitions,
            Self::Rejoins(_) => 0,
        }
    }

    fn rejoins(self) -> Option<usize> {
        match self {
            Self::Moves(_) => None,
            Self::Rejoins(members) => Some(members),
        }
    }

    fn noun(self) -> &'static str {
        match self {
            Self::Moves(_) => "hand-over",
            Self::Rejoins(_) => "rejoin",
        }
    }
}

/// The summary of a hand-over.
fn message(report: &HandoverReport, work: HandoverWork) -> String {
    let planned = work.moves();
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
    let end = match (report.settled, report.rebalances) {
        (true, 0) => "the group was not changed",
        (true, _) => "the group is at rest",
        (false, _) => "the group was not at rest when the run ended",
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
        HandoverOutcome::Rejoined => {
            let members = match report.returned {
                1 => "1 member".to_owned(),
                members => format!("{members} members"),
            };
            let owners = match report.moved {
                None => String::new(),
                Some(1) => ": 1 partition has another owner".to_owned(),
                Some(moved) => format!(": {moved} partitions have other owners"),
            };
            let twice = report
                .double_processing
                .map_or_else(String::new, |seconds| {
                    format!(
                        "; two members may have processed a partition until the removed ones were back, \
                         for at most {:.1} s and the current batch",
                        seconds.get()
                    )
                });
            format!("{members} rejoined, and the group dealt its partitions{owners}; {cost}{twice}")
        }
        HandoverOutcome::Abandoned(reason) => {
            let noun = work.noun();
            format!("the {noun} was abandoned: {reason}; {cost}; {end}")
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
            returned: 1,
            moved: Some(7),
            double_processing: None,
            settled: true,
        };
        let document = HandoverDocument::new(&report, HandoverWork::Moves(7));
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

    #[rstest]
    #[case::rejoined(
        HandoverOutcome::Rejoined,
        "rejoined",
        None,
        "2 members rejoined, and the group dealt its partitions: 7 partitions have other owners; 2 \
         rebalances in 9.2 s"
    )]
    #[case::in_a_group_of_kip_848(
        HandoverOutcome::Rejoined,
        "rejoined",
        Some(4),
        "2 members rejoined, and the group dealt its partitions: 7 partitions have other owners; 2 \
         rebalances in 9.2 s; two members may have processed a partition until the removed ones were \
         back, for at most 4.0 s and the current batch"
    )]
    #[case::absent(
        HandoverOutcome::Abandoned(AbandonReason::NotBack {
            members: 1,
            limit: std::time::Duration::from_secs(20),
        }),
        "abandoned",
        None,
        "the rejoin was abandoned: 1 of the removed members did not rejoin within 20.0 s; 2 \
         rebalances in 9.2 s; the group is at rest"
    )]
    fn message_of_a_rejoin_has_its_members(
        #[case] outcome: HandoverOutcome,
        #[case] word: &str,
        #[case] twice: Option<u32>,
        #[case] message: &str,
    ) {
        let report = HandoverReport {
            outcome,
            rebalances: 2,
            probe_seconds: None,
            seconds: Seconds::new(9.2).unwrap(),
            removed: 2,
            returned: 2,
            moved: Some(7),
            double_processing: twice.map(Seconds::whole),
            settled: true,
        };
        let document = HandoverDocument::new(&report, HandoverWork::Rejoins(2));
        assert_eq!(document.message, message);
        assert_eq!(document.double_processing_seconds, report.double_processing);
        let json = serde_json::to_value(&document).unwrap();
        assert_eq!(json["outcome"], word);
        assert_eq!((&json["rejoins"], &json["planned"]), (&2.into(), &0.into()));
        let not_begun = HandoverDocument::not_begun("no connection", HandoverWork::Rejoins(2));
        assert_eq!(not_begun.message, "the rejoin did not begin: no connection");
        assert_eq!(not_begun.returned, Some(0));
    }
}
