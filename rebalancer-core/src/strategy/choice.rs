//! Applies the strategy of the policy: which pods it would evict, which partitions it would move,
//! or which members would rejoin, and why.

use super::assign::{AssignChoice, AssignProblem, AssignVerdict, assign_strategy};
use super::forecast::{ForecastChoice, ForecastVerdict, GroupReport, forecast_strategy};
use super::rejoin::{RejoinChoice, RejoinVerdict, rejoin_strategy};
use super::rotate_outliers::{OutlierVerdict, RotateOutliers, rotate_outliers};
use crate::checks::{Candidate, Ranking};
use crate::forecast::Diagnosis;
use crate::group::{GroupModel, GroupProblem, Knowledge, KnownAssignor};
use crate::model::{Cores, Load, PodIndex, TopK};
use crate::plan::{AssignmentPlan, RejoinPlan, Role, Victim};
use crate::policy::{Policy, Strategy};
use crate::snapshot::Snapshot;
use kafka_assignors::Algorithm;

/// The input of a strategy.
pub(crate) struct StrategyInput<'a> {
    pub(crate) snapshot: &'a Snapshot,
    pub(crate) policy: &'a Policy,
    pub(crate) ranking: &'a Ranking<'a>,
    /// `None` if it is unknown, and the strategy does not need it.
    pub(crate) target: Option<Cores>,
    /// `None` if the strategy does not use the consumer group.
    pub(crate) group: Option<&'a Result<GroupModel, GroupProblem>>,
    /// Eligible pods above the threshold that do not count as hot yet. They are left alone.
    pub(crate) too_briefly_hot: Vec<PodIndex>,
}

/// The result of a strategy.
#[derive(Default)]
pub(crate) struct Choice<'a> {
    /// The pods that it would evict, in the order of eviction, or whose members would rejoin.
    pub(crate) chosen: Vec<ChosenPod<'a>>,
    /// The names of the hot pods that a strategy without evictions relieves, most loaded first.
    pub(crate) hot: Vec<String>,
    /// `None` if the strategy could not be applied.
    pub(crate) outcome: Option<StrategyOutcome>,
    /// The report on the consumer group, even if another strategy decides.
    pub(crate) report: Option<Box<GroupReport>>,
    /// Why another strategy decides than the preferred one, with the strategy `auto`.
    pub(crate) fallback: Option<String>,
}

/// A pod that a strategy would evict, or whose members would rejoin.
#[derive(Clone, Copy)]
pub(crate) struct ChosenPod<'a> {
    candidate: Candidate<'a>,
    role: Role,
}

/// The strategy that was applied, and its conclusion.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum StrategyOutcome {
    /// The hottest pods with the coldest.
    RotateOutliers(RotateOutliers),
    /// Rotate-outliers would rotate, but the assignor makes evictions ineffective.
    Ineffective(RotateOutliers, Diagnosis),
    /// The forecast of the consumer group.
    Forecast(Box<ForecastChoice>),
    /// An assignment of the partitions.
    Assign(AssignVerdict),
    /// Members that rejoin.
    Rejoin(RejoinVerdict),
}

