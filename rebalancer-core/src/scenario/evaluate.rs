//! The results of scenarios, and what they assume.

use kafka_assignors::Protocol;

use super::axes::Scenario;
use super::change::{AssignedBy, Change, Outcome};
use super::document::{ScenarioForecast, ScenarioReport, ScenarioResult};
use crate::checks::Ranking;
use crate::forecast::Subject;
use crate::forecast::chance::Chance;
use crate::group::{GroupModel, GroupProblem, ServingPodIndex};
use crate::model::Cores;
use crate::policy::Policy;
use crate::snapshot::{Snapshot, resolve};
use crate::statistics::Spread;
use crate::strategy::group_report::ExplainedLoads;

/// The number of samples of each scenario, multiplied by the number of partitions, so that the
/// duration hardly depends on the size of the group.
const SAMPLED_PARTITIONS: usize = 20_000;

/// The minimum and the maximum number of samples.
const SAMPLES: (usize, usize) = (5, 100);

/// The maximum number of names in a message.
const NAMES: usize = 10;

/// Why scenarios cannot be evaluated.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum ScenarioProblem {
    /// The group is not known well enough.
    #[error(transparent)]
    Group(#[from] GroupProblem),
    /// The rates do not explain the loads.
    #[error("{message}")]
    Unexplained {
        /// The message, with the remedy.
        message: String,
    },
    /// A pod that is to be left out is not a ready pod.
    #[error("`{pod}` is not a ready pod of the workload; its ready pods are {pods}")]
    UnknownPod {
        /// The name.
        pod: String,
        /// The names of the ready pods.
        pods: String,
    },
    /// The group has no such topic.
    #[error("the group does not consume topic `{topic}`; its topics are {topics}")]
    UnknownTopic {
        /// The name.
        topic: String,
        /// The names of the topics.
        topics: String,
    },
    /// A topic would have fewer partitions than now.
    #[error(
        "topic `{topic}` has {now} partitions, and Kafka cannot remove any: {asked} are too few"
    )]
    FewerPartitions {
        /// The topic.
        topic: String,
        /// The current number.
        now: usize,
        /// The number of the scenario.
        asked: usize,
    },
}

/// Evaluates scenarios on the group of a snapshot. The first result is the group as it is.
///
/// Pure: the same arguments yield the same report. Of the policy, the tolerance, the seed, and the
/// rules of eligible pods have an effect, which the target depends on.
///
/// # Errors
/// [`ScenarioProblem`] if the group is not known, its loads are not explained, or a scenario names
/// a pod or topic that does not exist.
pub fn what_if(
    snapshot: &Snapshot,
    policy: &Policy,
    scenarios: &[Scenario],
) -> Result<ScenarioReport, ScenarioProblem> {
    let group = snapshot.group_model()?;
    let explained = ExplainedLoads::new(snapshot, &group);
    let ranking = Ranking::new(snapshot, policy);
    let eligible = ranking.eligible().iter().map(|candidate| candidate.pod);
    let target = resolve(snapshot, eligible).ok().map(|target| target.cores);
    let threshold = target.map(|target| policy.tolerance.get() * target.get());
    let subject = explained.subject(&group, target, threshold);
    let known = explained.report(snapshot, &subject, Vec::new());
    if !explained.is_good() {
        return Err(ScenarioProblem::Unexplained {
            message: known.unexplained(),
        });
    }
    let name = |pod| explained.name(pod);
    for scenario in scenarios {
        check(&group, &name, scenario)?;
    }
    let present = Scenario::default();
    let all = std::iter::once(&present).chain(scenarios);
    let results = all.map(|scenario| result(&subject, &name, scenario, policy.forecast_seed));
    Ok(ScenarioReport {
        id: known.id,
        assignor: group.assignor,
        client: group.client,
        protocol: group.protocol,
        pods: group.pods.len(),
        members: group.members.len(),
        topics: group.topics.len(),
        partitions: group.topics.partition_count(),
        target: target.map(Cores::get),
        threshold,
        fit: known.fit,
        scenarios: results.collect(),
        assumptions: assumptions(snapshot, &subject, scenarios),
    })
}

/// Checks that the pods and topics of a scenario exist.
fn check<'a>(
    group: &GroupModel,
    name: &dyn Fn(ServingPodIndex) -> &'a str,
    scenario: &Scenario,
) -> Result<(), ScenarioProblem> {
    let pods = || ServingPodIndex::all(group.pods.len()).map(name);
    for pod in &scenario.without {
        if !pods().any(|known| known == pod) {
            return Err(ScenarioProblem::UnknownPod {
                pod: pod.clone(),
                pods: listed(pods()),
            });
        }
    }
    let topics = &group.topics;
    for (topic, asked) in &scenario.partitions {
        let Some(index) = topics.find(topic) else {
            return Err(ScenarioProblem::UnknownTopic {
                topic: topic.clone(),
                topics: listed(topics.indices().map(|topic| topics.name(topic))),
            });
        };
        let now = topics.size(index);
        if *asked < now {
            return Err(ScenarioProblem::FewerPartitions {
                topic: topic.clone(),
                now,
                asked: *asked,
            });
        }
    }
    Ok(())
}

fn listed<'a>(names: impl ExactSizeIterator<Item = &'a str>) -> String {
    let more = names.len().saturating_sub(NAMES);
    let mut names: Vec<String> = names.take(NAMES).map(str::to_owned).collect();
    if more > 0 {
        names.push(format!("{more} more"));
    }
    names.join(", ")
}

