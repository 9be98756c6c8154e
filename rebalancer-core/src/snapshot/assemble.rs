//! Joins the two observations into a snapshot.

use std::collections::HashMap;

use super::{InvalidSnapshot, Snapshot, SnapshotData, Strangers};
use crate::model::{Autoscaler, Cores, WorkloadRef};
use crate::ports::{LoadObservation, LoadSample, WorkloadObservation};

/// What the operator said, as far as it goes into a snapshot.
#[derive(Debug, Clone, PartialEq)]
pub struct AssembleSettings {
    /// The workload.
    pub workload: WorkloadRef,
    /// The measured container.
    pub container: String,
    /// `TARGET_CORES`.
    pub target: Option<Cores>,
}

/// Joins what the metrics and what Kubernetes said about the same workload, by pod name.
///
/// `autoscalers` are those of the metrics source where it was asked for them
/// (`TARGET_SOURCE=prometheus`); they stand beside the ones Kubernetes gave. A sample of a pod
/// that Kubernetes does not list is left out: the pod is gone, or belongs to somebody else.
///
/// # Errors
/// [`InvalidSnapshot`] when Kubernetes gave a pod twice.
pub fn assemble(
    settings: &AssembleSettings,
    loads: LoadObservation,
    workload: WorkloadObservation,
    autoscalers: Vec<Autoscaler>,
) -> Result<Snapshot, InvalidSnapshot> {
    let mut samples: HashMap<String, LoadSample> = loads
        .samples
        .into_iter()
        .map(|sample| (sample.pod.clone(), sample))
        .collect();
    let mut pods = workload.pods;
    for pod in &mut pods {
        // Only the workload's own pods: a sample is known by its pod's name alone.
        if let Some(sample) = samples.remove(&pod.name) {
            match sample.load {
                Ok(load) => pod.load = Some(load),
                Err(fault) => pod.fault = Some(fault),
            }
            pod.sample_age_seconds = sample.age;
            pod.series = sample.series;
            pod.window_covered = sample.window_covered;
        }
    }
    let strangers = Strangers {
        pods: samples.len(),
        example: samples.into_keys().min(),
    };
    let clock_difference_seconds = loads
        .evaluated_at
        .map(|at| at.duration_since(workload.taken_at).as_secs_f64());
    let mut all_autoscalers = workload.autoscalers;
    all_autoscalers.extend(autoscalers);
    Snapshot::new(SnapshotData {
        workload: settings.workload.clone(),
        container: Some(settings.container.clone()),
        taken_at: Some(workload.taken_at),
        target: settings.target,
        autoscalers: all_autoscalers,
        rollout: workload.rollout,
        metrics_partial: loads.partial,
        freshness_known: loads.freshness_known,
        custom_load: loads.custom,
        clock_difference_seconds,
        strangers,
        other_run: None,
        frozen: None,
        last_rotation: workload.last_rotation,
        pods,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Load, Pod, SampleFault, Seconds};
    use jiff::Timestamp;

    fn sample(pod: &str, load: Result<f64, SampleFault>) -> LoadSample {
        LoadSample {
            pod: pod.into(),
            load: load.map(|load| Load::new(load).unwrap()),
            age: Some(Seconds::new(2.0).unwrap()),
            series: 1,
            window_covered: true,
        }
    }

    #[test]
    fn samples_are_joined_by_pod_name_and_absence_stays_absence() {
        let snapshot = assemble(
            &AssembleSettings {
                workload: WorkloadRef::default(),
                container: "consumer".into(),
                target: None,
            },
            LoadObservation {
                samples: vec![
                    sample("a", Ok(1.5)),
                    sample("b", Err(SampleFault::NotFinite)),
                    sample("gone", Ok(9.0)),
                ],
                partial: None,
                freshness_known: true,
                custom: false,
                evaluated_at: None,
            },
            WorkloadObservation {
                taken_at: Timestamp::UNIX_EPOCH,
                rollout: None,
                autoscalers: vec![],
                pods: vec![Pod::new("a"), Pod::new("b"), Pod::new("c")],
                last_rotation: None,
            },
            vec![],
        )
        .unwrap();
        let pods = snapshot.pods();
        assert_eq!(pods[0].load.map(Load::get), Some(1.5));
        assert_eq!(
            (pods[1].load, pods[1].fault),
            (None, Some(SampleFault::NotFinite))
        );
        assert_eq!((pods[2].load, pods[2].fault), (None, None));
        assert_eq!(pods.len(), 3);
    }
}
