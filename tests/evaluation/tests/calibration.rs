//! The documented accuracy of forecasts on recorded consumer groups.
#![expect(clippy::unwrap_used, reason = "test helpers may unwrap")]

use evaluation::calibration::{Calibration, Effort, Kind, Orders, calibrate, recorded};
use evaluation::episode::Ids;
use rebalancer_core::group::Protocol;
use rstest::rstest;

fn of(client: &str, protocol: &str, assignor: &str, ids: Ids, orders: Orders) -> Calibration {
    let kind = Kind {
        client: client.to_owned(),
        protocol: protocol.to_owned(),
        assignor: assignor.to_owned(),
    };
    let wanted = |other: &Kind| *other == kind;
    let mut calibrations = calibrate(ids, orders, Effort::FULL, wanted).unwrap();
    let calibration = calibrations.remove(&kind).unwrap();
    assert_eq!(calibration.cases.len(), 200);
    calibration
}

/// Maximum error and minimum coverage in percent, with known member ids and a known order of leaves
/// and joins. In KIP-848 the order matters little, because members change one heartbeat at a time.
#[rstest]
#[case::java_range("java", "classic", "range", Orders::Known, 1e-9, 100.0)]
#[case::java_round_robin("java", "classic", "roundrobin", Orders::Known, 1e-9, 100.0)]
#[case::java_sticky("java", "classic", "sticky", Orders::Known, 1.5, 95.0)]
#[case::java_cooperative_sticky("java", "classic", "cooperative-sticky", Orders::Known, 1.0, 95.0)]
#[case::uniform("java", "consumer", "uniform", Orders::Unknown, 9.0, 88.0)]
#[case::consumer_range("java", "consumer", "range", Orders::Unknown, 1e-9, 100.0)]
#[case::librdkafka_range("librdkafka", "classic", "range", Orders::Known, 1e-9, 100.0)]
#[case::librdkafka_round_robin("librdkafka", "classic", "roundrobin", Orders::Known, 1e-9, 100.0)]
#[case::librdkafka_cooperative_sticky(
    "librdkafka",
    "classic",
    "cooperative-sticky",
    Orders::Known,
    6.0,
    86.0
)]
#[case::librdkafka_uniform("librdkafka", "consumer", "uniform", Orders::Unknown, 9.0, 85.0)]
fn forecasts_have_the_documented_accuracy(
    #[case] client: &str,
    #[case] protocol: &str,
    #[case] assignor: &str,
    #[case] orders: Orders,
    #[case] error_percent: f64,
    #[case] coverage_percent: f64,
) {
    let calibration = of(client, protocol, assignor, Ids::Known, orders);
    let (error, coverage) = (calibration.error_percent(), calibration.coverage_percent());
    assert!(error <= error_percent, "an error of {error:.2} %");
    assert!(coverage >= coverage_percent, "{coverage:.1} % covered");
}

/// The accuracy with known ids and an unknown order, with all three orders equally likely.
#[rstest]
#[case::java_sticky("java", "classic", "sticky", 7.8, 90.0)]
#[case::java_cooperative_sticky("java", "classic", "cooperative-sticky", 7.5, 90.0)]
#[case::uniform("java", "consumer", "uniform", 9.5, 85.0)]
#[case::librdkafka_cooperative_sticky("librdkafka", "classic", "cooperative-sticky", 7.5, 85.0)]
#[case::librdkafka_uniform("librdkafka", "consumer", "uniform", 9.5, 85.0)]
fn forecasts_without_the_order_are_nearly_as_accurate(
    #[case] client: &str,
    #[case] protocol: &str,
    #[case] assignor: &str,
    #[case] error_percent: f64,
    #[case] coverage_percent: f64,
) {
    let calibration = of(client, protocol, assignor, Ids::Known, Orders::Unknown);
    let (error, coverage) = (calibration.error_percent(), calibration.coverage_percent());
    assert!(error <= error_percent, "an error of {error:.2} %");
    assert!(coverage >= coverage_percent, "{coverage:.1} % covered");
}

/// Without ids and order, the intervals are wider and still cover the outcome, and the forecast is
/// better than the assumption that nothing changes.
#[rstest]
#[case("java", "classic", "sticky")]
#[case("java", "classic", "cooperative-sticky")]
#[case("java", "consumer", "uniform")]
#[case("librdkafka", "classic", "cooperative-sticky")]
#[case("librdkafka", "consumer", "uniform")]
fn unknown_ids_and_order_widen_the_interval(
    #[case] client: &str,
    #[case] protocol: &str,
    #[case] assignor: &str,
) {
    let calibration = of(client, protocol, assignor, Ids::Unknown, Orders::Unknown);
    let coverage = calibration.coverage_percent();
    assert!(
        (88.0..=100.0).contains(&coverage),
        "{coverage:.1} % covered"
    );
    let (error, no_change) = (
        calibration.error_percent(),
        calibration.error_of_no_change_percent(),
    );
    assert!(
        error < no_change,
        "{error:.2} %, without a forecast {no_change:.2} %"
    );
}

/// Members of a classic group compute the assignment themselves, so the outcome is known exactly.
/// With more than two replaced pods there are too many possible sequences to try.
#[test]
fn recorded_groups_match_their_assignors() {
    let mut replayed = 0;
    for episode in recorded().unwrap() {
        if episode.protocol == Protocol::Classic && episode.victims.len() <= 2 {
            let replays = episode.replays();
            assert!(replays.contains(&episode.after), "{episode:#?}");
            replayed += 1;
        }
    }
    assert!(replayed >= 60, "{replayed} episodes");
}
