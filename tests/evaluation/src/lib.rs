//! Accuracy of forecasts and efficacy of strategies, measured on recorded and simulated consumer
//! groups.

pub mod calibration;
pub mod efficacy;
pub mod episode;
