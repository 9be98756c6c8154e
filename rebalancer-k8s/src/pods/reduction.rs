//! The reduction of listed pods to the pods of a snapshot.

use std::collections::BTreeSet;

use bytes::Bytes;
use jiff::{SignedDuration, Timestamp};
use rebalancer_core::model::{Cores, Deletion, Load, Measurement, Pod, PodRef, Seconds};

use super::object::ContainerStatus;
use super::{PodObject, read_page};
use crate::cpu_quantity::Quantity;
use crate::object_meta::{Time, text};
use crate::pages::{BadPage, PageEnd, Pages};

/// Reduces the pods of a workload. Which of them the workload owns is resolved at the end, because
/// the owners are read while the pods are listed.
pub(crate) struct Reduction<'s> {
    taken_at: Timestamp,
    container: &'s str,
    pods: Vec<Pod>,
    /// UIDs of the controllers of all pods: a handful, even for thousands of pods.
    controllers: Vec<String>,
    /// For each pod, the index of its controller.
    controlled_by: Vec<Option<usize>>,
    /// For each pod, whether it has the measured container.
    measurable: Vec<bool>,
    /// The containers of the pods that do not have the measured container.
    others: BTreeSet<String>,
}

/// The pods of a workload.
pub(crate) struct Reduced {
    pub(crate) pods: Vec<Pod>,
    /// The containers of the workload's pods, if none of these pods has the measured container.
    pub(crate) instead: Option<Vec<String>>,
}

/// The CPU requests of the containers of a pod.
struct Requests {
    /// The request of the measured container.
    measured: Option<Cores>,
    /// The sum of the requests of the other containers.
    others: f64,
    /// The request of the pod as a whole.
    of_pod: Option<Cores>,
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

    fn add(&mut self, pod: &PodObject) -> Result<(), BadPage> {
        let requests = self.requests(pod)?;
        let measurable = pod
            .running_containers()
            .any(|container| container.name == self.container);
        let restarted = if measurable {
            self.restarted(pod)?
        } else {
            None
        };
        if !measurable {
            let names = pod.running_containers().map(|container| &container.name);
            self.others.extend(names.map(text));
        }
        let controller = pod.controller().map(|owner| {
            let known = self.controllers.iter().position(|uid| owner.uid == *uid);
            known.unwrap_or_else(|| {
                self.controllers.push(text(&owner.uid));
                self.controllers.len() - 1
            })
        });
        let ready = pod.ready_condition();
        // The API server always sets the time of creation. Without it, the pod counts as new.
        let created = instant(pod.metadata.creation_timestamp)?.unwrap_or(self.taken_at);
        let transition = pod
            .readiness()
            .and_then(|condition| condition.last_transition_time);
        let in_state = Some(self.age(instant(transition)?.unwrap_or(created)));
        let (ready_seconds, unready_seconds) = match ready {
            Some(_) => (in_state, None),
            None => (None, in_state),
        };
        let PodRef { name, uid } = pod.reference();
        self.controlled_by.push(controller);
        self.measurable.push(measurable);
        self.pods.push(Pod {
            uid,
            ip: Some(text(&pod.status.pod_ip)).filter(|ip| !ip.is_empty()),
            node: Some(text(&pod.spec.node_name)).filter(|node| !node.is_empty()),
            name,
            measurement: Measurement::default(),
            phase: pod.phase(),
            ready: ready.is_some(),
            terminating: pod.terminating(),
            deletion: self.deletion(pod)?,
            owned: false,
            evictability: pod.evictability(),
            opted_out: pod.opted_out(self.taken_at),
            age_seconds: Some(self.age(created)),
            ready_seconds,
            unready_seconds,
            restarted_seconds: restarted,
            request: requests.measured,
            pod_request: requests.of_pod,
            other_requests: Load::new(requests.others).unwrap_or(Load::ZERO),
            template: pod.template(),
        });
        Ok(())
    }

    fn requests(&self, pod: &PodObject) -> Result<Requests, BadPage> {
        let cores = |quantity: Option<&Quantity>| match quantity {
            Some(quantity) => quantity.cores().map_err(BadPage::Quantity),
            None => Ok(0.0),
        };
        let mut requests = Requests {
            measured: None,
            others: 0.0,
            of_pod: Cores::new(cores(pod.spec.cpu_request())?).ok(),
        };
        for container in pod.running_containers() {
            let cores = cores(container.cpu_request())?;
            if container.name == self.container {
                // A request of zero is treated like a missing request.
                requests.measured = Cores::new(cores).ok();
            } else {
                requests.others += cores;
            }
        }
        Ok(requests)
    }

