//! The CPU counters of the simulated containers.

mod pod;

use std::{
    collections::{HashMap, HashSet},
    fmt::Write as _,
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt as _;

pub use pod::SecondSeries;
use pod::{IDLE, PodMeter, runtime_name};

/// The counters of all running pods.
#[derive(Debug, Default)]
pub(crate) struct Meters {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// Counters by pod UID.
    pods: HashMap<String, PodMeter>,
    /// Load of the first container of a new pod, by namespace and workload.
    newcomers: HashMap<(String, String), f64>,
    /// UIDs of terminated pods, so that a late event cannot start them again.
    ended: HashSet<String>,
}

impl Meters {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Starts the counters of a pod at zero.
    pub(crate) fn start(&self, pod: &Pod, node: &str, measured: bool) {
        let now = Instant::now();
        let mut state = self.lock();
        let uid = pod.uid().unwrap_or_default();
        if state.ended.contains(&uid) || state.pods.contains_key(&uid) {
            return;
        }
        let namespace = pod.namespace().unwrap_or_default();
        let key = (namespace, workload_of(pod));
        let load = state.newcomers.get(&key).copied().unwrap_or(IDLE);
        let (namespace, _) = key;
        let meter = PodMeter::new(pod, namespace, &uid, node, load, measured, now);
        state.pods.insert(uid, meter);
    }

    /// Removes the counters of a pod.
    pub(crate) fn stop(&self, uid: &str) {
        let mut state = self.lock();
        state.pods.remove(uid);
        state.ended.insert(uid.to_owned());
    }

    /// Sets the load of a workload's future pods, in cores.
    pub(crate) fn set_newcomers(&self, namespace: &str, workload: &str, cores: f64) {
        self.lock()
            .newcomers
            .insert((namespace.to_owned(), workload.to_owned()), cores);
    }

    /// Sets the load of a container of a running pod, in cores. Without a container name, sets that
    /// of the first container. Returns whether the container exists.
    pub(crate) fn set_load(&self, uid: &str, container: Option<&str>, cores: f64) -> bool {
        let now = Instant::now();
        let mut state = self.lock();
        let Some(pod) = state.pods.get_mut(uid) else {
            return false;
        };
        let mut containers = pod.containers.iter_mut();
        let counter = match container {
            Some(name) => containers.find(|counter| counter.name == name),
            None => containers.next(),
        };
        counter.is_some_and(|counter| {
            counter.set(cores, now);
            true
        })
    }

    /// Adds CPU seconds to the first container of a running pod.
    pub(crate) fn spend(&self, uid: &str, cpu_seconds: f64) {
        let mut state = self.lock();
        let pod = state.pods.get_mut(uid);
        if let Some(counter) = pod.and_then(|pod| pod.containers.first_mut()) {
            counter.base += cpu_seconds;
        }
    }

    /// Sets whether cadvisor reports the pod. Returns whether the pod exists.
    pub(crate) fn set_measured(&self, uid: &str, measured: bool) -> bool {
        let mut state = self.lock();
        let pod = state.pods.get_mut(uid);
        pod.is_some_and(|pod| {
            pod.measured = measured;
            true
        })
    }

    /// Adds a second series of each container of a pod. Returns whether the pod exists.
    pub(crate) fn duplicate_series(&self, uid: &str, second: SecondSeries) -> bool {
        let mut state = self.lock();
        let pod = state.pods.get_mut(uid);
        pod.is_some_and(|pod| {
            pod.second = Some(second);
            true
        })
    }

    /// Restarts the first container of a pod at the same load. As in a real runtime, it gets a new
    /// cgroup whose counter starts at zero. Returns whether the pod exists.
    pub(crate) fn restart(&self, uid: &str) -> bool {
        let now = Instant::now();
        let mut state = self.lock();
        let Some(pod) = state.pods.get_mut(uid) else {
            return false;
        };
        let Some(counter) = pod.containers.first_mut() else {
            return false;
        };
        let old = runtime_name(uid, 1, pod.restarts);
        pod.restarts += 1;
        let new = runtime_name(uid, 1, pod.restarts);
        counter.series = counter.series.replace(&old, &new);
        pod.spent_before += counter.value(now);
        counter.base = 0.0;
        counter.since = now;
        true
    }

    /// The load of a container of a running pod, in cores, and the time since that load was set.
    /// Without a container name, that of the first container.
    pub(crate) fn load(&self, uid: &str, container: Option<&str>) -> Option<(f64, Duration)> {
        let state = self.lock();
        let pod = state.pods.get(uid).filter(|pod| pod.measured)?;
        let mut containers = pod.containers.iter();
        let counter = match container {
            Some(name) => containers.find(|counter| counter.name == name),
            None => containers.next(),
        }?;
        Some((counter.cores, counter.since.elapsed()))
    }

    /// The cadvisor metrics.
    pub(crate) fn cadvisor(&self) -> String {
        let state = self.lock();
        let now = Instant::now();
        // As in cadvisor, samples carry timestamps, so rates are exact even if the response is read
        // late.
        let time = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default()
            .as_millis();
        let mut out = String::with_capacity(state.pods.len() * 1500 + 200);
        out.push_str("# TYPE container_cpu_usage_seconds_total counter\n");
        let mut all = 0.0;
        let mut line = |series: &str, value: f64| {
            // Writing to a string cannot fail.
            let _ = writeln!(out, "{series} {value} {time}");
        };
        for pod in state.pods.values().filter(|pod| pod.measured) {
            let mut sum = pod.spent_before;
            for counter in pod.containers.iter().chain([&pod.pause]) {
                let value = counter.value(now);
                sum += value;
                line(&counter.series, value);
                if let Some(second) = pod.second {
                    line(&second.beside(&counter.series), value);
                }
            }
            line(&pod.cgroup_series, sum);
            all += sum;
        }
        let root = r#"container_cpu_usage_seconds_total{container="",cpu="total",id="/",image="",name="",namespace="",pod=""}"#;
        line(root, all);
        out
    }

    /// The kube-state-metrics metrics about pods.
    pub(crate) fn requests(&self) -> String {
        let state = self.lock();
        let mut out = "# TYPE kube_pod_container_resource_requests gauge\n".to_owned();
        for pod in state.pods.values() {
            out.push_str(&pod.state_lines);
        }
        out
    }

    /// The number of pods in a namespace that have counters.
    pub(crate) fn count(&self, namespace: &str) -> usize {
        self.lock()
            .pods
            .values()
            .filter(|pod| pod.namespace == namespace)
            .count()
    }
}

/// The workload of a pod: its owner, or the Deployment that owns its ReplicaSet.
pub(crate) fn workload_of(pod: &Pod) -> String {
    let Some(owner) = pod.owner_references().first() else {
        return pod.name_any();
    };
    pod.labels()
        .get("pod-template-hash")
        .and_then(|hash| owner.name.strip_suffix(hash)?.strip_suffix('-'))
        .unwrap_or(&owner.name)
        .to_owned()
}
