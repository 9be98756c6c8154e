//! Everything that can go wrong with the Kubernetes API, as one typed error.

use std::borrow::Cow;
use std::error::Error as StdError;
use std::fmt;
use std::time::Duration;

use rebalancer_core::model::WorkloadRef;
use rebalancer_core::ports::{PortError, PortErrorKind};

use crate::kind::InvalidWorkloadKind;

/// One request, in the words of an RBAC rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attempt {
    /// The verb: `get`, `list`, `create`, `update`, `patch`, `delete`.
    pub verb: &'static str,
    /// The API group; empty for the core API.
    pub group: Cow<'static, str>,
    /// The resource in plural, with its subresource where there is one: `pods/eviction`.
    pub resource: Cow<'static, str>,
    /// The namespace, unless the resource has none.
    pub namespace: Option<String>,
    /// The object, unless it is about many.
    pub name: Option<String>,
}

impl Attempt {
    pub(crate) fn list(group: &'static str, resource: &'static str, namespace: &str) -> Self {
        Self {
            verb: "list",
            group: group.into(),
            resource: resource.into(),
            namespace: Some(namespace.to_owned()),
            name: None,
        }
    }

    pub(crate) fn on(
        verb: &'static str,
        group: impl Into<Cow<'static, str>>,
        resource: impl Into<Cow<'static, str>>,
        namespace: &str,
        name: &str,
    ) -> Self {
        Self {
            verb,
            group: group.into(),
            resource: resource.into(),
            namespace: Some(namespace.to_owned()),
            name: Some(name.to_owned()),
        }
    }

    /// One that makes an object whose name the server chooses.
    pub(crate) fn create(group: &'static str, resource: &'static str, namespace: &str) -> Self {
        Self {
            verb: "create",
            ..Self::list(group, resource, namespace)
        }
    }

    /// The permission that is missing when this was forbidden.
    pub(crate) fn missing_permission(&self) -> String {
        let otherwise = if self.group == "coordination.k8s.io" {
            ", or set ONE_AT_A_TIME=false, which does without"
        } else {
            ""
        };
        format!(
            "may not {self}: grant verb `{}` on `{}` in API group `\"{}\"` to this account \
             (the Role in deploy/ has every rule){otherwise}",
            self.verb, self.resource, self.group
        )
    }
}

impl fmt::Display for Attempt {
    /// `get deployments "ingestion" in namespace "posthog"`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.verb, self.resource)?;
        if let Some(name) = &self.name {
            write!(f, " \"{name}\"")?;
        }
        match &self.namespace {
            Some(namespace) => write!(f, " in namespace \"{namespace}\""),
            None => Ok(()),
        }
    }
}

/// A workload whose name or container is close to one that does not exist.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Candidate {
    /// `Deployment` or `StatefulSet`.
    pub kind: &'static str,
    /// Its name.
    pub name: String,
    /// The container that is close, when it is not the workload's name that is.
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

/// What is there instead of a workload that does not exist.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Surroundings {
    /// The namespace has these workloads of close names, the closest first.
    Close(Vec<Candidate>),
    /// The namespace has that many Deployments and StatefulSets, none with a close name.
    NoneClose {
        /// How many there are.
        workloads: usize,
    },
    /// The namespace does not exist.
    NoNamespace,
    /// We may not look.
    Unknown,
}

impl fmt::Display for Surroundings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Close(candidates) => {
                f.write_str("close to it there is ")?;
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
                "none of the {workloads} Deployments and StatefulSets there has a name or container close to it"
            ),
            Self::NoNamespace => f.write_str("the namespace itself does not exist"),
            Self::Unknown => f.write_str(
                "either the namespace or the workload does not exist (this account may not list what is there)",
            ),
        }
    }
}

/// What an error came from, when that is not ours.
pub type Source = Box<dyn StdError + Send + Sync>;

