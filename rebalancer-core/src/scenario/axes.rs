//! The changes that an operator asks for, and their combinations.

use std::collections::BTreeMap;
use std::fmt;

use kafka_assignors::{Assignor, Protocol};
use serde::{Deserialize, Serialize};

use crate::wording::plural;

/// A change of a group. The default is the group as it is.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(default)]
pub struct Scenario {
    /// The number of pods; absent: the ready pods, apart from those that are left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub replicas: Option<usize>,
    /// The assignor; absent: the current one, or the default of another protocol.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub assignor: Option<Assignor>,
    /// The group protocol; absent: the current one, or the one that has the assignor.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub protocol: Option<Protocol>,
    /// The number of partitions of topics, by name. Other topics keep theirs.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub partitions: BTreeMap<String, usize>,
    /// Pods that are left out, by name.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub without: Vec<String>,
}

impl Scenario {
    /// Another number of pods.
    pub(super) fn with_replicas(replicas: usize) -> Self {
        Self {
            replicas: Some(replicas),
            ..Self::default()
        }
    }

    /// Another assignor.
    pub(super) fn with_assignor(assignor: Assignor) -> Self {
        Self {
            assignor: Some(assignor),
            ..Self::default()
        }
    }

    /// Another number of partitions of one topic.
    pub(super) fn with_partitions(topic: &str, partitions: usize) -> Self {
        Self {
            partitions: BTreeMap::from([(topic.to_owned(), partitions)]),
            ..Self::default()
        }
    }
}

impl fmt::Display for Scenario {
    /// `12 pods, cooperative-sticky, 64 partitions of orders`, or `as it is`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            replicas,
            assignor,
            protocol,
            partitions,
            without,
        } = self;
        let mut parts = Vec::new();
        match replicas {
            Some(1) => parts.push("1 pod".to_owned()),
            Some(replicas) => parts.push(format!("{replicas} pods")),
            None => {}
        }
        parts.extend(assignor.map(|assignor| assignor.to_string()));
        parts.extend(protocol.map(|protocol| format!("protocol {protocol}")));
        for (topic, count) in partitions {
            let noun = plural(*count, "partition", "partitions");
            parts.push(format!("{count} {noun} of {topic}"));
        }
        if !without.is_empty() {
            parts.push(format!("without {}", without.join(", ")));
        }
        if parts.is_empty() {
            return f.write_str("as it is");
        }
        f.write_str(&parts.join(", "))
    }
}

/// The alternatives of each kind of change. An empty list keeps what the group has.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ScenarioAxes {
    /// Numbers of pods, at least 1 each.
    pub replicas: Vec<usize>,
    /// Assignors.
    pub assignors: Vec<Assignor>,
    /// Group protocols.
    pub protocols: Vec<Protocol>,
    /// Numbers of partitions of topics, by name.
    pub partitions: BTreeMap<String, Vec<usize>>,
    /// Pods that are left out in every scenario, by name.
    pub without: Vec<String>,
}

/// The combinations exceed the limit.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{combinations} combinations of the changes are more than {}: ask for fewer at once",
    ScenarioAxes::MOST
)]
pub struct TooManyScenarios {
    /// The number of combinations.
    pub combinations: usize,
}

impl ScenarioAxes {
    /// The maximum number of combinations.
    pub const MOST: usize = 500;

