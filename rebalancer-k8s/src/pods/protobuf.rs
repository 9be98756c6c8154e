//! Pods in protobuf. The numbers of the fields are those of the API's `generated.proto`, which
//! never change.

use std::borrow::Cow;

use jiff::Timestamp;

use super::{
    Annotations, Condition, Container, ContainerState, ContainerStatus, LeanPod, OwnerReference,
    PodMetadata, PodSpec, PodStatus, Requests, Resources, Running, Sink, Terminated, Waiting,
};
use crate::api::{BadPage, PageEnd};
use crate::cpu_quantity::CpuQuantity;
use crate::protobuf::{Fields, Malformed, Value, text};

const METADATA: u64 = 1;
const ITEMS: u64 = 2;

/// Reads a `PodList`.
pub(super) fn read_list(list: &[u8], sink: &mut impl Sink) -> Result<PageEnd, BadPage> {
    let mut items = 0;
    let mut next = None;
    for field in Fields::of(list) {
        match field? {
            (METADATA, Value::Bytes(metadata)) => next = continue_token(metadata)?,
            (ITEMS, Value::Bytes(_)) => items += 1,
            _ => {}
        }
    }
    sink.expect(items);
    for field in Fields::of(list) {
        if let (ITEMS, Value::Bytes(pod)) = field? {
            sink.take(&LeanPod::from_protobuf(pod)?);
        }
    }
    Ok(PageEnd {
        items,
        next,
        enough: false,
    })
}

fn continue_token(metadata: &[u8]) -> Result<Option<String>, Malformed> {
    let mut next = None;
    for field in Fields::of(metadata) {
        if let (3, Value::Bytes(token)) = field? {
            next = Some(text(token)?.into_owned());
        }
    }
    Ok(next.filter(|token| !token.is_empty()))
}

impl<'a> LeanPod<'a> {
    fn from_protobuf(pod: &'a [u8]) -> Result<Self, BadPage> {
        let mut metadata = PodMetadata::default();
        let mut spec = PodSpec::default();
        let mut status = PodStatus::default();
        for field in Fields::of(pod) {
            match field? {
                (1, Value::Bytes(message)) => metadata = PodMetadata::from_protobuf(message)?,
                (2, Value::Bytes(message)) => spec = PodSpec::from_protobuf(message)?,
                (3, Value::Bytes(message)) => status = PodStatus::from_protobuf(message)?,
                _ => {}
            }
        }
        if metadata.name.is_empty() || metadata.uid.is_empty() {
            return Err(BadPage::Nameless);
        }
        Ok(Self {
            metadata,
            spec,
            status,
        })
    }
}

impl<'a> PodMetadata<'a> {
    fn from_protobuf(message: &'a [u8]) -> Result<Self, Malformed> {
        let mut metadata = Self::default();
        for field in Fields::of(message) {
            match field? {
                (1, Value::Bytes(name)) => metadata.name = text(name)?,
                (5, Value::Bytes(uid)) => metadata.uid = text(uid)?,
                (8, Value::Bytes(time)) => metadata.creation_timestamp = timestamp(time)?,
                (9, Value::Bytes(time)) => metadata.deletion_timestamp = timestamp(time)?,
                (12, Value::Bytes(entry)) => {
                    metadata.annotations.get_or_insert_default().take(entry)?
                }
                (13, Value::Bytes(owner)) => metadata
                    .owner_references
                    .get_or_insert_default()
                    .push(OwnerReference::from_protobuf(owner)?),
                _ => {}
            }
        }
        Ok(metadata)
    }
}

impl Annotations {
    fn take(&mut self, entry: &[u8]) -> Result<(), Malformed> {
        let (name, value) = map_entry(entry)?;
        let place = match name {
            b"kubernetes.io/config.mirror" => &mut self.mirror,
            b"rebalancer.io/skip" => &mut self.skip,
            b"cluster-autoscaler.kubernetes.io/safe-to-evict" => &mut self.safe_to_evict,
            b"descheduler.alpha.kubernetes.io/prefer-no-eviction" => &mut self.prefer_no_eviction,
            _ => return Ok(()),
        };
        *place = Some(text(value)?.into_owned());
        Ok(())
    }
}

