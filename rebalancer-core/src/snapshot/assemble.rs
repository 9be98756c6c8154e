//! Joins the observations of the ports into a snapshot.

use std::collections::{BTreeSet, HashMap};

use super::assemble_group::{GroupSettings, assemble_group};
use super::autoscalers::{AutoscalerByName, choose_autoscalers};
use super::{InvalidSnapshot, Snapshot, SnapshotData, UnknownPods};
use crate::model::{Cores, Seconds, WorkloadRef};
use crate::ports::{
    AutoscalerCandidate, GroupObservation, LoadObservation, LoadSample, WorkloadObservation,
};

/// The age of its newest sample, in seconds, up to which a pod that Kubernetes does not list counts
/// as running: a long scrape interval. Metrics keep pods for minutes after they are deleted.
const UNKNOWN_POD_SEEN_SECONDS: f64 = 60.0;

/// The operator's settings that are part of a snapshot.
#[derive(Debug, Clone, PartialEq)]
pub struct AssembleSettings {
    /// The workload.
    pub workload: WorkloadRef,
    /// The measured container.
    pub container: String,
    /// Prefix of the name of an autoscaler that is the workload's although it does not refer to the
    /// workload. Empty: such an autoscaler is never used.
    pub hpa_prefix: String,
    /// The fixed target, if the operator set one.
    pub target: Option<Cores>,
    /// The operator's settings for the consumer group; `None` if the group is not used.
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

/// Joins the observations of the metrics and of Kubernetes by pod name.
///
/// `autoscalers` are the candidates of the metrics source, if it was asked for them. The workload's
/// autoscalers are chosen from each source separately. Fresh samples of pods that Kubernetes does
/// not list are counted as unknown pods; older ones are of deleted pods and are left out. `group`
/// is the observation of the consumer group, if the metrics source was asked for it.
///
/// # Errors
/// [`InvalidSnapshot`] if Kubernetes listed a pod twice, or the observed group contradicts itself.
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
        if let Some(sample) = samples.remove(&pod.name) {
            pod.measurement = sample.measurement;
        }
    }
    samples.retain(|_, sample| is_recent(sample.measurement.samples().age, loads.freshness_known));
    let unknown_pods = UnknownPods {
        pods: samples.len(),
        example: samples.into_keys().min(),
    };
    let owned: BTreeSet<&str> = pods
        .iter()
        .filter(|pod| pod.owned)
        .map(|pod| pod.name.as_str())
        .collect();
    let nested = loads.nested_cgroups.iter();
    let nested_cgroups = nested.filter(|pod| owned.contains(pod.as_str())).count();
    let duplicates = loads.duplicates.into_iter();
    let duplicate_labels = duplicates
        .filter(|duplicate| owned.contains(duplicate.pod.as_str()))
        .min_by(|a, b| a.pod.cmp(&b.pod))
        .map(|duplicate| duplicate.labels)
        .unwrap_or_default();
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
        paused_autoscaler: workload.paused_autoscaler,
        rollout: workload.rollout,
        rollout_failures: workload.rollout_failures,
        metrics_partial: loads.partial,
        freshness_known: loads.freshness_known,
        custom_load: loads.custom,
        clock_difference_seconds,
        unknown_pods,
        duplicate_labels,
        nested_cgroups,
        metrics_advice: loads.advice,
        hold_query: loads.hold,
        past_loads: loads.past_loads,
        pause: workload.pause,
        proposal: workload.proposal,
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

