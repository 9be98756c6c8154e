//! The requests of the journal.

use jiff::Timestamp;
use rebalancer_core::Strategy;
use rebalancer_core::history::Rotation;
use rebalancer_core::ports::{Journal as _, JournalEntry, PodActuator as _, PortErrorKind};
use rebalancer_core::proposal::ProposedPlan;
use rebalancer_k8s::KubernetesJournal;
use rstest::rstest;
use serde_json::{Value, json};

use super::server::{DEPLOYMENT, FakeApi, Reply, at, deployment, refusal, shop, web_a};

const EVENTS: &str = "POST /apis/events.k8s.io/v1/namespaces/shop/events";
const PATCH: &str = "PATCH /apis/apps/v1/namespaces/shop/deployments/web?";

fn created() -> Reply {
    Reply::Json(201, json!({"kind": "Event", "metadata": {}}))
}

fn journal(api: &FakeApi) -> KubernetesJournal {
    api.actuator(|_| {}).journal("host-1")
}

fn entry() -> JournalEntry {
    JournalEntry {
        pod: None,
        reason: "Rotated",
        message: "4 of 12 pods".into(),
        warning: false,
        at: Timestamp::now(),
    }
}

fn rotation() -> Rotation {
    Rotation {
        moves: 0,
        abandoned: None,
        time: "2026-01-02T03:00:00Z".parse().unwrap(),
        victims: vec!["a".into()],
        imbalance_before: 2.0,
        imbalance_hoped: 1.25,
        imbalance_range: Some((1.0, 1.5)),
        strategy: Strategy::RotateOutliers,
        ineffective: 0,
        earlier: Vec::new(),
    }
}

fn body(api: &FakeApi, request: &str) -> Value {
    let sent = api.seen(request);
    assert_eq!(sent.len(), 1);
    let (_, body) = sent[0].split_once('{').unwrap();
    serde_json::from_str(&format!("{{{body}")).unwrap()
}

fn the_workload() -> Value {
    json!({"apiVersion": "apps/v1", "kind": "Deployment", "namespace": "shop", "name": "web",
        "uid": "d1"})
}

#[tokio::test]
async fn event_is_about_the_workload() {
    let api = shop()
        .on(
            DEPLOYMENT,
            [at("Fri, 02 Jan 2026 03:10:00 GMT", deployment())],
        )
        .on(EVENTS, [created()]);
    journal(&api).publish(&entry()).await.unwrap();
    let mut event = body(&api, EVENTS);
    let time = event["eventTime"].take();
    let time = time.as_str().unwrap();
    // The instant of the entry, with the digits that the API requires.
    let written: jiff::Timestamp = time.parse().unwrap();
    assert!(
        (written.as_second() - entry().at.as_second()).abs() <= 60,
        "{time}"
    );
    assert_eq!(time.len(), 27);
    assert_eq!(
        event,
        json!({
            "apiVersion": "events.k8s.io/v1", "kind": "Event",
            "metadata": {"generateName": "web-", "namespace": "shop"},
            "eventTime": null, "type": "Normal", "reason": "Rotated", "action": "Rotate",
            "note": "4 of 12 pods", "reportingController": "rebalancer.io/rebalancer",
            "reportingInstance": "host-1", "regarding": the_workload(),
        })
    );
}

#[tokio::test]
async fn event_is_about_a_pod() {
    let api = shop().on(EVENTS, [created()]);
    let entry = JournalEntry {
        pod: Some(web_a()),
        reason: "EvictionFailed",
        message: "é".repeat(1000),
        warning: true,
        ..entry()
    };
    let actuator = api.actuator(|_| {});
    actuator.observe().await.unwrap();
    actuator
        .journal("x".repeat(200))
        .publish(&entry)
        .await
        .unwrap();
    let event = body(&api, EVENTS);
    assert_eq!(
        event["regarding"],
        json!({"apiVersion": "v1", "kind": "Pod", "namespace": "shop", "name": "a", "uid": "uid-a"})
    );
    assert_eq!(event["related"], the_workload());
    assert_eq!(event["metadata"]["generateName"], "a-");
    assert_eq!(
        (&event["type"], &event["action"]),
        (&json!("Warning"), &json!("Evict"))
    );
    let note = event["note"].as_str().unwrap();
    assert!(note.len() <= 1024 && note.ends_with("é…"), "{}", note.len());
    assert!(event["reportingInstance"].as_str().unwrap().len() <= 128);
    // The observation has already read the workload.
    assert_eq!(api.seen(DEPLOYMENT).len(), 1);
}

#[tokio::test]
async fn keeps_a_rotation_on_the_workload() {
    let api = shop().on(PATCH, [Reply::Json(200, deployment())]);
    let generation = journal(&api).remember(&rotation()).await.unwrap();
    assert_eq!(generation, deployment()["metadata"]["generation"].as_i64());
    let patch = body(&api, PATCH);
    let text = patch["metadata"]["annotations"]["rebalancer.io/last-rotation"]
        .as_str()
        .unwrap();
    assert_eq!(serde_json::from_str::<Rotation>(text).unwrap(), rotation());
    // The patch changes nothing else.
    assert_eq!(
        patch,
        json!({"metadata": {"annotations": {"rebalancer.io/last-rotation": text}}})
    );

    let mut annotated = deployment();
    annotated["metadata"]["annotations"] = patch["metadata"]["annotations"].clone();
    let api = shop().on(DEPLOYMENT, [Reply::Json(200, annotated)]);
    let seen = api.actuator(|_| {}).observe().await.unwrap();
    assert_eq!(seen.last_rotation, Some(rotation()));
}

