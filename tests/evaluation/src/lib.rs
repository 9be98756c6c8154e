//! How good forecasts and strategies are, measured on recorded and simulated consumer groups.

pub mod calibration;
pub mod efficacy;
pub mod episode;
