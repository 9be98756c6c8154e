//! The lags of partitions, and the partitions whose consumers are behind.

use std::collections::{BTreeMap, HashMap};

use super::described::list;
use crate::group::{CatchingUpDocument, TopicDocument};
use crate::model::Seconds;
use crate::ports::LagSample;

/// The smallest lag that counts, as a share of what the mean partition receives within the window.
/// Processing a smaller one costs next to nothing: the last record of a quiet partition, or the
/// marker at the end of a transaction.
const SMALLEST_SHARE: f64 = 0.1;

/// Adds the lags to the topics.
pub(super) fn fill_lags(topics: &mut BTreeMap<String, TopicDocument>, samples: &[LagSample]) {
    let lags: HashMap<(&str, u32), Option<u64>> = samples
        .iter()
        .map(|sample| ((sample.topic.as_str(), sample.partition), sample.records))
        .collect();
    for (name, topic) in topics {
        let numbers = (0..).take(topic.owners.len());
        let of_topic = numbers.map(|number| lags.get(&(name.as_str(), number)).copied().flatten());
        topic.lags = Some(of_topic.collect());
    }
}

/// The partitions whose lag is larger than what arrived within the window; `None` if there is none,
/// or if lags, rates or the window are unknown.
///
/// The consumer of such a partition processes another rate than the incoming one: a higher one
/// while it catches up, a lower one while it falls behind.
pub(super) fn catching_up(
    topics: &BTreeMap<String, TopicDocument>,
    window: Option<Seconds>,
) -> Option<CatchingUpDocument> {
    let window_seconds = window?;
    let mut partitions = Vec::new();
    for (name, topic) in topics {
        let pairs = topic
            .rates
            .iter()
            .flatten()
            .zip(topic.lags.iter().flatten());
        for (number, (rate, lag)) in pairs.enumerate() {
            let arrived = rate.get() * window_seconds.get();
            partitions.push((name, number, arrived, lag.unwrap_or(0)));
        }
    }
    let count = u32::try_from(partitions.len()).unwrap_or(u32::MAX);
    let all: f64 = partitions.iter().map(|(_, _, arrived, _)| arrived).sum();
    let smallest = SMALLEST_SHARE * all / f64::from(count.max(1));
    #[expect(
        clippy::cast_precision_loss,
        reason = "the comparison needs no exact count of records"
    )]
    partitions.retain(|(_, _, arrived, lag)| *lag as f64 > arrived.max(smallest));
    let lags = partitions.iter().map(|(_, _, _, lag)| *lag);
    let lag = lags.fold(0, u64::saturating_add);
    (!partitions.is_empty()).then(|| CatchingUpDocument {
        lag,
        partitions: partitions
            .into_iter()
            .map(|(name, number, _, _)| format!("{name}-{number}"))
            .collect(),
        window_seconds,
    })
}

/// The note about these partitions, for operators.
pub(super) fn note(behind: &CatchingUpDocument) -> String {
    let CatchingUpDocument {
        partitions,
        lag,
        window_seconds,
    } = behind;
    format!(
        "partitions with a lag larger than what arrived within the window of {}: {} ({lag} \
         records); the loads of their pods are not what their rates cost",
        window_seconds.rounded(),
        list(partitions).unwrap_or_default()
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Rate;
    use rstest::rstest;

    fn topics(rates: &[f64], lags: &[Option<u64>]) -> BTreeMap<String, TopicDocument> {
        let topic = TopicDocument {
            owners: vec![None; rates.len()],
            rates: Some(rates.iter().map(|rate| Rate::new(*rate).unwrap()).collect()),
            lags: Some(lags.to_vec()),
            replica_racks: None,
        };
        BTreeMap::from([("t".to_owned(), topic)])
    }

    /// 10 records per second are 1000 within the window.
    #[rstest]
    #[case::as_much_as_arrived(&[10.0, 10.0], &[Some(1000), Some(0)], &[])]
    #[case::more_than_arrived(&[10.0, 10.0], &[Some(1001), Some(0)], &["t-0"])]
    #[case::no_committed_offset(&[10.0, 10.0], &[None, Some(5000)], &["t-1"])]
    #[case::last_record_of_a_quiet_partition(&[10.0, 0.0], &[Some(3), Some(1)], &[])]
    #[case::much_in_a_quiet_partition(&[10.0, 0.0], &[Some(3), Some(51)], &["t-1"])]
    #[case::no_traffic(&[0.0, 0.0], &[Some(1), Some(0)], &["t-0"])]
    fn lag_is_compared_with_what_arrived(
        #[case] rates: &[f64],
        #[case] lags: &[Option<u64>],
        #[case] expected: &[&str],
    ) {
        let found = catching_up(&topics(rates, lags), Some(Seconds::whole(100)));
        let found = found.map_or_else(Vec::new, |found| found.partitions);
        assert_eq!(found, expected);
    }

    #[test]
    fn unknown_window_or_rates_find_nothing() {
        let mut topics = topics(&[1.0], &[Some(10_000)]);
        assert_eq!(catching_up(&topics, None), None);
        topics.get_mut("t").unwrap().rates = None;
        assert_eq!(catching_up(&topics, Some(Seconds::whole(100))), None);
    }

    #[test]
    fn note_names_partitions_and_records() {
        let rates = [1.0; 5];
        let lags = [Some(200), Some(300), Some(0), Some(400), Some(500)];
        let found = catching_up(&topics(&rates, &lags), Some(Seconds::whole(100))).unwrap();
        assert_eq!(
            note(&found),
            "partitions with a lag larger than what arrived within the window of 100 s: t-0, t-1, \
             t-3 and 1 more (1400 records); the loads of their pods are not what their rates cost"
        );
    }
}
