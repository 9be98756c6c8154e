//! Assignors against what Kafka's own code decided, and what holds of every assignment.
#![expect(clippy::unwrap_used, reason = "what helpers of tests unwrap is there")]

use std::collections::BTreeMap;

use kafka_assignors::{Algorithm, Assignment, Member, Subscription, Topics};
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

/// One change of a group: who is a member, who owned what, and what Kafka made of it.
struct Case {
    name: String,
    topics: Topics,
    members: Vec<Member>,
    previous: Assignment,
    rebalances: usize,
    expected: Assignment,
}

/// The steps of all stories; each starts from what Kafka had made of the one before.
///
/// The broker walks topics in the order of a hash table of their ids, which the stories do not
/// have. The ids with which they were made come in the order t0, t2, t1, so `walk_of_ids` gives
/// the topics names that sort so.
fn cases(stories: &str, walk_of_ids: bool) -> Vec<Case> {
    let name = |topic: &str| match (walk_of_ids, topic) {
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
        let mut owners = vec![None; topics.partitions()];
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
                }
            }));
            let place = |owner: &Option<String>| {
                let owner = owner.as_ref()?;
                members.iter().position(|member| member.id == *owner)
            };
            let previous = owners.iter().map(place).collect();
            // A topic that nobody wants has no owners.
            owners = (0..topics.len())
                .flat_map(|topic| {
                    let of_topic = step.owners.get(&name(topics.name(topic))).cloned();
                    of_topic.unwrap_or_else(|| vec![None; topics.range(topic).len()])
                })
                .collect();
            cases.push(Case {
                name: format!("story {} step {number}", story.story),
                topics: topics.clone(),
                members: members.clone(),
                previous,
                rebalances: step.rebalances,
                expected: owners.iter().map(place).collect(),
            });
        }
    }
    cases
}

/// How many partitions have another owner than before, of those that had one.
fn moved(previous: &Assignment, now: &Assignment) -> usize {
    let owners = previous.owners().zip(now.owners());
    owners
        .filter(|(before, after)| before.is_some() && before != after)
        .count()
}

/// The share of the steps that must come out exactly, in percent; in the others equal members
/// may be swapped.
#[rstest]
#[case::range(RANGE, Algorithm::Range, 100.0)]
#[case::round_robin(ROUND_ROBIN, Algorithm::RoundRobin, 100.0)]
#[case::consumer_range(CONSUMER_RANGE, Algorithm::ConsumerRange, 100.0)]
#[case::sticky(STICKY, Algorithm::Sticky, 100.0)]
#[case::cooperative_sticky(COOPERATIVE_STICKY, Algorithm::CooperativeSticky, 100.0)]
// What is left hangs on the ids of topics, and on the order within a bucket of the hash table.
#[case::uniform(UNIFORM, Algorithm::Uniform, 99.0)]
fn kafka_decided_the_same(
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
        // Two topics of as many partitions for each subscriber come in the order of their ids.
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

/// Small groups by hand: the topics with the owners of their partitions before and after, and what
/// each member wants. The lowest id is that of the first member.
#[rstest]
#[case::a_fresh_start_goes_upwards(&[("t", "-----", "01201")], &["t", "t", "t"])]
#[case::what_is_free_goes_downwards(&[("t", "01---", "01102")], &["t", "t", "t"])]
#[case::the_last_of_the_fullest_gives_first(&[("t", "0101", "0201")], &["t", "t", "t"])]
#[case::whoever_wants_less_gets_what_both_want(
    &[("t", "00", "00"), ("u", "--", "11")],
    &["tu", "u"]
)]
fn librdkafka_decides(#[case] topics: &[(&str, &str, &str)], #[case] wants: &[&str]) {
    let named = topics
        .iter()
        .map(|(name, before, _)| ((*name).to_owned(), before.len()));
    let sizes = Topics::new(named);
    let members: Vec<Member> = wants
        .iter()
        .enumerate()
        .map(|(number, wants)| {
            let places = wants
                .chars()
                .map(|name| sizes.find(&name.to_string()).unwrap());
            Member {
                id: format!("m-{number}"),
                instance: None,
                subscription: Subscription::new(places),
            }
        })
        .collect();
    let assignment = |text: String| -> Assignment {
        text.chars()
            .map(|owner| owner.to_digit(10).map(|owner| owner as usize))
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

/// A group: topics, members, and what is owned before, by anybody.
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
                    (0..count).filter(|topic| alike || wants >> topic & 1 == 1),
                ),
            })
            .collect();
        // Any owner, now and then nobody.
        let owner = |partition: usize| {
            let mixed = seed.wrapping_mul(partition as u64 * 2 + 1) >> 40;
            let owner = usize::try_from(mixed).unwrap() % (members.len() + 2);
            (owner < members.len()).then_some(owner)
        };
        let previous = (0..topics.partitions()).map(owner).collect();
        (topics, members, previous)
    })
}

