//! `backtest`: replays the history of the metrics through the decision. Reads only.

use std::sync::Arc;

use futures::StreamExt as _;
use futures::stream;
use jiff::{SignedDuration, Timestamp};
use rebalancer_core::Strategy;
use rebalancer_core::backtest::{BacktestReport, Circumstances, MetricsHistory, Replay};
use rebalancer_core::policy::Policy;
use rebalancer_core::ports::{Clock as _, PortError};
use rebalancer_core::snapshot::Snapshot;
use rebalancer_driver::{FreezeSchedule as _, Ports, RunSettings, Stop, SystemClock, observe};
use rebalancer_k8s::{Connection, KubernetesActuator};
use rebalancer_prom::{HistoryRange, PrometheusSource};

use crate::backtest::{BacktestDocument, WorkloadBacktest};
use crate::backtest_arguments::BacktestOptions;
use crate::commands::{print_document, write_page};
use crate::error::CliError;
use crate::exit::Exit;
use crate::observers::terminal_line::TerminalLine;
use crate::render::backtest as render;
use crate::render::page::Page;
use crate::render::style::Palette;
use crate::settings::{OutputFormat, Settings, WorkloadSettings};

/// The number of times whose groups are read at the same time.
const GROUPS_AT_ONCE: usize = 4;

/// Replays each workload, one after the other.
pub(crate) async fn run(
    settings: &Settings,
    options: BacktestOptions,
    output: OutputFormat,
    line: Arc<TerminalLine>,
) -> Result<Exit, CliError> {
    options.check().map_err(CliError::Backtest)?;
    let mut sources = Vec::new();
    for workload in &settings.workloads {
        let source = PrometheusSource::new(workload.prometheus.clone());
        sources.push((workload, source.map_err(PortError::from)?));
    }
    let connection = rebalancer_k8s::connect(&settings.connect)
        .await
        .map_err(PortError::from)?;
    let _updates = line.begin();
    let mut workloads = Vec::new();
    for (workload, source) in &sources {
        let past = Past {
            workload,
            source,
            options,
            line: &line,
        };
        let (backtest, error) = match past.replay(&connection).await {
            Ok(report) => (Some(report), None),
            Err(error) => (None, Some(error)),
        };
        workloads.push(WorkloadBacktest {
            workload: workload.workload().clone(),
            backtest,
            error,
        });
    }
    line.clear();
    let report = BacktestDocument::new(workloads);
    let page = Page::of_backtest(&report);
    let table = |palette: &Palette| render::report(&report, palette);
    print_document(&report, output, table, Some(&page))?;
    write_page(settings.report_file.as_deref(), &page)?;
    Ok(if report.has_failed() {
        Exit::Error
    } else {
        Exit::Fine
    })
}

/// The past of one workload.
struct Past<'a> {
    workload: &'a WorkloadSettings,
    source: &'a PrometheusSource,
    options: BacktestOptions,
    line: &'a TerminalLine,
}

