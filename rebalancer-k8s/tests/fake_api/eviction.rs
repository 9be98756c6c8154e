//! Evictions, and reading a pod before one.

use std::time::Duration;

use rebalancer_core::model::{PodRef, PodUid, WorkloadRef};
use rebalancer_core::ports::{
    DisruptionBudget, EvictionAnswer, PodActuator as _, PodState, PortErrorKind,
};
use rebalancer_k8s::{Connection, EvictionMethod, KubernetesActuator, Settings};
use rstest::rstest;
use serde_json::{Value, json};

use super::server::{FakeApi, Reply, pod, refusal, shop, web_a};

#[rstest]
#[case::by_the_header(Reply::With("retry-after", "7", 429, json!({"kind": "Status", "message": "busy"})), 7)]
#[case::by_the_details(
    Reply::With("retry-after", "7", 429, json!({"kind": "Status", "message": "busy",
        "details": {"retryAfterSeconds": 9}})),
    9
)]
#[case::by_a_proxy(Reply::With("retry-after", "7", 429, json!("slow down")), 7)]
#[tokio::test]
async fn overloaded_server_is_not_a_budget(#[case] reply: Reply, #[case] seconds: u64) {
    let api = shop().on("POST /api/v1/namespaces/shop/pods/a/eviction", [reply]);
    let answer = api.actuator(|_| {}).evict(&web_a(), false).await;
    let EvictionAnswer::Throttled {
        message,
        retry_after,
    } = answer
    else {
        panic!("{answer:?}")
    };
    assert!(
        message.contains("overloaded")
            && message.contains("API priority and fairness, not a budget"),
        "{message}"
    );
    assert_eq!(retry_after, Some(Duration::from_secs(seconds)));
}

#[tokio::test]
async fn reads_a_pod_by_its_uid() {
    let mut terminating = pod("a", "rs1", true);
    terminating["metadata"]["deletionTimestamp"] = json!("2026-01-02T03:00:30Z");
    let other = json!({"metadata": {"name": "a", "uid": "newer"}, "spec": {"containers": []}});
    let mut opted_out = pod("a", "rs1", true);
    opted_out["metadata"]["annotations"] = json!({"rebalancer.io/skip": "true"});
    let mut both = terminating.clone();
    both["metadata"]["annotations"] = opted_out["metadata"]["annotations"].clone();
    for (reply, state) in [
        (
            Reply::Json(200, pod("a", "rs1", true)),
            PodState::Present { ready: true },
        ),
        (
            Reply::Json(200, pod("a", "rs1", false)),
            PodState::Present { ready: false },
        ),
        (Reply::Json(200, terminating), PodState::Terminating),
        (Reply::Json(200, opted_out), PodState::OptedOut),
        (Reply::Json(200, both), PodState::Terminating),
        (Reply::Json(200, other), PodState::Gone),
        (
            refusal(404, "NotFound", "pods \"a\" not found"),
            PodState::Gone,
        ),
    ] {
        let api = shop().on("GET /api/v1/namespaces/shop/pods/a", [reply]);
        assert_eq!(
            api.actuator(|_| {}).read_pod(&web_a()).await.unwrap(),
            state
        );
    }
}

#[rstest]
#[case(Reply::Json(201, json!({"kind": "Status", "status": "Success"})))]
#[case(refusal(429, "TooManyRequests", "throttled"))]
#[case(refusal(503, "ServiceUnavailable", "down"))]
#[case(Reply::Broken)]
#[case(Reply::Never)]
#[tokio::test]
async fn sends_an_eviction_once_whatever_the_response(#[case] reply: Reply) {
    let lost = matches!(reply, Reply::Broken | Reply::Never | Reply::Json(503, _));
    let api = shop().on("POST /api/v1/namespaces/shop/pods/a/eviction", [reply]);
    let answer = api.actuator(|_| {}).evict(&web_a(), false).await;
    assert_eq!(
        matches!(answer, EvictionAnswer::Unknown { .. }),
        lost,
        "{answer:?}"
    );
    let sent = api.seen("/eviction");
    assert_eq!(sent.len(), 1);
    assert!(
        sent[0].contains(r#""preconditions":{"uid":"uid-a"}"#),
        "{}",
        sent[0]
    );
}

#[rstest]
#[case("newer", EvictionAnswer::AlreadyGone)]
#[case("uid-a", EvictionAnswer::Failed { message: String::new() })]
#[tokio::test]
async fn resolves_an_unknown_conflict_by_reading_the_pod(
    #[case] uid: &str,
    #[case] expected: EvictionAnswer,
) {
    let mut now = pod("a", "rs1", true);
    now["metadata"]["uid"] = json!(uid);
    let api = shop()
        .on(
            "POST /api/v1/namespaces/shop/pods/a/eviction",
            [refusal(409, "Conflict", "hm")],
        )
        .on(
            "GET /api/v1/namespaces/shop/pods/a",
            [Reply::Json(200, now)],
        );
    let mut answer = api.actuator(|_| {}).evict(&web_a(), false).await;
    if let EvictionAnswer::Failed { message } = &mut answer {
        assert!(message.contains("hm"), "{message}");
        message.clear();
    }
    assert_eq!(answer, expected);
}

#[rstest]
#[case::gone(refusal(404, "NotFound", "pods \"a\" not found"), None)]
#[case::there(
    Reply::Json(200, pod("a", "rs1", true)),
    Some("404 (not that) for the eviction of a pod that exists: is pods/eviction served?")
)]
#[case::not_readable(
    refusal(403, "Forbidden", "no"),
    Some("cannot check whether the pod still exists: may not get pods")
)]
#[tokio::test]
async fn resolves_a_404_to_an_eviction_by_reading_the_pod(
    #[case] now: Reply,
    #[case] expected: Option<&str>,
) {
    let api = shop().on("GET /api/v1/namespaces/shop/pods/a", [now]).on(
        "POST /api/v1/namespaces/shop/pods/a/eviction",
        [refusal(404, "NotFound", "not that")],
    );
    let answer = api.actuator(|_| {}).evict(&web_a(), false).await;
    match (answer, expected) {
        (EvictionAnswer::AlreadyGone, None) => {}
        (EvictionAnswer::Failed { message }, Some(expected)) => {
            assert!(message.contains(expected), "{message}");
        }
        (answer, _) => panic!("{answer:?}"),
    }
}

