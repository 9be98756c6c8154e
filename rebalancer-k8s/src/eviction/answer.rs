//! The meaning of the response to an eviction.

use rebalancer_core::ports::{EvictionAnswer, PodState};

use crate::attempt::Attempt;
use crate::error::K8sError;
use crate::refusal::Refusal;

/// The meaning of the response to an eviction.
#[derive(Debug)]
pub(crate) enum Meaning {
    /// The response alone determines the answer.
    Certain(EvictionAnswer),
    /// The pod was not evicted. The pod must be read to find out whether it is already gone.
    Refused {
        /// The failure.
        message: String,
        /// The suffix of the message if the pod still exists.
        if_present: String,
    },
}

impl Meaning {
    /// Returns the answer. Reads the pod only if the response alone does not determine the answer.
    pub(crate) async fn settle(
        self,
        read_pod: impl Future<Output = Result<PodState, K8sError>>,
    ) -> EvictionAnswer {
        let (message, if_present) = match self {
            Self::Certain(answer) => return answer,
            Self::Refused {
                message,
                if_present,
            } => (message, if_present),
        };
        match read_pod.await {
            Ok(PodState::Gone | PodState::Terminating) => EvictionAnswer::AlreadyGone,
            Ok(PodState::Present { .. } | PodState::OptedOut) => EvictionAnswer::Failed {
                message: message + &if_present,
            },
            // The request was refused. Whether or not the pod still exists, this run did not evict
            // it.
            Err(error) => EvictionAnswer::Failed {
                message: format!("{message}; cannot check whether the pod still exists: {error}"),
            },
        }
    }
}

/// Interprets the outcome of an eviction request. `Ok(None)` is a success.
pub(crate) fn answer(
    outcome: Result<Option<Refusal>, K8sError>,
    attempt: &Attempt,
    server: &str,
) -> Meaning {
    match outcome {
        // Only the API server knows that the pod is gone. It also answers 404 for a subresource
        // that it does not serve.
        Ok(Some(refusal)) if refusal.code == 404 && refusal.from_api => Meaning::Refused {
            message: format!(
                "could not {attempt}: the API server returned 404 ({})",
                refusal.message
            ),
            if_present: format!(
                " for the eviction of a pod that exists: is {} served?",
                attempt.resource
            ),
        },
        // The message of a UID conflict is not part of the API. The UID of the pod that has the
        // name now is.
        Ok(Some(refusal))
            if refusal.code == 409
                && !is_uid_conflict(&refusal.message)
                && !is_of_budget(&refusal.message)
                && !is_denial(&refusal.message) =>
        {
            Meaning::Refused {
                message: refusal.into_error(attempt, server).to_string(),
                if_present: String::new(),
            }
        }
        Ok(None) => Meaning::Certain(EvictionAnswer::Evicted),
        Ok(Some(refusal)) => Meaning::Certain(refused(refusal, attempt, server)),
        // A response that is not from the API server (a proxy page, a redirect) does not prove that
        // the request was not forwarded.
        Err(error @ (K8sError::BadAnswer { .. } | K8sError::Redirect { .. })) => {
            Meaning::Certain(EvictionAnswer::Unknown {
                message: error.to_string(),
            })
        }
        Err(error) if error.may_have_taken_effect() => Meaning::Certain(EvictionAnswer::Unknown {
            message: error.to_string(),
        }),
        Err(error) => Meaning::Certain(EvictionAnswer::Failed {
            message: error.to_string(),
        }),
    }
}

