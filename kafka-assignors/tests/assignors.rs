//! Comparison of the assignors with recordings of Kafka's own code, and properties of all
//! assignments.
#![expect(clippy::unwrap_used, reason = "helpers of tests may panic")]

use std::collections::BTreeMap;

use kafka_assignors::{
    Algorithm, Assignment, Member, MemberIndex, Subscription, TopicIndex, Topics, subscribed_alike,
};
use proptest::prelude::*;
use rstest::rstest;
use serde::Deserialize;

const RANGE: &str = include_str!("recorded/range.jsonl");
const ROUND_ROBIN: &str = include_str!("recorded/roundrobin.jsonl");
const STICKY: &str = include_str!("recorded/sticky.jsonl");
const COOPERATIVE_STICKY: &str = include_str!("recorded/cooperative-sticky.jsonl");
const UNIFORM: &str = include_str!("recorded/uniform.jsonl");
const CONSUMER_RANGE: &str = include_str!("recorded/range-848.jsonl");

#[derive(Deserialize)]
struct Story {
    story: usize,
    topics: BTreeMap<String, usize>,
    steps: Vec<StoryStep>,
}

#[derive(Deserialize)]
struct StoryStep {
    leave: Vec<String>,
    join: Vec<Joiner>,
    rebalances: usize,
    owners: BTreeMap<String, Vec<Option<String>>>,
}

#[derive(Deserialize)]
struct Joiner {
    id: String,
    instance: Option<String>,
    topics: Vec<String>,
}

/// One change of a group: its members, the previous owners, and the outcome in Kafka.
struct Case {
    name: String,
    topics: Topics,
    members: Vec<Member>,
    previous: Assignment,
    rebalances: usize,
    expected: Assignment,
}

/// The steps of all stories. Each step starts from Kafka's outcome of the step before.
///
/// The broker iterates over topics in the order of a hash table of their ids, which the stories do
/// not contain. The order of the ids at the time of the recording was t0, t2, t1, so `order_of_ids`
/// gives the topics names in that order.
fn cases(stories: &str, order_of_ids: bool) -> Vec<Case> {
    let name = |topic: &str| match (order_of_ids, topic) {
        (true, "t1") => "t2".to_owned(),
        (true, "t2") => "t1".to_owned(),
        (_, topic) => topic.to_owned(),
    };
    let mut cases = Vec::new();
    for line in stories.lines() {
        let story: Story = serde_json::from_str(line).unwrap();
        let sizes = story.topics.iter();
        let topics = Topics::new(sizes.map(|(topic, size)| (name(topic), *size)));
        let mut members: Vec<Member> = Vec::new();
        let mut owners = vec![None; topics.partition_count()];
        for (number, step) in story.steps.into_iter().enumerate() {
            members.retain(|member| !step.leave.contains(&member.id));
            members.extend(step.join.into_iter().map(|joiner| {
                Member {
                    id: joiner.id,
                    instance: joiner.instance,
                    subscription: Subscription::new(
                        joiner
                            .topics
                            .iter()
                            .map(|topic| topics.find(&name(topic)).unwrap()),
                    ),
                    rack: None,
                }
            }));
            let index = |owner: &Option<String>| {
                let owner = owner.as_ref()?;
                let position = members.iter().position(|member| member.id == *owner);
                position.map(MemberIndex::new)
            };
            let previous = owners.iter().map(index).collect();
            // A topic without subscribers has no owners.
            owners = topics
                .indices()
                .flat_map(|topic| {
                    let of_topic = step.owners.get(&name(topics.name(topic))).cloned();
                    of_topic.unwrap_or_else(|| vec![None; topics.size(topic)])
                })
                .collect();
            cases.push(Case {
                name: format!("story {} step {number}", story.story),
                topics: topics.clone(),
                members: members.clone(),
                previous,
                rebalances: step.rebalances,
                expected: owners.iter().map(index).collect(),
            });
        }
    }
    cases
}

/// The number of partitions that had an owner and no longer have the same one.
fn moved(previous: &Assignment, now: &Assignment) -> usize {
    let owners = previous.owners().zip(now.owners());
    owners
        .filter(|(before, after)| before.is_some() && before != after)
        .count()
}

