//! Backtest: the decisions that runs on a schedule would have made on the metrics of the past.
//!
//! | module | contents |
//! |---|---|
//! | [`history`] | the metrics of the past, as series of each pod |
//! | `past_pods` | the pods at each time of the past, as far as the series show them |
//! | [`replay`] | the decision at each time, with the records of the decisions before it |
//! | [`document`] | the document of the results |

pub mod document;
pub mod history;
mod past_pods;
pub mod replay;

#[doc(inline)]
pub use document::{BacktestAction, BacktestHold, BacktestImbalance, BacktestReport};
#[doc(inline)]
pub use history::{MetricsHistory, PartialSpan, PodSeries};
#[doc(inline)]
pub use replay::{Circumstances, Replay};
