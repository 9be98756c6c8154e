//! The PodDisruptionBudget.

/// A budget over the workload's pods.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Budget {
    /// Its name.
    pub name: String,
    /// Its limit.
    pub limit: BudgetLimit,
}

/// The limit of a budget, in pods.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BudgetLimit {
    /// `maxUnavailable`: at most so many of the replicas may be away.
    MaxUnavailable(u32),
    /// `minAvailable`: at least so many pods must stay.
    MinAvailable(u32),
}

impl Budget {
    /// A budget that allows at most `pods` of the replicas to be away.
    #[must_use]
    pub fn max_unavailable(name: impl Into<String>, pods: u32) -> Self {
        Self {
            name: name.into(),
            limit: BudgetLimit::MaxUnavailable(pods),
        }
    }

    /// A budget that demands that at least `pods` stay.
    #[must_use]
    pub fn min_available(name: impl Into<String>, pods: u32) -> Self {
        Self {
            name: name.into(),
            limit: BudgetLimit::MinAvailable(pods),
        }
    }

    /// The healthy pods that the budget demands of a workload of so many replicas.
    pub(crate) fn needed(&self, replicas: u32) -> usize {
        let needed = match self.limit {
            BudgetLimit::MaxUnavailable(pods) => replicas.saturating_sub(pods),
            BudgetLimit::MinAvailable(pods) => pods,
        };
        needed as usize
    }
}
