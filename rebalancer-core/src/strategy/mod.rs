//! Strategies: rules that choose victims among the eligible pods.

pub mod rotate_outliers;
