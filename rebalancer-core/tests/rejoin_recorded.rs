//! Forecasts of rejoins compared with what Kafka's own assignors did when as many members joined as
//! left in the same rebalance: the recordings of `kafka-assignors`.
#![expect(clippy::unwrap_used, reason = "helpers of tests may panic")]

use std::collections::BTreeMap;

use kafka_assignors::{Algorithm, Assignment, Member, MemberIndex, Subscription, Topics};
use rebalancer_core::forecast::{Attribution, Forecast, Sampling, Subject, forecast_rejoin};
use rebalancer_core::group::{
    Assignor, ClientFamily, GroupModel, Knowledge, KnownAssignor, Protocol, ServingPodIndex,
};
use rebalancer_core::model::PodIndex;
use rstest::rstest;
use serde::Deserialize;

const COOPERATIVE_STICKY: &str =
    include_str!("../../kafka-assignors/tests/recorded/cooperative-sticky.jsonl");
const RANGE: &str = include_str!("../../kafka-assignors/tests/recorded/range.jsonl");
const ROUND_ROBIN: &str = include_str!("../../kafka-assignors/tests/recorded/roundrobin.jsonl");

#[derive(Deserialize)]
struct Story {
    topics: BTreeMap<String, usize>,
    steps: Vec<Step>,
}

#[derive(Deserialize)]
struct Step {
    leave: Vec<String>,
    join: Vec<Joined>,
    owners: BTreeMap<String, Vec<Option<String>>>,
}

#[derive(Deserialize, Clone)]
struct Joined {
    id: String,
    #[serde(default)]
    instance: Option<String>,
    topics: Vec<String>,
}

/// A rebalance in which members are replaced by as many new ones with the same subscriptions.
struct Rejoin {
    group: GroupModel,
    removed: Vec<ServingPodIndex>,
    /// The highest number of partitions, weighted by their loads, that a member owns afterwards.
    peak: f64,
    loads: Vec<f64>,
}

/// Loads that differ by a factor of up to 16.
fn load(partition: usize) -> f64 {
    f64::from(u32::try_from(partition * 7 % 5).unwrap()).exp2()
}

fn owners(topics: &Topics, step: &Step, members: &[Joined]) -> Assignment {
    let index = |id: &String| {
        let found = members.iter().position(|member| member.id == *id);
        MemberIndex::new(found.unwrap())
    };
    topics
        .indices()
        .flat_map(|topic| &step.owners[topics.name(topic)])
        .map(|owner| owner.as_ref().map(index))
        .collect()
}

fn rejoins(recorded: &str, assignor: Assignor) -> Vec<Rejoin> {
    let mut found = Vec::new();
    for line in recorded.lines() {
        let story: Story = serde_json::from_str(line).unwrap();
        let topics = Topics::new(story.topics.clone());
        let mut members: Vec<Joined> = Vec::new();
        let mut before: Option<Assignment> = None;
        for step in &story.steps {
            let left: Vec<Joined> = members
                .iter()
                .filter(|member| step.leave.contains(&member.id))
                .cloned()
                .collect();
            let subscriptions = |members: &[Joined]| {
                let mut all: Vec<_> = members.iter().map(|member| member.topics.clone()).collect();
                all.sort();
                all
            };
            let alike = subscriptions(&left) == subscriptions(&step.join);
            let is_static = members
                .iter()
                .chain(&step.join)
                .any(|member| member.instance.is_some());
            let stays = left.len() < members.len();
            let old = std::mem::take(&mut members);
            members = old
                .iter()
                .filter(|member| !step.leave.contains(&member.id))
                .cloned()
                .collect();
            members.extend(step.join.clone());
            let after = owners(&topics, step, &members);
            let complete = before
                .as_ref()
                .is_some_and(|before| before.without_owner().next().is_none());
            if !left.is_empty() && alike && stays && complete && !is_static {
                let loads: Vec<f64> = (0..topics.partition_count()).map(load).collect();
                let mut sums = vec![0.0; members.len()];
                for (owner, load) in after.owners().zip(&loads) {
                    sums[owner.unwrap().get()] += load;
                }
                found.push(Rejoin {
                    removed: ServingPodIndex::all(old.len())
                        .zip(&old)
                        .filter(|(_, member)| step.leave.contains(&member.id))
                        .map(|(pod, _)| pod)
                        .collect(),
                    group: model(&topics, &old, before.unwrap(), assignor),
                    peak: sums.into_iter().fold(0.0, f64::max),
                    loads,
                });
            }
            before = Some(after);
        }
    }
    found
}

fn model(
    topics: &Topics,
    members: &[Joined],
    owners: Assignment,
    assignor: Assignor,
) -> GroupModel {
    let pods = members.len();
    GroupModel {
        topics: topics.clone(),
        members: members
            .iter()
            .map(|member| Member {
                id: member.id.clone(),
                instance: member.instance.clone(),
                subscription: Subscription::new(
                    member.topics.iter().filter_map(|name| topics.find(name)),
                ),
                rack: None,
            })
            .collect(),
        pod_of: ServingPodIndex::all(pods).collect(),
        pods: (0..pods).map(PodIndex::new).collect(),
        owners,
        rates: None,
        behind: Vec::new(),
        assignor: KnownAssignor {
            assignor,
            known: Knowledge::Set,
        },
        client: ClientFamily::Java,
        protocol: Protocol::Classic,
        session_timeout: 45.0,
        stable_names: false,
        returns: vec![false; pods],
        removes_static_members: false,
        startups: Vec::new(),
    }
}

/// The forecast of the recorded rejoin. The target is one, so that the peak is relative to it.
fn forecast(rejoin: &Rejoin) -> Forecast {
    let group = &rejoin.group;
    let attribution = Attribution {
        fit: None,
        partitions: rejoin.loads.clone(),
        base: 0.0,
        residuals: vec![0.0; group.pods.len()],
        slow: Vec::new(),
    };
    let subject = Subject {
        group,
        attribution: &attribution,
        algorithm: Algorithm::of(group.assignor.assignor, group.client, group.protocol),
        target: Some(1.0),
        threshold: None,
    };
    let sampling = Sampling {
        seed: 5,
        samples: 100,
        order: None,
    };
    forecast_rejoin(&subject, &rejoin.removed, sampling)
}

#[rstest]
#[case::cooperative_sticky(COOPERATIVE_STICKY, Assignor::CooperativeSticky)]
#[case::range(RANGE, Assignor::Range)]
#[case::round_robin(ROUND_ROBIN, Assignor::RoundRobin)]
fn recorded_peaks_are_within_the_forecast(#[case] recorded: &str, #[case] assignor: Assignor) {
    let rejoins = rejoins(recorded, assignor);
    let within = rejoins.iter().filter(|rejoin| {
        let peak = forecast(rejoin).peak_to_target.unwrap();
        (peak.p5 - 1e-9..=peak.p95 + 1e-9).contains(&rejoin.peak)
    });
    let (within, all) = (within.count(), rejoins.len());
    assert!(all >= 10, "only {all} recorded rejoins");
    // A 90 % interval.
    assert!(within * 100 >= all * 85, "{within} of {all}");
}
