//! The actuator against an API server that is a table of answers.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "helpers of tests may fail a test as tests may"
)]

mod journal;
mod lease;
mod troubles;

use std::collections::VecDeque;
use std::convert::Infallible;
use std::io;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use http::{Request, Response};
use http_body_util::{BodyExt as _, Full};
use jiff::Timestamp;
use kube::client::Body;
use rebalancer_core::model::{PodRef, PodUid, WorkloadRef};
use rebalancer_core::ports::{
    EvictionAnswer, PodActuator as _, PodState, PortError, PortErrorKind, WorkloadObservation,
};
use rebalancer_k8s::{Autoscalers, Connection, KubernetesActuator, Settings};
use rstest::rstest;
use serde_json::{Value, json};
use tower::{BoxError, service_fn};

/// What the server does with a request.
#[derive(Clone)]
enum Reply {
    Json(u16, Value),
    /// With a header of that name and value.
    With(&'static str, &'static str, u16, Value),
    Text(u16, &'static str),
    Never,
    Broken,
}

/// The replies to requests whose method, path and query begin so; the last one stays.
type Replies = (String, VecDeque<Reply>);

#[derive(Clone, Default)]
struct FakeApi {
    replies: Arc<Mutex<Vec<Replies>>>,
    seen: Arc<Mutex<Vec<String>>>,
}

impl FakeApi {
    fn on(self, request: &str, replies: impl IntoIterator<Item = Reply>) -> Self {
        let replies = replies.into_iter().collect();
        self.replies
            .lock()
            .unwrap()
            .insert(0, (request.to_owned(), replies));
        self
    }

    fn seen(&self, part: &str) -> Vec<String> {
        let seen = self.seen.lock().unwrap();
        seen.iter()
            .filter(|request| request.contains(part))
            .cloned()
            .collect()
    }

    fn reply(&self, request: &str) -> Reply {
        self.seen.lock().unwrap().push(request.to_owned());
        let mut table = self.replies.lock().unwrap();
        let entry = table
            .iter_mut()
            .find(|(prefix, _)| request.starts_with(prefix.as_str()));
        match entry {
            Some((_, replies)) if replies.len() > 1 => replies.pop_front().unwrap(),
            Some((_, replies)) => replies.front().unwrap().clone(),
            None => refusal(404, "NotFound", "nothing here"),
        }
    }

    fn connection(&self) -> Connection {
        let api = self.clone();
        let service = service_fn(move |request: Request<Body>| {
            let api = api.clone();
            async move {
                let (head, body) = request.into_parts();
                let body = body.collect().await.map_err(BoxError::from)?.to_bytes();
                let line = format!(
                    "{} {} {}",
                    head.method,
                    head.uri,
                    String::from_utf8_lossy(&body)
                );
                let mut response = Response::builder();
                let (code, body) = match api.reply(line.trim_end()) {
                    Reply::Json(code, body) => (code, body.to_string()),
                    Reply::With(name, value, code, body) => {
                        response = response.header(name, value);
                        (code, body.to_string())
                    }
                    Reply::Text(code, body) => (code, body.to_owned()),
                    Reply::Never => std::future::pending().await,
                    Reply::Broken => {
                        return Err(io::Error::new(io::ErrorKind::ConnectionReset, "reset").into());
                    }
                };
                let body = Full::from(body).map_err(|never: Infallible| match never {});
                Ok::<_, BoxError>(response.status(code).body(body)?)
            }
        });
        let client = kube::Client::new(service, "default");
        Connection::new(client, "https://fake", Duration::from_millis(300))
    }

