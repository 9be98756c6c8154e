//! The allowances of PodDisruptionBudgets in a dry run.
//!
//! The server checks each eviction of a dry run alone and counts none, so a budget that allows one
//! disruption accepts every pod of the plan. Here the accepted evictions of a wave are counted
//! against the budgets. The count begins again with each wave, because a real run waits for all
//! replacements in between.

use std::collections::BTreeSet;
use std::fmt;

use crate::model::PodUid;
use crate::ports::DisruptionBudget;

/// The budgets of a dry run, and the evictions of the wave that each of them has allowed.
#[derive(Debug, Clone, Default)]
pub(super) struct Allowances {
    /// In the order of their names.
    budgets: Vec<Allowance>,
}

#[derive(Debug, Clone)]
struct Allowance {
    budget: DisruptionBudget,
    taken: usize,
}

/// A budget that allows no further eviction in the wave. Its `Display` is the message about a pod
/// that would wait for it.
#[derive(Debug)]
pub(super) struct Exhausted {
    pub(super) budget: String,
    allowed: usize,
}

impl Allowances {
    pub(super) fn new(mut budgets: Vec<DisruptionBudget>) -> Self {
        budgets.sort_by(|a, b| a.name.cmp(&b.name));
        let allowances = budgets
            .into_iter()
            .map(|budget| Allowance { budget, taken: 0 });
        Self {
            budgets: allowances.collect(),
        }
    }

    /// Begins the count of the next wave.
    pub(super) fn renew(&mut self) {
        for allowance in &mut self.budgets {
            allowance.taken = 0;
        }
    }

    /// Counts the eviction of `pod` against every budget that covers it.
    ///
    /// # Errors
    /// A budget that does not allow it. Then nothing is counted.
    pub(super) fn take(&mut self, pod: &PodUid) -> Result<(), Exhausted> {
        let covers = |allowance: &Allowance| allowance.budget.pods.contains(pod);
        let exhausted = self
            .budgets
            .iter()
            .find(|allowance| covers(allowance) && allowance.taken >= allowance.budget.allowed);
        if let Some(Allowance { budget, .. }) = exhausted {
            return Err(Exhausted {
                budget: budget.name.clone(),
                allowed: budget.allowed,
            });
        }
        for allowance in self
            .budgets
            .iter_mut()
            .filter(|allowance| covers(allowance))
        {
            allowance.taken += 1;
        }
        Ok(())
    }

    /// The budgets with these names and their numbers, as a phrase.
    pub(super) fn phrase(&self, names: &BTreeSet<&str>) -> String {
        let named = self
            .budgets
            .iter()
            .map(|allowance| &allowance.budget)
            .filter(|budget| names.contains(budget.name.as_str()))
            .map(|budget| format!("{} (allows {})", budget.name, Disruptions(budget.allowed)));
        format!(
            "PodDisruptionBudget {}",
            named.collect::<Vec<_>>().join(", ")
        )
    }
}

impl fmt::Display for Exhausted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { budget, allowed } = self;
        let disruptions = Disruptions(*allowed);
        let when = if *allowed == 0 {
            "at present"
        } else {
            "at a time"
        };
        write!(
            f,
            "PodDisruptionBudget {budget} allows {disruptions} {when}"
        )
    }
}

struct Disruptions(usize);

impl fmt::Display for Disruptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            1 => f.write_str("1 disruption"),
            count => write!(f, "{count} disruptions"),
        }
    }
}
