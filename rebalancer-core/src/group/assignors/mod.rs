//! Kafka's assignors, each a pure function from members and previous owners to owners.
