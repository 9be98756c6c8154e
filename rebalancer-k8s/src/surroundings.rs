//! The contents of a namespace, for the message about a workload that does not exist.

use std::fmt;

/// A workload with a name or container that is similar to the requested name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Candidate {
    /// `Deployment` or `StatefulSet`.
    pub kind: &'static str,
    /// The name of the workload.
    pub name: String,
    /// The similar container; `None` if the name of the workload is similar.
    pub container: Option<String>,
}

impl fmt::Display for Candidate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.kind, self.name)?;
        match &self.container {
            Some(container) => write!(f, " (container {container})"),
            None => Ok(()),
        }
    }
}

/// The contents of the namespace of a workload that does not exist.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Surroundings {
    /// Workloads with similar names, the most similar first.
    Close(Vec<Candidate>),
    /// No workload has a similar name.
    NoneClose {
        /// The number of Deployments and StatefulSets in the namespace.
        workloads: usize,
    },
    /// The namespace does not exist.
    NoNamespace,
    /// The account may not list the workloads.
    Unknown,
}

impl fmt::Display for Surroundings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Close(candidates) => {
                f.write_str("similar names: ")?;
                for (index, candidate) in candidates.iter().enumerate() {
                    let separator = if index == 0 { "" } else { ", " };
                    write!(f, "{separator}{candidate}")?;
                }
                Ok(())
            }
            Self::NoneClose { workloads: 0 } => {
                f.write_str("the namespace has no Deployment and no StatefulSet at all")
            }
            Self::NoneClose { workloads } => write!(
                f,
                "none of the {workloads} Deployments and StatefulSets there has a similar name or container"
            ),
            Self::NoNamespace => f.write_str("the namespace itself does not exist"),
            Self::Unknown => f.write_str(
                "either the namespace or the workload does not exist (this account may not list what is there)",
            ),
        }
    }
}