    /// Whether no change is asked for.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Every combination of one alternative of each kind. Replicas change fastest. An alternative
    /// that is given more than once counts once.
    ///
    /// # Errors
    /// [`TooManyScenarios`] if there are more than [`MOST`](Self::MOST).
    pub fn combinations(&self) -> Result<Vec<Scenario>, TooManyScenarios> {
        let lengths = [
            self.replicas.len(),
            self.assignors.len(),
            self.protocols.len(),
        ];
        let of_topics = self.partitions.values().map(Vec::len);
        let combinations = lengths
            .into_iter()
            .chain(of_topics)
            .fold(1_usize, |product, length| {
                product.saturating_mul(length.max(1))
            });
        if combinations > Self::MOST {
            return Err(TooManyScenarios { combinations });
        }
        let start = Scenario {
            without: self.without.clone(),
            ..Scenario::default()
        };
        let mut scenarios = extended(vec![start], &self.protocols, |scenario, protocol| {
            scenario.protocol = Some(*protocol);
        });
        scenarios = extended(scenarios, &self.assignors, |scenario, assignor| {
            scenario.assignor = Some(*assignor);
        });
        for (topic, counts) in &self.partitions {
            scenarios = extended(scenarios, counts, |scenario, count| {
                scenario.partitions.insert(topic.clone(), *count);
            });
        }
        scenarios = extended(scenarios, &self.replicas, |scenario, replicas| {
            scenario.replicas = Some(*replicas);
        });
        let mut distinct: Vec<Scenario> = Vec::with_capacity(scenarios.len());
        for scenario in scenarios {
            if !distinct.contains(&scenario) {
                distinct.push(scenario);
            }
        }
        Ok(distinct)
    }
}

/// Each scenario with each alternative; unchanged if there is none.
fn extended<T>(
    scenarios: Vec<Scenario>,
    alternatives: &[T],
    set: impl Fn(&mut Scenario, &T),
) -> Vec<Scenario> {
    if alternatives.is_empty() {
        return scenarios;
    }
    let with = |scenario: &Scenario| {
        let scenario = scenario.clone();
        alternatives.iter().map({
            let set = &set;
            move |alternative| {
                let mut scenario = scenario.clone();
                set(&mut scenario, alternative);
                scenario
            }
        })
    };
    scenarios.iter().flat_map(with).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn combinations_are_the_product_of_the_alternatives() {
        let axes = ScenarioAxes {
            replicas: vec![4, 6, 4],
            assignors: vec![Assignor::Range, Assignor::CooperativeSticky],
            partitions: BTreeMap::from([("orders".to_owned(), vec![64])]),
            without: vec!["pod-a".to_owned()],
            ..ScenarioAxes::default()
        };
        let texts: Vec<String> = axes
            .combinations()
            .unwrap()
            .iter()
            .map(ToString::to_string)
            .collect();
        assert_eq!(
            texts,
            [
                "4 pods, range, 64 partitions of orders, without pod-a",
                "6 pods, range, 64 partitions of orders, without pod-a",
                "4 pods, cooperative-sticky, 64 partitions of orders, without pod-a",
                "6 pods, cooperative-sticky, 64 partitions of orders, without pod-a",
            ]
        );
        assert!(!axes.is_empty() && ScenarioAxes::default().is_empty());
    }

    #[test]
    fn too_many_combinations_are_refused() {
        let axes = ScenarioAxes {
            replicas: (1..=251).collect(),
            protocols: vec![Protocol::Classic, Protocol::Consumer],
            ..ScenarioAxes::default()
        };
        let error = axes.combinations().unwrap_err();
        assert_eq!(error.combinations, 502);
        assert!(error.to_string().contains("more than 500"), "{error}");
        let axes = ScenarioAxes {
            replicas: (1..=250).collect(),
            ..axes
        };
        assert_eq!(axes.combinations().unwrap().len(), 500);
        // The product may exceed every number.
        let counts = || vec![1; 1 << 16];
        let axes = ScenarioAxes {
            partitions: (0..5).map(|topic| (topic.to_string(), counts())).collect(),
            ..ScenarioAxes::default()
        };
        assert_eq!(axes.combinations().unwrap_err().combinations, usize::MAX);
    }

    #[test]
    fn scenario_names_its_changes() {
        let scenario = Scenario {
            replicas: Some(1),
            protocol: Some(Protocol::Consumer),
            ..Scenario::with_partitions("t", 1)
        };
        assert_eq!(
            scenario.to_string(),
            "1 pod, protocol consumer, 1 partition of t"
        );
        assert_eq!(Scenario::default().to_string(), "as it is");
    }
}
