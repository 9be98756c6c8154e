//! The scheduler and kubelet of the simulated node.

mod logs;
mod status;

use std::{
    collections::{HashMap, HashSet},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU32, Ordering},
    },
    time::{Duration, Instant},
};

use futures::{StreamExt as _, pin_mut};
use k8s_openapi::api::core::v1::{
    DaemonEndpoint, Node, NodeAddress, NodeDaemonEndpoints, NodeStatus, Pod,
};
use kube::{
    Api, ResourceExt as _,
    api::{DeleteParams, Patch, PatchParams, PostParams, Preconditions, WatchEvent, WatchParams},
};
use serde_json::{Value, json};
use tokio::sync::{Semaphore, watch};

use crate::{
    Error, Result, RunningPod, StartFailure, annotation,
    container::{Containers, Ended, Probe},
    meters::Meters,
    work::Works,
};
use status::Health;

/// The name of the only node.
const NODE: &str = "harness";

/// Maximum number of concurrent requests. More would not be faster on a few cores, and would delay
/// the program under test.
const CONCURRENCY: usize = 24;

/// Retry period of failed requests. A test may stop the API server for some seconds. Responses that
/// make a retry pointless end it earlier.
const PATIENCE: Duration = Duration::from_secs(60);

/// The period of readiness probes, whatever the pod says: a test would wait for longer ones.
const PROBE_PERIOD: Duration = Duration::from_millis(500);

/// Default termination time of a pod.
const TERMINATE_AFTER: Duration = Duration::from_millis(300);

/// The scheduler and kubelet of all pods of the control plane.
#[derive(Clone)]
pub(crate) struct Kubelet {
    client: kube::Client,
    meters: Arc<Meters>,
    requests: Arc<Semaphore>,
    /// By pod UID: whether termination has begun.
    pods: Arc<Mutex<HashMap<String, bool>>>,
    /// Namespaces in which new pods do not become ready.
    held: watch::Sender<HashSet<String>>,
    /// By namespace: the failure of its new pods.
    start_failures: Arc<Mutex<HashMap<String, StartFailure>>>,
    containers: Containers,
    works: Arc<Works>,
    addresses: Arc<AtomicU32>,
    errors: Arc<Mutex<Vec<String>>>,
}

impl Kubelet {
    /// Registers the node, and serves its pods on the current runtime.
    pub(crate) async fn start(
        client: kube::Client,
        meters: Arc<Meters>,
        works: Arc<Works>,
    ) -> Result<Self> {
        let containers = Containers::default();
        let node = node(logs::serve(containers.clone()).await?);
        Api::<Node>::all(client.clone())
            .create(&PostParams::default(), &node)
            .await
            .map_err(Error::kube("create the node"))?;
        let kubelet = Self {
            client,
            meters,
            requests: Arc::new(Semaphore::new(CONCURRENCY)),
            pods: Arc::default(),
            held: watch::Sender::default(),
            start_failures: Arc::default(),
            containers,
            works,
            addresses: Arc::default(),
            errors: Arc::default(),
        };
        tokio::spawn(kubelet.clone().serve());
        Ok(kubelet)
    }

    /// Sets whether pods of a namespace that are not ready yet have to wait.
    pub(crate) fn hold(&self, namespace: &str, hold: bool) {
        self.held.send_modify(|held| {
            if hold {
                held.insert(namespace.to_owned());
            } else {
                held.remove(namespace);
            }
        });
    }

    /// Sets the failure of the namespace's future pods.
    pub(crate) fn set_failure(&self, namespace: &str, failure: Option<StartFailure>) {
        let mut failures = self
            .start_failures
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        match failure {
            Some(failure) => failures.insert(namespace.to_owned(), failure),
            None => failures.remove(namespace),
        };
    }

    /// The failure of a new pod, by its annotation or its namespace.
    fn start_failure_of(&self, pod: &Pod) -> Option<StartFailure> {
        if let Some(reason) = pod.annotations().get(annotation::FAILURE) {
            return StartFailure::of_reason(reason);
        }
        let failures = self
            .start_failures
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        failures.get(&pod.namespace()?).copied()
    }

    /// The real containers.
    pub(crate) fn containers(&self) -> &Containers {
        &self.containers
    }