/// `exactly` is the percentage of steps that must match exactly. In the others, equal members may
/// be swapped.
#[rstest]
#[case::range(RANGE, Algorithm::Range, 100.0)]
#[case::round_robin(ROUND_ROBIN, Algorithm::RoundRobin, 100.0)]
#[case::consumer_range(CONSUMER_RANGE, Algorithm::ConsumerRange, 100.0)]
#[case::sticky(STICKY, Algorithm::Sticky, 100.0)]
#[case::cooperative_sticky(COOPERATIVE_STICKY, Algorithm::CooperativeSticky, 100.0)]
// The rest depends on topic ids and on the order within a bucket of the hash table.
#[case::uniform(UNIFORM, Algorithm::Uniform, 99.0)]
fn matches_recorded_kafka(
    #[case] stories: &str,
    #[case] algorithm: Algorithm,
    #[case] exactly: f64,
) {
    let cases = cases(stories, algorithm == Algorithm::Uniform);
    assert!(cases.len() > 800, "{}", cases.len());
    let mut equal = 0_u32;
    let mut different = Vec::new();
    for case in &cases {
        let settled = algorithm.settle(&case.topics, &case.members, &case.previous);
        assert_eq!(settled.rebalances, case.rebalances, "{}", case.name);
        if settled.assignment == case.expected {
            equal += 1;
            continue;
        }
        let counts = |assignment: &Assignment| assignment.counts(case.members.len());
        let moves = |assignment: &Assignment| moved(&case.previous, assignment);
        // Two topics with the same number of partitions per subscriber are ordered by their ids.
        if case.name != "story 24 step 3" {
            assert_eq!(
                counts(&settled.assignment),
                counts(&case.expected),
                "{}",
                case.name
            );
            assert_eq!(
                moves(&settled.assignment),
                moves(&case.expected),
                "{}",
                case.name
            );
        }
        different.push(&case.name);
    }
    let share = f64::from(equal) / f64::from(u32::try_from(cases.len()).unwrap()) * 100.0;
    println!("{algorithm:?}: {equal} of {} exactly", cases.len());
    assert!(share >= exactly, "{share} %: {different:?}");
}

/// Small groups: the topics with the owners of their partitions before and after, and the
/// subscription of each member. Member ids ascend.
#[rstest]
#[case::fresh_group_in_ascending_order(&[("t", "-----", "01201")], &["t", "t", "t"])]
#[case::unowned_in_descending_order(&[("t", "01---", "01102")], &["t", "t", "t"])]
#[case::highest_id_of_the_fullest_gives_first(&[("t", "0101", "0201")], &["t", "t", "t"])]
#[case::narrow_subscription_gets_the_shared_topic(
    &[("t", "00", "00"), ("u", "--", "11")],
    &["tu", "u"]
)]
fn librdkafka_sticky_on_small_groups(
    #[case] topics: &[(&str, &str, &str)],
    #[case] subscriptions: &[&str],
) {
    let named = topics
        .iter()
        .map(|(name, before, _)| ((*name).to_owned(), before.len()));
    let sizes = Topics::new(named);
    let members: Vec<Member> = subscriptions
        .iter()
        .enumerate()
        .map(|(number, names)| {
            let topics = names
                .chars()
                .map(|name| sizes.find(&name.to_string()).unwrap());
            Member {
                id: format!("m-{number}"),
                instance: None,
                subscription: Subscription::new(topics),
                rack: None,
            }
        })
        .collect();
    let assignment = |text: String| -> Assignment {
        text.chars()
            .map(|owner| {
                owner
                    .to_digit(10)
                    .map(|owner| MemberIndex::new(owner as usize))
            })
            .collect()
    };
    let before = assignment(topics.iter().map(|(_, before, _)| *before).collect());
    let after = assignment(topics.iter().map(|(_, _, after)| *after).collect());
    for algorithm in [
        Algorithm::LibrdkafkaSticky,
        Algorithm::LibrdkafkaCooperativeSticky,
    ] {
        let settled = algorithm.settle(&sizes, &members, &before);
        assert_eq!(settled.assignment, after, "{algorithm:?}");
    }
}

/// A group: topics, members, and arbitrary previous owners.
fn groups() -> impl Strategy<Value = (Topics, Vec<Member>, Assignment)> {
    let sizes = prop::collection::vec(0_usize..20, 1..4);
    let members = prop::collection::vec((any::<u32>(), any::<u8>()), 0..9);
    (sizes, members, any::<bool>(), any::<u64>()).prop_map(|(sizes, members, alike, seed)| {
        let count = sizes.len();
        let names = ('a'..).map(String::from);
        let topics = Topics::new(names.zip(sizes));
        let mut ids: Vec<(u32, u8)> = members;
        ids.sort_unstable();
        ids.dedup_by_key(|(id, _)| *id);
        let members: Vec<Member> = ids
            .into_iter()
            .map(|(id, wants)| Member {
                id: format!("{:08x}", id.reverse_bits()),
                instance: (wants % 5 == 0).then(|| format!("static-{id}")),
                subscription: Subscription::new(
                    (0..count)
                        // A member without topics is a case of its own.
                        .filter(|topic| alike || wants >> topic & 1 == 1 || *topic == 0)
                        .map(TopicIndex::new),
                ),
                rack: None,
            })
            .collect();
        // A pseudo-random owner, or none.
        let owner = |partition: usize| {
            let mixed = seed.wrapping_mul(partition as u64 * 2 + 1) >> 40;
            let owner = usize::try_from(mixed).unwrap() % (members.len() + 2);
            (owner < members.len()).then_some(MemberIndex::new(owner))
        };
        let previous = (0..topics.partition_count()).map(owner).collect();
        (topics, members, previous)
    })
}

