//! Pods as the API lists them, reduced page by page to what a snapshot needs.
//!
//! A pod is several kilobytes, most of which (managed fields, volumes, environment) is skipped
//! without being kept: a page is parsed in place, and only the reduced pods outlive it. It comes in
//! protobuf where the server has that, else in JSON; both yield the same.

mod protobuf;

use std::borrow::Cow;
use std::collections::BTreeSet;

use jiff::Timestamp;
use rebalancer_adapter::read_json;
use rebalancer_core::model::{
    Cores, Evictability, Load, Pod, PodFailure, PodPhase, PodRef, PodUid, Seconds,
};
use serde::Deserialize;

use crate::api::{BadPage, Page, PageEnd, Pages, check_list};
use crate::cpu_quantity::CpuQuantity;
use crate::protobuf::object;

const KIND: &str = "Pod";

/// The annotation by which a pod, or a workload for all its pods, asks to be left alone.
pub(crate) const SKIP: &str = "rebalancer.io/skip";
const SAFE_TO_EVICT: &str = "cluster-autoscaler.kubernetes.io/safe-to-evict";
const PREFER_NO_EVICTION: &str = "descheduler.alpha.kubernetes.io/prefer-no-eviction";

/// The fields of a pod that are read, borrowed from the answer where that is possible.
#[derive(Deserialize)]
pub(crate) struct LeanPod<'a> {
    #[serde(borrow)]
    metadata: PodMetadata<'a>,
    #[serde(borrow)]
    spec: PodSpec<'a>,
    #[serde(borrow, default)]
    status: PodStatus<'a>,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase")]
struct PodMetadata<'a> {
    #[serde(borrow)]
    name: Cow<'a, str>,
    #[serde(borrow)]
    uid: Cow<'a, str>,
    creation_timestamp: Option<Timestamp>,
    deletion_timestamp: Option<Timestamp>,
    annotations: Option<Annotations>,
    #[serde(borrow)]
    owner_references: Option<Vec<OwnerReference<'a>>>,
}

#[derive(Deserialize, Default)]
struct Annotations {
    #[serde(rename = "kubernetes.io/config.mirror")]
    mirror: Option<String>,
    #[serde(rename = "rebalancer.io/skip")]
    skip: Option<String>,
    #[serde(rename = "cluster-autoscaler.kubernetes.io/safe-to-evict")]
    safe_to_evict: Option<String>,
    #[serde(rename = "descheduler.alpha.kubernetes.io/prefer-no-eviction")]
    prefer_no_eviction: Option<String>,
}

/// An owner of an object.
#[derive(Deserialize)]
pub(crate) struct OwnerReference<'a> {
    #[serde(borrow)]
    kind: Cow<'a, str>,
    #[serde(borrow)]
    uid: Cow<'a, str>,
    #[serde(default)]
    controller: bool,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase")]
struct PodSpec<'a> {
    #[serde(borrow)]
    containers: Vec<Container<'a>>,
    #[serde(borrow)]
    init_containers: Option<Vec<Container<'a>>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Container<'a> {
    #[serde(borrow)]
    name: Cow<'a, str>,
    restart_policy: Option<String>,
    resources: Option<Resources>,
}

#[derive(Deserialize)]
struct Resources {
    requests: Option<Requests>,
}

#[derive(Deserialize)]
struct Requests {
    cpu: Option<CpuQuantity>,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase")]
struct PodStatus<'a> {
    #[serde(borrow, default)]
    phase: Cow<'a, str>,
    #[serde(borrow, default)]
    reason: Cow<'a, str>,
    #[serde(borrow, default)]
    message: Cow<'a, str>,
    #[serde(borrow, default, rename = "podIP")]
    pod_ip: Cow<'a, str>,
    #[serde(borrow)]
    conditions: Option<Vec<Condition<'a>>>,
    #[serde(borrow)]
    container_statuses: Option<Vec<ContainerStatus<'a>>>,
    #[serde(borrow)]
    init_container_statuses: Option<Vec<ContainerStatus<'a>>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Condition<'a> {
    #[serde(borrow, rename = "type")]
    kind: Cow<'a, str>,
    #[serde(borrow)]
    status: Cow<'a, str>,
    last_transition_time: Option<Timestamp>,
    #[serde(borrow, default)]
    reason: Cow<'a, str>,
    #[serde(borrow, default)]
    message: Cow<'a, str>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ContainerStatus<'a> {
    #[serde(borrow)]
    name: Cow<'a, str>,
    #[serde(default)]
    restart_count: u64,
    #[serde(borrow)]
    state: Option<ContainerState<'a>>,
    #[serde(borrow)]
    last_state: Option<ContainerState<'a>>,
}

/// At most one of them is set.
#[derive(Deserialize, Default)]
struct ContainerState<'a> {
    #[serde(borrow)]
    waiting: Option<Waiting<'a>>,
    running: Option<Running>,
    #[serde(borrow)]
    terminated: Option<Terminated<'a>>,
}

#[derive(Deserialize, Default)]
struct Waiting<'a> {
    #[serde(borrow, default)]
    reason: Cow<'a, str>,
    #[serde(borrow, default)]
    message: Cow<'a, str>,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase")]
struct Running {
    started_at: Option<Timestamp>,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase")]
struct Terminated<'a> {
    #[serde(borrow, default)]
    reason: Cow<'a, str>,
    #[serde(borrow, default)]
    message: Cow<'a, str>,
    finished_at: Option<Timestamp>,
}

/// Why a container waits that will not start by waiting longer.
const STUCK: [&str; 8] = [
    "CrashLoopBackOff",
    "ImagePullBackOff",
    "ErrImagePull",
    "InvalidImageName",
    "ErrImageNeverPull",
    "CreateContainerConfigError",
    "CreateContainerError",
    "RunContainerError",
];

impl ContainerStatus<'_> {
    /// When the container was last started again; `None` when it never was, and `Some(None)` when
    /// nothing tells since when it runs.
    fn restarted(&self) -> Option<Option<Timestamp>> {
        if self.restart_count == 0 {
            return None;
        }
        let started = self.state.as_ref().and_then(|state| state.running.as_ref());
        if let Some(running) = started {
            return Some(running.started_at);
        }
        Some(self.last_end().and_then(|ended| ended.finished_at))
    }

