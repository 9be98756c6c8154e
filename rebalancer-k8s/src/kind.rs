//! Which API object the workload is.

use std::fmt;

use crate::error::K8sError;

/// The kind of a workload, as `WORKLOAD_KIND` gives it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum WorkloadKind {
    Deployment,
    StatefulSet,
    /// Anything else that has a scale subresource.
    Scalable(GroupVersionKind),
}

/// `Kind.version.group`; the group is empty for the core API.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct GroupVersionKind {
    pub(crate) kind: String,
    pub(crate) version: String,
    pub(crate) group: String,
}

impl GroupVersionKind {
    /// The path under which the group's version is served.
    pub(crate) fn api_path(&self) -> String {
        if self.group.is_empty() {
            format!("/api/{}", self.version)
        } else {
            format!("/apis/{}/{}", self.group, self.version)
        }
    }
}

impl fmt::Display for GroupVersionKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.kind, self.version)?;
        if !self.group.is_empty() {
            write!(f, ".{}", self.group)?;
        }
        Ok(())
    }
}

impl WorkloadKind {
    /// Parses `Deployment`, `StatefulSet` (in any case) or `Kind.version.group`.
    pub(crate) fn parse(text: &str) -> Result<Self, K8sError> {
        let invalid = || K8sError::InvalidKind {
            kind: text.to_owned(),
        };
        let text = text.trim();
        if text.eq_ignore_ascii_case("Deployment") {
            return Ok(Self::Deployment);
        }
        if text.eq_ignore_ascii_case("StatefulSet") {
            return Ok(Self::StatefulSet);
        }
        let mut parts = text.splitn(3, '.');
        let kind = parts.next().unwrap_or_default();
        let version = parts.next().unwrap_or_default();
        let group = parts.next().unwrap_or_default();
        let capital = kind.starts_with(|first: char| first.is_ascii_uppercase());
        let versioned = version
            .strip_prefix('v')
            .is_some_and(|rest| rest.starts_with(|first: char| first.is_ascii_digit()));
        let clean = [kind, version, group].iter().all(|part| is_path_safe(part));
        if !(capital && versioned && clean) {
            return Err(invalid());
        }
        Ok(match (kind, group) {
            ("Deployment", "apps") => Self::Deployment,
            ("StatefulSet", "apps") => Self::StatefulSet,
            (kind, group) => Self::Scalable(GroupVersionKind {
                kind: kind.to_owned(),
                version: version.to_owned(),
                group: group.to_owned(),
            }),
        })
    }

    /// `kind` as an object says it.
    pub(crate) fn kind(&self) -> &str {
        match self {
            Self::Deployment => "Deployment",
            Self::StatefulSet => "StatefulSet",
            Self::Scalable(gvk) => &gvk.kind,
        }
    }

    /// `apiVersion` as an object says it.
    pub(crate) fn api_version(&self) -> String {
        match self {
            Self::Deployment | Self::StatefulSet => "apps/v1".to_owned(),
            Self::Scalable(gvk) if gvk.group.is_empty() => gvk.version.clone(),
            Self::Scalable(gvk) => format!("{}/{}", gvk.group, gvk.version),
        }
    }

    /// The API group.
    pub(crate) fn group(&self) -> &str {
        match self {
            Self::Deployment | Self::StatefulSet => "apps",
            Self::Scalable(gvk) => &gvk.group,
        }
    }
}

/// The text can stand in the path of a request as it is: every name the API allows can, and what
/// cannot must not reach another path.
pub(crate) fn is_path_safe(text: &str) -> bool {
    text != "."
        && text != ".."
        && text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b':'))
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case("Deployment", "Deployment", "apps")]
    #[case("statefulset", "StatefulSet", "apps")]
    #[case("Deployment.v1.apps", "Deployment", "apps")]
    #[case("Rollout.v1alpha1.argoproj.io", "Rollout", "argoproj.io")]
    #[case("ReplicationController.v1", "ReplicationController", "")]
    fn a_kind_is_read(#[case] text: &str, #[case] kind: &str, #[case] group: &str) {
        let parsed = WorkloadKind::parse(text).unwrap();
        assert_eq!((parsed.kind(), parsed.group()), (kind, group));
    }

    #[rstest]
    #[case("")]
    #[case("ReplicaSet")]
    #[case("rollouts.argoproj.io")]
    #[case("Rollout.argoproj.io")]
    #[case("Rollout.v1.a/b")]
    fn what_is_no_kind_is_refused(#[case] text: &str) {
        let error = WorkloadKind::parse(text).unwrap_err().to_string();
        assert!(error.contains("Kind.version.group"), "{error}");
    }

    #[test]
    fn the_core_group_has_a_path_of_its_own() {
        let path = |text| match WorkloadKind::parse(text).unwrap() {
            WorkloadKind::Scalable(gvk) => gvk.api_path(),
            WorkloadKind::Deployment | WorkloadKind::StatefulSet => String::new(),
        };
        assert_eq!(path("ReplicationController.v1"), "/api/v1");
        assert_eq!(
            path("Rollout.v1alpha1.argoproj.io"),
            "/apis/argoproj.io/v1alpha1"
        );
    }
}
