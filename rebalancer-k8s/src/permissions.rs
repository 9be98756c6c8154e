//! The permissions that the service account needs.

/// One rule of the Role that the adapter needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Permission {
    /// The verb of the RBAC rule.
    pub verb: &'static str,
    /// The API group; empty for the core API.
    pub group: &'static str,
    /// The resource, with its subresource if there is one.
    pub resource: &'static str,
    /// The condition under which the permission is needed.
    pub need: Need,
    /// The purpose of the permission.
    pub why: &'static str,
}

/// The condition under which a permission is needed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Need {
    /// For every workload.
    Always,
    /// For a workload that is a Deployment.
    Deployment,
    /// For a workload that is a StatefulSet.
    StatefulSet,
    /// If the target comes from an autoscaler of the Kubernetes API.
    Autoscalers,
    /// To find out that KEDA has paused the autoscaler, which does not exist meanwhile. Without it,
    /// the target is reported as unknown.
    PausedAutoscalers,
    /// To evict, and for a dry run, which sends evictions with `dryRun`.
    Evict,
    /// To count the evictions of a dry run against the PodDisruptionBudgets. Without it, a dry run
    /// checks each eviction alone, and says so.
    Budgets,
    /// To delete instead of evicting (`EVICTION_METHOD=delete`).
    Delete,
    /// To ensure that one run at a time acts (`ONE_AT_A_TIME`, on by default).
    Lease,
    /// To publish Events. Without it, runs work all the same.
    Events,
    /// To write the last rotation as an annotation of a Deployment. Without it, the cooldown is
    /// derived from the ages of the pods.
    DeploymentMemory,
    /// To write the last rotation as an annotation of a StatefulSet.
    StatefulSetMemory,
    /// For better error messages. Without it, runs work all the same.
    Suggestions,
}

/// Every permission that the adapter may use within the workload's namespace.
///
/// A kind given as `Kind.version.group` additionally needs `get` on the resource and on its `/scale`,
/// `list` on `replicasets` in `apps`, and `patch` on the resource to write the last rotation.
///
/// ```
/// use rebalancer_k8s::{Need, PERMISSIONS};
/// let evict = PERMISSIONS.iter().find(|rule| rule.need == Need::Evict).unwrap();
/// assert_eq!((evict.verb, evict.resource), ("create", "pods/eviction"));
/// ```
pub const PERMISSIONS: &[Permission] = &[
    rule(
        "get",
        "apps",
        "deployments",
        Need::Deployment,
        "the workload's selector and rollout",
    ),
    rule(
        "list",
        "apps",
        "replicasets",
        Need::Deployment,
        "which pods the Deployment owns",
    ),
    rule(
        "get",
        "apps",
        "statefulsets",
        Need::StatefulSet,
        "the workload's selector and rollout",
    ),
    rule("list", "", "pods", Need::Always, "the pods of the workload"),
    rule(
        "get",
        "",
        "pods",
        Need::Always,
        "one pod again, right before its eviction",
    ),
    rule(
        "list",
        "autoscaling",
        "horizontalpodautoscalers",
        Need::Autoscalers,
        "the target",
    ),
    rule(
        "list",
        "keda.sh",
        "scaledobjects",
        Need::PausedAutoscalers,
        "whether the autoscaler is paused",
    ),
    rule(
        "create",
        "",
        "pods/eviction",
        Need::Evict,
        "evictions that respect budgets",
    ),
    rule(
        "list",
        "policy",
        "poddisruptionbudgets",
        Need::Budgets,
        "how many evictions of a dry run the budgets allow together",
    ),
    rule(
        "delete",
        "",
        "pods",
        Need::Delete,
        "deletes that no budget holds back",
    ),
    rule(
        "get",
        "coordination.k8s.io",
        "leases",
        Need::Lease,
        "whether another run acts on the workload",
    ),
    rule(
        "create",
        "coordination.k8s.io",
        "leases",
        Need::Lease,
        "the lease of the first run",
    ),
    rule(
        "update",
        "coordination.k8s.io",
        "leases",
        Need::Lease,
        "taking the lease, renewing it and giving it back",
    ),
    rule(
        "create",
        "events.k8s.io",
        "events",
        Need::Events,
        "what was done, as Events",
    ),
    rule(
        "patch",
        "apps",
        "deployments",
        Need::DeploymentMemory,
        "the last rotation, as an annotation",
    ),
    rule(
        "patch",
        "apps",
        "statefulsets",
        Need::StatefulSetMemory,
        "the last rotation, as an annotation",
    ),
    rule(
        "list",
        "apps",
        "deployments",
        Need::Suggestions,
        "names close to one that does not exist",
    ),
    rule(
        "list",
        "apps",
        "statefulsets",
        Need::Suggestions,
        "names close to one that does not exist",
    ),
    rule(
        "get",
        "",
        "namespaces",
        Need::Suggestions,
        "whether the namespace exists",
    ),
];

const fn rule(
    verb: &'static str,
    group: &'static str,
    resource: &'static str,
    need: Need,
    why: &'static str,
) -> Permission {
    Permission {
        verb,
        group,
        resource,
        need,
        why,
    }
}
