//! The owners of partitions, as the samples of the owner query report them.

use std::collections::{BTreeMap, BTreeSet};

use rebalancer_core::ports::{MemberLabels, OwnerSample};

use super::labels::Label;
use super::outsiders::Outsiders;
use super::presets::{OwnerValue, label_value};
use super::sample::{cluster, partition};
use crate::envelope::Labels;
use crate::error::PromError;
use crate::labels::LabelNames;
use crate::response::{QueryResponse, Samples};

/// The host and member id that kafka-lag-exporter reports for a partition without an owner.
const UNKNOWN_MEMBER: &str = "unknown";

/// The rules by which the samples of an owner query are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct OwnerRules {
    /// The meaning of the values.
    pub(crate) value: OwnerValue,
    /// Whether a sample without a label of a member means that the partition has no owner.
    pub(crate) reports_unowned: bool,
    /// Whether all samples belong to members of the group.
    pub(crate) names_group: bool,
}

impl OwnerRules {
    /// The rules for a query of the operator.
    pub(crate) const CUSTOM: Self = Self {
        value: OwnerValue::Inferred,
        reports_unowned: false,
        names_group: false,
    };

    /// Whether the query is the operator's own.
    pub(super) fn is_custom(self) -> bool {
        self.value == OwnerValue::Inferred
    }
}

/// The samples about owners in one response.
#[derive(Debug, Default)]
pub(crate) struct Owners {
    readings: Vec<Reading>,
    /// Why the response may be incomplete.
    pub(super) partial: Option<String>,
}

/// One sample.
#[derive(Debug)]
struct Reading {
    value: f64,
    /// The Kafka cluster, if the metrics report it.
    cluster: Option<String>,
    sample: OwnerSample,
}

impl Owners {
    /// Reads the samples.
    pub(crate) fn from_response(
        response: &QueryResponse,
        names: &LabelNames,
    ) -> Result<Self, PromError> {
        let Samples { samples, partial } = response.samples()?;
        let mut readings = Vec::with_capacity(samples.len());
        for sample in samples {
            let Some(value) = sample.value else {
                return Err(response.wrong_type("vector of native histograms"));
            };
            let (topic, partition) = partition(response, &sample.labels)?;
            readings.push(Reading {
                value: value.number,
                cluster: cluster(response, &sample.labels),
                sample: OwnerSample {
                    topic,
                    partition,
                    owner: owner(&sample.labels, names),
                },
            });
        }
        Ok(Self {
            readings,
            partial: partial.map(|partial| partial.to_string()),
        })
    }

    /// The topics.
    pub(super) fn topics(&self) -> impl Iterator<Item = &str> {
        let readings = self.readings.iter();
        readings.map(|reading| reading.sample.topic.as_str())
    }

    /// The Kafka clusters, if the metrics report them.
    pub(super) fn clusters(&self) -> impl Iterator<Item = &str> {
        let readings = self.readings.iter();
        readings.filter_map(|reading| reading.cluster.as_deref())
    }

    /// Whether every value is 0 or 1.
    #[expect(clippy::float_cmp, reason = "the values of a flag are exact")]
    fn are_flags(&self) -> bool {
        let mut values = self.readings.iter().map(|reading| reading.value);
        values.all(|value| value == 0.0 || value == 1.0)
    }

    /// The partitions of which every sample is 0.
    fn only_zero(&self) -> Vec<String> {
        let mut only_zero: BTreeMap<(&str, u32), bool> = BTreeMap::new();
        for Reading { value, sample, .. } in &self.readings {
            let key = (sample.topic.as_str(), sample.partition);
            *only_zero.entry(key).or_insert(true) &= *value == 0.0;
        }
        let only_zero = only_zero.into_iter().filter(|(_, zero)| *zero);
        only_zero
            .map(|((topic, partition), _)| format!("{topic}-{partition}"))
            .collect()
    }

    fn any_has_labels(&self) -> bool {
        let mut owners = self
            .readings
            .iter()
            .filter_map(|reading| reading.sample.owner.as_ref());
        owners.any(|owner| *owner != MemberLabels::default())
    }
}

