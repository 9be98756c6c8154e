//! The account of the records of a trial.

use crate::ledger::{EarlyCommit, Ledger, Overlap};

/// The records of a group, and everything that must not happen to one.
#[derive(Debug, Clone)]
pub struct Account {
    /// The number of records that arrived.
    pub records: usize,
    /// The number of records that no consumer has processed.
    pub lost: usize,
    /// The times for which two consumers processed records of one partition.
    pub processed_by_two: Vec<Overlap>,
    /// The times for which two consumers owned one partition.
    pub owned_by_two: Vec<Overlap>,
    /// The commits of offsets whose records had not all been processed.
    pub early_commits: Vec<EarlyCommit>,
}

impl Account {
    pub(super) fn of(ledger: &Ledger) -> Self {
        Self {
            records: ledger.arrived(),
            lost: ledger.lost().len(),
            processed_by_two: ledger.processed_by_two(),
            owned_by_two: ledger.owned_by_two(),
            early_commits: ledger.early_commits(),
        }
    }
}
