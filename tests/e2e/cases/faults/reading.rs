//! Faults of reads: nothing is evicted on unknown data.
//!
//! All cases share one workload, since none changes it. Where the program continues despite the
//! fault, it runs with DRY_RUN.

use ::harness::{
    FaultProxy, Rebalancer, Result, SecondSeries, TestNamespace, WorkloadSpec,
    proxy::{CONNECT, Canned, Fault, Turn},
};
use rstest::rstest;
use serde_json::json;

use super::{
    Kind, acting::takes_away, assert_broken, assert_in_time, each, listed, patience, turn,
};
use crate::gates::until_it_rotates;
use crate::support::{
    Outcome, RunExt as _, VICTIMS, assert_untouched, shared::Shared, skewed, uids,
};
use crate::wrong_metrics::wait_for_two_series;

/// Faults of a connection before the first request.
pub(super) const CONNECTION_FAULTS: [Fault; 3] = [Fault::Reset, Fault::Stall, Fault::HalfOpen];

/// Runs against the skewed workload, as a dry run if `asks`. The run takes no
/// lease, since concurrent runs on one workload would exclude each other.
async fn run(
    shared: &Shared,
    asks: bool,
    change: impl FnOnce(Rebalancer) -> Rebalancer,
) -> Result<Outcome> {
    let program = change(shared.ns.rebalancer_for("consumer"));
    let program = program
        .env("OUTPUT", "json")
        .env("ONE_AT_A_TIME", "false")
        .env("DRY_RUN", asks.to_string());
    Ok(Outcome(program.run().await?))
}

/// Panics unless the plan is the same as without a fault.
async fn assert_asked_for_all(shared: &Shared, run: &Outcome) -> Result<()> {
    assert_eq!(run.0.code, Some(0), "{}", run.0);
    let (_, before) = shared.skewed().await?;
    assert_eq!(run.victims(), uids(&before, &VICTIMS), "{}", run.0);
    assert_eq!(run.outcomes(), ["evicted"; 4], "{}", run.0);
    Ok(())
}

#[rstest]
#[tokio::test]
async fn observing_kubernetes(
    #[values(
        "get deployments",
        "list replicasets",
        "list pods",
        "list horizontalpodautoscalers"
    )]
    call: &str,
) -> Result<()> {
    let shared = Shared::open().await?;
    let (consumer, before) = shared.skewed().await?;
    let label = format!("observing: {call}");
    each(&label, Kind::ALL, async |kind| {
        let _turn = turn(kind).await;
        let proxy = FaultProxy::kubernetes(&shared.ns).await?;
        proxy.fault(call, Turn::Only(1), kind.fault());
        let survived = kind.is_survived_by_reads();
        let run = run(&shared, survived, |program| {
            program
                .env("KUBECONFIG", proxy.kubeconfig())
                .envs(patience(kind))
        })
        .await?;
        assert_in_time(&run);
        let seen = proxy.seen();
        assert_broken(&seen, 1);
        if survived {
            return assert_asked_for_all(&shared, &run).await;
        }
        assert_eq!(run.0.code, Some(1), "{}", run.0);
        // A 404 page from a proxy says nothing about the Deployment.
        run.assert_says(&run.error(), &[call, kind.words_of_kubernetes()]);
        let acted = seen.iter().any(takes_away);
        assert!(!acted, "{}", listed(&seen));
        Ok(())
    })
    .await;
    assert_untouched(&consumer, &before).await
}

/// A dry run needs the budgets only to count its evictions against them.
#[tokio::test]
async fn reading_the_budgets_of_a_dry_run() -> Result<()> {
    const CALL: &str = "list poddisruptionbudgets";
    let shared = Shared::open().await?;
    let (consumer, before) = shared.skewed().await?;
    let label = format!("before a dry run: {CALL}");
    each(&label, Kind::ALL, async |kind| {
        let _turn = turn(kind).await;
        let proxy = FaultProxy::kubernetes(&shared.ns).await?;
        proxy.fault(CALL, Turn::Only(1), kind.fault());
        let run = run(&shared, true, |program| {
            program
                .env("KUBECONFIG", proxy.kubeconfig())
                .envs(patience(kind))
        })
        .await?;
        assert_in_time(&run);
        assert_broken(&proxy.seen(), 1);
        assert_asked_for_all(&shared, &run).await?;
        let note = run.workload()["execution"]["note"].clone();
        if kind.is_survived_by_reads() {
            assert!(note.is_null(), "{}", run.0);
        } else {
            run.assert_says(
                note.as_str().unwrap(),
                &[
                    "each eviction was checked alone",
                    CALL,
                    kind.words_of_kubernetes(),
                ],
            );
        }
        Ok(())
    })
    .await;
    assert_untouched(&consumer, &before).await
}

