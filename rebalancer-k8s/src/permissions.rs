//! The permissions that the service account needs.

use crate::kind::WorkloadKind;
use crate::settings::{Autoscalers, EvictionMethod, Settings};

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
    /// For a target that comes from an autoscaler of the Kubernetes API.
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
    /// To write the last rotation, and plans that wait for approval, as annotations of a
    /// Deployment. Without it, the cooldown is derived from the ages of the pods, no plan can be
    /// approved, and runs with a limit of evictions per day stop after one.
    DeploymentMemory,
    /// To write the last rotation, and plans that wait for approval, as annotations of a
    /// StatefulSet.
    StatefulSetMemory,
    /// For better error messages. Without it, runs work all the same.
    Suggestions,
}

/// Every permission that the adapter may use within the workload's namespace.
///
/// A kind given as `Kind.version.group` additionally needs `get` on the resource and on its
/// `/scale`, `list` on `replicasets` in `apps`, and `patch` on the resource to write the last
/// rotation.
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
        "its annotations: the last rotation, a plan that waits for approval",
    ),
    rule(
        "patch",
        "apps",
        "statefulsets",
        Need::StatefulSetMemory,
        "its annotations: the last rotation, a plan that waits for approval",
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

/// The use of the Kubernetes API by a configuration, beyond the [`Settings`] of the adapter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Usage {
    /// Whether pods are evicted. With a strategy that restarts no pod they are not.
    pub evicts: bool,
    /// Whether evictions are only checked by the API server.
    pub dry_run: bool,
    /// Whether one run at a time acts.
    pub lease: bool,
    /// Whether plans need approval, so that they are stored on the workload.
    pub approval: bool,
    /// Whether the evictions of a day are limited, which needs the record of each.
    pub counts_evictions: bool,
}

/// The importance of a permission to a configuration.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Importance {
    /// Runs fail without it.
    Required,
    /// Runs fail without it once they are no longer dry runs.
    ToAct,
    /// No process of several becomes the leader without it, so none runs.
    ToLead,
    /// Runs do less without it.
    Optional {
        /// The consequence of its absence.
        without: &'static str,
    },
    /// Runs do less without it in a situation that not every workload has.
    Situational {
        /// The situation, and the consequence of its absence.
        without: &'static str,
    },
}

impl Usage {
    /// The importance of a permission that is not needed before runs act.
    fn to_act(self) -> Importance {
        if self.dry_run {
            Importance::ToAct
        } else {
            Importance::Required
        }
    }

    /// The importance of the permission to write annotations of the workload. A run whose evictions
    /// are counted stops after the first that it cannot record.
    pub(crate) fn importance_of_memory(self) -> Importance {
        if self.approval || self.evicts && self.counts_evictions {
            return self.to_act();
        }
        Importance::Optional {
            without: "rotations are not remembered, and the cooldown depends only on the ages of the pods",
        }
    }
}

impl Need {
    /// The importance to a configuration; `None` if it does not use the permission.
    #[must_use]
    pub fn importance(
        self,
        kind: &WorkloadKind,
        settings: &Settings,
        usage: Usage,
    ) -> Option<Importance> {
        let Usage {
            evicts,
            dry_run,
            lease,
            ..
        } = usage;
        let by_method = |method| evicts && settings.eviction_method == method;
        let required = |used: bool| used.then_some(Importance::Required);
        let optional = |used: bool, without| used.then_some(Importance::Optional { without });
        match self {
            Self::Always => Some(Importance::Required),
            Self::Deployment => required(*kind == WorkloadKind::Deployment),
            Self::StatefulSet => required(*kind == WorkloadKind::StatefulSet),
            Self::Autoscalers => match settings.autoscalers {
                Autoscalers::Required => Some(Importance::Required),
                Autoscalers::IfPermitted => optional(
                    true,
                    "a run does not notice that the workload is being scaled",
                ),
                Autoscalers::No => None,
            },
            Self::PausedAutoscalers => {
                (settings.autoscalers == Autoscalers::Required).then_some(Importance::Situational {
                    without: "only if KEDA scales the workload: while its ScaledObject is paused, the \
                              target is reported as unknown",
                })
            }
            Self::Evict => required(by_method(EvictionMethod::Evict)),
            Self::Delete => required(by_method(EvictionMethod::Delete)),
            Self::Budgets => optional(
                dry_run && by_method(EvictionMethod::Evict),
                "a dry run checks each eviction alone, not against the budgets as a whole",
            ),
            Self::Lease => lease.then_some(usage.to_act()),
            Self::Events => optional(true, "no Events record what was done"),
            Self::DeploymentMemory => {
                (*kind == WorkloadKind::Deployment).then(|| usage.importance_of_memory())
            }
            Self::StatefulSetMemory => {
                (*kind == WorkloadKind::StatefulSet).then(|| usage.importance_of_memory())
            }
            // Only for messages about a workload that does not exist.
            Self::Suggestions => None,
        }
    }
}

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

