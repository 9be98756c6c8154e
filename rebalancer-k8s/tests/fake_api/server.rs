//! An API server that is a table of replies.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::io;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use http::{Request, Response};
use http_body_util::{BodyExt as _, Full};
use kube::client::Body;
use rebalancer_core::model::{PodRef, PodUid, WorkloadRef};
use rebalancer_core::ports::{PodActuator as _, PortError, WorkloadObservation};
use rebalancer_k8s::{Connection, KubernetesActuator, Settings};
use serde_json::{Value, json};
use tower::{BoxError, service_fn};

/// The reaction of the server to a request.
#[derive(Clone)]
pub(super) enum Reply {
    Json(u16, Value),
    /// JSON with a header, which is given by name and value.
    With(&'static str, &'static str, u16, Value),
    Text(u16, &'static str),
    Never,
    Broken,
}

/// The replies to requests whose method, path and query start with a prefix. The last reply is
/// repeated.
type Replies = (String, VecDeque<Reply>);

#[derive(Clone, Default)]
pub(super) struct FakeApi {
    replies: Arc<Mutex<Vec<Replies>>>,
    seen: Arc<Mutex<Vec<String>>>,
}

impl FakeApi {
    pub(super) fn on(self, request: &str, replies: impl IntoIterator<Item = Reply>) -> Self {
        let replies = replies.into_iter().collect();
        self.replies
            .lock()
            .unwrap()
            .insert(0, (request.to_owned(), replies));
        self
    }

    pub(super) fn seen(&self, part: &str) -> Vec<String> {
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

    pub(super) fn connection(&self) -> Connection {
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

    pub(super) fn actuator(&self, adjust: impl FnOnce(&mut Settings)) -> KubernetesActuator {
        let mut settings = Settings::new(WorkloadRef {
            namespace: "shop".into(),
            kind: "Deployment".into(),
            name: "web".into(),
        });
        adjust(&mut settings);
        KubernetesActuator::new(self.connection(), settings).unwrap()
    }
}

pub(super) const PODS: &str = "GET /api/v1/namespaces/shop/pods?";
pub(super) const HPAS: &str = "GET /apis/autoscaling/v2/namespaces/shop/horizontalpodautoscalers?";
pub(super) const SETS: &str = "GET /apis/apps/v1/namespaces/shop/replicasets?";
pub(super) const DEPLOYMENT: &str = "GET /apis/apps/v1/namespaces/shop/deployments/web";

pub(super) fn refusal(code: u16, reason: &str, message: &str) -> Reply {
    let status = json!({
        "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure", "reason": reason,
        "message": message, "code": code, "details": {"retryAfterSeconds": 0},
    });
    Reply::Json(code, status)
}

pub(super) fn pod(name: &str, owner: &str, ready: bool) -> Value {
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

pub(super) fn page(names: &[&str], next: &str) -> Reply {
    let items: Vec<_> = names.iter().map(|name| pod(name, "rs1", true)).collect();
    Reply::Json(
        200,
        json!({"kind": "PodList", "metadata": {"continue": next}, "items": items}),
    )
}

pub(super) fn deployment() -> Value {
    json!({
        "metadata": {"name": "web", "uid": "d1", "generation": 2},
        "spec": {"replicas": 3, "selector": {"matchLabels": {"app": "web"}}},
        "status": {"observedGeneration": 2, "replicas": 3, "updatedReplicas": 3, "readyReplicas": 3},
    })
}

/// A success with a `Date` header.
pub(super) fn at(date: &'static str, body: Value) -> Reply {
    Reply::With("date", date, 200, body)
}

/// A server with a Deployment, its ReplicaSet, the ReplicaSet of another Deployment, and no
/// autoscaler.
pub(super) fn shop() -> FakeApi {
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

pub(super) fn names(seen: &WorkloadObservation) -> Vec<&str> {
    seen.pods.iter().map(|pod| pod.name.as_str()).collect()
}

pub(super) fn web_a() -> PodRef {
    PodRef {
        name: "a".into(),
        uid: PodUid("uid-a".into()),
    }
}

pub(super) async fn observe(api: &FakeApi) -> Result<WorkloadObservation, PortError> {
    api.actuator(|_| {}).observe().await
}
