//! The document of `rebalancer check`.

use rebalancer_core::model::WorkloadRef;
use serde::Serialize;

/// The version of the document. It changes only if a field is removed or changes its meaning.
pub const SCHEMA: &str = "rebalancer/check/v1";

/// The result of one line, from the best to the worst.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum CheckStatus {
    /// A fact that is neither good nor bad for a run with these settings.
    Info,
    /// All is well.
    Ok,
    /// Runs work, but do less than they could, or cannot act now.
    Warning,
    /// Runs with these settings fail.
    Error,
}

/// The subject of a section.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Subject {
    /// The settings.
    Configuration,
    /// The Kubernetes API and the rights of the account.
    Kubernetes,
    /// The workload, its pods, its autoscaler and the budgets.
    Workload,
    /// The metrics server and the loads.
    Metrics,
    /// The consumer group.
    ConsumerGroup,
    /// Each strategy: what it would do now.
    Strategies,
}

impl Subject {
    /// The title of the section.
    #[must_use]
    pub fn title(self) -> &'static str {
        match self {
            Self::Configuration => "configuration",
            Self::Kubernetes => "kubernetes",
            Self::Workload => "workload",
            Self::Metrics => "metrics",
            Self::ConsumerGroup => "consumer group",
            Self::Strategies => "strategies",
        }
    }
}

/// One check.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct CheckLine {
    /// The result.
    pub status: CheckStatus,
    /// The finding, with its numbers.
    pub message: String,
    /// The remedy; absent if nothing needs repair, or if the message has it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fix: Option<String>,
}

impl CheckLine {
    /// A line without a fix.
    pub(crate) fn new(status: CheckStatus, message: impl Into<String>) -> Self {
        Self {
            status,
            message: message.into(),
            fix: None,
        }
    }

    /// Adds what to do.
    pub(crate) fn with_fix(self, fix: impl Into<String>) -> Self {
        Self {
            fix: Some(fix.into()),
            ..self
        }
    }
}

/// The checks of one subject.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct CheckSection {
    /// The subject.
    pub subject: Subject,
    /// The workload; absent in the section about the settings.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub workload: Option<WorkloadRef>,
    /// The checks, in order.
    pub checks: Vec<CheckLine>,
}

/// The document of `rebalancer check`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct CheckReport {
    /// Always [`SCHEMA`].
    pub schema: String,
    /// The program's version.
    pub version: String,
    /// The worst result.
    pub status: CheckStatus,
    /// The sections, in order. Data that could not be read has a line that says why.
    pub sections: Vec<CheckSection>,
}

impl CheckReport {
    /// The document with these sections.
    pub(crate) fn new(sections: Vec<CheckSection>) -> Self {
        let lines = sections.iter().flat_map(|section| &section.checks);
        let status = lines.map(|line| line.status).max();
        Self {
            schema: SCHEMA.into(),
            version: env!("CARGO_PKG_VERSION").into(),
            status: status.unwrap_or(CheckStatus::Ok),
            sections,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case(&[CheckStatus::Info, CheckStatus::Ok], CheckStatus::Ok)]
    #[case(&[CheckStatus::Warning, CheckStatus::Ok], CheckStatus::Warning)]
    #[case(&[CheckStatus::Error, CheckStatus::Warning], CheckStatus::Error)]
    fn worst_line_decides(#[case] lines: &[CheckStatus], #[case] expected: CheckStatus) {
        let section = CheckSection {
            subject: Subject::Metrics,
            workload: None,
            checks: lines
                .iter()
                .map(|status| CheckLine::new(*status, ""))
                .collect(),
        };
        assert_eq!(CheckReport::new(vec![section]).status, expected);
    }
}
