//! A sample pod, and its encoding in both formats.

use bytes::Bytes;
use jiff::Timestamp;
use serde_json::{Value, json};

use crate::protobuf::testing::Encoded;

/// Encodes a list that is given as JSON in both formats.
pub(super) fn bodies(list: &Value) -> [Bytes; 2] {
    [list.to_string().into(), encode(list)]
}

/// A pod as the API sends it, including fields that are not read.
pub(super) fn pod() -> Value {
    json!({
        "metadata": {
            "name": "ingestion-7d4-abcde",
            "generateName": "ingestion-7d4-",
            "namespace": "posthog",
            "uid": "u1",
            "resourceVersion": "12",
            "creationTimestamp": "2026-01-02T03:00:00Z",
            "labels": {"app": "ingestion", "pod-template-hash": "7d4"},
            "ownerReferences": [
                {"apiVersion": "v1", "kind": "Other", "name": "o", "uid": "other"},
                {"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "ingestion-7d4",
                 "uid": "rs1", "controller": true, "blockOwnerDeletion": true}
            ],
            "managedFields": [{"manager": "kubelet", "fieldsV1": {"f:status": {}}}]
        },
        "spec": {
            "nodeName": "node-1",
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
            "startTime": "2026-01-02T03:00:10Z",
            "conditions": [
                {"type": "PodScheduled", "status": "True", "lastTransitionTime": null},
                {"type": "Ready", "status": "True", "lastTransitionTime": "2026-01-02T03:01:00Z"}
            ]
        }
    })
}

/// The sample pod with another value at `path`.
pub(super) fn with(path: &str, value: Value) -> Value {
    let mut pod = pod();
    let (parent, key) = path.rsplit_once('/').unwrap();
    pod.pointer_mut(parent).unwrap()[key] = value;
    pod
}

/// The sample pod with the status of a container: the measured container unless `status` names
/// another one.
pub(super) fn with_status(list: &str, mut status: Value) -> Value {
    let names = status.as_object_mut().unwrap();
    names.entry("name").or_insert(json!("ingestion"));
    let other = json!({"name": "proxy", "restartCount": 9,
        "state": {"running": {"startedAt": "2026-01-02T03:09:59Z"}}});
    with(list, json!([other, status]))
}

/// Encodes a list that is given as JSON.
fn encode(list: &Value) -> Bytes {
    let metadata = Encoded::default()
        .bytes(1, "")
        .bytes(2, "12")
        .bytes(3, list["metadata"]["continue"].as_str().unwrap_or_default());
    let message = Encoded::default().bytes(1, metadata.0);
    all(message, 2, &list["items"], encode_pod).response("PodList")
}

fn encode_pod(pod: &Value) -> Encoded {
    let spec = all(Encoded::default(), 2, &pod["spec"]["containers"], container);
    let spec = text(spec, 10, &pod["spec"]["nodeName"]);
    let mut spec = all(spec, 20, &pod["spec"]["initContainers"], container);
    if pod["spec"]["resources"].is_object() {
        spec = spec.bytes(40, resources(&pod["spec"]["resources"]).0);
    }
    let status = text(Encoded::default(), 1, &pod["status"]["phase"]);
    let status = all(status, 2, &pod["status"]["conditions"], condition);
    let status = text(status, 3, &pod["status"]["message"]);
    let status = text(status, 4, &pod["status"]["reason"]);
    let containers = &pod["status"]["containerStatuses"];
    let status = text(status.bytes(5, "10.0.0.1"), 6, &pod["status"]["podIP"]);
    let status = time(status, 7, &pod["status"]["startTime"]);
    let status = all(status, 8, containers, container_status);
    let containers = &pod["status"]["initContainerStatuses"];
    let status = all(
        status.bytes(9, "Burstable"),
        10,
        containers,
        container_status,
    );
    Encoded::default()
        .bytes(1, metadata(&pod["metadata"]).0)
        .bytes(2, spec.bytes(3, "Always").number(4, 30).0)
        .bytes(3, status.0)
}

fn container_status(status: &Value) -> Encoded {
    let mut message = text(Encoded::default(), 1, &status["name"]);
    // The API server writes both fields, whether they are set or not.
    for (field, state) in [(2, &status["state"]), (3, &status["lastState"])] {
        message = message.bytes(field, container_state(state).0);
    }
    message
        .number(4, status["ready"].as_bool().unwrap_or(false).into())
        .number(5, status["restartCount"].as_u64().unwrap_or(0))
        .bytes(6, "image")
}