impl<'a> OwnerReference<'a> {
    fn from_protobuf(message: &'a [u8]) -> Result<Self, Malformed> {
        let mut owner = Self {
            kind: Cow::Borrowed(""),
            uid: Cow::Borrowed(""),
            controller: false,
        };
        for field in Fields::of(message) {
            match field? {
                (1, Value::Bytes(kind)) => owner.kind = text(kind)?,
                (4, Value::Bytes(uid)) => owner.uid = text(uid)?,
                (6, Value::Number(controller)) => owner.controller = controller != 0,
                _ => {}
            }
        }
        Ok(owner)
    }
}

impl<'a> PodSpec<'a> {
    fn from_protobuf(message: &'a [u8]) -> Result<Self, BadPage> {
        let mut spec = Self::default();
        for field in Fields::of(message) {
            match field? {
                (2, Value::Bytes(container)) => {
                    spec.containers.push(Container::from_protobuf(container)?);
                }
                (20, Value::Bytes(container)) => spec
                    .init_containers
                    .get_or_insert_default()
                    .push(Container::from_protobuf(container)?),
                _ => {}
            }
        }
        Ok(spec)
    }
}

impl<'a> Container<'a> {
    fn from_protobuf(message: &'a [u8]) -> Result<Self, BadPage> {
        let mut container = Self {
            name: Cow::Borrowed(""),
            restart_policy: None,
            resources: None,
        };
        for field in Fields::of(message) {
            match field? {
                (1, Value::Bytes(name)) => container.name = text(name)?,
                (8, Value::Bytes(resources)) => {
                    container.resources = Some(Resources {
                        requests: Some(Requests {
                            cpu: cpu_request(resources)?,
                        }),
                    });
                }
                (24, Value::Bytes(policy)) => {
                    container.restart_policy = Some(text(policy)?.into_owned());
                }
                _ => {}
            }
        }
        Ok(container)
    }
}

impl<'a> PodStatus<'a> {
    fn from_protobuf(message: &'a [u8]) -> Result<Self, Malformed> {
        let mut status = Self::default();
        for field in Fields::of(message) {
            match field? {
                (1, Value::Bytes(phase)) => status.phase = text(phase)?,
                (2, Value::Bytes(condition)) => status
                    .conditions
                    .get_or_insert_default()
                    .push(Condition::from_protobuf(condition)?),
                (3, Value::Bytes(message)) => status.message = text(message)?,
                (4, Value::Bytes(reason)) => status.reason = text(reason)?,
                (6, Value::Bytes(ip)) => status.pod_ip = text(ip)?,
                (8, Value::Bytes(container)) => status
                    .container_statuses
                    .get_or_insert_default()
                    .push(ContainerStatus::from_protobuf(container)?),
                (10, Value::Bytes(container)) => status
                    .init_container_statuses
                    .get_or_insert_default()
                    .push(ContainerStatus::from_protobuf(container)?),
                _ => {}
            }
        }
        Ok(status)
    }
}

impl<'a> ContainerStatus<'a> {
    fn from_protobuf(message: &'a [u8]) -> Result<Self, Malformed> {
        let mut status = Self {
            name: Cow::Borrowed(""),
            restart_count: 0,
            state: None,
            last_state: None,
        };
        for field in Fields::of(message) {
            match field? {
                (1, Value::Bytes(name)) => status.name = text(name)?,
                (2, Value::Bytes(state)) => {
                    status.state = Some(ContainerState::from_protobuf(state)?);
                }
                (3, Value::Bytes(state)) => {
                    status.last_state = Some(ContainerState::from_protobuf(state)?);
                }
                (5, Value::Number(count)) => status.restart_count = count,
                _ => {}
            }
        }
        Ok(status)
    }
}

impl<'a> ContainerState<'a> {
    fn from_protobuf(message: &'a [u8]) -> Result<Self, Malformed> {
        let mut state = Self::default();
        for field in Fields::of(message) {
            match field? {
                (1, Value::Bytes(waiting)) => {
                    state.waiting = Some(Waiting::from_protobuf(waiting)?)
                }
                (2, Value::Bytes(running)) => {
                    state.running = Some(Running::from_protobuf(running)?)
                }
                (3, Value::Bytes(terminated)) => {
                    state.terminated = Some(Terminated::from_protobuf(terminated)?);
                }
                _ => {}
            }
        }
        Ok(state)
    }
}

impl<'a> Waiting<'a> {
    fn from_protobuf(message: &'a [u8]) -> Result<Self, Malformed> {
        let mut waiting = Self::default();
        for field in Fields::of(message) {
            match field? {
                (1, Value::Bytes(reason)) => waiting.reason = text(reason)?,
                (2, Value::Bytes(message)) => waiting.message = text(message)?,
                _ => {}
            }
        }
        Ok(waiting)
    }
}