    /// The deletion of a terminating pod.
    fn deletion(&self, pod: &PodObject) -> Result<Option<Box<Deletion>>, BadPage> {
        // The time by which the pod should be gone: the grace period after the request.
        let Some(due) = instant(pod.metadata.deletion_timestamp)? else {
            return Ok(None);
        };
        let grace = pod.metadata.deletion_grace_period_seconds;
        let requested = grace
            .and_then(|grace| due.checked_sub(SignedDuration::from_secs(grace)).ok())
            .map(|requested| self.age(requested));
        Ok(Some(Box::new(Deletion {
            requested_seconds: requested,
            overdue_seconds: Some(self.age(due)).filter(|overdue| *overdue > Seconds::ZERO),
            finalizers: pod.metadata.finalizers.iter().map(text).collect(),
            node: Some(text(&pod.spec.node_name)).filter(|node| !node.is_empty()),
        })))
    }

    /// The time since the last restart of the measured container, or `None` if it never restarted.
    /// Zero if the container restarted at an unknown time.
    fn restarted(&self, pod: &PodObject) -> Result<Option<Seconds>, BadPage> {
        let status = pod
            .container_statuses()
            .find(|status| status.name == self.container)
            .filter(|status| status.restart_count > 0);
        let Some(status) = status else {
            return Ok(None);
        };
        let since = last_start(status)?.map(|since| self.age(since));
        Ok(Some(since.unwrap_or(Seconds::ZERO)))
    }

    /// The time since an instant; zero if the instant is in the future.
    fn age(&self, since: Timestamp) -> Seconds {
        let seconds = self.taken_at.duration_since(since).as_secs_f64();
        Seconds::new(seconds.max(0.0)).unwrap_or(Seconds::ZERO)
    }

    /// Resolves which pods the workload owns.
    ///
    /// `owners` are the UIDs of the workload and of the objects that it controls. `opted_out` is
    /// the workload's annotation that exempts all its pods from eviction.
    pub(crate) fn finish(self, owners: &[String], opted_out: Option<&str>) -> Reduced {
        let is_owner: Vec<bool> = self
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
            pod.owned = controller.is_some_and(|index| is_owner.get(index) == Some(&true));
            any |= pod.owned;
            any_measurable |= pod.owned && measurable;
            if let (None, Some(annotation)) = (&pod.opted_out, opted_out) {
                pod.opted_out = Some(annotation.to_owned());
            }
        }
        Reduced {
            pods,
            instead: (any && !any_measurable).then(|| self.others.into_iter().collect()),
        }
    }
}

impl Pages for Reduction<'_> {
    fn restart(&mut self) {
        *self = Self::new(self.taken_at, self.container);
    }

    fn page(&mut self, body: &Bytes) -> Result<PageEnd, BadPage> {
        read_page(body, |pod| self.add(pod))
    }
}

/// The last start of a container, or its last end if it does not run.
fn last_start(status: &ContainerStatus) -> Result<Option<Timestamp>, BadPage> {
    let running = status
        .state
        .as_ref()
        .and_then(|state| state.running.as_ref());
    match running {
        Some(running) => instant(running.started_at),
        None => instant(status.last_end().and_then(|end| end.finished_at)),
    }
}

fn instant(time: Option<Time>) -> Result<Option<Timestamp>, BadPage> {
    time.map_or(Ok(None), Time::instant)
}

#[cfg(test)]
mod tests {
    use super::super::testing::{bodies, pod, with, with_status};
    use super::*;
    use rebalancer_core::model::{Evictability, PodPhase, PodUid};
    use rstest::rstest;
    use serde_json::{Value, json};

    /// Reduces pods, which must be the same in both formats.
    fn reduce_all(pods: &[Value], owners: &[&str], workload: Option<&str>) -> Reduced {
        let list = json!({"kind": "PodList", "metadata": {}, "items": pods});
        let [in_json, in_protobuf] =
            bodies(&list).map(|body| reduce_body(&body, pods.len(), owners, workload));
        assert_eq!(in_json.pods, in_protobuf.pods);
        assert_eq!(in_json.instead, in_protobuf.instead);
        in_json
    }