/// A failure of the adapter: what was attempted, on what, what happened, what to do.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum K8sError {
    /// No connection, or it broke.
    #[error(
        "could not {attempt}: the Kubernetes API at {server} cannot be reached: {detail}; check the \
         address and the network (in a pod: egress to the API server)"
    )]
    Unreachable {
        /// What was attempted.
        attempt: Box<Attempt>,
        /// The API server's address.
        server: String,
        /// The innermost reason.
        detail: String,
        /// The request may have reached the server before the connection broke.
        sent: bool,
        /// The client's error.
        #[source]
        source: Source,
    },
    /// The certificate or the handshake was refused.
    #[error(
        "could not {attempt}: no trusted TLS connection to the Kubernetes API at {server}: {detail}; \
         check the certificate authority and the client certificate of the kubeconfig"
    )]
    Tls {
        /// What was attempted.
        attempt: Box<Attempt>,
        /// The API server's address.
        server: String,
        /// The innermost reason.
        detail: String,
        /// The request may have reached the server.
        sent: bool,
        /// The client's error.
        #[source]
        source: Source,
    },
    /// No answer in time.
    #[error(
        "could not {attempt}: the Kubernetes API at {server} did not {} within {}",
        if *sent { "answer" } else { "accept a connection" },
        seconds(*after)
    )]
    Timeout {
        /// What was attempted.
        attempt: Box<Attempt>,
        /// The API server's address.
        server: String,
        /// How long was waited.
        after: Duration,
        /// The request may have reached the server.
        sent: bool,
    },
    /// Our credentials could not be had: a plugin failed, a token file cannot be read.
    #[error("could not {attempt}: no credentials for the Kubernetes API at {server}: {detail}")]
    Credentials {
        /// What was attempted.
        attempt: Box<Attempt>,
        /// The API server's address.
        server: String,
        /// What happened, without the credentials themselves.
        detail: String,
    },
    /// 401: our credentials were not accepted.
    #[error(
        "could not {attempt}: the Kubernetes API at {server} does not accept our credentials (401): \
         {message}; the token may have expired or be of another cluster"
    )]
    Unauthorized {
        /// What was attempted.
        attempt: Box<Attempt>,
        /// The API server's address.
        server: String,
        /// The server's message.
        message: String,
    },
    /// 403: we may not do this.
    #[error("{}; the server said: {message}", attempt.missing_permission())]
    Forbidden {
        /// What was attempted.
        attempt: Box<Attempt>,
        /// The server's message, which names the account.
        message: String,
    },
    /// 404 of anything but the workload itself.
    #[error("could not {attempt}: it does not exist (404): {message}")]
    NotFound {
        /// The API itself said so, and not something before it.
        from_api: bool,
        /// What was attempted.
        attempt: Box<Attempt>,
        /// The server's message.
        message: String,
    },
    /// The workload does not exist.
    #[error(
        "there is no {} \"{}\" in namespace \"{}\": {surroundings}; check KUBE_NAMESPACE, \
         DEPLOYMENT_NAME and WORKLOAD_KIND",
        workload.kind, workload.name, workload.namespace
    )]
    WorkloadNotFound {
        /// The workload asked for.
        workload: Box<WorkloadRef>,
        /// What is there instead.
        surroundings: Surroundings,
    },
    /// None of the workload's pods has the measured container.
    #[error(
        "none of the {pods} pods of {workload} has a container \"{container}\"; their containers are \
         {}; set CONTAINER_NAME (it defaults to DEPLOYMENT_NAME)",
        found.join(", ")
    )]
    ContainerNotFound {
        /// The workload.
        workload: Box<WorkloadRef>,
        /// The measured container.
        container: String,
        /// How many pods were looked at.
        pods: usize,
        /// The containers that they have.
        found: Vec<String>,
    },
    /// The API does not serve the kind, or it cannot be scaled.
    #[error(
        "the Kubernetes API has no scalable kind {kind}: {detail}; WORKLOAD_KIND must be Deployment, \
         StatefulSet or Kind.version.group"
    )]
    KindNotServed {
        /// `Kind.version.group`.
        kind: String,
        /// What is missing.
        detail: String,
    },
    /// The configured workload kind is not valid.
    #[error(transparent)]
    InvalidKind(#[from] InvalidWorkloadKind),
    /// A name that no object can have.
    #[error("{what} \"{name}\" is not a name that Kubernetes allows")]
    InvalidName {
        /// What it is the name of.
        what: &'static str,
        /// The text given.
        name: String,
    },
    /// The lease is no longer ours, and it is not known whose it is.
    #[error("this run does not hold the lease \"{lease}\" in namespace \"{namespace}\" any more")]
    LeaseNotHeld {
        /// The name of the Lease.
        lease: String,
        /// Where it is.
        namespace: String,
    },
    /// The label selector was refused.
    #[error("the label selector \"{selector}\" is not valid (KUBE_LABEL_SELECTOR): {message}")]
    InvalidSelector {
        /// The selector sent: the workload's own and ours.
        selector: String,
        /// The server's message.
        message: String,
    },
    /// The workload has no selector, so its pods cannot be told from others.
    #[error("{workload} has no selector, so its pods cannot be told from others")]
    NoSelector {
        /// The workload.
        workload: Box<WorkloadRef>,
    },
    /// The request was refused as wrong.
    #[error("could not {attempt}: the Kubernetes API refused the request ({code}): {message}")]
    Rejected {
        /// What was attempted.
        attempt: Box<Attempt>,
        /// The HTTP status.
        code: u16,
        /// The server's message.
        message: String,
    },
    /// The server is busy and answers later.
    #[error(
        "could not {attempt}: the Kubernetes API at {server} is throttling us (429): {message}; it \
         is overloaded, run again later"
    )]
    Throttled {
        /// What was attempted.
        attempt: Box<Attempt>,
        /// The API server's address.
        server: String,
        /// The server's message.
        message: String,
    },
    /// The server is in trouble (5xx).
    #[error(
        "could not {attempt}: the Kubernetes API at {server} is in trouble ({code}): {message}"
    )]
    Server {
        /// What was attempted.
        attempt: Box<Attempt>,
        /// The API server's address.
        server: String,
        /// The HTTP status.
        code: u16,
        /// The server's message.
        message: String,
    },
    /// We are sent elsewhere, where our credentials must not go.
    #[error(
        "could not {attempt}: {server} redirects (HTTP {status}) to {location}, which is not \
         followed, so that no credentials go elsewhere: give the address of the Kubernetes API \
         itself as the server of the kubeconfig, and credentials that whatever stands before it \
         accepts"
    )]
    Redirect {
        /// What was attempted.
        attempt: Box<Attempt>,
        /// The address asked.
        server: String,
        /// The HTTP status.
        status: u16,
        /// Where it leads, without what may be secret in it.
        location: String,
    },
    /// An answer that a Kubernetes API does not give.
    #[error(
        "could not {attempt}: what {server} answered is not of the expected form: {detail}; is it a \
         Kubernetes API?"
    )]
    BadAnswer {
        /// What was attempted.
        attempt: Box<Attempt>,
        /// The API server's address.
        server: String,
        /// What is wrong with it.
        detail: String,
    },
    /// The context asked for is not in the kubeconfig.
    #[error(
        "there is no context \"{context}\" in the kubeconfig (KUBE_CONTEXT); it has {}",
        if known.is_empty() { "none".to_owned() } else { known.join(", ") }
    )]
    NoSuchContext {
        /// The context asked for.
        context: String,
        /// The contexts that are there.
        known: Vec<String>,
    },
    /// The kubeconfig has several contexts, and names none as the current one.
    #[error(
        "the kubeconfig has no current context: set KUBE_CONTEXT; it has {}",
        if known.is_empty() { "none".to_owned() } else { known.join(", ") }
    )]
    NoCurrentContext {
        /// The contexts that are there.
        known: Vec<String>,
    },
    /// The kubeconfig cannot be read or used.
    #[error("the kubeconfig {origin} cannot be used: {detail}")]
    Kubeconfig {
        /// Where it was looked for.
        origin: String,
        /// What is wrong, without quoting the file.
        detail: String,
    },
    /// Neither a kubeconfig nor a service account.
    #[error(
        "no way to the Kubernetes API: there is no kubeconfig at {kubeconfig}, and this is not a pod \
         with a service account ({in_cluster}); set KUBECONFIG, or run it in the cluster"
    )]
    NoConfiguration {
        /// Where a kubeconfig was looked for.
        kubeconfig: String,
        /// Why the service account cannot be used.
        in_cluster: String,
    },
    /// The client cannot be set up with this configuration.
    #[error("the Kubernetes client cannot be set up for {server}: {detail}")]
    Client {
        /// The API server's address.
        server: String,
        /// What is wrong, without credentials.
        detail: String,
    },
}