/// Whether a sample of this age is recent enough to belong to a running pod. If ages are known in
/// general, a sample without an age is old.
fn is_recent(age: Option<Seconds>, freshness_known: bool) -> bool {
    age.map_or(!freshness_known, |age| {
        age.get() <= UNKNOWN_POD_SEEN_SECONDS
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{DifferingLabel, Load, Measurement, Pod, SampleFault, SampleInfo};
    use crate::ports::DuplicateSeries;
    use jiff::Timestamp;
    use rstest::rstest;

    fn sample(pod: &str, load: Result<f64, SampleFault>, age: Option<f64>) -> LoadSample {
        let samples = SampleInfo {
            age: age.map(|age| Seconds::new(age).unwrap()),
            ..SampleInfo::default()
        };
        LoadSample {
            pod: pod.into(),
            measurement: match load {
                Ok(load) => Measurement::Load(Load::new(load).unwrap(), samples),
                Err(fault) => Measurement::Faulty(fault, samples),
            },
        }
    }

    #[test]
    fn samples_are_joined_by_pod_name() {
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
                    sample("a", Ok(1.5), Some(2.0)),
                    sample("b", Err(SampleFault::NotFinite), Some(2.0)),
                    sample("gone", Ok(9.0), Some(2.0)),
                ],
                partial: None,
                freshness_known: true,
                ..LoadObservation::default()
            },
            WorkloadObservation::new(
                Timestamp::UNIX_EPOCH,
                vec![Pod::new("a"), Pod::new("b"), Pod::new("c")],
            ),
            vec![],
            None,
        )
        .unwrap()
        .snapshot;
        let pods = snapshot.pods();
        assert_eq!(pods[0].load().map(Load::get), Some(1.5));
        assert_eq!(pods[0].measurement.samples().age, Some(Seconds::whole(2)));
        assert!(matches!(
            pods[1].measurement,
            Measurement::Faulty(SampleFault::NotFinite, _)
        ));
        assert_eq!(pods[2].measurement, Measurement::default());
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
            WorkloadObservation::new(taken_at, vec![Pod::new("a")]),
            vec![],
            None,
        )
        .map(|assembled| assembled.snapshot)
    }

    #[rstest]
    #[case::recent(true, Some(60.0), 1)]
    #[case::old(true, Some(60.5), 0)]
    #[case::without_an_age(true, None, 0)]
    #[case::ages_unknown(false, None, 1)]
    #[case::recent_although_ages_unknown(false, Some(1.0), 1)]
    fn recent_samples_of_unknown_pods_are_counted(
        #[case] freshness_known: bool,
        #[case] age: Option<f64>,
        #[case] pods: usize,
    ) {
        let mut ours = sample("a", Ok(1.0), Some(2.0));
        ours.measurement.samples_mut().window_covered = false;
        let snapshot = observed(
            LoadObservation {
                samples: vec![
                    ours,
                    sample("y", Ok(1.0), age),
                    sample("x", Err(SampleFault::NotFinite), age),
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
        assert!(!snapshot.pods()[0].measurement.samples().window_covered);
        assert!(snapshot.data().custom_load);
    }

    #[test]
    fn facts_about_series_are_those_of_owned_pods() {
        let labels = |value: &str| {
            vec![DifferingLabel {
                name: "job".into(),
                values: vec!["kubelet".into(), value.into()],
            }]
        };
        let duplicate = |pod: &str, value| DuplicateSeries {
            pod: pod.into(),
            labels: labels(value),
        };
        let snapshot = observed(
            LoadObservation {
                samples: vec![sample("a", Ok(1.0), None)],
                duplicates: vec![duplicate("0", "x"), duplicate("a", "y")],
                nested_cgroups: vec!["0".into(), "a".into()],
                advice: Some("look elsewhere".into()),
                ..LoadObservation::default()
            },
            Timestamp::UNIX_EPOCH,
        )
        .unwrap();
        let data = snapshot.data();
        assert_eq!(data.duplicate_labels, labels("y"));
        assert_eq!(data.nested_cgroups, 1);
        assert_eq!(data.metrics_advice.as_deref(), Some("look elsewhere"));
        let json = serde_json::to_string(&snapshot).unwrap();
        assert_eq!(serde_json::from_str::<Snapshot>(&json).unwrap(), snapshot);
    }

    #[rstest]
    #[case::ahead(Some("2026-01-01T00:01:30.5Z"), Some(90.5))]
    #[case::behind(Some("2025-12-31T23:59:30Z"), Some(-30.0))]
    #[case::unknown(None, None)]
    fn clocks_are_compared(#[case] evaluated_at: Option<&str>, #[case] difference: Option<f64>) {
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
