//! Properties of forecasts of arbitrary groups and plans.

use kafka_assignors::{Algorithm, Assignment, Member, Subscription, TopicIndex, Topics};
use proptest::prelude::*;
use rebalancer_core::forecast::{
    Attribution, Forecast, LeaveJoinOrder, Sampling, Spread, Subject, forecast,
};
use rebalancer_core::group::{
    Assignor, ClientFamily, GroupModel, Knowledge, KnownAssignor, Protocol, ServingPodIndex,
};
use rebalancer_core::model::PodIndex;

/// A settled group, the loads of its pods, and a plan.
#[derive(Debug, Clone)]
struct Case {
    group: GroupModel,
    attribution: Attribution,
    algorithm: Algorithm,
    threshold: f64,
    waves: Vec<Vec<ServingPodIndex>>,
    order: Option<LeaveJoinOrder>,
}

impl Case {
    fn subject(&self) -> Subject<'_> {
        Subject {
            group: &self.group,
            attribution: &self.attribution,
            algorithm: self.algorithm,
            target: Some(self.threshold / 1.5),
            threshold: Some(self.threshold),
        }
    }

    fn forecast(&self, samples: usize) -> Forecast {
        let waves: Vec<&[ServingPodIndex]> = self.waves.iter().map(Vec::as_slice).collect();
        let sampling = Sampling {
            seed: 7,
            samples,
            order: self.order,
        };
        forecast(&self.subject(), &waves, sampling)
    }

    fn evicted(&self) -> usize {
        self.waves.iter().flatten().count()
    }
}

/// Groups with one member per pod: static or dynamic members, known or unknown ids.
fn cases() -> impl Strategy<Value = Case> {
    cases_of(Algorithm::ALL.to_vec(), any::<bool>())
}

/// Groups of these algorithms. With `alike` all members have the same subscription.
fn cases_of(
    algorithms: Vec<Algorithm>,
    alike: impl Strategy<Value = bool>,
) -> impl Strategy<Value = Case> {
    let algorithm = prop::sample::select(algorithms);
    let rates = prop::collection::vec(0.0..100.0, 1..40);
    let orders: Vec<Option<LeaveJoinOrder>> = LeaveJoinOrder::ALL
        .map(Some)
        .into_iter()
        .chain([None])
        .collect();
    let members = (2_usize..9, any::<bool>(), any::<bool>(), alike);
    let plan = (1_usize..4, 1_usize..3, prop::sample::select(orders));
    (algorithm, rates, members, plan, 0.0..3.0).prop_map(
        |(algorithm, rates, (pods, known_ids, fixed, alike), (evictions, size, order), base)| {
            let topics = Topics::new([
                ("a".to_owned(), rates.len() / 2),
                ("b".to_owned(), rates.len() - rates.len() / 2),
            ]);
            let member = |pod: usize| Member {
                id: if known_ids {
                    format!("consumer-{:03}-{pod}", pod * 371 % 1_000)
                } else {
                    String::new()
                },
                instance: fixed.then(|| format!("static-{pod}")),
                // The first one subscribes to both topics.
                subscription: Subscription::new(
                    (usize::from(!alike && pod % 2 == 1)..2).map(TopicIndex::new),
                ),
                rack: None,
            };
            let members: Vec<Member> = (0..pods).map(member).collect();
            let unowned = Assignment::unowned(topics.partition_count());
            let owners = algorithm.settle(&topics, &members, &unowned).assignment;
            let of_broker = matches!(algorithm, Algorithm::Uniform | Algorithm::ConsumerRange);
            let protocol = if of_broker {
                Protocol::Consumer
            } else {
                Protocol::Classic
            };
            let group = GroupModel {
                behind: Vec::new(),
                members,
                pod_of: ServingPodIndex::all(pods).collect(),
                pods: (0..pods).map(PodIndex::new).collect(),
                owners,
                rates: Some(rates.clone()),
                assignor: KnownAssignor {
                    assignor: Assignor::Sticky,
                    known: Knowledge::Set,
                },
                client: ClientFamily::Java,
                protocol,
                session_timeout: 45.0,
                removes_static_members: false,
                stable_names: fixed,
                returns: vec![fixed; pods],
                startups: Vec::new(),
                topics,
            };
            let partitions: Vec<f64> = rates.iter().map(|rate| rate / 100.0).collect();
            let attribution = Attribution {
                fit: None,
                partitions,
                base,
                residuals: vec![0.0; pods],
                slow: Vec::new(),
            };
            let victims: Vec<ServingPodIndex> =
                ServingPodIndex::all(evictions.min(pods - 1)).collect();
            Case {
                threshold: base + 2.0,
                waves: victims
                    .chunks(size)
                    .map(<[ServingPodIndex]>::to_vec)
                    .collect(),
                group,
                attribution,
                algorithm,
                order,
            }
        },
    )
}

