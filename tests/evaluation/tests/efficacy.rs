//! Forecasts evict fewer pods than rotate-outliers, and leave groups more balanced.
#![expect(clippy::unwrap_used, reason = "test helpers may unwrap")]

use evaluation::efficacy::{Efficacy, Played, Setting, measure};
use rebalancer_core::group::{Assignor, ClientFamily};
use rebalancer_core::policy::Strategy;
use rstest::rstest;

/// Worlds of each kind; `cargo xtask efficacy` uses 200.
const WORLDS: u64 = 24;

fn of(assignor: Assignor, client: ClientFamily, strategy: Strategy) -> Efficacy {
    let efficacy = measure(&Setting::of(assignor, client, 0..WORLDS), strategy).unwrap();
    assert_eq!(efficacy.worlds.len(), 24);
    efficacy
}

/// Assignors under which evictions help: a tenth of the evictions, better balance at the end, and outcomes
/// within the forecast.
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

/// Assignors under which evictions do not help: the forecast evicts nothing, and rotate-outliers evicts anyway.
#[rstest]
#[case::range(Assignor::Range)]
#[case::round_robin(Assignor::RoundRobin)]
fn forecast_evicts_nothing_under_ineffective_assignors(#[case] assignor: Assignor) {
    let outliers = of(assignor, ClientFamily::Java, Strategy::RotateOutliers);
    let forecast = of(assignor, ClientFamily::Java, Strategy::Forecast);
    assert!(outliers.evictions() > 0);
    assert_eq!(forecast.evictions(), 0);
}
