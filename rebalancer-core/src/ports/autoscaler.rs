//! Autoscalers as both ports report them: every candidate, with the object that it scales.

use crate::model::{Autoscaler, WorkloadRef};

/// An autoscaler of the workload's namespace. Which candidates are the workload's is decided by
/// [`choose_autoscalers`](crate::snapshot::choose_autoscalers).
#[derive(Debug, Clone, PartialEq)]
pub struct AutoscalerCandidate {
    /// The autoscaler.
    pub autoscaler: Autoscaler,
    /// The object that it scales. Empty if the source does not report it; more than one if
    /// several exporters report different objects.
    pub scale_targets: Vec<ScaleTarget>,
}

impl AutoscalerCandidate {
    /// A candidate that scales the workload.
    #[must_use]
    pub fn scaling(workload: &WorkloadRef, autoscaler: Autoscaler) -> Self {
        Self {
            autoscaler,
            scale_targets: vec![ScaleTarget::of_workload(workload)],
        }
    }
}

/// The object that an autoscaler refers to in its `scaleTargetRef`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ScaleTarget {
    /// The kind, such as `Deployment`.
    pub kind: String,
    /// The name.
    pub name: String,
    /// The API group, empty for the core API; `None` if it is not known.
    pub api_group: Option<String>,
}

impl ScaleTarget {
    /// A scale target with the group of an `apiVersion` (`apps/v1`, `v1`). The group is unknown if
    /// the version is missing or empty.
    #[must_use]
    pub fn new(
        kind: impl Into<String>,
        name: impl Into<String>,
        api_version: Option<&str>,
    ) -> Self {
        let api_version = api_version.filter(|version| !version.is_empty());
        let group = |version: &str| match version.split_once('/') {
            Some((group, _)) => group.to_owned(),
            None => String::new(),
        };
        Self {
            kind: kind.into(),
            name: name.into(),
            api_group: api_version.map(group),
        }
    }

    /// The scale target of an autoscaler that scales the workload. The workload's kind is
    /// `Deployment`, `StatefulSet` (in any case), `Kind.version` of the core API or
    /// `Kind.version.group`; the group of any other kind is unknown.
    #[must_use]
    pub fn of_workload(workload: &WorkloadRef) -> Self {
        let text = workload.kind.trim();
        let apps = ["Deployment", "StatefulSet"];
        let known = apps
            .into_iter()
            .find(|kind| kind.eq_ignore_ascii_case(text));
        let (kind, group) = match known {
            Some(kind) => (kind, Some("apps")),
            None => {
                let mut parts = text.splitn(3, '.');
                let kind = parts.next().unwrap_or_default();
                let version = parts.next();
                let group = parts.next().or(version.map(|_| ""));
                (kind, group)
            }
        };
        Self {
            kind: kind.to_owned(),
            name: workload.name.clone(),
            api_group: group.map(ToOwned::to_owned),
        }
    }

    /// Whether both refer to the same object. The API version does not matter, since one object is
    /// served under several. An unknown group matches every group.
    #[must_use]
    pub fn is_same_object(&self, other: &Self) -> bool {
        let same_group = match (&self.api_group, &other.api_group) {
            (Some(one), Some(other)) => one == other,
            (None, Some(_) | None) | (Some(_), None) => true,
        };
        self.kind == other.kind && self.name == other.name && same_group
    }
}