/// Retries are bounded.
#[rstest]
#[tokio::test]
async fn retries_of_a_busy_server_are_limited(
    #[values("get deployments", "list pods")] call: &str,
) -> Result<()> {
    let shared = Shared::open().await?;
    let (consumer, before) = shared.skewed().await?;
    let label = format!("observing: {call}");
    each(&label, [Kind::Busy, Kind::Throttled], async |kind| {
        let proxy = FaultProxy::kubernetes(&shared.ns).await?;
        proxy.fault(call, Turn::From(1), kind.fault());
        let run = run(&shared, false, |program| {
            program.env("KUBECONFIG", proxy.kubeconfig())
        })
        .await?;
        assert_in_time(&run);
        assert_eq!(run.0.code, Some(1), "{}", run.0);
        run.assert_says(&run.error(), &[call, kind.words_of_kubernetes()]);
        assert_broken(&proxy.seen(), 3);
        Ok(())
    })
    .await;
    assert_untouched(&consumer, &before).await
}

/// The fault comes right before the first eviction, after the decision.
#[rstest]
#[case::ready_pods("list pods", "ready_unknown")]
#[case::annotations("get deployments", "pause_unknown")]
#[tokio::test]
async fn reading_before_an_eviction(#[case] call: &str, #[case] stopped: &str) -> Result<()> {
    let shared = Shared::open().await?;
    let (consumer, before) = shared.skewed().await?;
    let label = format!("before an eviction: {call}");
    each(&label, Kind::ALL, async |kind| {
        let _turn = turn(kind).await;
        let proxy = FaultProxy::kubernetes(&shared.ns).await?;
        proxy.fault(call, Turn::Only(2), kind.fault());
        let survived = kind.is_survived_by_reads();
        let run = run(&shared, survived, |program| {
            program
                .env("KUBECONFIG", proxy.kubeconfig())
                .envs(patience(kind))
        })
        .await?;
        assert_in_time(&run);
        assert_broken(&proxy.seen(), 1);
        if survived {
            return assert_asked_for_all(&shared, &run).await;
        }
        assert_eq!(run.0.code, Some(3), "{}", run.0);
        assert_eq!(run.victims(), uids(&before, &VICTIMS), "{}", run.0);
        assert_eq!(run.outcomes(), ["not_attempted"; 4], "{}", run.0);
        let execution = &run.workload()["execution"];
        assert_eq!(execution["stopped"], stopped, "{}", run.0);
        let message = execution["message"].as_str().unwrap();
        run.assert_says(message, &[call, kind.words_of_kubernetes()]);
        let seen = proxy.seen();
        let acted = seen.iter().any(takes_away);
        assert!(!acted, "{}", listed(&seen));
        Ok(())
    })
    .await;
    assert_untouched(&consumer, &before).await
}

#[rstest]
#[tokio::test]
async fn querying_prometheus(
    #[values(
        "load",
        "freshness",
        "duplicates",
        "window",
        "autoscalers",
        "hold",
        "past"
    )]
    purpose: &str,
) -> Result<()> {
    let shared = Shared::open().await?;
    let (consumer, before) = shared.skewed().await?;
    let query = format!("query {purpose}");
    let setting = match purpose {
        "autoscalers" => Some(("TARGET_SOURCE", "prometheus")),
        "hold" => Some(HOLD_QUERY),
        "past" => Some(HOT_DURATION),
        _ => None,
    };
    if purpose == "past" {
        lasting(&shared).await?;
    }
    each(&query, Kind::ALL, async |kind| {
        let _turn = turn(kind).await;
        let proxy = FaultProxy::prometheus(shared.ns.prometheus()).await?;
        proxy.fault(&query, Turn::Only(1), kind.fault());
        let survived = kind.is_harmless();
        let run = run(&shared, survived, |mut program| {
            program = program.env("PROMETHEUS_ENDPOINT", proxy.url());
            if let Some((name, value)) = setting {
                program = program.env(name, value);
            }
            if kind.stalls() {
                program = program.env("PROMETHEUS_TIMEOUT", "5s");
            }
            program
        })
        .await?;
        assert_in_time(&run);
        assert_broken(&proxy.seen(), 1);
        if survived {
            return assert_asked_for_all(&shared, &run).await;
        }
        assert_eq!(run.0.code, Some(1), "{}", run.0);
        let words = match purpose {
            "freshness" => "the sample age query",
            "duplicates" => "the duplicate series query",
            "window" => "the window coverage query",
            "autoscalers" => "the autoscaler query",
            "hold" => "the hold query (HOLD_QUERY)",
            "past" => "the query for past loads (MINIMUM_HOT_DURATION)",
            other => &format!("the {other} query"),
        };
        let error = run.error();
        run.assert_says(&error, &[words, &proxy.url(), kind.words_of_prometheus()]);
        Ok(())
    })
    .await;
    assert_untouched(&consumer, &before).await
}

