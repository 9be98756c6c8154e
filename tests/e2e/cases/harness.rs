//! The harness itself: the behaviour on which the other cases rely.

use std::{
    io::{BufRead as _, BufReader},
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use ::harness::{
    Error, FaultServer, Limit, Result, StartFailure, Target, TestNamespace, WorkloadSpec,
    annotation, http,
    process::Server,
    wait::{Look, until},
};
use k8s_openapi::api::core::v1::Pod;
use rstest::rstest;

/// Set for the copy of this test program that is killed in
/// `servers_do_not_outlive_a_killed_process`.
const VICTIM: &str = "HARNESS_VICTIM";

#[tokio::test]
async fn deployment_replaces_evicted_pods() -> Result<()> {
    let ns = TestNamespace::start().await?;
    let consumer = ns
        .create(WorkloadSpec::deployment("consumer").pods(4))
        .await?;
    let before = consumer.pods().await?;
    let victim = before.first().unwrap();
    assert!(before.iter().all(|pod| pod.phase == "Running" && pod.ready));

    ns.evict(victim).await?;
    // A terminating or deleted pod does not count any more.
    assert!(
        !consumer
            .pods()
            .await?
            .iter()
            .any(|pod| pod.uid == victim.uid && !pod.terminating)
    );
    let after = consumer.wait_ready().await?;
    assert!(after.iter().all(|pod| pod.uid != victim.uid));
    Ok(())
}

#[tokio::test]
async fn stateful_set_keeps_names_and_changes_uids() -> Result<()> {
    let ns = TestNamespace::start().await?;
    let consumer = ns
        .create(WorkloadSpec::stateful_set("consumer").pods(3))
        .await?;
    let before = consumer.pods().await?;
    ns.evict(before.last().unwrap()).await?;
    let after = consumer.wait_ready().await?;
    assert_eq!(after.last().unwrap().name, "consumer-2");
    assert_ne!(after.last().unwrap().uid, before.last().unwrap().uid);
    Ok(())
}

#[tokio::test]
async fn budget_without_disruptions_forbids_evictions() -> Result<()> {
    let ns = TestNamespace::start().await?;
    let consumer = ns
        .create(WorkloadSpec::deployment("consumer").pods(2))
        .await?;
    ns.budget("keep", &consumer, Limit::MaxUnavailable("0".into()))
        .await?;
    let error = ns
        .evict(consumer.pods().await?.first().unwrap())
        .await
        .unwrap_err();
    assert_eq!(error.code(), Some(429), "{error}");
    assert!(error.to_string().contains("keep"), "{error}");
    Ok(())
}

#[tokio::test]
async fn both_metrics_servers_return_the_loads() -> Result<()> {
    let ns = TestNamespace::start().await?;
    let loads = [1.2, 1.1, 0.8, 0.6, 0.4, 0.3];
    let spec = WorkloadSpec::deployment("consumer")
        .loads(loads)
        .sidecar("proxy", Some("100m"));
    let consumer = ns.create(spec).await?;
    let annotated = WorkloadSpec::deployment("unseen")
        .container("consumer")
        .annotation(annotation::UNMEASURED, "true");
    ns.create(annotated).await?;
    ns.autoscale(&consumer, Target::Utilization(70)).await?;
    consumer.wait_measured().await?;

    let pods = consumer.pods().await?;
    for server in ns.metrics_servers() {
        let seen = server.loads(ns.name(), "consumer").await?;
        assert_eq!(seen.len(), pods.len(), "{}: {seen:?}", server.name());
        for (pod, load) in pods.iter().zip(loads) {
            let seen = seen[&pod.name];
            assert!(
                (seen - load).abs() < load * 0.15,
                "{}: {} is {seen}",
                server.name(),
                pod.name
            );
        }
        let namespace = ns.name();
        let requests = server
            .by_pod(&format!("sum by (pod) (kube_pod_container_resource_requests{{namespace=\"{namespace}\",container=\"consumer\"}})"))
            .await?;
        assert_eq!(requests.get(&pods[0].name), Some(&1.0));
        let target = server
            .by_pod(&format!(
                "kube_horizontalpodautoscaler_spec_target_metric{{namespace=\"{namespace}\",metric_target_type=\"utilization\"}} \
                 * on (namespace, horizontalpodautoscaler) kube_horizontalpodautoscaler_info{{scaletargetref_name=\"consumer\"}}"
            ))
            .await?;
        assert_eq!(target.values().copied().collect::<Vec<_>>(), [70.0]);
    }
    Ok(())
}

#[tokio::test]
async fn annotations_and_holds_delay_readiness() -> Result<()> {
    let ns = TestNamespace::start().await?;
    let spec = WorkloadSpec::deployment("never")
        .annotation(annotation::NEVER_READY, "true")
        .without_waiting();
    let never = ns.create(spec).await?;
    let spec = WorkloadSpec::deployment("pending")
        .annotation(annotation::UNSCHEDULED, "true")
        .without_waiting();
    let pending = ns.create(spec).await?;

    let consumer = ns
        .create(WorkloadSpec::deployment("consumer").pods(2))
        .await?;
    ns.hold_new_pods(true);
    ns.evict(consumer.pods().await?.first().unwrap()).await?;
    let (deadline, pause) = (Duration::from_secs(60), Duration::from_millis(200));
    let held = until("a pod that runs again", deadline, pause, async || {
        let pods = consumer.pods().await?;
        let run = pods
            .iter()
            .all(|pod| pod.phase == "Running" && !pod.terminating);
        Ok(if pods.len() == 2 && run {
            Look::Done(pods)
        } else {
            Look::Not(format!("{pods:?}"))
        })
    })
    .await?;
    assert_eq!(held.iter().filter(|pod| pod.ready).count(), 1, "{held:?}");
    ns.hold_new_pods(false);
    consumer.wait_ready().await?;

    let phase_and_ready =
        |pods: Vec<::harness::PodView>| pods.first().map(|pod| (pod.phase.clone(), pod.ready));
    assert_eq!(
        phase_and_ready(never.pods().await?),
        Some(("Running".to_owned(), false))
    );
    assert_eq!(
        phase_and_ready(pending.pods().await?),
        Some(("Pending".to_owned(), false))
    );
    Ok(())
}

#[rstest]
#[case(StartFailure::CrashLoopBackOff, "Running", 2)]
#[case(StartFailure::ErrImagePull, "Pending", 0)]
#[case(StartFailure::ImagePullBackOff, "Pending", 0)]
#[case(StartFailure::Unschedulable, "Pending", 0)]
#[tokio::test]
async fn a_failing_pod_shows_its_reason(
    #[case] failure: StartFailure,
    #[case] phase: &str,
    #[case] restarts: i32,
) -> Result<()> {
    let ns = TestNamespace::start().await?;
    let spec = WorkloadSpec::deployment("annotated").sidecar("proxy", None);
    let spec = spec.annotation(annotation::FAILURE, failure.reason());
    ns.create(spec.without_waiting()).await?;
    ns.fail_new_pods(Some(failure));
    let spec = WorkloadSpec::deployment("by-the-namespace").sidecar("proxy", None);
    ns.create(spec.without_waiting()).await?;

    let started = Instant::now();
    let pods = loop {
        let pods = ns.api::<Pod>().list(&Default::default()).await.unwrap();
        let reported: Vec<_> = pods.iter().filter_map(reason).collect();
        if reported == [failure.reason(); 2] {
            break pods;
        }
        assert!(started.elapsed() < Duration::from_secs(30), "{reported:?}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    };
    for pod in pods {
        let status = pod.status.unwrap();
        assert_eq!(status.phase.as_deref(), Some(phase), "{status:?}");
        let bound = pod.spec.unwrap().node_name.is_some();
        assert_eq!(bound, failure != StartFailure::Unschedulable, "{status:?}");
        let Some(containers) = status.container_statuses else {
            assert!(!bound, "a node knows the containers");
            continue;
        };
        let (container, sidecar) = (&containers[0], &containers[1]);
        assert!(!container.ready && sidecar.ready, "{containers:?}");
        assert_eq!(container.restart_count, restarts);
        let last = container.last_state.clone().unwrap_or_default();
        let code = last.terminated.map(|ended| ended.exit_code);
        assert_eq!(code, (restarts > 0).then_some(1), "{containers:?}");
    }
    Ok(())
}

/// The reason why the first container of a pod, or the pod itself, is waiting.
fn reason(pod: &Pod) -> Option<String> {
    let status = pod.status.as_ref()?;
    if let Some(container) = status.container_statuses.iter().flatten().next() {
        return container.state.as_ref()?.waiting.as_ref()?.reason.clone();
    }
    let mut conditions = status.conditions.iter().flatten();
    let scheduled = conditions.find(|condition| condition.type_ == "PodScheduled")?;
    (scheduled.status == "False").then(|| scheduled.reason.clone())?
}

#[tokio::test]
async fn rights_are_enforced_and_calls_are_recorded() -> Result<()> {
    use k8s_openapi::api::core::v1::Secret;

    let ns = TestNamespace::start().await?;
    let applied = ns
        .apply(
            "apiVersion: v1\nkind: Namespace\nmetadata: {name: elsewhere}\n---\n\
             apiVersion: v1\nkind: ServiceAccount\nmetadata: {name: reader, namespace: elsewhere}\n---\n\
             apiVersion: rbac.authorization.k8s.io/v1\nkind: Role\nmetadata: {name: reader}\n\
             rules: [{apiGroups: [''], resources: [pods], verbs: [list]}]\n---\n\
             apiVersion: rbac.authorization.k8s.io/v1\nkind: RoleBinding\nmetadata: {name: reader}\n\
             roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: reader}\n\
             subjects: [{kind: ServiceAccount, name: reader, namespace: elsewhere}]\n---\n\
             apiVersion: batch/v1\nkind: CronJob\nmetadata: {name: nightly}\n\
             spec: {schedule: '0 0 * * *', jobTemplate: {spec: {template: {spec: {restartPolicy: Never, \
             serviceAccountName: reader, containers: [{name: main, image: 'main:1', env: [\
             {name: A, value: b}, {name: SPACE, valueFrom: {fieldRef: {fieldPath: metadata.namespace}}}]}]}}}}}\n",
        )
        .await?;
    assert_eq!(
        applied,
        [
            "ServiceAccount/reader",
            "Role/reader",
            "RoleBinding/reader",
            "CronJob/nightly"
        ]
    );

    let (reader, environment) = ns.cron_job("nightly").await?;
    assert_eq!(
        environment,
        [
            ("A".to_owned(), "b".to_owned()),
            ("SPACE".to_owned(), ns.name().to_owned())
        ]
    );
    let client = ns.client_of(&reader).await?;
    kube::Api::<Pod>::namespaced(client.clone(), ns.name())
        .list(&Default::default())
        .await
        .unwrap();
    let refused = kube::Api::<Secret>::namespaced(client, ns.name())
        .list(&Default::default())
        .await;
    assert!(matches!(refused.unwrap_err(), kube::Error::Api(status) if status.code == 403));

    let calls: Vec<_> = ns
        .audit(&reader)?
        .into_iter()
        .map(|entry| (entry.action(), entry.code))
        .collect();
    assert_eq!(
        calls,
        [
            ("list pods".to_owned(), 200),
            ("list secrets".to_owned(), 403)
        ]
    );
    Ok(())
}

#[tokio::test]
async fn fault_servers_inject_their_faults() -> Result<()> {
    let address = |url: String| url.trim_start_matches("http://").parse().unwrap();
    let broken = FaultServer::html(500, "<html>oops</html>").await?;
    assert_eq!(
        http::get(address(broken.url()), "/x").await?,
        (500, "<html>oops</html>".to_owned())
    );
    assert_eq!(broken.requests()[0].path, "/x");

    let stalled = FaultServer::stall().await?;
    let answer = http::get(address(stalled.url()), "/");
    assert!(
        tokio::time::timeout(Duration::from_millis(300), answer)
            .await
            .is_err()
    );

    let refused = http::get(address(::harness::fault::refused_url()?), "/").await;
    assert!(matches!(refused, Err(Error::Io { .. })));
    Ok(())
}

#[tokio::test]
async fn server_that_exits_at_once_shows_its_log() -> Result<()> {
    let dir = ::harness::process::server_dir("broken")?;
    let args = ["-c", "echo out of cheese; exit 3"];
    let mut server = Server::spawn("broken", "/bin/sh".as_ref(), args, dir.clone())?;
    let error = server
        .wait_ready(Duration::from_secs(10), async || Err("deaf".to_owned()))
        .await
        .unwrap_err();
    assert!(error.to_string().contains("out of cheese"), "{error}");
    drop(server);
    assert!(!dir.exists());
    Ok(())
}

/// Starts a copy of this program that holds a server in a static, kills it with
/// SIGKILL, and checks that the server and its directory are gone.
#[test]
fn servers_do_not_outlive_a_killed_process() {
    if std::env::var_os(VICTIM).is_some() {
        hold_a_server_forever();
    }
    let mut victim = Command::new(std::env::current_exe().unwrap())
        .args([
            "--exact",
            "harness::servers_do_not_outlive_a_killed_process",
            "--nocapture",
        ])
        .env(VICTIM, "1")
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = BufReader::new(victim.stdout.take().unwrap()).lines();
    let server = lines
        .map_while(|line| line.ok())
        .find_map(|line| Some(line.split_once("server ")?.1.to_owned()));
    let server = server.unwrap();
    let (pid, dir) = server.split_once(' ').unwrap();
    let alive = || {
        Command::new("kill")
            .args(["-0", pid])
            .stderr(Stdio::null())
            .status()
            .unwrap()
            .success()
    };
    let dir = std::path::Path::new(dir);
    assert!(alive() && dir.is_dir());

    victim.kill().unwrap();
    victim.wait().unwrap();
    let deadline = Instant::now() + Duration::from_secs(10);
    while alive() || dir.exists() {
        assert!(
            Instant::now() < deadline,
            "process {pid} or {} is still there",
            dir.display()
        );
        std::thread::sleep(Duration::from_millis(50));
    }
}

fn hold_a_server_forever() -> ! {
    static HELD: std::sync::OnceLock<Server> = std::sync::OnceLock::new();
    // From a thread, as in tests.
    std::thread::spawn(|| {
        let dir = ::harness::process::server_dir("victim").unwrap();
        let script = format!("echo $$ > {}/pid; exec sleep 600", dir.display());
        HELD.get_or_init(|| {
            Server::spawn("victim", "/bin/sh".as_ref(), ["-c", &script], dir).unwrap()
        });
    })
    .join()
    .unwrap();
    let dir = HELD.get().unwrap().dir();
    loop {
        if let Ok(pid) = std::fs::read_to_string(dir.join("pid"))
            && pid.ends_with('\n')
        {
            println!("server {} {}", pid.trim_end(), dir.display());
            std::thread::sleep(Duration::from_secs(600));
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}