    fn actuator(&self, adjust: impl FnOnce(&mut Settings)) -> KubernetesActuator {
        let mut settings = Settings::new(WorkloadRef {
            namespace: "shop".into(),
            kind: "Deployment".into(),
            name: "web".into(),
        });
        adjust(&mut settings);
        KubernetesActuator::new(self.connection(), settings).unwrap()
    }
}

const PODS: &str = "GET /api/v1/namespaces/shop/pods?";
const HPAS: &str = "GET /apis/autoscaling/v2/namespaces/shop/horizontalpodautoscalers?";
const SETS: &str = "GET /apis/apps/v1/namespaces/shop/replicasets?";
const DEPLOYMENT: &str = "GET /apis/apps/v1/namespaces/shop/deployments/web";

fn refusal(code: u16, reason: &str, message: &str) -> Reply {
    let status = json!({
        "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure", "reason": reason,
        "message": message, "code": code, "details": {"retryAfterSeconds": 0},
    });
    Reply::Json(code, status)
}

fn pod(name: &str, owner: &str, ready: bool) -> Value {
    json!({
        "metadata": {
            "name": name, "uid": format!("uid-{name}"), "creationTimestamp": "2026-01-02T03:00:00Z",
            "ownerReferences": [{"kind": "ReplicaSet", "uid": owner, "controller": true}],
        },
        "spec": {"containers": [{"name": "web", "resources": {"requests": {"cpu": "1"}}}]},
        "status": {
            "phase": "Running",
            "podIP": "10.0.0.7",
            "conditions": [{"type": "Ready", "status": if ready { "True" } else { "False" }}],
        },
    })
}

fn page(names: &[&str], next: &str) -> Reply {
    let items: Vec<_> = names.iter().map(|name| pod(name, "rs1", true)).collect();
    Reply::Json(
        200,
        json!({"kind": "PodList", "metadata": {"continue": next}, "items": items}),
    )
}

fn deployment() -> Value {
    json!({
        "metadata": {"name": "web", "uid": "d1", "generation": 2},
        "spec": {"replicas": 3, "selector": {"matchLabels": {"app": "web"}}},
        "status": {"observedGeneration": 2, "replicas": 3, "updatedReplicas": 3, "readyReplicas": 3},
    })
}

/// A success at some instant of the server.
fn at(date: &'static str, body: Value) -> Reply {
    Reply::With("date", date, 200, body)
}

/// A Deployment with a ReplicaSet of its own, one of another's, and no autoscaler.
fn shop() -> FakeApi {
    let set = |uid: &str, owner: &str| {
        json!({"metadata": {"uid": uid,
            "ownerReferences": [{"kind": "Deployment", "uid": owner, "controller": true}]}})
    };
    let sets = json!({"kind": "PartialObjectMetadataList", "metadata": {}, "items": [set("rs1", "d1"), set("rs2", "d2")]});
    FakeApi::default()
        .on(SETS, [Reply::Json(200, sets)])
        .on(DEPLOYMENT, [Reply::Json(200, deployment())])
        .on(
            HPAS,
            [Reply::Json(
                200,
                json!({"kind": "HorizontalPodAutoscalerList", "metadata": {}, "items": null}),
            )],
        )
        .on(PODS, [page(&["a", "b", "c"], "")])
}

fn names(seen: &WorkloadObservation) -> Vec<&str> {
    seen.pods.iter().map(|pod| pod.name.as_str()).collect()
}

fn web_a() -> PodRef {
    PodRef {
        name: "a".into(),
        uid: PodUid("uid-a".into()),
    }
}

async fn observe(api: &FakeApi) -> Result<WorkloadObservation, PortError> {
    api.actuator(|_| {}).observe().await
}

#[tokio::test]
async fn a_workload_is_observed() {
    let mixed = json!({"kind": "PodList", "metadata": {}, "items": [
        pod("a", "rs1", true), pod("b", "rs1", false), pod("foreign", "rs2", true)]});
    let api = shop().on(PODS, [Reply::Json(200, mixed)]);
    let seen = api
        .actuator(|settings| settings.label_selector = Some("tier in (x,y)".into()))
        .observe()
        .await
        .unwrap();
    let pods: Vec<_> = seen
        .pods
        .iter()
        .map(|pod| (pod.name.as_str(), pod.owned, pod.ready))
        .collect();
    assert_eq!(
        pods,
        [
            ("a", true, true),
            ("b", true, false),
            ("foreign", false, true)
        ]
    );
    assert_eq!(seen.rollout.unwrap().desired, 3);
    assert!(seen.autoscalers.is_empty());
    let listing = &api.seen("/pods?")[0];
    assert!(
        listing.contains("labelSelector=app%3Dweb%2Ctier+in+%28x%2Cy%29"),
        "{listing}"
    );
    assert!(listing.contains("limit=250"), "{listing}");
}

/// Whether two instants are the same but for the time that a test takes.
fn about(one: Timestamp, other: Timestamp) -> bool {
    one.duration_since(other).abs() < jiff::SignedDuration::from_secs(5)
}

#[tokio::test]
async fn ages_are_by_the_clock_of_the_api_server() {
    let api = shop().on(
        DEPLOYMENT,
        [at("Fri, 02 Jan 2026 03:10:00 GMT", deployment())],
    );
    let actuator = api.actuator(|_| {});
    let seen = actuator.observe().await.unwrap();
    assert!(about(
        seen.taken_at,
        "2026-01-02T03:10:00Z".parse().unwrap()
    ));
    let age = seen.pods[0].age_seconds.unwrap().get();
    assert!((600.0..605.0).contains(&age), "{age}");
}

#[tokio::test]
async fn without_a_date_the_local_clock_has_to_do() {
    let seen = observe(&shop()).await.unwrap();
    assert!(about(seen.taken_at, Timestamp::now()));
}

#[tokio::test]
async fn a_restart_of_the_measured_container_is_seen() {
    let mut restarted = pod("a", "rs1", true);
    restarted["status"]["containerStatuses"] = json!([{"name": "web", "restartCount": 2,
        "state": {"running": {"startedAt": "2026-01-02T03:09:00Z"}}}]);
    let pods =
        json!({"kind": "PodList", "metadata": {}, "items": [restarted, pod("b", "rs1", true)]});
    let api = shop()
        .on(
            DEPLOYMENT,
            [at("Fri, 02 Jan 2026 03:10:00 GMT", deployment())],
        )
        .on(PODS, [Reply::Json(200, pods)]);
    let seen = observe(&api).await.unwrap();
    let seconds = seen.pods[0].restarted_seconds.unwrap().get();
    assert!((60.0..65.0).contains(&seconds), "{seconds}");
    assert_eq!(seen.pods[1].restarted_seconds, None);
}

#[tokio::test]
async fn the_last_rotation_is_read_from_the_workload() {
    let rotation = json!({"time": "2026-01-02T03:00:00Z", "victims": ["a"], "imbalance_before": 2.0,
        "imbalance_hoped": 1.25, "strategy": "rotate-outliers", "futile": 1});
    let annotated = |text: &str| {
        let mut deployment = deployment();
        deployment["metadata"]["annotations"] = json!({"rebalancer.io/last-rotation": text});
        shop().on(DEPLOYMENT, [Reply::Json(200, deployment)])
    };
    let seen = observe(&annotated(&rotation.to_string())).await.unwrap();
    let read = seen.last_rotation.unwrap();
    assert_eq!(serde_json::to_value(read).unwrap(), rotation);
    for text in ["", "yesterday", r#"{"time": "2026-01-02T03:00:00Z"}"#] {
        let seen = observe(&annotated(text)).await.unwrap();
        assert_eq!(seen.last_rotation, None);
        assert_eq!(seen.pods.len(), 3);
    }
    assert_eq!(observe(&shop()).await.unwrap().last_rotation, None);
}

#[rstest]
#[case::by_the_header(Reply::With("retry-after", "7", 429, json!({"kind": "Status", "message": "busy"})), 7)]
#[case::by_the_details(
    Reply::With("retry-after", "7", 429, json!({"kind": "Status", "message": "busy",
        "details": {"retryAfterSeconds": 9}})),
    9
)]
#[case::by_a_proxy(Reply::With("retry-after", "7", 429, json!("slow down")), 7)]
#[tokio::test]
async fn an_overloaded_server_is_no_budget(#[case] reply: Reply, #[case] seconds: u64) {
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
async fn pages_are_followed() {
    let api = shop().on(PODS, [page(&["a", "b"], "next"), page(&["c"], "")]);
    assert_eq!(names(&observe(&api).await.unwrap()), ["a", "b", "c"]);
    let listings = api.seen("/pods?");
    assert_eq!(listings.len(), 2);
    assert!(listings[1].contains("continue=next"), "{}", listings[1]);
}

#[tokio::test]
async fn a_listing_that_expired_begins_again() {
    let expired = || refusal(410, "Expired", "The provided continue parameter is too old");
    let api = shop().on(
        PODS,
        [page(&["a", "b"], "next"), expired(), page(&["b", "c"], "")],
    );
    assert_eq!(names(&observe(&api).await.unwrap()), ["b", "c"]);
    assert!(!api.seen("/pods?")[2].contains("continue"));

    let api = shop()
        .on(PODS, [page(&["a"], "next")])
        .on(
            "GET /api/v1/namespaces/shop/pods?&limit=250&continue",
            [expired()],
        )
        .on(
            "GET /api/v1/namespaces/shop/pods?&labelSelector=app%3Dweb&limit=250&continue",
            [expired()],
        );
    let error = observe(&api).await.unwrap_err();
    assert!(error.message.contains("too old"), "{}", error.message);
    assert_eq!(api.seen("/pods?").len(), 6);
}

#[rstest]
#[case(429)]
#[case(503)]
#[tokio::test]
async fn a_busy_server_is_asked_again(#[case] code: u16) {
    let busy = || refusal(code, "TooManyRequests", "too busy");
    let api = shop().on(PODS, [busy(), busy(), page(&["a"], "")]);
    assert_eq!(names(&observe(&api).await.unwrap()), ["a"]);

    let api = shop().on(PODS, [busy()]);
    let error = observe(&api).await.unwrap_err();
    assert_eq!(error.kind, PortErrorKind::Server);
    assert_eq!(api.seen("/pods?").len(), 3);
}

#[rstest]
#[case(
    refusal(403, "Forbidden", "no"),
    PortErrorKind::Forbidden,
    "grant verb `list` on `pods`"
)]
#[case(
    refusal(401, "Unauthorized", "Unauthorized"),
    PortErrorKind::Unauthorized,
    "(401)"
)]
#[case(refusal(500, "InternalError", "boom"), PortErrorKind::Server, "boom")]
#[case(
    refusal(400, "BadRequest", "unable to parse requirement"),
    PortErrorKind::Rejected,
    "KUBE_LABEL_SELECTOR"
)]
#[case(
    Reply::Text(200, "<html>"),
    PortErrorKind::BadAnswer,
    "is it a Kubernetes API?"
)]
#[case(
    Reply::Text(502, "<html>Bad gateway"),
    PortErrorKind::Server,
    "<html>Bad gateway"
)]
#[case(Reply::Never, PortErrorKind::Timeout, "did not answer within 0.3 s")]
#[case(Reply::Broken, PortErrorKind::Unreachable, "cannot be reached: reset")]
#[tokio::test]
async fn every_trouble_has_its_error(
    #[case] reply: Reply,
    #[case] kind: PortErrorKind,
    #[case] words: &str,
) {
    let error = observe(&shop().on(PODS, [reply])).await.unwrap_err();
    assert_eq!(error.kind, kind);
    assert!(error.message.contains(words), "{}", error.message);
}

