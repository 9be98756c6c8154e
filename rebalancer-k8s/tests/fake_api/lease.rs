//! The lease, with and without other runs.

use rebalancer_core::hold_record::HoldRecord;
use rebalancer_core::lease::LeaseHolder;
use rebalancer_core::ports::{LeaseState, PortErrorKind, RunLease as _};
use rebalancer_k8s::KubernetesLease;
use rstest::rstest;
use serde_json::{Value, json};

use super::server::{DEPLOYMENT, FakeApi, Reply, refusal, shop};

const GET: &str =
    "GET /apis/coordination.k8s.io/v1/namespaces/shop/leases/rebalancer-deployment-web";
const POST: &str = "POST /apis/coordination.k8s.io/v1/namespaces/shop/leases?";
const PUT: &str =
    "PUT /apis/coordination.k8s.io/v1/namespaces/shop/leases/rebalancer-deployment-web?";
const NOW: &str = "Fri, 02 Jan 2026 03:10:00 GMT";

/// A Lease with a label of another client, last renewed at the given time of the day.
fn lease(holder: &str, renewed: &str, version: &str) -> Value {
    json!({
        "apiVersion": "coordination.k8s.io/v1", "kind": "Lease",
        "metadata": {"name": "rebalancer-deployment-web", "namespace": "shop", "uid": "l1",
            "resourceVersion": version, "labels": {"team": "ours"}},
        "spec": {"holderIdentity": holder, "leaseDurationSeconds": 90, "leaseTransitions": 3,
            "acquireTime": "2026-01-02T03:00:00.000000Z",
            "renewTime": format!("2026-01-02T{renewed}.000000Z")},
    })
}

fn found(holder: &str, renewed: &str, version: &str) -> Reply {
    Reply::With("date", NOW, 200, lease(holder, renewed, version))
}

fn absent() -> Reply {
    let status =
        json!({"kind": "Status", "message": "leases \"rebalancer-deployment-web\" not found"});
    Reply::With("date", NOW, 404, status)
}

fn conflict(reason: &str) -> Reply {
    refusal(409, reason, "another client was faster")
}

fn written(version: &str) -> Reply {
    Reply::Json(201, lease("me", "03:10:00", version))
}

fn mine(api: &FakeApi) -> KubernetesLease {
    api.actuator(|_| {}).lease("me")
}

fn held_by(identity: &str, seconds: std::ops::Range<f64>, state: &LeaseState) {
    let LeaseState::HeldBy(LeaseHolder {
        identity: found,
        expires_seconds,
    }) = state
    else {
        panic!("{state:?}")
    };
    assert_eq!(found, identity);
    assert!(seconds.contains(&expires_seconds.get()), "{state:?}");
}

/// Returns the body of the `index`th request of its kind.
fn body(api: &FakeApi, request: &str, index: usize) -> Value {
    let sent = api.seen(request);
    let (_, body) = sent[index].split_once('{').unwrap();
    serde_json::from_str(&format!("{{{body}")).unwrap()
}

/// Acquires a lease that did not exist, as version 1.
async fn held(api: &FakeApi) -> KubernetesLease {
    let lease = mine(api);
    assert_eq!(lease.acquire().await.unwrap(), LeaseState::Held);
    lease
}

#[tokio::test]
async fn first_run_creates_the_lease() {
    let api = shop().on(GET, [absent()]).on(POST, [written("1")]);
    let lease = held(&api).await;
    assert_eq!(lease.name(), "rebalancer-deployment-web");
    let made = body(&api, "POST", 0);
    let renewed = made["spec"]["renewTime"].as_str().unwrap().to_owned();
    // By the server's clock, in the form that the API requires.
    assert!(
        renewed.starts_with("2026-01-02T03:10:0") && renewed.len() == 27,
        "{renewed}"
    );
    assert_eq!(
        made,
        json!({
            "apiVersion": "coordination.k8s.io/v1", "kind": "Lease",
            "metadata": {"name": "rebalancer-deployment-web", "namespace": "shop",
                "labels": {"app.kubernetes.io/managed-by": "rebalancer"},
                "annotations": {"rebalancer.io/workload": "Deployment shop/web"}},
            "spec": {"holderIdentity": "me", "leaseDurationSeconds": 90, "leaseTransitions": 0,
                "acquireTime": renewed, "renewTime": renewed},
        })
    );
}

