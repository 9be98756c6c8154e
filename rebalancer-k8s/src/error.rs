//! Every failure of the adapter, as one typed error.

use std::error::Error as StdError;
use std::time::Duration;

use rebalancer_adapter::InvalidProxy;
use rebalancer_core::model::WorkloadRef;
use rebalancer_core::ports::{PortError, PortErrorKind};

use crate::attempt::Attempt;
use crate::kind::{InvalidWorkloadKind, is_path_safe};
use crate::surroundings::Surroundings;

/// The source of an error.
pub type Source = Box<dyn StdError + Send + Sync>;

/// A failure of the adapter. The message names the request, the object, the failure and the remedy.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum K8sError {
    /// The connection failed or broke.
    #[error(
        "could not {attempt}: the Kubernetes API at {server} cannot be reached: {detail}; check the \
         address and the network (in a pod: egress to the API server)"
    )]
    Unreachable {
        /// The request.
        attempt: Box<Attempt>,
        /// The API server's address.
        server: String,
        /// The root cause.
        detail: String,
        /// Whether the request may have reached the server before the connection broke.
        sent: bool,
        /// The client's error.
        #[source]
        source: Source,
    },
    /// The TLS handshake or a certificate check failed.
    #[error(
        "could not {attempt}: no trusted TLS connection to the Kubernetes API at {server}: {detail}; \
         check the certificate authority and the client certificate of the kubeconfig"
    )]
    Tls {
        /// The request.
        attempt: Box<Attempt>,
        /// The API server's address.
        server: String,
        /// The root cause.
        detail: String,
        /// Whether the request may have reached the server.
        sent: bool,
        /// The client's error.
        #[source]
        source: Source,
    },
    /// The request took too long.
    #[error(
        "could not {attempt}: the Kubernetes API at {server} did not {} within {}; check the network and \
         the load of the API server",
        if *sent { "answer" } else { "accept a connection" },
        seconds(*after)
    )]
    Timeout {
        /// The request.
        attempt: Box<Attempt>,
        /// The API server's address.
        server: String,
        /// The time limit that was exceeded.
        after: Duration,
        /// Whether the request may have reached the server.
        sent: bool,
    },
    /// The credentials are not available: a plugin failed, or a token file cannot be read.
    #[error(
        "could not {attempt}: no credentials for the Kubernetes API at {server}: {detail}; check the token \
         file, or the user of the kubeconfig"
    )]
    Credentials {
        /// The request.
        attempt: Box<Attempt>,
        /// The API server's address.
        server: String,
        /// The failure, without the credentials.
        detail: String,
    },
    /// 401: the server does not accept the credentials.
    #[error(
        "could not {attempt}: the Kubernetes API at {server} does not accept our credentials (401): \
         {message}; the token may have expired or be of another cluster"
    )]
    Unauthorized {
        /// The request.
        attempt: Box<Attempt>,
        /// The API server's address.
        server: String,
        /// The server's message.
        message: String,
    },
    /// 403: the account lacks a permission.
    #[error("{}; the server said: {message}", attempt.missing_permission())]
    Forbidden {
        /// The request.
        attempt: Box<Attempt>,
        /// The server's message, which names the account.
        message: String,
    },
    /// 404 for anything other than the workload.
    #[error("could not {attempt}: it does not exist (404): {message}")]
    NotFound {
        /// Whether the response is from the API server, and not from a proxy in front of it.
        from_api: bool,
        /// The request.
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
        /// The requested workload.
        workload: Box<WorkloadRef>,
        /// The contents of its namespace.
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
        /// The number of pods of the workload.
        pods: usize,
        /// The containers of these pods.
        found: Vec<String>,
    },
    /// The API server does not serve the kind, or the kind cannot be scaled.
    #[error(
        "the Kubernetes API has no scalable kind {kind}: {detail}; WORKLOAD_KIND must be Deployment, \
         StatefulSet or Kind.version.group"
    )]
    KindNotServed {
        /// `Kind.version.group`.
        kind: String,
        /// The missing resource.
        detail: String,
    },
    /// The configured workload kind is not valid.
    #[error(transparent)]
    InvalidKind(#[from] InvalidWorkloadKind),
    /// A name that Kubernetes does not allow.
    #[error(
        "{what} \"{name}\" is not a name that Kubernetes allows: use a-z, 0-9, `-` and `.` only"
    )]
    InvalidName {
        /// The kind of name, for the message.
        what: &'static str,
        /// The name.
        name: String,
    },
    /// This run does not hold the lease, and the holder is not known.
    #[error("this run no longer holds the lease \"{lease}\" in namespace \"{namespace}\"")]
    LeaseNotHeld {
        /// The name of the Lease.
        lease: String,
        /// The namespace of the Lease.
        namespace: String,
    },
    /// The label selector was refused.
    #[error("the label selector \"{selector}\" is not valid (KUBE_LABEL_SELECTOR): {message}")]
    InvalidSelector {
        /// The selector that was sent: the workload's own, joined with the configured one.
        selector: String,
        /// The server's message.
        message: String,
    },
    /// The workload has no selector, so its pods cannot be identified.
    #[error(
        "{workload} has no selector, so its pods cannot be identified: its kind must report one in its \
         scale subresource"
    )]
    NoSelector {
        /// The workload.
        workload: Box<WorkloadRef>,
    },
    /// The server refused the request as invalid.
    #[error("could not {attempt}: the Kubernetes API refused the request ({code}): {message}")]
    Rejected {
        /// The request.
        attempt: Box<Attempt>,
        /// The HTTP status.
        code: u16,
        /// The server's message.
        message: String,
    },
    /// 429: the server is throttling the client.
    #[error(
        "could not {attempt}: the Kubernetes API at {server} is throttling us (429): {message}; it \
         is overloaded, run again later"
    )]
    Throttled {
        /// The request.
        attempt: Box<Attempt>,
        /// The API server's address.
        server: String,
        /// The server's message.
        message: String,
    },
    /// 5xx: the server failed.
    #[error(
        "could not {attempt}: the Kubernetes API at {server} failed ({code}): {message}; if it lasts, check \
         the API server and etcd"
    )]
    Server {
        /// The request.
        attempt: Box<Attempt>,
        /// The API server's address.
        server: String,
        /// The HTTP status.
        code: u16,
        /// The server's message.
        message: String,
    },
    /// The server redirects. Redirects are not followed, because the credentials are for this
    /// server only.
    #[error(
        "could not {attempt}: {server} redirects (HTTP {status}) to {location}; redirects are not \
         followed, so that no other server receives the credentials: set the server of the \
         kubeconfig to the address of the Kubernetes API itself, and use credentials that a proxy \
         in front of it accepts"
    )]
    Redirect {
        /// The request.
        attempt: Box<Attempt>,
        /// The address of the request.
        server: String,
        /// The HTTP status.
        status: u16,
        /// The target of the redirect, without user name, password and parameters.
        location: String,
    },
    /// A response that is not from a Kubernetes API.
    #[error(
        "could not {attempt}: the response of {server} does not have the expected form: {detail}; \
         is it a Kubernetes API?"
    )]
    BadAnswer {
        /// The request.
        attempt: Box<Attempt>,
        /// The API server's address.
        server: String,
        /// The deviation from the expected form.
        detail: String,
    },
    /// The requested or the current context is not in the kubeconfig.
    #[error("the kubeconfig {origin} has no context \"{context}\" ({named_by}); {}", contexts(.known))]
    NoSuchContext {
        /// The path of the kubeconfig.
        origin: String,
        /// The name of the context.
        context: String,
        /// The source of the context's name: `KUBE_CONTEXT`, or the current context of the
        /// kubeconfig.
        named_by: &'static str,
        /// The contexts of the kubeconfig.
        known: Vec<String>,
    },
    /// The kubeconfig has no current context, and none was requested.
    #[error("the kubeconfig {origin} has no current context; {}", contexts(.known))]
    NoCurrentContext {
        /// The path of the kubeconfig.
        origin: String,
        /// The contexts of the kubeconfig.
        known: Vec<String>,
    },
    /// The kubeconfig cannot be read or used.
    #[error("the kubeconfig {origin} cannot be used: {detail}")]
    Kubeconfig {
        /// The path of the kubeconfig.
        origin: String,
        /// The failure, without quoting the file.
        detail: String,
    },
    /// The user of the kubeconfig has credentials of a kind that clients no longer support.
    #[error(
        "the user \"{user}\" of the kubeconfig {origin} has `auth-provider: {provider}`, which is \
         not supported: {remedy}"
    )]
    AuthProvider {
        /// The path of the kubeconfig.
        origin: String,
        /// The user of the context.
        user: String,
        /// The name of the provider.
        provider: String,
        /// The replacement.
        remedy: &'static str,
    },
    /// The proxy to the API server cannot be used.
    #[error(transparent)]
    BadProxy(#[from] InvalidProxy),
    /// There is neither a kubeconfig nor a service account.
    #[error(
        "no configuration for the Kubernetes API: there is no kubeconfig at {kubeconfig}, and this \
         is not a pod with a service account ({in_cluster}); set KUBECONFIG, or run in the cluster"
    )]
    NoConfiguration {
        /// The path at which a kubeconfig was expected.
        kubeconfig: String,
        /// The reason why the service account cannot be used.
        in_cluster: String,
    },
    /// A client cannot be created with this configuration.
    #[error("cannot create a Kubernetes client for {server}: {detail}")]
    Client {
        /// The API server's address.
        server: String,
        /// The failure, without credentials.
        detail: String,
    },
}

