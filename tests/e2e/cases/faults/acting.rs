//! Faults during an execution: no pod is evicted twice, and every pod is in the report.
//!
//! Each case has its own workload; the cases of one call share a namespace.

use std::collections::BTreeMap;

use ::harness::{
    FaultProxy, PodView, Rebalancer, Result, TestNamespace, Workload, WorkloadSpec,
    proxy::{Fault, Seen, Turn},
};
use rstest::rstest;

use super::{Kind, assert_in_time, each, listed, patience, turn};
use crate::support::Outcome;

/// The first pod is the only hot one, and the last one is the coldest; these two are the victims.
pub(super) const LOADS: [f64; 4] = [1.2, 0.8, 0.6, 0.3];

/// The indices of the victims in [`LOADS`], in order.
pub(super) const PAIR: [usize; 2] = [0, 3];

pub(super) const EVICTED: &str = "evicted";
const FAILED: &str = "failed";
const UNKNOWN: &str = "unknown";
const LEFT: &str = "not_attempted";

/// Measured workloads with [`LOADS`] and the given names.
pub(super) async fn workloads<'w>(
    ns: &'w TestNamespace,
    names: impl IntoIterator<Item = String>,
) -> Result<BTreeMap<String, Workload<'w>>> {
    let mut made = BTreeMap::new();
    for name in names {
        let spec = WorkloadSpec::deployment(&name)
            .pods(LOADS.len())
            .without_waiting();
        made.insert(name, ns.create(spec).await?);
    }
    for workload in made.values() {
        workload.wait_ready().await?;
        workload.set_loads(&LOADS).await?;
    }
    for workload in made.values() {
        workload.wait_measured().await?;
    }
    Ok(made)
}

/// Creates a workload for each fault.
pub(super) async fn for_each_fault(ns: &TestNamespace) -> Result<BTreeMap<String, Workload<'_>>> {
    workloads(ns, Kind::ALL.map(name)).await
}

pub(super) fn name(kind: Kind) -> String {
    format!("{kind:?}").to_ascii_lowercase()
}

/// The program, configured to evict the two victims.
pub(super) fn program(
    ns: &TestNamespace,
    workload: &Workload<'_>,
    proxy: &FaultProxy,
) -> Rebalancer {
    ns.rebalancer(workload)
        .env("KUBECONFIG", proxy.kubeconfig())
        .env("OUTPUT", "json")
        .env("TARGET_CORES", "0.7")
        .env("REBALANCE_TOP_K_PODS", "1")
        .env("MINIMUM_PODS_REQUIRED", "1")
}

