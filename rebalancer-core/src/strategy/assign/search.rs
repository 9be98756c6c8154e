//! The search for owners with a low peak.
//!
//! The peak falls only if the most loaded pod gives something. So each step takes that pod, and
//! looks for an exchange with another pod after which both are below the peak: one partition
//! against one or none, two against two, or one each around three pods. The search ends when there
//! is none.

use super::instance::Instance;

/// The relative rounding error of sums of loads.
pub(super) const EPSILON: f64 = 1e-9;

/// The smallest relative improvement of a pod that counts. Far below the tolerances, but it ends
/// long series of small steps.
const LEAST_GAIN: f64 = 2e-4;

/// The number of partitions of a pod up to which pairs are exchanged. With more, an exchange of
/// single partitions nearly always exists.
const MOST_FOR_PAIRS: usize = 64;

/// The number of partners, the coldest ones, that are tried first, and with which pairs are
/// exchanged. Also the number of pods up to which exchanges around three pods are searched.
const MOST_PARTNERS: usize = 48;

/// The number of random exchanges from which a local search starts again.
const SWAPS_PER_SHAKE: usize = 3;

/// Partitions and their new owners.
type Exchange = Vec<(usize, usize)>;

/// Owners of all partitions, and the loads that follow. Each member owns `quota` partitions or one
/// more, unless the state is under construction.
#[derive(Debug, Clone)]
pub(super) struct State<'a> {
    instance: &'a Instance<'a>,
    owners: Vec<usize>,
    /// The number of partitions of each member.
    counts: Vec<usize>,
    /// The load of each pod.
    loads: Vec<f64>,
    /// The partitions of each pod, heaviest first.
    lists: Vec<Vec<usize>>,
}

impl<'a> State<'a> {
    pub(super) fn new(instance: &'a Instance<'a>, owners: Vec<usize>) -> Self {
        let mut counts = vec![0; instance.members()];
        let mut loads = instance.fixed.clone();
        let mut lists = vec![Vec::new(); instance.pods()];
        for (partition, owner) in owners.iter().enumerate() {
            let pod = instance.pod_of[*owner];
            counts[*owner] += 1;
            loads[pod] += instance.loads[partition];
            lists[pod].push(partition);
        }
        Self {
            instance,
            owners,
            counts,
            loads,
            lists,
        }
    }

    /// The owners of the partitions.
    pub(super) fn owners(&self) -> &[usize] {
        &self.owners
    }

    /// The pods of the partitions.
    pub(super) fn pods(&self) -> Vec<usize> {
        let pods = self.owners.iter().map(|owner| self.instance.pod_of[*owner]);
        pods.collect()
    }

    /// The highest load of a pod with members.
    pub(super) fn peak(&self) -> f64 {
        let loads = self.instance.consuming().map(|pod| self.loads[pod]);
        loads.fold(0.0, f64::max)
    }

    /// The load and the number of the partitions that are not with their current owners.
    pub(super) fn moved(&self) -> (f64, usize) {
        let moved = self.owners.iter().zip(&self.instance.home).enumerate();
        moved
            .filter(|(_, (owner, home))| owner != home)
            .fold((0.0, 0), |(load, count), (partition, _)| {
                (load + self.weight(partition), count + 1)
            })
    }

    /// Lowers the peak until it is at most `goal` or no exchange lowers it.
    pub(super) fn improve(&mut self, goal: f64) {
        // Each step lowers the peak or the number of pods at it, so this limit is not reached in
        // practice.
        for _ in 0..20 * (self.instance.len() + self.instance.pods()) {
            let Some(hot) = self.hottest() else { return };
            if self.loads[hot] <= goal {
                return;
            }
            let Some(exchange) = self.relief(hot) else {
                return;
            };
            self.apply(&exchange);
        }
    }

    /// Exchanges a few partitions of the most loaded pod at random and lowers the peak again,
    /// several times, and keeps the best result (iterated local search). The random numbers are
    /// always the same.
    pub(super) fn shake(&mut self, goal: f64, attempts: usize) {
        let mut random = 0x2545_F491_4F6C_DD1D_u64;
        let mut below = |limit: usize| {
            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
            usize::try_from(random >> 33).unwrap_or(0) % limit.max(1)
        };
        let mut peak = self.peak();
        for _ in 0..attempts {
            if peak <= goal {
                return;
            }
            let mut other = self.clone();
            for _ in 0..SWAPS_PER_SHAKE {
                let Some(hot) = other.hottest() else { return };
                let list = &other.lists[hot];
                let Some(one) = list.get(below(list.len())).copied() else {
                    return;
                };
                let two = below(self.instance.len());
                if other.may_swap(one, two) {
                    other.apply(&other.swap(one, two));
                }
            }
            other.improve(goal);
            if other.peak() < peak {
                peak = other.peak();
                *self = other;
            }
        }
    }

