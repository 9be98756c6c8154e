//! The expected effect of a rejoin.

use serde::{Deserialize, Serialize};

use crate::forecast::Forecast;
use crate::group::{GroupModel, Protocol, RebalanceProtocol};
use crate::model::Seconds;

/// A rejoin, and its expected effect. Loads are in cores, or in the unit of a custom load query.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct RejoinForecast {
    /// The pods whose members rejoin: hot ones first, most loaded first, then the others, least
    /// loaded first.
    pub pods: Vec<RejoiningPod>,
    /// The highest load now.
    pub peak_before: f64,
    /// The expected highest load.
    pub peak: f64,
    /// The expected effect.
    pub forecast: Forecast,
    /// The part that the members take in a rebalance, which determines what pauses.
    pub protocol: RebalanceProtocol,
    /// The number of rebalances that the rejoin causes if nothing disturbs it: the probe, and the
    /// one in which the members return. 1 in a group of KIP-848, whose broker moves single
    /// partitions while the members consume.
    pub rebalances: u32,
    /// The time for which two members may process a partition, besides the batch that the removed
    /// one is processing, in seconds: the heartbeat interval of a group of KIP-848
    /// (`group.consumer.heartbeat.interval.ms`). Absent for a classic group, in which no two
    /// members process a partition.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub double_processing_seconds: Option<Seconds>,
    /// Whether that interval is the one that the coordinator reports; absent if its default is
    /// assumed.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub heartbeat_is_known: bool,
}

/// The default of `group.consumer.heartbeat.interval.ms`, in seconds.
const CONSUMER_HEARTBEAT_SECONDS: u32 = 5;

/// A pod whose members rejoin. It does not restart.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct RejoiningPod {
    /// The name of the pod.
    pub name: String,
    /// The load of the pod.
    pub load: f64,
    /// The number of partitions that it owns.
    pub partitions: usize,
    /// The ids of its members, which end with the removal.
    pub members: Vec<String>,
}

impl RejoinForecast {
    pub(crate) fn new(
        group: &GroupModel,
        pods: Vec<RejoiningPod>,
        peak_before: f64,
        forecast: Forecast,
        heartbeat: Option<Seconds>,
    ) -> Self {
        let assumed = Seconds::whole(CONSUMER_HEARTBEAT_SECONDS);
        let (rebalances, double_processing_seconds) = match group.protocol {
            Protocol::Classic => (2, None),
            Protocol::Consumer => (1, Some(heartbeat.unwrap_or(assumed))),
        };
        Self {
            pods,
            peak_before,
            peak: peak_before * (1.0 - forecast.expected_fall_percent / 100.0),
            forecast,
            protocol: RebalanceProtocol::of_group(group),
            rebalances,
            double_processing_seconds,
            heartbeat_is_known: heartbeat.is_some(),
        }
    }

    /// The number of members that rejoin.
    #[must_use]
    pub fn members(&self) -> usize {
        self.pods.iter().map(|pod| pod.members.len()).sum()
    }

    /// The rebalances and what pauses in them, as a clause. The document docs/assign.md has more.
    #[must_use]
    pub fn disturbance(&self) -> String {
        let rebalances = self.rebalances;
        if let Some(seconds) = self.double_processing_seconds {
            let origin = if self.heartbeat_is_known {
                "the heartbeat interval of the group"
            } else {
                "assumed: the default of group.consumer.heartbeat.interval.ms"
            };
            return format!(
                "the broker gives the partitions of the removed members to others at once, so two members \
                 may process them for up to {} ({origin}) and until the current batch is complete; \
                 records without a commit are processed again",
                seconds.rounded_up()
            );
        }
        match self.protocol {
            RebalanceProtocol::Cooperative => format!(
                "{rebalances} rebalances (one more if a member that stays gives up a partition), in which \
                 the other members go on consuming; the partitions of the removed members pause until \
                 all are back, some seconds at most"
            ),
            RebalanceProtocol::Eager => format!(
                "{rebalances} rebalances, in each of which all partitions pause until every member \
                 has rejoined, usually one heartbeat interval (3 s by default)"
            ),
        }
    }
}