#[tokio::test]
async fn records_about_other_kinds() {
    let resources = json!({"kind": "APIResourceList", "resources": [
        {"name": "rollouts", "kind": "Rollout"}, {"name": "rollouts/scale", "kind": "Scale"}]});
    let rollout = json!({"metadata": {"uid": "r1"}});
    let scale = json!({"kind": "Scale", "status": {"selector": "app=web"}});
    let base = "/apis/argoproj.io/v1alpha1";
    let of = format!("{base}/namespaces/shop/rollouts/web");
    let api = shop()
        .on(&format!("GET {base}"), [Reply::Json(200, resources)])
        .on(&format!("GET {of}"), [Reply::Json(200, rollout)])
        .on(&format!("GET {of}/scale"), [Reply::Json(200, scale)])
        .on(
            &format!("PATCH {of}?"),
            [Reply::Json(200, json!({"kind": "Rollout", "metadata": {}}))],
        )
        .on(EVENTS, [created()]);
    let journal = api
        .actuator(|settings| settings.workload.kind = "Rollout.v1alpha1.argoproj.io".into())
        .journal("host-1");
    journal.remember(&rotation()).await.unwrap();
    journal.publish(&entry()).await.unwrap();
    assert_eq!(
        body(&api, EVENTS)["regarding"],
        json!({"apiVersion": "argoproj.io/v1alpha1", "kind": "Rollout", "namespace": "shop",
            "name": "web", "uid": "r1"})
    );
}

#[rstest]
#[case(refusal(403, "Forbidden", "no"), PortErrorKind::Forbidden)]
#[case(refusal(422, "Invalid", "note: too long"), PortErrorKind::Rejected)]
#[case(Reply::Broken, PortErrorKind::Unreachable)]
#[tokio::test]
async fn reports_a_failure_to_write(#[case] reply: Reply, #[case] kind: PortErrorKind) {
    let api = shop().on(EVENTS, [reply.clone()]).on(PATCH, [reply]);
    let journal = journal(&api);
    let event = journal.publish(&entry()).await.unwrap_err();
    let memory = journal.remember(&rotation()).await.unwrap_err();
    assert_eq!((event.kind, memory.kind), (kind, kind));
    if kind == PortErrorKind::Forbidden {
        let grant = "grant verb `create` on `events` in API group `\"events.k8s.io\"`";
        assert!(event.message.contains(grant), "{}", event.message);
        let grant = "grant verb `patch` on `deployments` in API group `\"apps\"`";
        assert!(memory.message.contains(grant), "{}", memory.message);
    }
    // Each request was sent once.
    assert_eq!((api.seen(EVENTS).len(), api.seen(PATCH).len()), (1, 1));
}

/// A plan with this number of moves.
fn plan(moves: u32) -> ProposedPlan {
    let moves: Vec<Value> = (0..moves)
        .map(|partition| {
            json!({"topic": "orders", "partition": partition, "from": "web-1", "to": "web-2",
                "load": 0.0125})
        })
        .collect();
    serde_json::from_value(json!({
        "id": format!("{:08x}", moves.len()), "created": "2026-01-02T03:00:00Z", "expires": "2026-01-02T04:00:00Z",
        "message": "assign partitions to other members", "moves": moves,
    }))
    .unwrap()
}

#[tokio::test]
async fn plan_replaces_the_stored_one_and_its_approval() {
    let api = shop().on(DEPLOYMENT, [Reply::Json(200, deployment())]).on(
        PATCH,
        [Reply::Json(200, json!({"metadata": {"generation": 7}}))],
    );
    journal(&api).propose(&plan(2)).await.unwrap();
    let annotations = body(&api, PATCH)["metadata"]["annotations"].take();
    let text = annotations["rebalancer.io/plan"].as_str().unwrap();
    let stored: ProposedPlan = serde_json::from_str(text).unwrap();
    assert_eq!(stored, plan(2));
    assert_eq!(annotations.get("rebalancer.io/approve"), Some(&Value::Null));
}

/// The response to the patch is lost. The workload has the plan if the patch has taken effect.
#[rstest]
#[case::stored(plan(2), true)]
#[case::another(plan(3), false)]
#[tokio::test]
async fn lost_response_is_cleared_up_by_the_workload(
    #[case] on_workload: ProposedPlan,
    #[case] is_stored: bool,
) {
    let mut after = deployment();
    let text = serde_json::to_string(&on_workload).unwrap();
    after["metadata"]["annotations"] = json!({"rebalancer.io/plan": text});
    let before = Reply::Json(200, deployment());
    let api = shop()
        .on(DEPLOYMENT, [before, Reply::Json(200, after)])
        .on(PATCH, [Reply::Broken]);
    let result = journal(&api).propose(&plan(2)).await;
    let error = result.err().map(|error| error.kind);
    assert_eq!(error, (!is_stored).then_some(PortErrorKind::Unreachable));
    assert_eq!((api.seen(PATCH).len(), api.seen(DEPLOYMENT).len()), (1, 2));
}

/// Without a request: the API server would refuse it.
#[tokio::test]
async fn plan_that_does_not_fit_into_an_annotation_is_refused() {
    let error = journal(&shop()).propose(&plan(10_000)).await.unwrap_err();
    assert_eq!(error.kind, PortErrorKind::Rejected);
    let message = error.to_string();
    assert!(
        message.ends_with(" KiB, and an annotation may have 192 KiB"),
        "{message}"
    );
}