impl Running {
    fn from_protobuf(message: &[u8]) -> Result<Self, Malformed> {
        let mut running = Self::default();
        for field in Fields::of(message) {
            if let (1, Value::Bytes(time)) = field? {
                running.started_at = timestamp(time)?;
            }
        }
        Ok(running)
    }
}

impl<'a> Terminated<'a> {
    fn from_protobuf(message: &'a [u8]) -> Result<Self, Malformed> {
        let mut terminated = Self::default();
        for field in Fields::of(message) {
            match field? {
                (3, Value::Bytes(reason)) => terminated.reason = text(reason)?,
                (4, Value::Bytes(message)) => terminated.message = text(message)?,
                (6, Value::Bytes(time)) => terminated.finished_at = timestamp(time)?,
                _ => {}
            }
        }
        Ok(terminated)
    }
}

impl<'a> Condition<'a> {
    fn from_protobuf(message: &'a [u8]) -> Result<Self, Malformed> {
        let mut condition = Self {
            kind: Cow::Borrowed(""),
            status: Cow::Borrowed(""),
            last_transition_time: None,
            reason: Cow::Borrowed(""),
            message: Cow::Borrowed(""),
        };
        for field in Fields::of(message) {
            match field? {
                (1, Value::Bytes(kind)) => condition.kind = text(kind)?,
                (2, Value::Bytes(status)) => condition.status = text(status)?,
                (4, Value::Bytes(time)) => condition.last_transition_time = timestamp(time)?,
                (5, Value::Bytes(reason)) => condition.reason = text(reason)?,
                (6, Value::Bytes(message)) => condition.message = text(message)?,
                _ => {}
            }
        }
        Ok(condition)
    }
}

/// The CPU among the requests of a `ResourceRequirements`.
fn cpu_request(resources: &[u8]) -> Result<Option<CpuQuantity>, BadPage> {
    for field in Fields::of(resources) {
        let (2, Value::Bytes(entry)) = field? else {
            continue;
        };
        let (b"cpu", quantity) = map_entry(entry)? else {
            continue;
        };
        for field in Fields::of(quantity) {
            if let (1, Value::Bytes(quantity)) = field? {
                let quantity = text(quantity)?;
                return match CpuQuantity::parse(&quantity) {
                    None => Err(BadPage::Quantity(quantity.into_owned())),
                    known => Ok(known),
                };
            }
        }
    }
    Ok(None)
}

/// Key and value of an entry of a map.
fn map_entry(entry: &[u8]) -> Result<(&[u8], &[u8]), Malformed> {
    let mut key = [].as_slice();
    let mut value = [].as_slice();
    for field in Fields::of(entry) {
        match field? {
            (1, Value::Bytes(bytes)) => key = bytes,
            (2, Value::Bytes(bytes)) => value = bytes,
            _ => {}
        }
    }
    Ok((key, value))
}

/// An instant; one that is not set is a message without fields.
fn timestamp(message: &[u8]) -> Result<Option<Timestamp>, Malformed> {
    let mut seconds = None;
    for field in Fields::of(message) {
        if let (1, Value::Number(number)) = field? {
            seconds = Some(number.cast_signed());
        }
    }
    // The API has whole seconds.
    seconds
        .map(|seconds| Timestamp::from_second(seconds).map_err(|_| Malformed::Number))
        .transpose()
}

/// Turns pods into protobuf, as the API would.
#[cfg(test)]
pub(super) mod testing {
    use serde_json::Value;

    use super::Timestamp;
    use crate::protobuf::testing::Message;

    /// An answer with a list that is given as JSON.
    pub(crate) fn list(list: &Value) -> Vec<u8> {
        let metadata = Message::default()
            .bytes(1, "")
            .bytes(2, "12")
            .bytes(3, list["metadata"]["continue"].as_str().unwrap_or_default());
        let message = Message::default().bytes(1, metadata.0);
        all(message, 2, &list["items"], pod).answer("PodList")
    }

