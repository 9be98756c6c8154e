//! The Lease of `coordination.k8s.io/v1` by which one run at a time acts on a workload.
//!
//! The existing crates do not fit: kube-leader-election 0.44 depends on another version of kube,
//! and kube-lease-manager 0.13 waits for its turn and renews from a background task. A run takes
//! the lease or ends, and must know before each eviction how long it still has the lease.
//!
//! Leases usually depend on synchronized clocks: the clock of a run that judges a lease must not be
//! ahead of the clock of the run that wrote it. Here every instant is written and judged by the
//! clock of the API server, which is known from its responses, so the clocks of the runs do not
//! matter. Races are decided by the `resourceVersion` of every update.

mod name;
mod object;
mod requests;

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

use async_trait::async_trait;
use jiff::Timestamp;
use rebalancer_core::hold_record::HoldRecord;
use rebalancer_core::lease::LeaseHolder;
use rebalancer_core::model::{Seconds, WorkloadRef};
use rebalancer_core::ports::{LeaseState, PortError, RunLease};

use crate::api::Api;
use crate::connection::Connection;
use crate::error::{K8sError, check_name};
use crate::kind::WorkloadKind;

use name::name_of;
use object::{Lease, Spec, Standing};
use requests::Written;

/// The number of attempts to write the Lease while other clients write it.
const ATTEMPTS: usize = 3;
/// The name of the holder of a Lease that was lost to a run that has ended since.
const ENDED_RUN: &str = "another run, which has ended since";

/// The [`RunLease`] of one workload, made by
/// [`KubernetesActuator::lease`](crate::KubernetesActuator::lease), or that of the leader of
/// several processes, made by [`Connection::leader_lease`](crate::Connection::leader_lease).
pub struct KubernetesLease {
    api: Api,
    /// The workload; `None` for the lease of a leader.
    workload: Option<(WorkloadRef, WorkloadKind)>,
    namespace: String,
    name: String,
    identity: String,
    /// The Lease as this run last wrote it; `None` while this run does not hold it.
    held: Mutex<Option<Lease>>,
    /// The record of this run's hold, which the release writes; `None` to keep what there is.
    hold: Mutex<Option<Option<HoldRecord>>>,
    /// This run tried to write the Lease and got no reliable response, so it may hold the Lease.
    in_doubt: AtomicBool,
}

/// The lease of a workload, as a bystander sees it.
#[derive(Debug, Clone, Default)]
pub struct ObservedLease {
    /// The run that acts; `None` if none does.
    pub holder: Option<LeaseHolder>,
    /// The time at which the Lease was last renewed or released.
    pub renewed: Option<Timestamp>,
    /// The hold of the last run that acts; `None` if it did not hold.
    pub last_hold: Option<HoldRecord>,
}

impl Connection {
    /// Returns the lease that the leader of several processes holds. `identity` names this process
    /// to the others, and must be unique. Without a namespace, the lease is in that of the pod's
    /// service account, or of the context of the kubeconfig. Sends no request.
    ///
    /// # Errors
    /// [`K8sError::InvalidName`] if the namespace or the name is not one that Kubernetes allows.
    pub fn leader_lease(
        &self,
        namespace: Option<&str>,
        name: &str,
        identity: impl Into<String>,
    ) -> Result<KubernetesLease, K8sError> {
        let namespace = self.namespace_or_default(namespace);
        for (what, given) in [("the namespace", namespace), ("the Lease", name)] {
            check_name(what, given)?;
        }
        let api = Api::new(self.clone());
        let (namespace, name) = (namespace.to_owned(), name.to_owned());
        Ok(KubernetesLease::named(
            api,
            namespace,
            name,
            identity.into(),
        ))
    }
}