/// The rounding of sums depends on the order of the summands.
const ROUNDING: f64 = 1e-9;

fn is_one_value(spread: Spread) -> bool {
    (spread.mean - spread.p5).abs() < ROUNDING && (spread.mean - spread.p95).abs() < ROUNDING
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    #[expect(clippy::cast_precision_loss, reason = "numbers of pods and partitions")]
    fn numbers_are_in_range(case in cases()) {
        let (pods, partitions) = (case.group.pods.len() as f64, case.group.topics.partition_count() as f64);
        let forecast = case.forecast(40);
        let target = forecast.peak_to_target.unwrap();
        for (spread, least, most) in [
            (forecast.peak_to_mean, 1.0 - ROUNDING, pods + ROUNDING),
            (target, 0.0, f64::INFINITY),
            (forecast.hot_pods, 0.0, pods),
            (forecast.moved_partitions, 0.0, partitions),
            (forecast.unserved_partition_seconds, 0.0, f64::INFINITY),
        ] {
            prop_assert!(least <= spread.p5 && spread.p5 <= spread.median && spread.median <= spread.p95 && spread.p95 <= most, "{spread:?}");
            prop_assert!(least <= spread.mean && spread.mean <= most, "{spread:?}");
            prop_assert!(spread.holds(spread.p5) && spread.holds(spread.p95), "{spread:?}");
            let (low, high) = spread.interval();
            prop_assert!(low <= spread.mean && spread.mean <= high, "{spread:?}");
            prop_assert!(!spread.holds(spread.p5 - 1.0) && !spread.holds(spread.p95 + 1.0), "{spread:?}");
        }
        prop_assert!((0.0..=100.0).contains(&forecast.confidence_percent));
        prop_assert!(forecast.expected_fall_percent <= 100.0);
        prop_assert_eq!(forecast.samples, 40);
        // The fall is relative to the peak before.
        let fall = 1.0 - target.mean * (case.threshold / 1.5) / case.subject().peak();
        prop_assert!((forecast.expected_fall_percent - fall * 100.0).abs() < 1e-6);
    }

    #[test]
    fn one_sample_has_no_spread(case in cases()) {
        let forecast = case.forecast(1);
        prop_assert!(is_one_value(forecast.peak_to_mean));
        prop_assert!(is_one_value(forecast.moved_partitions));
        prop_assert!([0.0, 100.0].contains(&forecast.confidence_percent));
    }

    #[test]
    fn empty_plan_has_no_effect(case in cases()) {
        let case = Case { waves: Vec::new(), ..case };
        let forecast = case.forecast(5);
        prop_assert_eq!(forecast.moved_partitions.p95, 0.0);
        prop_assert_eq!(forecast.unserved_partition_seconds.p95, 0.0);
        prop_assert_eq!(forecast.confidence_percent, 0.0);
        prop_assert!(forecast.expected_fall_percent.abs() < ROUNDING);
        prop_assert!((forecast.peak_to_mean.mean - case.subject().imbalance()).abs() < ROUNDING);
    }

    /// Their partitions are not reassigned, and not consumed until the session expires.
    #[test]
    #[expect(clippy::cast_precision_loss, reason = "a number of partitions")]
    fn static_members_get_their_partitions_back(case in cases()) {
        prop_assume!(case.group.stable_names);
        let forecast = case.forecast(5);
        let evicted = case.evicted();
        let owners = case.group.pod_owners();
        let theirs = owners.iter().flatten().filter(|pod| pod.get() < evicted).count();
        prop_assert_eq!(forecast.moved_partitions.p95, 0.0);
        prop_assert_eq!(forecast.unserved_partition_seconds.mean, theirs as f64 * 45.0);
        prop_assert!((forecast.peak_to_mean.mean - case.subject().imbalance()).abs() < ROUNDING);
    }

    /// A static member that is removed, and whose replacement has another id, is replaced like a
    /// dynamic one. The sticky assignors do not look at instance ids.
    #[test]
    fn removed_static_members_are_replaced_like_dynamic_ones(
        case in cases_of(vec![Algorithm::Sticky, Algorithm::CooperativeSticky], any::<bool>()),
    ) {
        let with = |instance: bool, removes: bool| {
            let mut case = case.clone();
            case.group.stable_names = false;
            case.group.returns.fill(false);
            case.group.removes_static_members = removes;
            for (index, member) in case.group.members.iter_mut().enumerate() {
                member.instance = instance.then(|| format!("unique-{index}"));
            }
            case.forecast(5)
        };
        let dynamic = with(false, true);
        prop_assert_eq!(&with(true, true), &dynamic);
        let expiring = with(true, false);
        prop_assert!(expiring.unserved_partition_seconds.mean + ROUNDING
            >= dynamic.unserved_partition_seconds.mean);
    }

    /// The partitions of an evicted pod change their owner, if only to its replacement, and the
    /// residual load of the pod disappears.
    #[test]
    #[expect(clippy::cast_precision_loss, reason = "a number of partitions")]
    fn evicted_pods_lose_partitions_and_residual(case in cases()) {
        prop_assume!(!case.group.stable_names);
        let evicted = case.evicted();
        let owners = case.group.pod_owners();
        let theirs = owners.iter().flatten().filter(|pod| pod.get() < evicted).count();
        let ordinary = case.forecast(5);
        prop_assert!(ordinary.moved_partitions.p5 >= theirs as f64);
        let mut slow = case;
        slow.attribution.residuals[0] = 1_000.0;
        let forecast = slow.forecast(5);
        prop_assert_eq!(forecast.peak_to_target, ordinary.peak_to_target);
        prop_assert_eq!(forecast.confidence_percent, 100.0);
    }

    /// In an eager rebalance of a classic group all partitions stop for three seconds.
    #[test]
    #[expect(clippy::cast_precision_loss, reason = "numbers of partitions and rebalances")]
    fn all_partitions_stop_in_eager_rebalances(
        case in cases_of(vec![Algorithm::RoundRobin, Algorithm::Sticky], any::<bool>()),
        order in prop::sample::select(LeaveJoinOrder::ALL.to_vec()),
    ) {
        prop_assume!(!case.group.stable_names);
        let case = Case { order: Some(order), ..case };
        let rebalances = case.waves.len() * if order == LeaveJoinOrder::Together { 1 } else { 2 };
        let stopped = (rebalances * case.group.topics.partition_count()) as f64;
        let found = case.forecast(5).unserved_partition_seconds;
        prop_assert!((found.mean - stopped * 3.0).abs() < 1e-6, "{found:?}");
    }

    /// With equal subscriptions, a positional assignor yields the same loads again.
    #[test]
    fn positional_assignors_repeat_the_loads(
        case in cases_of(
            vec![Algorithm::Range, Algorithm::RoundRobin, Algorithm::ConsumerRange],
            Just(true),
        ),
    ) {
        let forecast = case.forecast(20);
        prop_assert!(is_one_value(forecast.peak_to_mean));
        prop_assert!((forecast.peak_to_mean.mean - case.subject().imbalance()).abs() < ROUNDING);
        prop_assert!(forecast.expected_fall_percent.abs() < 1e-6);
    }
}