    /// Brings the peak to at most `limit` with little load moved. Returns whether it succeeded.
    pub(super) fn settle_below(&mut self, limit: f64) -> bool {
        for _ in 0..20 * (self.instance.len() + self.instance.pods()) {
            let Some(hot) = self.hottest() else {
                return true;
            };
            if self.loads[hot] <= limit {
                return true;
            }
            let exchange = self.cheapest_below(hot, limit);
            let Some(exchange) = exchange.or_else(|| self.relief(hot)) else {
                return false;
            };
            self.apply(&exchange);
        }
        false
    }

    /// Returns partitions to their current owners as long as no pod exceeds `limit`.
    pub(super) fn bring_home(&mut self, limit: f64) {
        // Each return lowers the moved load, or the number of moved partitions at the same load.
        let mut changed = true;
        while changed {
            changed = false;
            for partition in 0..self.instance.len() {
                if self.owners[partition] != self.instance.home[partition]
                    && let Some(exchange) = self.way_home(partition, limit)
                {
                    self.apply(&exchange);
                    changed = true;
                }
            }
        }
    }

    fn load(&self, partition: usize) -> f64 {
        self.instance.loads[partition]
    }

    /// The load of a partition as far as moving it has a cost.
    fn weight(&self, partition: usize) -> f64 {
        self.instance.weights[partition]
    }

    /// The most loaded pod with members.
    fn hottest(&self) -> Option<usize> {
        self.instance
            .consuming()
            .max_by(|a, b| self.loads[*a].total_cmp(&self.loads[*b]))
    }

    fn apply(&mut self, exchange: &[(usize, usize)]) {
        for (partition, member) in exchange {
            let from = self.owners[*partition];
            let (before, now) = (self.instance.pod_of[from], self.instance.pod_of[*member]);
            self.owners[*partition] = *member;
            self.counts[from] -= 1;
            self.counts[*member] += 1;
            if before == now {
                continue;
            }
            self.loads[before] -= self.load(*partition);
            self.loads[now] += self.load(*partition);
            if let Ok(position) = self.lists[before].binary_search(partition) {
                self.lists[before].remove(position);
            }
            if let Err(position) = self.lists[now].binary_search(partition) {
                self.lists[now].insert(position, *partition);
            }
        }
    }

    /// An exchange after which the pod and its partners have less than the pod has now.
    fn relief(&self, hot: usize) -> Option<Exchange> {
        let mut partners: Vec<usize> = self.instance.consuming().collect();
        partners.retain(|pod| *pod != hot);
        let colder = |a: &usize, b: &usize| self.loads[*a].total_cmp(&self.loads[*b]);
        // Usually one of the coldest pods is a partner, and sorting all of them is not necessary.
        if partners.len() > MOST_PARTNERS {
            partners.select_nth_unstable_by(MOST_PARTNERS, colder);
        }
        let few = MOST_PARTNERS.min(partners.len());
        let (coldest, others) = partners.split_at_mut(few);
        coldest.sort_unstable_by(colder);
        let single = |pods: &[usize]| pods.iter().find_map(|cold| self.single(hot, *cold));
        single(coldest)
            .or_else(|| {
                others.sort_unstable_by(colder);
                single(others)
            })
            .or_else(|| self.pair(hot, coldest))
            .or_else(|| self.cycle(hot, coldest))
    }

    /// The smallest improvement of a pod that counts.
    fn noise(&self, hot: usize) -> f64 {
        LEAST_GAIN * self.loads[hot].abs()
    }

    /// Whether a member may give a partition without getting one.
    fn has_extra(&self, member: usize) -> bool {
        self.counts[member] > self.instance.quota
    }

    /// A member of the pod that may get a partition without giving one.
    fn taker(&self, pod: usize, partition: usize) -> Option<usize> {
        let members = self.instance.members_of[pod].iter().copied();
        members
            .filter(|member| self.counts[*member] <= self.instance.quota)
            .find(|member| self.instance.may_own(partition, *member))
    }