impl KubernetesLease {
    pub(crate) fn new(
        api: Api,
        workload: WorkloadRef,
        kind: &WorkloadKind,
        identity: String,
    ) -> Self {
        let name = name_of(kind.kind(), &workload.name);
        let namespace = workload.namespace.clone();
        Self {
            workload: Some((workload, kind.clone())),
            ..Self::named(api, namespace, name, identity)
        }
    }

    /// A lease that is not about a workload.
    pub(crate) fn named(api: Api, namespace: String, name: String, identity: String) -> Self {
        Self {
            api,
            workload: None,
            namespace,
            name,
            identity,
            held: Mutex::new(None),
            hold: Mutex::new(None),
            in_doubt: AtomicBool::new(false),
        }
    }

    /// Sends the next requests over another connection. What is known about the Lease stays.
    pub fn set_connection(&mut self, connection: Connection) {
        self.api = Api::new(connection);
    }

    /// The name of the Lease: `rebalancer-deployment-ingestion`, in the workload's namespace.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    fn held(&self) -> Option<Lease> {
        self.lock().clone()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Option<Lease>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The record that this run set.
    fn new_hold(&self) -> Option<Option<HoldRecord>> {
        self.hold
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    fn keep(&self, lease: Lease) -> LeaseState {
        *self.lock() = Some(lease);
        LeaseState::Held
    }

    /// Writes the Lease with this run as the holder, and records whether the outcome is unknown.
    async fn claim(
        &self,
        writing: impl Future<Output = Result<Written, K8sError>>,
    ) -> Result<Written, K8sError> {
        // Set before the request: a run that is asked to stop does not wait for the response.
        let before = self.in_doubt.swap(true, Ordering::Relaxed);
        let written = writing.await;
        let in_doubt = match &written {
            Ok(Written::Done(_)) => false,
            Ok(Written::Raced(_)) => before,
            Err(error) => before || may_be_written(error),
        };
        self.in_doubt.store(in_doubt, Ordering::Relaxed);
        written
    }

    /// Writes an existing Lease with this run as the holder.
    async fn hold(&self, lease: Lease) -> Result<Written, K8sError> {
        let now = self.api.now();
        self.claim(self.update(lease, |spec| spec.held_by(&self.identity, now)))
            .await
    }

    /// Reads the Lease without taking part.
    pub(crate) async fn observe(&self) -> Result<ObservedLease, K8sError> {
        let Some(lease) = self.read().await? else {
            return Ok(ObservedLease::default());
        };
        let holder = match lease.spec.standing("", self.api.now()) {
            Standing::Other(holder) => Some(holder),
            Standing::Ours | Standing::Free => None,
        };
        Ok(ObservedLease {
            holder,
            renewed: lease.spec.renewed(),
            last_hold: lease.last_hold(),
        })
    }

    /// Takes the Lease if no other run holds it.
    async fn take(&self) -> Result<LeaseState, K8sError> {
        let mut attempts = 1..=ATTEMPTS;
        loop {
            attempts.next();
            let written = match self.read().await? {
                None => {
                    self.check_workload_exists().await?;
                    self.create().await?
                }
                Some(found) => match found.spec.standing(&self.identity, self.api.now()) {
                    Standing::Other(holder) => return Ok(LeaseState::HeldBy(holder)),
                    // `Ours`: this run wrote the Lease, and the response was lost.
                    Standing::Ours | Standing::Free => self.hold(found).await?,
                },
            };
            match written {
                Written::Done(lease) => return Ok(self.keep(lease)),
                Written::Raced(error) if attempts.is_empty() => return Err(error),
                Written::Raced(error) => {
                    tracing::debug!(%error, "another client wrote the Lease first")
                }
            }
        }
    }

    /// Renews the Lease.
    async fn extend(&self) -> Result<LeaseState, K8sError> {
        let Some(mut lease) = self.held() else {
            return Err(K8sError::LeaseNotHeld {
                lease: self.name.clone(),
                namespace: self.namespace.clone(),
            });
        };
        let mut attempts = 1..=ATTEMPTS;
        loop {
            attempts.next();
            let error = match self.hold(lease).await? {
                Written::Done(lease) => return Ok(self.keep(lease)),
                Written::Raced(error) => error,
            };
            let found = match self.read().await? {
                // The Lease was deleted. The run that creates it again holds it.
                None => match self.create().await? {
                    Written::Done(lease) => return Ok(self.keep(lease)),
                    Written::Raced(_) => self.read().await?,
                },
                found => found,
            };
            match found {
                // This run wrote the Lease and the response was lost, or another client changed
                // other fields.
                Some(found) if found.spec.holder() == Some(self.identity.as_str()) => lease = found,
                Some(found) => return Ok(self.lost(&found.spec)),
                None => return Err(error),
            }
            if attempts.is_empty() {
                return Err(error);
            }
        }
    }

    /// Forgets the Lease after another run took it. Even if that run has ended, the observed state
    /// of the workload is out of date.
    fn lost(&self, spec: &Spec) -> LeaseState {
        *self.lock() = None;
        self.in_doubt.store(false, Ordering::Relaxed);
        let holder = spec.holder().unwrap_or(ENDED_RUN);
        LeaseState::HeldBy(match spec.standing(&self.identity, self.api.now()) {
            Standing::Other(holder) => holder,
            Standing::Ours | Standing::Free => LeaseHolder {
                identity: holder.to_owned(),
                expires_seconds: Seconds::ZERO,
            },
        })
    }

    /// Removes this run as the holder, if it holds the Lease.
    async fn give_back(&self) -> Result<(), K8sError> {
        let mut lease = match self.held() {
            Some(lease) => lease,
            None if self.in_doubt.load(Ordering::Relaxed) => match self.read().await? {
                Some(found) if found.spec.holder() == Some(self.identity.as_str()) => found,
                Some(_) | None => return Ok(()),
            },
            None => return Ok(()),
        };
        let mut attempts = 1..=ATTEMPTS;
        loop {
            attempts.next();
            let now = self.api.now();
            if let Some(hold) = self.new_hold() {
                lease.set_last_hold(hold.as_ref());
            }
            let error = match self.update(lease, |spec| spec.released(now)).await? {
                Written::Done(_) => break,
                Written::Raced(error) => error,
            };
            match self.read().await? {
                Some(found) if found.spec.holder() == Some(self.identity.as_str()) => lease = found,
                // Another run holds the Lease, or it was deleted.
                Some(_) | None => break,
            }
            if attempts.is_empty() {
                return Err(error);
            }
        }
        *self.lock() = None;
        self.in_doubt.store(false, Ordering::Relaxed);
        Ok(())
    }
}

#[async_trait]
impl RunLease for KubernetesLease {
    async fn acquire(&self) -> Result<LeaseState, PortError> {
        let state = self.take().await?;
        tracing::debug!(
            lease = self.name,
            identity = self.identity,
            ?state,
            "result of acquiring the lease"
        );
        Ok(state)
    }

    async fn renew(&self) -> Result<LeaseState, PortError> {
        let state = self.extend().await?;
        tracing::debug!(lease = self.name, ?state, "lease renewed");
        Ok(state)
    }

    async fn release(&self) -> Result<(), PortError> {
        self.give_back().await?;
        tracing::debug!(lease = self.name, "lease released");
        Ok(())
    }

    fn last_hold(&self) -> Option<HoldRecord> {
        self.lock().as_ref()?.last_hold()
    }

    fn record_hold(&self, hold: Option<HoldRecord>) {
        *self.hold.lock().unwrap_or_else(PoisonError::into_inner) = Some(hold);
    }
}

/// Whether the Lease may have been written although the request failed.
fn may_be_written(error: &K8sError) -> bool {
    error.may_have_taken_effect()
        || matches!(
            error,
            K8sError::Server { .. } | K8sError::BadAnswer { .. } | K8sError::Redirect { .. }
        )
}
