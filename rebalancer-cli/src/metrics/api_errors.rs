//! Failed requests, by server.

use std::sync::{Mutex, PoisonError};

use rebalancer_core::ports::PortError;
use rebalancer_driver::{ObserveError, RunEvent, RunObserver};
use rebalancer_k8s::K8sError;
use rebalancer_kafka::KafkaError;
use rebalancer_prom::PromError;

/// A kind of server. The words are those of the Go program's metric.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Component {
    /// Prometheus, or another server with its API.
    Prometheus,
    /// The Kubernetes API.
    Kubernetes,
    /// The brokers.
    Kafka,
}

/// The number of failed requests to each kind of server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ApiErrors {
    prometheus: u32,
    kubernetes: u32,
    kafka: u32,
}

impl Component {
    /// Every kind.
    pub const ALL: [Self; 3] = [Self::Prometheus, Self::Kubernetes, Self::Kafka];

    /// The word in the metrics.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Prometheus => "prometheus",
            Self::Kubernetes => "kubernetes",
            Self::Kafka => "kafka",
        }
    }

    /// The kind of server whose adapter returned the error; `None` if no adapter did.
    fn of(error: &PortError) -> Option<Self> {
        let source = error.source.as_deref()?;
        if source.is::<PromError>() {
            Some(Self::Prometheus)
        } else if source.is::<K8sError>() {
            Some(Self::Kubernetes)
        } else if source.is::<KafkaError>() {
            Some(Self::Kafka)
        } else {
            None
        }
    }
}

impl ApiErrors {
    /// The number of failed requests to that kind of server.
    #[must_use]
    pub fn of(&self, component: Component) -> u32 {
        match component {
            Component::Prometheus => self.prometheus,
            Component::Kubernetes => self.kubernetes,
            Component::Kafka => self.kafka,
        }
    }

    /// Adds an error of a port.
    pub fn add(&mut self, error: &PortError) {
        let count = match Component::of(error) {
            Some(Component::Prometheus) => &mut self.prometheus,
            Some(Component::Kubernetes) => &mut self.kubernetes,
            Some(Component::Kafka) => &mut self.kafka,
            None => return,
        };
        *count += 1;
    }
}

/// Counts the errors of the ports in a run.
#[derive(Debug, Default)]
pub(crate) struct ErrorCounter(Mutex<ApiErrors>);

impl ErrorCounter {
    /// The counts so far.
    pub(crate) fn errors(&self) -> ApiErrors {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn add(&self, error: &PortError) {
        let mut errors = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        errors.add(error);
    }
}

impl RunObserver for ErrorCounter {
    fn event(&self, event: &RunEvent<'_>) {
        if let RunEvent::LeaseNotReleased { error }
        | RunEvent::GroupUnknown { error }
        | RunEvent::AutoscalersUnknown { error }
        | RunEvent::BudgetsUnknown { error }
        | RunEvent::PortFailed { error }
        | RunEvent::JournalFailed { error, .. } = event
        {
            self.add(error);
        }
        let RunEvent::ObserveFailed { error, .. } = event else {
            return;
        };
        if let ObserveError::Port(error) | ObserveError::Lease(error) = error {
            self.add(error);
        }
        if let ObserveError::Both { metrics, workload } = error {
            self.add(metrics);
            self.add(workload);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rebalancer_core::ports::PortErrorKind;

    #[test]
    fn errors_are_counted_by_the_adapter_that_returned_them() {
        let counter = ErrorCounter::default();
        let error = PortError::from(PromError::CredentialsInUrl);
        counter.event(&RunEvent::PortFailed { error: &error });
        counter.event(&RunEvent::GroupUnknown { error: &error });
        let other = PortError::new(PortErrorKind::Timeout, "of no adapter");
        counter.event(&RunEvent::PortFailed { error: &other });
        let errors = counter.errors();
        let counts = Component::ALL.map(|component| errors.of(component));
        assert_eq!(counts, [2, 0, 0]);
    }
}
