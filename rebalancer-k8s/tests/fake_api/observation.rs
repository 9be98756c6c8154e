//! The observation of a workload.

use jiff::Timestamp;
use rebalancer_core::ports::{PodActuator as _, PortErrorKind};
use rebalancer_k8s::Autoscalers;
use rstest::rstest;
use serde_json::{Value, json};

use super::server::{
    DEPLOYMENT, HPAS, PODS, Reply, at, deployment, names, observe, page, pod, refusal, shop,
};

#[tokio::test]
async fn observes_a_workload() {
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

/// Whether two instants differ by less than the duration of a test.
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
async fn uses_the_local_clock_without_a_date() {
    let seen = observe(&shop()).await.unwrap();
    assert!(about(seen.taken_at, Timestamp::now()));
}

#[tokio::test]
async fn observes_a_restart_of_the_measured_container() {
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
async fn reads_the_last_rotation_from_the_workload() {
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

#[tokio::test]
async fn reads_the_annotations_that_pause_again_before_an_action() {
    let paused = |annotations: Value| {
        let mut deployment = deployment();
        deployment["metadata"]["annotations"] = annotations;
        Reply::Json(200, deployment)
    };
    let api = shop().on(
        DEPLOYMENT,
        [
            paused(json!({"rebalancer.io/freeze": "false"})),
            paused(json!({"rebalancer.io/freeze": "true"})),
            paused(json!({"rebalancer.io/paused-until": "noon"})),
        ],
    );
    let actuator = api.actuator(|_| {});
    assert_eq!(actuator.observe().await.unwrap().pause, None);
    let pause = actuator.pause().await.unwrap().unwrap();
    assert_eq!(pause.annotation, "rebalancer.io/freeze: true");
    let pause = actuator.pause().await.unwrap().unwrap();
    assert!(pause.problem.is_some());
}

#[tokio::test]
async fn reads_every_page() {
    let api = shop().on(PODS, [page(&["a", "b"], "next"), page(&["c"], "")]);
    assert_eq!(names(&observe(&api).await.unwrap()), ["a", "b", "c"]);
    let listings = api.seen("/pods?");
    assert_eq!(listings.len(), 2);
    assert!(listings[1].contains("continue=next"), "{}", listings[1]);
}

#[tokio::test]
async fn starts_an_expired_listing_again() {
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

#[tokio::test]
async fn workload_without_pods_is_no_error() {
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
async fn reads_autoscalers_as_configured(
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

#[rstest]
#[case::paused(200, json!({"autoscaling.keda.sh/paused": "true"}), Some("autoscaling.keda.sh/paused: true"))]
#[case::not_paused(200, json!({}), None)]
#[case::not_permitted(403, json!({}), None)]
#[case::no_keda(404, json!({}), None)]
#[case::failing(500, json!({}), None)]
#[tokio::test]
async fn looks_for_a_paused_scaled_object_if_there_is_no_autoscaler(
    #[case] code: u16,
    #[case] annotations: Value,
    #[case] expected: Option<&str>,
) {
    let scaled = "GET /apis/keda.sh/v1alpha1/namespaces/shop/scaledobjects?";
    let objects = json!({"kind": "ScaledObjectList", "metadata": {}, "items": [{
        "metadata": {"name": "web", "annotations": annotations},
        "spec": {"scaleTargetRef": {"name": "web"}},
    }]});
    let reply = match code {
        200 => Reply::Json(200, objects),
        code => refusal(code, "R", "m"),
    };
    let api = shop().on(scaled, [reply]);
    let seen = observe(&api).await.unwrap();
    let annotation = seen.paused_autoscaler.map(|paused| paused.annotation);
    assert_eq!(annotation.as_deref(), expected);
    // The target does not depend on the autoscaler.
    let actuator = api.actuator(|settings| settings.autoscalers = Autoscalers::IfPermitted);
    let before = api.seen("scaledobjects").len();
    assert_eq!(actuator.observe().await.unwrap().paused_autoscaler, None);
    assert_eq!(api.seen("scaledobjects").len(), before);
}

#[tokio::test]
async fn reads_other_kinds_through_the_scale_subresource() {
    let resources = json!({"kind": "APIResourceList", "resources": [
        {"name": "rollouts", "kind": "Rollout"},
        {"name": "rollouts/status", "kind": "Rollout"},
        {"name": "rollouts/scale", "kind": "Scale", "group": "autoscaling"}]});
    let rollout = json!({
        "metadata": {"uid": "d1", "generation": 5, "annotations": {"rebalancer.io/skip": "true"}},
        "status": {"observedGeneration": "5", "updatedReplicas": 1, "phase": "Paused"},
    });
    let scale = json!({"kind": "Scale", "spec": {"replicas": 3},
        "status": {"replicas": 3, "selector": "app=web"}});
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
    let rollout = seen.rollout.unwrap();
    assert_eq!((rollout.generation, rollout.observed_generation), (5, 5));
    assert_eq!((rollout.updated, rollout.desired), (1, 3));
    assert!(rollout.paused);

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
