//! One run at a time on a workload, through a Lease of `coordination.k8s.io/v1`.
//!
//! The crates for this do not fit: kube-leader-election 0.44 brings kube 4 beside ours, and
//! kube-lease-manager 0.13 waits for its turn and renews from a background task, where a run takes
//! the lease or leaves, and must know before each eviction how long it has it still.
//!
//! Clocks are the usual objection to leases: whoever judges when one ends must not be ahead of
//! whoever wrote it. Here every instant is written and judged by the clock of the API server, as
//! its answers tell it, so that the clocks of the runs do not matter. Races are decided by the
//! `resourceVersion` that every update names.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

use async_trait::async_trait;
use http::{Method, Request, header};
use jiff::{SignedDuration, Timestamp};
use rebalancer_core::lease::{DURATION, LeaseHolder};
use rebalancer_core::model::{Seconds, WorkloadRef};
use rebalancer_core::ports::{LeaseState, PortError, RunLease};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::annotations::WORKLOAD;
use crate::api::Api;
use crate::clock::MicroTime;
use crate::error::{Attempt, K8sError, Surroundings};
use crate::kind::WorkloadKind;
use crate::{suggestions, workload};

const GROUP: &str = "coordination.k8s.io";
/// How often a race for the lease is entered before it is given up.
const ATTEMPTS: usize = 3;
/// A lease that nobody holds, in the place of a holder's name.
const NOBODY: &str = "another run, which has ended since";
/// A name is no longer than a label may be, so that it can be one.
const LONGEST_NAME: usize = 63;

/// The [`RunLease`] of one workload, made by
/// [`KubernetesActuator::lease`](crate::KubernetesActuator::lease).
pub struct KubernetesLease {
    api: Api,
    workload: WorkloadRef,
    kind: WorkloadKind,
    name: String,
    identity: String,
    /// The Lease as it was when we last wrote it; `None` while it is not ours.
    held: Mutex<Option<Lease>>,
    /// It was to become ours, and there was no answer, or none to rely on: it may be.
    in_doubt: AtomicBool,
}

/// A Lease with all that it has, since an update replaces all of it.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Lease {
    metadata: Map<String, Value>,
    #[serde(default)]
    spec: Spec,
    #[serde(flatten)]
    rest: Map<String, Value>,
}

#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Spec {
    #[serde(skip_serializing_if = "Option::is_none")]
    holder_identity: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    lease_duration_seconds: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    acquire_time: Option<MicroTime>,
    #[serde(skip_serializing_if = "Option::is_none")]
    renew_time: Option<MicroTime>,
    #[serde(skip_serializing_if = "Option::is_none")]
    lease_transitions: Option<u32>,
    #[serde(flatten)]
    rest: Map<String, Value>,
}

/// Whose a Lease is.
#[derive(Debug)]
enum Standing {
    Ours,
    /// Nobody's, or of a run that did not renew it in time.
    Free,
    Other(LeaseHolder),
}

/// What came of writing the Lease.
enum Written {
    Done(Lease),
    /// Somebody else wrote it, or removed it, since it was read.
    Raced(K8sError),
}

impl Spec {
    /// Who holds it, if anybody.
    fn holder(&self) -> Option<&str> {
        self.holder_identity
            .as_deref()
            .filter(|holder| !holder.is_empty())
    }

    fn expires(&self) -> Option<Timestamp> {
        let duration = self.lease_duration_seconds.map_or_else(
            || SignedDuration::try_from(DURATION).unwrap_or(SignedDuration::MAX),
            |seconds| SignedDuration::from_secs(seconds.into()),
        );
        // Whoever does not say when they renewed it did not.
        let MicroTime(renewed) = self.renew_time?;
        Some(renewed.checked_add(duration).unwrap_or(Timestamp::MAX))
    }

    fn standing(&self, identity: &str, now: Timestamp) -> Standing {
        let Some(holder) = self.holder() else {
            return Standing::Free;
        };
        if holder == identity {
            return Standing::Ours;
        }
        let left = self
            .expires()
            .map_or(0.0, |expires| expires.duration_since(now).as_secs_f64());
        if left <= 0.0 {
            tracing::info!(
                holder,
                ended_seconds_ago = -left,
                "the lease of another run ended without being given back"
            );
            return Standing::Free;
        }
        Standing::Other(LeaseHolder {
            identity: holder.to_owned(),
            expires_seconds: Seconds::new(left).unwrap_or(Seconds::ZERO),
        })
    }

    /// The same, ours from now on.
    fn held_by(mut self, identity: &str, now: Timestamp) -> Self {
        let now = Some(MicroTime(now));
        if self.holder() != Some(identity) {
            self.holder_identity = Some(identity.to_owned());
            self.acquire_time = now;
            self.lease_transitions = self
                .lease_transitions
                .map(|so_far| so_far.saturating_add(1));
            self.lease_transitions.get_or_insert(0);
        }
        self.renew_time = now;
        self.lease_duration_seconds = Some(seconds_of_a_lease());
        self
    }

