//! The configuration of a simulated world.

use std::time::Duration;

use jiff::Timestamp;
use kafka_assignors::Algorithm;
use kafka_assignors::coordinator_order::CoordinatorFamily;
use rebalancer_core::group::{Assignor, ClientFamily, Protocol};
use rebalancer_core::model::WorkloadRef;

use crate::budget::Budget;
use crate::fault_plan::FaultPlan;
use crate::kafka::ElectionOrder;

/// The configuration of a world. Start from [`SimConfig::default`] or [`SimConfig::seeded`] and
/// change individual fields:
///
/// ```
/// use rebalancer_core::group::Assignor;
/// use rebalancer_sim::SimConfig;
///
/// let config = SimConfig {
///     pods: 16,
///     partitions: 128,
///     assignor: Assignor::Range,
///     ..SimConfig::seeded(42)
/// };
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct SimConfig {
    /// The seed of all random numbers. Default 10, a world that needs two rotations.
    pub seed: u64,
    /// The workload. Its autoscaler and its container have the same name. Default
    /// `Deployment demo/consumer`.
    pub workload: WorkloadRef,
    /// The number of replicas, which is also the minimum and the maximum of the autoscaler, so that
    /// it never scales; at least 1. Default 8.
    pub pods: u32,
    /// The number of the first pods that a canary created from another template, which the status
    /// of the workload does not show. Default 0.
    pub canaries: u32,
    /// The number of former pods that have been terminating since long before the start, because
    /// their nodes are lost. Default 0.
    pub stuck_pods: u32,
    /// The number of partitions of the topic; at least 1. Default 64.
    pub partitions: u32,
    /// The standard deviation of the logarithm of the partitions' rates, 0 to 5. With 0 all rates
    /// are equal; with 1 the highest of 64 is about seven times the mean. Default 1.
    pub sigma: f64,
    /// The mean rate of a partition at the start, in records per second; above 0. Default 1000.
    pub mean_rate: f64,
    /// The share, 0 to 1, of each partition's rate that is redrawn every
    /// [`drift_interval`](Self::drift_interval). The overall skew stays as given by `sigma`.
    /// Default 0: the traffic is constant.
    pub drift: f64,
    /// The time between two drifts of the rates; above 0. Default 10 minutes.
    pub drift_interval: Duration,
    /// The number of random assignments of the rates to the partitions, at least 1. The one with
    /// the highest load of the hottest quarter of the pods is kept, so a higher number gives a less
    /// even start. It does not affect the results of later rebalances; 1 is the fastest.
    /// Default 50.
    pub deals: u32,
    /// The assignor of the group, which the client and the protocol must support. Default
    /// [`Assignor::CooperativeSticky`].
    pub assignor: Assignor,
    /// The client library of the consumers. Default [`ClientFamily::Java`].
    pub client: ClientFamily,
    /// The group protocol. Default [`Protocol::Classic`].
    pub protocol: Protocol,
    /// The order in which the coordinator of a classic group elects leaders. Default: the table of
    /// Kafka's coordinator in Java.
    pub election: ElectionOrder,
    /// The interval between two polls of each consumer; above 0. Default 100 ms.
    pub poll_interval: Duration,
    /// Whether the brokers describe the group, as Kafka does: members with ids, assignor, state and
    /// lag. Otherwise the consumers export their assignments. Default false.
    pub described: bool,
    /// Whether the consumers are static members, with the names of their pods as
    /// `group.instance.id`. Default false.
    pub static_members: bool,
    /// The time for which a static member that is gone keeps its partitions
    /// (`session.timeout.ms`). Default 45 s.
    pub session_timeout: Duration,
    /// The time from a change of membership to the rebalance of a classic group: all members learn
    /// of the change with their next heartbeat. Partitions of a member that left are not consumed
    /// until then. Default 3 s.
    pub rebalance_delay: Duration,
    /// The load of a running pod without partitions, in cores; 0 or more. Default 0.05.
    pub base_load: f64,
    /// The mean load of a pod at the start, in cores; at least `base_load`. It determines the cost
    /// of a record. Default 0.65.
    pub mean_load: f64,
    /// The CPU request of each pod, in cores; above 0. Default 1.
    pub request: f64,
    /// The autoscaler's target utilization, in percent of the request; at least 1. Default 70.
    pub target_percent: u32,
    /// The PodDisruptionBudget of the workload's pods, if any. Default none.
    pub budget: Option<Budget>,
    /// The start of the simulation. Default 2026-01-01T00:00:00Z.
    pub start: Timestamp,
    /// The age of the first pods at the start of the simulation. Default 6 hours.
    pub initial_age: Duration,
    /// The time from the creation of a pod to the start of its containers. Default 2 s.
    pub pending_delay: Duration,
    /// The time from the start of the containers to Ready, plus or minus a quarter. Default 30 s.
    pub startup_delay: Duration,
    /// The time from Ready to membership in the group. Default 3 s.
    pub join_delay: Duration,
    /// The time from the start of a pod's termination to the departure of its member from the
    /// group. Default 3 s.
    pub leave_delay: Duration,
    /// The time from then to the removal of the pod. Default 2 s.
    pub exit_delay: Duration,
    /// The window over which measured loads are averaged; above 0. Default 5 minutes.
    pub metrics_window: Duration,
    /// The scrape interval; above 0. Default 15 s.
    pub scrape_interval: Duration,
    /// The faults. Default none.
    pub faults: Option<FaultPlan>,
}

