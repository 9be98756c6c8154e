//! Service accounts and their tokens.

use std::path::PathBuf;

use k8s_openapi::api::{authentication::v1::TokenRequest, core::v1::ServiceAccount};
use kube::api::PostParams;
use serde_json::json;

use crate::{Error, Result, World, manifest};

/// A service account, ready to be used by a program.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Account {
    /// Its name.
    pub name: String,
    /// The user name under which the API server knows it.
    pub user: String,
    /// Its token, good for an hour.
    pub token: String,
    /// A kubeconfig with the token; gone with the [`World`].
    pub kubeconfig: PathBuf,
}

impl Account {
    pub(crate) async fn of(world: &World, name: &str) -> Result<Self> {
        let request: TokenRequest = manifest::object(json!({
            "apiVersion": "authentication.k8s.io/v1",
            "kind": "TokenRequest",
            "spec": {"audiences": [], "expirationSeconds": 3600},
        }))?;
        let answer = world
            .api::<ServiceAccount>()
            .create_token_request(name, &PostParams::default(), &request)
            .await
            .map_err(Error::kube(format!("request a token for {name}")))?;
        let token = answer
            .status
            .and_then(|status| status.token)
            .unwrap_or_default();
        let kubeconfig = world.dir().join(format!("{name}.kubeconfig"));
        world
            .control_plane()
            .write_kubeconfig(&kubeconfig, &token, world.namespace())?;
        Ok(Self {
            name: name.to_owned(),
            user: format!("system:serviceaccount:{}:{name}", world.namespace()),
            token,
            kubeconfig,
        })
    }
}