    /// Whether the owners of two partitions may exchange them.
    fn may_swap(&self, one: usize, other: usize) -> bool {
        self.instance.may_own(one, self.owners[other])
            && self.instance.may_own(other, self.owners[one])
    }

    fn swap(&self, one: usize, other: usize) -> Exchange {
        vec![(one, self.owners[other]), (other, self.owners[one])]
    }

    /// The exchange of one partition for one or none that leaves both pods closest to each other.
    fn single(&self, hot: usize, cold: usize) -> Option<Exchange> {
        let gap = self.loads[hot] - self.loads[cold];
        let (half, noise) = (gap / 2.0, self.noise(hot));
        let mut best: Option<(f64, Exchange)> = None;
        let mut consider = |shift: f64, exchange: &dyn Fn() -> Exchange| {
            let distance = (shift - half).abs();
            if shift > noise
                && shift < gap - noise
                && best.as_ref().is_none_or(|(least, _)| distance < *least)
            {
                best = Some((distance, exchange()));
            }
        };
        let list = &self.lists[cold];
        for one in self.lists[hot].iter().copied() {
            let load = self.load(one);
            if self.has_extra(self.owners[one])
                && let Some(taker) = self.taker(cold, one)
            {
                consider(load, &|| vec![(one, taker)]);
            }
            let middle = list.partition_point(|other| self.load(*other) > load - half);
            let (heavier, lighter) = list.split_at(middle);
            let possible = |other: &&usize| self.may_swap(one, **other);
            for other in [
                heavier.iter().rev().find(possible),
                lighter.iter().find(possible),
            ]
            .into_iter()
            .flatten()
            {
                consider(load - self.load(*other), &|| self.swap(one, *other));
            }
        }
        best.map(|(_, exchange)| exchange)
    }

    /// An exchange of two partitions for two with one of the partners, that leaves both pods
    /// closest to each other.
    fn pair(&self, hot: usize, partners: &[usize]) -> Option<Exchange> {
        let size = |pod: usize| self.lists[pod].len();
        if self.instance.has_racks() || size(hot) > MOST_FOR_PAIRS {
            return None;
        }
        let of_hot = self.pairs(hot);
        let mut small = partners
            .iter()
            .copied()
            .filter(|pod| size(*pod) <= MOST_FOR_PAIRS);
        small.find_map(|cold| self.pair_with(hot, &of_hot, cold))
    }

    fn pair_with(
        &self,
        hot: usize,
        of_hot: &[(f64, usize, usize)],
        cold: usize,
    ) -> Option<Exchange> {
        let gap = self.loads[hot] - self.loads[cold];
        let (half, noise) = (gap / 2.0, self.noise(hot));
        let of_cold = self.pairs(cold);
        let mut best: Option<(f64, [usize; 4])> = None;
        for (sum, one, two) in of_hot {
            let middle = of_cold.partition_point(|(other, _, _)| *other > sum - half);
            for (other, three, four) in of_cold.iter().skip(middle.saturating_sub(1)).take(2) {
                let shift = sum - other;
                let distance = (shift - half).abs();
                if shift > noise
                    && shift < gap - noise
                    && best.is_none_or(|(least, _)| distance < least)
                {
                    best = Some((distance, [*one, *two, *three, *four]));
                }
            }
        }
        let (_, [one, two, three, four]) = best?;
        let mut exchange = self.swap(one, three);
        exchange.extend(self.swap(two, four));
        Some(exchange)
    }

    /// All pairs of partitions of a pod with their sums, the heaviest pair first.
    fn pairs(&self, pod: usize) -> Vec<(f64, usize, usize)> {
        let list = &self.lists[pod];
        let mut pairs: Vec<(f64, usize, usize)> = list
            .iter()
            .enumerate()
            .flat_map(|(position, one)| {
                let others = list[position + 1..].iter();
                others.map(|two| (self.load(*one) + self.load(*two), *one, *two))
            })
            .collect();
        pairs.sort_by(|a, b| b.0.total_cmp(&a.0));
        pairs
    }

