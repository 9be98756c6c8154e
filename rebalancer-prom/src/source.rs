//! The metrics source: the queries of each observation.

use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;
use rebalancer_core::model::{HoldQueryResult, WorkloadRef};
use rebalancer_core::ports::{
    AutoscalerCandidate, GroupObservation, GroupSource, LoadObservation, MetricsSource, PortError,
};
use tracing::{debug, info};

use crate::autoscalers;
use crate::error::{PromError, Purpose};
use crate::group::{Dispute, GroupQueries, GroupResponses, Owners, Rates};
use crate::hold;
use crate::label_search;
use crate::loads::{LoadResponses, PodValues, outermost_loads};
use crate::past_loads::{self, PastValues};
use crate::query::{self, CpuSeries};
use crate::response::Samples;
use crate::series::ExaminedSeries;
use crate::settings::PrometheusSettings;
use crate::transport::{QueryTime, Transport};

/// The number of pods of one query about pods with several series, so that a GET request stays
/// below the usual limit of a URL.
const PODS_OF_A_QUERY: usize = 50;

/// Reads the loads, the autoscalers and the consumer group of one workload over the Prometheus HTTP
/// API.
///
/// Creating a source reads the CA file and sends nothing. Queries need a Tokio runtime.
#[derive(Debug)]
pub struct PrometheusSource {
    pub(crate) settings: PrometheusSettings,
    pub(crate) transport: Transport,
}

impl PrometheusSource {
    /// Creates a source for the workload of the settings.
    ///
    /// # Errors
    /// If the settings cannot be used: the URL, a header, the combination of credentials, the CA
    /// file, an empty query, a window shorter than a millisecond. Token and password files are read
    /// only when a query is sent.
    pub fn new(settings: PrometheusSettings) -> Result<Self, PromError> {
        let of_group = |query: fn(&GroupQueries) -> &Option<String>| {
            settings.group.as_ref().map_or(&None, query)
        };
        for (setting, query) in [
            ("LOAD_QUERY", &settings.load_query),
            ("FRESHNESS_QUERY", &settings.freshness_query),
            ("HOLD_QUERY", &settings.hold_query),
            (
                "GROUP_ASSIGNMENT_QUERY",
                of_group(|group| &group.assignment_query),
            ),
            ("GROUP_RATE_QUERY", of_group(|group| &group.rate_query)),
        ] {
            if query.as_ref().is_some_and(|query| query.trim().is_empty()) {
                return Err(PromError::EmptyQuery { setting });
            }
        }
        if settings.window.as_millis() == 0 {
            return Err(PromError::BadWindow {
                window: settings.window,
            });
        }
        let transport = Transport::new(&settings)?;
        Ok(Self {
            settings,
            transport,
        })
    }

    /// Reads the load of every pod. Returns this crate's typed error.
    ///
    /// # Errors
    /// If one of the queries had no trustworthy response.
    pub async fn observe_loads(&self) -> Result<LoadObservation, PromError> {
        let PrometheusSettings {
            workload,
            container,
            series,
            window,
            load_query,
            freshness_query,
            hold_query,
            past,
            ..
        } = &self.settings;
        let cpu = CpuSeries {
            selection: series,
            namespace: &workload.namespace,
            container,
        };
        let loads = match load_query {
            Some(query) => (Purpose::CustomLoad, query.clone()),
            None => (Purpose::Load, cpu.load(*window)),
        };
        // The other built-in queries are about the CPU series of the container. They do not apply
        // to the series behind a custom load.
        let custom = load_query.is_some();
        let built_in = |purpose, query| (!custom).then_some((purpose, query));
        let past = past.map(|length| {
            let step = past_loads::step(length);
            (query::past_values(&loads.1, length, step), step)
        });
        let sample_ages = match freshness_query {
            Some(query) => Some((Purpose::CustomSampleAge, query.clone())),
            None => built_in(Purpose::SampleAge, cpu.sample_age()),
        };
        let series = built_in(Purpose::DuplicateSeries, cpu.series_count(*window));
        let window_coverage = built_in(Purpose::WindowCoverage, cpu.window_coverage(*window));
        // Waits for all responses. Several queries fail if the server is down, in any order; the
        // reported error is always that of the first query.
        let (loads, sample_ages, series, window_coverage, hold, past) = tokio::join!(
            self.pod_values(Some(loads)),
            self.pod_values(sample_ages),
            self.pod_values(series),
            self.pod_values(window_coverage),
            self.hold(hold_query.as_deref()),
            self.past_values(past),
        );
        let (loads, advice) = self.with_advice(cpu, custom, loads).await?;
        let mut responses = LoadResponses {
            custom,
            loads,
            advice,
            sample_ages: sample_ages?,
            series: series?,
            window_coverage: window_coverage?,
            hold: hold?,
            ..LoadResponses::default()
        };
        let past = past?;
        self.examine_series(cpu, &mut responses).await?;
        if let Some((past, step)) = past {
            self.add_past_loads(cpu, past, step, &mut responses).await?;
        }
        Ok(responses.into_observation())
    }

