//! Pod statuses as the scheduler and the kubelet write them.

use k8s_openapi::{
    api::core::v1::{
        Container, ContainerState, ContainerStateRunning, ContainerStateTerminated, Pod, PodStatus,
    },
    apimachinery::pkg::apis::meta::v1::Time,
    jiff::Timestamp,
};
use kube::ResourceExt as _;
use serde_json::{Value, json};

use crate::StartFailure;

/// The health of a pod that is bound to a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Health {
    Starting,
    Ready,
    Failing(StartFailure),
}

/// The complete status of a bound pod, with its address and start time.
pub(super) fn bound(pod: &Pod, address: &str, started: &str, health: Health) -> Value {
    let now = now();
    let ready = health == Health::Ready;
    let phase = match health {
        Health::Starting | Health::Ready => "Running",
        Health::Failing(failure) => failure.phase(),
    };
    let specs = pod.spec.as_ref().map(|spec| spec.containers.as_slice());
    let containers: Vec<Value> = specs
        .unwrap_or_default()
        .iter()
        .enumerate()
        .map(|(index, container)| match health {
            Health::Starting => running(container, started, false),
            // The first container is the measured one; only this one fails.
            Health::Failing(failure) if index == 0 => waiting(pod, container, failure),
            Health::Ready | Health::Failing(_) => running(container, started, true),
        })
        .collect();
    json!({
        "phase": phase,
        "hostIP": "10.0.0.10",
        "podIP": address,
        "podIPs": [{"ip": address}],
        "startTime": started,
        "conditions": [
            condition("PodScheduled", true, started),
            condition("Initialized", true, started),
            condition("ContainersReady", ready, &now),
            condition("Ready", ready, &now),
        ],
        "containerStatuses": containers,
    })
}

/// The status change of a pod whose only container has ended and is not restarted.
pub(super) fn ended(pod: &Pod, started: &str, code: i32) -> Value {
    let now = now();
    let container = pod.spec.as_ref().and_then(|spec| spec.containers.first());
    let (phase, reason) = if code == 0 {
        ("Succeeded", "Completed")
    } else {
        ("Failed", "Error")
    };
    json!({
        "phase": phase,
        "conditions": [
            condition("PodScheduled", true, started),
            condition("Initialized", true, started),
            condition("ContainersReady", false, &now),
            condition("Ready", false, &now),
        ],
        "containerStatuses": [{
            "name": container.map(|container| &container.name),
            "image": container.map(|container| &container.image),
            "imageID": "",
            "ready": false,
            "started": false,
            "restartCount": 0,
            "state": {"terminated": {
                "exitCode": code, "reason": reason, "startedAt": started, "finishedAt": now,
            }},
        }],
    })
}

/// The status of a pod that fits on no node.
pub(super) fn unschedulable(pod: &Pod) -> Value {
    let failure = StartFailure::Unschedulable;
    let mut condition = condition("PodScheduled", false, &now());
    condition["reason"] = failure.reason().into();
    condition["message"] = failure.message(&full_name(pod), "", "").into();
    json!({"phase": failure.phase(), "conditions": [condition]})
}

/// The status of a running pod after its measured container was killed for its memory usage and
/// restarted. `None` if the pod does not run.
pub(super) fn restarted(pod: &Pod) -> Option<PodStatus> {
    let now = Time(Timestamp::now());
    let mut status = pod.status.clone()?;
    let container = status.container_statuses.as_mut()?.first_mut()?;
    let before = container.state.take()?.running?;
    container.restart_count += 1;
    container.last_state = Some(ContainerState {
        terminated: Some(ContainerStateTerminated {
            exit_code: 137,
            reason: Some("OOMKilled".to_owned()),
            started_at: before.started_at,
            finished_at: Some(now.clone()),
            ..ContainerStateTerminated::default()
        }),
        ..ContainerState::default()
    });
    container.state = Some(ContainerState {
        running: Some(ContainerStateRunning {
            started_at: Some(now.clone()),
        }),
        ..ContainerState::default()
    });
    // The pod was not ready for a moment.
    for condition in status.conditions.iter_mut().flatten() {
        if ["ContainersReady", "Ready"].contains(&condition.type_.as_str()) {
            condition.last_transition_time = Some(now.clone());
        }
    }
    Some(status)
}

/// The current time in the API's format.
pub(super) fn now() -> String {
    Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

fn running(container: &Container, started: &str, ready: bool) -> Value {
    json!({
        "name": container.name,
        "image": container.image,
        "imageID": "",
        "ready": ready,
        "started": true,
        "restartCount": 0,
        "state": {"running": {"startedAt": started}},
    })
}

/// The status of a container that does not run.
fn waiting(pod: &Pod, container: &Container, failure: StartFailure) -> Value {
    let image = container.image.as_deref().unwrap_or_default();
    let message = failure.message(&full_name(pod), &container.name, image);
    let mut status = json!({
        "name": container.name,
        "image": image,
        "imageID": "",
        "ready": false,
        "started": false,
        "restartCount": 0,
        "state": {"waiting": {"reason": failure.reason(), "message": message}},
    });
    if failure == StartFailure::CrashLoopBackOff {
        let now = now();
        status["restartCount"] = 2.into();
        status["lastState"] = json!({"terminated": {
            "exitCode": 1, "reason": "Error", "startedAt": now, "finishedAt": now,
        }});
    }
    status
}

/// The kubelet's identifier of a pod in its messages.
fn full_name(pod: &Pod) -> String {
    format!(
        "{}_{}({})",
        pod.name_any(),
        pod.namespace().unwrap_or_default(),
        pod.uid().unwrap_or_default()
    )
}

fn condition(kind: &str, holds: bool, since: &str) -> Value {
    json!({
        "type": kind,
        "status": if holds { "True" } else { "False" },
        "lastTransitionTime": since,
    })
}
