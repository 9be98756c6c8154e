//! Faults of events and annotations: the evictions continue unchanged.

use ::harness::{Result, TestNamespace, proxy::Turn};
use rstest::rstest;

use super::{
    Kind,
    acting::{EVICTED, carry_out, expect, for_each_fault, name},
    each, listed, said,
};

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
