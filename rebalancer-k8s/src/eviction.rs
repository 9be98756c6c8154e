//! Evictions and deletes: the request, and what the server's answer means.

use http::{Request, header};
use rebalancer_core::model::PodRef;
use rebalancer_core::ports::{EvictionAnswer, PodState};
use serde_json::json;

use crate::error::{Attempt, K8sError};
use crate::refusal::Refusal;
use crate::settings::EvictionMethod;

/// How pods are taken away.
pub(crate) struct Eviction<'a> {
    pub(crate) namespace: &'a str,
    pub(crate) method: EvictionMethod,
    pub(crate) grace_period: Option<u32>,
    pub(crate) dry_run: bool,
}

impl Eviction<'_> {
    pub(crate) fn attempt(&self, pod: &PodRef) -> Attempt {
        let (verb, resource) = match self.method {
            EvictionMethod::Evict => ("create", "pods/eviction"),
            EvictionMethod::Delete => ("delete", "pods"),
        };
        Attempt::on(verb, "", resource, self.namespace, &pod.name)
    }

    pub(crate) fn request(&self, pod: &PodRef) -> Result<Request<Vec<u8>>, http::Error> {
        let Self { namespace, .. } = self;
        let name = &pod.name;
        let mut options = json!({
            "apiVersion": "v1",
            "kind": "DeleteOptions",
            // A StatefulSet's replacement has the same name: only the UID tells them apart.
            "preconditions": {"uid": pod.uid.0},
        });
        if let Some(seconds) = self.grace_period {
            options["gracePeriodSeconds"] = json!(seconds);
        }
        if self.dry_run {
            options["dryRun"] = json!(["All"]);
        }
        // Said in the address too, where admission, audit and people look for it.
        let query = if self.dry_run { "?dryRun=All" } else { "" };
        let path = format!("/api/v1/namespaces/{namespace}/pods/{name}");
        let (request, body) = match self.method {
            EvictionMethod::Evict => {
                let eviction = json!({
                    "apiVersion": "policy/v1",
                    "kind": "Eviction",
                    "metadata": {"name": name, "namespace": namespace},
                    "deleteOptions": options,
                });
                (Request::post(format!("{path}/eviction{query}")), eviction)
            }
            EvictionMethod::Delete => (Request::delete(format!("{path}{query}")), options),
        };
        request
            .header(header::CONTENT_TYPE, "application/json")
            .header(header::ACCEPT, "application/json")
            .body(body.to_string().into_bytes())
    }
}

/// What an outcome says.
#[derive(Debug)]
pub(crate) enum Told {
    /// All there is to know.
    Certain(EvictionAnswer),
    /// The pod was not evicted; whether that is because it is gone already, the pod itself tells.
    Refused {
        /// What happened.
        message: String,
        /// What to add to it when the pod is still there.
        of_one_there: String,
    },
}

impl Told {
    /// The answer, after a look at the pod that is only taken where it is needed.
    pub(crate) async fn settle(
        self,
        look: impl Future<Output = Result<PodState, K8sError>>,
    ) -> EvictionAnswer {
        let (message, of_one_there) = match self {
            Self::Certain(answer) => return answer,
            Self::Refused {
                message,
                of_one_there,
            } => (message, of_one_there),
        };
        match look.await {
            Ok(PodState::Gone | PodState::Terminating) => EvictionAnswer::AlreadyGone,
            Ok(PodState::Present { .. } | PodState::OptedOut) => EvictionAnswer::Failed {
                message: message + &of_one_there,
            },
            // The refusal stands: whatever became of the pod, it was not us.
            Err(error) => EvictionAnswer::Failed {
                message: format!("{message}; whether the pod is still there is not known: {error}"),
            },
        }
    }
}

/// What came of it: `Ok(None)` is a success.
pub(crate) fn answer(
    outcome: Result<Option<Refusal>, K8sError>,
    attempt: &Attempt,
    server: &str,
) -> Told {
    match outcome {
        // Only the API itself can know that the pod is gone. It says the same of a subresource
        // that it does not serve, though.
        Ok(Some(refusal)) if refusal.code == 404 && refusal.from_api => Told::Refused {
            message: format!(
                "could not {attempt}: the API answered 404 ({})",
                refusal.message
            ),
            of_one_there: format!(
                " for the eviction of a pod that exists: is {} served?",
                attempt.resource
            ),
        },
        // The words of a UID conflict are no promise of the API; who the name belongs to now is.
        Ok(Some(refusal)) if refusal.code == 409 && !is_uid_conflict(&refusal.message) => {
            Told::Refused {
                message: refusal.into_error(attempt, server).to_string(),
                of_one_there: String::new(),
            }
        }
        Ok(None) => Told::Certain(EvictionAnswer::Evicted),
        Ok(Some(refusal)) => Told::Certain(refused(refusal, attempt, server)),
        // Whoever answered with something else than the API does may have passed the request on.
        Err(error @ (K8sError::BadAnswer { .. } | K8sError::Redirect { .. })) => {
            Told::Certain(EvictionAnswer::Unknown {
                message: error.to_string(),
            })
        }
        Err(error) if error.may_have_taken_effect() => Told::Certain(EvictionAnswer::Unknown {
            message: error.to_string(),
        }),
        Err(error) => Told::Certain(EvictionAnswer::Failed {
            message: error.to_string(),
        }),
    }
}