/// The contexts that a kubeconfig has, and what to do.
fn contexts(known: &[String]) -> String {
    if known.is_empty() {
        return "it has no contexts at all: check that it is the right file".to_owned();
    }
    format!(
        "set KUBE_CONTEXT to one of its contexts: {}",
        known.join(", ")
    )
}

/// Checks a name that becomes part of a path. `what` is the kind of name, for the message.
pub(crate) fn check_name(what: &'static str, name: &str) -> Result<(), K8sError> {
    if !name.is_empty() && is_path_safe(name) {
        return Ok(());
    }
    Err(K8sError::InvalidName {
        what,
        name: name.to_owned(),
    })
}

impl K8sError {
    /// Returns the kind of the failure.
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
            | Self::AuthProvider { .. }
            | Self::BadProxy(_)
            | Self::NoConfiguration { .. }
            | Self::Client { .. } => PortErrorKind::Setup,
        }
    }

    /// Whether the request may have taken effect although there was no response.
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
    use crate::surroundings::Candidate;
    use rstest::rstest;

    fn workload() -> WorkloadRef {
        WorkloadRef {
            namespace: "posthog".into(),
            kind: "Deployment".into(),
            name: "ingestion".into(),
        }
    }

    #[test]
    fn forbidden_names_verb_and_resource() {
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
        "similar names: Deployment ingestions, StatefulSet x (container ingestion)"
    )]
    #[case(Surroundings::NoneClose { workloads: 7 }, "none of the 7 Deployments")]
    #[case(Surroundings::NoneClose { workloads: 0 }, "no Deployment and no StatefulSet")]
    #[case(Surroundings::NoNamespace, "the namespace itself does not exist")]
    #[case(Surroundings::Unknown, "either the namespace or the workload")]
    fn missing_workload_names_the_contents_of_the_namespace(
        #[case] surroundings: Surroundings,
        #[case] expected: &str,
    ) {
        let text = K8sError::WorkloadNotFound {
            workload: Box::new(workload()),
            surroundings,
        }
        .to_string();
        assert!(
            text.starts_with("there is no Deployment \"ingestion\" in namespace \"posthog\": ")
        );
        assert!(text.contains(expected), "{text}");
        assert!(text.contains("DEPLOYMENT_NAME"), "{text}");
    }

    #[test]
    fn timeout_says_whether_the_request_was_sent() {
        let timeout = |sent| K8sError::Timeout {
            attempt: Box::new(Attempt::list("", "pods", "a")),
            server: "https://k8s".into(),
            after: Duration::from_millis(1500),
            sent,
        };
        assert!(
            timeout(true)
                .to_string()
                .contains("did not answer within 1.5 s; check")
        );
        assert!(
            timeout(false)
                .to_string()
                .contains("did not accept a connection within 1.5 s; check")
        );
        assert!(timeout(true).may_have_taken_effect());
        assert!(!timeout(false).may_have_taken_effect());
    }
}
