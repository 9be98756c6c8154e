//! The report on a consumer group that strategies share: its properties, and the parts of its
//! loads.

use kafka_assignors::Algorithm;
use serde::{Deserialize, Serialize};

use super::assignment_forecast::AssignmentForecast;
use super::rejoin_forecast::RejoinForecast;
use crate::forecast::{Attribution, Diagnosis, Fit, Forecast, Subject, diagnose};
use crate::group::{ClientFamily, GroupModel, KnownAssignor, Protocol, ServingPodIndex};
use crate::model::{Cores, LoadUnit};
use crate::snapshot::Snapshot;

/// The explained share of the variance below which the rates do not explain the loads, so that no
/// forecast is possible.
const LEAST_GOODNESS: f64 = 0.5;

/// The report on a consumer group: its properties, the explanation of its loads, and the forecasts
/// of plans.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct GroupReport {
    /// `group.id`, if known.
    pub id: Option<String>,
    /// The assignor, and the source of this knowledge.
    #[serde(flatten)]
    pub assignor: KnownAssignor,
    /// The client library.
    pub client: ClientFamily,
    /// The group protocol.
    pub protocol: Protocol,
    /// The number of members.
    pub members: usize,
    /// The number of topics.
    pub topics: usize,
    /// The number of partitions.
    pub partitions: usize,
    /// The linear model of the loads. Absent without rates: each pod's load is then divided equally
    /// among its partitions, and forecasts are less accurate.
    pub fit: Option<Fit>,
    /// The highest load as a multiple of the mean, over the ready pods. It stays the same without
    /// evictions, as long as the traffic does.
    pub peak_to_mean: f64,
    /// Pods above the threshold.
    pub hot_pods: usize,
    /// The reasons for hot pods that were found.
    pub diagnosis: Vec<ReportedDiagnosis>,
    /// The number of plans that were tried.
    pub plans_tried: usize,
    /// The best of them, by the expected fall of the peak, descending.
    pub plans: Vec<PlanForecast>,
    /// The plan that was chosen.
    pub chosen: Option<PlanForecast>,
    /// The assignment with the lowest peak that the group keeps, and its effect; absent if none was
    /// computed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub assignment: Option<AssignmentForecast>,
    /// The rejoin that was chosen, or else the best one, and its effect; absent if none was
    /// computed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rejoin: Option<RejoinForecast>,
    /// The explanation of each ready pod's load.
    pub pods: Vec<PodExplained>,
    /// Remarks about the data of the group.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
}

impl GroupReport {
    /// The message for rates that do not explain the loads.
    pub(crate) fn unexplained(&self) -> String {
        let explained = self.fit.as_ref().map_or(0.0, |fit| fit.goodness * 100.0);
        format!(
            "the rates of the partitions explain {explained:.0} % of the variance of the loads, too \
             little for a forecast: check that the rates are those of the topics that the pods \
             consume"
        )
    }
}

/// A diagnosis with its message.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct ReportedDiagnosis {
    /// The diagnosis, with its numbers.
    #[serde(flatten)]
    pub diagnosis: Diagnosis,
    /// The message, which includes the remedy.
    pub message: String,
}

/// A plan with its forecast.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct PlanForecast {
    /// The pods to evict, by name.
    pub victims: Vec<String>,
    /// The expected effect.
    pub forecast: Forecast,
}

/// The parts of a pod's load.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct PodExplained {
    /// The name of the pod.
    pub name: String,
    /// The number of partitions that it owns.
    pub partitions: usize,
    /// The load that base and partitions explain.
    pub explained: f64,
    /// The load beyond that; negative if the pod uses less.
    pub residual: f64,
    /// Whether the pod is slow: its partitions do not explain its load.
    pub slow: bool,
    /// Whether the pod has partitions that are behind, so that its load is not what its rates cost.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub behind: bool,
}

/// The loads of a group's pods, divided into their parts.
pub(crate) struct ExplainedLoads<'a> {
    /// The names of the serving pods.
    names: Vec<&'a str>,
    /// The measured load of each; `None` if it was not measured, or is not what its partitions
    /// cost.
    loads: Vec<Option<f64>>,
    attribution: Attribution,
}

