//! Applies the strategy of the policy: which pods would go, and what follows.

use std::cmp::Reverse;

use super::forecast::{self, ForecastChoice, GroupReport, forecast_strategy};
use super::rotate_outliers::{self, RotateOutliers, rotate_outliers};
use crate::forecast::Diagnosis;
use crate::group::{GroupModel, GroupProblem, Knowledge, KnownAssignor};
use crate::model::{Cores, Load, Pod, PodIndex, TopK};
use crate::plan::Role;
use crate::policy::{Policy, Strategy};
use crate::snapshot::Snapshot;
use kafka_assignors::Algorithm;

/// What a strategy is applied to.
pub(crate) struct Candidates<'a> {
    pub(crate) snapshot: &'a Snapshot,
    pub(crate) policy: &'a Policy,
    /// The places of all pods, most loaded first.
    pub(crate) order: &'a [(Reverse<Option<Load>>, usize)],
    /// The pods in that order.
    pub(crate) in_turn: &'a [&'a Pod],
    /// The ranks of the eligible ones in it.
    pub(crate) eligible: &'a [usize],
    /// Their loads.
    pub(crate) loads: &'a [Load],
    /// The target.
    pub(crate) target: Cores,
}

/// What a strategy makes of it.
#[derive(Debug, Clone, PartialEq, Default)]
pub(crate) struct Choice {
    /// The ranks of the pods that would go, in the order of their turn.
    pub(crate) roles: Vec<(usize, Role)>,
    /// `None` when the strategy could not be applied.
    pub(crate) judgement: Option<Judgement>,
    /// What the model of the group says, even where another rule decides.
    pub(crate) report: Option<Box<GroupReport>>,
}

/// By which rule, and what it says.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Judgement {
    /// The hottest with the coldest.
    RotateOutliers(RotateOutliers),
    /// That rule would rotate, and the assignor makes it ineffective.
    Ineffective(RotateOutliers, Diagnosis),
    /// The model of the group.
    Forecast(Box<ForecastChoice>),
}

impl Judgement {
    /// Pods are to be evicted.
    pub(crate) fn rotates(&self) -> bool {
        match self {
            Self::RotateOutliers(outliers) => outliers.verdict == rotate_outliers::Verdict::Rotate,
            Self::Ineffective(..) => false,
            Self::Forecast(forecasted) => forecasted.verdict == forecast::ForecastVerdict::Rotate,
        }
    }

    /// The numbers of the rule of outliers, where that was applied.
    pub(crate) fn outliers(&self) -> Option<&RotateOutliers> {
        match self {
            Self::RotateOutliers(outliers) | Self::Ineffective(outliers, _) => Some(outliers),
            Self::Forecast(_) => None,
        }
    }
}

/// Applies the strategy; `None` when it is the forecast and the group is not known.
pub(crate) fn choose(
    candidates: &Candidates<'_>,
    group: Option<&Result<GroupModel, GroupProblem>>,
) -> Option<Choice> {
    match (candidates.policy.strategy, group) {
        (Strategy::RotateOutliers, _) => Some(candidates.rotate_outliers()),
        (Strategy::Forecast, Some(Ok(group))) => Some(candidates.forecast(group)),
        (Strategy::Forecast, Some(Err(_)) | None) => None,
        (Strategy::Auto, Some(Ok(group))) => {
            let choice = candidates.forecast(group);
            if choice.is_explained() {
                return Some(choice);
            }
            Some(Choice {
                report: choice.report,
                ..candidates.rotate_unless_ineffective(Some(group))
            })
        }
        (Strategy::Auto, Some(Err(_)) | None) => Some(candidates.rotate_unless_ineffective(None)),
    }
}

impl Choice {
    fn is_explained(&self) -> bool {
        match &self.judgement {
            Some(Judgement::Forecast(forecasted)) => {
                forecasted.verdict != forecast::ForecastVerdict::Unexplained
            }
            Some(Judgement::RotateOutliers(_) | Judgement::Ineffective(..)) | None => true,
        }
    }
}