/// No list at all must not pass for an empty one.
#[rstest]
#[tokio::test]
async fn what_is_no_list_is_an_error(
    #[values(
        (PODS, "PodList"),
        (HPAS, "HorizontalPodAutoscalerList"),
        (SETS, "ReplicaSetList")
    )]
    (list, expected): (&str, &str),
    #[values(
        (json!({}), "an object without a kind"),
        (json!({"login": "please", "items": []}), "an object without a kind"),
        (json!({"kind": "SecretList", "metadata": {}, "items": []}), "of kind SecretList")
    )]
    (body, found): (Value, &str),
) {
    let error = observe(&shop().on(list, [Reply::Json(200, body)]))
        .await
        .unwrap_err();
    assert_eq!(error.kind, PortErrorKind::BadAnswer);
    let words = format!("it is {found}, and not a {expected}; is it a Kubernetes API?");
    assert!(error.message.contains(&words), "{}", error.message);
}

#[rstest]
#[tokio::test]
async fn a_redirect_is_named_and_not_followed(#[values(301, 302, 303, 307, 308)] code: u16) {
    let elsewhere = "https://other/login?then=secret";
    let reply = || Reply::With("location", elsewhere, code, json!({}));
    let words = format!(
        "https://fake redirects (HTTP {code}) to https://other/login, which is not followed, so \
         that no credentials go elsewhere: give the address of the Kubernetes API itself"
    );
    let api = shop().on(PODS, [reply()]);
    let error = observe(&api).await.unwrap_err();
    assert_eq!(error.kind, PortErrorKind::BadAnswer);
    assert!(error.message.contains(&words), "{}", error.message);
    assert_eq!(api.seen("/pods?").len(), 1);

    // Whatever it was that answered, it may have passed the eviction on.
    let api = shop().on("POST /api/v1/namespaces/shop/pods/a/eviction", [reply()]);
    let answer = api.actuator(|_| {}).evict(&web_a(), false).await;
    let EvictionAnswer::Unknown { message } = answer else {
        panic!("{answer:?}")
    };
    assert!(message.contains(&words), "{message}");
    assert_eq!(api.seen("POST").len(), 1);
}