#[tokio::test]
async fn refused_connection_means_that_nothing_was_sent() {
    // A port that was free a moment ago, and is not reused at once.
    let port = std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port();
    let mut config = kube::Config::new(format!("http://127.0.0.1:{port}").parse().unwrap());
    config.default_retry = false;
    // kube sets up TLS even if the address does not need it.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let connection = Connection::new(
        kube::Client::try_from(config).unwrap(),
        format!("http://127.0.0.1:{port}"),
        Duration::from_secs(5),
    );
    let settings = Settings::new(WorkloadRef::default());
    let actuator = KubernetesActuator::new(connection, settings).unwrap();
    let answer = actuator.evict(&web_a(), false).await;
    let EvictionAnswer::Failed { message } = answer else {
        panic!("{answer:?}")
    };
    assert!(
        message.contains("cannot be reached: Connection refused"),
        "{message}"
    );
}

const BUDGETS: &str = "GET /apis/policy/v1/namespaces/shop/poddisruptionbudgets?";

fn budget(name: &str, allowed: u32, labels: Value) -> Value {
    json!({
        "metadata": {"name": name},
        "spec": {"maxUnavailable": 1, "selector": {"matchLabels": labels}},
        "status": {"disruptionsAllowed": allowed, "currentHealthy": 3, "desiredHealthy": 2},
    })
}

/// The pods `a` and `b`, of which only the first is a canary, and `c`, which is gone.
fn with_budgets(budgets: Reply) -> (FakeApi, Vec<PodRef>) {
    let labelled = |name: &str, track: &str| {
        let mut pod = pod(name, "rs1", true);
        pod["metadata"]["labels"] = json!({"app": "web", "track": track});
        Reply::Json(200, pod)
    };
    let on = |name: &str| format!("GET /api/v1/namespaces/shop/pods/{name}");
    let api = shop()
        .on(&on("a"), [labelled("a", "canary")])
        .on(&on("b"), [labelled("b", "stable")])
        .on(BUDGETS, [budgets]);
    let pods = ["a", "b", "c"].map(|name| PodRef {
        name: name.into(),
        uid: PodUid(format!("uid-{name}")),
    });
    (api, pods.into())
}

fn list(budgets: &[Value]) -> Reply {
    let list = json!({"kind": "PodDisruptionBudgetList", "metadata": {}, "items": budgets});
    Reply::Json(200, list)
}

#[tokio::test]
async fn reads_the_budgets_that_cover_pods() {
    let (api, pods) = with_budgets(list(&[
        budget("all", 1, json!({"app": "web"})),
        budget("canaries", 0, json!({"app": "web", "track": "canary"})),
        budget("others", 0, json!({"app": "other"})),
        budget("loose", 3, json!({"app": "web"})),
    ]));
    let read = api.actuator(|_| {}).budgets(&pods).await.unwrap();
    let expected = [("all", 1, vec!["a", "b"]), ("canaries", 0, vec!["a"])];
    let expected = expected.map(|(name, allowed, pods)| DisruptionBudget {
        name: name.into(),
        allowed,
        pods: pods
            .into_iter()
            .map(|pod| PodUid(format!("uid-{pod}")))
            .collect(),
    });
    assert_eq!(read, expected);
}

/// One request suffices, unless a budget allows fewer evictions than there are pods.
#[tokio::test]
async fn reads_no_pods_if_the_budgets_allow_all_evictions() {
    let (api, pods) = with_budgets(list(&[budget("loose", 3, json!({"app": "web"}))]));
    assert_eq!(api.actuator(|_| {}).budgets(&pods).await.unwrap(), []);
    assert_eq!(api.seen("").len(), 1, "{:?}", api.seen(""));
}

#[tokio::test]
async fn deletes_respect_no_budget() {
    let (api, pods) = with_budgets(list(&[budget("all", 0, json!({"app": "web"}))]));
    let actuator = api.actuator(|settings| settings.eviction_method = EvictionMethod::Delete);
    assert_eq!(actuator.budgets(&pods).await.unwrap(), []);
    assert_eq!(api.seen(""), Vec::<String>::new());
}

#[tokio::test]
async fn missing_right_to_the_budgets_is_named() {
    let (api, pods) = with_budgets(refusal(403, "Forbidden", "no"));
    let error = api.actuator(|_| {}).budgets(&pods).await.unwrap_err();
    assert_eq!(error.kind, PortErrorKind::Forbidden);
    let grant = "grant verb `list` on `poddisruptionbudgets` in API group `\"policy\"`";
    assert!(error.message.contains(grant), "{}", error.message);
}
