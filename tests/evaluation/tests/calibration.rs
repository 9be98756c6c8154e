//! Forecasts are as good as they are said to be, on what real consumer groups did.
#![expect(clippy::unwrap_used, reason = "what helpers of tests unwrap is there")]

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

/// The error at most, and the coverage at least, in percent; for whoever knows the members' ids and
/// the order of leaves and joins. In KIP-848 the order means little: one heartbeat at a time.
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
fn forecasts_are_as_good_as_they_are_said_to_be(
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

/// What is left where the order is not known, each of the three as likely, and the ids are.
#[rstest]
#[case::java_sticky("java", "classic", "sticky", 7.8, 90.0)]
#[case::java_cooperative_sticky("java", "classic", "cooperative-sticky", 7.5, 90.0)]
#[case::uniform("java", "consumer", "uniform", 9.5, 85.0)]
#[case::librdkafka_cooperative_sticky("librdkafka", "classic", "cooperative-sticky", 7.5, 85.0)]
#[case::librdkafka_uniform("librdkafka", "consumer", "uniform", 9.5, 85.0)]
fn without_the_order_forecasts_are_nearly_as_good(
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

/// With neither ids nor order the intervals are wider and still hold, and the forecast is better
/// than to say that all stays as it is.
#[rstest]
#[case("java", "classic", "sticky")]
#[case("java", "classic", "cooperative-sticky")]
#[case("java", "consumer", "uniform")]
#[case("librdkafka", "classic", "cooperative-sticky")]
#[case("librdkafka", "consumer", "uniform")]
fn what_is_not_known_widens_the_interval(
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

/// Members of a classic group compute the assignment themselves, and what comes of it is known
/// exactly; of more than two replaced pods there are too many ways to get there to try them all.
#[test]
fn recorded_groups_did_what_their_assignors_compute() {
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
