//! Building blocks of librdkafka's sticky assignor.

pub(crate) mod loads;
pub(crate) mod queue;
