//! The simulated PodDisruptionBudget.

/// A PodDisruptionBudget for the workload's pods.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Budget {
    /// The name.
    pub name: String,
    /// The limit.
    pub limit: BudgetLimit,
}

/// The limit of a budget, in pods.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BudgetLimit {
    /// `maxUnavailable`: the number of replicas that may be missing.
    MaxUnavailable(u32),
    /// `minAvailable`: the number of pods that must remain.
    MinAvailable(u32),
}

impl Budget {
    /// A budget that allows at most `pods` of the replicas to be missing.
    #[must_use]
    pub fn max_unavailable(name: impl Into<String>, pods: u32) -> Self {
        Self {
            name: name.into(),
            limit: BudgetLimit::MaxUnavailable(pods),
        }
    }

    /// A budget that requires that at least `pods` remain.
    #[must_use]
    pub fn min_available(name: impl Into<String>, pods: u32) -> Self {
        Self {
            name: name.into(),
            limit: BudgetLimit::MinAvailable(pods),
        }
    }

    /// The number of healthy pods that the budget requires.
    pub(crate) fn needed(&self, replicas: u32) -> usize {
        let needed = match self.limit {
            BudgetLimit::MaxUnavailable(pods) => replicas.saturating_sub(pods),
            BudgetLimit::MinAvailable(pods) => pods,
        };
        needed as usize
    }
}