impl Default for SimConfig {
    fn default() -> Self {
        Self {
            seed: 10,
            workload: WorkloadRef {
                namespace: "demo".into(),
                kind: "Deployment".into(),
                name: "consumer".into(),
            },
            pods: 8,
            canaries: 0,
            stuck_pods: 0,
            partitions: 64,
            sigma: 1.0,
            mean_rate: 1000.0,
            drift: 0.0,
            drift_interval: Duration::from_secs(600),
            deals: 50,
            assignor: Assignor::CooperativeSticky,
            client: ClientFamily::Java,
            protocol: Protocol::Classic,
            election: ElectionOrder::Table {
                coordinator: CoordinatorFamily::Java,
                at_least: 0,
            },
            poll_interval: Duration::from_millis(100),
            described: false,
            static_members: false,
            session_timeout: Duration::from_secs(45),
            rebalance_delay: Duration::from_secs(3),
            base_load: 0.05,
            mean_load: 0.65,
            request: 1.0,
            target_percent: 70,
            budget: None,
            start: Timestamp::constant(1_767_225_600, 0),
            initial_age: Duration::from_secs(6 * 3600),
            pending_delay: Duration::from_secs(2),
            startup_delay: Duration::from_secs(30),
            join_delay: Duration::from_secs(3),
            leave_delay: Duration::from_secs(3),
            exit_delay: Duration::from_secs(2),
            metrics_window: Duration::from_secs(300),
            scrape_interval: Duration::from_secs(15),
            faults: None,
        }
    }
}

/// An invalid field of a [`SimConfig`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{value} is not a valid `{field}` of a simulated world: it must be {expected}")]
pub struct InvalidConfig {
    /// The field.
    pub field: &'static str,
    /// The value, as text.
    pub value: String,
    /// The allowed values.
    pub expected: &'static str,
}

impl SimConfig {
    /// The default configuration with another seed.
    #[must_use]
    pub fn seeded(seed: u64) -> Self {
        Self {
            seed,
            ..Self::default()
        }
    }

    /// Sets the assignor and a protocol that supports it: the consumer protocol (KIP-848) for
    /// `uniform`, the classic protocol for all others.
    #[must_use]
    pub fn with_assignor(self, assignor: Assignor) -> Self {
        let protocol = if assignor == Assignor::Uniform {
            Protocol::Consumer
        } else {
            Protocol::Classic
        };
        Self {
            assignor,
            protocol,
            ..self
        }
    }