fn algorithms() -> impl Strategy<Value = Algorithm> {
    prop::sample::select(Algorithm::ALL.to_vec())
}

fn alike(members: &[Member]) -> bool {
    kafka_assignors::subscribed_alike(members)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    #[test]
    fn every_partition_that_somebody_wants_has_one_owner_who_wants_it(
        (topics, members, previous) in groups(),
        algorithm in algorithms(),
    ) {
        let settled = algorithm.settle(&topics, &members, &previous);
        prop_assert_eq!(settled.assignment.partitions(), topics.partitions());
        for topic in 0..topics.len() {
            let wants = |member: &Member| member.subscription.contains(topic);
            for partition in topics.range(topic) {
                match settled.assignment.owner(partition) {
                    Some(owner) => prop_assert!(wants(&members[owner])),
                    None => prop_assert!(!members.iter().any(wants)),
                }
            }
        }
        prop_assert!(settled.rebalances <= 3, "{}", settled.rebalances);
    }

    #[test]
    fn numbers_are_within_one_where_all_want_the_same(
        (topics, members, previous) in groups(),
        algorithm in algorithms(),
    ) {
        prop_assume!(!members.is_empty() && alike(&members));
        let counts = algorithm.settle(&topics, &members, &previous).assignment.counts(members.len());
        // Range evens out each topic by itself.
        let by_topic = matches!(algorithm, Algorithm::Range | Algorithm::ConsumerRange);
        let most = if by_topic { topics.len() } else { 1 };
        let (max, min) = (counts.iter().max().unwrap(), counts.iter().min().unwrap());
        prop_assert!(max - min <= most, "{counts:?}");
    }

    #[test]
    fn nothing_moves_when_nothing_changes(
        (topics, members, previous) in groups(),
        algorithm in algorithms(),
    ) {
        let once = algorithm.settle(&topics, &members, &previous).assignment;
        let again = algorithm.settle(&topics, &members, &once);
        prop_assert_eq!(&again.assignment, &once);
        prop_assert_eq!(again.rebalances, 1);
    }

    /// Whoever owns more than the quota gives up what is beyond it, and nobody gives up anything
    /// else.
    #[test]
    fn no_partition_moves_without_need(
        (topics, members, previous) in groups(),
        algorithm in prop::sample::select(vec![
            Algorithm::Sticky, Algorithm::CooperativeSticky, Algorithm::LibrdkafkaSticky,
            Algorithm::LibrdkafkaCooperativeSticky, Algorithm::Uniform,
        ]),
    ) {
        prop_assume!(!members.is_empty());
        let members: Vec<Member> = members
            .into_iter()
            .map(|member| Member { subscription: Subscription::new(0..topics.len()), ..member })
            .collect();
        let now = algorithm.settle(&topics, &members, &previous).assignment;
        let owned = previous.counts(members.len());
        let (quota, extras) = (topics.partitions() / members.len(), topics.partitions() % members.len());
        let beyond: usize = owned.iter().map(|owned| owned.saturating_sub(quota)).sum();
        let above = owned.iter().filter(|owned| **owned > quota).count();
        // As many as there are extras may keep one more.
        prop_assert_eq!(moved(&previous, &now), beyond - above.min(extras));
    }

    #[test]
    fn what_goes_by_rank_gives_each_rank_the_same_whoever_has_it(
        (topics, members, previous) in groups(),
        algorithm in prop::sample::select(vec![
            Algorithm::Range, Algorithm::RoundRobin, Algorithm::ConsumerRange,
        ]),
    ) {
        prop_assume!(alike(&members));
        let renamed: Vec<Member> = members
            .iter()
            .map(|member| Member { id: format!("renamed-{}", member.id), ..member.clone() })
            .collect();
        let nobody = Assignment::unowned(topics.partitions());
        prop_assert_eq!(
            algorithm.assign(&topics, &members, &previous),
            algorithm.assign(&topics, &renamed, &nobody)
        );
    }
}
