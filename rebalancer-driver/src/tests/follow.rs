//! The follow-up of a rotation in a simulated world.

use rebalancer_core::group::Assignor;
use rebalancer_core::policy::Strategy;
use rebalancer_core::report::{Decided, FollowUp};
use rebalancer_core::snapshot::GroupSettings;

use super::*;
use crate::follow;

/// Runs the strategy once and follows up. `meanwhile` runs before the first observation of the
/// follow-up.
fn followed(
    strategy: Strategy,
    dry_run: bool,
    stop: Option<StopCause>,
    meanwhile: impl AsyncFnOnce(&SimWorld),
) -> (Decided, Option<FollowUp>) {
    play(strategy, dry_run, stop, meanwhile, None)
}

/// Runs the strategy once and follows up with other metrics.
fn followed_by(metrics: &dyn MetricsSource, strategy: Strategy) -> (Decided, Option<FollowUp>) {
    play(strategy, false, None, async |_| {}, Some(metrics))
}

fn play(
    strategy: Strategy,
    dry_run: bool,
    stop: Option<StopCause>,
    meanwhile: impl AsyncFnOnce(&SimWorld),
    metrics_then: Option<&dyn MetricsSource>,
) -> (Decided, Option<FollowUp>) {
    let world = SimWorld::new(SimConfig::default()).unwrap();
    let (metrics, actuator, clock) = (world.metrics(), world.actuator(), world.clock());
    let journal = world.journal();
    let ports = Ports {
        metrics: &metrics,
        group: Some(&metrics),
        actuator: &actuator,
        coordinator: None,
        clock: &clock,
        lease: None,
        journal: Some(&journal),
        observer: &NoObserver,
    };
    let assemble = AssembleSettings {
        workload: world.config().workload,
        group: Some(GroupSettings {
            assignor: Some(Assignor::CooperativeSticky),
            ..GroupSettings::default()
        }),
        ..settings()
    };
    let policy = Policy {
        strategy,
        ..Policy::default()
    };
    let settings = RunSettings {
        policy: &policy,
        execution: Some(ExecutionPolicy {
            dry_run,
            ..ExecutionPolicy::default()
        }),
        ..deciding(&assemble, false)
    };
    let (handle, stopping) = Stop::channel();
    block_on(async {
        let WorkloadRun { report, snapshot } = run_workload(ports, &settings, &stopping).await;
        let WorkloadReport::Decided(decided) = report else {
            panic!("{report:?}");
        };
        meanwhile(&world).await;
        if let Some(cause) = stop {
            handle.stop(cause);
        }
        let ports = Ports {
            metrics: metrics_then.unwrap_or(ports.metrics),
            group: ports.group.filter(|_| metrics_then.is_none()),
            ..ports
        };
        let follow_up = follow(ports, &settings, &decided, &snapshot.unwrap(), &stopping).await;
        (*decided, follow_up)
    })
}

#[rstest]
#[case(Strategy::Forecast, Some(true))]
#[case(Strategy::RotateOutliers, None)]
fn follows_until_the_group_has_settled(
    #[case] strategy: Strategy,
    #[case] as_forecast: Option<bool>,
) {
    let (decided, follow_up) = followed(strategy, false, None, async |_| {});
    let follow_up = follow_up.unwrap();
    let outcome = follow_up.outcome.unwrap();
    assert_eq!(outcome.is_as_forecast(), as_forecast, "{outcome}");
    assert_eq!(Some(outcome.before), decided.decision.analysis.imbalance);
    assert_eq!(follow_up.message, outcome.to_string());
    // The last pod became ready at least the cooldown of five minutes ago.
    let after = follow_up.after_seconds.get();
    assert!((285.0..=400.0).contains(&after), "{after} s");
}

#[test]
fn dry_run_has_no_follow_up() {
    let (decided, follow_up) = followed(Strategy::Forecast, true, None, async |_| {});
    assert!(decided.execution.unwrap().dry_run);
    assert_eq!(follow_up, None);
}

#[test]
fn stop_ends_the_follow_up() {
    let (_, follow_up) = followed(
        Strategy::Forecast,
        false,
        Some(StopCause::Signal),
        async |_| {},
    );
    let follow_up = follow_up.unwrap();
    assert_eq!(follow_up.outcome, None);
    assert_eq!(
        follow_up.message,
        "the outcome is not known: after 0 s a stop was requested; the next run evaluates it"
    );
}

#[test]
fn gives_up_when_metrics_are_gone() {
    let mut gone = MockMetrics::new();
    gone.expect_loads()
        .returning(|| Err(refused("Prometheus is gone")));
    let (_, follow_up) = followed_by(&gone, Strategy::Forecast);
    let follow_up = follow_up.unwrap();
    assert_eq!(follow_up.outcome, None);
    // Twice the cooldown, and a minute.
    assert_eq!(
        follow_up.message,
        "the outcome is not known: after 660 s Prometheus is gone; the next run evaluates it"
    );
}

/// The outcome of two rotations cannot be attributed to the first.
#[rstest]
#[case::eviction(&["pod-of-another-run"], 0)]
#[case::hand_over(&[], 3)]
#[case::hand_over_that_moved_nothing(&[], 0)]
fn another_rotation_ends_the_follow_up(#[case] victims: &[&str], #[case] moves: usize) {
    let (_, follow_up) = followed(Strategy::Forecast, false, None, async |world| {
        let rotation = Rotation {
            moves,
            abandoned: None,
            time: world.now().checked_add(Duration::from_secs(5)).unwrap(),
            victims: victims.iter().map(|victim| (*victim).to_owned()).collect(),
            imbalance_before: 2.0,
            imbalance_hoped: 1.5,
            imbalance_range: None,
            strategy: Strategy::RotateOutliers,
            ineffective: 0,
            earlier: Vec::new(),
        };
        world.journal().remember(&rotation).await.unwrap();
    });
    let message = follow_up.unwrap().message;
    assert!(
        message.contains("another run has rotated the workload"),
        "{message}"
    );
}
