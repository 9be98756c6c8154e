//! Forecasts evict fewer pods than rotate-outliers, and leave groups more balanced.
#![expect(clippy::unwrap_used, reason = "test helpers may unwrap")]

use evaluation::efficacy::{Efficacy, Played, Setting, measure};
use rebalancer_core::group::{Assignor, ClientFamily};
use rebalancer_core::handover::HandoverResult;
use rebalancer_core::policy::Strategy;
use rstest::rstest;

/// Worlds of each kind; `cargo xtask efficacy` uses 200.
const WORLDS: u64 = 24;

fn of(assignor: Assignor, client: ClientFamily, strategy: Strategy) -> Efficacy {
    let efficacy = measure(&Setting::of(assignor, client, 0..WORLDS), strategy).unwrap();
    assert_eq!(efficacy.worlds.len(), 24);
    efficacy
}

/// Members of groups of KIP-848 rejoin, no pod is evicted, and the groups are more balanced
/// afterwards.
#[test]
fn rejoins_even_out_groups_without_evictions() {
    let rejoin = of(Assignor::Uniform, ClientFamily::Java, Strategy::Rejoin);
    assert_eq!(rejoin.evictions(), 0);
    assert!(rejoin.last_peak() < rejoin.first_peak(), "{rejoin:?}");
    let outcomes = rejoin.hand_overs();
    assert!(
        outcomes
            .iter()
            .all(|(outcome, count)| { *outcome == HandoverResult::Rejoined && *count > 0 })
            && !outcomes.is_empty(),
        "{outcomes:?}"
    );
    for world in &rejoin.worlds {
        assert_eq!(world.violations, [] as [String; 0], "{}", world.seed);
    }
}

/// Assignors under which evictions help: a tenth of the evictions, better balance at the end, and
/// outcomes within the forecast.
#[rstest]
#[case::sticky(Assignor::Sticky, ClientFamily::Java)]
#[case::cooperative_sticky(Assignor::CooperativeSticky, ClientFamily::Java)]
#[case::librdkafka_cooperative_sticky(Assignor::CooperativeSticky, ClientFamily::Librdkafka)]
#[case::uniform(Assignor::Uniform, ClientFamily::Java)]
fn forecast_balances_better_with_a_tenth_of_the_evictions(
    #[case] assignor: Assignor,
    #[case] client: ClientFamily,
) {
    let outliers = of(assignor, client, Strategy::RotateOutliers);
    let forecast = of(assignor, client, Strategy::Forecast);
    assert!(forecast.evictions() > 0);
    let (evictions, most) = (forecast.evictions(), outliers.evictions() / 10);
    assert!(evictions <= most, "{evictions} evictions, not {most}");
    let (peak, of_outliers) = (forecast.last_peak(), outliers.last_peak());
    assert!(peak < of_outliers, "{peak:.3}, not below {of_outliers:.3}");
    let (covered, rotations) = forecast.covered();
    assert_eq!(rotations, forecast.rotations());
    assert!(
        covered * 100 >= rotations * 85,
        "{covered} of {rotations} in the interval"
    );

    let blamed = |world: &&Played| world.first_hold() == Some("hot_partition");
    let blamed: Vec<&Played> = forecast.worlds.iter().filter(blamed).collect();
    assert!(!blamed.is_empty(), "no world with a hot partition");
    for world in blamed {
        assert_eq!(world.evictions(), 0, "world {}", world.seed);
    }
}

/// A hand-over brings groups with a sticky assignor close to the best assignment, without
/// evictions.
#[rstest]
#[case::sticky(Assignor::Sticky, ClientFamily::Java)]
#[case::cooperative_sticky(Assignor::CooperativeSticky, ClientFamily::Java)]
#[case::librdkafka_cooperative_sticky(Assignor::CooperativeSticky, ClientFamily::Librdkafka)]
fn assign_ends_within_a_percent_of_the_lower_bound(
    #[case] assignor: Assignor,
    #[case] client: ClientFamily,
) {
    let assign = of(assignor, client, Strategy::Assign);
    assert_eq!(assign.evictions(), 0);
    let (last, bound) = (assign.last_peak(), assign.bound());
    assert!(
        last <= bound * 1.01,
        "{last:.3}, not within 1 % of {bound:.3}"
    );
    assert!(
        assign.first_peak() > 1.3 * last,
        "{:.3}",
        assign.first_peak()
    );
    for world in &assign.worlds {
        assert!(
            world.last_peak() >= world.bound * 0.999,
            "world {}",
            world.seed
        );
        assert!(world.violations.is_empty(), "{:?}", world.violations);
    }
    for (outcome, count) in assign.hand_overs() {
        assert_eq!(outcome, HandoverResult::Assigned, "{count}");
        assert!(count > 0);
    }
}

/// Assignors that do not keep an assignment: every run holds, with the reason.
#[rstest]
#[case::uniform(Assignor::Uniform, "consumer_protocol")]
#[case::range(Assignor::Range, "assignor_not_sticky")]
#[case::round_robin(Assignor::RoundRobin, "assignor_not_sticky")]
fn assign_holds_under_other_assignors(#[case] assignor: Assignor, #[case] reason: &str) {
    let assign = of(assignor, ClientFamily::Java, Strategy::Assign);
    assert_eq!((assign.evictions(), assign.rotations()), (0, 0));
    let holds: Vec<&str> = assign.holds().iter().map(|(reason, _)| *reason).collect();
    assert_eq!(holds, [reason]);
}

/// Assignors under which evictions do not help: the forecast evicts nothing, and rotate-outliers
/// evicts anyway.
#[rstest]
#[case::range(Assignor::Range)]
#[case::round_robin(Assignor::RoundRobin)]
fn forecast_evicts_nothing_under_ineffective_assignors(#[case] assignor: Assignor) {
    let outliers = of(assignor, ClientFamily::Java, Strategy::RotateOutliers);
    let forecast = of(assignor, ClientFamily::Java, Strategy::Forecast);
    assert!(outliers.evictions() > 0);
    assert_eq!(forecast.evictions(), 0);
}