impl K8sError {
    /// What kind of trouble it is.
    #[must_use]
    pub fn kind(&self) -> PortErrorKind {
        match self {
            Self::Unreachable { .. } => PortErrorKind::Unreachable,
            Self::Tls { .. } => PortErrorKind::Tls,
            Self::Timeout { .. } => PortErrorKind::Timeout,
            Self::Unauthorized { .. } => PortErrorKind::Unauthorized,
            Self::Forbidden { .. } => PortErrorKind::Forbidden,
            Self::NotFound { from_api: true, .. }
            | Self::WorkloadNotFound { .. }
            | Self::ContainerNotFound { .. }
            | Self::KindNotServed { .. } => PortErrorKind::NotFound,
            Self::InvalidSelector { .. }
            | Self::NoSelector { .. }
            | Self::LeaseNotHeld { .. }
            | Self::Rejected { .. } => PortErrorKind::Rejected,
            Self::Throttled { .. } | Self::Server { .. } => PortErrorKind::Server,
            Self::BadAnswer { .. }
            | Self::Redirect { .. }
            | Self::NotFound {
                from_api: false, ..
            } => PortErrorKind::BadAnswer,
            Self::Credentials { .. }
            | Self::InvalidKind(_)
            | Self::InvalidName { .. }
            | Self::NoSuchContext { .. }
            | Self::NoCurrentContext { .. }
            | Self::Kubeconfig { .. }
            | Self::NoConfiguration { .. }
            | Self::Client { .. } => PortErrorKind::Setup,
        }
    }

