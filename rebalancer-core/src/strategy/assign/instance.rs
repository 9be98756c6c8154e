//! The balancing problem in plain numbers.

use kafka_assignors::{Assignment, MemberIndex, PartitionIndex, RackRule};

use crate::forecast::Attribution;
use crate::group::{AssignProblem, GroupModel};

/// The number of steps in which the level of a group without outliers is approached, and the
/// relative change that ends it.
const LEVEL_STEPS: usize = 20;
const LEVEL_PRECISION: f64 = 1e-4;

/// The partitions by descending load, the members and the pods, all as plain indices.
#[derive(Debug, Clone)]
pub(super) struct Instance<'a> {
    /// The load of each partition, descending, up to the [limit](Self::levelled) of an instance in
    /// which heavy partitions do not stand out.
    pub(super) loads: Vec<f64>,
    /// The load of each partition without that limit.
    pub(super) weights: Vec<f64>,
    /// The partition at each position of that order.
    pub(super) partitions: Vec<PartitionIndex>,
    /// The current owner of each partition.
    pub(super) home: Vec<usize>,
    /// The load of each pod without partitions, base and residual, up to a limit as well.
    pub(super) fixed: Vec<f64>,
    /// The pod of each member.
    pub(super) pod_of: Vec<usize>,
    /// The members of each pod.
    pub(super) members_of: Vec<Vec<usize>>,
    /// The number of partitions of each member; `extras` of the members own one more.
    pub(super) quota: usize,
    pub(super) extras: usize,
    /// The rack rules that apply.
    racks: Vec<RackRule<'a>>,
}

impl<'a> Instance<'a> {
    pub(super) fn new(
        group: &'a GroupModel,
        attribution: &Attribution,
        racks: Vec<RackRule<'a>>,
    ) -> Result<Self, AssignProblem> {
        let members = group.members.len();
        let mut owned: Vec<(f64, PartitionIndex, usize)> = Vec::new();
        for (partition, owner) in group.owners.iter() {
            let owner = owner
                .map(MemberIndex::get)
                .filter(|owner| *owner < members)
                .ok_or_else(|| AssignProblem::unowned(group))?;
            let load = attribution.partitions.get(partition.get()).copied();
            owned.push((valid(load).max(0.0), partition, owner));
        }
        owned.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
        let pods = group.pods.len();
        let pod_of: Vec<usize> = group.pod_of.iter().map(|pod| pod.get()).collect();
        let mut members_of = vec![Vec::new(); pods];
        for (member, pod) in pod_of.iter().enumerate() {
            if let Some(list) = members_of.get_mut(*pod) {
                list.push(member);
            }
        }
        let residual = |pod: usize| valid(attribution.residuals.get(pod).copied());
        let loads: Vec<f64> = owned.iter().map(|(load, _, _)| *load).collect();
        Ok(Self {
            weights: loads.clone(),
            loads,
            partitions: owned.iter().map(|(_, partition, _)| *partition).collect(),
            home: owned.iter().map(|(_, _, owner)| *owner).collect(),
            fixed: (0..pods)
                .map(|pod| valid(Some(attribution.base)) + residual(pod))
                .collect(),
            pod_of,
            members_of,
            quota: owned.len() / members.max(1),
            extras: owned.len() % members.max(1),
            racks,
        })
    }

    /// The instance in which pods do not stand out that cannot be level with the others: slow pods,
    /// and pods with a heavy partition. `None` if there are none.
    ///
    /// Such a pod determines the peak, whatever the others own, so the lowest peak alone would
    /// leave them unbalanced. Here its own load, or its heavy partition, is lowered so that it is
    /// level with the others if it owns only the lightest partitions beside. The level is the
    /// lowest one that the others may reach, or `enough` if that is higher.
    pub(super) fn levelled(&self, enough: f64) -> Option<Self> {
        let lightest = self.lightest();
        let mut instance = self.clone();
        let mut level = f64::INFINITY;
        for _ in 0..LEVEL_STEPS {
            // Lower pods and partitions have a lower level.
            let lower = instance.common_level(&lightest);
            if lower >= level * (1.0 - LEVEL_PRECISION) {
                break;
            }
            level = lower;
            instance.lower_to(level, self, &lightest);
        }
        let level = level.max(enough);
        let is_lower = level < self.lower_bound() * (1.0 - LEVEL_PRECISION);
        instance.lower_to(level, self, &lightest);
        is_lower.then_some(instance)
    }

    /// Limits the loads of slow pods and heavy partitions of `actual` so that they fit the level.
    fn lower_to(&mut self, level: f64, actual: &Self, lightest: &[f64]) {
        for (pod, own) in actual.fixed.iter().enumerate() {
            self.fixed[pod] = own.min(level - lightest[self.minimum(pod)]);
        }
        let fewest = self.fewest();
        let limit = level - self.least_fixed() - lightest[fewest.saturating_sub(1)];
        for (load, weight) in self.loads.iter_mut().zip(&actual.weights) {
            *load = weight.min(limit.max(0.0));
        }
    }

    /// The level that all pods would have if partitions were divisible, or that of a pod with
    /// several of the heaviest partitions if that is higher.
    fn common_level(&self, lightest: &[f64]) -> f64 {
        self.level().max(self.pigeonhole(2, lightest))
    }

    /// The pods with members.
    pub(super) fn consuming(&self) -> impl Iterator<Item = usize> {
        (0..self.pods()).filter(|pod| !self.members_of[*pod].is_empty())
    }

    /// The smallest number of partitions of a pod.
    fn minimum(&self, pod: usize) -> usize {
        self.quota * self.members_of[pod].len()
    }

