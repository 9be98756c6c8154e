//! Joins the two observations into a snapshot.

use std::collections::HashMap;

use super::assemble_group::{GroupSettings, assemble_group};
use super::autoscalers::{AutoscalerByName, choose_autoscalers};
use super::{InvalidSnapshot, Snapshot, SnapshotData, UnknownPods};
use crate::model::{Cores, Seconds, WorkloadRef};
use crate::ports::{
    AutoscalerCandidate, GroupObservation, LoadObservation, LoadSample, WorkloadObservation,
};

/// Up to this age of its newest sample a pod that Kubernetes does not list counts as one that is
/// there, in seconds. Metrics remember pods that are gone for minutes; this is a scrape interval of
/// the longer kind.
const UNKNOWN_POD_SEEN_SECONDS: f64 = 60.0;

/// What the operator said, as far as it goes into a snapshot.
#[derive(Debug, Clone, PartialEq)]
pub struct AssembleSettings {
    /// The workload.
    pub workload: WorkloadRef,
    /// The measured container.
    pub container: String,
    /// `HPA_PREFIX`: prefix of the name of an autoscaler that is the workload's although it does
    /// not refer to the workload. Empty: such an autoscaler is never used.
    pub hpa_prefix: String,
    /// `TARGET_CORES`.
    pub target: Option<Cores>,
    /// What is known of the consumer group without looking; `None` does without a group.
    pub group: Option<GroupSettings>,
}

impl AssembleSettings {
    /// The settings of a workload without a consumer group.
    pub fn new(workload: WorkloadRef, container: impl Into<String>, target: Option<Cores>) -> Self {
        Self {
            workload,
            container: container.into(),
            hpa_prefix: String::new(),
            target,
            group: None,
        }
    }
}

/// A snapshot, and what else is known about the observations that it was made from.
#[derive(Debug, Clone, PartialEq)]
pub struct Assembled {
    /// The snapshot.
    pub snapshot: Snapshot,
    /// Set if an autoscaler was chosen by its name although it scales another object.
    pub autoscaler_by_name: Option<AutoscalerByName>,
}

/// Joins what the metrics and what Kubernetes said about the same workload, by pod name.
///
/// `autoscalers` are the candidates of the metrics source, if it was asked for them
/// (`TARGET_SOURCE=prometheus`). The workload's autoscalers are chosen from each source
/// separately. Fresh samples of pods that Kubernetes does not list are only counted: the pods do not
/// belong to the workload. Older samples are those of pods that are gone, and are dropped.
///
/// `group` is what the metrics say of the consumer group, where they were asked.
///
/// # Errors
/// [`InvalidSnapshot`] when Kubernetes gave a pod twice.
pub fn assemble(
    settings: &AssembleSettings,
    loads: LoadObservation,
    workload: WorkloadObservation,
    autoscalers: Vec<AutoscalerCandidate>,
    group: Option<GroupObservation>,
) -> Result<Assembled, InvalidSnapshot> {
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
    samples.retain(|_, sample| seen_lately(sample.age, loads.freshness_known));
    let unknown_pods = UnknownPods {
        pods: samples.len(),
        example: samples.into_keys().min(),
    };
    let clock_difference_seconds = loads
        .evaluated_at
        .map(|at| at.duration_since(workload.taken_at).as_secs_f64());
    let [chosen, from_metrics] = [workload.autoscalers, autoscalers]
        .map(|found| choose_autoscalers(found, &settings.workload, &settings.hpa_prefix));
    let mut all_autoscalers = chosen.autoscalers;
    all_autoscalers.extend(from_metrics.autoscalers);
    let snapshot = Snapshot::new(SnapshotData {
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
        unknown_pods,
        other_run: None,
        frozen: None,
        last_rotation: workload.last_rotation,
        group: settings
            .group
            .as_ref()
            .map(|known| assemble_group(known, group, &pods)),
        pods,
    })?;
    Ok(Assembled {
        snapshot,
        autoscaler_by_name: chosen.by_name.or(from_metrics.by_name),
    })
}

/// There is a pod behind the sample now, as far as one can tell. Where ages are known a missing one
/// is old.
fn seen_lately(age: Option<Seconds>, freshness_known: bool) -> bool {
    age.map_or(!freshness_known, |age| {
        age.get() <= UNKNOWN_POD_SEEN_SECONDS
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Load, Pod, SampleFault, Seconds};
    use jiff::Timestamp;
    use rstest::rstest;

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
                hpa_prefix: String::new(),
                target: None,
                group: None,
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
            None,
        )
        .unwrap()
        .snapshot;
        let pods = snapshot.pods();
        assert_eq!(pods[0].load.map(Load::get), Some(1.5));
        assert_eq!(
            (pods[1].load, pods[1].fault),
            (None, Some(SampleFault::NotFinite))
        );
        assert_eq!((pods[2].load, pods[2].fault), (None, None));
        assert_eq!(pods.len(), 3);
    }

    fn observed(loads: LoadObservation, taken_at: Timestamp) -> Result<Snapshot, InvalidSnapshot> {
        assemble(
            &AssembleSettings {
                workload: WorkloadRef::default(),
                container: "consumer".into(),
                hpa_prefix: String::new(),
                target: None,
                group: None,
            },
            loads,
            WorkloadObservation {
                taken_at,
                rollout: None,
                autoscalers: vec![],
                pods: vec![Pod::new("a")],
                last_rotation: None,
            },
            vec![],
            None,
        )
        .map(|assembled| assembled.snapshot)
    }

    #[rstest]
    #[case::fresh(true, Some(60.0), 1)]
    #[case::gone(true, Some(60.5), 0)]
    #[case::no_recent_sample(true, None, 0)]
    #[case::unknown(false, None, 1)]
    #[case::fresh_by_its_own_query(false, Some(1.0), 1)]
    fn strangers_are_counted_while_they_are_there(
        #[case] freshness_known: bool,
        #[case] age: Option<f64>,
        #[case] pods: usize,
    ) {
        let mut ours = sample("a", Ok(1.0));
        ours.window_covered = false;
        let age = age.map(|age| Seconds::new(age).unwrap());
        let snapshot = observed(
            LoadObservation {
                samples: vec![
                    ours,
                    LoadSample {
                        age,
                        ..sample("y", Ok(1.0))
                    },
                    LoadSample {
                        age,
                        ..sample("x", Err(SampleFault::NotFinite))
                    },
                ],
                freshness_known,
                custom: true,
                ..LoadObservation::default()
            },
            Timestamp::UNIX_EPOCH,
        )
        .unwrap();
        let unknown_pods = &snapshot.data().unknown_pods;
        assert_eq!(unknown_pods.pods, 2 * pods);
        assert_eq!(unknown_pods.example.as_deref(), (pods > 0).then_some("x"));
        assert!(!snapshot.pods()[0].window_covered);
        assert!(snapshot.data().custom_load);
    }

    #[rstest]
    #[case::ahead(Some("2026-01-01T00:01:30.5Z"), Some(90.5))]
    #[case::behind(Some("2025-12-31T23:59:30Z"), Some(-30.0))]
    #[case::not_said(None, None)]
    fn the_clocks_are_compared(
        #[case] evaluated_at: Option<&str>,
        #[case] difference: Option<f64>,
    ) {
        let snapshot = observed(
            LoadObservation {
                evaluated_at: evaluated_at.map(|at| at.parse().unwrap()),
                ..LoadObservation::default()
            },
            "2026-01-01T00:00:00Z".parse().unwrap(),
        )
        .unwrap();
        assert_eq!(snapshot.data().clock_difference_seconds, difference);
    }
}
