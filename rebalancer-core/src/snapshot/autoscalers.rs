//! Which autoscalers are the workload's.

use std::fmt;

use crate::model::{Autoscaler, WorkloadRef};
use crate::ports::{AutoscalerCandidate, ScaleTarget};

/// The autoscalers of a workload, chosen from the candidates of its namespace.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct ChosenAutoscalers {
    /// The workload's autoscalers, in the order of the candidates.
    pub autoscalers: Vec<Autoscaler>,
    /// Set if the autoscaler was chosen by its name although it scales another object.
    pub by_name: Option<AutoscalerByName>,
}

/// An autoscaler that was chosen by its name although it scales another object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AutoscalerByName {
    /// The name of the autoscaler.
    pub name: String,
    /// The object that it scales.
    pub scales: ScaleTarget,
}

impl fmt::Display for AutoscalerByName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, scales } = self;
        write!(
            f,
            "HorizontalPodAutoscaler {name} is used because of its name: it scales {} {}, and none \
             scales the workload",
            scales.kind, scales.name
        )
    }
}

/// Chooses the autoscalers that scale the workload.
///
/// 1. Every candidate that refers to the workload is chosen.
/// 2. If none does, the candidate named `name_prefix` + the workload's name is chosen, provided
///    that its scale target is unknown or that the prefix is not empty. By setting a prefix the
///    operator says that the autoscaler of this name is the workload's, whatever it refers to
///    (KEDA: `keda-hpa-`).
#[must_use]
pub fn choose_autoscalers(
    candidates: Vec<AutoscalerCandidate>,
    workload: &WorkloadRef,
    name_prefix: &str,
) -> ChosenAutoscalers {
    let target = ScaleTarget::of_workload(workload);
    let (referring, others): (Vec<_>, Vec<_>) = candidates.into_iter().partition(|candidate| {
        let mut targets = candidate.scale_targets.iter();
        targets.any(|scales| scales.is_same_object(&target))
    });
    if !referring.is_empty() {
        let autoscalers = referring
            .into_iter()
            .map(|found| found.autoscaler)
            .collect();
        return ChosenAutoscalers {
            autoscalers,
            by_name: None,
        };
    }
    let name = format!("{name_prefix}{}", workload.name);
    let mut by_name = None;
    let mut autoscalers = Vec::new();
    for candidate in others {
        if candidate.autoscaler.name != name {
            continue;
        }
        match candidate.scale_targets.into_iter().next() {
            Some(_) if name_prefix.is_empty() => continue,
            Some(scales) => {
                let name = name.clone();
                by_name = Some(AutoscalerByName { name, scales });
            }
            None => {}
        }
        autoscalers.push(candidate.autoscaler);
    }
    ChosenAutoscalers {
        autoscalers,
        by_name,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    fn candidate(name: &str, scale_targets: Vec<ScaleTarget>) -> AutoscalerCandidate {
        AutoscalerCandidate {
            autoscaler: Autoscaler {
                name: name.into(),
                cpu: Vec::new(),
                other_metrics: Vec::new(),
                current_replicas: None,
                desired_replicas: None,
            },
            scale_targets,
        }
    }

    fn workload(kind: &str) -> WorkloadRef {
        WorkloadRef {
            namespace: "ns".into(),
            kind: kind.into(),
            name: "w".into(),
        }
    }

    fn choose(
        candidates: Vec<AutoscalerCandidate>,
        kind: &str,
        prefix: &str,
    ) -> (Vec<String>, bool) {
        let chosen = choose_autoscalers(candidates, &workload(kind), prefix);
        let names = chosen.autoscalers.into_iter().map(|chosen| chosen.name);
        (names.collect(), chosen.by_name.is_some())
    }

    #[rstest]
    #[case::same_object("Deployment", "w", Some("apps/v1"), true)]
    #[case::another_version("Deployment", "w", Some("apps/v1beta2"), true)]
    #[case::no_version("Deployment", "w", None, true)]
    #[case::empty_version("Deployment", "w", Some(""), true)]
    #[case::core_group("Deployment", "w", Some("v1"), false)]
    #[case::another_group("Deployment", "w", Some("extensions/v1beta1"), false)]
    #[case::another_kind("StatefulSet", "w", Some("apps/v1"), false)]
    #[case::another_name("Deployment", "other", Some("apps/v1"), false)]
    fn candidate_that_refers_to_the_workload_is_chosen(
        #[case] kind: &str,
        #[case] name: &str,
        #[case] api_version: Option<&str>,
        #[case] chosen: bool,
    ) {
        let candidates = vec![
            candidate("h", vec![ScaleTarget::new(kind, name, api_version)]),
            candidate("unrelated", vec![ScaleTarget::new("Deployment", "x", None)]),
        ];
        let expected: &[&str] = if chosen { &["h"] } else { &[] };
        let (names, by_name) = choose(candidates, "Deployment", "");
        assert_eq!(names, expected);
        assert!(!by_name);
    }

    #[rstest]
    #[case("Deployment", "Deployment", Some("apps/v1"), true)]
    #[case("deployment", "Deployment", Some("apps/v1"), true)]
    #[case("StatefulSet", "Deployment", Some("apps/v1"), false)]
    #[case("Deployment.v1.apps", "Deployment", Some("apps/v1"), true)]
    #[case("Deployment.v1beta1.apps", "Deployment", Some("apps/v1"), true)]
    #[case("Deployment.v1.example.com", "Deployment", Some("apps/v1"), false)]
    #[case(
        "Rollout.v1alpha1.argoproj.io",
        "Rollout",
        Some("argoproj.io/v1alpha1"),
        true
    )]
    #[case("ReplicationController.v1", "ReplicationController", Some("v1"), true)]
    #[case(
        "ReplicationController.v1",
        "ReplicationController",
        Some("apps/v1"),
        false
    )]
    #[case::unknown_group("Rollout", "Rollout", Some("argoproj.io/v1alpha1"), true)]
    fn workload_kind_may_carry_version_and_group(
        #[case] workload_kind: &str,
        #[case] kind: &str,
        #[case] api_version: Option<&str>,
        #[case] chosen: bool,
    ) {
        let target = ScaleTarget::new(kind, "w", api_version);
        let (names, _) = choose(vec![candidate("h", vec![target])], workload_kind, "");
        assert_eq!(!names.is_empty(), chosen);
    }

    #[rstest]
    #[case::no_prefix("", &[])]
    #[case::prefix("keda-hpa-", &["keda-hpa-w"])]
    #[case::unused_prefix("other-", &[])]
    fn candidate_of_another_object_is_chosen_by_name_only_with_a_prefix(
        #[case] prefix: &str,
        #[case] expected: &[&str],
    ) {
        let other = || vec![ScaleTarget::new("Deployment", "other", Some("apps/v1"))];
        let candidates = ["w", "keda-hpa-w"].map(|name| candidate(name, other()));
        let (names, by_name) = choose(candidates.into(), "Deployment", prefix);
        assert_eq!(names, expected);
        assert_eq!(by_name, !expected.is_empty());
    }

    #[rstest]
    #[case("", &["w"])]
    #[case("keda-hpa-", &["keda-hpa-w"])]
    #[case("other-", &[])]
    fn candidate_of_an_unknown_object_is_chosen_by_name(
        #[case] prefix: &str,
        #[case] expected: &[&str],
    ) {
        let candidates = ["w", "keda-hpa-w"].map(|name| candidate(name, Vec::new()));
        let (names, by_name) = choose(candidates.into(), "Deployment", prefix);
        assert_eq!(names, expected);
        assert!(!by_name);
    }

    #[test]
    fn reference_precedes_name_and_every_referring_candidate_is_chosen() {
        let of = |name| vec![ScaleTarget::new("Deployment", name, Some("apps/v1"))];
        let candidates = vec![
            candidate("keda-hpa-w", of("other")),
            candidate("scaler", of("w")),
            candidate("scaler-2", of("w")),
        ];
        let (names, by_name) = choose(candidates, "Deployment", "keda-hpa-");
        assert_eq!(names, ["scaler", "scaler-2"]);
        assert!(!by_name);
    }

    #[test]
    fn choice_by_name_reports_the_object_that_is_scaled() {
        let other = ScaleTarget::new("Deployment", "other", None);
        let chosen = choose_autoscalers(
            vec![candidate("keda-hpa-w", vec![other])],
            &workload("Deployment"),
            "keda-hpa-",
        );
        assert_eq!(
            chosen.by_name.unwrap().to_string(),
            "HorizontalPodAutoscaler keda-hpa-w is used because of its name: it scales Deployment \
             other, and none scales the workload"
        );
    }
}