#[tokio::test]
async fn run_that_loses_the_creation_sees_the_holder() {
    let api = shop()
        .on(GET, [absent(), found("you", "03:09:59", "1")])
        .on(POST, [conflict("AlreadyExists")]);
    let state = mine(&api).acquire().await.unwrap();
    held_by("you", 80.0..90.0, &state);
    assert_eq!(api.seen(POST).len(), 1);
    assert!(api.seen("PUT").is_empty());
}

#[tokio::test]
async fn does_not_touch_the_lease_of_another_run() {
    let api = shop().on(GET, [found("you", "03:09:30", "7")]);
    let state = mine(&api).acquire().await.unwrap();
    held_by("you", 55.0..60.1, &state);
    assert_eq!(api.seen("leases").len(), 1);
}

#[rstest]
#[case::that_expired("you", "03:08:29")]
#[case::that_was_released("", "03:09:59")]
#[tokio::test]
async fn takes_over_a_lease(#[case] holder: &str, #[case] renewed: &str) {
    let api = shop()
        .on(GET, [found(holder, renewed, "7")])
        .on(PUT, [written("8")]);
    held(&api).await;
    let put = body(&api, "PUT", 0);
    assert_eq!(put["metadata"], lease("", "00:00:00", "7")["metadata"]);
    assert_eq!(put["spec"]["holderIdentity"], "me");
    assert_eq!(put["spec"]["leaseTransitions"], 4);
    assert_eq!(put["spec"]["leaseDurationSeconds"], 90);
    assert_eq!(put["spec"]["acquireTime"], put["spec"]["renewTime"]);
}

#[tokio::test]
async fn run_that_loses_the_takeover_sees_the_holder() {
    let api = shop()
        .on(
            GET,
            [
                found("dead", "03:00:00", "7"),
                found("you", "03:10:00", "8"),
            ],
        )
        .on(PUT, [conflict("Conflict")]);
    let state = mine(&api).acquire().await.unwrap();
    held_by("you", 85.0..90.1, &state);
    assert_eq!(api.seen("PUT").len(), 1);
}

#[tokio::test]
async fn gives_up_after_repeated_conflicts() {
    let api = shop()
        .on(GET, [found("dead", "03:00:00", "7")])
        .on(PUT, [conflict("Conflict")]);
    let error = mine(&api).acquire().await.unwrap_err();
    assert_eq!(error.kind, PortErrorKind::Rejected);
    assert_eq!(api.seen("PUT").len(), 3);
}

#[rstest]
#[case::lost(Reply::Broken, PortErrorKind::Unreachable)]
#[case::never(Reply::Never, PortErrorKind::Timeout)]
#[tokio::test]
async fn lost_response_is_no_lease_until_the_next_acquisition(
    #[case] lost: Reply,
    #[case] kind: PortErrorKind,
) {
    let api = shop()
        .on(GET, [absent(), found("me", "03:10:00", "1")])
        .on(POST, [lost])
        .on(PUT, [written("2")]);
    let lease = mine(&api);
    assert_eq!(lease.acquire().await.unwrap_err().kind, kind);
    assert_eq!(lease.acquire().await.unwrap(), LeaseState::Held);
    assert_eq!(body(&api, "PUT", 0)["spec"]["leaseTransitions"], 3);
}

#[tokio::test]
async fn renews_from_version_to_version() {
    let api = shop()
        .on(GET, [absent()])
        .on(POST, [written("1")])
        .on(PUT, [written("2"), written("3")]);
    let lease = held(&api).await;
    assert_eq!(lease.renew().await.unwrap(), LeaseState::Held);
    assert_eq!(lease.renew().await.unwrap(), LeaseState::Held);
    assert_eq!(body(&api, "PUT", 0)["metadata"]["resourceVersion"], "1");
    assert_eq!(body(&api, "PUT", 1)["metadata"]["resourceVersion"], "2");
    assert_eq!(body(&api, "PUT", 1)["spec"]["leaseTransitions"], 3);
    assert_eq!(api.seen(GET).len(), 1);
}

#[tokio::test]
async fn recovers_from_a_lost_response_to_a_renewal() {
    let api = shop()
        .on(GET, [absent(), found("me", "03:10:00", "2")])
        .on(POST, [written("1")])
        .on(PUT, [Reply::Broken, conflict("Conflict"), written("3")]);
    let lease = held(&api).await;
    let error = lease.renew().await.unwrap_err();
    assert_eq!(error.kind, PortErrorKind::Unreachable);
    assert_eq!(lease.renew().await.unwrap(), LeaseState::Held);
    let versions: Vec<Value> = (0..3)
        .map(|index| body(&api, "PUT", index)["metadata"]["resourceVersion"].clone())
        .collect();
    assert_eq!(versions, ["1", "1", "2"]);
}

