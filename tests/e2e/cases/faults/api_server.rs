//! The API server is killed during executions and started again.

use std::time::Duration;

use ::harness::{
    FaultProxy, Result, TestNamespace,
    proxy::{Fault, Turn},
};

use super::{
    acting::{PAIR, assert_accounted, program, workloads},
    lifecycle::{EVICTION, count, until},
    listed,
};
use crate::support::{Outcome, assert_untouched, uids};

/// Three runs see one failure: one has sent an eviction that is never received; two wait for the
/// replacements of their first waves, one of them until the server is back.
#[tokio::test]
async fn api_server_is_killed_and_restarted() -> Result<()> {
    let ns = TestNamespace::with_own_servers("restart").await?;
    let names = ["in-flight", "stays-away", "comes-back"];
    let workloads = workloads(&ns, names.map(str::to_owned)).await?;
    let mut before = Vec::new();
    let mut proxies = Vec::new();
    let mut running = Vec::new();
    ns.hold_new_pods(true);
    for (name, ready_timeout) in names.into_iter().zip(["1s", "20s", "150s"]) {
        let workload = &workloads[name];
        before.push(workload.pods().await?);
        let proxy = FaultProxy::kubernetes(&ns).await?;
        let mut program = program(&ns, workload, &proxy)
            .env("READY_TIMEOUT", ready_timeout)
            .timeout(Duration::from_secs(180));
        if name == "in-flight" {
            let late = Fault::Latency(Duration::from_secs(20));
            proxy.fault(EVICTION, Turn::Only(1), late);
        } else {
            program = program.env("MAX_UNAVAILABLE", "1");
        }
        running.push(program.spawn()?);
        until("eviction", || {
            let seen = proxy.seen();
            let sent = seen.iter().find(|seen| seen.call == EVICTION);
            Ok(sent.is_some_and(|sent| sent.fault.is_some() || sent.status.is_some()))
        })
        .await?;
        proxies.push(proxy);
    }
    ns.control_plane().stop_api_server();
    let [in_flight, stays_away, comes_back] = running
        .try_into()
        .unwrap_or_else(|_| panic!("as many as there are names"));
    let in_flight = Outcome(in_flight.wait().await?);
    let stays_away = Outcome(stays_away.wait().await?);
    ns.control_plane().start_api_server().await?;
    ns.hold_new_pods(false);
    let comes_back = Outcome(comes_back.wait().await?);

    let seen = proxies[0].seen();
    assert_eq!(in_flight.0.code, Some(3), "{}", in_flight.0);
    assert_eq!(in_flight.outcomes(), ["unknown", "not_attempted"]);
    let message = in_flight.workload()["execution"]["pods"][0]["message"].clone();
    in_flight.assert_says(
        message.as_str().unwrap(),
        &["the response was lost", "could not be read"],
    );
    assert_eq!(count(&seen, EVICTION), 1, "{}", listed(&seen));
    assert_untouched(&workloads["in-flight"], &before[0]).await?;

    assert_eq!(stays_away.0.code, Some(3), "{}", stays_away.0);
    assert_eq!(stays_away.outcomes(), ["evicted", "not_attempted"]);
    let execution = &stays_away.workload()["execution"];
    assert_eq!(execution["stopped"], "ready_timeout");
    let message = execution["message"].as_str().unwrap();
    stays_away.assert_says(message, &["ready timeout of 20 s", "cannot be reached"]);

    assert_eq!(comes_back.0.code, Some(0), "{}", comes_back.0);
    assert_eq!(comes_back.outcomes(), ["evicted", "evicted"]);
    comes_back.assert_says(&comes_back.0.stderr, &["cannot be reached"]);
    for (index, run) in [(1, &stays_away), (2, &comes_back)] {
        assert_eq!(run.victims(), uids(&before[index], &PAIR));
        let after = workloads[names[index]].pods().await?;
        assert_accounted(run, &proxies[index].seen(), &before[index], &after);
    }
    Ok(())
}
