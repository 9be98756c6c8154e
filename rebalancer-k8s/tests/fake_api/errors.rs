//! Errors and their messages.

use rebalancer_core::model::WorkloadRef;
use rebalancer_core::ports::{EvictionAnswer, PodActuator as _, PortErrorKind};
use rebalancer_k8s::{KubernetesActuator, Settings};
use rstest::rstest;
use serde_json::{Value, json};

use super::server::{
    DEPLOYMENT, HPAS, PODS, Reply, SETS, names, observe, page, refusal, shop, web_a,
};

#[rstest]
#[case(429)]
#[case(503)]
#[tokio::test]
async fn retries_while_the_server_is_busy(#[case] code: u16) {
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
async fn maps_each_failure_to_an_error(
    #[case] reply: Reply,
    #[case] kind: PortErrorKind,
    #[case] expected: &str,
) {
    let error = observe(&shop().on(PODS, [reply])).await.unwrap_err();
    assert_eq!(error.kind, kind);
    assert!(error.message.contains(expected), "{}", error.message);
}

/// A response that is not the list must not be read as an empty list.
#[rstest]
#[tokio::test]
async fn refuses_a_response_that_is_not_the_list(
    #[values(
        (PODS, "PodList"),
        (HPAS, "HorizontalPodAutoscalerList"),
        (SETS, "ReplicaSetList")
    )]
    (list, expected): (&str, &str),
    #[values(
        (json!({}), "an object without a kind"),
        (json!({"login": "please", "items": []}), "an object without a kind"),
        (json!({"kind": "SecretList", "metadata": {}, "items": []}), "a SecretList")
    )]
    (body, found): (Value, &str),
) {
    let error = observe(&shop().on(list, [Reply::Json(200, body)]))
        .await
        .unwrap_err();
    assert_eq!(error.kind, PortErrorKind::BadAnswer);
    let message = format!("expected a {expected}, found {found}; is it a Kubernetes API?");
    assert!(error.message.contains(&message), "{}", error.message);
}

#[rstest]
#[tokio::test]
async fn names_a_redirect_and_does_not_follow_it(#[values(301, 302, 303, 307, 308)] code: u16) {
    let elsewhere = "https://other/login?then=secret";
    let reply = || Reply::With("location", elsewhere, code, json!({}));
    let expected = format!(
        "https://fake redirects (HTTP {code}) to https://other/login; redirects are not followed, \
         so that no other server receives the credentials: set the server of the kubeconfig to the \
         address of the Kubernetes API itself"
    );
    let api = shop().on(PODS, [reply()]);
    let error = observe(&api).await.unwrap_err();
    assert_eq!(error.kind, PortErrorKind::BadAnswer);
    assert!(error.message.contains(&expected), "{}", error.message);
    assert_eq!(api.seen("/pods?").len(), 1);

    // The server that redirects may have forwarded the eviction.
    let api = shop().on("POST /api/v1/namespaces/shop/pods/a/eviction", [reply()]);
    let answer = api.actuator(|_| {}).evict(&web_a(), false).await;
    let EvictionAnswer::Unknown { message } = answer else {
        panic!("{answer:?}")
    };
    assert!(message.contains(&expected), "{message}");
    assert_eq!(api.seen("POST").len(), 1);
}

#[rstest]
#[case::a_page(Reply::Text(502, "you sent: authorization: Bearer t0ken.of-ours"))]
#[case::an_answer(refusal(403, "Forbidden", "no: Bearer t0ken.of-ours"))]
#[case::nonsense(Reply::Json(200, json!({"kind": "PodList", "items": "Bearer t0ken.of-ours"})))]
#[tokio::test]
async fn hides_a_token_that_is_echoed(#[case] reply: Reply) {
    let error = observe(&shop().on(PODS, [reply])).await.unwrap_err();
    let message = &error.message;
    assert!(message.contains("Bearer [hidden]"), "{message}");
    assert!(!message.contains("t0ken"), "{message}");
}

#[tokio::test]
async fn suggests_names_for_a_missing_workload() {
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
        error.message.contains("similar names: Deployment web-1;"),
        "{}",
        error.message
    );
}

#[rstest]
#[case(404, "the namespace itself does not exist")]
#[case(403, "either the namespace or the workload does not exist")]
#[tokio::test]
async fn names_a_missing_namespace_if_it_may_be_read(#[case] code: u16, #[case] expected: &str) {
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
    assert!(error.message.contains(expected), "{}", error.message);
}

#[tokio::test]
async fn lists_the_containers_if_the_measured_one_is_missing() {
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

#[rstest]
#[case("", "web", "the namespace")]
#[case("shop", "web/../x", "the workload")]
#[tokio::test]
async fn refuses_a_name_that_would_change_the_path(
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