    /// How it ended the last time but this.
    fn last_end(&self) -> Option<&Terminated<'_>> {
        self.last_state.as_ref()?.terminated.as_ref()
    }

    /// Why the container does not start, if that will not pass by waiting: reason and message.
    fn stuck(&self) -> Option<(&str, String)> {
        let state = self.state.as_ref()?;
        if let Some(waiting) = &state.waiting
            && STUCK.contains(&waiting.reason.as_ref())
        {
            let mut message = self.words(&waiting.message);
            if let Some(ended) = self.last_end().filter(|ended| !ended.reason.is_empty()) {
                message.push_str("; it last ended with ");
                message.push_str(&ended.reason);
            }
            return Some((&waiting.reason, message));
        }
        let ended = state.terminated.as_ref()?;
        // An init container that was started again and then did its work is in this state, too.
        if self.restart_count == 0 || ended.reason == "Completed" {
            return None;
        }
        let reason = match ended.reason.as_ref() {
            "" => "Error",
            reason => reason,
        };
        Some((reason, self.words(&ended.message)))
    }

    fn words(&self, message: &str) -> String {
        let name = &self.name;
        if message.is_empty() {
            format!("container {name}")
        } else {
            format!("container {name}: {message}")
        }
    }
}

/// The owner that controls an object; the API allows one at most.
pub(crate) fn controller<'r, 'a>(
    owners: Option<&'r [OwnerReference<'a>]>,
) -> Option<&'r OwnerReference<'a>> {
    owners
        .unwrap_or_default()
        .iter()
        .find(|owner| owner.controller)
}

impl OwnerReference<'_> {
    /// The owner's UID.
    pub(crate) fn uid(&self) -> &str {
        &self.uid
    }
}

impl LeanPod<'_> {
    pub(crate) fn uid(&self) -> &str {
        &self.metadata.uid
    }

    pub(crate) fn terminating(&self) -> bool {
        self.metadata.deletion_timestamp.is_some()
    }

    pub(crate) fn ready(&self) -> bool {
        self.ready_condition().is_some()
    }

    /// Running, Ready and not terminating.
    fn serves(&self) -> bool {
        self.status.phase == "Running" && self.ready() && !self.terminating()
    }

    fn ready_condition(&self) -> Option<&Condition<'_>> {
        self.status
            .conditions
            .iter()
            .flatten()
            .find(|condition| condition.kind == "Ready" && condition.status == "True")
    }

    fn container_statuses(&self) -> impl Iterator<Item = &ContainerStatus<'_>> {
        let status = &self.status;
        let regular = status.container_statuses.iter().flatten();
        regular.chain(status.init_container_statuses.iter().flatten())
    }

    /// Why the pod does not come up, if anything says so.
    fn trouble(&self) -> Option<PodFailure> {
        if self.ready() || self.terminating() {
            return None;
        }
        let trouble = |reason: &str, message: String, lasting| PodFailure {
            pod: PodRef {
                name: self.metadata.name.clone().into_owned(),
                uid: PodUid(self.metadata.uid.clone().into_owned()),
            },
            reason: reason.to_owned(),
            message,
            lasting,
        };
        let status = &self.status;
        // Such a pod is replaced, whatever became of its containers: the kubelet evicted it, say.
        if status.phase == "Failed" {
            let reason = match status.reason.as_ref() {
                "" => "Failed",
                reason => reason,
            };
            return Some(trouble(reason, status.message.clone().into_owned(), false));
        }
        if let Some((reason, message)) = self.container_statuses().find_map(ContainerStatus::stuck)
        {
            return Some(trouble(reason, message, true));
        }
        let unscheduled = status.conditions.iter().flatten().find(|condition| {
            condition.kind == "PodScheduled"
                && condition.status == "False"
                && condition.reason == "Unschedulable"
        })?;
        let message = unscheduled.message.clone().into_owned();
        Some(trouble(&unscheduled.reason, message, false))
    }

    fn controller(&self) -> Option<&OwnerReference<'_>> {
        controller(self.metadata.owner_references.as_deref())
    }

    /// The containers that run as long as the pod does: sidecars are init containers that are
    /// always restarted.
    fn running_containers(&self) -> impl Iterator<Item = &Container<'_>> {
        let sidecars = self
            .spec
            .init_containers
            .iter()
            .flatten()
            .filter(|container| container.restart_policy.as_deref() == Some("Always"));
        self.spec.containers.iter().chain(sidecars)
    }

    /// The annotation by which the pod asks to be left alone.
    pub(crate) fn opted_out(&self) -> Option<String> {
        let annotations = self.metadata.annotations.as_ref()?;
        let says = |value: &Option<String>, word: &str| {
            value
                .as_deref()
                .is_some_and(|value| value.eq_ignore_ascii_case(word))
        };
        if says(&annotations.skip, "true") {
            return Some(format!("{SKIP}: true"));
        }
        if says(&annotations.safe_to_evict, "false") {
            return Some(format!("{SAFE_TO_EVICT}: false"));
        }
        let value = annotations.prefer_no_eviction.as_ref()?;
        Some(format!("{PREFER_NO_EVICTION}: {value}"))
    }

    fn evictability(&self) -> Evictability {
        let mirror = self
            .metadata
            .annotations
            .as_ref()
            .is_some_and(|annotations| annotations.mirror.is_some());
        match self.controller() {
            _ if mirror => Evictability::Mirror,
            None => Evictability::Bare,
            Some(owner) if owner.kind == "DaemonSet" => Evictability::DaemonSet,
            Some(_) => Evictability::Evictable,
        }
    }
}