    /// The kubelet's errors so far, shown when a wait for pods times out.
    pub(crate) fn errors(&self) -> Vec<String> {
        self.errors
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    async fn serve(self) {
        loop {
            if let Err(error) = self.follow().await {
                self.note(&error);
                tokio::time::sleep(Duration::from_millis(200)).await;
            }
        }
    }

    /// Lists all pods, then watches for changes until the watch ends.
    async fn follow(&self) -> Result<()> {
        let api = Api::<Pod>::all(self.client.clone());
        let list = api
            .list(&Default::default())
            .await
            .map_err(Error::kube("list pods"))?;
        let mut version = list.metadata.resource_version.unwrap_or_default();
        for pod in list.items {
            self.see(pod);
        }
        loop {
            let events = api
                .watch(&WatchParams::default(), &version)
                .await
                .map_err(Error::kube("watch pods"))?;
            pin_mut!(events);
            while let Some(event) = events.next().await {
                match event.map_err(Error::kube("watch pods"))? {
                    WatchEvent::Added(pod) | WatchEvent::Modified(pod) => {
                        version = pod.resource_version().unwrap_or(version);
                        self.see(pod);
                    }
                    WatchEvent::Deleted(pod) => {
                        version = pod.resource_version().unwrap_or(version);
                        let uid = pod.uid().unwrap_or_default();
                        self.meters.stop(&uid);
                        self.pods
                            .lock()
                            .unwrap_or_else(PoisonError::into_inner)
                            .remove(&uid);
                    }
                    WatchEvent::Bookmark(bookmark) => version = bookmark.metadata.resource_version,
                    WatchEvent::Error(status) => {
                        return Err(Error::kube("watch pods")(kube::Error::Api(status)));
                    }
                }
            }
        }
    }

    /// Starts the work for a pod, once.
    fn see(&self, pod: Pod) {
        let Some(uid) = pod.uid() else { return };
        let ends = pod.metadata.deletion_timestamp.is_some();
        {
            let mut pods = self.pods.lock().unwrap_or_else(PoisonError::into_inner);
            let ending = pods.get(&uid).copied();
            if ending == Some(true) || (ending == Some(false) && !ends) {
                return;
            }
            pods.insert(uid, ends);
        }
        let kubelet = self.clone();
        tokio::spawn(async move {
            let result = if ends {
                kubelet.finish(&pod).await
            } else {
                kubelet.run(&pod).await
            };
            if let Err(error) = result {
                kubelet.note(&error);
            }
        });
    }

    /// Binds a pod, starts its containers and makes it ready.
    async fn run(&self, pod: &Pod) -> Result<()> {
        let flag = |key: &str| {
            pod.annotations()
                .get(key)
                .is_some_and(|value| value == "true")
        };
        if flag(annotation::UNSCHEDULED) {
            return Ok(());
        }
        let (namespace, name) = (pod.namespace().unwrap_or_default(), pod.name_any());
        let api = Api::<Pod>::namespaced(self.client.clone(), &namespace);
        let set_status = async |status: Value| {
            let patch = Patch::Merge(json!({"status": status}));
            let params = PatchParams::default();
            self.request("set the status of", &name, || {
                api.patch_status(&name, &params, &patch)
            })
            .await
        };
        let failure = self.start_failure_of(pod);
        if failure == Some(StartFailure::Unschedulable) {
            return set_status(status::unschedulable(pod)).await;
        }
        if pod
            .spec
            .as_ref()
            .and_then(|spec| spec.node_name.as_ref())
            .is_none()
        {
            let binding = json!({
                "apiVersion": "v1",
                "kind": "Binding",
                "metadata": {"name": name, "uid": pod.uid()},
                "target": {"apiVersion": "v1", "kind": "Node", "name": NODE},
            });
            let params = PostParams::default();
            self.request("bind", &name, || {
                api.create_subresource::<_, Value>("binding", &name, &params, &binding)
            })
            .await?;
        }

        let address = self.address();
        let started = status::now();
        let is = |health: Health| status::bound(pod, &address, &started, health);
        if let Some(failure) = failure {
            return set_status(is(Health::Failing(failure))).await;
        }
        if Containers::runs(pod) {
            let probing = async {
                let Some(probe) = Probe::readiness(pod)? else {
                    set_status(is(Health::Ready)).await?;
                    return std::future::pending().await;
                };
                set_status(is(Health::Starting)).await?;
                let mut ready = false;
                loop {
                    let succeeds = probe.succeeds().await;
                    if succeeds != ready {
                        let health = if succeeds {
                            Health::Ready
                        } else {
                            Health::Starting
                        };
                        set_status(is(health)).await?;
                        ready = succeeds;
                    }
                    tokio::time::sleep(PROBE_PERIOD).await;
                }
            };
            let ended = tokio::select! {
                ended = self.containers.run(&self.client, pod) => ended?,
                error = probing => return error,
            };
            let spec = pod.spec.as_ref();
            let policy = spec.and_then(|spec| spec.restart_policy.as_deref());
            if policy == Some("Never") {
                return set_status(status::ended(pod, &started, ended.code)).await;
            }
            if self.is_terminating(pod) {
                return Ok(());
            }
            // A kubelet would start it again, and a test would not notice that it ended.
            let Ended { code, log } = ended;
            set_status(is(Health::Failing(StartFailure::CrashLoopBackOff))).await?;
            return Err(Error::Document {
                what: format!("the resident container of pod {name}"),
                message: format!("it ended with {code} by itself: {log}"),
            });
        }
        self.meters.start(pod, NODE, !flag(annotation::UNMEASURED));
        let delay = seconds(pod, annotation::READY_AFTER).unwrap_or_default();
        let never = flag(annotation::NEVER_READY);
        let is_held = || self.held.borrow().contains(&namespace);
        if never || !delay.is_zero() || is_held() {
            set_status(is(Health::Starting)).await?;
        }
        if never {
            return Ok(());
        }
        tokio::time::sleep(delay).await;
        // The sender is owned by this kubelet, so it still exists.
        let _ = self
            .held
            .subscribe()
            .wait_for(|held| !held.contains(&namespace))
            .await;
        // A pod that starts slowly has joined its group before it is ready.
        self.work(pod, true).await?;
        set_status(is(Health::Ready)).await
    }

    /// Whether the deletion of a pod was requested.
    fn is_terminating(&self, pod: &Pod) -> bool {
        let pods = self.pods.lock().unwrap_or_else(PoisonError::into_inner);
        let uid = pod.uid().unwrap_or_default();
        // A pod that is gone was deleted.
        pods.get(&uid).copied().unwrap_or(true)
    }

    /// Starts or stops the namespace's [`Work`](crate::Work) in a pod.
    async fn work(&self, pod: &Pod, starts: bool) -> Result<()> {
        let Some(work) = self.works.of(&pod.namespace().unwrap_or_default()) else {
            return Ok(());
        };
        let uid = pod.uid().unwrap_or_default();
        let running = RunningPod::new(pod.name_any(), uid, Arc::clone(&self.meters));
        let call = move || {
            if starts {
                work.start(running);
            } else {
                work.stop(&running);
            }
        };
        tokio::task::spawn_blocking(call)
            .await
            .map_err(Error::document("the work in a pod"))
    }

    /// Terminates a pod after its deletion was requested.
    async fn finish(&self, pod: &Pod) -> Result<()> {
        let (namespace, name) = (pod.namespace().unwrap_or_default(), pod.name_any());
        let api = Api::<Pod>::namespaced(self.client.clone(), &namespace);
        tokio::time::sleep(seconds(pod, annotation::TERMINATE_AFTER).unwrap_or(TERMINATE_AFTER))
            .await;
        self.work(pod, false).await?;
        let uid = pod.uid().unwrap_or_default();
        self.meters.stop(&uid);
        self.containers.terminate(pod).await;
        // A replacement may have the same name by now.
        let params = DeleteParams {
            grace_period_seconds: Some(0),
            preconditions: Some(Preconditions {
                uid: pod.uid(),
                resource_version: None,
            }),
            ..DeleteParams::default()
        };
        self.request("delete", &name, || api.delete(&name, &params))
            .await
    }

    /// Repeats a request until it succeeds, or until a retry is pointless.
    async fn request<T, F: Future<Output = kube::Result<T>>>(
        &self,
        action: &str,
        name: &str,
        request: impl Fn() -> F,
    ) -> Result<()> {
        let started = Instant::now();
        loop {
            // The semaphore is never closed.
            let permit = self.requests.acquire().await;
            let result = request().await;
            drop(permit);
            match result {
                Ok(_) => return Ok(()),
                // The pod is gone, or replaced by another one.
                Err(kube::Error::Api(status)) if matches!(status.code, 404 | 409) => return Ok(()),
                Err(_) if started.elapsed() < PATIENCE => {
                    tokio::time::sleep(Duration::from_millis(200)).await;
                }
                Err(error) => return Err(Error::kube(format!("{action} pod {name}"))(error)),
            }
        }
    }

    fn address(&self) -> String {
        let number = self.addresses.fetch_add(1, Ordering::Relaxed);
        let [_, high, middle, low] = number.to_be_bytes();
        format!("10.{}.{middle}.{low}", 100 + high % 100)
    }

    fn note(&self, error: &Error) {
        self.errors
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(error.to_string());
    }
}

/// The status of a running pod after its measured container was killed for its memory usage and
/// restarted. `None` if the pod does not run.
pub(crate) fn restarted(pod: &Pod) -> Option<Value> {
    let status = status::restarted(pod)?;
    Some(json!({"status": status}))
}

/// The only node, with the address of its kubelet.
fn node(port: u16) -> Node {
    let mut node = Node::default();
    node.metadata.name = Some(NODE.to_owned());
    node.status = Some(NodeStatus {
        addresses: Some(vec![NodeAddress {
            address: "127.0.0.1".to_owned(),
            type_: "InternalIP".to_owned(),
        }]),
        daemon_endpoints: Some(NodeDaemonEndpoints {
            kubelet_endpoint: Some(DaemonEndpoint { port: port.into() }),
        }),
        ..NodeStatus::default()
    });
    node
}

fn seconds(pod: &Pod, key: &str) -> Option<Duration> {
    let value = pod.annotations().get(key)?.parse().ok()?;
    Duration::try_from_secs_f64(value).ok()
}