/// A hold query that returns nothing.
const HOLD_QUERY: (&str, &str) = ("HOLD_QUERY", "vector(1) < 0");
/// A duration for which the hot pods are hot after a while.
const HOT_DURATION: (&str, &str) = ("MINIMUM_HOT_DURATION", "5s");

/// Waits until the hot pods have been hot for the duration.
async fn lasting(shared: &Shared) -> Result<()> {
    let (consumer, _) = shared.skewed().await?;
    let program = shared.ns.rebalancer(&consumer).arg("plan");
    let (name, value) = HOT_DURATION;
    until_it_rotates(&program.env(name, value)).await.map(drop)
}

/// A response that lacks data, or has data of another form, allows no eviction.
#[rstest]
#[case::hold("hold", HOLD_QUERY, "vector", "hold_query_partial")]
#[case::past("past", HOT_DURATION, "matrix", "metrics_partial")]
#[tokio::test]
async fn incomplete_response(
    #[case] purpose: &str,
    #[case] (name, value): (&str, &str),
    #[case] form: &str,
    #[case] reason: &str,
) -> Result<()> {
    let shared = Shared::open().await?;
    let (consumer, before) = shared.skewed().await?;
    let query = format!("query {purpose}");
    for (form, reason) in [(form, Some(reason)), ("streams", None)] {
        let proxy = FaultProxy::prometheus(shared.ns.prometheus()).await?;
        let data = json!({"resultType": form, "result": []});
        let fault = Fault::Answer(Canned::partial(&data));
        proxy.fault(&query, Turn::Only(1), fault);
        let run = run(&shared, false, |program| {
            program
                .env("PROMETHEUS_ENDPOINT", proxy.url())
                .env(name, value)
        })
        .await?;
        assert_broken(&proxy.seen(), 1);
        assert_eq!(run.0.code, Some(1), "{}", run.0);
        match reason {
            Some(reason) => drop(run.held(reason)),
            None => run.assert_says(&run.error(), &[name, "streams"]),
        }
    }
    assert_untouched(&consumer, &before).await
}

/// The queries about pods with several series. Here every container has nested cgroups.
#[rstest]
#[case::samples("samples", "the query for samples of several series")]
#[case::cgroups("cgroups", "the load query for nested cgroups")]
#[tokio::test]
async fn querying_several_series(#[case] purpose: &str, #[case] words: &str) -> Result<()> {
    let ns = TestNamespace::start().await?;
    let consumer = skewed(&ns, WorkloadSpec::deployment("consumer")).await?;
    let before = consumer.pods().await?;
    for pod in &before {
        consumer.duplicate_series(pod, SecondSeries::NestedCgroup)?;
    }
    wait_for_two_series(&ns, &before[0].name).await?;
    let query = format!("query {purpose}");
    each(&query, Kind::ALL, async |kind| {
        let _turn = turn(kind).await;
        let proxy = FaultProxy::prometheus(ns.prometheus()).await?;
        proxy.fault(&query, Turn::Only(1), kind.fault());
        let mut program = ns.rebalancer(&consumer).arg("plan");
        program = program.env("PROMETHEUS_ENDPOINT", proxy.url());
        if kind.stalls() {
            program = program.env("PROMETHEUS_TIMEOUT", "5s");
        }
        let code = if kind.is_harmless() { 0 } else { 1 };
        let run = program.ends_with(code).await?;
        assert_in_time(&run);
        assert_broken(&proxy.seen(), 1);
        if kind.is_harmless() {
            assert_eq!(run.check("measured_once")["nested_cgroups"], 8, "{}", run.0);
        } else {
            let error = run.error();
            run.assert_says(&error, &[words, &proxy.url(), kind.words_of_prometheus()]);
        }
        Ok(())
    })
    .await;
    assert_untouched(&consumer, &before).await
}

