//! Strategies: rules that choose victims among the eligible pods, and [`assign`], which chooses an
//! assignment to hand out to the group.

pub mod assign;
pub mod assignment_forecast;
mod choice;
pub mod forecast;
pub mod group_report;
pub mod rotate_outliers;

pub(crate) use assign::AssignVerdict;
pub(crate) use choice::{Choice, StrategyInput, StrategyOutcome, choose};
pub(crate) use rotate_outliers::{OutlierVerdict, RotateOutliers};
