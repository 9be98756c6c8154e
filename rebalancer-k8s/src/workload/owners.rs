//! The owners of a workload's pods.

use bytes::Bytes;
use kube::core::params::ListParams;
use rebalancer_adapter::read_json;
use serde::Deserialize;

use super::Workload;
use crate::api::{Api, METADATA_LIST};
use crate::attempt::Attempt;
use crate::error::K8sError;
use crate::kind::WorkloadKind;
use crate::object_meta::{OwnerReference, controller, null_as_default};
use crate::pages::{BadPage, PAGE, Page, PageEnd, Pages};

#[derive(Deserialize)]
struct ReplicaSet {
    metadata: Metadata,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Metadata {
    uid: String,
    #[serde(default, deserialize_with = "null_as_default")]
    owner_references: Vec<OwnerReference>,
}

/// Collects the UIDs of the ReplicaSets that one object controls.
struct ControlledBy<'u> {
    uid: &'u str,
    replica_sets: Vec<String>,
}

impl Pages for ControlledBy<'_> {
    fn restart(&mut self) {
        self.replica_sets.clear();
    }

    fn page(&mut self, body: &Bytes) -> Result<PageEnd, BadPage> {
        let (sets, end) = read_json::<Page<ReplicaSet>>(body)?.split("ReplicaSet")?;
        let controlled = sets.into_iter().map(|set| set.metadata).filter(|set| {
            controller(&set.owner_references).is_some_and(|owner| owner.uid == self.uid)
        });
        self.replica_sets.extend(controlled.map(|set| set.uid));
        Ok(end)
    }
}

/// Returns the UIDs of the owners of the workload's pods: the workload, and the ReplicaSets that it
/// controls.
pub(crate) async fn owners(
    api: &Api,
    namespace: &str,
    kind: &WorkloadKind,
    workload: &Workload,
) -> Result<Vec<String>, K8sError> {
    let mut controlled = ControlledBy {
        uid: &workload.uid,
        replica_sets: Vec::new(),
    };
    match kind {
        WorkloadKind::StatefulSet => {}
        WorkloadKind::Deployment | WorkloadKind::Scalable(_) => {
            let attempt = Attempt::list("apps", "replicasets", namespace);
            let path = format!("/apis/apps/v1/namespaces/{namespace}/replicasets");
            let params = ListParams::default().labels(&workload.selector).limit(PAGE);
            api.list_pages(
                &attempt,
                &path,
                &params,
                Some(METADATA_LIST),
                &mut controlled,
            )
            .await?;
        }
    }
    let mut owners = controlled.replica_sets;
    owners.push(workload.uid.clone());
    Ok(owners)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    #[test]
    fn finds_the_replica_sets_that_the_workload_controls() {
        let set =
            |uid: &str, owner: Value| json!({"metadata": {"uid": uid, "ownerReferences": owner}});
        let sets = json!({"kind": "ReplicaSetList", "items": [
            set("new", json!([{"kind": "Deployment", "uid": "d1", "controller": true}])),
            set("old", json!([{"kind": "Deployment", "uid": "d1", "controller": true}])),
            set("foreign", json!([{"kind": "Deployment", "uid": "d2", "controller": true}])),
            set("not controlled", json!([{"kind": "Deployment", "uid": "d1"}])),
            set("orphan", json!(null)),
        ]});
        let mut controlled = ControlledBy {
            uid: "d1",
            replica_sets: Vec::new(),
        };
        controlled.page(&sets.to_string().into()).unwrap();
        assert_eq!(controlled.replica_sets, ["new", "old"]);
    }
}
