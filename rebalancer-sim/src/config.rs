//! What a simulated world is made of.

use std::time::Duration;

use jiff::Timestamp;
use kafka_assignors::Algorithm;
use rebalancer_core::group::{Assignor, ClientFamily, Protocol};
use rebalancer_core::model::WorkloadRef;

use crate::budget::Budget;
use crate::faults::FaultPlan;

/// The make-up of a world. Start from [`SimConfig::default`] or [`SimConfig::seeded`] and change
/// what matters:
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
    /// Everything random follows from this number. Default 10, a world that takes two rotations.
    pub seed: u64,
    /// The workload. Its name is also that of its autoscaler and of its container. Default
    /// `Deployment demo/consumer`.
    pub workload: WorkloadRef,
    /// Replicas, and both bounds of the autoscaler, so that it stays put; at least 1. Default 8.
    pub pods: u32,
    /// Partitions of the one topic; at least 1. Default 64.
    pub partitions: u32,
    /// Standard deviation of the logarithm of the partitions' rates, 0 to 5: 0 makes all alike, 1
    /// makes the heaviest of 64 about seven times the mean. Default 1.
    pub sigma: f64,
    /// Mean rate of a partition at the start, in records per second; above 0. Default 1000.
    pub mean_rate: f64,
    /// Share, 0 to 1, of each partition's rate that is drawn anew every
    /// [`drift_interval`](Self::drift_interval); the skew as a whole stays as `sigma` says.
    /// Default 0: traffic is steady.
    pub drift: f64,
    /// How often the rates drift; above 0. Default 10 minutes.
    pub drift_interval: Duration,
    /// How often the rates are dealt to the partitions before the deal that loads the hottest
    /// quarter of the pods most is kept; at least 1. The higher, the worse the day on which the world starts. It
    /// has no bearing on what later rebalances lead to, and 1 is the quickest. Default 50.
    pub deals: u32,
    /// Who decides which member owns which partition; one that the client and the protocol have.
    /// Default [`Assignor::CooperativeSticky`].
    pub assignor: Assignor,
    /// The client library of the consumers. Default [`ClientFamily::Java`].
    pub client: ClientFamily,
    /// The group protocol. Default [`Protocol::Classic`].
    pub protocol: Protocol,
    /// Each consumer has the name of its pod for its `group.instance.id`. Default false.
    pub static_members: bool,
    /// How long a static member that is gone keeps its partitions (`session.timeout.ms`).
    /// Default 45 s.
    pub session_timeout: Duration,
    /// How long a classic group gathers members that come and go into one rebalance: as long as it
    /// takes all to hear of it with a heartbeat. What a member left behind is served by nobody until
    /// then. Default 3 s.
    pub rebalance_delay: Duration,
    /// What a running pod spends without any partition, in cores; 0 or more. Default 0.05.
    pub base_load: f64,
    /// Mean load of a pod at the start, in cores; at least `base_load`. The cost of a record
    /// follows from it. Default 0.65.
    pub mean_load: f64,
    /// CPU request of each pod, in cores; above 0. Default 1.
    pub request: f64,
    /// The autoscaler's target utilization, in percent of the request; at least 1. Default 70.
    pub target_percent: u32,
    /// The budget over the workload's pods, if any. Default none.
    pub budget: Option<Budget>,
    /// The instant at which the world is handed over. Default 2026-01-01T00:00:00Z.
    pub start: Timestamp,
    /// How long the first pods have been running by then. Default 6 hours.
    pub initial_age: Duration,
    /// From the creation of a pod to its containers running. Default 2 s.
    pub pending_delay: Duration,
    /// From the containers running to Ready, give or take a quarter. Default 30 s.
    pub startup_delay: Duration,
    /// From Ready to membership in the group. Default 3 s.
    pub join_delay: Duration,
    /// From the beginning of a pod's termination to its leaving the group. Default 3 s.
    pub leave_delay: Duration,
    /// From its leaving the group to its being gone. Default 2 s.
    pub exit_delay: Duration,
    /// The window over which measured loads are averaged; above 0. Default 5 minutes.
    pub metrics_window: Duration,
    /// How often pods are scraped; above 0. Default 15 s.
    pub scrape_interval: Duration,
    /// What goes wrong. Default nothing.
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
            partitions: 64,
            sigma: 1.0,
            mean_rate: 1000.0,
            drift: 0.0,
            drift_interval: Duration::from_secs(600),
            deals: 50,
            assignor: Assignor::CooperativeSticky,
            client: ClientFamily::Java,
            protocol: Protocol::Classic,
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

/// A field of a [`SimConfig`] that no world can be made of.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{value} is not a valid `{field}` of a simulated world: it must be {expected}")]
pub struct InvalidConfig {
    /// The field.
    pub field: &'static str,
    /// Its value, as text.
    pub value: String,
    /// What is allowed.
    pub expected: &'static str,
}

impl SimConfig {
    /// The default world of another seed.
    #[must_use]
    pub fn seeded(seed: u64) -> Self {
        Self {
            seed,
            ..Self::default()
        }
    }

    /// A group of that assignor, of the protocol that has it: `uniform` is the newer one's alone,
    /// all others are taken as those of a classic group.
    #[must_use]
    pub fn with_assignor(self, assignor: Assignor) -> Self {
        let protocol = match assignor {
            Assignor::Uniform => Protocol::Consumer,
            Assignor::Range
            | Assignor::RoundRobin
            | Assignor::Sticky
            | Assignor::CooperativeSticky => Protocol::Classic,
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

    /// A replacement bears the name of the pod before it.
    pub(crate) fn has_stable_names(&self) -> bool {
        self.workload.kind == "StatefulSet"
    }

    /// The autoscaler's target, in cores.
    #[must_use]
    pub fn target(&self) -> f64 {
        f64::from(self.target_percent) / 100.0 * self.request
    }

    pub(crate) fn validate(&self) -> Result<(), InvalidConfig> {
        // The upper bounds keep every sum of rates and loads a finite number.
        let positive = |value: f64| value > 0.0 && value <= 1e9;
        let amount = |value: f64| (0.0..=1e9).contains(&value);
        let whole = "a whole number, 1 or more";
        let length = "longer than nothing";
        let no_share = self.faults.as_ref().and_then(FaultPlan::invalid);
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
                "one that the client and the protocol have",
            ),
            (
                "drift_interval",
                format!("{:?}", self.drift_interval),
                !self.drift_interval.is_zero(),
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
        if let Some((field, value)) = no_share {
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
    fn the_defaults_are_valid() {
        assert_eq!(SimConfig::default().validate(), Ok(()));
    }

    #[test]
    fn an_error_names_the_field() {
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
