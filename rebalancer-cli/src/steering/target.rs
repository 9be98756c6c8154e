//! A workload that a command steers, as it was read from the Kubernetes API.

use rebalancer_core::ports::{PortError, PortErrorKind};
use rebalancer_core::proposal::ProposedPlan;
use rebalancer_k8s::{Connection, K8sError, KubernetesActuator, KubernetesSteering, SteeredObject};

use crate::settings::{SettingsError, WorkloadToSteer};

/// A workload that a command steers.
pub(crate) struct Target<'a> {
    pub(crate) workload: &'a WorkloadToSteer,
    pub(crate) steering: KubernetesSteering,
    /// The annotations, or why they could not be read.
    pub(crate) object: Result<SteeredObject, PortError>,
}

impl<'a> Target<'a> {
    /// Reads the workload.
    ///
    /// # Errors
    /// If no workload can be read.
    pub(crate) async fn read(
        workload: &'a WorkloadToSteer,
        connection: &Connection,
    ) -> Result<Self, PortError> {
        let actuator = KubernetesActuator::new(connection.clone(), workload.kubernetes.clone())?;
        let steering = actuator.steering();
        let object = steering.read().await.map_err(PortError::from);
        match object {
            Err(error) if error.kind == PortErrorKind::Setup => Err(error),
            object => Ok(Self {
                workload,
                steering,
                object,
            }),
        }
    }

    /// Whether the plan with this id is stored on the workload.
    pub(crate) fn has_plan(&self, id: &str) -> bool {
        self.plan().is_some_and(|plan| plan.id == id)
    }

    /// The plan that waits for approval, if there is one that has not expired.
    pub(crate) fn waiting_plan(&self) -> Option<&ProposedPlan> {
        let object = self.object.as_ref().ok()?;
        let proposal = object.proposal.as_ref()?;
        let plan = proposal.current(object.at);
        plan.filter(|plan| !proposal.approves(plan))
    }

    fn plan(&self) -> Option<&ProposedPlan> {
        let object = self.object.as_ref().ok()?;
        object.proposal.as_ref()?.plan.as_ref()
    }
}

/// Why a command failed for a workload.
pub(crate) enum Failure {
    /// The command line is wrong.
    Usage(SettingsError),
    /// The workload could not be read or changed.
    Port(PortError),
}

impl From<PortError> for Failure {
    fn from(error: PortError) -> Self {
        Self::Port(error)
    }
}

impl From<K8sError> for Failure {
    fn from(error: K8sError) -> Self {
        Self::Port(error.into())
    }
}