fn refused(refusal: Refusal, attempt: &Attempt, server: &str) -> EvictionAnswer {
    let failed = |message: String| EvictionAnswer::Failed { message };
    match refusal.code {
        409 if is_uid_conflict(&refusal.message) => EvictionAnswer::AlreadyGone,
        429 => blocked(refusal),
        403 if is_admission(&refusal.message) => failed(format!(
            "could not {attempt}: an admission rule of the cluster denied it: {}",
            refusal.message
        )),
        403 => EvictionAnswer::Forbidden {
            message: refusal.into_error(attempt, server).to_string(),
        },
        500 if refusal
            .message
            .contains("more than one PodDisruptionBudget") =>
        {
            failed(format!(
                "could not {attempt}: two or more PodDisruptionBudgets select the pod, and Kubernetes \
             evicts none such; leave it one budget ({})",
                refusal.message
            ))
        }
        500 if is_webhook(&refusal.message) => {
            failed(refusal.into_error(attempt, server).to_string())
        }
        // A gateway gave up waiting, or the server lost its store in the middle: either may have
        // gone on.
        500.. => EvictionAnswer::Unknown {
            message: refusal.into_error(attempt, server).to_string(),
        },
        _ => failed(refusal.into_error(attempt, server).to_string()),
    }
}

/// The server says that the name is another pod's now. Its words differ: `the UID in the
/// precondition (…) does not match the UID in record (…)` from its store, `UID in precondition:
/// …, UID in object meta: …` before that.
fn is_uid_conflict(message: &str) -> bool {
    ["UID in the precondition", "UID in precondition"]
        .iter()
        .any(|words| message.contains(words))
}

/// A webhook or policy denied this pod, which says nothing about our permissions.
fn is_admission(message: &str) -> bool {
    let by_role = message.contains(" cannot ") && message.contains(" resource ");
    !by_role && (message.contains("admission") || message.contains("denied"))
}

/// An admission webhook could not be asked, which comes before anything is changed.
fn is_webhook(message: &str) -> bool {
    message.contains("failed calling webhook")
}

fn blocked(refusal: Refusal) -> EvictionAnswer {
    let retry_after = refusal.retry_after;
    match refusal.budget {
        Some(words) => EvictionAnswer::Blocked {
            budget: budget_name(&words),
            message: if words.is_empty() {
                refusal.message
            } else {
                words
            },
            retry_after,
        },
        None => EvictionAnswer::Throttled {
            message: format!(
                "the API server is overloaded and is throttling us (API priority and fairness, not a \
                 budget): {}",
                refusal.message
            ),
            retry_after,
        },
    }
}