fn result<'a>(
    subject: &'a Subject<'a>,
    name: &dyn Fn(ServingPodIndex) -> &'a str,
    scenario: &Scenario,
    seed: u64,
) -> ScenarioResult {
    let AssignedBy { assignor, protocol } = AssignedBy::of(subject.group, scenario);
    let of = |pods, partitions, expected, problem| ScenarioResult {
        scenario: scenario.clone(),
        description: scenario.to_string(),
        pods,
        assignor,
        protocol,
        partitions,
        expected,
        problem,
    };
    match Change::new(subject, name, scenario) {
        Ok(change) => {
            let (fewest, most) = SAMPLES;
            let samples = SAMPLED_PARTITIONS / change.partitions().max(1);
            let expected = forecast(subject, &change, samples.clamp(fewest, most), seed);
            of(change.pods, change.partitions(), Some(expected), None)
        }
        Err(impossible) => {
            let pods = scenario.replicas.unwrap_or(subject.group.pods.len());
            let partitions = subject.group.topics.partition_count();
            of(pods, partitions, None, Some(impossible.to_string()))
        }
    }
}

/// The expected loads of a scenario over a number of samples.
pub(super) fn forecast(
    subject: &Subject<'_>,
    change: &Change<'_>,
    samples: usize,
    seed: u64,
) -> ScenarioForecast {
    let samples = if change.is_drawn() { samples } else { 1 };
    let outcomes: Vec<Outcome> = (0..samples)
        .map(|sample| change.play(Chance::of(seed, sample)))
        .collect();
    let spread = |number: fn(&Outcome) -> f64| Spread::of(outcomes.iter().map(number));
    let unowned = outcomes.iter().map(|outcome| outcome.unowned);
    #[expect(clippy::cast_precision_loss, reason = "numbers of pods and partitions")]
    ScenarioForecast {
        samples,
        peak: spread(|outcome| outcome.peak),
        peak_to_mean: spread(|outcome| outcome.imbalance),
        hot_pods: subject
            .threshold
            .map(|_| spread(|outcome| outcome.hot as f64)),
        idle_pods: spread(|outcome| outcome.idle as f64),
        moved_partitions: spread(|outcome| outcome.moved as f64),
        unowned_partitions: unowned.max().unwrap_or(0),
    }
}

/// The assumptions behind the results.
fn assumptions(snapshot: &Snapshot, subject: &Subject<'_>, scenarios: &[Scenario]) -> Vec<String> {
    let group = subject.group;
    let now = group.pods.len();
    let mut assumptions = Vec::new();
    let mut assume = |applies: bool, text: &str| {
        if applies {
            assumptions.push(text.to_owned());
        }
    };
    assume(
        true,
        "the total load of the partitions stays the same, and each pod needs the base load as well",
    );
    assume(
        subject.attribution.fit.is_none(),
        "the rates of the partitions are unknown, so the load of each pod is divided equally among its \
         partitions, and the results are less accurate",
    );
    let left = |scenario: &Scenario| now.saturating_sub(scenario.without.len());
    let any = |applies: &dyn Fn(&Scenario, usize) -> bool| {
        scenarios.iter().any(|scenario| {
            let pods = scenario.replicas.unwrap_or_else(|| left(scenario));
            applies(scenario, pods)
        })
    };
    assume(
        any(&|scenario, pods| pods < left(scenario) && !group.stable_names),
        "the pods that a scale-down removes are not known before, and are drawn at random",
    );
    assume(
        any(&|scenario, pods| pods < left(scenario) && group.stable_names),
        "a scale-down removes the pods with the highest ordinals",
    );
    assume(
        any(&|scenario, pods| pods > left(scenario)),
        "a new pod has members and subscriptions like the current pods, and no residual load",
    );
    assume(
        any(&|scenario, _| !scenario.without.is_empty() && scenario.replicas.is_none()),
        "a pod that is left out is not replaced",
    );
    assume(
        any(&|scenario, _| {
            scenario.partitions.iter().any(|(topic, asked)| {
                let topic = group.topics.find(topic);
                topic.is_some_and(|topic| group.topics.size(topic) != *asked)
            })
        }),
        "with another number of partitions the keys of a topic are spread again, so its load is divided \
         evenly among them; a key that is heavy by itself keeps its load",
    );
    assume(
        any(&|scenario, _| AssignedBy::of(group, scenario).differs(group)),
        "another assignor or protocol restarts every pod: no partition keeps its owner, no pod keeps a \
         residual load, and all partitions count as moved",
    );
    assume(
        any(&|scenario, _| {
            let asked = scenario.protocol.filter(|asked| *asked != group.protocol);
            scenario.assignor.is_none() && asked == Some(Protocol::Consumer)
        }),
        "the assignor of the consumer protocol is the broker's default, uniform",
    );
    assume(
        any(&|scenario, _| {
            let asked = scenario.protocol.filter(|asked| *asked != group.protocol);
            scenario.assignor.is_none() && asked == Some(Protocol::Classic)
        }),
        "the assignor of the classic protocol is the clients' default, range",
    );
    assume(
        !snapshot.data().autoscalers.is_empty() && any(&|scenario, _| scenario.replicas.is_some()),
        "an autoscaler sets the number of pods: another number needs other limits of it",
    );
    assumptions
}
