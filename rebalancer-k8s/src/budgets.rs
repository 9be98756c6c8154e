//! PodDisruptionBudgets: which pods they cover, and how many evictions they allow.

use std::collections::{BTreeMap, BTreeSet};

use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use kube::core::{ParseExpressionError, Selector, SelectorExt as _};
use rebalancer_core::model::PodUid;
use rebalancer_core::ports::DisruptionBudget;
use serde::Deserialize;

/// A `PodDisruptionBudget` in a list response.
#[derive(Deserialize)]
pub(crate) struct Budget {
    metadata: Metadata,
    #[serde(default)]
    spec: Spec,
    #[serde(default)]
    status: Status,
}

#[derive(Deserialize)]
struct Metadata {
    name: String,
}

#[derive(Deserialize, Default)]
struct Spec {
    selector: Option<LabelSelector>,
}

/// The status is empty until the controller has seen the budget, which then allows no eviction.
#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase")]
struct Status {
    #[serde(default)]
    disruptions_allowed: i32,
}

/// The labels of a pod.
pub(crate) type Labels = BTreeMap<String, String>;

impl Budget {
    /// The number of evictions of ready pods that the budget allows at present. Its
    /// `unhealthyPodEvictionPolicy` does not matter to ready pods.
    pub(crate) fn allowed(&self) -> usize {
        usize::try_from(self.status.disruptions_allowed).unwrap_or(0)
    }

    /// The budget with the pods that it covers, or `None` if it covers none of them.
    ///
    /// # Errors
    /// [`ParseExpressionError`] if its selector has an unknown operator.
    pub(crate) fn covering(
        self,
        pods: &[(PodUid, Labels)],
    ) -> Result<Option<DisruptionBudget>, ParseExpressionError> {
        let allowed = self.allowed();
        // An empty selector selects every pod of the namespace, and a missing one no pod.
        let Some(selector) = self.spec.selector else {
            return Ok(None);
        };
        let selector = Selector::try_from(selector)?;
        let covered = pods.iter().filter(|(_, labels)| selector.matches(labels));
        let covered: BTreeSet<PodUid> = covered.map(|(uid, _)| uid.clone()).collect();
        Ok((!covered.is_empty()).then_some(DisruptionBudget {
            name: self.metadata.name,
            allowed,
            pods: covered,
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;
    use serde_json::{Value, json};

    fn budget(selector: Value, status: Value) -> Budget {
        let object = json!({
            "metadata": {"name": "tight"},
            "spec": {"maxUnavailable": 1, "selector": selector},
            "status": status,
        });
        serde_json::from_value(object).unwrap()
    }

    fn pods() -> Vec<(PodUid, Labels)> {
        [("front", "1"), ("back", "2")]
            .into_iter()
            .map(|(tier, index)| {
                let labels = [("app", "web"), ("tier", tier), ("index", index)];
                let labels = labels.map(|(name, value)| (name.to_owned(), value.to_owned()));
                (PodUid(tier.into()), labels.into())
            })
            .collect()
    }

    #[rstest]
    #[case::labels(json!({"matchLabels": {"app": "web"}}), &["back", "front"])]
    #[case::labels_of_one(json!({"matchLabels": {"app": "web", "tier": "front"}}), &["front"])]
    #[case::other_labels(json!({"matchLabels": {"app": "other"}}), &[])]
    #[case::everything(json!({}), &["back", "front"])]
    #[case::nothing(json!(null), &[])]
    #[case::in_a_set(
        json!({"matchExpressions": [{"key": "index", "operator": "In", "values": ["2", "3"]}]}),
        &["back"]
    )]
    #[case::not_in_a_set(
        json!({"matchExpressions": [{"key": "index", "operator": "NotIn", "values": ["2"]}]}),
        &["front"]
    )]
    #[case::not_in_a_set_without_the_label(
        json!({"matchExpressions": [{"key": "zone", "operator": "NotIn", "values": ["2"]}]}),
        &["back", "front"]
    )]
    #[case::exists(json!({"matchExpressions": [{"key": "zone", "operator": "Exists"}]}), &[])]
    #[case::does_not_exist(
        json!({"matchLabels": {"tier": "back"},
            "matchExpressions": [{"key": "zone", "operator": "DoesNotExist"}]}),
        &["back"]
    )]
    fn selector_covers_pods(#[case] selector: Value, #[case] expected: &[&str]) {
        let budget = budget(selector, json!({"disruptionsAllowed": 2}));
        let covering = budget.covering(&pods()).unwrap();
        let covered: Vec<String> = covering
            .iter()
            .flat_map(|budget| budget.pods.iter().map(|uid| uid.0.clone()))
            .collect();
        assert_eq!(covered, expected);
        assert!(covering.is_none_or(|budget| budget.name == "tight" && budget.allowed == 2));
    }

    #[rstest]
    #[case(json!({"disruptionsAllowed": 3, "currentHealthy": 5}), 3)]
    #[case(json!({"disruptionsAllowed": 0}), 0)]
    #[case(json!({"disruptionsAllowed": -1}), 0)]
    #[case(json!({}), 0)]
    fn allowance_is_read_from_the_status(#[case] status: Value, #[case] allowed: usize) {
        assert_eq!(budget(json!({}), status).allowed(), allowed);
    }

    #[test]
    fn new_budget_allows_nothing() {
        let budget: Budget = serde_json::from_value(json!({"metadata": {"name": "new"}})).unwrap();
        assert_eq!(budget.allowed(), 0);
    }

    #[test]
    fn unknown_operator_is_an_error() {
        let selector =
            json!({"matchExpressions": [{"key": "a", "operator": "Near", "values": []}]});
        assert!(budget(selector, json!({})).covering(&pods()).is_err());
    }
}