#[cfg(test)]
mod tests {
    use super::*;
    use rebalancer_core::model::WorkloadRef;
    use rstest::rstest;

    const ACTS: Usage = Usage {
        evicts: true,
        dry_run: false,
        lease: true,
        approval: false,
        counts_evictions: false,
    };

    fn settings(change: impl FnOnce(&mut Settings)) -> Settings {
        let mut settings = Settings::new(WorkloadRef {
            namespace: "posthog".into(),
            kind: "Deployment".into(),
            name: "ingestion".into(),
        });
        change(&mut settings);
        settings
    }

    /// The needs with an importance that is not optional.
    fn needed(settings: &Settings, kind: &WorkloadKind, usage: Usage) -> Vec<Need> {
        let mut needs: Vec<Need> = PERMISSIONS
            .iter()
            .map(|rule| rule.need)
            .filter(|need| {
                matches!(
                    need.importance(kind, settings, usage),
                    Some(Importance::Required | Importance::ToAct)
                )
            })
            .collect();
        needs.dedup();
        needs
    }

    #[rstest]
    #[case::acts(ACTS, |_: &mut Settings| (), &[Need::Deployment, Need::Always, Need::Autoscalers, Need::Evict, Need::Lease])]
    #[case::without_lease(
        Usage { lease: false, ..ACTS }, |_: &mut Settings| (),
        &[Need::Deployment, Need::Always, Need::Autoscalers, Need::Evict]
    )]
    #[case::assigns(
        Usage { evicts: false, ..ACTS }, |_: &mut Settings| (),
        &[Need::Deployment, Need::Always, Need::Autoscalers, Need::Lease]
    )]
    #[case::counts(
        Usage { counts_evictions: true, ..ACTS }, |_: &mut Settings| (),
        &[Need::Deployment, Need::Always, Need::Autoscalers, Need::Evict, Need::Lease, Need::DeploymentMemory]
    )]
    #[case::counts_what_it_does_not_do(
        Usage { counts_evictions: true, evicts: false, ..ACTS }, |_: &mut Settings| (),
        &[Need::Deployment, Need::Always, Need::Autoscalers, Need::Lease]
    )]
    #[case::deletes(
        ACTS, |settings: &mut Settings| settings.eviction_method = EvictionMethod::Delete,
        &[Need::Deployment, Need::Always, Need::Autoscalers, Need::Delete, Need::Lease]
    )]
    #[case::configured_target(
        ACTS, |settings: &mut Settings| settings.autoscalers = Autoscalers::IfPermitted,
        &[Need::Deployment, Need::Always, Need::Evict, Need::Lease]
    )]
    fn needs_follow_the_settings(
        #[case] usage: Usage,
        #[case] change: fn(&mut Settings),
        #[case] expected: &[Need],
    ) {
        let settings = settings(change);
        assert_eq!(
            needed(&settings, &WorkloadKind::Deployment, usage),
            expected
        );
    }

    #[test]
    fn kind_decides_which_object_is_read() {
        let needs = needed(&settings(|_| ()), &WorkloadKind::StatefulSet, ACTS);
        assert!(needs.contains(&Need::StatefulSet) && !needs.contains(&Need::Deployment));
    }

    #[test]
    fn dry_run_needs_the_lease_and_the_record_only_later() {
        let usage = Usage {
            dry_run: true,
            counts_evictions: true,
            ..ACTS
        };
        let of = |need: Need| need.importance(&WorkloadKind::Deployment, &settings(|_| ()), usage);
        assert_eq!(of(Need::Lease), Some(Importance::ToAct));
        assert_eq!(of(Need::DeploymentMemory), Some(Importance::ToAct));
        assert!(matches!(
            of(Need::Budgets),
            Some(Importance::Optional { .. })
        ));
        assert_eq!(of(Need::Suggestions), None);
    }

    /// Without it, plans cannot be stored for approval.
    #[rstest]
    #[case(false, Importance::Required)]
    #[case(true, Importance::ToAct)]
    fn approval_needs_the_annotations(#[case] dry_run: bool, #[case] expected: Importance) {
        let usage = Usage {
            dry_run,
            approval: true,
            ..ACTS
        };
        for (need, kind) in [
            (Need::DeploymentMemory, WorkloadKind::Deployment),
            (Need::StatefulSetMemory, WorkloadKind::StatefulSet),
        ] {
            let importance = need.importance(&kind, &settings(|_| ()), usage);
            assert_eq!(importance, Some(expected));
        }
    }
}
