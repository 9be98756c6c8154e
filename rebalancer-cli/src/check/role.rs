//! The Roles of `rebalancer check --print-role`: the rights that the settings need, and no others.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use rebalancer_k8s::{Importance, Right};

/// The group and resource of a rule; whether it is restricted to the objects of workloads; whether
/// runs do without it.
type Key = (String, String, bool, bool);

#[derive(Default)]
struct Rule {
    names: BTreeSet<String>,
    verbs: Vec<&'static str>,
    why: Vec<&'static str>,
    /// The consequence of its absence, unless runs fail without it.
    without: Option<&'static str>,
    /// Whether only some workloads need it.
    situational: bool,
}

/// The manifests of the Roles, one for each namespace. `rights` are the namespace and the rights of
/// each workload.
pub(crate) fn manifest(rights: &[(&str, Vec<Right>)]) -> String {
    let mut namespaces: BTreeMap<&str, BTreeMap<Key, Rule>> = BTreeMap::new();
    for (namespace, rights) in rights {
        let rules = namespaces.entry(namespace).or_default();
        for right in rights {
            add(rules, right);
        }
    }
    let mut text = String::from(
        "# The rights that these settings need. Bind each Role to the service account of the runs.\n",
    );
    for (namespace, rules) in namespaces {
        let _ = write!(
            text,
            "---\napiVersion: rbac.authorization.k8s.io/v1\nkind: Role\nmetadata:\n  \
             name: rebalancer\n  namespace: {namespace}\nrules:\n"
        );
        for ((group, resource, ..), rule) in rules {
            write_rule(&mut text, &group, &resource, &rule);
        }
    }
    text
}

fn add(rules: &mut BTreeMap<Key, Rule>, right: &Right) {
    let (without, situational) = match right.importance {
        Importance::Required | Importance::ToAct | Importance::ToLead => (None, false),
        Importance::Optional { without } => (Some(without), false),
        Importance::Situational { without } => (Some(without), true),
    };
    let key = (
        right.group.to_string(),
        right.resource.to_string(),
        right.name.is_some(),
        without.is_some(),
    );
    let rule = rules.entry(key).or_default();
    rule.names.extend(right.name.clone());
    if !rule.verbs.contains(&right.verb) {
        rule.verbs.push(right.verb);
    }
    if !rule.why.contains(&right.why) {
        rule.why.push(right.why);
    }
    rule.without = without;
    rule.situational = situational;
}

fn write_rule(text: &mut String, group: &str, resource: &str, rule: &Rule) {
    let _ = writeln!(text, "  # {}", rule.why.join("; "));
    if let Some(without) = rule.without {
        let _ = writeln!(text, "  # Optional. Without it: {without}");
    }
    // A rule that not every workload needs is left to the reader.
    let indent = if rule.situational { "  # " } else { "  " };
    let list = |values: &mut dyn Iterator<Item = &str>| {
        let quoted: Vec<String> = values.map(|value| format!("{value:?}")).collect();
        quoted.join(", ")
    };
    let _ = writeln!(text, "{indent}- apiGroups: [{group:?}]");
    let _ = writeln!(text, "{indent}  resources: [{resource:?}]");
    if !rule.names.is_empty() {
        let names = list(&mut rule.names.iter().map(String::as_str));
        let _ = writeln!(text, "{indent}  resourceNames: [{names}]");
    }
    let verbs = list(&mut rule.verbs.iter().copied());
    let _ = writeln!(text, "{indent}  verbs: [{verbs}]");
}

#[cfg(test)]
mod tests {
    use super::*;
    use rebalancer_core::model::WorkloadRef;
    use rebalancer_k8s::{Settings, Usage};

    fn rights(namespace: &str, kind: &str, name: &str) -> Vec<Right> {
        let settings = Settings::new(WorkloadRef {
            namespace: namespace.into(),
            kind: kind.into(),
            name: name.into(),
        });
        let usage = Usage {
            evicts: true,
            dry_run: false,
            lease: true,
            approval: false,
            counts_evictions: namespace == "limited",
        };
        rebalancer_k8s::rights(&settings, usage, Some("rollouts")).unwrap()
    }

    #[test]
    fn one_role_per_namespace_with_the_names_of_its_workloads() {
        let of = |namespace, kind, name| (namespace, rights(namespace, kind, name));
        let text = manifest(&[
            of("orders", "Deployment", "ingestion"),
            of("orders", "Deployment", "enrichment"),
            of("payments", "Rollout.v1alpha1.argoproj.io", "invoices"),
        ]);
        insta::assert_snapshot!(text);
    }

    /// The record of evictions that are limited is no optional right.
    #[test]
    fn right_to_record_counted_evictions_is_required() {
        for kind in ["Deployment", "Rollout.v1alpha1.argoproj.io"] {
            for (namespace, is_optional) in [("orders", true), ("limited", false)] {
                let text = manifest(&[(namespace, rights(namespace, kind, "ingestion"))]);
                let found = text.contains("Without it: rotations are not remembered");
                assert_eq!(found, is_optional, "{text}");
                assert!(text.contains("\"patch\""), "{text}");
            }
        }
    }

    #[test]
    fn rule_that_not_every_workload_needs_is_a_comment() {
        let text = manifest(&[("orders", rights("orders", "Deployment", "ingestion"))]);
        assert!(text.contains("  # - apiGroups: [\"keda.sh\"]\n"), "{text}");
    }
}