    fn pod(pod: &Value) -> Message {
        let spec = all(Message::default(), 2, &pod["spec"]["containers"], container);
        let spec = all(spec, 20, &pod["spec"]["initContainers"], container);
        let status = text(Message::default(), 1, &pod["status"]["phase"]);
        let status = all(status, 2, &pod["status"]["conditions"], condition);
        let status = text(status, 3, &pod["status"]["message"]);
        let status = text(status, 4, &pod["status"]["reason"]);
        let containers = &pod["status"]["containerStatuses"];
        let status = text(status.bytes(5, "10.0.0.1"), 6, &pod["status"]["podIP"]);
        let status = all(status, 8, containers, container_status);
        let containers = &pod["status"]["initContainerStatuses"];
        let status = all(
            status.bytes(9, "Burstable"),
            10,
            containers,
            container_status,
        );
        Message::default()
            .bytes(1, metadata(&pod["metadata"]).0)
            .bytes(2, spec.bytes(3, "Always").number(4, 30).0)
            .bytes(3, status.0)
    }

    fn container_status(status: &Value) -> Message {
        let mut message = text(Message::default(), 1, &status["name"]);
        // The API writes both, set or not.
        for (field, state) in [(2, &status["state"]), (3, &status["lastState"])] {
            message = message.bytes(field, container_state(state).0);
        }
        message
            .number(4, status["ready"].as_bool().unwrap_or(false).into())
            .number(5, status["restartCount"].as_u64().unwrap_or(0))
            .bytes(6, "image")
    }

    fn container_state(state: &Value) -> Message {
        let mut message = Message::default();
        let waiting = &state["waiting"];
        if waiting.is_object() {
            let waiting_message = text(Message::default(), 1, &waiting["reason"]);
            message = message.bytes(1, text(waiting_message, 2, &waiting["message"]).0);
        }
        let running = &state["running"];
        if running.is_object() {
            message = message.bytes(2, time(Message::default(), 1, &running["startedAt"]).0);
        }
        let ended = &state["terminated"];
        if ended.is_object() {
            let ended_message = Message::default().number(1, 137).number(2, 0);
            let ended_message = text(ended_message, 3, &ended["reason"]);
            let ended_message = text(ended_message, 4, &ended["message"]);
            let ended_message = time(ended_message, 5, &ended["startedAt"]);
            message = message.bytes(3, time(ended_message, 6, &ended["finishedAt"]).0);
        }
        message
    }

    fn metadata(metadata: &Value) -> Message {
        let message = text(Message::default(), 1, &metadata["name"]);
        let message = text(message.bytes(3, "ns"), 5, &metadata["uid"]).number(7, 1);
        let message = time(message, 8, &metadata["creationTimestamp"]);
        let mut message = time(message, 9, &metadata["deletionTimestamp"]);
        for (name, value) in metadata["annotations"].as_object().into_iter().flatten() {
            message = message.bytes(12, text(Message::default().bytes(1, name), 2, value).0);
        }
        all(message, 13, &metadata["ownerReferences"], |owner| {
            let message = text(Message::default(), 1, &owner["kind"]);
            let message = text(message.bytes(3, "x"), 4, &owner["uid"]);
            message.number(6, owner["controller"].as_bool().unwrap_or(false).into())
        })
    }

    fn container(container: &Value) -> Message {
        let mut resources = Message::default();
        let requests = container["resources"]["requests"].as_object();
        for (name, quantity) in requests.into_iter().flatten() {
            let quantity = text(Message::default(), 1, quantity);
            let entry = Message::default().bytes(1, name).bytes(2, quantity.0);
            resources = resources.bytes(2, entry.0);
        }
        let message = text(Message::default(), 1, &container["name"]);
        text(
            message.bytes(8, resources.0),
            24,
            &container["restartPolicy"],
        )
    }

    fn condition(condition: &Value) -> Message {
        let message = text(Message::default(), 1, &condition["type"]);
        let message = text(message, 2, &condition["status"]).bytes(3, "");
        let message = time(message, 4, &condition["lastTransitionTime"]);
        let message = text(message, 5, &condition["reason"]);
        text(message, 6, &condition["message"])
    }

    fn all(mut to: Message, field: u64, list: &Value, each: fn(&Value) -> Message) -> Message {
        for item in list.as_array().into_iter().flatten() {
            to = to.bytes(field, each(item).0);
        }
        to
    }

    fn text(to: Message, field: u64, value: &Value) -> Message {
        match value.as_str() {
            Some(value) => to.bytes(field, value),
            None => to,
        }
    }

    /// One that is not set is written without fields.
    fn time(to: Message, field: u64, value: &Value) -> Message {
        let time = value
            .as_str()
            .map(|value| value.parse::<Timestamp>().unwrap());
        let message = time.map(|time| {
            let seconds = time.as_second().cast_unsigned();
            Message::default().number(1, seconds).number(2, 0)
        });
        to.bytes(field, message.unwrap_or_default().0)
    }
}
