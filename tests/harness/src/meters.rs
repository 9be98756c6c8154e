//! The CPU counters of the imagined containers.

use std::{
    collections::{HashMap, HashSet},
    fmt::Write as _,
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt as _;

use crate::quantity::cores;

/// Load of a container that nobody gave one, in cores: sidecars and the like.
const IDLE: f64 = 0.01;
/// Load of a pod's pause container, in cores.
const PAUSE: f64 = 0.000_5;

/// The counters of every running pod.
#[derive(Debug, Default)]
pub(crate) struct Meters {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// By UID.
    pods: HashMap<String, PodMeter>,
    /// Load of the first container of a new pod, by namespace and workload.
    newcomers: HashMap<(String, String), f64>,
    /// UIDs that have ended, so that a late event cannot start them again.
    ended: HashSet<String>,
}

/// One pod.
#[derive(Debug)]
struct PodMeter {
    namespace: String,
    /// In the order of the pod's specification; the first one is the measured one.
    containers: Vec<Counter>,
    pause: Counter,
    /// The series of the pod's own cgroup, up to its value.
    cgroup_series: String,
    /// CPU seconds of the first container before it was started again.
    spent_before: f64,
    /// How often the first container was started again.
    restarts: usize,
    /// The lines of kube-state-metrics.
    state_lines: String,
    measured: bool,
    /// A second scrape job sees the same containers.
    doubled: bool,
}

/// A counter that grows at a set rate.
#[derive(Debug)]
struct Counter {
    name: String,
    /// The series up to its value: formatted once, since thousands are read every second.
    series: String,
    /// CPU seconds at `since`.
    base: f64,
    since: Instant,
    cores: f64,
}

impl Counter {
    fn value(&self, now: Instant) -> f64 {
        self.base + self.cores * now.saturating_duration_since(self.since).as_secs_f64()
    }

    fn set(&mut self, cores: f64, now: Instant) {
        self.base = self.value(now);
        self.since = now;
        self.cores = cores;
    }
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

    /// Ends the counters of a pod.
    pub(crate) fn stop(&self, uid: &str) {
        let mut state = self.lock();
        state.pods.remove(uid);
        state.ended.insert(uid.to_owned());
    }

    /// Sets the load of the pods of a workload that are yet to come, in cores.
    pub(crate) fn set_newcomers(&self, namespace: &str, workload: &str, cores: f64) {
        self.lock()
            .newcomers
            .insert((namespace.to_owned(), workload.to_owned()), cores);
    }

    /// Sets the load of a container of a running pod, of the first one without a
    /// name, in cores; whether there is such a container.
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

    /// Adds CPU seconds to the first container of a pod, if that runs.
    pub(crate) fn spend(&self, uid: &str, cpu_seconds: f64) {
        let mut state = self.lock();
        let pod = state.pods.get_mut(uid);
        if let Some(counter) = pod.and_then(|pod| pod.containers.first_mut()) {
            counter.base += cpu_seconds;
        }
    }

    /// Whether cadvisor knows the pod from now on; whether there is such a pod.
    pub(crate) fn set_measured(&self, uid: &str, measured: bool) -> bool {
        let mut state = self.lock();
        let pod = state.pods.get_mut(uid);
        pod.is_some_and(|pod| {
            pod.measured = measured;
            true
        })
    }

    /// Shows the pod's containers to a second scrape job as well; whether there is such a pod.
    pub(crate) fn double(&self, uid: &str) -> bool {
        let mut state = self.lock();
        let pod = state.pods.get_mut(uid);
        pod.is_some_and(|pod| {
            pod.doubled = true;
            true
        })
    }

    /// Starts the first container of a pod again, at the same load: a runtime gives it a new
    /// cgroup, whose counter begins at zero. Whether there is such a pod.
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

    /// The load of a container of a running pod, of the first one without a name,
    /// in cores, and for how long it has had it.
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

    /// What cadvisor exposes.
    pub(crate) fn cadvisor(&self) -> String {
        let state = self.lock();
        let now = Instant::now();
        // Each sample carries its time, as cadvisor's do, so that the rates are exact
        // however late the answer is read.
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
                if pod.doubled {
                    // What two jobs see differs in a label of the job alone.
                    let series = counter.series.trim_end_matches('}');
                    line(&format!("{series},endpoint=\"second\"}}"), value);
                }
            }
            line(&pod.cgroup_series, sum);
            all += sum;
        }
        let root = r#"container_cpu_usage_seconds_total{container="",cpu="total",id="/",image="",name="",namespace="",pod=""}"#;
        line(root, all);
        out
    }

    /// What kube-state-metrics exposes of the pods.
    pub(crate) fn requests(&self) -> String {
        let state = self.lock();
        let mut out = "# TYPE kube_pod_container_resource_requests gauge\n".to_owned();
        for pod in state.pods.values() {
            out.push_str(&pod.state_lines);
        }
        out
    }

    /// The pods of a namespace that have counters.
    pub(crate) fn count(&self, namespace: &str) -> usize {
        self.lock()
            .pods
            .values()
            .filter(|pod| pod.namespace == namespace)
            .count()
    }
}