    pub(crate) fn algorithm(&self) -> Algorithm {
        Algorithm::of(self.assignor, self.client, self.protocol)
    }

    /// Whether a replacement has the name of the pod that it replaces.
    pub(crate) fn has_stable_names(&self) -> bool {
        self.workload.kind == "StatefulSet"
    }

    /// The autoscaler's target, in cores.
    #[must_use]
    pub fn target(&self) -> f64 {
        f64::from(self.target_percent) / 100.0 * self.request
    }

    pub(crate) fn validate(&self) -> Result<(), InvalidConfig> {
        // The upper bounds keep every sum of rates and loads finite.
        let positive = |value: f64| value > 0.0 && value <= 1e9;
        let amount = |value: f64| (0.0..=1e9).contains(&value);
        let whole = "an integer of at least 1";
        let length = "longer than 0";
        let invalid_share = self.faults.as_ref().and_then(FaultPlan::invalid_share);
        let rules = [
            ("pods", self.pods.to_string(), self.pods > 0, whole),
            (
                "partitions",
                self.partitions.to_string(),
                self.partitions > 0,
                whole,
            ),
            ("deals", self.deals.to_string(), self.deals > 0, whole),
            (
                "target_percent",
                self.target_percent.to_string(),
                self.target_percent > 0,
                whole,
            ),
            (
                "sigma",
                self.sigma.to_string(),
                (0.0..=5.0).contains(&self.sigma),
                "a number from 0 to 5",
            ),
            (
                "drift",
                self.drift.to_string(),
                (0.0..=1.0).contains(&self.drift),
                "a number from 0 to 1",
            ),
            (
                "mean_rate",
                self.mean_rate.to_string(),
                positive(self.mean_rate),
                "above 0, at most 1e9",
            ),
            (
                "request",
                self.request.to_string(),
                positive(self.request),
                "above 0, at most 1e9",
            ),
            (
                "base_load",
                self.base_load.to_string(),
                amount(self.base_load),
                "from 0 to 1e9",
            ),
            (
                "mean_load",
                self.mean_load.to_string(),
                amount(self.mean_load) && self.mean_load >= self.base_load,
                "at least `base_load`, at most 1e9",
            ),
            (
                "assignor",
                self.assignor.to_string(),
                self.assignor.exists_in(self.protocol, self.client),
                "supported by the client and the protocol",
            ),
            (
                "drift_interval",
                format!("{:?}", self.drift_interval),
                !self.drift_interval.is_zero(),
                length,
            ),
            (
                "poll_interval",
                format!("{:?}", self.poll_interval),
                !self.poll_interval.is_zero(),
                length,
            ),
            (
                "metrics_window",
                format!("{:?}", self.metrics_window),
                !self.metrics_window.is_zero(),
                length,
            ),
            (
                "scrape_interval",
                format!("{:?}", self.scrape_interval),
                !self.scrape_interval.is_zero(),
                length,
            ),
        ];
        if let Some((field, value)) = invalid_share {
            return Err(InvalidConfig {
                field,
                value: value.to_string(),
                expected: "a number from 0 to 1",
            });
        }
        rules.into_iter().find(|(_, _, valid, _)| !valid).map_or(
            Ok(()),
            |(field, value, _, expected)| {
                Err(InvalidConfig {
                    field,
                    value,
                    expected,
                })
            },
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn defaults_are_valid() {
        assert_eq!(SimConfig::default().validate(), Ok(()));
    }

    #[test]
    fn error_names_the_field() {
        let config = SimConfig {
            sigma: f64::NAN,
            ..SimConfig::default()
        };
        assert_eq!(
            config.validate().unwrap_err().to_string(),
            "NaN is not a valid `sigma` of a simulated world: it must be a number from 0 to 5"
        );
    }
}
