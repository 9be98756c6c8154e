//! Topic names, which Kafka's Java client changes in its metrics.
//!
//! The Java client writes `my.topic` as `my_topic`; since version 4.1 it writes both. Exporters
//! that ask the broker report only the real name. Kafka does not create a topic whose name differs
//! from another name only in `.` and `_`, so both names are the same topic in one cluster.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use rebalancer_core::ports::{OwnerSample, RateSample};

/// Restores the real names of the owned topics, now and before, as far as owners or rates report
/// them. Returns a message for each name that is ambiguous.
pub(super) fn restore_names(
    owners: &mut Vec<OwnerSample>,
    before: &mut Vec<OwnerSample>,
    rates: &[RateSample],
) -> Vec<String> {
    let owned: BTreeSet<&str> = topics(owners.iter().chain(before.iter()));
    let rated: BTreeSet<&str> = rates.iter().map(|sample| sample.topic.as_str()).collect();
    let (by_owners, by_rates) = (by_client_name(&owned), by_client_name(&rated));
    let mut real_names: BTreeMap<String, String> = BTreeMap::new();
    let mut ambiguous = Vec::new();
    for topic in &owned {
        let candidates = match (by_owners.get(*topic), by_rates.get(*topic)) {
            (Some(names), _) => names,
            (None, Some(names)) if !rated.contains(topic) => names,
            (None, Some(_) | None) => continue,
        };
        match candidates.as_slice() {
            [name] => {
                real_names.insert((*topic).to_owned(), (*name).to_owned());
            }
            several => ambiguous.push(format!(
                "topic {topic} of the owners may be any of {}",
                several.join(", ")
            )),
        }
    }
    if !real_names.is_empty() {
        rename(owners, &real_names);
        rename(before, &real_names);
    }
    ambiguous
}

fn topics<'a>(samples: impl Iterator<Item = &'a OwnerSample>) -> BTreeSet<&'a str> {
    samples.map(|sample| sample.topic.as_str()).collect()
}

/// The names that the Java client changes, by the name that it writes.
fn by_client_name<'a>(names: &BTreeSet<&'a str>) -> BTreeMap<String, Vec<&'a str>> {
    let mut by_client_name: BTreeMap<String, Vec<&str>> = BTreeMap::new();
    for name in names.iter().filter(|name| name.contains('.')) {
        let written = name.replace('.', "_");
        by_client_name.entry(written).or_default().push(name);
    }
    by_client_name
}

/// Renames topics, and removes samples that become equal.
fn rename(samples: &mut Vec<OwnerSample>, names: &BTreeMap<String, String>) {
    for sample in samples.iter_mut() {
        if let Some(name) = names.get(&sample.topic) {
            sample.topic.clone_from(name);
        }
    }
    let mut seen = HashSet::with_capacity(samples.len());
    samples.retain(|sample| seen.insert(sample.clone()));
}

#[cfg(test)]
mod tests {
    use super::*;
    use rebalancer_core::model::Rate;
    use rebalancer_core::ports::MemberLabels;
    use rstest::rstest;

    fn owners(topics: &[&str]) -> Vec<OwnerSample> {
        let owner = |topic: &&str| OwnerSample {
            topic: (*topic).to_owned(),
            partition: 0,
            owner: Some(MemberLabels::default()),
        };
        topics.iter().map(owner).collect()
    }

    #[rstest]
    #[case::no_rates(&["a_b"], &[], &["a_b"])]
    #[case::both_from_the_client(&["a.b", "a_b"], &[], &["a.b"])]
    #[case::both_and_rates(&["a_b", "a.b"], &["a.b"], &["a.b"])]
    #[case::only_the_client_name(&["a_b", "c"], &["a.b", "c"], &["a.b", "c"])]
    #[case::underscore_in_the_real_name(&["a_b"], &["a_b", "a.b"], &["a_b"])]
    #[case::underscores_and_dots(&["a_b_c_d"], &["a_b.c_d"], &["a_b.c_d"])]
    #[case::another_topic(&["a_b"], &["a.c"], &["a_b"])]
    fn topic_gets_the_name_that_the_broker_reports(
        #[case] owned: &[&str],
        #[case] rated: &[&str],
        #[case] expected: &[&str],
    ) {
        let (mut now, mut before) = (owners(owned), owners(owned));
        let rates: Vec<_> = rated.iter().map(|topic| rate(topic)).collect();
        assert!(restore_names(&mut now, &mut before, &rates).is_empty());
        assert_eq!(now, owners(expected));
        assert_eq!(before, now);
    }

    #[test]
    fn ambiguous_name_is_reported() {
        let mut now = owners(&["a_b_c"]);
        let rates = [rate("a.b_c"), rate("a_b.c")];
        let ambiguous = restore_names(&mut now, &mut Vec::new(), &rates);
        assert_eq!(
            ambiguous,
            ["topic a_b_c of the owners may be any of a.b_c, a_b.c"]
        );
        assert_eq!(now, owners(&["a_b_c"]));
    }

    fn rate(topic: &str) -> RateSample {
        RateSample {
            topic: topic.to_owned(),
            partition: 0,
            rate: Ok(Rate::new(1.0).unwrap()),
        }
    }
}
