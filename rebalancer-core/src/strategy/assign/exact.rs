//! The exact search, which improves small groups to the optimum.
//!
//! A depth-first search over the partitions, heaviest first (branch and bound). A branch ends when
//! some pod would reach the best known peak even if it got only the lightest partitions from there
//! on. The number of steps is limited, so the result is the optimum in groups of up to about 20
//! partitions, and often in larger ones.

use super::instance::Instance;
use super::start::Room;

/// The number of steps after which the search ends.
const MOST_STEPS: usize = 20_000;

/// The number of partitions up to which the search runs.
const MOST_PARTITIONS: usize = 256;

/// An improvement is at least this large, relative to the peak.
const LEAST_IMPROVEMENT: f64 = 1e-6;

/// Returns the pod of each partition in an assignment with a peak below `peak`. `None` if there is
/// none, or the search was too long. Ends early at `bound`. Does not consider racks.
pub(super) fn search(instance: &Instance<'_>, peak: f64, bound: f64) -> Option<Vec<usize>> {
    if instance.len() > MOST_PARTITIONS {
        return None;
    }
    let mut search = Search {
        instance,
        lightest: instance.lightest(),
        loads: instance.fixed.clone(),
        room: Room::new(instance),
        chosen: Vec::with_capacity(instance.len()),
        limit: peak * (1.0 - LEAST_IMPROVEMENT),
        bound,
        best: None,
        steps: 0,
    };
    let possible = instance
        .consuming()
        .all(|pod| search.least(pod, search.room.required(pod)) < search.limit);
    if possible {
        search.descend();
    }
    search.best
}

struct Search<'a> {
    instance: &'a Instance<'a>,
    /// The sum of the lightest partitions, by their number.
    lightest: Vec<f64>,
    loads: Vec<f64>,
    room: Room,
    /// The pods of the partitions so far.
    chosen: Vec<usize>,
    /// The peak must be below this.
    limit: f64,
    bound: f64,
    best: Option<Vec<usize>>,
    steps: usize,
}

impl Search<'_> {
    /// The load of a pod if it gets this number of partitions, all of them the lightest.
    fn least(&self, pod: usize, partitions: usize) -> f64 {
        self.loads[pod] + self.lightest[partitions]
    }

    fn is_over(&self) -> bool {
        self.steps >= MOST_STEPS || self.limit <= self.bound
    }

    fn descend(&mut self) {
        self.steps += 1;
        let partition = self.chosen.len();
        if partition == self.instance.len() {
            let loads = self.instance.consuming().map(|pod| self.loads[pod]);
            let peak = loads.fold(0.0, f64::max);
            self.limit = peak * (1.0 - LEAST_IMPROVEMENT);
            self.best = Some(self.chosen.clone());
            return;
        }
        let load = self.instance.loads[partition];
        let mut pods: Vec<usize> = (0..self.loads.len())
            .filter(|pod| self.room.has(*pod))
            .collect();
        pods.sort_by(|a, b| self.loads[*a].total_cmp(&self.loads[*b]));
        let mut before: Option<(f64, usize, usize)> = None;
        for pod in pods {
            // Pods in the same state lead to the same loads.
            let members = self.instance.members_of[pod].len();
            let state = (self.loads[pod], self.room.required(pod), members);
            if before == Some(state) {
                continue;
            }
            before = Some(state);
            let required = self.room.required(pod).saturating_sub(1);
            if self.least(pod, required) + load >= self.limit {
                continue;
            }
            let loads_before = self.loads[pod];
            self.loads[pod] += load;
            self.room.take(pod);
            self.chosen.push(pod);
            self.descend();
            self.chosen.pop();
            self.room.give_back(pod, members);
            self.loads[pod] = loads_before;
            if self.is_over() {
                return;
            }
        }
    }
}