impl Choice<'_> {
    /// Whether pods are to be evicted.
    pub(crate) fn rotates(&self) -> bool {
        match &self.outcome {
            Some(StrategyOutcome::RotateOutliers(outliers)) => {
                outliers.verdict == OutlierVerdict::Rotate
            }
            Some(StrategyOutcome::Forecast(forecasted)) => {
                forecasted.verdict == ForecastVerdict::Rotate
            }
            Some(
                StrategyOutcome::Ineffective(..)
                | StrategyOutcome::Assign(_)
                | StrategyOutcome::Rejoin(_),
            )
            | None => false,
        }
    }

    /// The partitions to move, if an assignment is to be handed out.
    pub(crate) fn assignment(&self) -> Option<&AssignmentPlan> {
        match &self.outcome {
            Some(StrategyOutcome::Assign(AssignVerdict::Assign(plan))) => Some(plan),
            Some(_) | None => None,
        }
    }

    /// The pods whose members rejoin, if any do.
    pub(crate) fn rejoin(&self) -> Option<&RejoinPlan> {
        match &self.outcome {
            Some(StrategyOutcome::Rejoin(RejoinVerdict::Rejoin(plan))) => Some(plan),
            Some(_) | None => None,
        }
    }

    /// Why the partitions of the group are not redistributed without evictions.
    pub(crate) fn assign_problem(&self) -> Option<&AssignProblem> {
        match &self.outcome {
            Some(
                StrategyOutcome::Assign(AssignVerdict::Problem(problem))
                | StrategyOutcome::Rejoin(RejoinVerdict::Problem(problem)),
            ) => Some(problem),
            Some(_) | None => None,
        }
    }

    /// The numbers of rotate-outliers, if it was applied.
    pub(crate) fn outliers(&self) -> Option<&RotateOutliers> {
        match &self.outcome {
            Some(
                StrategyOutcome::RotateOutliers(outliers)
                | StrategyOutcome::Ineffective(outliers, _),
            ) => Some(outliers),
            Some(
                StrategyOutcome::Forecast(_)
                | StrategyOutcome::Assign(_)
                | StrategyOutcome::Rejoin(_),
            )
            | None => None,
        }
    }

    /// The chosen pods as victims of one wave.
    pub(crate) fn victims(&self) -> Vec<Victim> {
        let chosen = self.chosen.iter();
        chosen
            .map(|ChosenPod { candidate, role }| Victim {
                name: candidate.pod.name.clone(),
                uid: candidate.pod.uid.clone(),
                role: *role,
                load: candidate.load,
                wave: 1,
            })
            .collect()
    }

    /// The role of each of `pods` pods, by index.
    pub(crate) fn roles(&self, pods: usize) -> Vec<Option<Role>> {
        let mut roles = vec![None; pods];
        for ChosenPod { candidate, role } in &self.chosen {
            roles[candidate.index.get()] = Some(*role);
        }
        roles
    }
}

/// Applies the strategy. A choice has no outcome if the strategy needs the group or the target, and
/// it is unknown.
pub(crate) fn choose<'a>(input: &StrategyInput<'a>) -> Choice<'a> {
    let known = input.group.and_then(|group| group.as_ref().ok());
    let mut choice = match (input.policy.strategy, known, input.target) {
        (Strategy::RotateOutliers, _, Some(target)) => input.rotate_outliers(target),
        (Strategy::Forecast, Some(group), Some(target)) => input.forecast(group, target),
        (Strategy::Assign, Some(group), target) => input.assign(group, target),
        (Strategy::Rejoin, Some(group), target) => input.rejoin(group, target),
        (Strategy::Auto, known, Some(target)) => input.auto(known, target),
        (
            Strategy::RotateOutliers
            | Strategy::Forecast
            | Strategy::Assign
            | Strategy::Rejoin
            | Strategy::Auto,
            ..,
        ) => Choice::default(),
    };
    if input.policy.strategy.evicts() {
        let limit = input.policy.max_evictions.unwrap_or(usize::MAX);
        // At least one, so that the check of the limit applies to the plan there would be.
        choice.chosen.truncate(limit.max(1));
    }
    choice
}