    /// The sum of the lightest partitions, by their number.
    pub(super) fn lightest(&self) -> Vec<f64> {
        let mut sums = Vec::with_capacity(self.len() + 1);
        let mut sum = 0.0;
        sums.push(sum);
        for load in self.loads.iter().rev() {
            sum += load;
            sums.push(sum);
        }
        sums
    }

    /// The number of partitions.
    pub(super) fn len(&self) -> usize {
        self.loads.len()
    }

    /// The number of members.
    pub(super) fn members(&self) -> usize {
        self.pod_of.len()
    }

    /// The number of pods, including those without members.
    pub(super) fn pods(&self) -> usize {
        self.fixed.len()
    }

    /// Whether racks restrict which member may own a partition.
    pub(super) fn has_racks(&self) -> bool {
        !self.racks.is_empty()
    }

    /// Whether the group's assignor lets the member keep the partition.
    pub(super) fn may_own(&self, partition: usize, member: usize) -> bool {
        let (partition, member) = (self.partitions[partition], MemberIndex::new(member));
        !self
            .racks
            .iter()
            .any(|rule| rule.mismatch(member, partition))
    }

    /// The assignment with these owners, which are in the order of the loads.
    pub(super) fn assignment(&self, owners: &[usize]) -> Assignment {
        let mut assignment = Assignment::unowned(self.len());
        for (partition, owner) in self.partitions.iter().zip(owners) {
            assignment.set(*partition, Some(MemberIndex::new(*owner)));
        }
        assignment
    }

    /// A lower bound of the highest load in any assignment with equal counts, the highest of:
    ///
    /// - the level that all pods would have if partitions were divisible;
    /// - each pod's own load with its minimum number of partitions, all of them the lightest;
    /// - by the pigeonhole principle, for each *t*: one of the *n* pods with members owns at least
    ///   *t* + 1 of the *n* · *t* + 1 heaviest partitions, and the lightest ones beside;
    /// - for each *k*: the *k* heaviest partitions are in different pods, which also own their
    ///   minimum number of partitions, on average the lightest ones; or two of them share a pod.
    ///
    /// Racks are not considered.
    pub(super) fn lower_bound(&self) -> f64 {
        let lightest = self.lightest();
        let own = self
            .consuming()
            .map(|pod| self.fixed[pod] + lightest[self.minimum(pod)]);
        let common = self.level().max(self.pigeonhole(1, &lightest));
        own.fold(common.max(self.heaviest_apart(&lightest)), f64::max)
    }

    /// The highest load of a pod that owns at least *t* of the heaviest partitions, for some *t* of
    /// at least `least`.
    fn pigeonhole(&self, least: usize, lightest: &[f64]) -> f64 {
        let pods = self.consuming().count();
        let (fewest, least_fixed) = (self.fewest(), self.least_fixed());
        let mut bound: f64 = 0.0;
        for together in least..=self.len() {
            // One pod owns this many of the partitions up to `last`.
            let last = pods * (together - 1);
            if pods == 0 || last >= self.len() {
                break;
            }
            let heavy: f64 = self.loads[last + 1 - together..=last].iter().sum();
            let rest = lightest[fewest.saturating_sub(together)];
            bound = bound.max(least_fixed + heavy + rest);
        }
        bound
    }

    /// The average load of pods that own one each of the heaviest partitions, or that of a pod that
    /// owns two of them if that is lower, for the number of partitions that makes it highest.
    fn heaviest_apart(&self, lightest: &[f64]) -> f64 {
        let (fewest, least_fixed) = (self.fewest(), self.least_fixed());
        let mut ascending: Vec<f64> = self.consuming().map(|pod| self.fixed[pod]).collect();
        ascending.sort_unstable_by(f64::total_cmp);
        let (mut sum, mut pods, mut bound) = (0.0, 0.0, 0.0_f64);
        for (number, (heavy, fixed)) in self.loads.iter().zip(ascending).enumerate() {
            sum += heavy + fixed;
            pods += 1.0;
            let rest = lightest[(number + 1) * fewest.saturating_sub(1)];
            let apart = (sum + rest) / pods;
            let shared = number.checked_sub(1).map_or(f64::INFINITY, |before| {
                least_fixed + self.loads[before] + heavy + lightest[fewest.saturating_sub(2)]
            });
            bound = bound.max(apart.min(shared));
        }
        bound
    }

    /// The lowest load of a pod with members without partitions.
    fn least_fixed(&self) -> f64 {
        let fixed = self.consuming().map(|pod| self.fixed[pod]);
        fixed.fold(f64::INFINITY, f64::min)
    }

    /// The smallest number of partitions of a pod with members.
    fn fewest(&self) -> usize {
        let fewest = self.consuming().map(|pod| self.minimum(pod)).min();
        fewest.unwrap_or(0)
    }

    /// The load up to which all pods with members would be filled if partitions were divisible.
    fn level(&self) -> f64 {
        let mut fixed: Vec<f64> = self.consuming().map(|pod| self.fixed[pod]).collect();
        fixed.sort_unstable_by(f64::total_cmp);
        let mut sum: f64 = self.loads.iter().sum();
        let mut level = 0.0;
        for (number, load) in fixed.iter().enumerate() {
            // Filled as high as the next pod, the pods so far would hold more than there is.
            if number > 0 && level <= *load {
                break;
            }
            sum += load;
            #[expect(clippy::cast_precision_loss, reason = "a number of pods")]
            let pods = (number + 1) as f64;
            level = sum / pods;
        }
        level
    }
}

/// A number, or 0 if it is missing or not finite.
fn valid(number: Option<f64>) -> f64 {
    number.filter(|number| number.is_finite()).unwrap_or(0.0)
}
