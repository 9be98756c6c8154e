//! The ports and the settings of a run.

use rebalancer_core::model::Seconds;
use rebalancer_core::policy::{ExecutionPolicy, Policy};
use rebalancer_core::ports::{
    Clock, GroupCoordinator, GroupSource, Journal, MetricsSource, PodActuator, RunLease,
};
use rebalancer_core::snapshot::AssembleSettings;

use crate::event::{NoObserver, RunObserver};
use crate::freeze::{FreezeSchedule, NeverFrozen};

/// The ports of one workload, the clock, and the observer of the run.
#[derive(Clone, Copy)]
pub struct Ports<'a> {
    /// The source of loads.
    pub metrics: &'a dyn MetricsSource,
    /// The source of the consumer group; `None` to run without one.
    pub group: Option<&'a dyn GroupSource>,
    /// The coordinator of the consumer group; `None` if the group is not read from Kafka.
    pub coordinator: Option<&'a dyn GroupCoordinator>,
    /// Reads and evicts pods.
    pub actuator: &'a dyn PodActuator,
    /// The clock.
    pub clock: &'a dyn Clock,
    /// The lease that excludes other runs; `None` to run without one.
    pub lease: Option<&'a dyn RunLease>,
    /// Publishes and remembers what was done; `None` to do neither.
    pub journal: Option<&'a dyn Journal>,
    /// Receives the events of the run.
    pub observer: &'a dyn RunObserver,
}

impl<'a> Ports<'a> {
    /// The required ports, without a group and its coordinator, a lease, a journal and an observer.
    #[must_use]
    pub fn new(
        metrics: &'a dyn MetricsSource,
        actuator: &'a dyn PodActuator,
        clock: &'a dyn Clock,
    ) -> Self {
        Self {
            metrics,
            group: None,
            coordinator: None,
            actuator,
            clock,
            lease: None,
            journal: None,
            observer: &NoObserver,
        }
    }
}

/// The settings of the run of one workload.
#[derive(Clone, Copy)]
pub struct RunSettings<'a> {
    /// The operator's description of the workload.
    pub assemble: &'a AssembleSettings,
    /// Whether the metrics source is asked for autoscalers.
    pub autoscalers_from_metrics: bool,
    /// The times at which no action may begin.
    pub freeze: &'a dyn FreezeSchedule,
    /// The rules of the decision.
    pub policy: &'a Policy,
    /// The rules of the execution; `None` to decide only.
    pub execution: Option<ExecutionPolicy>,
    /// The time for which a plan may be approved and executed; `None` if plans need no approval.
    pub approval: Option<Seconds>,
    /// The duration from which a hold that needs an operator makes the run fail; zero for never.
    pub hold_alert_after: Seconds,
}

impl<'a> RunSettings<'a> {
    /// The default of [`hold_alert_after`](Self::hold_alert_after): a day.
    pub const DEFAULT_HOLD_ALERT_AFTER: Seconds = Seconds::whole(24 * 3600);

    /// Settings that only decide, without freeze windows and without autoscalers from metrics.
    #[must_use]
    pub fn new(assemble: &'a AssembleSettings, policy: &'a Policy) -> Self {
        Self {
            assemble,
            autoscalers_from_metrics: false,
            freeze: &NeverFrozen,
            policy,
            execution: None,
            approval: None,
            hold_alert_after: Self::DEFAULT_HOLD_ALERT_AFTER,
        }
    }

    /// Sets the rules of the execution, so that plans are executed.
    #[must_use]
    pub fn execute(self, execution: ExecutionPolicy) -> Self {
        Self {
            execution: Some(execution),
            ..self
        }
    }
}
