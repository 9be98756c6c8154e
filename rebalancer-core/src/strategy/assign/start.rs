//! The owners from which the search starts.

use std::collections::{BTreeMap, VecDeque};

use super::instance::Instance;

/// Returns the current owners, changed as little as possible so that each member owns its share and
/// may own each of its partitions. `None` if racks make that impossible.
pub(super) fn from_current(instance: &Instance<'_>) -> Option<Vec<usize>> {
    let mut start = Start::new(instance);
    let mut by_count: Vec<usize> = (0..instance.members()).collect();
    by_count.sort_by_key(|member| std::cmp::Reverse(start.lists[*member].len()));
    for (rank, member) in by_count.into_iter().enumerate() {
        // The members that own the most keep one partition beyond the quota.
        let share = instance.quota + usize::from(rank < instance.extras);
        start.lists[member].truncate(share);
    }
    start.collect_unplaced();
    let pod_loads = &mut instance.fixed.clone();
    for (member, list) in start.lists.iter().enumerate() {
        for partition in list {
            pod_loads[instance.pod_of[member]] += instance.loads[*partition];
        }
    }
    for partition in std::mem::take(&mut start.unplaced) {
        let taker = (0..instance.members())
            .filter(|member| start.has_room(*member) && instance.may_own(partition, *member))
            .min_by(|a, b| {
                pod_loads[instance.pod_of[*a]].total_cmp(&pod_loads[instance.pod_of[*b]])
            });
        match taker {
            Some(member) => {
                pod_loads[instance.pod_of[member]] += instance.loads[partition];
                start.lists[member].push(partition);
            }
            None => start.make_room(partition)?,
        }
    }
    Some(start.owners())
}

/// Owners under construction. Partitions are listed with the heaviest first.
struct Start<'a> {
    instance: &'a Instance<'a>,
    lists: Vec<Vec<usize>>,
    unplaced: Vec<usize>,
}

impl<'a> Start<'a> {
    fn new(instance: &'a Instance<'a>) -> Self {
        let mut lists = vec![Vec::new(); instance.members()];
        for (partition, owner) in instance.home.iter().enumerate() {
            if instance.may_own(partition, *owner) {
                lists[*owner].push(partition);
            }
        }
        Self {
            instance,
            lists,
            unplaced: Vec::new(),
        }
    }

    fn collect_unplaced(&mut self) {
        let mut placed = vec![false; self.instance.len()];
        for partition in self.lists.iter().flatten() {
            placed[*partition] = true;
        }
        self.unplaced = (0..placed.len())
            .filter(|partition| !placed[*partition])
            .collect();
    }

    /// Whether a member may get one more partition.
    fn has_room(&self, member: usize) -> bool {
        let (count, quota) = (self.lists[member].len(), self.instance.quota);
        let above = || self.lists.iter().filter(|list| list.len() > quota).count();
        count < quota || (count == quota && above() < self.instance.extras)
    }

    /// Places a partition by moving others: a breadth-first search for a chain of moves that ends
    /// at a member with room (an augmenting path of the bipartite matching).
    fn make_room(&mut self, partition: usize) -> Option<()> {
        // The partition that moves to each reached member, and the member that gives it.
        let mut reached: Vec<Option<(usize, Option<usize>)>> = vec![None; self.lists.len()];
        let mut queue = VecDeque::new();
        for (member, step) in reached.iter_mut().enumerate() {
            if self.instance.may_own(partition, member) {
                *step = Some((partition, None));
                queue.push_back(member);
            }
        }
        while let Some(member) = queue.pop_front() {
            if self.has_room(member) {
                self.shift(member, &reached);
                return Some(());
            }
            for given in &self.lists[member] {
                for (taker, step) in reached.iter_mut().enumerate() {
                    if step.is_none() && self.instance.may_own(*given, taker) {
                        *step = Some((*given, Some(member)));
                        queue.push_back(taker);
                    }
                }
            }
        }
        None
    }

    /// Moves the partitions along the chain that ends at `member`.
    fn shift(&mut self, mut member: usize, reached: &[Option<(usize, Option<usize>)>]) {
        while let Some((partition, giver)) = reached[member] {
            self.lists[member].push(partition);
            let Some(giver) = giver else { return };
            self.lists[giver].retain(|given| *given != partition);
            member = giver;
        }
    }

    fn owners(&self) -> Vec<usize> {
        let mut owners = vec![0; self.instance.len()];
        for (member, list) in self.lists.iter().enumerate() {
            for partition in list {
                owners[*partition] = member;
            }
        }
        owners
    }
}

/// The pod of each partition by the rule "heaviest partition first, to the least loaded pod that
/// has room" (LPT with bounded counts). Does not consider racks.
pub(super) fn heaviest_first(instance: &Instance<'_>) -> Vec<usize> {
    let mut loads = instance.fixed.clone();
    let mut room = Room::new(instance);
    (0..instance.len())
        .map(|partition| {
            let pod = (0..instance.pods())
                .filter(|pod| room.has(*pod))
                .min_by(|a, b| loads[*a].total_cmp(&loads[*b]))
                .unwrap_or(0);
            loads[pod] += instance.loads[partition];
            room.take(pod);
            pod
        })
        .collect()
}