    /// The same, nobody's.
    fn released(mut self, now: Timestamp) -> Self {
        self.holder_identity = Some(String::new());
        self.renew_time = Some(MicroTime(now));
        // Zero is not allowed.
        self.lease_duration_seconds = Some(1);
        self
    }
}

fn seconds_of_a_lease() -> u32 {
    u32::try_from(DURATION.as_secs()).unwrap_or(u32::MAX)
}

impl KubernetesLease {
    pub(crate) fn new(
        api: Api,
        workload: WorkloadRef,
        kind: &WorkloadKind,
        identity: String,
    ) -> Self {
        Self {
            api,
            name: name(kind.kind(), &workload.name),
            workload,
            kind: kind.clone(),
            identity,
            held: Mutex::new(None),
            in_doubt: AtomicBool::new(false),
        }
    }

    /// The name of the Lease, in the workload's namespace: `rebalancer-deployment-ingestion`.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    fn attempt(&self, verb: &'static str) -> Attempt {
        Attempt::on(verb, GROUP, "leases", &self.workload.namespace, &self.name)
    }

    fn collection(&self) -> String {
        let namespace = &self.workload.namespace;
        format!("/apis/{GROUP}/v1/namespaces/{namespace}/leases")
    }

    fn path(&self) -> String {
        format!("{}/{}", self.collection(), self.name)
    }

    fn held(&self) -> Option<Lease> {
        self.lock().clone()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Option<Lease>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn keep(&self, lease: Lease) -> LeaseState {
        *self.lock() = Some(lease);
        LeaseState::Held
    }

    async fn read(&self) -> Result<Option<Lease>, K8sError> {
        match self.api.get(&self.attempt("get"), &self.path(), None).await {
            Err(K8sError::NotFound { .. }) => Ok(None),
            lease => lease.map(Some),
        }
    }

    async fn create(&self) -> Result<Written, K8sError> {
        let lease = json!({
            "apiVersion": "coordination.k8s.io/v1",
            "kind": "Lease",
            "metadata": {
                "name": self.name,
                "namespace": self.workload.namespace,
                "labels": {"app.kubernetes.io/managed-by": "rebalancer"},
                "annotations": {WORKLOAD: self.workload.to_string()},
            },
            "spec": Spec::default().held_by(&self.identity, self.api.now()),
        });
        let attempt = self.attempt("create");
        let writing = self.write(&attempt, Method::POST, self.collection(), &lease);
        match self.claim(writing).await {
            Err(K8sError::NotFound { message, .. }) if message.contains("namespaces \"") => {
                Err(K8sError::WorkloadNotFound {
                    workload: Box::new(self.workload.clone()),
                    surroundings: Surroundings::NoNamespace,
                })
            }
            // Not the workload is missing, but whoever would keep Leases.
            Err(K8sError::NotFound {
                from_api: true,
                attempt,
                message,
            }) => Err(K8sError::Rejected {
                attempt,
                code: 404,
                message,
            }),
            written => written,
        }
    }

    /// Writes the Lease as ours, and keeps in mind where nobody knows what came of it.
    async fn claim(
        &self,
        writing: impl Future<Output = Result<Written, K8sError>>,
    ) -> Result<Written, K8sError> {
        // Before it is sent: a run that is asked to stop does not wait for the answer.
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

    /// Fails when there is no such workload: a Lease for a name that was mistyped would stay for
    /// ever. Whatever else is wrong with it the observation tells.
    async fn look_for_workload(&self) -> Result<(), K8sError> {
        match workload::exists(&self.api, &self.workload, &self.kind).await {
            Err(K8sError::NotFound { from_api: true, .. }) => {
                Err(suggestions::not_found(&self.api, &self.workload).await)
            }
            Err(error @ K8sError::KindNotServed { .. }) => Err(error),
            Err(error) => {
                tracing::debug!(%error, "not known whether the workload exists");
                Ok(())
            }
            Ok(()) => Ok(()),
        }
    }

    async fn update(
        &self,
        mut lease: Lease,
        spec: impl Fn(Spec) -> Spec,
    ) -> Result<Written, K8sError> {
        lease.spec = spec(lease.spec);
        let attempt = self.attempt("update");
        match self.write(&attempt, Method::PUT, self.path(), &lease).await {
            Err(error @ K8sError::NotFound { .. }) => Ok(Written::Raced(error)),
            written => written,
        }
    }

    async fn write(
        &self,
        attempt: &Attempt,
        method: Method,
        path: String,
        lease: &impl Serialize,
    ) -> Result<Written, K8sError> {
        let body =
            serde_json::to_vec(lease).map_err(|error| self.api.bad_answer(attempt, &error))?;
        let request = Request::builder()
            .method(method)
            .uri(format!("{path}?fieldManager=rebalancer"))
            .header(header::CONTENT_TYPE, "application/json")
            .header(header::ACCEPT, "application/json")
            .body(body);
        Ok(match self.api.write_for(attempt, request).await? {
            Ok(lease) => Written::Done(lease),
            Err(refusal) => {
                let raced = refusal.code == 409;
                let error = refusal.into_error(attempt, self.api.server());
                if !raced {
                    return Err(error);
                }
                Written::Raced(error)
            }
        })
    }

    /// Writes the Lease as ours.
    async fn hold(&self, lease: Lease) -> Result<Written, K8sError> {
        let now = self.api.now();
        self.claim(self.update(lease, |spec| spec.held_by(&self.identity, now)))
            .await
    }

    async fn take(&self) -> Result<LeaseState, K8sError> {
        let mut attempts = 1..=ATTEMPTS;
        loop {
            attempts.next();
            let written = match self.read().await? {
                None => {
                    self.look_for_workload().await?;
                    self.create().await?
                }
                Some(found) => match found.spec.standing(&self.identity, self.api.now()) {
                    Standing::Other(holder) => return Ok(LeaseState::HeldBy(holder)),
                    // Ours is one that we wrote without learning of it.
                    Standing::Ours | Standing::Free => self.hold(found).await?,
                },
            };
            match written {
                Written::Done(lease) => return Ok(self.keep(lease)),
                Written::Raced(error) if attempts.is_empty() => return Err(error),
                Written::Raced(error) => tracing::debug!(%error, "another run was faster"),
            }
        }
    }

    async fn take_further(&self) -> Result<LeaseState, K8sError> {
        let Some(mut lease) = self.held() else {
            return Err(K8sError::LeaseNotHeld {
                lease: self.name.clone(),
                namespace: self.workload.namespace.clone(),
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
                // Somebody removed it. Who creates it again is who holds it.
                None => match self.create().await? {
                    Written::Done(lease) => return Ok(self.keep(lease)),
                    Written::Raced(_) => self.read().await?,
                },
                found => found,
            };
            match found {
                // We wrote it and did not learn of it, or somebody wrote something else on it.
                Some(found) if found.spec.holder() == Some(self.identity.as_str()) => lease = found,
                Some(found) => return Ok(self.lost(&found.spec)),
                None => return Err(error),
            }
            if attempts.is_empty() {
                return Err(error);
            }
        }
    }

    /// Another run had it meanwhile, whether or not it still does: what we know of the workload
    /// is no longer so.
    fn lost(&self, spec: &Spec) -> LeaseState {
        *self.lock() = None;
        self.in_doubt.store(false, Ordering::Relaxed);
        let holder = spec.holder().unwrap_or(NOBODY);
        LeaseState::HeldBy(match spec.standing(&self.identity, self.api.now()) {
            Standing::Other(holder) => holder,
            Standing::Ours | Standing::Free => LeaseHolder {
                identity: holder.to_owned(),
                expires_seconds: Seconds::ZERO,
            },
        })
    }

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
            let error = match self.update(lease, |spec| spec.released(now)).await? {
                Written::Done(_) => break,
                Written::Raced(error) => error,
            };
            match self.read().await? {
                Some(found) if found.spec.holder() == Some(self.identity.as_str()) => lease = found,
                // Another run has it by now, or it is gone: it is not ours to give back.
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
        tracing::debug!(lease = self.name, identity = self.identity, ?state, "lease");
        Ok(state)
    }

    async fn renew(&self) -> Result<LeaseState, PortError> {
        let state = self.take_further().await?;
        tracing::debug!(lease = self.name, ?state, "lease renewed");
        Ok(state)
    }

    async fn release(&self) -> Result<(), PortError> {
        self.give_back().await?;
        tracing::debug!(lease = self.name, "lease given back");
        Ok(())
    }
}

/// What was to be written may stand there although this was answered, or nothing was.
fn may_be_written(error: &K8sError) -> bool {
    error.may_have_taken_effect()
        || matches!(
            error,
            K8sError::Server { .. } | K8sError::BadAnswer { .. } | K8sError::Redirect { .. }
        )
}

/// The name of a workload's Lease. Workloads of one name but of kinds that differ in their group
/// alone share it, which costs them only that they wait for each other.
fn name(kind: &str, workload: &str) -> String {
    let full = format!("rebalancer-{}-{workload}", kind.to_ascii_lowercase());
    let allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    let plain = full.bytes().all(|byte| allowed(byte) || byte == b'.');
    if plain && full.len() <= LONGEST_NAME {
        return full;
    }
    let suffix = format!("-{:08x}", fnv(full.as_bytes()));
    let mut short: String = full
        .chars()
        .map(|letter| match u8::try_from(letter) {
            Ok(byte) if allowed(byte) => letter,
            Ok(_) | Err(_) => '-',
        })
        .take(LONGEST_NAME - suffix.len())
        .collect();
    short.push_str(&suffix);
    short
}

/// FNV-1a: the standard library's hash may differ from one build to the next, and two versions of
/// this program must mean the same lease.
fn fnv(bytes: &[u8]) -> u32 {
    bytes.iter().fold(0x811c_9dc5, |hash, &byte| {
        (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case("Deployment", "ingestion", "rebalancer-deployment-ingestion")]
    #[case("StatefulSet", "db.main", "rebalancer-statefulset-db.main")]
    fn a_lease_is_named_after_its_workload(
        #[case] kind: &str,
        #[case] workload: &str,
        #[case] expected: &str,
    ) {
        assert_eq!(name(kind, workload), expected);
    }

    #[rstest]
    #[case("a".repeat(200), "a".repeat(201))]
    #[case(format!("{}.b", "a".repeat(60)), format!("{}.c", "a".repeat(60)))]
    #[case("A_b".into(), "a:b".into())]
    fn names_that_are_too_long_differ_still(#[case] one: String, #[case] other: String) {
        let names = [one, other].map(|workload| name("Deployment", &workload));
        assert_ne!(names[0], names[1]);
        for name in names {
            assert!(name.len() <= LONGEST_NAME, "{name}");
            let allowed =
                |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
            assert!(name.bytes().all(allowed), "{name}");
            assert!(!name.ends_with('-'), "{name}");
        }
        // The same in every build.
        assert_eq!(fnv(b"a"), 0xe40c_292c);
    }

    fn now() -> Timestamp {
        "2026-01-02T03:10:00Z".parse().unwrap()
    }

    fn spec(spec: Value) -> Spec {
        serde_json::from_value(spec).unwrap()
    }

    #[rstest]
    #[case::nobodys(json!({}), "free")]
    #[case::released(json!({"holderIdentity": "", "leaseDurationSeconds": 1,
        "renewTime": "2026-01-02T03:10:00.000000Z"}), "free")]
    #[case::ours(json!({"holderIdentity": "me"}), "ours")]
    #[case::never_renewed(json!({"holderIdentity": "you"}), "free")]
    #[case::ended(json!({"holderIdentity": "you", "leaseDurationSeconds": 90,
        "renewTime": "2026-01-02T03:08:30.000000Z"}), "free")]
    #[case::lasting(json!({"holderIdentity": "you", "leaseDurationSeconds": 90,
        "renewTime": "2026-01-02T03:08:31.500000Z"}), "you for 1.5 s")]
    #[case::of_our_usual_length(json!({"holderIdentity": "you",
        "renewTime": "2026-01-02T03:10:00.000000Z"}), "you for 90 s")]
    #[case::longer_than_time(json!({"holderIdentity": "you", "leaseDurationSeconds": u32::MAX,
        "renewTime": "9999-12-01T00:00:00.000000Z"}), "other")]
    fn a_lease_belongs_to_whom_it_says_until_it_ends(#[case] given: Value, #[case] expected: &str) {
        let found = match spec(given).standing("me", now()) {
            Standing::Ours => "ours".into(),
            Standing::Free => "free".into(),
            Standing::Other(_) if expected == "other" => "other".into(),
            Standing::Other(holder) => {
                format!("{} for {} s", holder.identity, holder.expires_seconds.get())
            }
        };
        assert_eq!(found, expected);
    }

    #[test]
    fn taking_over_counts_and_renewing_does_not() {
        let taken = spec(
            json!({"holderIdentity": "you", "leaseTransitions": 3, "strategy": "x",
            "acquireTime": "2026-01-02T03:00:00.000000Z"}),
        )
        .held_by("me", now());
        assert_eq!(
            serde_json::to_value(&taken).unwrap(),
            json!({"holderIdentity": "me", "leaseDurationSeconds": 90, "leaseTransitions": 4,
                "acquireTime": "2026-01-02T03:10:00.000000Z",
                "renewTime": "2026-01-02T03:10:00.000000Z", "strategy": "x"})
        );
        let later = "2026-01-02T03:10:20.1234567Z".parse().unwrap();
        assert_eq!(
            serde_json::to_value(taken.held_by("me", later)).unwrap(),
            json!({"holderIdentity": "me", "leaseDurationSeconds": 90, "leaseTransitions": 4,
                "acquireTime": "2026-01-02T03:10:00.000000Z",
                "renewTime": "2026-01-02T03:10:20.123456Z", "strategy": "x"})
        );
    }
}
