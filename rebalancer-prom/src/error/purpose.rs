//! The purpose of a query, and the part of an error message that names the query.

use std::fmt;
use std::sync::Arc;

use crate::method::QueryMethod;

/// The purpose of a query.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Purpose {
    /// The CPU rate of each pod.
    Load,
    /// The load of each pod by the operator's own query.
    CustomLoad,
    /// The age of the newest sample of each pod.
    SampleAge,
    /// The age of the newest sample of each pod by the operator's own query.
    CustomSampleAge,
    /// The operator's own query for a reason to hold.
    Hold,
    /// The loads of each pod at past times.
    PastLoads,
    /// The number of series of each container.
    DuplicateSeries,
    /// The times of the samples of containers with several series.
    RawSamples,
    /// The load of each cgroup of containers with nested cgroups.
    CgroupLoads,
    /// The labels under which the metrics may have the pods, if there are no loads.
    LabelSearch,
    /// The pods with samples in the first half of the rate window.
    WindowCoverage,
    /// The number of samples of each container in the rate window.
    SampleCount,
    /// The autoscalers as kube-state-metrics reports them.
    Autoscalers,
    /// Readiness, creation and requests of pods in the past, as kube-state-metrics reports them.
    PodHistory,
    /// The owner of each partition of the consumer group.
    GroupOwners,
    /// The owner of each partition one cooldown ago.
    GroupOwnersBefore,
    /// The rate of incoming records of each partition.
    GroupRates,
    /// Every series about the offset of one partition.
    GroupOffsets,
}

impl fmt::Display for Purpose {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Load => "the load query",
            Self::CustomLoad => "the load query (LOAD_QUERY)",
            Self::SampleAge => "the sample age query",
            Self::CustomSampleAge => "the sample age query (FRESHNESS_QUERY)",
            Self::Hold => "the hold query (HOLD_QUERY)",
            Self::PastLoads => "the query for past loads (MINIMUM_HOT_DURATION)",
            Self::DuplicateSeries => "the duplicate series query",
            Self::RawSamples => "the query for samples of several series",
            Self::CgroupLoads => "the load query for nested cgroups",
            Self::LabelSearch => "the search for other labels",
            Self::WindowCoverage => "the window coverage query",
            Self::SampleCount => "the sample count query",
            Self::Autoscalers => "the autoscaler query (TARGET_SOURCE=prometheus)",
            Self::PodHistory => "the query for past pods (kube-state-metrics)",
            Self::GroupOwners => "the partition owner query",
            Self::GroupOwnersBefore => "the partition owner query for one cooldown ago",
            Self::GroupRates => "the partition rate query",
            Self::GroupOffsets => "the query for the offsets of one partition",
        })
    }
}

impl Purpose {
    /// The object of which a response must have one sample each.
    pub(super) fn subject(self) -> &'static str {
        match self {
            Self::Load
            | Self::CustomLoad
            | Self::SampleAge
            | Self::CustomSampleAge
            | Self::DuplicateSeries
            | Self::WindowCoverage
            | Self::SampleCount
            | Self::PodHistory => "pod",
            Self::RawSamples | Self::Hold | Self::PastLoads => "series",
            Self::LabelSearch => "combination of labels",
            Self::CgroupLoads => "pod and cgroup",
            Self::Autoscalers => "autoscaler and metric",
            Self::GroupOwners | Self::GroupOwnersBefore | Self::GroupRates | Self::GroupOffsets => {
                "partition"
            }
        }
    }

    /// The advice for a response without exactly one sample per pod.
    pub(super) fn per_pod_advice(self) -> &'static str {
        match self {
            Self::CustomLoad => {
                "aggregate LOAD_QUERY by the label of the pod (PROMETHEUS_POD_LABEL), e.g. \
                 `sum by (pod) (…)`"
            }
            Self::CustomSampleAge => {
                "aggregate FRESHNESS_QUERY by the label of the pod (PROMETHEUS_POD_LABEL), e.g. \
                 `time() - max by (pod) (timestamp(…))`"
            }
            Self::Load
            | Self::SampleAge
            | Self::Hold
            | Self::PastLoads
            | Self::DuplicateSeries
            | Self::RawSamples
            | Self::CgroupLoads
            | Self::LabelSearch
            | Self::WindowCoverage
            | Self::SampleCount
            | Self::Autoscalers
            | Self::PodHistory
            | Self::GroupOwners
            | Self::GroupOwnersBefore
            | Self::GroupRates
            | Self::GroupOffsets => {
                "the series of container_cpu_usage_seconds_total must have the name of the pod in \
                 this label: set PROMETHEUS_POD_LABEL to the label that has it"
            }
        }
    }
}

/// A query and its destination, for messages.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SentQuery {
    /// The purpose of the query.
    pub purpose: Purpose,
    /// The destination of every query.
    pub destination: Arc<Destination>,
}

/// The destination of queries, and how they are sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Destination {
    /// The URL, without user name, password and parameters.
    pub url: String,
    /// The HTTP method.
    pub method: QueryMethod,
    /// The proxy, without its credentials.
    pub proxy: Option<String>,
    /// Whether a client certificate is configured.
    pub client_certificate: bool,
}

impl fmt::Display for SentQuery {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} to {}", self.purpose, self.destination.url)?;
        match &self.destination.proxy {
            Some(proxy) => write!(f, " through the proxy {proxy}"),
            None => Ok(()),
        }
    }
}
