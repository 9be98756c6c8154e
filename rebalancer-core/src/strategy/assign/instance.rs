//! The balancing problem in plain numbers.

use kafka_assignors::{Assignment, MemberIndex, PartitionIndex, RackRule};

use super::problem::AssignProblem;
use crate::forecast::Attribution;
use crate::group::GroupModel;

/// The partitions by descending load, the members and the pods, all as plain indices.
#[derive(Debug, Clone)]
pub(super) struct Instance<'a> {
    /// The load of each partition, descending.
    pub(super) loads: Vec<f64>,
    /// The partition at each position of that order.
    pub(super) partitions: Vec<PartitionIndex>,
    /// The current owner of each partition.
    pub(super) home: Vec<usize>,
    /// The load of each pod without partitions: base and residual, less the [excess](Self::shift)
    /// of a pod that is slow.
    pub(super) fixed: Vec<f64>,
    /// Base and residual of each pod.
    own: Vec<f64>,
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
        let own: Vec<f64> = (0..pods)
            .map(|pod| valid(Some(attribution.base)) + residual(pod))
            .collect();
        let mut instance = Self {
            loads: owned.iter().map(|(load, _, _)| *load).collect(),
            partitions: owned.iter().map(|(_, partition, _)| *partition).collect(),
            home: owned.iter().map(|(_, _, owner)| *owner).collect(),
            fixed: own.clone(),
            own,
            pod_of,
            members_of,
            quota: owned.len() / members.max(1),
            extras: owned.len() % members.max(1),
            racks,
        };
        instance.shift();
        Ok(instance)
    }

    /// Lowers the fixed load of each pod that exceeds the others even with the lightest partitions,
    /// so that it is level with them if it owns just these. Such a pod would determine the
    /// peak, whatever the others own, and they would not be balanced.
    fn shift(&mut self) {
        let lightest = self.lightest();
        // The level falls a little when more pods take part in it.
        for _ in 0..3 {
            let common = self.common_bound(&self.fixed, &lightest);
            for pod in self.consuming().collect::<Vec<usize>>() {
                let excess = self.own[pod] + lightest[self.minimum(pod)] - common;
                self.fixed[pod] = self.own[pod] - excess.max(0.0);
            }
        }
    }

    /// The instance in which slow pods stand out. `None` if there are none.
    pub(super) fn unshifted(&self) -> Option<Self> {
        (self.fixed != self.own).then(|| Self {
            fixed: self.own.clone(),
            ..self.clone()
        })
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
    /// - for each *k*: the *k* heaviest partitions are in different pods, which also own their minimum
    ///   number of partitions, on average the lightest ones; or two of them share a pod.
    ///
    /// Racks are not considered.
    pub(super) fn lower_bound(&self) -> f64 {
        self.bound(&self.own)
    }

    /// The lower bound that the search aims at, in which slow pods do not stand out.
    pub(super) fn goal(&self) -> f64 {
        self.bound(&self.fixed)
    }

    fn bound(&self, fixed: &[f64]) -> f64 {
        let lightest = self.lightest();
        let own = self
            .consuming()
            .map(|pod| fixed[pod] + lightest[self.minimum(pod)]);
        own.fold(self.common_bound(fixed, &lightest), f64::max)
    }

    /// The bound without the pods' own loads.
    fn common_bound(&self, fixed: &[f64], lightest: &[f64]) -> f64 {
        let pods = self.consuming().count();
        let least_fixed = self.consuming().map(|pod| fixed[pod]);
        let least_fixed = least_fixed.fold(f64::INFINITY, f64::min);
        let fewest = self.consuming().map(|pod| self.minimum(pod)).min();
        let fewest = fewest.unwrap_or(0);
        let mut bound = self.level(fixed).max(0.0);
        for together in 1..=self.len() {
            // One pod owns this many of the heaviest partitions up to `last`.
            let last = pods * (together - 1);
            if pods == 0 || last >= self.len() {
                break;
            }
            let heavy: f64 = self.loads[last + 1 - together..=last].iter().sum();
            let rest = lightest[fewest.saturating_sub(together)];
            bound = bound.max(least_fixed + heavy + rest);
        }
        let mut ascending: Vec<f64> = self.consuming().map(|pod| fixed[pod]).collect();
        ascending.sort_unstable_by(f64::total_cmp);
        let (mut sum, mut pods) = (0.0, 0.0);
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

    /// The load up to which all pods with members would be filled if partitions were divisible.
    fn level(&self, fixed: &[f64]) -> f64 {
        let mut fixed: Vec<f64> = self.consuming().map(|pod| fixed[pod]).collect();
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