    fn reduce_body(body: &Bytes, items: usize, owners: &[&str], workload: Option<&str>) -> Reduced {
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
    fn reduces_a_pod_to_the_fields_of_a_snapshot() {
        assert_eq!(
            reduce(pod()),
            Pod {
                name: "ingestion-7d4-abcde".into(),
                ip: Some("10.0.0.7".into()),
                node: Some("node-1".into()),
                uid: PodUid("u1".into()),
                measurement: Measurement::default(),
                phase: PodPhase::Running,
                ready: true,
                terminating: false,
                deletion: None,
                owned: true,
                evictability: Evictability::Evictable,
                opted_out: None,
                age_seconds: Some(Seconds::new(600.0).unwrap()),
                ready_seconds: Some(Seconds::new(540.0).unwrap()),
                unready_seconds: None,
                restarted_seconds: None,
                request: Some(Cores::new(0.5).unwrap()),
                pod_request: None,
                other_requests: Load::new(0.25).unwrap(),
                template: Some("7d4".into()),
            }
        );
    }

    #[rstest]
    #[case("/status/phase", json!("Pending"), PodPhase::Pending)]
    #[case("/status/phase", json!("Failed"), PodPhase::Failed)]
    #[case("/status/phase", json!("Hibernated"), PodPhase::Unknown)]
    fn reads_the_phase(#[case] path: &str, #[case] value: Value, #[case] phase: PodPhase) {
        assert_eq!(reduce(with(path, value)).phase, phase);
    }

    #[test]
    fn pod_without_status_is_not_ready() {
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
    fn reads_readiness_and_its_age(
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
    fn age_of_a_pod_from_the_future_is_zero() {
        let pod = reduce(with(
            "/metadata/creationTimestamp",
            json!("2026-01-02T04:00:00Z"),
        ));
        assert_eq!(pod.age_seconds, Some(Seconds::ZERO));
    }

    #[test]
    fn pod_with_a_deletion_timestamp_is_terminating() {
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
    fn mirror_pod_has_the_annotation() {
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
    #[case(json!({"karpenter.sh/do-not-disrupt": "true"}), Some("karpenter.sh/do-not-disrupt: true"))]
    // The pod has run for 9 minutes and 50 seconds.
    #[case(json!({"karpenter.sh/do-not-disrupt": "10m"}), Some("karpenter.sh/do-not-disrupt: 10m"))]
    #[case(json!({"karpenter.sh/do-not-disrupt": "9m"}), None)]
    #[case(json!({"a": "quote \" and \u{e9}"}), None)]
    #[case(json!(null), None)]
    fn pod_opts_out_by_annotation(#[case] annotations: Value, #[case] opted_out: Option<&str>) {
        let pod = reduce(with("/metadata/annotations", annotations));
        assert_eq!(pod.opted_out.as_deref(), opted_out);
    }

    #[test]
    fn workload_opts_out_all_pods_that_do_not_opt_out_themselves() {
        let own = with(
            "/metadata/annotations",
            json!({"rebalancer.io/skip": "true"}),
        );
        let pods = reduce_all(&[pod(), own], &["rs1"], Some("on the workload")).pods;
        assert_eq!(pods[0].opted_out.as_deref(), Some("on the workload"));
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
    fn request_of_zero_is_none(#[case] resources: Value, #[case] cores: Option<f64>) {
        let pod = reduce(with("/spec/containers/0/resources", resources));
        assert_eq!(pod.request.map(Cores::get), cores);
    }

    #[rstest]
    #[case(json!(null), None)]
    #[case(json!({"requests": {"memory": "1Gi"}}), None)]
    #[case(json!({"requests": {"cpu": "0"}}), None)]
    #[case(json!({"limits": {"cpu": "3"}, "requests": {"cpu": "2"}}), Some(2.0))]
    fn reads_the_request_of_the_pod(#[case] resources: Value, #[case] cores: Option<f64>) {
        let pod = reduce(with("/spec/resources", resources));
        assert_eq!(pod.pod_request.map(Cores::get), cores);
        assert_eq!(pod.request.map(Cores::get), Some(0.5));
    }

    #[rstest]
    #[case(json!({"app": "x"}), None)]
    #[case(json!(null), None)]
    #[case(json!({"app": "x", "pod-template-hash": "7d4"}), Some("7d4"))]
    #[case(json!({"controller-revision-hash": "web-5c9"}), Some("web-5c9"))]
    #[case(json!({"rollouts-pod-template-hash": "a", "controller-revision-hash": "b"}), Some("a"))]
    #[case(json!({"pod-template-hash": ""}), None)]
    fn reads_the_hash_of_the_template(#[case] labels: Value, #[case] hash: Option<&str>) {
        let pod = reduce(with("/metadata/labels", labels));
        assert_eq!(pod.template.as_deref(), hash);
    }

    // It is 03:10:00.
    #[rstest]
    #[case::in_its_grace_period("2026-01-02T03:10:10Z", json!(30), Some(20.0), None)]
    #[case::at_its_end("2026-01-02T03:10:00Z", json!(30), Some(30.0), None)]
    #[case::beyond("2026-01-02T03:04:00Z", json!(30), Some(390.0), Some(360.0))]
    #[case::of_unknown_length("2026-01-02T03:04:00Z", json!(null), None, Some(360.0))]
    fn reads_the_deletion(
        #[case] due: &str,
        #[case] grace: Value,
        #[case] requested: Option<f64>,
        #[case] overdue: Option<f64>,
    ) {
        let mut pod = with("/metadata/deletionTimestamp", json!(due));
        pod["metadata"]["deletionGracePeriodSeconds"] = grace;
        pod["metadata"]["finalizers"] = json!(["example.com/a", "example.com/b"]);
        pod["spec"]["nodeName"] = json!("n1");
        let pod = reduce(pod);
        assert!(pod.terminating);
        let deletion = pod.deletion.unwrap();
        assert_eq!(deletion.requested_seconds.map(Seconds::get), requested);
        assert_eq!(deletion.overdue_seconds.map(Seconds::get), overdue);
        assert_eq!(deletion.finalizers, ["example.com/a", "example.com/b"]);
        assert_eq!(deletion.node.as_deref(), Some("n1"));
    }

    #[rstest]
    #[case(json!([{"type": "Ready", "status": "False", "lastTransitionTime": "2026-01-02T03:06:00Z"}]), 240.0)]
    #[case(json!([{"type": "Ready", "status": "Unknown"}]), 600.0)]
    #[case(json!([]), 600.0)]
    fn pod_is_unready_since_its_last_transition(#[case] conditions: Value, #[case] seconds: f64) {
        let pod = reduce(with("/status/conditions", conditions));
        assert_eq!(pod.ready_seconds, None);
        assert_eq!(pod.unready_seconds.map(Seconds::get), Some(seconds));
    }

    #[test]
    fn measured_container_may_be_a_sidecar() {
        let pod = reduce(with("/spec/containers/0/name", json!("other")));
        assert_eq!(pod.request, None);
        let mut sidecar = with("/spec/containers/0/name", json!("other"));
        sidecar["spec"]["initContainers"][1]["name"] = json!("ingestion");
        assert_eq!(reduce(sidecar).request.map(Cores::get), Some(0.15));
    }

    #[rstest]
    #[case::never(json!({"restartCount": 0, "state": {"running": {"startedAt": "2026-01-02T03:00:05Z"}}}), None)]
    #[case::running(json!({"restartCount": 1, "state": {"running": {"startedAt": "2026-01-02T03:08:00Z"}},
        "lastState": {"terminated": {"finishedAt": "2026-01-02T03:07:00Z"}}}), Some(120.0))]
    #[case::running_since_an_unknown_time(json!({"restartCount": 1, "state": {"running": {}}}), Some(0.0))]
    #[case::waiting(json!({"restartCount": 300, "state": {"waiting": {"reason": "CrashLoopBackOff"}},
        "lastState": {"terminated": {"reason": "Error", "startedAt": "2026-01-02T03:06:00Z",
            "finishedAt": "2026-01-02T03:07:00Z"}}}), Some(180.0))]
    #[case::waiting_since_an_unknown_time(json!({"restartCount": 1, "state": {"waiting": {}},
        "lastState": null}), Some(0.0))]
    #[case::without_a_state(json!({"restartCount": 1}), Some(0.0))]
    #[case::another_container(json!({"restartCount": 3, "name": "idle", "state": {"running": {}}}), None)]
    fn reads_the_age_of_the_last_restart_of_the_measured_container(
        #[case] status: Value,
        #[case] expected: Option<f64>,
    ) {
        let pod = reduce(with_status("/status/containerStatuses", status));
        assert_eq!(pod.restarted_seconds.map(Seconds::get), expected);
    }

    #[test]
    fn restart_of_a_sidecar_counts_and_of_an_init_container_does_not() {
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

    #[test]
    fn lists_the_containers_of_a_workload_without_the_measured_container() {
        let renamed = with("/spec/containers/0/name", json!("worker"));
        let foreign = with("/metadata/ownerReferences", json!(null));
        // The measured container of a pod that the workload does not own does not count.
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
    fn invalid_request_is_an_error_in_both_formats() {
        let body = json!({"kind": "PodList", "items": [with("/spec/containers/0/resources/requests/cpu", json!("lots"))]});
        let mut reduction = Reduction::new(Timestamp::UNIX_EPOCH, "ingestion");
        for body in bodies(&body) {
            let error = reduction.page(&body).unwrap_err();
            assert!(error.to_string().contains("`lots`"), "{error}");
        }
    }
}
