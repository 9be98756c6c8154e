//! Check: the metrics contain each pod once.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::rule::{CheckInput, Failure, Rule, Verdict};
use crate::hold_reason::HoldReason;
use crate::model::{DifferingLabel, Pod};
use crate::wording::{count_pods, list_some};

/// Labels by which a scrape can be selected for all pods, the best first.
const SELECTING_LABELS: [&str; 12] = [
    "metrics_path",
    "job",
    "endpoint",
    "cluster",
    "prometheus_replica",
    "replica",
    "__replica__",
    "prometheus",
    "receive",
    "service",
    "scrape_job",
    "tenant",
];
/// Labels whose values identify a single container or node, so that they select nothing else.
const IDENTIFYING_LABELS: [&str; 8] = [
    "id",
    "name",
    "uid",
    "container_id",
    "image",
    "instance",
    "node",
    "host",
];
/// The value of a label that is preferred if it is among the duplicates: cadvisor's metrics.
const PREFERRED_VALUE: &str = "/metrics/cadvisor";
/// The number of characters of a label's value that a message shows. The ends of long values, such
/// as cgroups, differ.
const VALUE_CHARACTERS: usize = 60;

/// The metrics contain each pod once: no pod has duplicate series.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct MeasuredOnce {
    /// Number of pods with duplicate series.
    pub pods: usize,
    /// The first of them by name.
    pub example: Option<String>,
    /// Number of series of that pod's container.
    pub series: Option<u32>,
    /// The labels that differ among these series.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub labels: Vec<DifferingLabel>,
    /// Number of pods whose container has nested cgroups, of which only the outermost one is
    /// counted.
    #[serde(default, skip_serializing_if = "crate::serialization::is_zero")]
    pub nested_cgroups: usize,
}

impl HoldReason {
    /// The metrics count pods more than once.
    pub const PODS_MEASURED_TWICE: Self = Self::new(
        "pods_measured_twice",
        "the metrics contain the same container more than once (duplicate series)",
        "select one of the series with a label matcher (the message names the labels that differ), \
         or remove one of the scrape jobs",
    )
    .missing_data();
}

impl Rule for MeasuredOnce {
    const REASONS: &'static [HoldReason] = &[HoldReason::PODS_MEASURED_TWICE];

    fn evaluate(input: &CheckInput<'_>) -> Option<(Verdict, Self)> {
        let data = input.snapshot.data();
        let duplicates: Vec<&Pod> = input
            .snapshot
            .pods()
            .iter()
            .filter(|pod| pod.owned && pod.measurement.duplicate_series().is_some())
            .collect();
        let example = duplicates.iter().min_by_key(|pod| pod.name.as_str());
        Some((
            Verdict::pass_if(example.is_none()),
            Self {
                pods: duplicates.len(),
                example: example.map(|pod| pod.name.clone()),
                series: example.and_then(|pod| pod.measurement.duplicate_series()),
                labels: data.duplicate_labels.clone(),
                nested_cgroups: data.nested_cgroups,
            },
        ))
    }

    fn failure(&self) -> Failure {
        Failure {
            reason: HoldReason::PODS_MEASURED_TWICE,
            missing_data: true,
            untrusted_loads: true,
        }
    }
}

impl MeasuredOnce {
    /// The label matcher that selects one of the duplicate series of every pod; `None` if no label
    /// is known to do so.
    fn selecting_matcher(&self) -> Option<String> {
        let usual = SELECTING_LABELS
            .iter()
            .find_map(|name| self.labels.iter().find(|label| label.name == *name));
        let label = usual.or_else(|| {
            self.labels
                .iter()
                .find(|label| !IDENTIFYING_LABELS.contains(&label.name.as_str()))
        })?;
        let mut values = label.values.iter().filter(|value| !value.is_empty());
        let preferred = label.values.iter().find(|value| *value == PREFERRED_VALUE);
        let value = preferred.or_else(|| values.next())?;
        Some(format!("{}={value:?}", label.name))
    }
}

impl fmt::Display for MeasuredOnce {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (Some(example), Some(series)) = (&self.example, self.series) else {
            f.write_str("no pod has duplicate series in the metrics")?;
            return match self.nested_cgroups {
                0 => Ok(()),
                pods => write!(
                    f,
                    "; the container of {} has nested cgroups: the outermost one is counted",
                    count_pods(pods)
                ),
            };
        };
        let verb = if self.pods == 1 { "has" } else { "have" };
        write!(
            f,
            "{} {verb} duplicate series in the metrics ({example}: {series} series)",
            count_pods(self.pods)
        )?;
        if self.labels.is_empty() {
            return f.write_str(": check whether two jobs scrape the same container");
        }
        let labels = list_some(self.labels.iter().map(described));
        write!(f, ", which differ in {labels}: select one of them")?;
        match self.selecting_matcher() {
            Some(matcher) => write!(f, ", for example with the label matcher {matcher}"),
            None => f.write_str(" with a label matcher"),
        }
    }
}

