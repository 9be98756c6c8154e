//! `demo`: a simulated group under the real driver, for several ticks of a CronJob in virtual time.
//! Each strategy gets its own copy of the group.

use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;

use rebalancer_core::Decision;
use rebalancer_core::group::Assignor;
use rebalancer_core::policy::{ExecutionPolicy, Policy, Strategy};
use rebalancer_core::ports::Clock as _;
use rebalancer_core::report::{Report, ReportCommand, RunOutcome, WorkloadReport};
use rebalancer_core::snapshot::{AssembleSettings, GroupSettings};
use rebalancer_driver::{NeverFrozen, Ports, RunSettings, Stop, WorkloadRun, run_workload};
use rebalancer_sim::{SimConfig, SimWorld};
use tracing::Instrument as _;

use crate::args::DemoOptions;
use crate::commands::run::report;
use crate::commands::{palette, print, show};
use crate::error::CliError;
use crate::exit::Exit;
use crate::hints;
use crate::metrics::{RunFacts, Times};
use crate::observers::logging::{self, LoggingObserver};
use crate::observers::terminal_line::TerminalLine;
use crate::render::page::Page;
use crate::render::style::Palette;
use crate::render::table::Detail;
use crate::render::wrap::{append, sentence, sentence_at, wrapped};
use crate::render::{document, group, table};
use crate::settings::OutputFormat;

/// The interval of the CronJob in `deploy/`.
const TICK: Duration = Duration::from_secs(600);

/// The strategies that are compared.
const STRATEGIES: [Strategy; 3] = [
    Strategy::RotateOutliers,
    Strategy::Forecast,
    Strategy::Assign,
];

/// The width of the column with the names of the strategies.
const MARGIN: usize = 16;

/// One strategy with its own copy of the simulated world.
struct Side {
    strategy: Strategy,
    world: SimWorld,
    policy: Policy,
    first: f64,
}

pub(crate) async fn run(
    options: DemoOptions,
    policy: &Policy,
    output: OutputFormat,
    line: Arc<TerminalLine>,
) -> Result<Exit, CliError> {
    let mut sides = Vec::new();
    for strategy in STRATEGIES {
        let config = SimConfig {
            // Only brokers know what a hand-over needs.
            described: strategy == Strategy::Assign,
            ..SimConfig::seeded(options.seed)
        };
        let world = SimWorld::new(config.with_assignor(options.assignor))?;
        sides.push(Side {
            strategy,
            first: peak(&world),
            policy: Policy {
                strategy,
                ..*policy
            },
            world,
        });
    }
    let observer = LoggingObserver::new(line);
    let palette = palette();
    if let (OutputFormat::Table, Some(side)) = (output, sides.first()) {
        print(&introduction(&side.world, options, &palette))?;
    }
    for tick in 1..=options.ticks {
        let mut shown = String::new();
        for side in &sides {
            let before = distribution(&side.world);
            let report = one(side, options.assignor, &observer).await;
            side.world.advance(TICK);
            match output {
                OutputFormat::Json => print(&document::json_line(&report)?)?,
                OutputFormat::OpenMetrics => {
                    let times = report.started.zip(report.finished);
                    let facts = RunFacts {
                        times: times.map(|(started, finished)| Times { started, finished }),
                        ..RunFacts::default()
                    };
                    show(&report, &[facts], output, Detail::Pods)?;
                }
                OutputFormat::Yaml => print(&document::yaml(&report)?)?,
                OutputFormat::Markdown => print(&Page::of_report(&report).markdown())?,
                OutputFormat::Table if side.strategy == Strategy::RotateOutliers => {
                    shown.push_str(&heading(tick, &report, &palette));
                    shown.push_str(&side_text(side, tick, &report, &before, &palette));
                }
                OutputFormat::Table => {
                    shown.push_str(&side_text(side, tick, &report, &before, &palette));
                }
            }
        }
        if output == OutputFormat::Table {
            print(&shown)?;
        }
    }
    if output == OutputFormat::Table {
        print(&conclusion(&sides, options, &palette))?;
    }
    Ok(Exit::of(RunOutcome::Fine, false))
}

/// Runs one tick with the driver of a real run.
async fn one(side: &Side, assignor: Assignor, observer: &LoggingObserver) -> Report {
    let world = &side.world;
    let (metrics, actuator, clock) = (world.metrics(), world.actuator(), world.clock());
    let (journal, coordinator) = (world.journal(), world.coordinator());
    let ports = Ports {
        metrics: &metrics,
        group: Some(&metrics),
        actuator: &actuator,
        coordinator: Some(&coordinator),
        clock: &clock,
        lease: None,
        journal: Some(&journal),
        observer,
    };
    let started = clock.now();
    let config = world.config();
    let assemble = AssembleSettings {
        container: config.workload.name.clone(),
        workload: config.workload,
        hpa_prefix: String::new(),
        target: None,
        group: Some(GroupSettings {
            assignor: Some(assignor),
            client: Some(config.client),
            protocol: Some(config.protocol),
            ..GroupSettings::default()
        }),
    };
    let execution = ExecutionPolicy::default();
    let settings = RunSettings {
        assemble: &assemble,
        autoscalers_from_metrics: false,
        freeze: &NeverFrozen,
        policy: &side.policy,
        execution: Some(execution),
        approval: None,
        hold_alert_after: RunSettings::DEFAULT_HOLD_ALERT_AFTER,
    };
    let WorkloadRun {
        report: workload, ..
    } = run_workload(ports, &settings, &Stop::never())
        .instrument(logging::span(&assemble.workload))
        .await;
    let times = (started, clock.now());
    report(ReportCommand::Demo, times, false, vec![workload])
}