impl PodMeter {
    fn new(
        pod: &Pod,
        namespace: String,
        uid: &str,
        node: &str,
        load: f64,
        measured: bool,
        now: Instant,
    ) -> Self {
        let name = pod.name_any();
        let slice = format!(
            "/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod{}.slice",
            uid.replace('-', "_")
        );
        let series = |container: &str, id: &str, image: &str, runtime_name: &str| {
            format!(
                "container_cpu_usage_seconds_total{{container=\"{container}\",cpu=\"total\",id=\"{id}\",\
                 image=\"{image}\",name=\"{runtime_name}\",namespace=\"{namespace}\",pod=\"{name}\"}}"
            )
        };
        let specs = pod
            .spec
            .as_ref()
            .map(|spec| spec.containers.as_slice())
            .unwrap_or_default();
        let counter = |container: &str, image: &str, cores: f64, index: usize| {
            let runtime_name = runtime_name(uid, index, 0);
            let id = format!("{slice}/cri-containerd-{runtime_name}.scope");
            Counter {
                name: container.to_owned(),
                series: series(container, &id, image, &runtime_name),
                base: 0.0,
                since: now,
                cores,
            }
        };
        let mut state_lines = String::new();
        let mut containers = Vec::with_capacity(specs.len());
        for (index, spec) in specs.iter().enumerate() {
            let cores_now = if index == 0 { load } else { IDLE };
            containers.push(counter(
                &spec.name,
                spec.image.as_deref().unwrap_or_default(),
                cores_now,
                index + 1,
            ));
            let request = spec
                .resources
                .as_ref()
                .and_then(|resources| resources.requests.as_ref()?.get("cpu"))
                .and_then(|quantity| cores(&quantity.0));
            if let Some(request) = request {
                let _ = writeln!(
                    state_lines,
                    "kube_pod_container_resource_requests{{namespace=\"{namespace}\",pod=\"{name}\",\
                     uid=\"{uid}\",container=\"{}\",node=\"{node}\",resource=\"cpu\",unit=\"core\"}} {request}",
                    spec.name
                );
            }
        }
        Self {
            containers,
            pause: counter("POD", "pause:3.10", PAUSE, 0),
            cgroup_series: series("", &slice, "", ""),
            state_lines,
            measured,
            doubled: false,
            spent_before: 0.0,
            restarts: 0,
            namespace,
        }
    }
}

/// What a container runtime calls a container; one that is started again has another name.
fn runtime_name(uid: &str, index: usize, restarts: usize) -> String {
    format!("{}{restarts:02x}{index:02x}", uid.replace('-', ""))
}

/// The workload behind a pod: its owner, or the Deployment behind a ReplicaSet.
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
