//! What-if: the loads of a consumer group with other replicas, another assignor, or more
//! partitions.
//!
//! A scenario is a change of the group. Its effect is computed with the model of the forecast: the
//! loads are attributed to the partitions, the group's own assignor deals the partitions to the
//! changed members, and the loads are summed for each pod. What is unknown, such as the ids of new
//! members, is drawn, and the results are distributions over many draws.
//!
//! | module | contents |
//! |---|---|
//! | [`axes`] | the combinations of the changes that an operator asks for |
//! | [`document`] | the document of the results |
//! | `change` | a scenario applied to a group, and one drawn outcome |
//! | `evaluate` | the results of all scenarios, and what they assume |
//! | `alternative` | the changes that help where evictions cannot |

mod alternative;
pub mod axes;
mod change;
pub mod document;
mod evaluate;

pub(crate) use alternative::alternatives;
#[doc(inline)]
pub use axes::{Scenario, ScenarioAxes, TooManyScenarios};
#[doc(inline)]
pub use document::{ScenarioForecast, ScenarioReport, ScenarioResult};
#[doc(inline)]
pub use evaluate::{ScenarioProblem, what_if};
