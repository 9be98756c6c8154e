//! The preflight of `rebalancer check`: its document, and the lines about each subject.
//!
//! The rules are those of a run: the adapters read the same data, and the verdicts are the checks
//! of the decision. Nothing is changed.

pub(crate) mod decided;
mod document;
pub(crate) mod observed;
pub(crate) mod rights;
pub(crate) mod role;

pub use document::{CheckLine, CheckReport, CheckSection, CheckStatus, SCHEMA, Subject};
