//! The wait that the execution reports.

use std::time::Duration;

use rebalancer_core::execution::{Awaited, Waiting};
use rebalancer_core::ports::EvictionAnswer;

use crate::script::{Script, answered, blocked, evicted, policy, workload};

#[test]
fn waits_are_reported_with_their_deadlines() {
    let mut script = Script::new(4, policy());
    assert_eq!(script.execution.waiting(), None);
    // The coldest pods wait only for the hottest and do not count.
    script
        .evict("a", 6, blocked(None))
        .evict("b", 6, blocked(Some(3)));
    let waiting = |awaited, until| Waiting {
        awaited,
        since: Duration::from_secs(1000),
        until: Duration::from_secs(until),
    };
    let evictions = Awaited::Evictions {
        pods: 2,
        budgets: ["consumer-pdb".to_owned()].into(),
    };
    assert_eq!(script.execution.waiting(), Some(waiting(evictions, 1120)));

    let mut script = Script::new(2, policy());
    let busy = EvictionAnswer::Throttled {
        message: "busy".into(),
        retry_after: None,
    };
    script
        .evict("a", 6, answered(busy))
        .evict("b", 6, evicted());
    let evictions = Awaited::Evictions {
        pods: 1,
        budgets: [].into(),
    };
    assert_eq!(script.execution.waiting(), Some(waiting(evictions, 1120)));

    let mut script = Script::new(2, policy());
    script.evict("a", 6, evicted()).evict("b", 5, evicted());
    let replacements = Some(waiting(Awaited::Replacements { wanted: 6 }, 1300));
    assert_eq!(script.execution.waiting(), replacements);
    script.expect("read workload", workload(4));
    assert_eq!(script.execution.waiting(), replacements);
}
