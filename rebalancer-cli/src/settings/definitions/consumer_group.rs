//! Settings of the consumer group.

use std::time::Duration;

use rebalancer_core::group::{Assignor, ClientFamily, GroupDocument, Protocol};
use rebalancer_prom::GroupMetrics;

use crate::settings::definition::{
    Absent, Attributes, Defaulted, Definition, Fallback, Optional, Setting,
};
use crate::settings::value;

/// Every setting of the section, in the order of help.
pub(super) const SETTINGS: &[&dyn Setting] = &[
    &GROUP_ID,
    &GROUP_METRICS,
    &GROUP_ASSIGNMENT_QUERY,
    &GROUP_RATE_QUERY,
    &GROUP_ASSIGNOR,
    &GROUP_CLIENT,
    &GROUP_PROTOCOL,
    &GROUP_SESSION_TIMEOUT,
];

pub(in crate::settings) static GROUP_ID: Optional<String> = Definition {
    name: "GROUP_ID",
    help: "group.id of the consumers",
    value: &value::ID,
    default: Absent("none"),
    attributes: Attributes::USUAL,
};

pub(in crate::settings) static GROUP_METRICS: Optional<Vec<GroupMetrics>> = Definition {
    name: "GROUP_METRICS",
    help: "Presets for the group's metrics: consumer, jmx, micrometer, kafka-exporter, \
           klag-exporter, kafka-lag-exporter; owners and rates each come from the first preset \
           that has them",
    value: &value::GROUP_METRICS,
    default: Absent("none"),
    attributes: Attributes::USUAL,
};

pub(in crate::settings) static GROUP_ASSIGNMENT_QUERY: Optional<String> = Definition {
    name: "GROUP_ASSIGNMENT_QUERY",
    help: "PromQL that returns one sample per owned partition, with the labels topic, \
           partition, and one of pod, member_host, client_id; if all values are 0 or 1, 0 means \
           not owned",
    value: &value::PROMQL,
    default: Absent("from GROUP_METRICS"),
    attributes: Attributes::USUAL,
};

pub(in crate::settings) static GROUP_RATE_QUERY: Optional<String> = Definition {
    name: "GROUP_RATE_QUERY",
    help: "PromQL that returns the incoming rate per second of each partition, with the labels \
           topic and partition",
    value: &value::PROMQL,
    default: Absent("from GROUP_METRICS"),
    attributes: Attributes::USUAL,
};

pub(in crate::settings) static GROUP_ASSIGNOR: Defaulted<Option<Assignor>> = Definition {
    name: "GROUP_ASSIGNOR",
    help: "range, roundrobin, sticky, cooperative-sticky or uniform; auto is the one that Kafka \
           reports, and with metrics recognises the first two from the owners of the partitions",
    value: &value::ASSIGNOR,
    default: Fallback::Value(|| None),
    attributes: Attributes::USUAL,
};

pub(in crate::settings) static GROUP_CLIENT: Optional<ClientFamily> = Definition {
    name: "GROUP_CLIENT",
    help: "Client library of the consumers: java, or librdkafka (and clients based on it)",
    value: &value::CLIENT,
    default: Absent("as Kafka shows it, else java"),
    attributes: Attributes::USUAL,
};

pub(in crate::settings) static GROUP_PROTOCOL: Optional<Protocol> = Definition {
    name: "GROUP_PROTOCOL",
    help: "group.protocol of the consumers: classic, or consumer (KIP-848)",
    value: &value::PROTOCOL,
    default: Absent("as Kafka reports it, else classic"),
    attributes: Attributes::USUAL,
};

pub(in crate::settings) static GROUP_SESSION_TIMEOUT: Defaulted<Duration> = Definition {
    name: "GROUP_SESSION_TIMEOUT",
    help: "session.timeout.ms of static members",
    value: &value::POSITIVE_DURATION,
    default: Fallback::Value(|| {
        Duration::from_secs_f64(GroupDocument::DEFAULT_SESSION_TIMEOUT_SECONDS)
    }),
    attributes: Attributes::USUAL,
};
