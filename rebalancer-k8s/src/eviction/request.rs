//! The request for an eviction or a delete.

use http::{Request, header};
use rebalancer_core::model::PodRef;
use serde_json::json;

use crate::attempt::Attempt;
use crate::settings::EvictionMethod;

/// The settings of an eviction.
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
            // A StatefulSet's replacement pod has the same name and another UID.
            "preconditions": {"uid": pod.uid.0},
        });
        if let Some(seconds) = self.grace_period {
            options["gracePeriodSeconds"] = json!(seconds);
        }
        if self.dry_run {
            options["dryRun"] = json!(["All"]);
        }
        // In the address too, where admission webhooks and audit logs expect it.
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

#[cfg(test)]
mod tests {
    use super::super::testing::{eviction, pod};
    use super::*;
    use http::Method;
    use rstest::rstest;
    use serde_json::Value;

    #[test]
    fn eviction_has_the_uid_as_precondition() {
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
    fn eviction_requests_dry_run_and_grace_period(
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
}