impl Past<'_> {
    /// Reads the present and the history, and decides at each time. The error is a message.
    async fn replay(&self, connection: &Connection) -> Result<BacktestReport, String> {
        let workload = self.workload;
        let groups = self.groups()?;
        let present = self.present(connection).await?;
        let (range, first) = self.range();
        let (line, name) = (self.line, workload.workload());
        let progress = |done, total| {
            line.show_progress(format!(
                "reading the history of {name}: {done} of {total} requests"
            ));
        };
        let history = self.source.observe_history(range, &progress).await;
        let history = history.map_err(|error| error.to_string())?;
        self.decide(&history, first, &present, groups).await
    }

    /// Whether the group of the past is read. Kafka does not keep it.
    fn groups(&self) -> Result<bool, String> {
        let strategy = self.workload.policy.strategy;
        let from_metrics = self.workload.kafka.is_none() && self.workload.has_group_source();
        match strategy {
            Strategy::RotateOutliers => Ok(false),
            Strategy::Auto => Ok(from_metrics),
            Strategy::Forecast if from_metrics => Ok(true),
            Strategy::Forecast | Strategy::Assign | Strategy::Rejoin => Err(format!(
                "the strategy {} needs the consumer group of the past, of which the brokers keep no \
                 history: set STRATEGY=rotate-outliers for the backtest, or STRATEGY=forecast with \
                 metrics of the group (GROUP_METRICS)",
                strategy.as_str()
            )),
        }
    }

    /// The present workload: its pods, target and autoscalers.
    async fn present(&self, connection: &Connection) -> Result<Snapshot, String> {
        let workload = self.workload;
        let kubernetes = workload.kubernetes.clone();
        let actuator = KubernetesActuator::new(connection.clone(), kubernetes)
            .map_err(|error| PortError::from(error).to_string())?;
        let mut assemble = workload.assemble();
        assemble.group = None;
        let clock = SystemClock::new();
        let ports = Ports::new(self.source, &actuator, &clock);
        let settings = RunSettings {
            autoscalers_from_metrics: workload.autoscalers_from_metrics(),
            ..RunSettings::new(&assemble, &workload.policy)
        };
        let present = observe(ports, &settings, None, &Stop::never()).await;
        present.map_err(|error| error.to_string())
    }

    /// The times, and the index of the first run. The times before it only show the ages of pods.
    fn range(&self) -> (HistoryRange, usize) {
        let policy = &self.workload.policy;
        let step = i64::try_from(self.options.step.as_secs()).unwrap_or(i64::MAX);
        let until = SystemClock::new().now();
        let since = SignedDuration::try_from(self.options.since).unwrap_or(SignedDuration::MAX);
        let since = until.checked_sub(since).unwrap_or(Timestamp::UNIX_EPOCH);
        let aging = policy.minimum_pod_age_seconds.max(policy.cooldown_seconds);
        let before = SignedDuration::try_from(aging.to_duration()).unwrap_or_default();
        let begin = since.checked_sub(before).unwrap_or(since);
        let whole = HistoryRange::new(begin, until, step);
        let runs = HistoryRange::new(since, until, step);
        (whole, whole.instants().saturating_sub(runs.instants()))
    }

    /// Decides at each time.
    async fn decide(
        &self,
        history: &MetricsHistory,
        first: usize,
        present: &Snapshot,
        groups: bool,
    ) -> Result<BacktestReport, String> {
        let workload = self.workload;
        // A group whose past is not known would be the reason of every hold.
        let configured = workload.policy.strategy;
        let policy = Policy {
            strategy: if configured == Strategy::Auto && !groups {
                Strategy::RotateOutliers
            } else {
                configured
            },
            ..workload.policy
        };
        let settings = workload.group.as_ref().filter(|_| groups);
        let mut replay = Replay::new(history, first, present, &policy, settings);
        let times = (first..history.instants).map(|index| history.at(index));
        let runs = history.instants.saturating_sub(first);
        let source = self.source;
        let read = |at: Timestamp| async move {
            if groups {
                source.past_group(at).await
            } else {
                Ok(None)
            }
        };
        let mut read = stream::iter(times).map(read).buffered(GROUPS_AT_ONCE);
        let mut done = 0;
        while let (Some(at), Some(group)) = (replay.next_at(), read.next().await) {
            let group = group.map_err(|error| error.to_string())?;
            if groups {
                let text = format!("reading the past of the group: {done} of {runs} times");
                self.line.show_progress(text);
            }
            let frozen = workload.freeze.window_at(at).map(str::to_owned);
            replay.run(Circumstances { frozen, group });
            done += 1;
        }
        Ok(replay.finish(self.assumptions(present, groups)))
    }

    /// The assumptions about facts that are taken from the present or the settings.
    fn assumptions(&self, present: &Snapshot, groups: bool) -> Vec<String> {
        let mut assumptions = vec![match present.data().target {
            Some(target) => format!("the target of {target} applies to the whole past"),
            None => "the current autoscaler applies to the whole past".to_owned(),
        }];
        if !groups && self.workload.policy.strategy == Strategy::Auto {
            assumptions.push(
                "the consumer group of the past is not known, so auto decides as rotate-outliers"
                    .to_owned(),
            );
        }
        assumptions
    }
}