/// The API server's phases; one that is not known yet is like one that the node does not tell.
fn phase(text: &str) -> PodPhase {
    match text {
        "Pending" => PodPhase::Pending,
        "Running" => PodPhase::Running,
        "Succeeded" => PodPhase::Succeeded,
        "Failed" => PodPhase::Failed,
        _ => PodPhase::Unknown,
    }
}

/// How long ago it was; a clock behind the server's makes it "now".
fn age(taken_at: Timestamp, since: Timestamp) -> Seconds {
    Seconds::new(taken_at.duration_since(since).as_secs_f64().max(0.0)).unwrap_or(Seconds::ZERO)
}

/// Reduces the pods of a workload, of which `owned` is settled only when its owners are known.
pub(crate) struct Reduction<'s> {
    taken_at: Timestamp,
    container: &'s str,
    pods: Vec<Pod>,
    /// UIDs of the controllers met: a handful, where pods are thousands.
    controllers: Vec<String>,
    /// For each pod, which of them controls it.
    controlled_by: Vec<Option<usize>>,
    /// For each pod, whether it has the measured container.
    measurable: Vec<bool>,
    /// The containers of the pods that do not.
    others: BTreeSet<String>,
}

/// The pods of a workload.
pub(crate) struct Reduced {
    pub(crate) pods: Vec<Pod>,
    /// Set when the workload has pods and none has the measured container: what they have.
    pub(crate) instead: Option<Vec<String>>,
}

impl<'s> Reduction<'s> {
    pub(crate) fn new(taken_at: Timestamp, container: &'s str) -> Self {
        Self {
            taken_at,
            container,
            pods: Vec::new(),
            controllers: Vec::new(),
            controlled_by: Vec::new(),
            measurable: Vec::new(),
            others: BTreeSet::new(),
        }
    }

    fn reduce(&mut self, lean: &LeanPod<'_>) {
        let mut request = None;
        let mut other_requests = 0.0;
        let mut measurable = false;
        for container in lean.running_containers() {
            let cpu = container
                .resources
                .as_ref()
                .and_then(|resources| resources.requests.as_ref()?.cpu)
                .map_or(0.0, |quantity| quantity.0);
            if container.name == self.container {
                measurable = true;
                // A request of zero is no share of anything: as good as none.
                request = Cores::new(cpu).ok();
            } else {
                other_requests += cpu;
            }
        }
        let restarted = if measurable {
            let mut statuses = lean.container_statuses();
            statuses
                .find(|status| status.name == self.container)
                .and_then(ContainerStatus::restarted)
        } else {
            None
        };
        if !measurable {
            for container in lean.running_containers() {
                if !self.others.contains(container.name.as_ref()) {
                    self.others.insert(container.name.clone().into_owned());
                }
            }
        }
        let controller = lean.controller().map(|owner| {
            let known = self.controllers.iter().position(|uid| *uid == owner.uid);
            known.unwrap_or_else(|| {
                self.controllers.push(owner.uid.clone().into_owned());
                self.controllers.len() - 1
            })
        });
        // The API always tells when a pod was created; were it missing, the pod must not pass for
        // an old one.
        let created = lean.metadata.creation_timestamp.unwrap_or(self.taken_at);
        let ready = lean.ready_condition();
        self.controlled_by.push(controller);
        self.measurable.push(measurable);
        self.pods.push(Pod {
            uid: PodUid(lean.metadata.uid.clone().into_owned()),
            ip: Some(lean.status.pod_ip.clone().into_owned()).filter(|ip| !ip.is_empty()),
            name: lean.metadata.name.clone().into_owned(),
            load: None,
            fault: None,
            sample_age_seconds: None,
            series: 1,
            phase: phase(&lean.status.phase),
            ready: ready.is_some(),
            terminating: lean.terminating(),
            owned: false,
            evictability: lean.evictability(),
            opted_out: lean.opted_out(),
            age_seconds: Some(age(self.taken_at, created)),
            ready_seconds: ready.map(|condition| {
                age(
                    self.taken_at,
                    condition.last_transition_time.unwrap_or(created),
                )
            }),
            restarted_seconds: restarted
                .map(|since| since.map_or(Seconds::ZERO, |since| age(self.taken_at, since))),
            window_covered: true,
            request,
            other_requests: Load::new(other_requests).unwrap_or(Load::ZERO),
        });
    }

