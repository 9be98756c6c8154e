//! From the responses to the owner and rate queries to one observation of the group.

use std::collections::BTreeSet;

use rebalancer_core::model::{Rate, SampleFault};
use rebalancer_core::ports::{GroupObservation, MemberLabels, OwnerSample, RateSample};

use super::labels::Label;
use super::presets::{GroupMetrics, label_value};
use super::topics;
use crate::envelope::Labels;
use crate::error::PromError;
use crate::labels::LabelNames;
use crate::response::{QueryResponse, Samples};

/// The owners of partitions in one response.
#[derive(Debug, Default)]
pub(crate) struct Owners {
    samples: Vec<OwnerSample>,
    /// The Kafka clusters of the samples, if the metrics report them.
    clusters: BTreeSet<String>,
    /// Why the response may be incomplete.
    partial: Option<String>,
}

impl Owners {
    /// Reads the owners. A sample with the value 0 is not an owner.
    pub(crate) fn from_response(
        response: &QueryResponse,
        names: &LabelNames,
    ) -> Result<Self, PromError> {
        let Samples { samples, partial } = response.samples()?;
        let mut owners = Self {
            samples: Vec::with_capacity(samples.len()),
            clusters: BTreeSet::new(),
            partial: partial.map(|partial| partial.to_string()),
        };
        for sample in samples {
            let Some(value) = sample.value else {
                return Err(response.wrong_type("vector of native histograms"));
            };
            let (topic, partition) = partition(response, &sample.labels)?;
            if value.number != 0.0 {
                owners.clusters.extend(cluster(response, &sample.labels));
                owners.samples.push(OwnerSample {
                    topic,
                    partition,
                    owner: owner(&sample.labels, names),
                });
            }
        }
        Ok(owners)
    }
}

/// The member that the labels name; `None` if they say that the group has no members.
fn owner(labels: &Labels<'_>, names: &LabelNames) -> Option<MemberLabels> {
    let value = |label: Label| label_value(label, labels).map(str::to_owned);
    let owner = MemberLabels {
        pod: labels.pod(&names.pod).map(str::to_owned),
        host: value(Label::Host),
        client_id: value(Label::ClientId),
        member_id: value(Label::MemberId),
        instance: value(Label::Instance),
    };
    let mut presets = GroupMetrics::ALL.iter().map(|preset| preset.definition());
    let unowned = presets.any(|preset| {
        preset.no_member.is_some()
            && owner.host.as_deref() == preset.no_member
            && owner.member_id.as_deref() == preset.no_member
    });
    (!unowned).then_some(owner)
}

/// The rates of partitions in one response.
#[derive(Debug, Default)]
pub(crate) struct Rates {
    /// Each rate with its Kafka cluster, if the metrics report it.
    samples: Vec<(Option<String>, RateSample)>,
    /// Why the response may be incomplete.
    partial: Option<String>,
}

impl Rates {
    /// Reads the rates.
    pub(crate) fn from_response(response: &QueryResponse) -> Result<Self, PromError> {
        let Samples { samples, partial } = response.samples()?;
        let mut rates = Vec::with_capacity(samples.len());
        for sample in samples {
            let Some(value) = sample.value else {
                return Err(response.wrong_type("vector of native histograms"));
            };
            let (topic, partition) = partition(response, &sample.labels)?;
            let rate = if value.number.is_finite() {
                Rate::new(value.number).map_err(|_| SampleFault::Negative)
            } else {
                Err(SampleFault::NotFinite)
            };
            let rate = RateSample {
                topic,
                partition,
                rate,
            };
            rates.push((cluster(response, &sample.labels), rate));
        }
        Ok(Self {
            samples: rates,
            partial: partial.map(|partial| partial.to_string()),
        })
    }

    /// The rates of one cluster. A rate of an unknown cluster is included.
    fn of_cluster(self, cluster: Option<&String>) -> Vec<RateSample> {
        let is_included = |of: &Option<String>| match (of, cluster) {
            (Some(of), Some(cluster)) => of == cluster,
            (Some(_) | None, Some(_) | None) => true,
        };
        let rates = self.samples.into_iter().filter(|(of, _)| is_included(of));
        rates.map(|(_, rate)| rate).collect()
    }
}

fn cluster(response: &QueryResponse, labels: &Labels<'_>) -> Option<String> {
    let name = label_value(Label::Cluster, labels)?;
    Some(response.without_secrets(name))
}

/// The topic and the partition of a sample.
fn partition(response: &QueryResponse, labels: &Labels<'_>) -> Result<(String, u32), PromError> {
    let number = label_value(Label::Partition, labels);
    let number = number.and_then(|number| number.parse().ok());
    match (label_value(Label::Topic, labels), number) {
        (Some(topic), Some(partition)) => Ok((topic.to_owned(), partition)),
        (Some(_) | None, Some(_) | None) => Err(PromError::SampleWithoutPartition {
            labels: response.without_secrets(&labels.to_string()),
            sent: response.sent.clone(),
        }),
    }
}

/// Combines the responses into one observation.
pub(crate) fn observation(
    owners: Owners,
    before: Option<Owners>,
    rates: Option<Rates>,
    other_groups: bool,
) -> GroupObservation {
    let rates_partial = rates.as_ref().and_then(|rates| rates.partial.clone());
    let mut partial: Vec<String> = owners.partial.into_iter().chain(rates_partial).collect();
    if owners.clusters.len() > 1 {
        let clusters: Vec<String> = owners.clusters.iter().cloned().collect();
        partial.push(format!(
            "the group exists in the Kafka clusters {}: select one with GROUP_ASSIGNMENT_QUERY",
            clusters.join(", ")
        ));
    }
    let rates = rates.map(|rates| rates.of_cluster(owners.clusters.first()));
    let mut owners = owners.samples;
    // A partial response about the past is accepted: it is enough to see that partitions moved.
    let mut before = before.map(|before| before.samples);
    partial.extend(topics::restore_names(
        &mut owners,
        before.as_mut().unwrap_or(&mut Vec::new()),
        rates.as_deref().unwrap_or_default(),
    ));
    GroupObservation {
        owners,
        owners_before: before,
        rate_unit: rates.is_some().then(|| "per second".to_owned()),
        rates,
        other_groups,
        partial: (!partial.is_empty()).then(|| partial.join("; ")),
    }
}