/// The expectations of a case.
pub(super) struct Expected {
    outcomes: [&'static str; 2],
    /// A part of the message about the first victim.
    says: Vec<&'static str>,
}

impl Expected {
    fn code(&self) -> i32 {
        if self.outcomes == [EVICTED; 2] { 0 } else { 3 }
    }
}

pub(super) fn expect(first: &'static str, second: &'static str, says: &[&'static str]) -> Expected {
    Expected {
        outcomes: [first, second],
        says: says.to_vec(),
    }
}

/// One run with faults configured in the proxy, and the checks that apply to every such run.
pub(super) async fn carry_out(
    ns: &TestNamespace,
    workload: &Workload<'_>,
    kind: Kind,
    expected: Expected,
    faults: &[(&str, Turn, Fault)],
    settings: &[(&str, &str)],
) -> Result<(Outcome, Vec<Seen>)> {
    let before = workload.pods().await?;
    let turn = turn(kind).await;
    let proxy = FaultProxy::kubernetes(ns).await?;
    for (call, turn, fault) in faults {
        proxy.fault(call, *turn, fault.clone());
    }
    let run = program(ns, workload, &proxy)
        .envs(patience(kind))
        .envs(settings.iter().copied())
        .run()
        .await?;
    drop(turn);
    let run = Outcome(run);
    assert_in_time(&run);
    let seen = proxy.seen();
    let calls = listed(&seen);
    assert_eq!(run.0.code, Some(expected.code()), "{}\n{calls}", run.0);
    for (outcome, expected) in run.outcomes().iter().zip(expected.outcomes) {
        assert_eq!(outcome, expected, "{}\n{calls}", run.0);
    }
    let report = run.workload();
    let message = report["execution"]["pods"][0]["message"].as_str();
    run.assert_says(message.unwrap_or_default(), &expected.says);
    if expected.outcomes[1] == LEFT && report["execution"]["stopped"].is_null() {
        let message = report["execution"]["pods"][1]["message"].as_str();
        run.assert_says(
            message.unwrap_or_default(),
            &["none of the hottest pods was evicted"],
        );
    }
    super::assert_broken(&seen, faults.len());
    assert_accounted(&run, &seen, &before, &workload.pods().await?);
    Ok((run, seen))
}

/// The calls that remove a pod.
pub(super) fn takes_away(seen: &Seen) -> bool {
    ["create pods/eviction", "delete pods"].contains(&seen.call.as_str())
}

/// Whether the program cannot know the outcome of the call.
fn is_lost(seen: &Seen) -> bool {
    match &seen.fault {
        Some(
            Fault::Reset
            | Fault::ResetAfter
            | Fault::Stall
            | Fault::StallAfter
            | Fault::HalfOpen
            | Fault::AnswerAfter(_),
        ) => true,
        // A failing server may have executed the call, and an HTML page is not from the API.
        Some(Fault::Answer(canned)) => match canned.status() {
            500.. => true,
            status => canned.is_page() && (200..300).contains(&status),
        },
        Some(Fault::Truncate | Fault::CloseAfter | Fault::Latency(_)) | None => false,
    }
}

/// Panics unless only planned pods were evicted, each at most once, the report has an outcome for
/// each, and every pod whose response was lost was read at once.
pub(super) fn assert_accounted(
    run: &Outcome,
    seen: &[Seen],
    before: &[PodView],
    after: &[PodView],
) {
    let context = format!("{}\n{}", run.0, listed(seen));
    let victims: Vec<_> = PAIR.iter().map(|place| &before[*place]).collect();
    let report = run.workload();
    let reported: Vec<_> = report["execution"]["pods"]
        .as_array()
        .unwrap()
        .iter()
        .map(|pod| pod["uid"].as_str().unwrap().to_owned())
        .collect();
    let planned: Vec<_> = victims.iter().map(|pod| pod.uid.clone()).collect();
    assert_eq!(reported, planned, "{context}");

    let stays = |pod: &PodView| {
        let now = after.iter().find(|now| now.uid == pod.uid);
        now.is_some_and(|now| !now.terminating)
    };
    for pod in before {
        let sent = seen
            .iter()
            .filter(|seen| takes_away(seen) && seen.forwarded && seen.object == pod.name)
            .count();
        let at_most = usize::from(planned.contains(&pod.uid));
        assert!(
            sent <= at_most,
            "{} was sent {sent} evictions: {context}",
            pod.name
        );
        assert_eq!(stays(pod), sent == 0, "{}: {context}", pod.name);
    }
    for (victim, outcome) in victims.iter().zip(run.outcomes()) {
        match outcome.as_str() {
            EVICTED => assert!(!stays(victim), "{}: {context}", victim.name),
            FAILED | LEFT => assert!(stays(victim), "{}: {context}", victim.name),
            other => assert_eq!(other, UNKNOWN, "{context}"),
        }
    }
    for (index, lost) in seen.iter().enumerate() {
        if takes_away(lost) && is_lost(lost) {
            let next = seen[index + 1..]
                .iter()
                .find(|next| !next.call.ends_with(" leases"));
            let looked =
                next.is_some_and(|next| next.call == "get pods" && next.object == lost.object);
            assert!(looked, "{} was not looked up: {context}", lost.object);
        }
    }
}

#[tokio::test]
async fn reads_of_a_victim() -> Result<()> {
    let ns = TestNamespace::start().await?;
    let workloads = for_each_fault(&ns).await?;
    each("before an eviction: get pods", Kind::ALL, async |kind| {
        let expected = if kind.is_survived_by_reads() {
            expect(EVICTED, EVICTED, &[])
        } else {
            // A 404 page from a proxy says nothing about the pod.
            expect(FAILED, LEFT, &["get pods", kind.words_of_kubernetes()])
        };
        let faults = [("get pods", Turn::Only(1), kind.fault())];
        carry_out(&ns, &workloads[&name(kind)], kind, expected, &faults, &[]).await?;
        Ok(())
    })
    .await;
    Ok(())
}

/// The expected result of a fault of the first eviction.
fn of_an_eviction(kind: Kind) -> Expected {
    const STILL_THERE: &str = "the response was lost, and the pod still exists";
    match kind {
        Kind::Reset | Kind::Stall | Kind::HalfOpen | Kind::Gateway | Kind::Broken | Kind::Busy => {
            let words = kind.words_of_kubernetes();
            expect(UNKNOWN, LEFT, &[STILL_THERE, words])
        }
        // Not from the API: the outcome of the call is unknown.
        Kind::LoginPage => expect(UNKNOWN, LEFT, &[STILL_THERE]),
        Kind::ResetAfter | Kind::StallAfter | Kind::GatewayAfter | Kind::BrokenAfter => expect(
            EVICTED,
            EVICTED,
            &["the response was lost, and the pod is gone"],
        ),
        // The status line alone proves the eviction.
        Kind::Truncate | Kind::CloseAfter | Kind::Latency => expect(EVICTED, EVICTED, &[]),
        // The server did nothing, so the call may be retried.
        Kind::Throttled => expect(EVICTED, EVICTED, &[]),
        Kind::Forbidden => expect(FAILED, LEFT, &["grant verb"]),
        Kind::NoSuchPage => expect(FAILED, LEFT, &["(404)"]),
        Kind::Unauthorized | Kind::Conflict | Kind::Expired => {
            expect(FAILED, LEFT, &[kind.words_of_kubernetes()])
        }
    }
}

#[rstest]
#[case("create pods/eviction", "evict")]
#[case("delete pods", "delete")]
#[tokio::test]
async fn evicting(#[case] call: &str, #[case] method: &str) -> Result<()> {
    let ns = TestNamespace::start().await?;
    let workloads = for_each_fault(&ns).await?;
    each(call, Kind::ALL, async |kind| {
        carry_out(
            &ns,
            &workloads[&name(kind)],
            kind,
            of_an_eviction(kind),
            &[(call, Turn::Only(1), kind.fault())],
            &[("EVICTION_METHOD", method)],
        )
        .await?;
        Ok(())
    })
    .await;
    Ok(())
}

/// The pod was evicted, the response was lost, and reading the pod fails as well.
#[tokio::test]
async fn reading_the_pod_after_a_lost_response() -> Result<()> {
    let ns = TestNamespace::start().await?;
    let workloads = for_each_fault(&ns).await?;
    each("after a lost answer: get pods", Kind::ALL, async |kind| {
        let expected = if kind.is_survived_by_reads() {
            expect(EVICTED, EVICTED, &["the pod is gone"])
        } else {
            let words = kind.words_of_kubernetes();
            expect(
                UNKNOWN,
                LEFT,
                &["the response was lost", "could not be read", words],
            )
        };
        let faults = [
            ("create pods/eviction", Turn::Only(1), Fault::ResetAfter),
            ("get pods", Turn::Only(2), kind.fault()),
        ];
        carry_out(&ns, &workloads[&name(kind)], kind, expected, &faults, &[]).await?;
        Ok(())
    })
    .await;
    Ok(())
}

/// The calls that read the workload, each with its number in the whole
/// run when the calls before it have failed once.
type Look = [(&'static str, usize); 3];

/// The Deployment is read twice before, for the first lease of a workload and to observe it, and
/// before each eviction.
///
/// After a postponed eviction, after a wave and after the last wave: a failed read is
/// repeated. The cases fail the read of the Deployment, then of its ReplicaSets,
/// then of its pods.
#[rstest]
#[case::after_a_pause("after a pause", "all", [
    ("get deployments", 4),
    ("list replicasets", 2),
    ("list pods", 3),
])]
#[case::between_waves("between waves", "1", [
    ("get deployments", 4),
    ("list replicasets", 2),
    ("list pods", 3),
])]
#[case::after_the_last("after the last wave", "all", [
    ("get deployments", 5),
    ("list replicasets", 2),
    ("list pods", 4),
])]
#[tokio::test]
async fn reading_the_workload(
    #[case] when: &str,
    #[case] max_unavailable: &str,
    #[case] calls: Look,
) -> Result<()> {
    let ns = TestNamespace::start().await?;
    let (stalling, others): (Vec<_>, Vec<_>) =
        Kind::ALL.into_iter().partition(|kind| kind.stalls());
    // Three timeouts in one run would take long, so each call has its own workload.
    let of_call =
        |kind, (call, _): (&str, usize)| format!("{}-{}", name(kind), call.replace(' ', "-"));
    let names = others.iter().map(|kind| name(*kind)).chain(
        stalling
            .iter()
            .flat_map(|kind| calls.map(|call| of_call(*kind, call))),
    );
    let workloads = workloads(&ns, names).await?;
    let settings = [
        ("MAX_UNAVAILABLE", max_unavailable),
        ("READY_TIMEOUT", "2m"),
    ];
    let look = async |kind: Kind, workload: &str, calls: &[(&str, usize)]| {
        let broken = calls
            .iter()
            .map(|(call, number)| (*call, Turn::Only(*number), kind.fault()));
        let throttled = || {
            (
                "create pods/eviction",
                Turn::Only(1),
                Kind::Throttled.fault(),
            )
        };
        let pause = (when == "after a pause").then(throttled);
        let faults: Vec<_> = pause.into_iter().chain(broken).collect();
        let expected = expect(EVICTED, EVICTED, &[]);
        let workload = &workloads[workload];
        carry_out(&ns, workload, kind, expected, &faults, &settings).await?;
        Ok(())
    };
    // All three calls, one after the other.
    let label = format!("{when}: list pods");
    let at_once = each(&label, others.iter().copied(), async |kind| {
        look(kind, &name(kind), &calls).await
    });
    let apart = futures::future::join_all(calls.map(|call| {
        let (look, of_call) = (&look, &of_call);
        let stalling = stalling.iter().copied();
        async move {
            let label = format!("{when}: {}", call.0);
            each(&label, stalling, async |kind| {
                look(kind, &of_call(kind, call), &[call]).await
            })
            .await;
        }
    }));
    tokio::join!(at_once, apart);
    Ok(())
}

/// All victims are evicted, but the replacements cannot be read.
#[tokio::test]
async fn replacements_that_cannot_be_read() -> Result<()> {
    let ns = TestNamespace::start().await?;
    let workloads = workloads(&ns, ["consumer".to_owned()]).await?;
    let consumer = &workloads["consumer"];
    let before = consumer.pods().await?;
    let proxy = FaultProxy::kubernetes(&ns).await?;
    proxy.fault("get deployments", Turn::From(5), Kind::Broken.fault());
    let program = program(&ns, consumer, &proxy).env("READY_TIMEOUT", "5s");
    let run = Outcome(program.run().await?);
    assert_in_time(&run);
    let seen = proxy.seen();
    assert_eq!(run.0.code, Some(3), "{}\n{}", run.0, listed(&seen));
    assert_eq!(run.outcomes(), [EVICTED; 2], "{}", run.0);
    let execution = &run.workload()["execution"];
    assert_eq!(execution["stopped"], "ready_timeout", "{}", run.0);
    let message = execution["message"].as_str().unwrap_or_default();
    run.assert_says(message, &["ready timeout of 5 s", "out of cheese"]);
    assert_accounted(&run, &seen, &before, &consumer.pods().await?);
    Ok(())
}
