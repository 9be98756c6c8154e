//! Service accounts and their tokens.

use std::path::PathBuf;

use k8s_openapi::api::{authentication::v1::TokenRequest, core::v1::ServiceAccount};
use kube::api::PostParams;
use serde_json::json;

use crate::{Error, Result, TestNamespace, manifest};

/// A service account with a token and a kubeconfig.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Account {
    /// The account's name.
    pub name: String,
    /// The user name under which the API server knows it.
    pub user: String,
    /// The account's token, valid for an hour.
    pub token: String,
    /// The path of a kubeconfig with the token. The file is removed with the [`TestNamespace`].
    pub kubeconfig: PathBuf,
}

impl Account {
    pub(crate) async fn of(ns: &TestNamespace, name: &str) -> Result<Self> {
        let request: TokenRequest = manifest::object(json!({
            "apiVersion": "authentication.k8s.io/v1",
            "kind": "TokenRequest",
            "spec": {"audiences": [], "expirationSeconds": 3600},
        }))?;
        let answer = ns
            .api::<ServiceAccount>()
            .create_token_request(name, &PostParams::default(), &request)
            .await
            .map_err(Error::kube(format!("request a token for {name}")))?;
        let token = answer
            .status
            .and_then(|status| status.token)
            .unwrap_or_default();
        let kubeconfig = ns.dir().join(format!("{name}.kubeconfig"));
        ns.control_plane()
            .write_kubeconfig(&kubeconfig, &token, ns.name())?;
        Ok(Self {
            name: name.to_owned(),
            user: format!("system:serviceaccount:{}:{name}", ns.name()),
            token,
            kubeconfig,
        })
    }
}
