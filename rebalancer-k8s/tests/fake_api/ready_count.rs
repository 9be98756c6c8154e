//! The number of ready pods.

use rebalancer_core::ports::PodActuator as _;
use rstest::rstest;

use super::server::{PODS, page, shop};

#[tokio::test]
async fn stops_counting_at_enough_ready_pods() {
    let api = shop().on(PODS, [page(&["a", "b"], "next")]);
    let actuator = api.actuator(|_| {});
    assert_eq!(actuator.count_ready(2).await.unwrap(), 2);
    assert_eq!(actuator.count_ready(1).await.unwrap(), 2);
    assert_eq!(api.seen("/pods?").len(), 2);
    // The owners are not read again while there are enough ready pods.
    assert_eq!(api.seen("/deployments/web").len(), 1);
}

#[tokio::test]
async fn counts_too_few_ready_pods_exactly() {
    let api = shop();
    let actuator = api.actuator(|_| {});
    assert_eq!(actuator.count_ready(9).await.unwrap(), 3);
    assert_eq!(actuator.count_ready(9).await.unwrap(), 3);
    assert_eq!(api.seen("/deployments/web").len(), 2);
    let state = actuator.read_workload(usize::MAX).await.unwrap();
    assert_eq!((state.ready, state.rollout.unwrap().updated), (3, 3));
}

#[rstest]
// The first page has enough ready pods.
#[case(2, 2, 1)]
#[case(3, 4, 2)]
#[case(9, 4, 2)]
#[tokio::test]
async fn stops_reading_a_workload_at_enough_ready_pods(
    #[case] enough: usize,
    #[case] ready: usize,
    #[case] pages: usize,
) {
    let api = shop().on(PODS, [page(&["a", "b"], "next"), page(&["c", "d"], "")]);
    let state = api.actuator(|_| {}).read_workload(enough).await.unwrap();
    assert_eq!((state.ready, state.rollout.unwrap().desired), (ready, 3));
    assert_eq!(api.seen("/pods?").len(), pages);
}