#[rstest]
#[case::a_page(Reply::Text(502, "you sent: authorization: Bearer t0ken.of-ours"))]
#[case::an_answer(refusal(403, "Forbidden", "no: Bearer t0ken.of-ours"))]
#[case::nonsense(Reply::Json(200, json!({"kind": "PodList", "items": "Bearer t0ken.of-ours"})))]
#[tokio::test]
async fn a_token_that_is_sent_back_is_not_shown(#[case] reply: Reply) {
    let error = observe(&shop().on(PODS, [reply])).await.unwrap_err();
    let message = &error.message;
    assert!(message.contains("Bearer [hidden]"), "{message}");
    assert!(!message.contains("t0ken"), "{message}");
}

#[tokio::test]
async fn a_missing_workload_is_told_with_what_is_close() {
    let near = json!({"kind": "DeploymentList", "metadata": {}, "items": [{"metadata": {"name": "web-1"}}]});
    let api = shop()
        .on(
            DEPLOYMENT,
            [refusal(
                404,
                "NotFound",
                "deployments.apps \"web\" not found",
            )],
        )
        .on(
            "GET /apis/apps/v1/namespaces/shop/deployments?",
            [Reply::Json(200, near)],
        )
        .on(
            "GET /apis/apps/v1/namespaces/shop/statefulsets?",
            [refusal(403, "Forbidden", "no")],
        );
    let error = observe(&api).await.unwrap_err();
    assert_eq!(error.kind, PortErrorKind::NotFound);
    assert!(
        error
            .message
            .contains("close to it there is Deployment web-1;"),
        "{}",
        error.message
    );
}