fn algorithms() -> impl Strategy<Value = Algorithm> {
    prop::sample::select(Algorithm::ALL.to_vec())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    #[test]
    fn subscribed_partitions_have_one_subscriber_as_owner(
        (topics, members, previous) in groups(),
        algorithm in algorithms(),
    ) {
        let settled = algorithm.settle(&topics, &members, &previous);
        prop_assert_eq!(settled.assignment.partition_count(), topics.partition_count());
        for topic in topics.indices() {
            let wants = |member: &Member| member.subscription.contains(topic);
            for partition in topics.partitions(topic) {
                match settled.assignment.owner(partition) {
                    Some(owner) => prop_assert!(wants(&members[owner])),
                    None => prop_assert!(!members.iter().any(wants)),
                }
            }
        }
        prop_assert!(settled.rebalances <= 3, "{}", settled.rebalances);
    }

    #[test]
    fn counts_differ_by_at_most_one_with_equal_subscriptions(
        (topics, members, previous) in groups(),
        algorithm in algorithms(),
    ) {
        prop_assume!(!members.is_empty() && subscribed_alike(&members));
        let counts = algorithm.settle(&topics, &members, &previous).assignment.counts(members.len());
        // Range balances each topic separately.
        let by_topic = matches!(algorithm, Algorithm::Range | Algorithm::ConsumerRange);
        let most = if by_topic { topics.len() } else { 1 };
        let (max, min) = (counts.iter().max().unwrap(), counts.iter().min().unwrap());
        prop_assert!(max - min <= most, "{counts:?}");
    }

    #[test]
    fn no_partition_moves_in_an_unchanged_group(
        (topics, members, previous) in groups(),
        algorithm in algorithms(),
    ) {
        let once = algorithm.settle(&topics, &members, &previous).assignment;
        let again = algorithm.settle(&topics, &members, &once);
        prop_assert_eq!(&again.assignment, &once);
        prop_assert_eq!(again.rebalances, 1);
    }

    /// Only members that own more than the quota lose partitions, and only those beyond the quota.
    #[test]
    fn sticky_assignors_move_the_minimum(
        (topics, members, previous) in groups(),
        algorithm in prop::sample::select(vec![
            Algorithm::Sticky, Algorithm::CooperativeSticky, Algorithm::LibrdkafkaSticky,
            Algorithm::LibrdkafkaCooperativeSticky, Algorithm::Uniform,
        ]),
    ) {
        prop_assume!(!members.is_empty());
        let members: Vec<Member> = members
            .into_iter()
            .map(|member| Member { subscription: Subscription::all(&topics), ..member })
            .collect();
        let now = algorithm.settle(&topics, &members, &previous).assignment;
        let owned = previous.counts(members.len());
        let (quota, extras) = (topics.partition_count() / members.len(), topics.partition_count() % members.len());
        let beyond: usize = owned.iter().map(|owned| owned.saturating_sub(quota)).sum();
        let above = owned.iter().filter(|owned| **owned > quota).count();
        // One member per extra may keep one more.
        prop_assert_eq!(moved(&previous, &now), beyond - above.min(extras));
    }

    #[test]
    fn positional_assignors_depend_on_ranks_only(
        (topics, members, previous) in groups(),
        algorithm in prop::sample::select(vec![
            Algorithm::Range, Algorithm::RoundRobin, Algorithm::ConsumerRange,
        ]),
    ) {
        prop_assume!(subscribed_alike(&members));
        let renamed: Vec<Member> = members
            .iter()
            .map(|member| Member { id: format!("renamed-{}", member.id), ..member.clone() })
            .collect();
        let unowned = Assignment::unowned(topics.partition_count());
        prop_assert_eq!(
            algorithm.assign(&topics, &members, &previous),
            algorithm.assign(&topics, &renamed, &unowned)
        );
    }
}