impl Candidates<'_> {
    fn forecast(&self, group: &GroupModel) -> Choice {
        let eligible: Vec<PodIndex> = self
            .eligible
            .iter()
            .filter_map(|rank| Some(PodIndex::new(self.order.get(*rank)?.1)))
            .collect();
        let forecasted =
            forecast_strategy(self.snapshot, group, &eligible, self.target, self.policy);
        let threshold = self.policy.tolerance.get() * self.target.get();
        let rank = |victim: &PodIndex| {
            let place = eligible.iter().position(|place| place == victim)?;
            let load = self.loads.get(place)?.get();
            let role = if load > threshold {
                Role::Hottest
            } else {
                Role::Coldest
            };
            Some((*self.eligible.get(place)?, role))
        };
        Choice {
            roles: forecasted.victims.iter().filter_map(rank).collect(),
            report: Some(Box::new(forecasted.report.clone())),
            judgement: Some(Judgement::Forecast(Box::new(forecasted))),
        }
    }

    fn rotate_outliers(&self) -> Choice {
        let outliers = rotate_outliers(
            self.loads,
            self.policy.tolerance.get() * self.target.get(),
            top_k(self.policy),
            self.policy.minimum_improvement_percent,
        );
        Choice {
            roles: roles(self.in_turn, self.eligible, &outliers),
            judgement: Some(Judgement::RotateOutliers(outliers)),
            report: None,
        }
    }

    /// Without a forecast, an assignor that is known to be positional still makes it ineffective.
    fn rotate_unless_ineffective(&self, group: Option<&GroupModel>) -> Choice {
        let choice = self.rotate_outliers();
        let data = self.snapshot.data().group.as_ref();
        let set = data.and_then(|data| {
            let set = KnownAssignor {
                assignor: data.assignor?,
                known: Knowledge::Set,
            };
            Some((set, data.client, data.protocol))
        });
        let known = group
            .map(|group| (group.assignor, group.client, group.protocol))
            .or(set);
        let ineffective = known.filter(|(known, client, protocol)| {
            known.known != Knowledge::Assumed
                && Algorithm::of(known.assignor, *client, *protocol).is_positional()
        });
        match (choice.judgement, ineffective) {
            (Some(Judgement::RotateOutliers(outliers)), Some((known, ..)))
                if outliers.verdict == rotate_outliers::Verdict::Rotate =>
            {
                let ineffective = Diagnosis::positional_assignor(known);
                Choice {
                    judgement: Some(Judgement::Ineffective(outliers, ineffective)),
                    ..choice
                }
            }
            (judgement, Some(_) | None) => Choice {
                judgement,
                ..choice
            },
        }
    }
}

/// How many of each kind a plan may hold: half of what may be evicted at all, so that hottest and
/// coldest go together as long as there is room for two.
fn top_k(policy: &Policy) -> TopK {
    let limit = policy.max_evictions.unwrap_or(usize::MAX);
    let most = policy.top_k.get().min((limit / 2).max(1));
    TopK::new(most).unwrap_or(policy.top_k)
}

/// The ranks of the hottest, by load descending, then of the coldest, by load ascending; ties by
/// name, ascending.
fn roles(in_turn: &[&Pod], eligible: &[usize], outliers: &RotateOutliers) -> Vec<(usize, Role)> {
    let (hottest, others) = eligible.split_at(outliers.hottest);
    let load = |rank: &usize| in_turn[*rank].load;
    // Only the end of the list is put the other way round, from the first of the equals on.
    let warmest = others
        .len()
        .checked_sub(outliers.coldest)
        .and_then(|first| others.get(first))
        .and_then(load);
    let first = others.partition_point(|rank| load(rank) > warmest);
    let mut coldest = others[first..].to_vec();
    coldest.sort_unstable_by_key(|rank| (load(rank), in_turn[*rank].name.as_str()));
    coldest.truncate(outliers.coldest);
    let hottest = hottest.iter().map(|rank| (*rank, Role::Hottest));
    let coldest = coldest.into_iter().map(|rank| (rank, Role::Coldest));
    hottest.chain(coldest).collect()
}