/// The member that the labels name; `None` if they say that the partition has no owner.
fn owner(labels: &Labels<'_>, names: &LabelNames) -> Option<MemberLabels> {
    let value = |label: Label| label_value(label, labels).map(str::to_owned);
    let owner = MemberLabels {
        pod: labels.pod(&names.pod).map(str::to_owned),
        host: value(Label::Host),
        client_id: value(Label::ClientId),
        member_id: value(Label::MemberId),
        instance: value(Label::Instance),
    };
    let unowned = owner.host.as_deref() == Some(UNKNOWN_MEMBER)
        && owner.member_id.as_deref() == Some(UNKNOWN_MEMBER);
    (!unowned).then_some(owner)
}

/// The owners now and before, and what the samples say beyond that.
pub(super) struct Owned {
    pub(super) owners: Vec<OwnerSample>,
    pub(super) before: Option<Vec<OwnerSample>>,
    /// The Kafka clusters of the current owners, if the metrics report them.
    pub(super) clusters: BTreeSet<String>,
    /// Why the samples can be read in two ways.
    pub(super) unclear: Option<String>,
    /// Remarks about samples that are left out.
    pub(super) notes: Vec<String>,
}

/// Selects the samples that mean an owner, by the rules.
pub(super) fn owned(now: Owners, before: Option<Owners>, rules: OwnerRules) -> Owned {
    let are_flags = match rules.value {
        OwnerValue::Flag => true,
        OwnerValue::Any => false,
        OwnerValue::Inferred => now.are_flags() && before.as_ref().is_none_or(Owners::are_flags),
    };
    let unclear = if rules.is_custom() && are_flags {
        unclear(&now.only_zero())
    } else {
        None
    };
    let unlabelled_is_unowned =
        rules.reports_unowned || (rules.is_custom() && now.any_has_labels());
    let mut outsiders = Outsiders::default();
    let mut clusters = BTreeSet::new();
    let mut owners = Vec::with_capacity(now.readings.len());
    let select = |reading: &mut Reading| {
        if unlabelled_is_unowned && reading.sample.owner == Some(MemberLabels::default()) {
            reading.sample.owner = None;
        }
        !(are_flags && reading.value == 0.0)
    };
    for mut reading in now.readings {
        if !select(&mut reading) || (!rules.names_group && outsiders.take(&reading.sample)) {
            continue;
        }
        clusters.extend(reading.cluster);
        owners.push(reading.sample);
    }
    let before = before.map(|before| {
        let mut samples = Vec::with_capacity(before.readings.len());
        for mut reading in before.readings {
            let is_outsider = !rules.names_group && Outsiders::default().take(&reading.sample);
            if select(&mut reading) && !is_outsider {
                samples.push(reading.sample);
            }
        }
        samples
    });
    Owned {
        owners,
        before,
        clusters,
        unclear,
        notes: outsiders.into_note().into_iter().collect(),
    }
}

