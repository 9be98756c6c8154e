//! Service accounts and CronJobs of a test namespace, and the API calls that they made.

use std::time::Duration;

use k8s_openapi::api::{
    batch::v1::CronJob,
    core::v1::{Pod, ServiceAccount},
};
use kube::{ResourceExt as _, api::PostParams};

use super::{PAUSE, TestNamespace};
use crate::{
    Account, AuditEntry, Error, Result, audit, controlplane, manifest,
    wait::{Look, until},
};

impl TestNamespace {
    /// Creates a service account without any rights.
    ///
    /// # Errors
    /// If the API rejects it.
    pub async fn create_account(&self, name: &str) -> Result<Account> {
        let mut account = ServiceAccount::default();
        account.metadata.name = Some(name.to_owned());
        self.api::<ServiceAccount>()
            .create(&PostParams::default(), &account)
            .await
            .map_err(Error::kube(format!("create service account {name}")))?;
        self.account(name).await
    }

    /// Creates a token and a kubeconfig for an existing service account.
    ///
    /// # Errors
    /// If the API rejects it.
    pub async fn account(&self, name: &str) -> Result<Account> {
        Account::of(self, name).await
    }

    /// The account and the environment of a CronJob's first container.
    ///
    /// # Errors
    /// If there is no such CronJob, or its environment has an entry that the harness does not
    /// support.
    pub async fn cron_job(&self, name: &str) -> Result<(Account, Vec<(String, String)>)> {
        let job = self
            .api::<CronJob>()
            .get(name)
            .await
            .map_err(Error::kube(format!("read CronJob {name}")))?;
        let (account, environment) =
            manifest::pod_environment(&self.client, &job, &self.namespace).await?;
        Ok((self.account(&account).await?, environment))
    }

    /// Waits until a CronJob's next pod has ended. Returns the pod and the output of its container.
    /// A CronJob that runs every minute takes up to a minute to start.
    ///
    /// # Errors
    /// If no pod starts in time, or the API returns an error.
    pub async fn fired(&self, cron_job: &str, known: &[String]) -> Result<(Pod, String)> {
        let ours = |pod: &Pod| {
            let owner = pod.labels().get("batch.kubernetes.io/job-name");
            owner.is_some_and(|job| job.starts_with(cron_job))
        };
        until(
            format!("the end of a pod of CronJob {cron_job}"),
            Duration::from_secs(120),
            PAUSE,
            async || {
                let pods = self
                    .api::<Pod>()
                    .list(&Default::default())
                    .await
                    .map_err(Error::kube("list pods"))?;
                let new = pods
                    .items
                    .into_iter()
                    .find(|pod| ours(pod) && pod.uid().is_some_and(|uid| !known.contains(&uid)));
                let Some(pod) = new else {
                    let errors = self.cluster.kubelet.errors();
                    return Ok(Look::Not(format!("none; errors: {errors:?}")));
                };
                let uid = pod.uid().unwrap_or_default();
                let status = pod.status.clone().unwrap_or_default();
                let ended =
                    ["Succeeded", "Failed"].contains(&status.phase.as_deref().unwrap_or(""));
                Ok(match self.cluster.kubelet.containers().ended(&uid) {
                    Some(container) if ended => Look::Done((pod, container.log)),
                    Some(_) | None => {
                        let errors = self.cluster.kubelet.errors();
                        Look::Not(format!("{:?}; errors: {errors:?}", status.phase))
                    }
                })
            },
        )
        .await
    }

    /// Waits until a pod with the program under test has ended. Returns the pod and its output.
    ///
    /// # Errors
    /// If the pod does not end in time, or the API returns an error.
    pub async fn ended(&self, pod: &str) -> Result<(Pod, String)> {
        let deadline = Duration::from_secs(180);
        until(
            format!("the end of pod {pod}"),
            deadline,
            PAUSE,
            async || {
                let found = self.api::<Pod>().get_opt(pod).await;
                let found = found.map_err(Error::kube(format!("read pod {pod}")))?;
                let errors = self.cluster.kubelet.errors();
                let Some(found) = found else {
                    return Ok(Look::Not(format!("none; errors: {errors:?}")));
                };
                let containers = self.cluster.kubelet.containers();
                let ended = containers.ended(&found.uid().unwrap_or_default());
                Ok(match ended {
                    Some(container) => Look::Done((found, container.log)),
                    None => Look::Not(format!("it runs; errors: {errors:?}")),
                })
            },
        )
        .await
    }

    /// Waits until the container of a deleted pod has ended. Returns its exit code and its output.
    ///
    /// # Errors
    /// If the container does not end in time.
    pub async fn stopped(&self, pod: &Pod) -> Result<(i32, String)> {
        let deadline = Duration::from_secs(120);
        let uid = pod.uid().unwrap_or_default();
        let what = format!("the end of the container of pod {}", pod.name_any());
        until(what, deadline, PAUSE, async || {
            let containers = self.cluster.kubelet.containers();
            Ok(match containers.ended(&uid) {
                Some(container) => Look::Done((container.code, container.log)),
                None => Look::Not("it runs".to_owned()),
            })
        })
        .await
    }

    /// The API calls that an account has made so far, in order.
    ///
    /// # Errors
    /// If the audit log cannot be read.
    pub fn audit(&self, account: &Account) -> Result<Vec<AuditEntry>> {
        audit::read(&self.control_plane().audit_log(), &account.user)
    }

    /// Creates a client with the rights of an account.
    ///
    /// # Errors
    /// If the client cannot be built.
    pub async fn client_of(&self, account: &Account) -> Result<kube::Client> {
        controlplane::client(&account.kubeconfig).await
    }
}
