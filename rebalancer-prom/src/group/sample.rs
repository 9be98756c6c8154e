//! The labels of a sample about the group.

use super::labels::Label;
use super::presets::label_value;
use crate::envelope::Labels;
use crate::error::PromError;
use crate::response::QueryResponse;

/// The Kafka cluster of a sample, if the metrics report it.
pub(super) fn cluster(response: &QueryResponse, labels: &Labels<'_>) -> Option<String> {
    let name = label_value(Label::Cluster, labels)?;
    Some(response.without_secrets(name))
}

/// The topic and the partition of a sample.
pub(super) fn partition(
    response: &QueryResponse,
    labels: &Labels<'_>,
) -> Result<(String, u32), PromError> {
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