#[rstest]
#[case(404, "the namespace itself does not exist")]
#[case(403, "either the namespace or the workload does not exist")]
#[tokio::test]
async fn a_missing_namespace_is_told_when_that_is_permitted(
    #[case] code: u16,
    #[case] words: &str,
) {
    let no = || refusal(403, "Forbidden", "no");
    let api = shop()
        .on(
            DEPLOYMENT,
            [refusal(
                404,
                "NotFound",
                "deployments.apps \"web\" not found",
            )],
        )
        .on("GET /apis/apps/v1/namespaces/shop/deployments?", [no()])
        .on("GET /apis/apps/v1/namespaces/shop/statefulsets?", [no()])
        .on("GET /api/v1/namespaces/shop", [refusal(code, "R", "m")])
        .on(PODS, [no()]);
    let error = observe(&api).await.unwrap_err();
    assert!(error.message.contains(words), "{}", error.message);
}

#[tokio::test]
async fn a_missing_container_is_told_with_those_there_are() {
    let api = shop();
    let error = api
        .actuator(|settings| settings.container = "nginx".into())
        .observe()
        .await
        .unwrap_err();
    assert!(
        error.message.contains("none of the 3 pods of Deployment shop/web has a container \"nginx\"; their containers are web;"),
        "{}",
        error.message
    );
}

