//! The consumer group: its queries, and the observation from their responses.

mod labels;
mod observation;
mod presets;
mod source;
mod topics;

pub(crate) use observation::{Owners, Rates, observation};
pub use presets::GroupMetrics;
pub use source::GroupSource;