impl<'a> StrategyInput<'a> {
    /// The first of assign, forecast and rotate-outliers that can be applied.
    fn auto(&self, group: Option<&GroupModel>, target: Cores) -> Choice<'a> {
        let Some(group) = group else {
            let problem = self.group.and_then(|group| group.as_ref().err());
            let problem = problem.filter(|problem| !problem.ends_without_action());
            return Choice {
                fallback: problem.map(|problem| no_forecast(&problem.to_string())),
                ..self.rotate_unless_ineffective(None, target)
            };
        };
        let mut fallbacks = Vec::new();
        // Without a connection to the brokers nothing can be handed out.
        if self.has_described_group() {
            let choice = self.assign(group, Some(target));
            match &choice.outcome {
                Some(StrategyOutcome::Assign(AssignVerdict::Problem(problem))) => {
                    fallbacks.push(format!("no assignment, the forecast decides: {problem}"));
                }
                // An eviction may cure a slow pod.
                Some(StrategyOutcome::Assign(AssignVerdict::NoAssignmentHelps(_))) => {
                    let evictions = self.forecast(group, target);
                    if !evictions.rotates() {
                        return choice;
                    }
                    return Choice {
                        fallback: Some(
                            "no assignment helps enough, but evictions do according to the forecast"
                                .to_owned(),
                        ),
                        ..evictions
                    };
                }
                // The forecast needs the explanation of the loads as well.
                Some(StrategyOutcome::Assign(AssignVerdict::Unexplained)) => {}
                Some(_) | None => return choice,
            }
        }
        let mut choice = self.forecast(group, target);
        if let Some(StrategyOutcome::Forecast(forecasted)) = &choice.outcome
            && forecasted.verdict == ForecastVerdict::Unexplained
        {
            let unexplained = choice.report.as_deref().map(GroupReport::unexplained);
            fallbacks.extend(unexplained.map(|problem| no_forecast(&problem)));
            choice = Choice {
                report: choice.report,
                ..self.rotate_unless_ineffective(Some(group), target)
            };
        }
        Choice {
            fallback: (!fallbacks.is_empty()).then(|| fallbacks.join("; ")),
            ..choice
        }
    }

    fn has_described_group(&self) -> bool {
        let group = self.snapshot.data().group.as_ref();
        group.is_some_and(|group| group.described.is_some())
    }

    /// The eligible pods, without those that do not count as hot yet.
    fn candidates(&self) -> impl Iterator<Item = &Candidate<'a>> {
        let eligible = self.ranking.eligible().iter();
        eligible.filter(|pod| !self.too_briefly_hot.contains(&pod.index))
    }

    fn eligible_pods(&self) -> Vec<PodIndex> {
        self.candidates().map(|pod| pod.index).collect()
    }

    fn assign(&self, group: &GroupModel, target: Option<Cores>) -> Choice<'a> {
        let AssignChoice {
            report,
            verdict,
            hot,
        } = assign_strategy(
            self.snapshot,
            group,
            &self.eligible_pods(),
            target,
            self.policy,
        );
        Choice {
            chosen: Vec::new(),
            hot: self.names(&hot),
            report: Some(Box::new(report)),
            fallback: None,
            outcome: Some(StrategyOutcome::Assign(verdict)),
        }
    }

    fn rejoin(&self, group: &GroupModel, target: Option<Cores>) -> Choice<'a> {
        let RejoinChoice {
            report,
            verdict,
            pods,
            hot,
        } = rejoin_strategy(
            self.snapshot,
            group,
            &self.eligible_pods(),
            target,
            self.policy,
        );
        Choice {
            chosen: self.with_roles(&pods, &hot),
            hot: self.names(&hot),
            report: Some(Box::new(report)),
            fallback: None,
            outcome: Some(StrategyOutcome::Rejoin(verdict)),
        }
    }

    /// The names of eligible pods, most loaded first.
    fn names(&self, pods: &[PodIndex]) -> Vec<String> {
        let candidates = self.ranking.eligible().iter();
        candidates
            .filter(|pod| pods.contains(&pod.index))
            .map(|pod| pod.pod.name.clone())
            .collect()
    }

    /// The chosen pods with their roles.
    fn with_roles(&self, pods: &[PodIndex], hot: &[PodIndex]) -> Vec<ChosenPod<'a>> {
        let candidates = self.ranking.eligible();
        let chosen = pods.iter().filter_map(|chosen| {
            let candidate = *candidates.iter().find(|pod| pod.index == *chosen)?;
            let role = if hot.contains(chosen) {
                Role::Hottest
            } else {
                Role::Coldest
            };
            Some(ChosenPod { candidate, role })
        });
        chosen.collect()
    }

    fn forecast(&self, group: &GroupModel, target: Cores) -> Choice<'a> {
        let eligible = self.eligible_pods();
        let forecasted = forecast_strategy(self.snapshot, group, &eligible, target, self.policy);
        Choice {
            chosen: self.with_roles(&forecasted.victims, &forecasted.hot),
            hot: Vec::new(),
            report: Some(Box::new(forecasted.report.clone())),
            fallback: None,
            outcome: Some(StrategyOutcome::Forecast(Box::new(forecasted))),
        }
    }

    fn rotate_outliers(&self, target: Cores) -> Choice<'a> {
        let candidates: Vec<Candidate<'a>> = self.candidates().copied().collect();
        let loads: Vec<Load> = candidates.iter().map(|pod| pod.load).collect();
        let outliers = rotate_outliers(
            &loads,
            self.policy.tolerance.get() * target.get(),
            top_k(self.policy),
            self.policy.minimum_improvement_percent,
        );
        Choice {
            chosen: hottest_and_coldest(&candidates, &outliers),
            hot: Vec::new(),
            outcome: Some(StrategyOutcome::RotateOutliers(outliers)),
            report: None,
            fallback: None,
        }
    }

    /// Rotate-outliers, unless evictions are known to be ineffective even if no forecast is
    /// possible: the assignor is positional, or all members are static.
    fn rotate_unless_ineffective(&self, group: Option<&GroupModel>, target: Cores) -> Choice<'a> {
        let choice = self.rotate_outliers(target);
        let positional = self.positional_assignor(group);
        let positional = positional.map(Diagnosis::positional_assignor);
        let Some(diagnosis) = positional.or_else(|| group.and_then(Diagnosis::static_membership))
        else {
            return choice;
        };
        match choice.outcome {
            Some(StrategyOutcome::RotateOutliers(outliers))
                if outliers.verdict == OutlierVerdict::Rotate =>
            {
                Choice {
                    outcome: Some(StrategyOutcome::Ineffective(outliers, diagnosis)),
                    ..choice
                }
            }
            outcome => Choice { outcome, ..choice },
        }
    }

    /// The assignor, if it is positional and is known rather than assumed.
    fn positional_assignor(&self, group: Option<&GroupModel>) -> Option<KnownAssignor> {
        let (known, client, protocol) = match group {
            Some(group) => (group.assignor, group.client, group.protocol),
            None => {
                let data = self.snapshot.data().group.as_ref()?;
                (data.known_assignor()?, data.client, data.protocol)
            }
        };
        let positional = known.known != Knowledge::Assumed
            && Algorithm::of(known.assignor, client, protocol).is_positional();
        positional.then_some(known)
    }
}