#[rstest]
#[case::by_a_run_that_holds_it(found("you", "03:10:00", "5"), "you", 85.0)]
#[case::by_a_run_that_has_expired(found("you", "03:00:00", "5"), "you", 0.0)]
#[case::by_a_run_that_released_it(
    found("", "03:10:00", "5"),
    "another run, which has ended since",
    0.0
)]
#[tokio::test]
async fn lease_that_was_taken_over_is_lost(
    #[case] now: Reply,
    #[case] holder: &str,
    #[case] at_least: f64,
) {
    let api = shop()
        .on(GET, [absent(), now])
        .on(POST, [written("1")])
        .on(PUT, [conflict("Conflict")]);
    let lease = held(&api).await;
    let state = lease.renew().await.unwrap();
    held_by(holder, at_least..at_least + 5.1, &state);
    // The lease stays lost.
    let error = lease.renew().await.unwrap_err();
    assert!(
        error.message.contains("no longer holds the lease"),
        "{}",
        error.message
    );
    lease.release().await.unwrap();
    assert_eq!(api.seen("PUT").len(), 1);
}

#[tokio::test]
async fn creates_a_deleted_lease_again_unless_another_run_did() {
    let gone = || {
        refusal(
            404,
            "NotFound",
            "leases \"rebalancer-deployment-web\" not found",
        )
    };
    let api = shop()
        .on(GET, [absent()])
        .on(POST, [written("1"), written("9")])
        .on(PUT, [gone(), written("10")]);
    let lease = held(&api).await;
    assert_eq!(lease.renew().await.unwrap(), LeaseState::Held);
    assert_eq!(lease.renew().await.unwrap(), LeaseState::Held);
    assert_eq!(body(&api, "PUT", 1)["metadata"]["resourceVersion"], "9");

    let api = shop()
        .on(GET, [absent(), absent(), found("you", "03:10:00", "9")])
        .on(POST, [written("1"), conflict("AlreadyExists")])
        .on(PUT, [gone()]);
    let state = held(&api).await.renew().await.unwrap();
    held_by("you", 85.0..90.1, &state);
}

/// A Lease with another annotation, and with a record of a hold if one is given.
fn annotated(holder: &str, record: Option<&str>) -> Value {
    let mut lease = lease(holder, "03:09:59", "5");
    lease["metadata"]["annotations"] = json!({"team": "ours"});
    if let Some(record) = record {
        lease["metadata"]["annotations"]["rebalancer.io/last-hold"] = json!(record);
    }
    lease
}

const RECORD: &str = r#"{"reason":"no_ready_pods","since":"2026-01-01T00:00:00Z","runs":7}"#;

#[rstest]
#[case::recorded(Some(RECORD), Some(7))]
#[case::none(None, None)]
#[case::not_a_record(Some("soon"), None)]
#[tokio::test]
async fn reads_the_hold_of_the_run_before(#[case] record: Option<&str>, #[case] runs: Option<u32>) {
    let api = shop()
        .on(GET, [Reply::With("date", NOW, 200, annotated("", record))])
        .on(PUT, [Reply::Json(200, annotated("me", record))]);
    let lease = held(&api).await;
    assert_eq!(lease.last_hold().map(|hold| hold.runs), runs);
}

#[rstest]
#[case::replaced(Some(Some(8)), json!({"reason": "frozen", "since": "2026-01-02T03:00:00Z", "runs": 8}))]
#[case::removed(Some(None), Value::Null)]
#[case::kept(None, serde_json::from_str(RECORD).unwrap())]
#[tokio::test]
async fn release_records_the_hold(#[case] runs: Option<Option<u32>>, #[case] written: Value) {
    let before = annotated("me", Some(RECORD));
    let api = shop()
        .on(
            GET,
            [annotated("", Some(RECORD)), before.clone()]
                .map(|lease| Reply::With("date", NOW, 200, lease)),
        )
        .on(
            PUT,
            [
                Reply::Json(200, before.clone()),
                // Another client changes the Lease.
                conflict("Conflict"),
                Reply::Json(200, before),
            ],
        );
    let lease = held(&api).await;
    if let Some(runs) = runs {
        lease.record_hold(runs.map(|runs| HoldRecord {
            reason: "frozen".into(),
            since: "2026-01-02T03:00:00Z".parse().unwrap(),
            runs,
            any_reason: None,
        }));
    }
    lease.release().await.unwrap();
    let put = body(&api, "PUT", 2);
    let annotations = &put["metadata"]["annotations"];
    assert_eq!(annotations["team"], "ours");
    let record = annotations["rebalancer.io/last-hold"].as_str();
    let record = record.map_or(Value::Null, |record| serde_json::from_str(record).unwrap());
    assert_eq!(record, written);
}