    /// The request may have taken effect although no answer to it was had.
    pub(crate) fn may_have_taken_effect(&self) -> bool {
        matches!(
            self,
            Self::Unreachable { sent: true, .. }
                | Self::Tls { sent: true, .. }
                | Self::Timeout { sent: true, .. }
        )
    }
}

impl From<K8sError> for PortError {
    fn from(error: K8sError) -> Self {
        Self::from_source(error.kind(), error)
    }
}

fn seconds(duration: Duration) -> String {
    format!("{} s", duration.as_secs_f64())
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    fn workload() -> WorkloadRef {
        WorkloadRef {
            namespace: "posthog".into(),
            kind: "Deployment".into(),
            name: "ingestion".into(),
        }
    }

    #[test]
    fn a_missing_permission_is_named_with_verb_and_resource() {
        let error = K8sError::Forbidden {
            attempt: Box::new(Attempt::list("", "pods", "posthog")),
            message: "pods is forbidden".into(),
        };
        assert_eq!(
            error.to_string(),
            "may not list pods in namespace \"posthog\": grant verb `list` on `pods` in API group \
             `\"\"` to this account (the Role in deploy/ has every rule); the server said: pods is \
             forbidden"
        );
        assert_eq!(PortError::from(error).kind, PortErrorKind::Forbidden);
    }

    #[rstest]
    #[case(
        Surroundings::Close(vec![
            Candidate { kind: "Deployment", name: "ingestions".into(), container: None },
            Candidate { kind: "StatefulSet", name: "x".into(), container: Some("ingestion".into()) },
        ]),
        "close to it there is Deployment ingestions, StatefulSet x (container ingestion)"
    )]
    #[case(Surroundings::NoneClose { workloads: 7 }, "none of the 7 Deployments")]
    #[case(Surroundings::NoneClose { workloads: 0 }, "no Deployment and no StatefulSet")]
    #[case(Surroundings::NoNamespace, "the namespace itself does not exist")]
    #[case(Surroundings::Unknown, "either the namespace or the workload")]
    fn a_missing_workload_is_told_with_what_is_there(
        #[case] surroundings: Surroundings,
        #[case] words: &str,
    ) {
        let text = K8sError::WorkloadNotFound {
            workload: Box::new(workload()),
            surroundings,
        }
        .to_string();
        assert!(
            text.starts_with("there is no Deployment \"ingestion\" in namespace \"posthog\": ")
        );
        assert!(text.contains(words), "{text}");
        assert!(text.contains("DEPLOYMENT_NAME"), "{text}");
    }

    #[test]
    fn a_timeout_says_whether_the_request_was_sent() {
        let timeout = |sent| K8sError::Timeout {
            attempt: Box::new(Attempt::list("", "pods", "a")),
            server: "https://k8s".into(),
            after: Duration::from_millis(1500),
            sent,
        };
        assert!(
            timeout(true)
                .to_string()
                .ends_with("did not answer within 1.5 s")
        );
        assert!(
            timeout(false)
                .to_string()
                .ends_with("did not accept a connection within 1.5 s")
        );
        assert!(timeout(true).may_have_taken_effect());
        assert!(!timeout(false).may_have_taken_effect());
    }
}