    /// Reads whether the operator's query has a reason to hold.
    async fn hold(&self, query: Option<&str>) -> Result<Option<HoldQueryResult>, PromError> {
        let Some(query) = query else {
            return Ok(None);
        };
        let response = self.transport.query(Purpose::Hold, query).await?;
        hold::result(&response).map(Some)
    }

    async fn past_values(
        &self,
        query: Option<(String, Duration)>,
    ) -> Result<Option<(PastValues, Duration)>, PromError> {
        let Some((query, step)) = query else {
            return Ok(None);
        };
        let response = self.transport.query(Purpose::PastLoads, &query).await?;
        let past = PastValues::from_response(&response, &self.settings.series.labels.pod)?;
        Ok(Some((past, step)))
    }

    /// Adds the past loads. Those of pods with nested cgroups are read again, without the inner
    /// ones.
    async fn add_past_loads(
        &self,
        cpu: CpuSeries<'_>,
        mut past: PastValues,
        step: Duration,
        responses: &mut LoadResponses,
    ) -> Result<(), PromError> {
        let PrometheusSettings {
            window,
            past: length,
            series,
            ..
        } = &self.settings;
        let examined = &responses.examined;
        let nested: Vec<&str> = examined.outermost.keys().map(String::as_str).collect();
        for pods in nested.chunks(PODS_OF_A_QUERY) {
            let query = cpu.cgroup_loads(pods, *window);
            let query = query::past_values(&query, length.unwrap_or_default(), step);
            let response = self.transport.query(Purpose::PastLoads, &query).await?;
            past.replace_nested(&response, examined, &series.labels.pod)?;
        }
        let partial = past.partial.take();
        responses.details_partial = responses.details_partial.take().or(partial);
        let now = responses.loads.evaluated_at;
        responses.past = Some(past.into_loads(now.unwrap_or_else(Timestamp::now), step));
        Ok(())
    }

    /// Reads the highest number of samples that a pod has in the window of the rate; `None` if
    /// there is no sample. Does not apply to a custom load, whose series are unknown.
    ///
    /// # Errors
    /// If the query had no trustworthy response.
    pub async fn samples_in_window(&self) -> Result<Option<f64>, PromError> {
        let settings = &self.settings;
        if settings.load_query.is_some() {
            return Ok(None);
        }
        let cpu = CpuSeries {
            selection: &settings.series,
            namespace: &settings.workload.namespace,
            container: &settings.container,
        };
        let query = cpu.sample_count(settings.window);
        let counts = self.pod_values(Some((Purpose::SampleCount, query))).await?;
        Ok(counts.and_then(|counts| counts.highest()))
    }

    /// Returns the loads, and advice if a built-in query found none. A failure because of a missing
    /// label gets the advice too.
    async fn with_advice(
        &self,
        cpu: CpuSeries<'_>,
        custom: bool,
        loads: Result<Option<PodValues>, PromError>,
    ) -> Result<(PodValues, Option<String>), PromError> {
        match loads {
            Ok(loads) => {
                let loads = loads.unwrap_or_default();
                let advice = if loads.is_empty() && !custom {
                    self.search_labels(cpu).await
                } else {
                    None
                };
                Ok((loads, advice))
            }
            Err(PromError::SampleWithoutPod {
                sent,
                pod_label,
                labels,
                ..
            }) if !custom => Err(PromError::SampleWithoutPod {
                advice: self.search_labels(cpu).await,
                sent,
                pod_label,
                labels,
            }),
            Err(error) => Err(error),
        }
    }