    /// Settles who owns what: `owners` are the UIDs of the workload and of what it controls.
    /// `opted_out` is the workload's own wish for all its pods.
    pub(crate) fn finish(self, owners: &[String], opted_out: Option<&str>) -> Reduced {
        let ours: Vec<bool> = self
            .controllers
            .iter()
            .map(|uid| owners.contains(uid))
            .collect();
        let mut pods = self.pods;
        let mut any = false;
        let mut any_measurable = false;
        for ((pod, controller), measurable) in
            pods.iter_mut().zip(self.controlled_by).zip(self.measurable)
        {
            pod.owned = controller.is_some_and(|index| ours.get(index) == Some(&true));
            any |= pod.owned;
            any_measurable |= pod.owned && measurable;
            if let (None, Some(wish)) = (&pod.opted_out, opted_out) {
                pod.opted_out = Some(wish.to_owned());
            }
        }
        Reduced {
            pods,
            instead: (any && !any_measurable).then(|| self.others.into_iter().collect()),
        }
    }
}

/// Takes in the pods of a page, one by one.
trait Sink {
    /// So many come.
    fn expect(&mut self, _pods: usize) {}

    /// Takes one in.
    fn take(&mut self, pod: &LeanPod<'_>);
}

/// Reads a page in whichever format it came.
fn read_page(body: &[u8], sink: &mut impl Sink) -> Result<PageEnd, BadPage> {
    if let Some(list) = object(body)? {
        check_list(KIND, &list.kind)?;
        return protobuf::read_list(list.bytes, sink);
    }
    let (pods, end) = read_json::<Page<LeanPod<'_>>>(body)?.split(KIND)?;
    sink.expect(pods.len());
    for pod in &pods {
        sink.take(pod);
    }
    Ok(end)
}

impl Sink for Reduction<'_> {
    fn expect(&mut self, pods: usize) {
        self.pods.reserve_exact(pods);
    }

    fn take(&mut self, lean: &LeanPod<'_>) {
        self.reduce(lean);
    }
}

impl Sink for ReadyCount<'_> {
    fn take(&mut self, pod: &LeanPod<'_>) {
        let ours = || {
            pod.controller()
                .is_some_and(|owner| self.owners.iter().any(|uid| *uid == owner.uid))
        };
        if pod.serves() {
            self.ready += usize::from(ours());
        } else if let Some(trouble) = pod.trouble()
            && ours()
        {
            self.failures.push(trouble);
        }
    }
}

impl Pages for Reduction<'_> {
    fn restart(&mut self) {
        *self = Self::new(self.taken_at, self.container);
    }

    fn page(&mut self, body: &[u8]) -> Result<PageEnd, BadPage> {
        read_page(body, self)
    }
}

/// Counts a workload's ready pods until there are enough.
pub(crate) struct ReadyCount<'s> {
    owners: &'s [String],
    enough: usize,
    pub(crate) ready: usize,
    /// The workload's pods that do not come up, among those seen.
    pub(crate) failures: Vec<PodFailure>,
}

impl<'s> ReadyCount<'s> {
    pub(crate) fn new(owners: &'s [String], enough: usize) -> Self {
        Self {
            owners,
            enough,
            ready: 0,
            failures: Vec::new(),
        }
    }
}

