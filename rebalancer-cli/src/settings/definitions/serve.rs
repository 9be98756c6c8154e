//! Settings of the resident process.

use std::net::{Ipv6Addr, SocketAddr};

use crate::schedule::Schedule;
use crate::settings::definition::{
    Absent, Attributes, Defaulted, Definition, Fallback, Optional, Setting,
};
use crate::settings::value;

/// Every setting of the section, in the order of help.
pub(super) const SETTINGS: &[&dyn Setting] = &[
    &SCHEDULE,
    &LISTEN_ADDRESS,
    &LEADER_ELECTION,
    &LEADER_ELECTION_LEASE,
    &LEADER_ELECTION_NAMESPACE,
];

pub(in crate::settings) static SCHEDULE: Optional<Schedule> = Definition {
    name: "SCHEDULE",
    help: "When the runs of serve begin: a crontab expression with a time zone, such as */10 * * * * \
           Europe/Berlin",
    value: &value::SCHEDULE,
    default: Absent("required by serve"),
    attributes: Attributes::WHOLE_RUN,
};

pub(in crate::settings) static LISTEN_ADDRESS: Defaulted<SocketAddr> = Definition {
    name: "LISTEN_ADDRESS",
    help: "Address on which serve answers requests for /metrics, /healthz and /readyz; [::] is every \
           address, also of IPv4",
    value: &value::ADDRESS,
    default: Fallback::Value(|| SocketAddr::from((Ipv6Addr::UNSPECIFIED, 8080))),
    attributes: Attributes::WHOLE_RUN,
};

pub(in crate::settings) static LEADER_ELECTION: Defaulted<bool> = Definition {
    name: "LEADER_ELECTION",
    help: "Of several processes of serve, only the leader runs: the holder of a Lease",
    value: &value::BOOLEAN,
    default: Fallback::Value(|| true),
    attributes: Attributes::WHOLE_RUN,
};

pub(in crate::settings) static LEADER_ELECTION_LEASE: Defaulted<String> = Definition {
    name: "LEADER_ELECTION_LEASE",
    help: "Name of the Lease of the leader; each group of processes needs its own",
    value: &value::OBJECT_NAME,
    default: Fallback::Value(|| "rebalancer".to_owned()),
    attributes: Attributes::WHOLE_RUN,
};

pub(in crate::settings) static LEADER_ELECTION_NAMESPACE: Optional<String> = Definition {
    name: "LEADER_ELECTION_NAMESPACE",
    help: "Namespace of the Lease of the leader",
    value: &value::NAMESPACE,
    default: Absent("that of the service account, or of the context of the kubeconfig"),
    attributes: Attributes::WHOLE_RUN,
};