    /// Searches for the pods under other labels. A failed search yields no advice.
    async fn search_labels(&self, cpu: CpuSeries<'_>) -> Option<String> {
        let purpose = Purpose::LabelSearch;
        let query = cpu.containers_by_label();
        let response = self.transport.query(purpose, &query).await.ok()?;
        let samples = response.samples().ok()?.samples;
        let found = label_search::find(&samples, &cpu)?;
        let advice = match found.container {
            None => label_search::other_containers(&samples, &cpu, found.namespace),
            Some(container) => {
                let query = cpu.pods_by_label(found.namespace, container);
                let response = self.transport.query(purpose, &query).await.ok()?;
                let samples = response.samples().ok()?.samples;
                label_search::other_labels(
                    &samples,
                    &self.settings.workload.name,
                    &cpu.selection.labels,
                    found.namespace,
                    container,
                )
            }
        };
        advice.map(|advice| response.without_secrets(&advice))
    }

    /// Examines the series of the pods that have several: which of them have samples at the same
    /// time, and the loads of nested cgroups. Without such pods, it sends no query.
    async fn examine_series(
        &self,
        cpu: CpuSeries<'_>,
        responses: &mut LoadResponses,
    ) -> Result<(), PromError> {
        let window = self.settings.window;
        let names = &self.settings.series.labels;
        let counts = responses.series.iter();
        let pods: Vec<&str> = counts.flat_map(PodValues::above_one).collect();
        // One request after the other, so that only one response is in memory.
        for pods in pods.chunks(PODS_OF_A_QUERY) {
            let query = cpu.raw_samples(pods, window);
            let response = self.transport.query(Purpose::RawSamples, &query).await?;
            let Samples { samples, partial } = response.series()?;
            let mut examined = ExaminedSeries::of(&samples, names, window.as_secs_f64());
            for label in examined
                .duplicates
                .iter_mut()
                .flat_map(|pod| &mut pod.labels)
            {
                for value in &mut label.values {
                    *value = response.without_secrets(value);
                }
            }
            responses.examined.extend(examined);
            responses.details_partial = responses.details_partial.take().or(partial);
        }
        let nested: Vec<&str> = responses
            .examined
            .outermost
            .keys()
            .map(String::as_str)
            .collect();
        for pods in nested.chunks(PODS_OF_A_QUERY) {
            let query = cpu.cgroup_loads(pods, window);
            let response = self.transport.query(Purpose::CgroupLoads, &query).await?;
            let (loads, partial) = outermost_loads(&response, &responses.examined, &names.pod)?;
            responses.outermost_loads.extend(loads);
            responses.details_partial = responses.details_partial.take().or(partial);
        }
        if let Some(pod) = nested.first() {
            info!(
                pods = nested.len(),
                example = pod,
                "containers have nested cgroups: the outermost one is counted"
            );
        }
        Ok(())
    }

    async fn pod_values(
        &self,
        query: Option<(Purpose, String)>,
    ) -> Result<Option<PodValues>, PromError> {
        let Some((purpose, query)) = query else {
            return Ok(None);
        };
        let response = self.transport.query(purpose, &query).await?;
        PodValues::from_response(response, &self.settings.series.labels.pod).map(Some)
    }

    /// Reads the autoscalers of the workload's namespace. Returns this crate's typed error.
    ///
    /// # Errors
    /// If there was no trustworthy and complete response: an autoscaler that is missing from a
    /// partial response would not be noticed.
    pub async fn observe_autoscalers(&self) -> Result<Vec<AutoscalerCandidate>, PromError> {
        let namespace = &self.settings.workload.namespace;
        let query = query::autoscalers(&self.settings.series, namespace);
        let response = self.transport.query(Purpose::Autoscalers, &query).await?;
        let Samples { samples, partial } = response.samples()?;
        if let Some(partial) = partial {
            return Err(PromError::PartialAutoscalers {
                sent: response.sent.clone(),
                partial: partial.to_string(),
            });
        }
        Ok(autoscalers::candidates(&samples, namespace))
    }