/// The number of partitions that each pod may still get.
#[derive(Debug, Clone)]
pub(super) struct Room {
    /// The number of partitions that a pod lacks to the quotas of its members.
    required: Vec<usize>,
    /// The number of members of a pod that may get one beyond the quota.
    optional: Vec<usize>,
    /// The number of members of the group that may still get one beyond the quota.
    extras: usize,
}

impl Room {
    pub(super) fn new(instance: &Instance<'_>) -> Self {
        let members: Vec<usize> = instance.members_of.iter().map(Vec::len).collect();
        Self {
            required: members
                .iter()
                .map(|members| instance.quota * members)
                .collect(),
            optional: members,
            extras: instance.extras,
        }
    }

    pub(super) fn has(&self, pod: usize) -> bool {
        self.required[pod] > 0 || (self.optional[pod] > 0 && self.extras > 0)
    }

    /// The number of partitions that the pod must still get.
    pub(super) fn required(&self, pod: usize) -> usize {
        self.required[pod]
    }

    pub(super) fn take(&mut self, pod: usize) {
        if self.required[pod] > 0 {
            self.required[pod] -= 1;
        } else {
            self.optional[pod] -= 1;
            self.extras -= 1;
        }
    }

    /// Reverts [`take`](Self::take). `members` is the number of the pod's members.
    pub(super) fn give_back(&mut self, pod: usize, members: usize) {
        if self.optional[pod] < members {
            self.optional[pod] += 1;
            self.extras += 1;
        } else {
            self.required[pod] += 1;
        }
    }
}

/// Divides the partitions of each pod among its members, so that they stay with their current owner
/// where the counts allow it.
pub(super) fn within_pods(instance: &Instance<'_>, pods: &[usize]) -> Vec<usize> {
    let mut owners: Vec<Option<usize>> = vec![None; instance.len()];
    let mut counts = vec![0; instance.members()];
    let mut extras: Vec<usize> = vec![0; instance.pods()];
    for pod in pods {
        extras[*pod] += 1;
    }
    for (pod, extras) in extras.iter_mut().enumerate() {
        *extras -= instance.quota * instance.members_of[pod].len().min(*extras);
    }
    for beyond in [false, true] {
        for (partition, pod) in pods.iter().enumerate() {
            let home = instance.home[partition];
            let room = counts[home] < instance.quota || (beyond && counts[home] == instance.quota);
            if owners[partition].is_none() && instance.pod_of[home] == *pod && room {
                if counts[home] == instance.quota {
                    if extras[*pod] == 0 {
                        continue;
                    }
                    extras[*pod] -= 1;
                }
                counts[home] += 1;
                owners[partition] = Some(home);
            }
        }
    }
    let rest = owners.into_iter().zip(pods).enumerate();
    rest.map(|(partition, (owner, pod))| {
        owner.unwrap_or_else(|| {
            let members = instance.members_of[*pod].iter().copied();
            let fewest = members.min_by_key(|member| counts[*member]);
            let member = fewest.unwrap_or(instance.home[partition]);
            counts[member] += 1;
            member
        })
    })
    .collect()
}

/// Exchanges the roles of pods with the same number of members so that more load stays where it is.
/// Returns the pods unchanged if a pod would exceed `limit`.
pub(super) fn relabelled(instance: &Instance<'_>, pods: &[usize], limit: f64) -> Vec<usize> {
    let count = instance.pods();
    let members = |pod: usize| instance.members_of[pod].len();
    let mut sums = vec![0.0; count];
    // The load that stays if a pod takes over a role.
    let mut kept: BTreeMap<(usize, usize), f64> = BTreeMap::new();
    for (partition, role) in pods.iter().enumerate() {
        let pod = instance.pod_of[instance.home[partition]];
        sums[*role] += instance.loads[partition];
        if members(*role) == members(pod) {
            *kept.entry((*role, pod)).or_insert(0.0) += instance.weights[partition];
        }
    }
    let mut pairs: Vec<((usize, usize), f64)> = kept.into_iter().collect();
    pairs.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
    let fits = |role: usize, pod: usize| instance.fixed[pod] + sums[role] <= limit;
    let (mut pod_of_role, mut taken) = (vec![None; count], vec![false; count]);
    for ((role, pod), _) in pairs {
        if pod_of_role[role].is_none() && !taken[pod] && fits(role, pod) {
            pod_of_role[role] = Some(pod);
            taken[pod] = true;
        }
    }
    // The others: the heaviest role for the pod with the least load of its own.
    let mut roles: Vec<usize> = (0..count)
        .filter(|role| pod_of_role[*role].is_none())
        .collect();
    roles.sort_by(|a, b| sums[*b].total_cmp(&sums[*a]));
    let mut free: Vec<usize> = (0..count).filter(|pod| !taken[*pod]).collect();
    free.sort_by(|a, b| instance.fixed[*a].total_cmp(&instance.fixed[*b]));
    for role in roles {
        let suitable = |pod: &usize| members(*pod) == members(role) && fits(role, *pod);
        let Some(position) = free.iter().position(suitable) else {
            return pods.to_vec();
        };
        pod_of_role[role] = Some(free.remove(position));
    }
    pods.iter()
        .map(|role| pod_of_role[*role].unwrap_or(*role))
        .collect()
}
