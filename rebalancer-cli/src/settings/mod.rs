//! The configuration: read in layers, checked as a whole, typed.
//!
//! `definitions` defines each setting once. `layers` merges the values that the user gave,
//! `reader` parses them, and `sources` assembles the typed [`Settings`].

mod definition;
mod definitions;
pub(crate) mod duration;
mod error;
mod file;
mod group;
mod kafka;
mod layers;
mod near_miss;
mod notifications;
mod own_metrics;
mod policy;
mod reader;
#[cfg(feature = "schema")]
mod schema;
mod serve;
mod smallest;
mod sources;
mod types;
mod value;
mod workload;

pub use definition::Setting;
pub use definitions::{SECTIONS, Section, all, by_env, by_policy_field};
pub use error::SettingsError;
#[cfg(feature = "fuzzing")]
pub(crate) use file::FileText;
pub(crate) use file::GivenFile;
pub(crate) use near_miss::CONFIG;
#[cfg(feature = "schema")]
pub use schema::schema;
pub(crate) use serve::StartSettings;
pub use sources::Sources;
pub use types::{
    ApprovalMode, Interface, LeaderElectionSettings, LogFormat, LogLevel, NotifyEvent,
    NotifyFormat, NotifySettings, OutputFormat, OwnMetricsSettings, ReportFormat, ServeSettings,
    Settings, TargetSource, WorkloadSettings,
};
pub(crate) use types::{SteeringSettings, WorkloadToSteer};
pub use value::JsonType;

#[cfg(test)]
mod tests;
