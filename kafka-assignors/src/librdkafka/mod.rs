//! What librdkafka's sticky assignors are made of.

pub(crate) mod loads;
pub(crate) mod queue;
