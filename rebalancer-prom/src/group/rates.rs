//! The rates of partitions, and the statistics that show whether they can be trusted.

use std::collections::{BTreeSet, HashMap};
use std::time::Duration;

use rebalancer_core::model::{Rate, SampleFault};
use rebalancer_core::ports::RateSample;

use super::clusters;
use super::owners::Owners;
use super::presets::{RESETS, SPREAD, STATISTIC};
use super::sample::{cluster, partition};
use crate::error::PromError;
use crate::response::{QueryResponse, Samples};

/// The difference between the offsets of two series that never counts, in records.
const SPREAD_SLACK: f64 = 100.0;

/// The time by which one series of a partition may be behind another one, in seconds: twice the
/// look-back of both servers.
const LAST_SEEN_SECONDS: f64 = 600.0;

/// A partition of a Kafka cluster. The cluster is `None` if the metrics do not report it.
type PartitionOf = (Option<String>, String, u32);

/// The rates of partitions in one response.
#[derive(Debug, Default)]
pub(crate) struct Rates {
    /// Each rate with its Kafka cluster, if the metrics report it.
    samples: Vec<(Option<String>, RateSample)>,
    /// The partitions whose offset went back within the window.
    went_back: Vec<PartitionOf>,
    /// The partitions whose series report different offsets, with the difference.
    spreads: Vec<(PartitionOf, f64)>,
    /// Why the response may be incomplete.
    pub(super) partial: Option<String>,
}

/// The rates of one cluster.
pub(super) struct ClusterRates {
    pub(super) samples: Vec<RateSample>,
    pub(super) went_back: Vec<(String, u32)>,
}

impl Rates {
    /// Reads the rates.
    pub(crate) fn from_response(response: &QueryResponse) -> Result<Self, PromError> {
        let Samples { samples, partial } = response.samples()?;
        let mut rates = Self {
            samples: Vec::with_capacity(samples.len()),
            partial: partial.map(|partial| partial.to_string()),
            ..Self::default()
        };
        for sample in samples {
            let Some(value) = sample.value else {
                return Err(response.wrong_type("vector of native histograms"));
            };
            let value = value.number;
            let (topic, partition) = partition(response, &sample.labels)?;
            let cluster = cluster(response, &sample.labels);
            match sample.labels.get(STATISTIC) {
                Some(RESETS) if value > 0.0 => rates.went_back.push((cluster, topic, partition)),
                Some(SPREAD) if value > SPREAD_SLACK => {
                    rates.spreads.push(((cluster, topic, partition), value));
                }
                Some(RESETS | SPREAD) => {}
                Some(_) | None => {
                    let rate = if value.is_finite() {
                        Rate::new(value).map_err(|_| SampleFault::Negative)
                    } else {
                        Err(SampleFault::NotFinite)
                    };
                    let rate = RateSample {
                        topic,
                        partition,
                        rate,
                    };
                    rates.samples.push((cluster, rate));
                }
            }
        }
        Ok(rates)
    }

    /// A partition of the owners' topics whose series report offsets that differ by more than its
    /// traffic explains, so that they cannot be those of one partition.
    pub(crate) fn disputed(&self, owners: &Owners, window: Duration) -> Option<(&str, u32, f64)> {
        if self.spreads.is_empty() {
            return None;
        }
        // The Java client writes `_` for `.`.
        let plain = |topic: &str| topic.replace('.', "_");
        let owned: BTreeSet<String> = owners.topics().map(plain).collect();
        let clusters: BTreeSet<&str> = owners.clusters().collect();
        let is_owned = |cluster: Option<&str>, topic: &str| {
            let of_cluster = cluster.is_none_or(|cluster| clusters.contains(cluster));
            (of_cluster || clusters.is_empty()) && owned.contains(&plain(topic))
        };
        let rates: HashMap<(Option<&str>, &str, u32), f64> = self
            .samples
            .iter()
            .filter_map(|(cluster, sample)| {
                let key = (cluster.as_deref(), sample.topic.as_str(), sample.partition);
                Some((key, sample.rate.ok()?.get()))
            })
            .collect();
        let behind = LAST_SEEN_SECONDS.max(2.0 * window.as_secs_f64());
        let is_disputed = |((cluster, topic, partition), spread): &&(PartitionOf, f64)| {
            let rate = rates.get(&(cluster.as_deref(), topic.as_str(), *partition));
            is_owned(cluster.as_deref(), topic)
                && *spread > SPREAD_SLACK + behind * rate.copied().unwrap_or_default()
        };
        let ((_, topic, partition), spread) = self.spreads.iter().find(is_disputed)?;
        Some((topic, *partition, *spread))
    }

    /// Drops the rates of all clusters but the first one, if the owners do not name their cluster.
    /// Returns a message if several clusters have one of the topics.
    pub(super) fn keep_one_cluster(&mut self, topics: &BTreeSet<&str>) -> Option<String> {
        let plain: BTreeSet<String> = topics.iter().map(|name| name.replace('.', "_")).collect();
        let of_group = |topic: &str| plain.contains(&topic.replace('.', "_"));
        let samples = self.samples.iter();
        let clusters: BTreeSet<String> = samples
            .filter(|(_, sample)| of_group(&sample.topic))
            .filter_map(|(cluster, _)| cluster.clone())
            .collect();
        if clusters.len() < 2 {
            return None;
        }
        let first = clusters.first().cloned();
        self.samples.retain(|(cluster, _)| *cluster == first);
        Some(clusters::of_topics(&clusters))
    }

    /// The rates of one cluster. A rate of an unknown cluster is included.
    pub(super) fn of_cluster(self, cluster: Option<&String>) -> ClusterRates {
        let is_included = |of: &Option<String>| match (of, cluster) {
            (Some(of), Some(cluster)) => of == cluster,
            (Some(_) | None, Some(_) | None) => true,
        };
        let samples = self.samples.into_iter().filter(|(of, _)| is_included(of));
        let went_back = self.went_back.into_iter();
        let went_back = went_back.filter(|(of, ..)| is_included(of));
        ClusterRates {
            samples: samples.map(|(_, rate)| rate).collect(),
            went_back: went_back
                .map(|(_, topic, partition)| (topic, partition))
                .collect(),
        }
    }
}