fn refused(refusal: Refusal, attempt: &Attempt, server: &str) -> EvictionAnswer {
    let failed = |message: String| EvictionAnswer::Failed { message };
    if let Some(budget) = refusal.budget.clone() {
        return blocked(refusal, &budget);
    }
    // Admission precedes every change, so a denial is certain, whatever its status code. A webhook
    // chooses the code itself: 429 is not throttling then, and 500 is not an unknown outcome.
    if is_denial(&refusal.message) {
        return failed(format!(
            "could not {attempt}: an admission rule of the cluster denied it ({}), which is neither a \
             budget nor a missing permission, so it is not tried again: {}",
            refusal.code, refusal.message
        ));
    }
    match refusal.code {
        409 if is_uid_conflict(&refusal.message) => EvictionAnswer::AlreadyGone,
        403 | 409 | 504 if is_of_budget(&refusal.message) => {
            let message = refusal.message.clone();
            blocked(refusal, &message)
        }
        429 => EvictionAnswer::Throttled {
            message: format!(
                "the API server is overloaded and is throttling us (API priority and fairness, not a \
                 budget): {}",
                refusal.message
            ),
            retry_after: refusal.retry_after,
        },
        // Built-in admission plugins have no common form.
        403 if !is_by_role(&refusal.message)
            && ["admission", "denied"]
                .iter()
                .any(|word| refusal.message.contains(word)) =>
        {
            failed(format!(
                "could not {attempt}: an admission rule of the cluster denied it: {}",
                refusal.message
            ))
        }
        403 => EvictionAnswer::Forbidden {
            message: refusal.into_error(attempt, server).to_string(),
        },
        500 if refusal
            .message
            .contains("more than one PodDisruptionBudget") =>
        {
            failed(format!(
                "could not {attempt}: two or more PodDisruptionBudgets select the pod, and Kubernetes \
             does not evict such a pod; let only one budget select it ({})",
                refusal.message
            ))
        }
        500 if is_failed_webhook(&refusal.message) => {
            failed(refusal.into_error(attempt, server).to_string())
        }
        // A gateway timed out, or the server lost its store. The eviction may still have happened.
        500.. => EvictionAnswer::Unknown {
            message: refusal.into_error(attempt, server).to_string(),
        },
        _ => failed(refusal.into_error(attempt, server).to_string()),
    }
}

/// Whether the message says that another pod has the name now: `the UID in the precondition (…)
/// does not match the UID in record (…)` from the store, or `UID in precondition: …, UID in object
/// meta: …` from the check before it.
fn is_uid_conflict(message: &str) -> bool {
    ["UID in the precondition", "UID in precondition"]
        .iter()
        .any(|phrase| message.contains(phrase))
}

/// Whether a webhook or a ValidatingAdmissionPolicy denied the request: `admission webhook "NAME"
/// denied the request: …`, `ValidatingAdmissionPolicy 'NAME' with binding 'NAME' denied request:
/// …`.
fn is_denial(message: &str) -> bool {
    !is_by_role(message)
        && ["denied the request", "denied request"]
            .iter()
            .any(|phrase| message.contains(phrase))
}

/// Whether the role of the account does not permit the request.
fn is_by_role(message: &str) -> bool {
    message.contains(" cannot ") && message.contains(" resource ")
}

/// Whether an admission webhook could not be called. Admission precedes every change.
fn is_failed_webhook(message: &str) -> bool {
    message.contains("failed calling webhook")
}

/// Whether the refusal is about the status of a budget. The eviction is refused before the pod is
/// touched, and succeeds as soon as the controller of the budget has caught up.
///
/// - 403 `poddisruptionbudget.policy "NAME" is forbidden: DisruptedPods map too big …`: more than
///   2000 evictions are not confirmed yet. Servers before Kubernetes 1.37 give no cause.
/// - 409 `Operation cannot be fulfilled on poddisruptionbudgets.policy "NAME": …`, or 504 `couldn't
///   update PodDisruptionBudget "NAME" due to conflicts`: other evictions changed it meanwhile.
fn is_of_budget(message: &str) -> bool {
    ["poddisruptionbudget", "couldn't update PodDisruptionBudget"]
        .iter()
        .any(|phrase| message.contains(phrase))
}

/// The answer for an eviction that a PodDisruptionBudget does not allow for now. `message` is about
/// the budget.
fn blocked(refusal: Refusal, message: &str) -> EvictionAnswer {
    EvictionAnswer::Blocked {
        budget: budget_name(message).or_else(|| budget_name(&refusal.message)),
        message: if message.is_empty() {
            refusal.message
        } else {
            message.to_owned()
        },
        retry_after: refusal.retry_after,
    }
}

/// Returns the name in `The disruption budget NAME needs 6 healthy pods and has 6 currently`, or in
/// the messages of [`is_of_budget`].
fn budget_name(message: &str) -> Option<String> {
    let (_, rest) = [
        "disruption budget ",
        "poddisruptionbudget.policy ",
        "poddisruptionbudgets.policy ",
        "couldn't update PodDisruptionBudget ",
    ]
    .iter()
    .find_map(|phrase| message.split_once(phrase))?;
    let name = rest
        .split_whitespace()
        .next()?
        .trim_matches(['"', '\'', ':']);
    (!name.is_empty()).then(|| name.to_owned())
}

