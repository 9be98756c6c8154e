//! The CPU counters and series of one pod.

use std::{fmt::Write as _, time::Instant};

use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt as _;

use crate::quantity::cores;

/// The load of a container without a set load, such as a sidecar, in cores.
pub(super) const IDLE: f64 = 0.01;
/// The load of a pod's pause container, in cores.
const PAUSE: f64 = 0.000_5;

/// The counters of one pod.
#[derive(Debug)]
pub(super) struct PodMeter {
    pub(super) namespace: String,
    /// Counters in the order of the pod's specification. The first one is measured.
    pub(super) containers: Vec<Counter>,
    pub(super) pause: Counter,
    /// The series of the pod's own cgroup, without its value.
    pub(super) cgroup_series: String,
    /// CPU seconds that the first container had used before its last restart.
    pub(super) spent_before: f64,
    /// The number of restarts of the first container.
    pub(super) restarts: usize,
    /// The kube-state-metrics lines.
    pub(super) state_lines: String,
    pub(super) measured: bool,
    /// The second series of each container, if it has one.
    pub(super) second: Option<SecondSeries>,
}

/// A second series of a container, with the same values.
#[derive(Debug, Clone, Copy)]
pub enum SecondSeries {
    /// A series with another label, as that of a second scrape job.
    Label(&'static str, &'static str),
    /// The series of a cgroup below that of the container.
    NestedCgroup,
}

impl SecondSeries {
    /// Returns the second series beside the first one.
    pub(super) fn beside(self, series: &str) -> String {
        match self {
            Self::Label(name, value) => {
                let series = series.trim_end_matches('}');
                format!("{series},{name}=\"{value}\"}}")
            }
            Self::NestedCgroup => series.replace(".scope\"", ".scope/container\""),
        }
    }
}

/// A counter that grows at a constant rate.
#[derive(Debug)]
pub(super) struct Counter {
    pub(super) name: String,
    /// The series without its value. Formatted once, because thousands are read every second.
    pub(super) series: String,
    /// CPU seconds at the time `since`.
    pub(super) base: f64,
    pub(super) since: Instant,
    pub(super) cores: f64,
}

impl Counter {
    pub(super) fn value(&self, now: Instant) -> f64 {
        self.base + self.cores * now.saturating_duration_since(self.since).as_secs_f64()
    }

    pub(super) fn set(&mut self, cores: f64, now: Instant) {
        self.base = self.value(now);
        self.since = now;
        self.cores = cores;
    }
}

impl PodMeter {
    pub(super) fn new(
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
            second: None,
            spent_before: 0.0,
            restarts: 0,
            namespace,
        }
    }
}

/// The container's name in the container runtime. It changes with each restart.
pub(super) fn runtime_name(uid: &str, index: usize, restarts: usize) -> String {
    format!("{}{restarts:02x}{index:02x}", uid.replace('-', ""))
}
