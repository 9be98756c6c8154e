//! The resource of a kind that only the API server knows.

use serde::Deserialize;

use crate::api::Api;
use crate::attempt::Attempt;
use crate::error::K8sError;
use crate::kind::GroupVersionKind;

#[derive(Deserialize)]
struct Resources {
    resources: Vec<Resource>,
}

#[derive(Deserialize)]
struct Resource {
    name: String,
    kind: String,
}

/// Returns the resource of a kind, in plural.
pub(crate) async fn resource_of(api: &Api, gvk: &GroupVersionKind) -> Result<String, K8sError> {
    let not_served = |detail: String| K8sError::KindNotServed {
        kind: gvk.to_string(),
        detail,
    };
    let attempt = Attempt {
        verb: "get",
        group: gvk.group.clone().into(),
        resource: "the list of resources".into(),
        namespace: None,
        name: None,
    };
    let found: Result<Resources, K8sError> = api.get(&attempt, &gvk.api_path(), None).await;
    let resources = match found {
        Ok(found) => found.resources,
        Err(K8sError::NotFound { .. }) => {
            return Err(not_served(format!("it does not serve {}", gvk.api_path())));
        }
        Err(error) => return Err(error),
    };
    let resource = resources
        .iter()
        .find(|resource| resource.kind == gvk.kind && !resource.name.contains('/'))
        .ok_or_else(|| not_served(format!("{} has no such kind", gvk.api_path())))?;
    let scale = format!("{}/scale", resource.name);
    if !resources.iter().any(|resource| resource.name == scale) {
        return Err(not_served(format!(
            "{} has no scale subresource",
            resource.name
        )));
    }
    Ok(resource.name.clone())
}
