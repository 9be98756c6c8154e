//! Label selectors of objects, turned into the text that a list request takes.

use std::collections::BTreeMap;

use serde::Deserialize;

/// `spec.selector` of a workload.
#[derive(Debug, Deserialize, Default)]
#[serde(rename_all = "camelCase")]
pub(crate) struct LabelSelector {
    match_labels: Option<BTreeMap<String, String>>,
    match_expressions: Option<Vec<Requirement>>,
}

#[derive(Debug, Deserialize)]
struct Requirement {
    key: String,
    operator: Operator,
    values: Option<Vec<String>>,
}

#[derive(Debug, Deserialize, Clone, Copy)]
enum Operator {
    In,
    NotIn,
    Exists,
    DoesNotExist,
}

impl LabelSelector {
    /// The selector as text; `None` when it selects everything, which no workload means.
    pub(crate) fn to_text(&self) -> Option<String> {
        let labels = self
            .match_labels
            .iter()
            .flatten()
            .map(|(key, value)| format!("{key}={value}"));
        let expressions = self
            .match_expressions
            .iter()
            .flatten()
            .map(Requirement::to_text);
        let terms: Vec<String> = labels.chain(expressions).collect();
        (!terms.is_empty()).then(|| terms.join(","))
    }
}

impl Requirement {
    fn to_text(&self) -> String {
        let Self {
            key,
            operator,
            values,
        } = self;
        let values = || values.as_deref().unwrap_or_default().join(",");
        match operator {
            Operator::In => format!("{key} in ({})", values()),
            Operator::NotIn => format!("{key} notin ({})", values()),
            Operator::Exists => key.clone(),
            Operator::DoesNotExist => format!("!{key}"),
        }
    }
}

/// What matches both selectors.
pub(crate) fn both(own: &str, extra: Option<&str>) -> String {
    match extra.map(str::trim).filter(|extra| !extra.is_empty()) {
        Some(extra) => format!("{own},{extra}"),
        None => own.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case(r#"{"matchLabels": {"b": "2", "a": "1"}}"#, Some("a=1,b=2"))]
    #[case(
        r#"{"matchExpressions": [
            {"key": "tier", "operator": "In", "values": ["x", "y"]},
            {"key": "env", "operator": "NotIn", "values": ["dev"]},
            {"key": "app", "operator": "Exists"},
            {"key": "old", "operator": "DoesNotExist", "values": null}]}"#,
        Some("tier in (x,y),env notin (dev),app,!old")
    )]
    #[case(
        r#"{"matchLabels": {"a": ""}, "matchExpressions": [{"key": "b", "operator": "Exists"}]}"#,
        Some("a=,b")
    )]
    #[case("{}", None)]
    #[case(r#"{"matchLabels": {}, "matchExpressions": []}"#, None)]
    fn a_selector_becomes_text(#[case] json: &str, #[case] text: Option<&str>) {
        let selector: LabelSelector = serde_json::from_str(json).unwrap();
        assert_eq!(selector.to_text().as_deref(), text);
    }

    #[rstest]
    #[case(None, "a=1")]
    #[case(Some("  "), "a=1")]
    #[case(Some("b in (x,y)"), "a=1,b in (x,y)")]
    fn pods_must_match_both(#[case] extra: Option<&str>, #[case] text: &str) {
        assert_eq!(both("a=1", extra), text);
    }
}