fn container_state(state: &Value) -> Encoded {
    let mut message = Encoded::default();
    let waiting = &state["waiting"];
    if waiting.is_object() {
        let waiting_message = text(Encoded::default(), 1, &waiting["reason"]);
        message = message.bytes(1, text(waiting_message, 2, &waiting["message"]).0);
    }
    let running = &state["running"];
    if running.is_object() {
        message = message.bytes(2, time(Encoded::default(), 1, &running["startedAt"]).0);
    }
    let ended = &state["terminated"];
    if ended.is_object() {
        let ended_message = Encoded::default().number(1, 137).number(2, 0);
        let ended_message = text(ended_message, 3, &ended["reason"]);
        let ended_message = text(ended_message, 4, &ended["message"]);
        let ended_message = time(ended_message, 5, &ended["startedAt"]);
        message = message.bytes(3, time(ended_message, 6, &ended["finishedAt"]).0);
    }
    message
}

fn metadata(metadata: &Value) -> Encoded {
    let message = text(Encoded::default(), 1, &metadata["name"]);
    let message = text(message.bytes(3, "ns"), 5, &metadata["uid"]).number(7, 1);
    let message = time(message, 8, &metadata["creationTimestamp"]);
    let mut message = time(message, 9, &metadata["deletionTimestamp"]);
    if let Some(seconds) = metadata["deletionGracePeriodSeconds"].as_u64() {
        message = message.number(10, seconds);
    }
    for (field, entries) in [(11, &metadata["labels"]), (12, &metadata["annotations"])] {
        for (name, value) in entries.as_object().into_iter().flatten() {
            message = message.bytes(field, text(Encoded::default().bytes(1, name), 2, value).0);
        }
    }
    let message = all(message, 13, &metadata["ownerReferences"], |owner| {
        let message = text(Encoded::default(), 1, &owner["kind"]);
        let message = text(message.bytes(3, "x"), 4, &owner["uid"]);
        message.number(6, owner["controller"].as_bool().unwrap_or(false).into())
    });
    let finalizers = metadata["finalizers"].as_array().into_iter().flatten();
    finalizers.fold(message, |message, finalizer| text(message, 14, finalizer))
}

fn container(container: &Value) -> Encoded {
    let message = text(Encoded::default(), 1, &container["name"]);
    text(
        message.bytes(8, resources(&container["resources"]).0),
        24,
        &container["restartPolicy"],
    )
}

fn resources(resources: &Value) -> Encoded {
    let mut message = Encoded::default();
    for (field, name) in [(1, "limits"), (2, "requests")] {
        for (name, quantity) in resources[name].as_object().into_iter().flatten() {
            let quantity = text(Encoded::default(), 1, quantity);
            let entry = Encoded::default().bytes(1, name).bytes(2, quantity.0);
            message = message.bytes(field, entry.0);
        }
    }
    message
}

fn condition(condition: &Value) -> Encoded {
    let message = text(Encoded::default(), 1, &condition["type"]);
    let message = text(message, 2, &condition["status"]).bytes(3, "");
    let message = time(message, 4, &condition["lastTransitionTime"]);
    let message = text(message, 5, &condition["reason"]);
    text(message, 6, &condition["message"])
}

fn all(mut to: Encoded, field: u64, list: &Value, each: fn(&Value) -> Encoded) -> Encoded {
    for item in list.as_array().into_iter().flatten() {
        to = to.bytes(field, each(item).0);
    }
    to
}

fn text(to: Encoded, field: u64, value: &Value) -> Encoded {
    match value.as_str() {
        Some(value) => to.bytes(field, value),
        None => to,
    }
}

/// Encodes an instant. An instant that is not set is a message without fields.
fn time(to: Encoded, field: u64, value: &Value) -> Encoded {
    let time = value
        .as_str()
        .map(|value| value.parse::<Timestamp>().unwrap());
    let message = time.map(|time| {
        let seconds = time.as_second().cast_unsigned();
        Encoded::default().number(1, seconds).number(2, 0)
    });
    to.bytes(field, message.unwrap_or_default().0)
}
