//! Why a pod does not become ready.

use rebalancer_core::model::PodFailure;

use super::PodObject;
use super::object::ContainerStatus;
use crate::object_meta::text;

/// Reasons for which a container waits that do not pass by waiting longer.
const LASTING: [&str; 8] = [
    "CrashLoopBackOff",
    "ImagePullBackOff",
    "ErrImagePull",
    "InvalidImageName",
    "ErrImageNeverPull",
    "CreateContainerConfigError",
    "CreateContainerError",
    "RunContainerError",
];

impl PodObject {
    /// The reason why the pod does not become ready, if its status names one.
    pub(super) fn failure(&self) -> Option<PodFailure> {
        if self.ready() || self.terminating() {
            return None;
        }
        let failure = |reason: String, message: String, lasting| PodFailure {
            pod: self.reference(),
            reason,
            message,
            lasting,
        };
        let status = &self.status;
        // A failed pod is replaced, whatever the state of its containers. The kubelet may have
        // evicted it, for example.
        if status.phase == "Failed" {
            let reason = match text(&status.reason) {
                empty if empty.is_empty() => "Failed".to_owned(),
                reason => reason,
            };
            return Some(failure(reason, text(&status.message), false));
        }
        if let Some((reason, message)) = self
            .container_statuses()
            .find_map(ContainerStatus::lasting_failure)
        {
            return Some(failure(reason, message, true));
        }
        let unschedulable = status.conditions.iter().find(|condition| {
            condition.kind == "PodScheduled"
                && condition.status == "False"
                && condition.reason == "Unschedulable"
        })?;
        let reason = text(&unschedulable.reason);
        Some(failure(reason, text(&unschedulable.message), false))
    }
}

impl ContainerStatus {
    /// Reason and message of a failure to start that does not pass by waiting.
    fn lasting_failure(&self) -> Option<(String, String)> {
        let state = self.state.as_ref()?;
        if let Some(waiting) = &state.waiting
            && LASTING.iter().any(|reason| waiting.reason == reason)
        {
            let mut message = self.describe(&text(&waiting.message));
            if let Some(end) = self.last_end().filter(|end| !end.reason.is_empty()) {
                message.push_str("; it last ended with ");
                message.push_str(&text(&end.reason));
            }
            return Some((text(&waiting.reason), message));
        }
        let end = state.terminated.as_ref()?;
        // An init container that was restarted and then succeeded is also in this state.
        if self.restart_count == 0 || end.reason == "Completed" {
            return None;
        }
        let reason = match text(&end.reason) {
            empty if empty.is_empty() => "Error".to_owned(),
            reason => reason,
        };
        Some((reason, self.describe(&text(&end.message))))
    }

    fn describe(&self, message: &str) -> String {
        let name = text(&self.name);
        if message.is_empty() {
            format!("container {name}")
        } else {
            format!("container {name}: {message}")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::ReadyCount;
    use super::super::testing::{bodies, pod, with, with_status};
    use super::*;
    use crate::pages::Pages as _;
    use rebalancer_core::model::{PodRef, PodUid};
    use rstest::rstest;
    use serde_json::{Value, json};

    /// Returns the failures of one pod of the workload, which must be the same in both formats.
    fn failures(pod: &Value) -> Vec<PodFailure> {
        let list = json!({"kind": "PodList", "metadata": {}, "items": [pod]});
        let owners = ["rs1".to_owned()];
        let [in_json, in_protobuf] = bodies(&list).map(|body| {
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

    /// Makes a pod not ready.
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
    fn container_that_cannot_start_is_a_lasting_failure(
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
    fn container_that_may_still_start_is_no_failure(#[case] status: Value) {
        let pod = unready(with_status("/status/containerStatuses", status));
        assert_eq!(failures(&pod), []);
    }

    #[test]
    fn ready_terminating_and_foreign_pods_are_no_failures_of_the_workload() {
        let crash =
            json!({"restartCount": 1, "state": {"waiting": {"reason": "CrashLoopBackOff"}}});
        let crashing = with_status("/status/containerStatuses", crash);
        assert_eq!(failures(&crashing), []);
        let mut terminating = unready(crashing.clone());
        terminating["metadata"]["deletionTimestamp"] = json!("2026-01-02T03:10:30Z");
        assert_eq!(failures(&terminating), []);
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
    fn failure_of_the_pod_itself_may_pass(
        #[case] status: Value,
        #[case] expected: Option<(&str, &str)>,
    ) {
        let found = failures(&with("/status", status));
        assert!(found.iter().all(|failure| !failure.lasting));
        let reason_and_message = found
            .first()
            .map(|failure| (failure.reason.as_str(), failure.message.as_str()));
        assert_eq!(reason_and_message, expected);
    }

    #[test]
    fn sample_pod_is_no_failure() {
        assert_eq!(failures(&pod()), []);
    }
}
