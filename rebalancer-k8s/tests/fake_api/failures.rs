//! Pods that fail to become ready.

use rebalancer_core::ports::PodActuator as _;
use serde_json::{Value, json};

use super::server::{PODS, Reply, pod, shop};

fn broken(name: &str, owner: &str, status: Value) -> Value {
    let mut pod = pod(name, owner, false);
    pod["status"] = status;
    pod
}

#[tokio::test]
async fn names_the_pods_that_fail_to_become_ready() {
    let crash = || {
        json!({"phase": "Running", "containerStatuses": [{"name": "web", "restartCount": 4,
            "state": {"waiting": {"reason": "CrashLoopBackOff", "message": "back-off 40s"}},
            "lastState": {"terminated": {"reason": "OOMKilled"}}}]})
    };
    let items = json!({"kind": "PodList", "metadata": {}, "items": [
        pod("a", "rs1", true),
        broken("b", "rs1", crash()),
        // A pod of another workload, and a pod that is not ready yet.
        broken("c", "rs2", crash()),
        pod("d", "rs1", false),
        broken("e", "rs1", json!({"phase": "Failed", "reason": "Evicted", "message": "low on memory"})),
    ]});
    let api = shop().on(PODS, [Reply::Json(200, items)]);
    let state = api.actuator(|_| {}).read_workload(9).await.unwrap();
    let failures: Vec<_> = state
        .failures
        .iter()
        .map(|failure| {
            let name = failure.pod.name.as_str();
            (
                name,
                failure.reason.as_str(),
                failure.message.as_str(),
                failure.lasting,
            )
        })
        .collect();
    assert_eq!(
        failures,
        [
            (
                "b",
                "CrashLoopBackOff",
                "container web: back-off 40s; it last ended with OOMKilled",
                true
            ),
            ("e", "Evicted", "low on memory", false),
        ]
    );
    assert_eq!(state.ready, 1);
}