#[tokio::test]
async fn releases_the_lease_once() {
    let api = shop()
        .on(GET, [absent()])
        .on(POST, [written("1")])
        .on(PUT, [written("2")]);
    let lease = held(&api).await;
    lease.release().await.unwrap();
    let put = body(&api, "PUT", 0);
    assert_eq!(put["spec"]["holderIdentity"], "");
    assert_eq!(put["spec"]["leaseDurationSeconds"], 1);
    assert_eq!(put["metadata"]["resourceVersion"], "1");
    // The second release sends no request.
    lease.release().await.unwrap();
    assert_eq!(api.seen("PUT").len(), 1);
    assert!(lease.renew().await.is_err());
}

#[rstest]
#[case::taken_over(conflict("Conflict"), found("you", "03:10:00", "5"), 1)]
#[case::removed(absent(), absent(), 1)]
// The response to a renewal was lost.
#[case::ours_still(conflict("Conflict"), found("me", "03:10:00", "5"), 2)]
#[tokio::test]
async fn releases_only_its_own_lease(
    #[case] refused: Reply,
    #[case] now: Reply,
    #[case] writes: usize,
) {
    let api = shop()
        .on(GET, [absent(), now])
        .on(POST, [written("1")])
        .on(PUT, [refused, written("6")]);
    held(&api).await.release().await.unwrap();
    assert_eq!(api.seen("PUT").len(), writes);
}

#[tokio::test]
async fn does_not_release_a_lease_that_was_never_held() {
    let api = shop();
    mine(&api).release().await.unwrap();
    assert!(api.seen("leases").is_empty());
}

/// The workload is free afterwards, whether or not the Lease was written.
#[rstest]
#[case::created(absent(), "POST", found("me", "03:10:00", "1"))]
#[case::taken_over(found("", "03:00:00", "1"), "PUT", found("me", "03:10:00", "2"))]
#[tokio::test]
async fn reads_and_releases_a_lease_after_a_lost_response(
    #[case] first: Reply,
    #[case] written_by: &str,
    #[case] then: Reply,
    #[values(
        Reply::Broken,
        Reply::Never,
        Reply::Text(502, "bad gateway"),
        Reply::Text(200, "<html>")
    )]
    lost: Reply,
) {
    let api = shop()
        .on(GET, [first, then])
        .on(POST, [lost.clone()])
        .on(PUT, [lost, written("3")]);
    let api = match written_by {
        "POST" => api.on(PUT, [written("3")]),
        _ => api,
    };
    let lease = mine(&api);
    lease.acquire().await.unwrap_err();
    lease.release().await.unwrap();
    let writes = api.seen("PUT").len();
    let released = body(&api, "PUT", writes - 1);
    assert_eq!(released["spec"]["holderIdentity"], "");
    assert_eq!(writes, if written_by == "POST" { 1 } else { 2 });
    // The second release sends no request.
    lease.release().await.unwrap();
    assert_eq!(api.seen("leases").len(), 4);
}

/// The run is stopped while it waits for the response.
#[tokio::test]
async fn releases_a_lease_whose_acquisition_was_cancelled() {
    let api = shop()
        .on(GET, [absent(), found("me", "03:10:00", "1")])
        .on(POST, [Reply::Never])
        .on(PUT, [written("2")]);
    let lease = mine(&api);
    let taking = tokio::time::timeout(std::time::Duration::from_millis(50), lease.acquire());
    assert!(taking.await.is_err());
    lease.release().await.unwrap();
    assert_eq!(body(&api, "PUT", 0)["spec"]["holderIdentity"], "");
}

#[rstest]
#[case::of_another(found("you", "03:10:00", "1"))]
#[case::that_never_came(absent())]
#[tokio::test]
async fn releases_only_its_own_lease_after_a_lost_response(#[case] then: Reply) {
    let api = shop().on(GET, [absent(), then]).on(POST, [Reply::Broken]);
    let lease = mine(&api);
    lease.acquire().await.unwrap_err();
    lease.release().await.unwrap();
    assert!(api.seen("PUT").is_empty());
    assert_eq!(api.seen(GET).len(), 2);
}