fn introduction(world: &SimWorld, options: DemoOptions, palette: &Palette) -> String {
    let config = world.config();
    let strong = palette.strong;
    let text = format!(
        "{} pods, {} partitions of uneven rates, {} assignor, seed {}. Each pod requests {} core and \
         the autoscaler aims at {} % of it. Every ten minutes of virtual time a CronJob runs the \
         rebalancer: in one copy of the group with each strategy.",
        config.pods,
        config.partitions,
        options.assignor,
        options.seed,
        config.request,
        config.target_percent,
    );
    sentence("A simulated consumer group", strong, &text, palette)
}

fn heading(tick: usize, report: &Report, palette: &Palette) -> String {
    let (strong, dim) = (palette.strong, palette.dim);
    format!(
        "\n{strong}━━ tick {tick}{strong:#} {dim}{:.0}{dim:#}\n",
        report.started.unwrap_or_default()
    )
}

fn side_text(side: &Side, tick: usize, report: &Report, before: &str, palette: &Palette) -> String {
    let strong = palette.strong;
    let mut text = format!("{strong}{:<16}{strong:#}{before}\n", side.strategy.as_str());
    for workload in &report.workloads {
        match workload {
            WorkloadReport::Decided(decided) => {
                text.push_str(&decision_text(&decided.decision, tick, palette));
            }
            WorkloadReport::Failed(failed) => {
                let error = format!("error: {}", failed.error);
                text.push_str(&indented(&error, palette));
            }
        }
    }
    let evicted = report
        .workloads
        .iter()
        .filter_map(WorkloadReport::execution)
        .any(|execution| !execution.pods.is_empty());
    let hand_overs = report.workloads.iter();
    let hand_overs = hand_overs.filter_map(WorkloadReport::hand_over);
    let outcomes: Vec<&str> = hand_overs
        .map(|hand_over| hand_over.message.as_str())
        .collect();
    for outcome in &outcomes {
        text.push_str(&indented(outcome, palette));
    }
    if evicted || !outcomes.is_empty() {
        let _ = writeln!(
            text,
            "{:<16}{}, ten minutes later",
            "",
            distribution(&side.world)
        );
    }
    text
}

/// Renders the decision; in the first tick also the plans that the forecast considered.
fn decision_text(decision: &Decision, tick: usize, palette: &Palette) -> String {
    let mut text = String::new();
    if let (Some(known), 1) = (&decision.group, tick) {
        let width = palette.width.map(|width| width.saturating_sub(MARGIN));
        for line in group::summary(known, &palette.with_width(width)).lines() {
            let _ = writeln!(text, "{:<MARGIN$}{line}", "");
        }
    }
    let hint = hints::of_decision(decision);
    let (word, style) = match decision.hold_reason() {
        None => (table::action(decision), palette.warn),
        Some(reason) => (format!("HOLD ({})", reason.as_str()), palette.good),
    };
    let message = format!("{}{hint}", decision.message);
    text.push_str(&sentence_at(MARGIN, &word, style, &message, palette));
    text
}

/// A text in the column after the names of the strategies.
fn indented(text: &str, palette: &Palette) -> String {
    let mut line = format!("{:<MARGIN$}", "");
    append(&mut line, MARGIN, text, palette.width, MARGIN);
    line
}

/// The true loads of the ready pods, highest first.
fn loads(world: &SimWorld) -> Vec<f64> {
    let mut loads: Vec<f64> = world
        .loads()
        .iter()
        .filter(|pod| pod.ready && !pod.terminating)
        .map(|pod| pod.load)
        .collect();
    loads.sort_by(|a, b| b.total_cmp(a));
    loads
}

fn peak(world: &SimWorld) -> f64 {
    loads(world).first().copied().unwrap_or_default()
}

/// Renders the loads as a row of columns, with the maximum and the mean.
fn distribution(world: &SimWorld) -> String {
    const COLUMNS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
    let loads = loads(world);
    let full = 2.0 * world.config().target();
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "the height of a column, limited to the highest one"
    )]
    let columns: String = loads
        .iter()
        .map(|load| COLUMNS[((load / full * 8.0) as usize).min(7)])
        .collect();
    #[expect(clippy::cast_precision_loss, reason = "a small number of pods")]
    let mean = loads.iter().sum::<f64>() / loads.len().max(1) as f64;
    format!(
        "{columns}  max {:.2}, mean {mean:.2}, max/mean {:.2}",
        peak(world),
        peak(world) / mean
    )
}

fn conclusion(sides: &[Side], options: DemoOptions, palette: &Palette) -> String {
    let (dim, strong) = (palette.dim, palette.strong);
    let mut text = format!(
        "\n{dim}{:<16}{:>9}  {:>15}  {:>10}{dim:#}\n",
        "STRATEGY", "EVICTIONS", "HIGHEST LOAD", "IN THE END"
    );
    for side in sides {
        let evictions = side.world.evictions();
        let evictions = evictions.iter().filter(|eviction| eviction.took_effect);
        let _ = writeln!(
            text,
            "{strong}{:<16}{strong:#}{:>9}  {:>9.2} cores  {:>10.2}",
            side.strategy.as_str(),
            evictions.count(),
            side.first,
            peak(&side.world),
        );
    }
    let note = if options.assignor.is_positional() {
        "This assignor deals partitions by the order of the members: new pods only change which \
         member has which load."
    } else if options.seed == DemoOptions::DEFAULT_SEED {
        "This group was chosen because the difference is plain. Try others with --seed, or --assignor \
         range, for which neither evictions nor an assignment can help. docs/forecast.md has the \
         averages over many groups."
    } else {
        "Try another group with --seed, or --assignor range, for which neither evictions nor an \
         assignment can help."
    };
    text.push_str(&wrapped(note, palette.width, 0));
    text
}