impl<'a> ExplainedLoads<'a> {
    pub(crate) fn new(snapshot: &'a Snapshot, group: &GroupModel) -> Self {
        let pods: Vec<_> = group
            .pods
            .iter()
            .filter_map(|pod| snapshot.pods().get(pod.get()))
            .collect();
        let measured = pods.iter().map(|pod| pod.load().map(f64::from));
        // The load of a pod that is behind does not show what its partitions cost.
        let loads: Vec<Option<f64>> = ServingPodIndex::all(pods.len())
            .zip(measured)
            .map(|(pod, load)| load.filter(|_| !group.behind.contains(&pod)))
            .collect();
        Self {
            attribution: Attribution::new(&loads, &group.pod_owners(), group.rates.as_deref()),
            names: pods.iter().map(|pod| pod.name.as_str()).collect(),
            loads,
        }
    }

    pub(crate) fn attribution(&self) -> &Attribution {
        &self.attribution
    }

    /// The name of a serving pod.
    pub(crate) fn name(&self, pod: ServingPodIndex) -> &str {
        self.names.get(pod.get()).copied().unwrap_or_default()
    }

    /// Whether the rates explain the loads well enough for a forecast.
    pub(crate) fn is_good(&self) -> bool {
        let fit = self.attribution.fit.as_ref();
        fit.is_none_or(|fit| fit.goodness >= LEAST_GOODNESS)
    }

    /// The group with these loads. `threshold` is the load above which a pod is hot.
    pub(crate) fn subject<'s>(
        &'s self,
        group: &'s GroupModel,
        target: Option<Cores>,
        threshold: Option<f64>,
    ) -> Subject<'s> {
        Subject {
            group,
            attribution: &self.attribution,
            algorithm: Algorithm::of(group.assignor.assignor, group.client, group.protocol),
            target: target.map(Cores::get),
            threshold,
        }
    }

    /// The measured loads; for a pod that is behind, the load that its rates explain, which it has
    /// once it keeps up.
    pub(crate) fn expected(&self, subject: &Subject<'_>) -> Vec<Option<f64>> {
        let mut expected = self.loads.clone();
        if !subject.group.behind.is_empty() {
            let explained = subject.loads();
            for pod in &subject.group.behind {
                if let Some(load) = expected.get_mut(pod.get()) {
                    *load = explained.get(pod.get()).copied();
                }
            }
        }
        expected
    }

    /// The reasons for hot pods.
    pub(crate) fn diagnose(&self, subject: &Subject<'_>) -> Vec<Diagnosis> {
        diagnose(subject, &self.names)
    }

    /// The report without plans.
    pub(crate) fn report(
        &self,
        snapshot: &Snapshot,
        subject: &Subject<'_>,
        diagnosis: Vec<Diagnosis>,
    ) -> GroupReport {
        let group = subject.group;
        let document = snapshot.data().group.as_ref();
        GroupReport {
            id: document.and_then(|group| group.id.clone()),
            assignor: group.assignor,
            client: group.client,
            protocol: group.protocol,
            members: group.members.len(),
            topics: group.topics.len(),
            partitions: group.topics.partition_count(),
            fit: self.attribution.fit.clone(),
            peak_to_mean: subject.imbalance(),
            hot_pods: subject.threshold.map_or(0, |threshold| {
                let loads = subject.loads().into_iter();
                loads.filter(|load| *load > threshold).count()
            }),
            diagnosis: reported(diagnosis, snapshot.load_unit()),
            plans_tried: 0,
            plans: Vec::new(),
            chosen: None,
            assignment: None,
            rejoin: None,
            pods: self.explained_pods(subject),
            notes: document.map_or_else(Vec::new, |group| group.notes.clone()),
        }
    }

    fn explained_pods(&self, subject: &Subject<'_>) -> Vec<PodExplained> {
        let counts = subject.group.partitions_by_pod();
        let loads = subject.loads();
        let attribution = subject.attribution;
        let numbers = loads.iter().zip(&attribution.residuals).zip(counts);
        ServingPodIndex::all(self.names.len())
            .zip(self.names.iter().zip(numbers))
            .map(
                |(pod, (name, ((load, residual), partitions)))| PodExplained {
                    name: (*name).to_owned(),
                    partitions,
                    explained: load - residual,
                    residual: *residual,
                    slow: attribution.slow.contains(&pod),
                    behind: subject.group.behind.contains(&pod),
                },
            )
            .collect()
    }
}

fn reported(diagnosis: Vec<Diagnosis>, unit: LoadUnit) -> Vec<ReportedDiagnosis> {
    let reported = diagnosis.into_iter().map(|diagnosis| ReportedDiagnosis {
        message: diagnosis.message(unit),
        diagnosis,
    });
    reported.collect()
}
