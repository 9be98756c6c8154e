//! The consumer group: its queries, and the observation from their responses.

mod clusters;
mod labels;
mod observation;
mod outsiders;
mod owners;
mod presets;
mod queries;
mod rates;
mod sample;
mod topics;

pub(crate) use clusters::Dispute;
pub(crate) use observation::GroupResponses;
#[cfg(feature = "fuzzing")]
pub(crate) use owners::OwnerRules;
pub(crate) use owners::Owners;
pub use presets::GroupMetrics;
pub use queries::GroupQueries;
pub(crate) use rates::Rates;
