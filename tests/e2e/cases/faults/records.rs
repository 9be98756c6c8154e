//! Faults of events and annotations: the evictions continue unchanged, except for those of a plan
//! whose approval may not have been removed.

use ::harness::{FaultProxy, Result, TestNamespace, proxy::Turn};
use k8s_openapi::api::apps::v1::Deployment;
use rstest::rstest;
use serde_json::{Value, json};

use super::{
    Kind,
    acting::{EVICTED, carry_out, expect, for_each_fault, name, program},
    assert_in_time, each, listed, patience, said, turn,
};
use crate::gates::annotate;
use crate::support::{Outcome, RunExt as _, assert_untouched};

/// The first event and the first annotation come between two waves. The new generation that the
/// annotation gives a Deployment does not count as a change by another actor.
#[rstest]
#[case("create events", "publish an event", 3)]
#[case("patch deployments", "keep the rotation in the annotation", 2)]
#[tokio::test]
async fn telling(#[case] call: &str, #[case] what: &str, #[case] times: usize) -> Result<()> {
    let ns = TestNamespace::start().await?;
    let workloads = for_each_fault(&ns).await?;
    each(call, Kind::ALL, async |kind| {
        let faults = [(call, Turn::Only(1), kind.fault())];
        let expected = expect(EVICTED, EVICTED, &[]);
        let workload = &workloads[&name(kind)];
        let settings = [("MAX_UNAVAILABLE", "1")];
        let (run, seen) = carry_out(&ns, workload, kind, expected, &faults, &settings).await?;
        let failures = said(&run, &format!("could not {what}"));
        let refusals = said(&run, &format!("may not {what}"));
        let (failed, refused, sent) = if kind == Kind::Forbidden {
            // A retry would not help.
            (0, 1, 1)
        } else if kind == Kind::Truncate || call == "patch deployments" && kind.takes_effect() {
            // The write took effect, which a read of the workload can show after a lost response.
            (failures.len().min(1), 0, times)
        } else {
            (usize::from(!kind.is_harmless()), 0, times)
        };
        assert_eq!(
            (failures.len(), refusals.len()),
            (failed, refused),
            "{}",
            run.0
        );
        if let [line] = failures.as_slice() {
            run.assert_says(line, &[call, kind.words_of_kubernetes()]);
        }
        let calls = seen.iter().filter(|seen| seen.call == call).count();
        assert_eq!(calls, sent, "{}", listed(&seen));
        Ok(())
    })
    .await;
    Ok(())
}

/// Only a run that is certain that it has removed the approval acts: otherwise another run could
/// use the approval again.
#[tokio::test]
async fn using_an_approval() -> Result<()> {
    const APPROVE: &str = "rebalancer.io/approve";
    let ns = TestNamespace::start().await?;
    let workloads = for_each_fault(&ns).await?;
    let call = "using an approval: patch deployments";
    each(call, Kind::ALL, async |kind| {
        let workload = &workloads[&name(kind)];
        let before = workload.pods().await?;
        let turn = turn(kind).await;
        let proxy = FaultProxy::kubernetes(&ns).await?;
        let program = program(&ns, workload, &proxy).env("APPROVAL", "manual");
        let direct = ns.control_plane().program_kubeconfig();
        let run = program
            .clone()
            .env("KUBECONFIG", direct)
            .ends_with(0)
            .await?;
        run.held("approval_pending");
        let id: Value = run.workload()["approval"]["plan"]["id"].clone();
        annotate(&ns, workload, json!({APPROVE: id})).await?;

        proxy.fault("patch deployments", Turn::Only(1), kind.fault());
        let run = Outcome(program.envs(patience(kind)).run().await?);
        drop(turn);
        assert_in_time(&run);
        let object = ns.api::<Deployment>().get(workload.name()).await.unwrap();
        let is_left = object.metadata.annotations.unwrap().contains_key(APPROVE);
        let has_effect = kind.is_harmless() || kind.takes_effect() || kind == Kind::Truncate;
        assert_eq!(is_left, !has_effect, "{}", run.0);
        if kind.is_harmless() {
            assert_eq!(run.0.code, Some(0), "{}", run.0);
            assert_eq!(run.outcomes(), [EVICTED; 2]);
            return Ok(());
        }
        assert_eq!(run.0.code, Some(1), "{}", run.0);
        let message = run.held("approval_unavailable");
        let says = "its approval could not be removed from the workload";
        run.assert_says(
            &message,
            &[says, "patch deployments", kind.words_of_kubernetes()],
        );
        assert_untouched(workload, &before).await
    })
    .await;
    Ok(())
}
