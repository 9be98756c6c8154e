//! Strategies: [`rotate_outliers`] and [`forecast`] choose the pods to evict, [`assign`] an
//! assignment to hand out to the group, and [`rejoin`] the pods whose members rejoin it.

pub mod assign;
pub mod assignment_forecast;
mod choice;
pub mod forecast;
pub mod group_report;
pub mod rejoin;
pub mod rejoin_forecast;
pub mod rotate_outliers;

pub(crate) use assign::AssignVerdict;
pub(crate) use choice::{Choice, StrategyInput, StrategyOutcome, choose};
pub(crate) use rejoin::RejoinVerdict;
pub(crate) use rotate_outliers::{OutlierVerdict, RotateOutliers};