#[cfg(test)]
mod tests {
    use super::super::testing::{eviction, pod};
    use super::*;
    use crate::settings::EvictionMethod;
    use http::StatusCode;
    use rstest::rstest;
    use serde_json::{Value, json};
    use std::time::Duration;

    fn certain(code: u16, body: Value) -> EvictionAnswer {
        match outcome(code, body) {
            Meaning::Certain(answer) => answer,
            Meaning::Refused { message, .. } => panic!("the pod must be read: {message}"),
        }
    }

    fn outcome(code: u16, body: Value) -> Meaning {
        let refusal = Refusal::read(
            StatusCode::from_u16(code).unwrap(),
            None,
            &body.to_string().into(),
        );
        let attempt = eviction(EvictionMethod::Evict, None, false).attempt(&pod());
        answer(Ok(Some(refusal)), &attempt, "https://k8s")
    }

    #[test]
    fn names_the_budget_that_forbids_the_eviction() {
        let answer = certain(
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
    fn budget_that_is_still_processed_says_when_to_retry() {
        let answer = certain(
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
    fn distinguishes_throttling_from_a_budget() {
        let answer = certain(
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
    fn uid_conflict_means_that_the_pod_is_gone(#[case] code: u16, #[case] body: Value) {
        assert_eq!(certain(code, body), EvictionAnswer::AlreadyGone);
    }

    #[test]
    fn names_the_missing_permission() {
        let answer = certain(
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
    #[case::before_1_37(403, json!({"kind": "Status", "reason": "Forbidden", "message":
        "poddisruptionbudget.policy \"pdb\" is forbidden: DisruptedPods map too big - too many evictions not confirmed by PDB controller"}),
        None)]
    #[case::with_a_cause(403, json!({"kind": "Status", "reason": "Forbidden", "message":
        "poddisruptionbudget.policy \"pdb\" is forbidden: DisruptedPods map too big",
        "details": {"causes": [{"reason": "DisruptionBudget", "message":
            "The disruption budget pdb does not allow evicting pods currently: too many pending evictions not confirmed by PDB controller"}]}}),
        None)]
    #[case::negative(403, json!({"kind": "Status", "reason": "Forbidden", "message":
        "poddisruptionbudget.policy \"pdb\" is forbidden: pdb disruptions allowed is negative"}), None)]
    #[case::conflict(409, json!({"kind": "Status", "reason": "Conflict", "message":
        "Operation cannot be fulfilled on poddisruptionbudgets.policy \"pdb\": the object has been modified"}), None)]
    #[case::conflicts(504, json!({"kind": "Status", "reason": "Timeout", "message":
        "Timeout: couldn't update PodDisruptionBudget \"pdb\" due to conflicts",
        "details": {"retryAfterSeconds": 10}}), Some(10))]
    fn budget_that_cannot_count_now_is_waited_for(
        #[case] code: u16,
        #[case] body: Value,
        #[case] seconds: Option<u64>,
    ) {
        let answer = certain(code, body);
        let EvictionAnswer::Blocked {
            budget,
            retry_after,
            ..
        } = answer
        else {
            panic!("{answer:?}")
        };
        assert_eq!(budget.as_deref(), Some("pdb"));
        assert_eq!(retry_after, seconds.map(Duration::from_secs));
    }

    #[rstest]
    fn denial_of_a_webhook_is_no_throttling_whatever_its_code(
        #[values(400, 403, 409, 422, 429, 500, 503)] code: u16,
    ) {
        let message = "admission webhook \"guard.example.com\" denied the request: keep it";
        let answer = certain(
            code,
            json!({"kind": "Status", "message": message, "details": {"retryAfterSeconds": 1}}),
        );
        let EvictionAnswer::Failed { message } = answer else {
            panic!("{answer:?}")
        };
        for part in ["guard.example.com", "keep it", "not tried again"] {
            assert!(message.contains(part), "{message}");
        }
    }

    #[rstest]
    #[case(403, json!({"kind": "Status", "message": "admission webhook \"x.io\" denied the request: no"}), "admission rule")]
    #[case(422, json!({"kind": "Status", "message":
        "pods \"a\" is forbidden: ValidatingAdmissionPolicy 'calm' with binding 'all' denied request: no"}), "'calm'")]
    #[case(400, json!({"kind": "Status", "message": "admission webhook \"x.io\" does not support dry run"}), "x.io")]
    #[case(500, json!({"kind": "Status", "reason": "InternalError", "message":
        "This pod has more than one PodDisruptionBudget, which the eviction subresource does not support."}),
        "two or more PodDisruptionBudgets")]
    #[case(500, json!({"kind": "Status", "reason": "InternalError", "message":
        "Internal error occurred: failed calling webhook \"x.io\": no route"}), "failed calling webhook")]
    #[case(422, json!({"kind": "Status", "message": "invalid"}), "refused the request (422)")]
    #[case(401, json!({"kind": "Status", "message": "Unauthorized"}), "(401)")]
    #[case(404, json!("404 page not found"), "(404)")]
    fn refusal_is_a_certain_failure(
        #[case] code: u16,
        #[case] body: Value,
        #[case] expected: &str,
    ) {
        let answer = certain(code, body);
        let EvictionAnswer::Failed { message } = answer else {
            panic!("{answer:?}")
        };
        assert!(message.contains(expected), "{message}");
    }

    #[rstest]
    #[case(Ok(PodState::Gone), None)]
    #[case(Ok(PodState::Terminating), None)]
    #[case(Ok(PodState::Present { ready: false }), Some("404 (the server could not find the"))]
    #[case(
        Ok(PodState::OptedOut),
        Some("a pod that exists: is pods/eviction served?")
    )]
    #[case(
        Err(500),
        Some("cannot check whether the pod still exists: could not get pods")
    )]
    #[tokio::test]
    async fn not_found_means_gone_only_if_the_pod_does_not_exist(
        #[case] now: Result<PodState, u16>,
        #[case] expected: Option<&str>,
    ) {
        let api_message = "the server could not find the requested resource";
        let meaning = outcome(
            404,
            json!({"kind": "Status", "reason": "NotFound", "message": api_message}),
        );
        let answer = meaning.settle(read(now)).await;
        match expected {
            None => assert_eq!(answer, EvictionAnswer::AlreadyGone),
            Some(expected) => {
                let EvictionAnswer::Failed { message } = answer else {
                    panic!("{answer:?}")
                };
                assert!(message.contains(expected), "{message}");
            }
        }
    }

    #[rstest]
    #[case(PodState::Gone, true)]
    #[case(PodState::Terminating, true)]
    #[case(PodState::Present { ready: true }, false)]
    #[tokio::test]
    async fn unknown_conflict_is_resolved_by_reading_the_pod(
        #[case] now: PodState,
        #[case] gone: bool,
    ) {
        let body = json!({"kind": "Status", "reason": "Conflict", "message": "the object has been modified"});
        let answer = outcome(409, body).settle(read(Ok(now))).await;
        if gone {
            assert_eq!(answer, EvictionAnswer::AlreadyGone);
        } else {
            let EvictionAnswer::Failed { message } = answer else {
                panic!("{answer:?}")
            };
            assert!(message.ends_with("modified"), "{message}");
        }
    }

    async fn read(now: Result<PodState, u16>) -> Result<PodState, K8sError> {
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
    fn server_failure_leaves_the_outcome_unknown(#[case] code: u16, #[case] body: Value) {
        let answer = certain(code, body);
        assert!(
            matches!(answer, EvictionAnswer::Unknown { .. }),
            "{answer:?}"
        );
    }

    #[rstest]
    #[case(true)]
    #[case(false)]
    fn lost_connection_leaves_the_outcome_unknown_if_the_request_was_sent(#[case] sent: bool) {
        let attempt = eviction(EvictionMethod::Delete, None, false).attempt(&pod());
        let lost = K8sError::Timeout {
            attempt: Box::new(attempt.clone()),
            server: "https://k8s".into(),
            after: Duration::from_secs(30),
            sent,
        };
        let meaning = answer(Err(lost), &attempt, "https://k8s");
        let unknown = matches!(&meaning, Meaning::Certain(EvictionAnswer::Unknown { .. }));
        let failed = matches!(&meaning, Meaning::Certain(EvictionAnswer::Failed { .. }));
        assert_eq!((unknown, failed), (sent, !sent));
    }
}