    /// Reads the consumer group; `None` if the settings do not say how to find the owners of
    /// partitions. Returns this crate's typed error.
    ///
    /// # Errors
    /// If one of the queries had no trustworthy response.
    pub async fn observe_group(&self) -> Result<Option<GroupObservation>, PromError> {
        self.read_group(None).await
    }

    /// Reads the consumer group as the metrics reported it at a past time.
    ///
    /// # Errors
    /// If one of the queries had no trustworthy response.
    pub async fn past_group(&self, at: Timestamp) -> Result<Option<GroupObservation>, PromError> {
        self.read_group(Some(at.as_second())).await
    }

    /// Reads the consumer group, now or at a time in seconds since 1970.
    async fn read_group(&self, at: Option<i64>) -> Result<Option<GroupObservation>, PromError> {
        let settings = &self.settings;
        let Some(source) = &settings.group else {
            return Ok(None);
        };
        let WorkloadRef {
            namespace, name, ..
        } = &settings.workload;
        let Some(assignment) = source.assignment(&settings.series, namespace, name) else {
            return Ok(None);
        };
        let rate = source.rate(&settings.series, settings.window);
        // The local clock is precise enough for "about one cooldown ago".
        let cooldown = i64::try_from(source.cooldown.as_secs()).unwrap_or(i64::MAX);
        let now = at.unwrap_or_else(|| Timestamp::now().as_second());
        let before = QueryTime::At(now.saturating_sub(cooldown));
        let time = at.map_or(QueryTime::Now, QueryTime::At);
        let owners = async |purpose, time| {
            let response = self.transport.query_at(purpose, &assignment, time).await?;
            Owners::from_response(&response, &settings.series.labels)
        };
        let (owners, before, rates) = tokio::join!(
            owners(Purpose::GroupOwners, time),
            owners(Purpose::GroupOwnersBefore, before),
            async {
                let Some(rate) = &rate else { return Ok(None) };
                let response = self
                    .transport
                    .query_at(Purpose::GroupRates, rate, time)
                    .await?;
                Rates::from_response(&response).map(Some)
            },
        );
        let (owners, before, rates) = (owners?, before?, rates?);
        let dispute = match &rates {
            // The labels of a dispute are advice about the present metrics.
            Some(rates) if at.is_none() => self.dispute(source, &owners, rates).await,
            Some(_) | None => None,
        };
        let responses = GroupResponses {
            owners,
            before: Some(before),
            rates,
            dispute,
            window: settings.window,
            rules: source.owner_rules(),
            other_groups: source.sees_other_groups(),
        };
        Ok(Some(responses.into_observation()))
    }

    /// The partition whose series disagree about its offset, if there is one. Reads its series, to
    /// name the labels in which they differ; without a response, these are not named.
    async fn dispute(
        &self,
        source: &GroupQueries,
        owners: &Owners,
        rates: &Rates,
    ) -> Option<Dispute> {
        let (topic, partition, spread) = rates.disputed(owners, self.settings.window)?;
        let mut dispute = Dispute::new((topic, partition, spread));
        let query = source.offsets_of(&self.settings.series, topic, partition)?;
        let response = self.transport.query(Purpose::GroupOffsets, &query).await;
        let read = response.and_then(|response| dispute.read_labels(&response));
        if let Err(error) = read {
            debug!("the series of {topic}-{partition} could not be read: {error}");
        }
        Some(dispute)
    }
}

#[async_trait]
impl MetricsSource for PrometheusSource {
    async fn loads(&self) -> Result<LoadObservation, PortError> {
        Ok(self.observe_loads().await?)
    }

    async fn autoscalers(&self) -> Result<Vec<AutoscalerCandidate>, PortError> {
        Ok(self.observe_autoscalers().await?)
    }
}

#[async_trait]
impl GroupSource for PrometheusSource {
    async fn group(&self) -> Result<Option<GroupObservation>, PortError> {
        Ok(self.observe_group().await?)
    }
}

#[cfg(test)]
mod tests;