#[rstest]
#[case::forbidden(refusal(403, "Forbidden", "no"))]
#[case::not_allowed(refusal(422, "Invalid", "no"))]
#[tokio::test]
async fn does_not_read_a_lease_after_a_refusal(#[case] refused: Reply) {
    let api = shop().on(GET, [absent()]).on(POST, [refused]);
    let lease = mine(&api);
    lease.acquire().await.unwrap_err();
    lease.release().await.unwrap();
    assert_eq!(api.seen("leases").len(), 2);
}

/// Such a Lease would never be deleted.
#[rstest]
#[case::deployment("Deployment", "there is no Deployment \"web\"")]
#[case::kind("Canary.v1.example.org", "no scalable kind Canary.v1.example.org")]
#[tokio::test]
async fn creates_no_lease_for_a_missing_workload(#[case] kind: &str, #[case] expected: &str) {
    let gone = refusal(404, "NotFound", "deployments.apps \"web\" not found");
    let api = shop().on(DEPLOYMENT, [gone]).on(
        "GET /apis/coordination.k8s.io/v1/namespaces/shop/leases/",
        [absent()],
    );
    let actuator = api.actuator(|settings| settings.workload.kind = kind.into());
    let error = actuator.lease("me").acquire().await.unwrap_err();
    assert_eq!(error.kind, PortErrorKind::NotFound);
    assert!(error.message.contains(expected), "{}", error.message);
    assert!(api.seen("POST").is_empty());
}

/// The observation reports such failures.
#[rstest]
#[case::forbidden(refusal(403, "Forbidden", "no"))]
#[case::broken(refusal(500, "InternalError", "boom"))]
#[case::a_page(Reply::Text(404, "no such page"))]
#[tokio::test]
async fn creates_a_lease_if_the_workload_cannot_be_read(#[case] reply: Reply) {
    let api = shop()
        .on(DEPLOYMENT, [reply])
        .on(GET, [absent()])
        .on(POST, [written("1")]);
    held(&api).await;
}

#[tokio::test]
async fn api_without_leases_is_no_missing_workload() {
    let api = shop().on(GET, [absent()]).on(
        POST,
        [refusal(
            404,
            "NotFound",
            "the server could not find the requested resource",
        )],
    );
    let error = mine(&api).acquire().await.unwrap_err();
    assert_eq!(error.kind, PortErrorKind::Rejected);
    assert!(error.message.contains("(404)"), "{}", error.message);
}

#[rstest]
#[case("get", refusal(403, "Forbidden", "no"), written("1"), written("2"))]
#[case("create", absent(), refusal(403, "Forbidden", "no"), written("2"))]
#[case(
    "update",
    found("", "03:00:00", "1"),
    written("1"),
    refusal(403, "Forbidden", "no")
)]
#[tokio::test]
async fn names_the_missing_permission_and_the_alternative(
    #[case] verb: &str,
    #[case] get: Reply,
    #[case] post: Reply,
    #[case] put: Reply,
) {
    let api = shop().on(GET, [get]).on(POST, [post]).on(PUT, [put]);
    let error = mine(&api).acquire().await.unwrap_err();
    assert_eq!(error.kind, PortErrorKind::Forbidden);
    let expected = format!(
        "grant verb `{verb}` on `leases` in API group `\"coordination.k8s.io\"` to this account (the \
         Role in deploy/ has every rule), or set ONE_AT_A_TIME=false (for the Lease of a leader, \
         LEADER_ELECTION=false) to run without the Lease"
    );
    assert!(error.message.contains(&expected), "{}", error.message);
}

#[tokio::test]
async fn names_a_missing_namespace() {
    let api = shop().on(GET, [absent()]).on(
        POST,
        [refusal(404, "NotFound", "namespaces \"shop\" not found")],
    );
    let error = mine(&api).acquire().await.unwrap_err();
    assert_eq!(error.kind, PortErrorKind::NotFound);
    let expected = "the namespace itself does not exist; check KUBE_NAMESPACE";
    assert!(error.message.contains(expected), "{}", error.message);
}

#[rstest]
#[case(refusal(500, "InternalError", "boom"), PortErrorKind::Server)]
#[case(Reply::Text(200, "<html>"), PortErrorKind::BadAnswer)]
#[case(Reply::Json(200, json!({"kind": "Lease"})), PortErrorKind::BadAnswer)]
#[tokio::test]
async fn failure_is_no_lease(#[case] reply: Reply, #[case] kind: PortErrorKind) {
    let api = shop().on(GET, [reply]);
    assert_eq!(mine(&api).acquire().await.unwrap_err().kind, kind);
    assert!(api.seen("POST").is_empty());
}
