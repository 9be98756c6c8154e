//! The measurement of a pod's load.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::quantity::{Load, Seconds};

/// The measurement of a pod's load by the metrics.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Measurement {
    /// The metrics have no load of the pod, which is never the same as a load of zero. Some facts
    /// about its samples may be known nevertheless.
    Missing(SampleInfo),
    /// The metrics have a value for the pod that is not a load.
    Faulty(SampleFault, SampleInfo),
    /// The load of the pod.
    Load(Load, SampleInfo),
}

impl Default for Measurement {
    fn default() -> Self {
        Self::Missing(SampleInfo::default())
    }
}

impl Measurement {
    /// A load, or the reason why the value is not a load.
    #[must_use]
    pub fn new(value: Result<Load, SampleFault>, samples: SampleInfo) -> Self {
        match value {
            Ok(load) => Self::Load(load, samples),
            Err(fault) => Self::Faulty(fault, samples),
        }
    }

    /// The load, if the pod has one.
    #[must_use]
    pub fn load(&self) -> Option<Load> {
        match self {
            Self::Load(load, _) => Some(*load),
            Self::Missing(_) | Self::Faulty(..) => None,
        }
    }

    /// Whether the metrics have a value for the pod, a faulty one included.
    #[must_use]
    pub fn has_value(&self) -> bool {
        match self {
            Self::Load(..) | Self::Faulty(..) => true,
            Self::Missing(_) => false,
        }
    }

    /// The samples behind the measurement.
    #[must_use]
    pub fn samples(&self) -> &SampleInfo {
        match self {
            Self::Missing(samples) | Self::Faulty(_, samples) | Self::Load(_, samples) => samples,
        }
    }

    /// The samples behind the measurement, for changes.
    #[must_use]
    pub fn samples_mut(&mut self) -> &mut SampleInfo {
        match self {
            Self::Missing(samples) | Self::Faulty(_, samples) | Self::Load(_, samples) => samples,
        }
    }

    /// Number of series of the measured container, if the metrics have more than one of them, so
    /// that its load is counted more than once.
    #[must_use]
    pub fn duplicate_series(&self) -> Option<u32> {
        let series = self.samples().series;
        (series > 1).then_some(series)
    }
}

/// The samples behind a measurement.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SampleInfo {
    /// Age of the newest sample, in seconds; `None` if unknown.
    pub age: Option<Seconds>,
    /// Number of series of the measured container. More than one are duplicates, for example of two
    /// scrape jobs.
    pub series: u32,
    /// Whether there are samples in the first half of the rate window; `true` if unknown.
    pub window_covered: bool,
}

impl Default for SampleInfo {
    /// Samples of one series that cover the window, of unknown age.
    fn default() -> Self {
        Self {
            age: None,
            series: 1,
            window_covered: true,
        }
    }
}

/// A label whose values differ among the duplicate series of one container.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct DifferingLabel {
    /// The name of the label.
    pub name: String,
    /// Its values, sorted. The empty value is that of a series without the label.
    pub values: Vec<String>,
}

/// Why a value of the metrics is not a load.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum SampleFault {
    /// NaN or infinite.
    #[error("the query answered a number that is not finite (NaN or Inf)")]
    NotFinite,
    /// Negative.
    #[error("the query answered a negative number")]
    Negative,
}

/// The unit of the loads of a snapshot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LoadUnit {
    /// CPU cores.
    Cores,
    /// The unit of a custom load query, which is unknown.
    Custom,
}

impl LoadUnit {
    /// An amount of load in this unit: `1.050 cores`, or `1.050` if the unit is unknown.
    pub fn amount(self, value: f64) -> impl fmt::Display {
        fmt::from_fn(move |f| {
            write!(f, "{value:.3}")?;
            match self {
                Self::Cores => f.write_str(" cores"),
                Self::Custom => Ok(()),
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_missing_measurement_has_no_value() {
        let samples = SampleInfo::default();
        assert!(!Measurement::default().has_value());
        assert!(Measurement::Faulty(SampleFault::Negative, samples).has_value());
        assert!(Measurement::Load(Load::ZERO, samples).has_value());
        assert_eq!(Measurement::default().load(), None);
    }

    #[test]
    fn two_series_are_duplicates() {
        let samples = SampleInfo {
            series: 2,
            ..SampleInfo::default()
        };
        let measurement = Measurement::Load(Load::ZERO, samples);
        assert_eq!(measurement.duplicate_series(), Some(2));
        let measurement = Measurement::Load(Load::ZERO, SampleInfo::default());
        assert_eq!(measurement.duplicate_series(), None);
    }

    #[test]
    fn only_cores_have_a_name() {
        assert_eq!(LoadUnit::Cores.amount(1.05).to_string(), "1.050 cores");
        assert_eq!(LoadUnit::Custom.amount(1500.0).to_string(), "1500.000");
    }
}
