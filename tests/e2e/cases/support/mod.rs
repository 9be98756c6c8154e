//! Helpers that the cases share.

pub(crate) mod documents;
pub(crate) mod installers;
pub(crate) mod monitoring;
mod outcome;
pub(crate) mod shared;
pub(crate) mod tools;

use ::harness::{
    Account, PodView, Rebalancer, Result, Target, TestNamespace, Workload, WorkloadSpec,
};

pub(crate) use outcome::Outcome;

/// Two pods above 1.5 × 0.7 cores, two far below the others; in the order of the pods' names.
pub(crate) const SKEWED: [f64; 8] = [0.7, 1.3, 0.2, 0.6, 1.2, 0.8, 0.3, 0.5];

/// The indices in [`SKEWED`] of the expected victims, in order.
pub(crate) const VICTIMS: [usize; 4] = [1, 4, 2, 6];

/// A workload with the loads of [`SKEWED`] and an autoscaler that aims at 0.7 cores, measured.
pub(crate) async fn skewed(ns: &TestNamespace, spec: WorkloadSpec) -> Result<Workload<'_>> {
    let workload = ns.create(spec.loads(SKEWED)).await?;
    ns.autoscale(&workload, Target::Utilization(70)).await?;
    workload.wait_measured().await?;
    Ok(workload)
}

/// The UIDs of the pods at the given indices.
pub(crate) fn uids(pods: &[PodView], places: &[usize]) -> Vec<String> {
    places
        .iter()
        .map(|place| pods[*place].uid.clone())
        .collect()
}

/// Panics unless the pods are the same as before and none of them is terminating.
pub(crate) async fn assert_untouched(workload: &Workload<'_>, before: &[PodView]) -> Result<()> {
    let now = workload.pods().await?;
    let all = |pods: &[PodView]| pods.iter().map(|pod| pod.uid.clone()).collect::<Vec<_>>();
    assert_eq!(all(&now), all(before), "pods were replaced");
    assert!(now.iter().all(|pod| !pod.terminating), "{now:?}");
    Ok(())
}

/// A service account with these RBAC rules, in YAML's flow style.
pub(crate) async fn account(ns: &TestNamespace, name: &str, rules: &str) -> Result<Account> {
    let account = ns.create_account(name).await?;
    let namespace = ns.name();
    ns
        .apply(&format!(
            "apiVersion: rbac.authorization.k8s.io/v1\nkind: Role\nmetadata: {{name: {name}}}\nrules: {rules}\n---\n\
             apiVersion: rbac.authorization.k8s.io/v1\nkind: RoleBinding\nmetadata: {{name: {name}}}\n\
             roleRef: {{apiGroup: rbac.authorization.k8s.io, kind: Role, name: {name}}}\n\
             subjects: [{{kind: ServiceAccount, name: {name}, namespace: {namespace}}}]\n"
        ))
        .await?;
    Ok(account)
}

/// The RBAC rules to observe a Deployment.
pub(crate) const READ_RULES: &str = "[{apiGroups: [''], resources: [pods], verbs: [get, list]}, \
     {apiGroups: [apps], resources: [deployments], verbs: [get]}, \
     {apiGroups: [apps], resources: [replicasets], verbs: [list]}, \
     {apiGroups: [autoscaling], resources: [horizontalpodautoscalers], verbs: [list]}]";

/// The RBAC rules to observe and evict under a lease, without events and annotations.
pub(crate) fn evict_rules() -> String {
    let read = READ_RULES.trim_end_matches(']');
    format!(
        "{read}, {{apiGroups: [''], resources: [pods/eviction], verbs: [create]}}, \
         {{apiGroups: [coordination.k8s.io], resources: [leases], verbs: [get, create, update]}}]"
    )
}

/// Runs the program with a JSON report and reads the results.
pub(crate) trait RunExt {
    /// Panics unless the program ends with that exit code.
    async fn ends_with(self, code: i32) -> Result<Outcome>;
}

impl RunExt for Rebalancer {
    async fn ends_with(self, code: i32) -> Result<Outcome> {
        let program = if self.variables().any(|(name, _)| name == "OUTPUT") {
            self
        } else {
            self.env("OUTPUT", "json")
        };
        let run = program.run().await?;
        assert_eq!(run.code, Some(code), "{run}");
        Ok(Outcome(run))
    }
}