/// Why rotate-outliers decides instead of the forecast.
fn no_forecast(problem: &str) -> String {
    format!("no forecast, rotate-outliers decides: {problem}")
}

/// The maximum number of hottest, and of coldest pods: half of the eviction limit, so that hottest
/// and coldest pods go together if the limit is at least two.
fn top_k(policy: &Policy) -> TopK {
    let limit = policy.max_evictions.unwrap_or(usize::MAX);
    let most = policy.top_k.get().min((limit / 2).max(1));
    TopK::new(most).unwrap_or(policy.top_k)
}

/// The hottest pods by load descending, then the coldest by load ascending; ties by name,
/// ascending.
fn hottest_and_coldest<'a>(
    eligible: &[Candidate<'a>],
    outliers: &RotateOutliers,
) -> Vec<ChosenPod<'a>> {
    let (hottest, others) = eligible.split_at(outliers.hottest);
    // Ties have ascending names in the ranking, and must have them in ascending order of load as
    // well. So the coldest pods are sorted again, together with all pods that tie with the warmest
    // of them.
    let warmest = others
        .len()
        .checked_sub(outliers.coldest)
        .and_then(|first| others.get(first))
        .map(|pod| pod.load);
    let first = others.partition_point(|pod| Some(pod.load) > warmest);
    let mut coldest = others[first..].to_vec();
    coldest.sort_unstable_by_key(|pod| (pod.load, pod.pod.name.as_str()));
    coldest.truncate(outliers.coldest);
    let with_role = |role| move |candidate| ChosenPod { candidate, role };
    let hottest = hottest.iter().copied().map(with_role(Role::Hottest));
    let coldest = coldest.into_iter().map(with_role(Role::Coldest));
    hottest.chain(coldest).collect()
}