/// The name in `The disruption budget NAME needs 6 healthy pods and has 6 currently`.
fn budget_name(words: &str) -> Option<String> {
    let (_, rest) = words.split_once("disruption budget ")?;
    let name = rest.split_whitespace().next()?.trim_matches(['"', '\'']);
    (!name.is_empty()).then(|| name.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::{Method, StatusCode};
    use rebalancer_core::model::PodUid;
    use rstest::rstest;
    use serde_json::Value;
    use std::time::Duration;

    fn pod() -> PodRef {
        PodRef {
            name: "ingestion-0".into(),
            uid: PodUid("u1".into()),
        }
    }

    fn eviction(
        method: EvictionMethod,
        grace_period: Option<u32>,
        dry_run: bool,
    ) -> Eviction<'static> {
        Eviction {
            namespace: "posthog",
            method,
            grace_period,
            dry_run,
        }
    }

    fn told(code: u16, body: Value) -> EvictionAnswer {
        match outcome(code, body) {
            Told::Certain(answer) => answer,
            Told::Refused { message, .. } => panic!("not certain: {message}"),
        }
    }

    fn outcome(code: u16, body: Value) -> Told {
        let refusal = Refusal::read(
            StatusCode::from_u16(code).unwrap(),
            None,
            &body.to_string().into(),
        );
        let attempt = eviction(EvictionMethod::Evict, None, false).attempt(&pod());
        answer(Ok(Some(refusal)), &attempt, "https://k8s")
    }

    #[test]
    fn an_eviction_asks_for_the_pod_of_that_uid() {
        let request = eviction(EvictionMethod::Evict, None, false)
            .request(&pod())
            .unwrap();
        assert_eq!(request.method(), Method::POST);
        assert_eq!(
            request.uri(),
            "/api/v1/namespaces/posthog/pods/ingestion-0/eviction"
        );
        let body: Value = serde_json::from_slice(request.body()).unwrap();
        assert_eq!(
            body,
            json!({
                "apiVersion": "policy/v1",
                "kind": "Eviction",
                "metadata": {"name": "ingestion-0", "namespace": "posthog"},
                "deleteOptions": {
                    "apiVersion": "v1", "kind": "DeleteOptions", "preconditions": {"uid": "u1"}
                },
            })
        );
    }

    #[rstest]
    #[case(EvictionMethod::Evict, "/deleteOptions")]
    #[case(EvictionMethod::Delete, "")]
    fn a_dry_run_and_a_grace_period_are_asked_for(
        #[case] method: EvictionMethod,
        #[case] at: &str,
    ) {
        let request = eviction(method, Some(7), true).request(&pod()).unwrap();
        assert_eq!(request.uri().query(), Some("dryRun=All"));
        let body: Value = serde_json::from_slice(request.body()).unwrap();
        let options = body.pointer(at).unwrap();
        assert_eq!(options["dryRun"], json!(["All"]));
        assert_eq!(options["gracePeriodSeconds"], json!(7));
        assert_eq!(options["preconditions"]["uid"], json!("u1"));
    }

    #[test]
    fn a_budget_that_forbids_it_is_named() {
        let answer = told(
            429,
            json!({
                "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
                "message": "Cannot evict pod as it would violate the pod's disruption budget.",
                "reason": "TooManyRequests",
                "details": {"causes": [{"reason": "DisruptionBudget",
                    "message": "The disruption budget ingestion-pdb needs 6 healthy pods and has 6 currently"}]},
                "code": 429
            }),
        );
        assert_eq!(
            answer,
            EvictionAnswer::Blocked {
                message:
                    "The disruption budget ingestion-pdb needs 6 healthy pods and has 6 currently"
                        .into(),
                budget: Some("ingestion-pdb".into()),
                retry_after: None,
            }
        );
    }

    #[test]
    fn a_budget_that_is_still_processed_says_when_to_retry() {
        let answer = told(
            429,
            json!({
                "kind": "Status", "message": "Cannot evict pod as it would violate the pod's disruption budget.",
                "details": {"retryAfterSeconds": 10, "causes": [{"reason": "DisruptionBudget",
                    "message": "The disruption budget pdb is still being processed by the server."}]},
            }),
        );
        let EvictionAnswer::Blocked {
            budget,
            retry_after,
            ..
        } = answer
        else {
            panic!("{answer:?}")
        };
        assert_eq!(budget.as_deref(), Some("pdb"));
        assert_eq!(retry_after, Some(Duration::from_secs(10)));
    }

    #[test]
    fn throttling_is_told_from_a_budget() {
        let answer = told(
            429,
            json!({"kind": "Status", "message": "too many requests, please try again later",
                   "reason": "TooManyRequests", "details": {"retryAfterSeconds": 1}}),
        );
        let EvictionAnswer::Throttled {
            message,
            retry_after,
        } = answer
        else {
            panic!("{answer:?}")
        };
        assert_eq!(retry_after, Some(Duration::from_secs(1)));
        assert!(message.contains("throttling"), "{message}");
    }

    #[rstest]
    #[case(409, json!({"kind": "Status", "reason": "Conflict",
        "message": "Precondition failed: UID in precondition: u1, UID in object meta: u2"}))]
    #[case(409, json!({"kind": "Status", "reason": "Conflict", "details": {"name": "ingestion-0", "kind": "Pod"},
        "message": "Operation cannot be fulfilled on Pod \"ingestion-0\": the UID in the precondition (u1) does not match the UID in record (u2). The object might have been deleted and then recreated"}))]
    fn a_pod_that_is_gone_is_gone(#[case] code: u16, #[case] body: Value) {
        assert_eq!(told(code, body), EvictionAnswer::AlreadyGone);
    }

    #[test]
    fn a_missing_permission_is_named() {
        let answer = told(
            403,
            json!({"kind": "Status", "reason": "Forbidden", "message":
                "pods \"ingestion-0\" is forbidden: User \"u\" cannot create resource \"pods/eviction\" in API group \"\" in the namespace \"posthog\""}),
        );
        let EvictionAnswer::Forbidden { message } = answer else {
            panic!("{answer:?}")
        };
        assert!(
            message.starts_with(
                "may not create pods/eviction \"ingestion-0\" in namespace \"posthog\": grant verb \
                 `create` on `pods/eviction` in API group `\"\"`"
            ),
            "{message}"
        );
    }

    #[rstest]
    #[case(403, json!({"kind": "Status", "message": "admission webhook \"x.io\" denied the request: no"}), "admission rule")]
    #[case(500, json!({"kind": "Status", "reason": "InternalError", "message":
        "This pod has more than one PodDisruptionBudget, which the eviction subresource does not support."}),
        "two or more PodDisruptionBudgets")]
    #[case(500, json!({"kind": "Status", "reason": "InternalError", "message":
        "Internal error occurred: failed calling webhook \"x.io\": no route"}), "failed calling webhook")]
    #[case(422, json!({"kind": "Status", "message": "invalid"}), "refused the request (422)")]
    #[case(401, json!({"kind": "Status", "message": "Unauthorized"}), "(401)")]
    #[case(404, json!("404 page not found"), "(404)")]
    fn a_refusal_is_a_failure_for_certain(
        #[case] code: u16,
        #[case] body: Value,
        #[case] words: &str,
    ) {
        let answer = told(code, body);
        let EvictionAnswer::Failed { message } = answer else {
            panic!("{answer:?}")
        };
        assert!(message.contains(words), "{message}");
    }

    #[rstest]
    #[case(Ok(PodState::Gone), None)]
    #[case(Ok(PodState::Terminating), None)]
    #[case(Ok(PodState::Present { ready: false }), Some("404 (the server could not find the"))]
    #[case(
        Ok(PodState::OptedOut),
        Some("a pod that exists: is pods/eviction served?")
    )]
    #[case(Err(500), Some("is not known: could not get pods"))]
    #[tokio::test]
    async fn a_404_is_of_a_pod_that_is_gone_only_if_it_is(
        #[case] now: Result<PodState, u16>,
        #[case] words: Option<&str>,
    ) {
        let words_of_api = "the server could not find the requested resource";
        let told = outcome(
            404,
            json!({"kind": "Status", "reason": "NotFound", "message": words_of_api}),
        );
        let answer = told.settle(looked(now)).await;
        match words {
            None => assert_eq!(answer, EvictionAnswer::AlreadyGone),
            Some(words) => {
                let EvictionAnswer::Failed { message } = answer else {
                    panic!("{answer:?}")
                };
                assert!(message.contains(words), "{message}");
            }
        }
    }

    #[rstest]
    #[case(PodState::Gone, true)]
    #[case(PodState::Terminating, true)]
    #[case(PodState::Present { ready: true }, false)]
    #[tokio::test]
    async fn a_conflict_in_words_not_known_is_looked_into(
        #[case] now: PodState,
        #[case] gone: bool,
    ) {
        let body = json!({"kind": "Status", "reason": "Conflict", "message": "the object has been modified"});
        let answer = outcome(409, body).settle(looked(Ok(now))).await;
        if gone {
            assert_eq!(answer, EvictionAnswer::AlreadyGone);
        } else {
            let EvictionAnswer::Failed { message } = answer else {
                panic!("{answer:?}")
            };
            assert!(message.ends_with("modified"), "{message}");
        }
    }

    async fn looked(now: Result<PodState, u16>) -> Result<PodState, K8sError> {
        now.map_err(|code| K8sError::Server {
            attempt: Box::new(Attempt::on("get", "", "pods", "posthog", "ingestion-0")),
            server: "https://k8s".into(),
            code,
            message: "boom".into(),
        })
    }

    #[rstest]
    #[case(502, json!("bad gateway"))]
    #[case(504, json!({"kind": "Status", "reason": "Timeout", "message": "request did not complete"}))]
    #[case(500, json!({"kind": "Status", "reason": "InternalError", "message": "etcdserver: request timed out"}))]
    fn an_answer_that_was_lost_on_the_way_is_not_known(#[case] code: u16, #[case] body: Value) {
        let answer = told(code, body);
        assert!(
            matches!(answer, EvictionAnswer::Unknown { .. }),
            "{answer:?}"
        );
    }

    #[rstest]
    #[case(true)]
    #[case(false)]
    fn a_connection_lost_counts_by_whether_it_was_sent(#[case] sent: bool) {
        let attempt = eviction(EvictionMethod::Delete, None, false).attempt(&pod());
        let lost = K8sError::Timeout {
            attempt: Box::new(attempt.clone()),
            server: "https://k8s".into(),
            after: Duration::from_secs(30),
            sent,
        };
        let told = answer(Err(lost), &attempt, "https://k8s");
        let unknown = matches!(&told, Told::Certain(EvictionAnswer::Unknown { .. }));
        let failed = matches!(&told, Told::Certain(EvictionAnswer::Failed { .. }));
        assert_eq!((unknown, failed), (sent, !sent));
    }
}