/// The name and the values of a label, for a message.
fn described(label: &DifferingLabel) -> String {
    let values = list_some(label.values.iter().map(|value| {
        let hidden = value.chars().count().saturating_sub(VALUE_CHARACTERS);
        match (value.as_str(), hidden) {
            ("", _) => "none".to_owned(),
            (value, 0) => value.to_owned(),
            (value, hidden) => format!("…{}", value.chars().skip(hidden).collect::<String>()),
        }
    }));
    format!("{} ({values})", label.name)
}

#[cfg(test)]
mod tests {
    use super::super::rule::testing::check_snapshot;
    use super::*;
    use crate::checks::CheckDetails;
    use crate::policy::Policy;
    use rstest::rstest;
    use serde_json::{Value, json};

    #[rstest]
    #[case::one_series(json!([{"name": "a"}]), Verdict::Pass, None)]
    #[case::duplicates(
        json!([{"name": "b", "series": 3}, {"name": "a", "series": 2}]),
        Verdict::Fail,
        Some(("a", 2))
    )]
    #[case::not_owned(
        json!([{"name": "a", "series": 2, "owned": false}]),
        Verdict::Pass,
        None
    )]
    fn duplicate_series_of_owned_pods_fail(
        #[case] pods: Value,
        #[case] verdict: Verdict,
        #[case] example: Option<(&str, u64)>,
    ) {
        let snapshot = json!({"pods": pods});
        let check = check_snapshot(CheckDetails::MeasuredOnce, &snapshot, &Policy::default());
        assert_eq!(check.verdict, verdict);
        let json = serde_json::to_value(&check).unwrap();
        let found = json["example"].as_str().zip(json["series"].as_u64());
        assert_eq!(found, example);
    }

    #[rstest]
    #[case::metrics_path(
        json!([
            {"name": "endpoint", "values": ["http", "https"]},
            {"name": "metrics_path", "values": ["/metrics/cadvisor", "/metrics/resource"]},
        ]),
        "which differ in endpoint (http, https), metrics_path (/metrics/cadvisor, \
         /metrics/resource): select one of them, for example with the label matcher \
         metrics_path=\"/metrics/cadvisor\""
    )]
    #[case::absent_label(
        json!([{"name": "job", "values": ["", "kubelet"]}]),
        "which differ in job (none, kubelet): select one of them, for example with the label \
         matcher job=\"kubelet\""
    )]
    #[case::label_of_the_operator(
        json!([{"name": "id", "values": ["/a", "/b"]}, {"name": "stage", "values": ["x", "y"]}]),
        "which differ in id (/a, /b), stage (x, y): select one of them, for example with the label \
         matcher stage=\"x\""
    )]
    #[case::only_cgroups(
        json!([{"name": "id", "values": [format!("/{}/a", "k".repeat(80)), "/b"]}]),
        "which differ in id (…kkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkk/a, /b): \
         select one of them with a label matcher"
    )]
    #[case::unknown(json!([]), "check whether two jobs scrape the same container")]
    fn message_names_the_labels_and_a_matcher(#[case] labels: Value, #[case] end: &str) {
        let snapshot = json!({
            "duplicate_labels": labels,
            "pods": [{"name": "a", "load": 1.0, "series": 2}]
        });
        let check = check_snapshot(CheckDetails::MeasuredOnce, &snapshot, &Policy::default());
        let begin = "1 pod has duplicate series in the metrics (a: 2 series)";
        assert!(check.message.starts_with(begin), "{}", check.message);
        assert!(check.message.ends_with(end), "{}", check.message);
    }

    #[test]
    fn nested_cgroups_pass_and_are_reported() {
        let snapshot = json!({"nested_cgroups": 2, "pods": [{"name": "a"}, {"name": "b"}]});
        let check = check_snapshot(CheckDetails::MeasuredOnce, &snapshot, &Policy::default());
        assert_eq!(check.verdict, Verdict::Pass);
        assert_eq!(
            check.message,
            "no pod has duplicate series in the metrics; the container of 2 pods has nested \
             cgroups: the outermost one is counted"
        );
    }
}