#[tokio::test]
async fn no_pods_are_no_error() {
    let api = shop().on(PODS, [page(&[], "")]);
    assert!(observe(&api).await.unwrap().pods.is_empty());
}

#[rstest]
#[case(Autoscalers::Required, 403, Some(PortErrorKind::Forbidden))]
#[case(Autoscalers::IfPermitted, 403, None)]
#[case(Autoscalers::IfPermitted, 404, None)]
#[case(Autoscalers::IfPermitted, 500, Some(PortErrorKind::Server))]
#[case(Autoscalers::No, 500, None)]
#[tokio::test]
async fn autoscalers_are_read_as_they_are_needed(
    #[case] autoscalers: Autoscalers,
    #[case] code: u16,
    #[case] error: Option<PortErrorKind>,
) {
    let api = shop().on(HPAS, [refusal(code, "R", "m")]);
    let seen = api
        .actuator(|settings| settings.autoscalers = autoscalers)
        .observe()
        .await;
    assert_eq!(seen.err().map(|error| error.kind), error);
}

#[tokio::test]
async fn something_else_is_scaled_through_its_scale_subresource() {
    let resources = json!({"kind": "APIResourceList", "resources": [
        {"name": "rollouts", "kind": "Rollout"},
        {"name": "rollouts/status", "kind": "Rollout"},
        {"name": "rollouts/scale", "kind": "Scale", "group": "autoscaling"}]});
    let rollout = json!({"metadata": {"uid": "d1", "annotations": {"rebalancer.io/skip": "true"}}});
    let scale = json!({"kind": "Scale", "status": {"replicas": 3, "selector": "app=web"}});
    let base = "GET /apis/argoproj.io/v1alpha1";
    let api = shop()
        .on(base, [Reply::Json(200, resources)])
        .on(
            &format!("{base}/namespaces/shop/rollouts/web"),
            [Reply::Json(200, rollout)],
        )
        .on(
            &format!("{base}/namespaces/shop/rollouts/web/scale"),
            [Reply::Json(200, scale)],
        );
    let of_kind = |kind: &str| {
        let kind = kind.to_owned();
        api.actuator(move |settings| settings.workload.kind = kind)
    };
    let seen = of_kind("Rollout.v1alpha1.argoproj.io")
        .observe()
        .await
        .unwrap();
    assert_eq!(names(&seen), ["a", "b", "c"]);
    assert!(seen.pods.iter().all(|pod| pod.owned));
    assert_eq!(
        seen.pods[0].opted_out.as_deref(),
        Some("rebalancer.io/skip: true (on the workload)")
    );
    assert_eq!(seen.rollout, None);

    let error = of_kind("Canary.v1alpha1.argoproj.io")
        .observe()
        .await
        .unwrap_err();
    assert!(
        error
            .message
            .contains("/apis/argoproj.io/v1alpha1 has no such kind"),
        "{}",
        error.message
    );
    let error = of_kind("Canary.v1.other.io").observe().await.unwrap_err();
    assert!(
        error
            .message
            .contains("it does not serve /apis/other.io/v1"),
        "{}",
        error.message
    );
}