/// Describes that the value 0 has two possible meanings.
fn unclear(only_zero: &[String]) -> Option<String> {
    let (first, others) = only_zero.split_first()?;
    let others = match others.len() {
        0 => String::new(),
        count => format!(" (and of {count} more)"),
    };
    Some(format!(
        "GROUP_ASSIGNMENT_QUERY returns only the values 0 and 1, and only 0 for partition \
         {first}{others}: 0 may mean that the partition has no owner, or be a measurement such as a \
         lag; append `== 1` to the query if 0 means no owner, and `* 0 + 1` if every series means an \
         owner"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    fn reading(partition: u32, pod: &str, value: f64) -> Reading {
        Reading {
            value,
            cluster: None,
            sample: OwnerSample {
                topic: "t".into(),
                partition,
                owner: Some(MemberLabels {
                    pod: (!pod.is_empty()).then(|| pod.to_owned()),
                    ..MemberLabels::default()
                }),
            },
        }
    }

    fn owners(readings: &[(u32, &str, f64)]) -> Owners {
        let readings = readings.iter();
        Owners {
            readings: readings
                .map(|(p, pod, value)| reading(*p, pod, *value))
                .collect(),
            partial: None,
        }
    }

    const FLAG: OwnerRules = OwnerRules {
        value: OwnerValue::Flag,
        reports_unowned: false,
        names_group: true,
    };
    const LAG_EXPORTER: OwnerRules = OwnerRules {
        value: OwnerValue::Any,
        reports_unowned: true,
        names_group: true,
    };

    /// The owner of each sample that is kept: `-` for an unowned partition.
    fn kept(owned: &Owned) -> Vec<String> {
        let samples = owned.owners.iter();
        let name = |sample: &OwnerSample| match &sample.owner {
            Some(labels) => labels.pod.clone().unwrap_or_default(),
            None => "-".to_owned(),
        };
        samples
            .map(|sample| format!("{}{}", sample.partition, name(sample)))
            .collect()
    }

    #[rstest]
    #[case::flag_of_a_preset(FLAG, &[(0, "a", 1.0), (1, "a", 0.0)], &["0a"], false)]
    #[case::flag(OwnerRules::CUSTOM, &[(0, "a", 0.0), (0, "b", 1.0), (1, "a", 1.0)], &["0b", "1a"], false)]
    #[case::lag(OwnerRules::CUSTOM, &[(0, "a", 0.0), (1, "b", 12.0)], &["0a", "1b"], false)]
    #[case::lag_before_the_first_fetch(OwnerRules::CUSTOM, &[(0, "a", 0.0), (1, "b", f64::NAN)], &["0a", "1b"], false)]
    #[case::offset_of_a_replica(OwnerRules::CUSTOM, &[(0, "a", 0.0), (1, "b", -1.0)], &["0a", "1b"], false)]
    #[case::count(OwnerRules::CUSTOM, &[(0, "a", 1.0), (1, "b", 1.0)], &["0a", "1b"], false)]
    #[case::small_lags(OwnerRules::CUSTOM, &[(0, "a", 0.0), (1, "b", 1.0)], &["1b"], true)]
    #[case::only_zero(OwnerRules::CUSTOM, &[(0, "a", 0.0), (1, "b", 0.0)], &[], true)]
    #[case::count_of_a_preset(LAG_EXPORTER, &[(0, "a", 1.0), (1, "", 1.0)], &["0a", "1-"], false)]
    #[case::no_members(LAG_EXPORTER, &[(0, "", 1.0)], &["0-"], false)]
    #[case::empty_labels(OwnerRules::CUSTOM, &[(0, "a", 5.0), (1, "", 5.0)], &["0a", "1-"], false)]
    #[case::no_label_at_all(OwnerRules::CUSTOM, &[(0, "", 5.0), (1, "", 5.0)], &["0", "1"], false)]
    fn value_and_labels_say_whether_a_partition_is_owned(
        #[case] rules: OwnerRules,
        #[case] now: &[(u32, &str, f64)],
        #[case] expected: &[&str],
        #[case] unclear: bool,
    ) {
        let found = owned(owners(now), None, rules);
        assert_eq!(kept(&found), expected);
        assert_eq!(found.unclear.is_some(), unclear, "{:?}", found.unclear);
    }

    /// The lags of one moment may all be 0 or 1.
    #[test]
    fn earlier_values_show_that_the_value_is_a_measurement() {
        let now = owners(&[(0, "a", 0.0), (1, "b", 1.0)]);
        let before = owners(&[(0, "a", 7.0), (1, "b", 0.0)]);
        let found = owned(now, Some(before), OwnerRules::CUSTOM);
        assert_eq!(kept(&found), ["0a", "1b"]);
        assert_eq!(found.before.map(|before| before.len()), Some(2));
        assert_eq!(found.unclear, None);
    }

    #[test]
    fn unclear_value_names_partitions_and_the_remedy() {
        let message = unclear(&["t-0".into(), "t-1".into(), "t-2".into()]).unwrap();
        for part in [
            "only 0 for partition t-0 (and of 2 more)",
            "`== 1`",
            "`* 0 + 1`",
        ] {
            assert!(message.contains(part), "{message}");
        }
    }
}
