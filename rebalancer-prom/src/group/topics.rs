//! The names of topics, which Kafka's own Java client does not write as they are.
//!
//! In its metrics `my.topic` is `my_topic`; from 4.1 on it writes both. Exporters that ask the
//! broker know the real name alone. Kafka refuses to create a topic whose name differs from
//! another's in nothing but `.` and `_`, so that in one cluster both are the same topic.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use rebalancer_core::ports::{OwnerSample, RateSample};

/// Gives the topics that are owned, now and before, their real names, as far as owners or rates
/// say them; yields what cannot be told, in words.
pub(super) fn by_their_names(
    owners: &mut Vec<OwnerSample>,
    before: &mut Vec<OwnerSample>,
    rates: &[RateSample],
) -> Vec<String> {
    let owned: BTreeSet<&str> = topics(owners.iter().chain(before.iter()));
    let rated: BTreeSet<&str> = rates.iter().map(|sample| sample.topic.as_str()).collect();
    let (by_owners, by_rates) = (by_written_name(&owned), by_written_name(&rated));
    let mut names: BTreeMap<String, String> = BTreeMap::new();
    let mut unclear = Vec::new();
    for topic in &owned {
        let known = || rated.contains(topic);
        let real = match (by_owners.get(*topic), by_rates.get(*topic)) {
            (Some(names), _) => names,
            (None, Some(names)) if !known() => names,
            (None, Some(_) | None) => continue,
        };
        match real.as_slice() {
            [name] => {
                names.insert((*topic).to_owned(), (*name).to_owned());
            }
            several => unclear.push(format!(
                "topic {topic} of the owners may be any of {}",
                several.join(", ")
            )),
        }
    }
    if !names.is_empty() {
        rename(owners, &names);
        rename(before, &names);
    }
    unclear
}

fn topics<'a>(samples: impl Iterator<Item = &'a OwnerSample>) -> BTreeSet<&'a str> {
    samples.map(|sample| sample.topic.as_str()).collect()
}

/// Those that the Java client writes otherwise, by how it writes them.
fn by_written_name<'a>(names: &BTreeSet<&'a str>) -> BTreeMap<String, Vec<&'a str>> {
    let mut by_written: BTreeMap<String, Vec<&str>> = BTreeMap::new();
    for name in names.iter().filter(|name| name.contains('.')) {
        let written = name.replace('.', "_");
        by_written.entry(written).or_default().push(name);
    }
    by_written
}

/// Samples that are alike then are one.
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
    #[case::only_the_old_name(&["a_b", "c"], &["a.b", "c"], &["a.b", "c"])]
    #[case::underscores_of_its_own(&["a_b"], &["a_b", "a.b"], &["a_b"])]
    #[case::underscores_and_points(&["a_b_c_d"], &["a_b.c_d"], &["a_b.c_d"])]
    #[case::another_topic(&["a_b"], &["a.c"], &["a_b"])]
    fn a_topic_gets_the_name_that_the_broker_knows(
        #[case] owned: &[&str],
        #[case] rated: &[&str],
        #[case] expected: &[&str],
    ) {
        let (mut now, mut before) = (owners(owned), owners(owned));
        let rates: Vec<_> = rated.iter().map(|topic| rate(topic)).collect();
        assert!(by_their_names(&mut now, &mut before, &rates).is_empty());
        assert_eq!(now, owners(expected));
        assert_eq!(before, now);
    }

    #[test]
    fn a_name_that_two_topics_may_be_written_as_is_told() {
        let mut now = owners(&["a_b_c"]);
        let rates = [rate("a.b_c"), rate("a_b.c")];
        let unclear = by_their_names(&mut now, &mut Vec::new(), &rates);
        assert_eq!(
            unclear,
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