#[tokio::test]
async fn ready_pods_are_counted_no_further_than_needed() {
    let api = shop().on(PODS, [page(&["a", "b"], "next")]);
    let actuator = api.actuator(|_| {});
    assert_eq!(actuator.count_ready(2).await.unwrap(), 2);
    assert_eq!(actuator.count_ready(1).await.unwrap(), 2);
    assert_eq!(api.seen("/pods?").len(), 2);
    // What the workload owns is not asked for again while there are enough.
    assert_eq!(api.seen("/deployments/web").len(), 1);
}

#[tokio::test]
async fn too_few_ready_pods_are_counted_exactly() {
    let api = shop();
    let actuator = api.actuator(|_| {});
    assert_eq!(actuator.count_ready(9).await.unwrap(), 3);
    assert_eq!(actuator.count_ready(9).await.unwrap(), 3);
    assert_eq!(api.seen("/deployments/web").len(), 2);
    let state = actuator.read_workload(usize::MAX).await.unwrap();
    assert_eq!((state.ready, state.rollout.unwrap().updated), (3, 3));
}

#[rstest]
// The first page has enough.
#[case(2, 2, 1)]
#[case(3, 4, 2)]
#[case(9, 4, 2)]
#[tokio::test]
async fn the_workload_is_read_no_further_than_needed(
    #[case] enough: usize,
    #[case] ready: usize,
    #[case] pages: usize,
) {
    let api = shop().on(PODS, [page(&["a", "b"], "next"), page(&["c", "d"], "")]);
    let state = api.actuator(|_| {}).read_workload(enough).await.unwrap();
    assert_eq!((state.ready, state.rollout.unwrap().desired), (ready, 3));
    assert_eq!(api.seen("/pods?").len(), pages);
}

#[tokio::test]
async fn a_pod_is_read_again_by_its_uid() {
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
async fn an_eviction_is_sent_once_whatever_is_answered(#[case] reply: Reply) {
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
async fn a_conflict_in_words_not_known_is_looked_into(
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
    Some("is not known: may not get pods")
)]
#[tokio::test]
async fn a_404_to_an_eviction_is_looked_into(#[case] now: Reply, #[case] words: Option<&str>) {
    let api = shop().on("GET /api/v1/namespaces/shop/pods/a", [now]).on(
        "POST /api/v1/namespaces/shop/pods/a/eviction",
        [refusal(404, "NotFound", "not that")],
    );
    let answer = api.actuator(|_| {}).evict(&web_a(), false).await;
    match (answer, words) {
        (EvictionAnswer::AlreadyGone, None) => {}
        (EvictionAnswer::Failed { message }, Some(words)) => {
            assert!(message.contains(words), "{message}");
        }
        (answer, _) => panic!("{answer:?}"),
    }
}

#[tokio::test]
async fn nobody_listening_means_that_nothing_was_sent() {
    // A port that was just free; no one else is given it at once.
    let port = std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port();
    let mut config = kube::Config::new(format!("http://127.0.0.1:{port}").parse().unwrap());
    config.default_retry = false;
    // kube sets up TLS even where the address needs none.
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

#[rstest]
#[case("", "web", "the namespace")]
#[case("shop", "web/../x", "the workload")]
#[tokio::test]
async fn a_name_cannot_reach_another_path(
    #[case] namespace: &str,
    #[case] name: &str,
    #[case] what: &str,
) {
    let mut settings = Settings::new(WorkloadRef::default());
    settings.workload.namespace = namespace.into();
    settings.workload.name = name.into();
    let error = KubernetesActuator::new(shop().connection(), settings)
        .err()
        .unwrap()
        .to_string();
    assert!(error.contains(what), "{error}");
}
