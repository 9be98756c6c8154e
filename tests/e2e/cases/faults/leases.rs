//! Faults of the lease: without the lease nothing is evicted, and with it the run continues.

use std::time::Duration;

use ::harness::{FaultProxy, Result, TestNamespace, proxy::Turn};
use k8s_openapi::api::coordination::v1::Lease;
use rstest::rstest;

use super::{
    Kind,
    acting::{EVICTED, carry_out, expect, for_each_fault, name, program},
    assert_broken, assert_in_time, each, listed, patience, said, turn,
};
use crate::support::{Outcome, assert_untouched};

/// Whether a run continues after a fault of a lease call.
fn is_survived(call: &str, kind: Kind) -> bool {
    match call {
        // An HTML page instead of the lease does no harm: creating the lease shows whether one
        // exists.
        "get leases" => kind.is_survived_by_reads() || kind == Kind::NoSuchPage,
        "create leases" => kind.is_harmless() || kind == Kind::Conflict,
        // The lease is read again.
        _ => kind.is_harmless() || matches!(kind, Kind::Conflict | Kind::NoSuchPage),
    }
}

/// A lease without a holder.
fn free_lease(workload: &str) -> String {
    format!(
        "apiVersion: coordination.k8s.io/v1\nkind: Lease\n\
         metadata: {{name: rebalancer-deployment-{workload}}}\n\
         spec: {{holderIdentity: \"\", leaseDurationSeconds: 1}}\n"
    )
}

#[rstest]
#[case("get leases", false)]
#[case("create leases", false)]
#[case("update leases", true)]
#[tokio::test]
async fn acquiring(#[case] call: &str, #[case] given_back: bool) -> Result<()> {
    let ns = TestNamespace::start().await?;
    let workloads = for_each_fault(&ns).await?;
    if given_back {
        for workload in workloads.keys() {
            ns.apply(&free_lease(workload)).await?;
        }
    }
    each(&format!("acquiring: {call}"), Kind::ALL, async |kind| {
        let workload = &workloads[&name(kind)];
        if is_survived(call, kind) {
            let faults = [(call, Turn::Only(1), kind.fault())];
            let expected = expect(EVICTED, EVICTED, &[]);
            carry_out(&ns, workload, kind, expected, &faults, &[]).await?;
            return Ok(());
        }
        let before = workload.pods().await?;
        let turn = turn(kind).await;
        let proxy = FaultProxy::kubernetes(&ns).await?;
        proxy.fault(call, Turn::From(1), kind.fault());
        let program = program(&ns, workload, &proxy).envs(patience(kind));
        let run = Outcome(program.run().await?);
        drop(turn);
        assert_in_time(&run);
        let seen = proxy.seen();
        assert_eq!(run.0.code, Some(1), "{}\n{}", run.0, listed(&seen));
        let words = kind.words_of_kubernetes();
        let says = [call, words, "nothing was evicted"];
        run.assert_says(&run.error(), &says);
        assert!(
            !said(&run, "(setting: ONE_AT_A_TIME)").is_empty(),
            "{}",
            run.0
        );
        let took_effect = kind.takes_effect() || kind == Kind::Truncate;
        // The run reads a lease that may be its own, and releases it if it is.
        let again = took_effect && call == "update leases";
        assert_broken(&seen, if again { 2 } else { 1 });
        if took_effect && call == "create leases" {
            let name = format!("rebalancer-deployment-{}", workload.name());
            let lease = ns.api::<Lease>().get(&name).await.unwrap();
            let holder = lease.spec.and_then(|spec| spec.holder_identity);
            assert_eq!(holder.unwrap_or_default(), "", "{}", listed(&seen));
        }
        // Only the existence of the workload is read.
        let looks = seen
            .iter()
            .filter(|seen| !seen.call.ends_with(" leases"))
            .map(|seen| seen.call.as_str());
        let looks: Vec<_> = looks.collect();
        let expected = ["get deployments"];
        let expected = &expected[..usize::from(call == "create leases")];
        assert_eq!(looks, expected, "{}", listed(&seen));
        assert_untouched(workload, &before).await
    })
    .await;
    Ok(())
}

/// The replacements of the first wave take longer than the renewal interval of the lease.
#[tokio::test]
async fn renewing() -> Result<()> {
    let ns = TestNamespace::start().await?;
    let workloads = for_each_fault(&ns).await?;
    ns.hold_new_pods(true);
    let release = async {
        tokio::time::sleep(Duration::from_secs(45)).await;
        ns.hold_new_pods(false);
    };
    let cases = each("renewing: update leases", Kind::ALL, async |kind| {
        let workload = &workloads[&name(kind)];
        let before = workload.pods().await?;
        let proxy = FaultProxy::kubernetes(&ns).await?;
        proxy.fault("update leases", Turn::Only(1), kind.fault());
        let program = program(&ns, workload, &proxy)
            .envs(patience(kind))
            .env("MAX_UNAVAILABLE", "1")
            .timeout(Duration::from_secs(150));
        let run = Outcome(program.run().await?);
        let seen = proxy.seen();
        let calls = listed(&seen);
        assert_eq!(run.0.code, Some(0), "{}\n{calls}", run.0);
        assert_eq!(run.outcomes(), [EVICTED; 2], "{}\n{calls}", run.0);
        assert_broken(&seen, 1);
        let place = seen.iter().position(|seen| seen.fault.is_some());
        let evictions = seen[place.unwrap_or_default()..]
            .iter()
            .filter(|seen| seen.call == "create pods/eviction");
        assert_eq!(evictions.count(), 1, "not while waiting: {calls}");
        assert!(
            said(&run, "lease not released").is_empty(),
            "{}\n{calls}",
            run.0
        );
        super::acting::assert_accounted(&run, &seen, &before, &workload.pods().await?);
        Ok(())
    });
    tokio::join!(release, cases);
    Ok(())
}

#[tokio::test]
async fn giving_back() -> Result<()> {
    let ns = TestNamespace::start().await?;
    let workloads = for_each_fault(&ns).await?;
    each("giving back: update leases", Kind::ALL, async |kind| {
        let call = "update leases";
        let faults = [(call, Turn::Only(1), kind.fault())];
        let expected = expect(EVICTED, EVICTED, &[]);
        let workload = &workloads[&name(kind)];
        let (run, seen) = carry_out(&ns, workload, kind, expected, &faults, &[]).await?;
        let warnings = said(&run, "lease not released");
        if is_survived(call, kind) {
            assert!(warnings.is_empty(), "{}\n{}", run.0, listed(&seen));
            return Ok(());
        }
        assert_eq!(warnings.len(), 1, "{}\n{}", run.0, listed(&seen));
        run.assert_says(&warnings[0], &[call, kind.words_of_kubernetes()]);
        Ok(())
    })
    .await;
    Ok(())
}
