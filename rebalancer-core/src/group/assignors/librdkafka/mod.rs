//! What librdkafka's sticky assignors are made of.

pub(super) mod loads;
pub(super) mod queue;
