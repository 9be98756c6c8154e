//! The port itself: what is asked, and in which combination.

use async_trait::async_trait;
use jiff::Timestamp;
use rebalancer_core::model::WorkloadRef;
use rebalancer_core::ports::{
    AutoscalerCandidate, GroupObservation, LoadObservation, MetricsSource, PortError,
};

use crate::autoscalers;
use crate::error::{PromError, Purpose};
use crate::group::{self, GroupSource, Owners, Rates};
use crate::loads::{PodValues, observation};
use crate::query;
use crate::settings::PrometheusSettings;
use crate::transport::{Samples, Transport};

/// The loads and, on request, the autoscalers of one workload, over the Prometheus HTTP API.
///
/// Making one reads the CA file but sends nothing. Needs a Tokio runtime when asked.
#[derive(Debug)]
pub struct PrometheusSource {
    settings: PrometheusSettings,
    transport: Transport,
}

impl PrometheusSource {
    /// A source for the workload of the settings.
    ///
    /// # Errors
    /// When the settings cannot be used: the URL, a header, the combination of credentials, the
    /// CA file, an empty query, a window below a millisecond. Token and password files are only
    /// read when a query is sent.
    pub fn new(settings: PrometheusSettings) -> Result<Self, PromError> {
        let own = |query: fn(&GroupSource) -> &Option<String>| {
            settings.group.as_ref().map_or(&None, query)
        };
        for (setting, query) in [
            ("LOAD_QUERY", &settings.load_query),
            ("FRESHNESS_QUERY", &settings.freshness_query),
            (
                "GROUP_ASSIGNMENT_QUERY",
                own(|group| &group.assignment_query),
            ),
            ("GROUP_RATE_QUERY", own(|group| &group.rate_query)),
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

    async fn pod_values(
        &self,
        query: Option<(Purpose, String)>,
    ) -> Result<Option<PodValues>, PromError> {
        let Some((purpose, query)) = query else {
            return Ok(None);
        };
        PodValues::from_answer(self.transport.ask(purpose, &query).await?).map(Some)
    }

    /// The load of every pod, with this crate's typed error.
    ///
    /// # Errors
    /// When one of the queries gave no trustworthy answer.
    pub async fn observe_loads(&self) -> Result<LoadObservation, PromError> {
        let PrometheusSettings {
            workload,
            container,
            window,
            load_query,
            freshness_query,
            ..
        } = &self.settings;
        let namespace = &workload.namespace;
        let load = match load_query {
            Some(query) => (Purpose::CustomLoad, query.clone()),
            None => (Purpose::Load, query::load(namespace, container, *window)),
        };
        // The built-in questions are about the container's CPU series. They say nothing about
        // the series behind a custom load.
        let built_in = load_query.is_none();
        let freshness = match freshness_query {
            Some(query) => Some((Purpose::CustomFreshness, query.clone())),
            None => built_in.then(|| (Purpose::Freshness, query::freshness(namespace, container))),
        };
        let copies = built_in.then(|| (Purpose::Copies, query::copies(namespace, container)));
        let first_half = built_in.then(|| {
            (
                Purpose::Window,
                query::first_half(namespace, container, *window),
            )
        });
        // All are awaited, so that the same trouble is always told of the same query: a server
        // that is down fails all four, in any order.
        let (load, ages, copies, first_half) = tokio::join!(
            self.pod_values(Some(load)),
            self.pod_values(freshness),
            self.pod_values(copies),
            self.pod_values(first_half),
        );
        let (load, ages, copies, first_half) = (load?, ages?, copies?, first_half?);
        Ok(observation(
            !built_in,
            load.unwrap_or_default(),
            ages,
            copies,
            first_half,
        ))
    }

    /// The autoscalers of the workload's namespace, with this crate's typed error.
    ///
    /// # Errors
    /// When there was no trustworthy and complete answer: an autoscaler that is missing in a
    /// partial one would go unnoticed.
    pub async fn observe_autoscalers(&self) -> Result<Vec<AutoscalerCandidate>, PromError> {
        let workload = &self.settings.workload;
        let query = query::autoscalers(&workload.namespace);
        let answer = self.transport.ask(Purpose::Autoscalers, &query).await?;
        let Samples { samples, partial } = answer.samples()?;
        if let Some(partial) = partial {
            return Err(PromError::PartialAutoscalers {
                asked: answer.asked.clone(),
                partial: partial.to_string(),
            });
        }
        Ok(autoscalers::candidates(&samples, &workload.namespace))
    }
}

impl PrometheusSource {
    /// The consumer group, with this crate's typed error; `None` when nothing says how to find out
    /// who owns what.
    ///
    /// # Errors
    /// When one of the queries gave no trustworthy answer.
    pub async fn observe_group(&self) -> Result<Option<GroupObservation>, PromError> {
        let settings = &self.settings;
        let Some(source) = &settings.group else {
            return Ok(None);
        };
        let WorkloadRef {
            namespace, name, ..
        } = &settings.workload;
        let Some(assignment) = source.assignment(namespace, name) else {
            return Ok(None);
        };
        let rate = source.rate(settings.window);
        // The local clock is as good here as any: about a cooldown ago is long enough ago.
        let cooldown = i64::try_from(source.cooldown.as_secs()).unwrap_or(i64::MAX);
        let before = Timestamp::now().as_second().saturating_sub(cooldown);
        let ask = |purpose, at| self.transport.ask_at(purpose, &assignment, at);
        let (owners, before, rates) = tokio::join!(
            async { Owners::from_answer(&ask(Purpose::GroupAssignment, None).await?) },
            async {
                let answer = ask(Purpose::GroupAssignmentBefore, Some(before)).await?;
                Owners::from_answer(&answer)
            },
            async {
                let Some(rate) = &rate else { return Ok(None) };
                let answer = self.transport.ask(Purpose::GroupRate, rate).await?;
                Rates::from_answer(&answer).map(Some)
            },
        );
        Ok(Some(group::observation(
            owners?,
            Some(before?),
            rates?,
            source.sees_other_groups(),
        )))
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

    async fn group(&self) -> Result<Option<GroupObservation>, PortError> {
        Ok(self.observe_group().await?)
    }
}

#[cfg(test)]
mod tests;
