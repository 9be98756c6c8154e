//! The kind of a workload: `Deployment`, `StatefulSet`, or any other kind with a scale subresource.

use std::fmt;
use std::str::FromStr;

/// The kind of a workload, as `WORKLOAD_KIND` names it.
///
/// The text form is `Deployment`, `StatefulSet` (both in any case), `Kind.version.group`, or
/// `Kind.version` for a kind of the core API group. `Display` writes the canonical form.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum WorkloadKind {
    /// `Deployment` of the API group `apps`.
    Deployment,
    /// `StatefulSet` of the API group `apps`.
    StatefulSet,
    /// Any other kind that has a scale subresource.
    Scalable(GroupVersionKind),
}

/// A kind of the Kubernetes API with its version and group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GroupVersionKind {
    /// The kind, such as `Rollout`.
    pub kind: String,
    /// The API version, such as `v1alpha1`.
    pub version: String,
    /// The API group, such as `argoproj.io`; empty for the core group.
    pub group: String,
}

/// A text that does not name a workload kind.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{text}` is not a workload kind: use Deployment, StatefulSet, or Kind.version.group of a kind \
     with a scale subresource, such as Rollout.v1alpha1.argoproj.io (Kind.version for the core API \
     group, such as ReplicationController.v1)"
)]
pub struct InvalidWorkloadKind {
    text: String,
}

impl GroupVersionKind {
    /// The path under which the API server serves this version of the group.
    pub(crate) fn api_path(&self) -> String {
        if self.group.is_empty() {
            format!("/api/{}", self.version)
        } else {
            format!("/apis/{}/{}", self.group, self.version)
        }
    }

    /// `apiVersion` of an object of this kind.
    fn api_version(&self) -> String {
        if self.group.is_empty() {
            self.version.clone()
        } else {
            format!("{}/{}", self.group, self.version)
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
    /// `kind` of an object of this kind.
    pub(crate) fn kind(&self) -> &str {
        match self {
            Self::Deployment => "Deployment",
            Self::StatefulSet => "StatefulSet",
            Self::Scalable(gvk) => &gvk.kind,
        }
    }

    /// `apiVersion` of an object of this kind.
    pub(crate) fn api_version(&self) -> String {
        match self {
            Self::Deployment | Self::StatefulSet => "apps/v1".to_owned(),
            Self::Scalable(gvk) => gvk.api_version(),
        }
    }

    /// The API group; empty for the core group.
    pub(crate) fn group(&self) -> &str {
        match self {
            Self::Deployment | Self::StatefulSet => "apps",
            Self::Scalable(gvk) => &gvk.group,
        }
    }
}

impl fmt::Display for WorkloadKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Deployment | Self::StatefulSet => f.write_str(self.kind()),
            Self::Scalable(gvk) => gvk.fmt(f),
        }
    }
}

impl FromStr for WorkloadKind {
    type Err = InvalidWorkloadKind;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
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
        let group = parts.next();
        // The core API group has one version, so `Rollout.v1alpha1` lacks its group.
        let group_fits = group.map_or(version == "v1", is_group);
        if !(is_kind(kind) && is_version(version) && group_fits) {
            return Err(InvalidWorkloadKind {
                text: text.to_owned(),
            });
        }
        let group = group.unwrap_or_default();
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
}

/// Whether the text is a kind: it begins with a capital letter.
fn is_kind(text: &str) -> bool {
    text.starts_with(|first: char| first.is_ascii_uppercase()) && is_path_safe(text)
}

/// Whether the text is an API version, such as `v1` or `v1beta2`.
fn is_version(text: &str) -> bool {
    let digit_after_v = text
        .strip_prefix('v')
        .is_some_and(|rest| rest.starts_with(|first: char| first.is_ascii_digit()));
    digit_after_v && is_path_safe(text)
}

/// Whether the text is the name of an API group.
fn is_group(text: &str) -> bool {
    !text.is_empty() && is_path_safe(text)
}

/// Whether the text may be one segment of a request path without escaping. Every name that the API
/// allows may be; a text such as `..` or `a/b` would reach another path.
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
    #[case("Deployment", "Deployment", "Deployment", "apps")]
    #[case(" deployment ", "Deployment", "Deployment", "apps")]
    #[case("statefulset", "StatefulSet", "StatefulSet", "apps")]
    #[case("Deployment.v1.apps", "Deployment", "Deployment", "apps")]
    #[case(
        "Rollout.v1alpha1.argoproj.io",
        "Rollout.v1alpha1.argoproj.io",
        "Rollout",
        "argoproj.io"
    )]
    #[case(
        "ReplicationController.v1",
        "ReplicationController.v1",
        "ReplicationController",
        ""
    )]
    fn parses_workload_kinds(
        #[case] text: &str,
        #[case] canonical: &str,
        #[case] kind: &str,
        #[case] group: &str,
    ) {
        let parsed: WorkloadKind = text.parse().unwrap();
        assert_eq!((parsed.kind(), parsed.group()), (kind, group));
        assert_eq!(parsed.to_string(), canonical);
        assert_eq!(canonical.parse(), Ok(parsed));
    }

    #[rstest]
    #[case("")]
    #[case("ReplicaSet")]
    #[case("DaemonSet")]
    #[case("Rollout.v1.")]
    #[case("Rollout.v1alpha1")]
    #[case("Rollout.1.argoproj.io")]
    #[case("rollouts.argoproj.io")]
    #[case("Rollout.argoproj.io")]
    #[case("Rollout.v1.a/b")]
    #[case("Rollout.v1/../x.apps")]
    fn refuses_other_texts(#[case] text: &str) {
        let error = text.parse::<WorkloadKind>().unwrap_err().to_string();
        assert!(error.starts_with(&format!("`{text}`")), "{error}");
        assert!(error.contains("Kind.version.group"), "{error}");
    }

    #[rstest]
    #[case("Deployment", "apps/v1")]
    #[case("ReplicationController.v1", "v1")]
    #[case("Rollout.v1alpha1.argoproj.io", "argoproj.io/v1alpha1")]
    fn api_version_omits_the_core_group(#[case] text: &str, #[case] api_version: &str) {
        let kind: WorkloadKind = text.parse().unwrap();
        assert_eq!(kind.api_version(), api_version);
    }

    #[rstest]
    #[case("ReplicationController.v1", "/api/v1")]
    #[case("Rollout.v1alpha1.argoproj.io", "/apis/argoproj.io/v1alpha1")]
    fn core_group_has_its_own_path(#[case] text: &str, #[case] path: &str) {
        let WorkloadKind::Scalable(gvk) = text.parse().unwrap() else {
            panic!("{text} is not of the group apps");
        };
        assert_eq!(gvk.api_path(), path);
    }
}
