//! The loads of a workload's pods, and how the metrics servers report them.

use std::{collections::BTreeMap, time::Duration};

use k8s_openapi::api::core::v1::Pod;
use kube::api::{Patch, PatchParams};

use super::{PodView, Workload};
use crate::{
    Error, Result, kubelet,
    meters::SecondSeries,
    metrics::WINDOW,
    wait::{Look, until},
};

/// Tolerances for a measured load to count as settled: relative to the set load, and absolute (in
/// cores) near zero.
const SETTLED: (f64, f64) = (0.01, 0.002);

impl Workload<'_> {
    /// Sets the loads of the pods in cores, in order of the pod names. Later pods get the mean.
    ///
    /// # Errors
    /// If the number of pods differs, or a pod is not running yet.
    pub async fn set_loads(&self, loads: &[f64]) -> Result<()> {
        let pods = self.pods().await?;
        let wrong = |message: String| Error::Document {
            what: format!("the loads for {}", self.spec.name),
            message,
        };
        if pods.len() != loads.len() {
            return Err(wrong(format!(
                "{} loads for {} pods",
                loads.len(),
                pods.len()
            )));
        }
        for (pod, load) in pods.iter().zip(loads) {
            if !self.ns.cluster.meters.set_load(&pod.uid, None, *load) {
                return Err(wrong(format!("pod {} does not run yet", pod.name)));
            }
        }
        // The number of pods in a test is exact in a float.
        #[expect(clippy::cast_precision_loss, reason = "far fewer than 2^52 pods")]
        let count = loads.len().max(1) as f64;
        self.set_replacement_load(loads.iter().sum::<f64>() / count);
        Ok(())
    }

    /// Sets the load of later pods, in cores.
    pub fn set_replacement_load(&self, cores: f64) {
        self.ns
            .cluster
            .meters
            .set_newcomers(self.ns.name(), &self.spec.name, cores);
    }

    /// Sets the load of one container of a running pod, in cores.
    ///
    /// # Errors
    /// If the pod is not running or has no such container.
    pub fn set_container_load(&self, pod: &PodView, container: &str, cores: f64) -> Result<()> {
        if self
            .ns
            .cluster
            .meters
            .set_load(&pod.uid, Some(container), cores)
        {
            return Ok(());
        }
        Err(Error::Document {
            what: format!("the load for container {container} of {}", pod.name),
            message: "no such container is running".to_owned(),
        })
    }

    /// Sets whether cadvisor reports the running pods. The counters continue in either case.
    ///
    /// # Errors
    /// If a pod is not running.
    pub async fn set_measured(&self, measured: bool) -> Result<()> {
        for pod in self.pods().await? {
            let meters = &self.ns.cluster.meters;
            self.metered(&pod, meters.set_measured(&pod.uid, measured))?;
        }
        Ok(())
    }

    /// Adds a second series of each container of a running pod to the metrics.
    ///
    /// # Errors
    /// If the pod is not running.
    pub fn duplicate_series(&self, pod: &PodView, second: SecondSeries) -> Result<()> {
        let meters = &self.ns.cluster.meters;
        self.metered(pod, meters.duplicate_series(&pod.uid, second))
    }

    /// Restarts the measured container of a running pod, as after an OOM kill: the pod's status
    /// reports it, and the metrics show a new cgroup whose counter starts at zero.
    ///
    /// # Errors
    /// If the pod is not running, or the API rejects the status.
    pub async fn restart(&self, pod: &PodView) -> Result<()> {
        let api = self.ns.api::<Pod>();
        let found = api
            .get(&pod.name)
            .await
            .map_err(Error::kube(format!("read pod {}", pod.name)))?;
        let status = kubelet::restarted(&found);
        let known = self.ns.cluster.meters.restart(&pod.uid);
        self.metered(pod, known && status.is_some())?;
        api.patch_status(&pod.name, &PatchParams::default(), &Patch::Merge(status))
            .await
            .map(drop)
            .map_err(Error::kube(format!("set the status of pod {}", pod.name)))
    }

    fn metered(&self, pod: &PodView, found: bool) -> Result<()> {
        found.then_some(()).ok_or_else(|| Error::Document {
            what: format!("the meters of {}", pod.name),
            message: "it does not run".to_owned(),
        })
    }

    /// Waits until both metrics servers have a full window of every ready pod at its current load.
    ///
    /// # Errors
    /// If this takes longer than the window and some seconds.
    pub async fn wait_measured(&self) -> Result<()> {
        let window = WINDOW;
        let deadline = window + Duration::from_secs(170);
        let settled =
            |wanted: f64, seen: f64| (wanted - seen).abs() <= (wanted * SETTLED.0).max(SETTLED.1);
        let what = format!("the loads of {} in both metrics servers", self.spec.name);
        until(what, deadline, Duration::from_millis(500), async || {
            let mut wanted = BTreeMap::new();
            for pod in self
                .pods()
                .await?
                .into_iter()
                .filter(|pod| pod.ready && !pod.terminating)
            {
                let container = Some(self.spec.container.as_str());
                if let Some((cores, age)) = self.ns.cluster.meters.load(&pod.uid, container) {
                    if age < window + Duration::from_secs(1) {
                        return Ok(Look::Not(format!(
                            "{} has its load since {age:?}",
                            pod.name
                        )));
                    }
                    wanted.insert(pod.name, cores);
                }
            }
            for server in self.ns.metrics_servers() {
                let loads = server.loads(self.ns.name(), &self.spec.container).await?;
                for (pod, wanted) in &wanted {
                    let seen = loads.get(pod).copied();
                    if !seen.is_some_and(|seen| settled(*wanted, seen)) {
                        return Ok(Look::Not(format!(
                            "{} says {seen:?} for {pod}, not {wanted}",
                            server.name()
                        )));
                    }
                }
            }
            Ok(Look::Done(()))
        })
        .await
    }
}