    /// An exchange around three pods: `hot` gives a partition to the second, which gives one to the
    /// third, which gives one to `hot`. Returns the one with the lowest highest load.
    fn cycle(&self, hot: usize, partners: &[usize]) -> Option<Exchange> {
        if self.instance.has_racks() || self.instance.pods() > MOST_PARTNERS {
            return None;
        }
        let limit = self.loads[hot] - self.noise(hot);
        let mut best: Option<(f64, [usize; 3])> = None;
        for second in partners.iter().copied() {
            for one in self.lists[hot].iter().copied() {
                for two in self.lists[second].iter().copied() {
                    let of_second = self.loads[second] + self.load(one) - self.load(two);
                    if of_second >= limit {
                        continue;
                    }
                    for third in partners.iter().copied().filter(|third| *third != second) {
                        let of_third = self.loads[third] + self.load(two);
                        // The partition that equals the loads of the first and the third pod.
                        let wanted = (of_third - (self.loads[hot] - self.load(one))) / 2.0;
                        let list = &self.lists[third];
                        let middle = list.partition_point(|other| self.load(*other) > wanted);
                        for three in list.iter().skip(middle.saturating_sub(1)).take(2) {
                            let of_hot = self.loads[hot] - self.load(one) + self.load(*three);
                            let highest = of_second.max(of_hot).max(of_third - self.load(*three));
                            if highest < limit && best.is_none_or(|(least, _)| highest < least) {
                                best = Some((highest, [one, two, *three]));
                            }
                        }
                    }
                }
            }
        }
        let (_, [one, two, three]) = best?;
        Some(vec![
            (one, self.owners[two]),
            (two, self.owners[three]),
            (three, self.owners[one]),
        ])
    }

    /// The exchange that brings the pod to at most `limit`, keeps the other pod below it, and moves
    /// the least load.
    fn cheapest_below(&self, hot: usize, limit: f64) -> Option<Exchange> {
        let excess = self.loads[hot] - limit;
        let mut best: Option<(f64, usize, Option<usize>, usize)> = None;
        for cold in self.instance.consuming() {
            let room = limit - self.loads[cold];
            if cold == hot || room < excess {
                continue;
            }
            for one in self.lists[hot].iter().copied() {
                let load = self.load(one);
                if load < excess {
                    break;
                }
                let cost = self.weight(one);
                if load <= room
                    && best.is_none_or(|(least, ..)| cost < least)
                    && self.has_extra(self.owners[one])
                    && let Some(taker) = self.taker(cold, one)
                {
                    best = Some((cost, one, None, taker));
                }
                // The lightest partition that leaves the other pod below the limit.
                let list = &self.lists[cold];
                let end = list.partition_point(|other| self.load(*other) >= load - room);
                let other = list[..end]
                    .iter()
                    .rev()
                    .find(|other| self.may_swap(one, **other));
                if let Some(other) = other
                    && load - self.load(*other) >= excess
                    && best.is_none_or(|(least, ..)| cost + self.weight(*other) < least)
                {
                    best = Some((
                        cost + self.weight(*other),
                        one,
                        Some(*other),
                        self.owners[*other],
                    ));
                }
            }
        }
        let (_, one, other, taker) = best?;
        Some(match other {
            Some(other) => self.swap(one, other),
            None => vec![(one, taker)],
        })
    }

    /// The exchange that returns a partition to its current owner and saves the most, without a pod
    /// above `limit`.
    fn way_home(&self, partition: usize, limit: f64) -> Option<Exchange> {
        let home = self.instance.home[partition];
        let away = self.owners[partition];
        if !self.instance.may_own(partition, home) {
            return None;
        }
        let (near, far) = (self.instance.pod_of[home], self.instance.pod_of[away]);
        let fits = |shift: f64| {
            near == far || (self.loads[near] + shift <= limit && self.loads[far] - shift <= limit)
        };
        let (load, weight) = (self.load(partition), self.weight(partition));
        // What is saved, in load and in partitions.
        let mut best: Option<((f64, i8), Exchange)> = None;
        if self.has_extra(away) && !self.has_extra(home) && fits(load) {
            best = Some(((weight, 1), vec![(partition, home)]));
        }
        let of_home = self.lists[near].iter().copied();
        for other in of_home.filter(|other| self.owners[*other] == home) {
            let saved = match self.instance.home[other] {
                owner if owner == away => (weight + self.weight(other), 2),
                owner if owner == home => (weight - self.weight(other), 0),
                _ => (weight, 1),
            };
            let saves = saved.0 > EPSILON * weight || (saved.0 >= 0.0 && saved.1 > 0);
            let more = |(least, _): &((f64, i8), Exchange)| saved > *least;
            if saves
                && best.as_ref().is_none_or(more)
                && fits(load - self.load(other))
                && self.instance.may_own(other, away)
            {
                best = Some((saved, self.swap(partition, other)));
            }
        }
        best.map(|(_, exchange)| exchange)
    }
}