impl Pages for ReadyCount<'_> {
    fn restart(&mut self) {
        self.ready = 0;
        self.failures.clear();
    }

    fn page(&mut self, body: &[u8]) -> Result<PageEnd, BadPage> {
        let mut end = read_page(body, self)?;
        end.enough = self.ready >= self.enough;
        Ok(end)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;
    use serde_json::{Value, json};

    /// A pod as the API gives it, with fields that nobody reads.
    fn pod() -> Value {
        json!({
            "metadata": {
                "name": "ingestion-7d4-abcde",
                "generateName": "ingestion-7d4-",
                "namespace": "posthog",
                "uid": "u1",
                "resourceVersion": "12",
                "creationTimestamp": "2026-01-02T03:00:00Z",
                "labels": {"app": "ingestion"},
                "ownerReferences": [
                    {"apiVersion": "v1", "kind": "Other", "name": "o", "uid": "other"},
                    {"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "ingestion-7d4",
                     "uid": "rs1", "controller": true, "blockOwnerDeletion": true}
                ],
                "managedFields": [{"manager": "kubelet", "fieldsV1": {"f:status": {}}}]
            },
            "spec": {
                "containers": [
                    {"name": "ingestion", "image": "x",
                     "resources": {"requests": {"cpu": "500m", "memory": "1Gi"}}},
                    {"name": "proxy", "resources": {"requests": {"cpu": "100m"}}},
                    {"name": "idle", "resources": {}}
                ],
                "initContainers": [
                    {"name": "migrate", "resources": {"requests": {"cpu": "2"}}},
                    {"name": "mesh", "restartPolicy": "Always",
                     "resources": {"requests": {"cpu": "0.15"}}}
                ]
            },
            "status": {
                "phase": "Running",
                "podIP": "10.0.0.7",
                "conditions": [
                    {"type": "PodScheduled", "status": "True", "lastTransitionTime": null},
                    {"type": "Ready", "status": "True", "lastTransitionTime": "2026-01-02T03:01:00Z"}
                ]
            }
        })
    }

    fn with(path: &str, value: Value) -> Value {
        let mut pod = pod();
        let (parent, key) = path.rsplit_once('/').unwrap();
        pod.pointer_mut(parent).unwrap()[key] = value;
        pod
    }

    /// Reduces pods, and makes sure that both formats yield the same.
    fn reduce_all(pods: &[Value], owners: &[&str], workload: Option<&str>) -> Reduced {
        let list = json!({"kind": "PodList", "metadata": {}, "items": pods});
        let in_json = reduce_body(list.to_string().as_bytes(), pods.len(), owners, workload);
        let in_protobuf = reduce_body(
            &protobuf::testing::list(&list),
            pods.len(),
            owners,
            workload,
        );
        assert_eq!(in_json.pods, in_protobuf.pods);
        assert_eq!(in_json.instead, in_protobuf.instead);
        in_json
    }

    fn reduce_body(body: &[u8], items: usize, owners: &[&str], workload: Option<&str>) -> Reduced {
        let taken_at = "2026-01-02T03:10:00Z".parse().unwrap();
        let mut reduction = Reduction::new(taken_at, "ingestion");
        let end = reduction.page(body).unwrap();
        assert_eq!((end.items, end.next, end.enough), (items, None, false));
        let owners: Vec<String> = owners.iter().map(ToString::to_string).collect();
        reduction.finish(&owners, workload)
    }

    fn reduce(pod: Value) -> Pod {
        reduce_all(&[pod], &["d1", "rs1"], None).pods.remove(0)
    }

    #[test]
    fn a_pod_is_reduced_to_what_a_snapshot_needs() {
        assert_eq!(
            reduce(pod()),
            Pod {
                name: "ingestion-7d4-abcde".into(),
                ip: Some("10.0.0.7".into()),
                uid: PodUid("u1".into()),
                load: None,
                fault: None,
                sample_age_seconds: None,
                series: 1,
                phase: PodPhase::Running,
                ready: true,
                terminating: false,
                owned: true,
                evictability: Evictability::Evictable,
                opted_out: None,
                age_seconds: Some(Seconds::new(600.0).unwrap()),
                ready_seconds: Some(Seconds::new(540.0).unwrap()),
                restarted_seconds: None,
                window_covered: true,
                request: Some(Cores::new(0.5).unwrap()),
                other_requests: Load::new(0.25).unwrap(),
            }
        );
    }

    #[rstest]
    #[case("/status/phase", json!("Pending"), PodPhase::Pending)]
    #[case("/status/phase", json!("Failed"), PodPhase::Failed)]
    #[case("/status/phase", json!("Hibernated"), PodPhase::Unknown)]
    fn the_phase_is_read(#[case] path: &str, #[case] value: Value, #[case] phase: PodPhase) {
        assert_eq!(reduce(with(path, value)).phase, phase);
    }

    #[test]
    fn a_pod_without_status_is_not_ready() {
        let mut bare = pod();
        bare.as_object_mut().unwrap().remove("status");
        let bare = reduce(bare);
        assert_eq!(
            (bare.phase, bare.ready, bare.ready_seconds),
            (PodPhase::Unknown, false, None)
        );
    }

    #[rstest]
    #[case(json!([]), false, None)]
    #[case(json!(null), false, None)]
    #[case(json!([{"type": "Ready", "status": "False", "lastTransitionTime": "2026-01-02T03:09:00Z"}]), false, None)]
    #[case(json!([{"type": "Ready", "status": "Unknown"}]), false, None)]
    #[case(json!([{"type": "Ready", "status": "True", "lastTransitionTime": null}]), true, Some(600.0))]
    #[case(json!([{"type": "Ready", "status": "True", "lastTransitionTime": "2026-01-02T03:10:05Z"}]), true, Some(0.0))]
    fn readiness_and_its_age(
        #[case] conditions: Value,
        #[case] ready: bool,
        #[case] age: Option<f64>,
    ) {
        let pod = reduce(with("/status/conditions", conditions));
        assert_eq!(
            (pod.ready, pod.ready_seconds.map(Seconds::get)),
            (ready, age)
        );
    }

    #[test]
    fn a_clock_behind_the_servers_makes_no_negative_age() {
        let pod = reduce(with(
            "/metadata/creationTimestamp",
            json!("2026-01-02T04:00:00Z"),
        ));
        assert_eq!(pod.age_seconds, Some(Seconds::ZERO));
    }

    #[test]
    fn a_deletion_timestamp_makes_it_terminating() {
        assert!(
            reduce(with(
                "/metadata/deletionTimestamp",
                json!("2026-01-02T03:10:30Z")
            ))
            .terminating
        );
    }

    #[rstest]
    #[case(json!(null), Evictability::Bare, false)]
    #[case(json!([{"kind": "ReplicaSet", "uid": "rs1"}]), Evictability::Bare, false)]
    #[case(json!([{"kind": "DaemonSet", "uid": "ds", "controller": true}]), Evictability::DaemonSet, false)]
    #[case(json!([{"kind": "ReplicaSet", "uid": "rs2", "controller": true}]), Evictability::Evictable, false)]
    #[case(json!([{"kind": "Deployment", "uid": "d1", "controller": true}]), Evictability::Evictable, true)]
    fn ownership_follows_the_controller(
        #[case] owners: Value,
        #[case] evictability: Evictability,
        #[case] owned: bool,
    ) {
        let pod = reduce(with("/metadata/ownerReferences", owners));
        assert_eq!((pod.evictability, pod.owned), (evictability, owned));
    }

    #[test]
    fn a_mirror_pod_is_told_by_its_annotation() {
        let annotations = json!({"kubernetes.io/config.mirror": "x", "big": "y"});
        assert_eq!(
            reduce(with("/metadata/annotations", annotations)).evictability,
            Evictability::Mirror
        );
    }

    #[rstest]
    #[case(json!({"rebalancer.io/skip": "true"}), Some("rebalancer.io/skip: true"))]
    #[case(json!({"rebalancer.io/skip": "false"}), None)]
    #[case(json!({"cluster-autoscaler.kubernetes.io/safe-to-evict": "false"}),
        Some("cluster-autoscaler.kubernetes.io/safe-to-evict: false"))]
    #[case(json!({"cluster-autoscaler.kubernetes.io/safe-to-evict": "true"}), None)]
    #[case(json!({"descheduler.alpha.kubernetes.io/prefer-no-eviction": ""}),
        Some("descheduler.alpha.kubernetes.io/prefer-no-eviction: "))]
    #[case(json!({"a": "quote \" and \u{e9}"}), None)]
    #[case(json!(null), None)]
    fn a_pod_can_ask_to_be_left_alone(#[case] annotations: Value, #[case] opted_out: Option<&str>) {
        let pod = reduce(with("/metadata/annotations", annotations));
        assert_eq!(pod.opted_out.as_deref(), opted_out);
    }

    #[test]
    fn a_workload_can_ask_for_all_its_pods_and_a_pods_own_wish_is_kept() {
        let own = with(
            "/metadata/annotations",
            json!({"rebalancer.io/skip": "true"}),
        );
        let pods = reduce_all(&[pod(), own], &["rs1"], Some("the workload's")).pods;
        assert_eq!(pods[0].opted_out.as_deref(), Some("the workload's"));
        assert_eq!(
            pods[1].opted_out.as_deref(),
            Some("rebalancer.io/skip: true")
        );
    }

    #[rstest]
    #[case(json!({}), None)]
    #[case(json!({"requests": {"cpu": "0"}}), None)]
    #[case(json!({"requests": {"memory": "1Gi"}}), None)]
    #[case(json!({"requests": {"cpu": "1200m"}}), Some(1.2))]
    fn a_request_of_nothing_is_none(#[case] resources: Value, #[case] cores: Option<f64>) {
        let pod = reduce(with("/spec/containers/0/resources", resources));
        assert_eq!(pod.request.map(Cores::get), cores);
    }

    #[test]
    fn a_measured_container_may_be_a_sidecar() {
        let pod = reduce(with("/spec/containers/0/name", json!("other")));
        assert_eq!(pod.request, None);
        let mut sidecar = with("/spec/containers/0/name", json!("other"));
        sidecar["spec"]["initContainers"][1]["name"] = json!("ingestion");
        assert_eq!(reduce(sidecar).request.map(Cores::get), Some(0.15));
    }

    /// The pod with the status of a container, the measured one unless it says otherwise.
    fn with_status(list: &str, mut status: Value) -> Value {
        let names = status.as_object_mut().unwrap();
        names.entry("name").or_insert(json!("ingestion"));
        let other = json!({"name": "proxy", "restartCount": 9,
            "state": {"running": {"startedAt": "2026-01-02T03:09:59Z"}}});
        with(list, json!([other, status]))
    }

    #[rstest]
    #[case::never(json!({"restartCount": 0, "state": {"running": {"startedAt": "2026-01-02T03:00:05Z"}}}), None)]
    #[case::running(json!({"restartCount": 1, "state": {"running": {"startedAt": "2026-01-02T03:08:00Z"}},
        "lastState": {"terminated": {"finishedAt": "2026-01-02T03:07:00Z"}}}), Some(120.0))]
    #[case::running_since_nobody_knows_when(json!({"restartCount": 1, "state": {"running": {}}}), Some(0.0))]
    #[case::waiting(json!({"restartCount": 300, "state": {"waiting": {"reason": "CrashLoopBackOff"}},
        "lastState": {"terminated": {"reason": "Error", "startedAt": "2026-01-02T03:06:00Z",
            "finishedAt": "2026-01-02T03:07:00Z"}}}), Some(180.0))]
    #[case::waiting_since_nobody_knows_when(json!({"restartCount": 1, "state": {"waiting": {}},
        "lastState": null}), Some(0.0))]
    #[case::without_a_state(json!({"restartCount": 1}), Some(0.0))]
    #[case::another_container(json!({"restartCount": 3, "name": "idle", "state": {"running": {}}}), None)]
    fn a_restart_of_the_measured_container_has_an_age(
        #[case] status: Value,
        #[case] expected: Option<f64>,
    ) {
        let pod = reduce(with_status("/status/containerStatuses", status));
        assert_eq!(pod.restarted_seconds.map(Seconds::get), expected);
    }

    #[test]
    fn a_restart_of_a_measured_sidecar_counts_and_of_an_init_container_does_not() {
        let status =
            json!({"restartCount": 1, "state": {"running": {"startedAt": "2026-01-02T03:08:00Z"}}});
        let mut sidecar = with_status("/status/initContainerStatuses", status);
        sidecar["spec"]["containers"][0]["name"] = json!("other");
        sidecar["spec"]["initContainers"][1]["name"] = json!("ingestion");
        let seconds = reduce(sidecar.clone()).restarted_seconds;
        assert_eq!(seconds.map(Seconds::get), Some(120.0));
        sidecar["spec"]["initContainers"][1]["restartPolicy"] = json!(null);
        assert_eq!(reduce(sidecar).restarted_seconds, None);
    }

    /// The failures of a pod of the workload, the same in both formats.
    fn failures(pod: &Value) -> Vec<PodFailure> {
        let body = json!({"kind": "PodList", "metadata": {}, "items": [pod]});
        let owners = ["rs1".to_owned()];
        let bodies = [
            body.to_string().into_bytes(),
            protobuf::testing::list(&body),
        ];
        let [in_json, in_protobuf] = bodies.map(|body| {
            let mut count = ReadyCount::new(&owners, 1);
            count.page(&body).unwrap();
            let failures = count.failures.clone();
            count.restart();
            assert!(count.failures.is_empty());
            failures
        });
        assert_eq!(in_json, in_protobuf);
        in_json
    }

    /// The same pod, not ready.
    fn unready(mut pod: Value) -> Value {
        pod["status"]["conditions"] = json!([{"type": "Ready", "status": "False"}]);
        pod
    }

    #[rstest]
    #[case(json!({"restartCount": 0, "state": {"waiting": {"reason": "ImagePullBackOff",
        "message": "Back-off pulling image"}}}),
        "ImagePullBackOff", "container ingestion: Back-off pulling image")]
    #[case(json!({"restartCount": 0, "state": {"waiting": {"reason": "ErrImagePull"}}}),
        "ErrImagePull", "container ingestion")]
    #[case(json!({"restartCount": 0, "state": {"waiting": {"reason": "InvalidImageName"}}}),
        "InvalidImageName", "container ingestion")]
    #[case(json!({"restartCount": 0, "state": {"waiting": {"reason": "ErrImageNeverPull"}}}),
        "ErrImageNeverPull", "container ingestion")]
    #[case(json!({"restartCount": 0, "state": {"waiting": {"reason": "CreateContainerConfigError",
        "message": "secret \"x\" not found"}}}),
        "CreateContainerConfigError", "container ingestion: secret \"x\" not found")]
    #[case(json!({"restartCount": 0, "state": {"waiting": {"reason": "CreateContainerError"}}}),
        "CreateContainerError", "container ingestion")]
    #[case(json!({"restartCount": 1, "state": {"waiting": {"reason": "RunContainerError"}}}),
        "RunContainerError", "container ingestion")]
    #[case(json!({"restartCount": 7, "state": {"waiting": {"reason": "CrashLoopBackOff", "message": "back-off 5m"}},
        "lastState": {"terminated": {"reason": "OOMKilled"}}}),
        "CrashLoopBackOff", "container ingestion: back-off 5m; it last ended with OOMKilled")]
    #[case(json!({"restartCount": 1, "state": {"terminated": {"reason": "OOMKilled"}}}),
        "OOMKilled", "container ingestion")]
    #[case(json!({"restartCount": 1, "state": {"terminated": {"message": "no database"}}}),
        "Error", "container ingestion: no database")]
    fn a_container_that_does_not_start_is_a_lasting_trouble(
        #[case] status: Value,
        #[case] reason: &str,
        #[case] message: &str,
        #[values("/status/containerStatuses", "/status/initContainerStatuses")] list: &str,
    ) {
        let pod = unready(with_status(list, status));
        let expected = PodFailure {
            pod: PodRef {
                name: "ingestion-7d4-abcde".into(),
                uid: PodUid("u1".into()),
            },
            reason: reason.into(),
            message: message.into(),
            lasting: true,
        };
        assert_eq!(failures(&pod), [expected]);
    }

    #[rstest]
    #[case(json!({"restartCount": 0, "state": {"waiting": {"reason": "ContainerCreating"}}}))]
    #[case(json!({"restartCount": 0, "state": {"terminated": {"reason": "Error"}}}))]
    #[case(json!({"restartCount": 1, "state": {"terminated": {"reason": "Completed"}}}))]
    #[case(json!({"restartCount": 1, "state": {"running": {}}}))]
    #[case(json!({"restartCount": 1, "state": null}))]
    fn a_container_that_may_still_start_is_no_trouble(#[case] status: Value) {
        let pod = unready(with_status("/status/containerStatuses", status));
        assert_eq!(failures(&pod), []);
    }

    #[test]
    fn what_is_ready_or_ends_or_is_anothers_is_no_trouble_of_the_workload() {
        let crash =
            json!({"restartCount": 1, "state": {"waiting": {"reason": "CrashLoopBackOff"}}});
        let crashing = with_status("/status/containerStatuses", crash);
        assert_eq!(failures(&crashing), []);
        let mut ending = unready(crashing.clone());
        ending["metadata"]["deletionTimestamp"] = json!("2026-01-02T03:10:30Z");
        assert_eq!(failures(&ending), []);
        let mut foreign = unready(crashing);
        assert_eq!(failures(&foreign).len(), 1);
        foreign["metadata"]["ownerReferences"] = json!([]);
        assert_eq!(failures(&foreign), []);
    }

    #[rstest]
    #[case(json!({"phase": "Pending", "conditions": [{"type": "PodScheduled", "status": "False",
        "reason": "Unschedulable", "message": "0/3 nodes are available"}]}),
        Some(("Unschedulable", "0/3 nodes are available")))]
    #[case(json!({"phase": "Pending", "conditions": [{"type": "PodScheduled", "status": "False",
        "reason": "SchedulingGated"}]}), None)]
    #[case(json!({"phase": "Pending", "conditions": [{"type": "PodScheduled", "status": "True"}]}), None)]
    #[case(json!({"phase": "Failed", "reason": "Evicted", "message": "The node was low on memory",
        "containerStatuses": [{"name": "ingestion", "restartCount": 2, "state": {"terminated": {"reason": "Error"}}}]}),
        Some(("Evicted", "The node was low on memory")))]
    #[case(json!({"phase": "Failed"}), Some(("Failed", "")))]
    #[case(json!({"phase": "Succeeded"}), None)]
    fn what_may_pass_is_no_lasting_trouble(
        #[case] status: Value,
        #[case] expected: Option<(&str, &str)>,
    ) {
        let found = failures(&with("/status", status));
        assert!(found.iter().all(|trouble| !trouble.lasting));
        let words = found
            .first()
            .map(|trouble| (trouble.reason.as_str(), trouble.message.as_str()));
        assert_eq!(words, expected);
    }

    #[test]
    fn when_no_pod_of_the_workload_has_the_container_what_they_have_is_told() {
        let renamed = with("/spec/containers/0/name", json!("worker"));
        let foreign = with("/metadata/ownerReferences", json!(null));
        // The container of a pod that is not the workload's does not count.
        let reduced = reduce_all(&[renamed.clone(), foreign], &["rs1"], None);
        assert_eq!(
            reduced.instead.as_deref(),
            Some(
                ["idle", "mesh", "proxy", "worker"]
                    .map(String::from)
                    .as_slice()
            )
        );
        assert_eq!(reduce_all(&[renamed, pod()], &["rs1"], None).instead, None);
        assert_eq!(reduce_all(&[], &["rs1"], None).instead, None);
    }

    #[test]
    fn a_request_that_is_no_quantity_is_an_error() {
        let body = json!({"kind": "PodList", "items": [with("/spec/containers/0/resources/requests/cpu", json!("lots"))]});
        let mut reduction = Reduction::new(Timestamp::UNIX_EPOCH, "ingestion");
        assert!(reduction.page(body.to_string().as_bytes()).is_err());
        let error = reduction.page(&protobuf::testing::list(&body)).unwrap_err();
        assert!(error.to_string().contains("`lots`"), "{error}");
    }

    #[test]
    fn ready_pods_are_counted_until_there_are_enough() {
        let body = json!({
            "metadata": {"continue": "more"},
            "kind": "PodList",
            "items": [
                pod(),
                pod(),
                with("/status/phase", json!("Pending")),
                with("/metadata/deletionTimestamp", json!("2026-01-02T03:10:30Z")),
                with("/metadata/ownerReferences", json!([])),
            ]
        });
        let bodies = [
            body.to_string().into_bytes(),
            protobuf::testing::list(&body),
        ];
        let owners = ["rs1".to_owned()];
        for (enough, stops) in [(2, true), (3, false)] {
            for body in &bodies {
                let mut count = ReadyCount::new(&owners, enough);
                let end = count.page(body).unwrap();
                assert_eq!((count.ready, end.enough), (2, stops));
                assert_eq!(end.next.as_deref(), Some("more"));
            }
        }
    }

    #[test]
    fn a_pod_without_a_name_is_an_error_in_both_formats() {
        let body = json!({"kind": "PodList", "items": [{"metadata": {"uid": "u"}, "spec": {"containers": []}}]});
        let mut count = ReadyCount::new(&[], 1);
        assert!(count.page(body.to_string().as_bytes()).is_err());
        assert!(count.page(&protobuf::testing::list(&body)).is_err());
    }
    #[rstest]
    #[case::of_another_kind("SecretList", "it is of kind SecretList, and not a PodList")]
    #[case::of_no_kind("", "it is an object without a kind, and not a PodList")]
    fn another_list_is_no_list_of_pods(#[case] kind: &str, #[case] words: &str) {
        let json = json!({"kind": kind, "metadata": {}, "items": []});
        let answers = [
            json.to_string().into_bytes(),
            crate::protobuf::testing::Message::default().answer(kind),
        ];
        for body in answers {
            let error = ReadyCount::new(&[], 1).page(&body).unwrap_err();
            assert_eq!(error.to_string(), words);
        }
    }
}