/// The search for other labels only makes the message better.
#[tokio::test]
async fn searching_for_other_labels() -> Result<()> {
    const CALL: &str = "query labels";
    let shared = Shared::open().await?;
    let unmeasured = shared.workload("unmeasured");
    let before = unmeasured.pods().await?;
    each(CALL, Kind::ALL, async |kind| {
        let _turn = turn(kind).await;
        let proxy = FaultProxy::prometheus(shared.ns.prometheus()).await?;
        proxy.fault(CALL, Turn::Only(1), kind.fault());
        let mut program = shared.ns.rebalancer(&unmeasured).arg("plan");
        program = program.env("PROMETHEUS_ENDPOINT", proxy.url());
        if kind.stalls() {
            program = program.env("PROMETHEUS_TIMEOUT", "5s");
        }
        let run = program.ends_with(1).await?;
        assert_in_time(&run);
        assert_broken(&proxy.seen(), 1);
        let message = run.held("insufficient_coverage");
        let advised = message.contains("set CONTAINER_NAME");
        assert_eq!(advised, kind.is_harmless(), "{}", run.0);
        Ok(())
    })
    .await;
    assert_untouched(&unmeasured, &before).await
}

/// ScaledObjects only explain why there is no autoscaler.
#[tokio::test]
async fn looking_for_paused_scaled_objects() -> Result<()> {
    const CALL: &str = "list scaledobjects";
    let shared = Shared::open().await?;
    let workload = shared.workload("without-autoscaler");
    let before = workload.pods().await?;
    let label = format!("observing: {CALL}");
    each(&label, Kind::ALL, async |kind| {
        let _turn = turn(kind).await;
        let proxy = FaultProxy::kubernetes(&shared.ns).await?;
        proxy.fault(CALL, Turn::Only(1), kind.fault());
        let program = shared.ns.rebalancer(&workload).arg("plan");
        let run = program
            .env("KUBECONFIG", proxy.kubeconfig())
            .envs(patience(kind))
            .ends_with(1)
            .await?;
        assert_in_time(&run);
        assert_broken(&proxy.seen(), 1);
        let message = run.held("target_unknown");
        run.assert_says(
            &message,
            &["no HorizontalPodAutoscaler scales the workload"],
        );
        Ok(())
    })
    .await;
    assert_untouched(&workload, &before).await
}

/// No request can be sent.
#[tokio::test]
async fn connections() -> Result<()> {
    let shared = Shared::open().await?;
    let (consumer, before) = shared.skewed().await?;
    let cases = CONNECTION_FAULTS
        .into_iter()
        .flat_map(|fault| [(true, fault.clone()), (false, fault)]);
    let cases = cases.map(async |(kubernetes, fault)| {
        let proxy = if kubernetes {
            FaultProxy::kubernetes(&shared.ns).await?
        } else {
            FaultProxy::prometheus(shared.ns.prometheus()).await?
        };
        proxy.fault(CONNECT, Turn::From(1), fault.clone());
        let run = run(&shared, false, |program| {
            let program = program.env("KUBE_TIMEOUT", "10s");
            if kubernetes {
                program.env("KUBECONFIG", proxy.kubeconfig())
            } else {
                program
                    .env("PROMETHEUS_ENDPOINT", proxy.url())
                    .env("PROMETHEUS_TIMEOUT", "2s")
            }
        })
        .await?;
        assert_in_time(&run);
        assert_eq!(run.0.code, Some(1), "{fault:?}: {}", run.0);
        let says = match (kubernetes, &fault) {
            (true, Fault::Stall) => "did not accept a connection within",
            (true, _) => "cannot be reached",
            (false, Fault::Stall) => "no response within 2s",
            (false, _) => "connection",
        };
        run.assert_says(&run.error(), &[&proxy.url(), says]);
        assert!(proxy.seen().is_empty());
        Ok::<(), ::harness::Error>(())
    });
    futures::future::try_join_all(cases).await?;
    assert_untouched(&consumer, &before).await
}
