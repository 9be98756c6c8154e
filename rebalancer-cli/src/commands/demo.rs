//! `demo`: a simulated group, the real pipeline, several ticks of a CronJob in virtual time.

use std::fmt::Write as _;
use std::time::Duration;

use rebalancer_core::policy::{ExecutionPolicy, Policy};
use rebalancer_core::ports::Clock as _;
use rebalancer_core::report::{Report, RunOutcome};
use rebalancer_core::snapshot::AssembleSettings;
use rebalancer_sim::{Assignor, SimConfig, SimWorld};
use tokio::sync::watch;

use crate::args::DemoOptions;
use crate::commands::run::report;
use crate::commands::{palette, print};
use crate::driver::{self, Order, Ports, Stop};
use crate::error::CliError;
use crate::exit::Exit;
use crate::freeze::Freeze;
use crate::render::style::Palette;
use crate::render::table::Detail;
use crate::render::{document, table};
use crate::settings::OutputFormat;

/// How often the CronJob of `deploy/` fires.
const TICK: Duration = Duration::from_secs(600);

pub(crate) async fn run(
    options: DemoOptions,
    policy: &Policy,
    output: OutputFormat,
) -> Result<Exit, CliError> {
    let world = SimWorld::new(SimConfig {
        assignor: options.assignor,
        ..SimConfig::seeded(options.seed)
    })?;
    // Nobody can stop a demo but by ending it.
    let (_never, mut stop) = watch::channel(None);
    let palette = palette();
    if output == OutputFormat::Table {
        print(&introduction(&world, options, &palette))?;
    }
    let first = peak(&world);
    for tick in 1..=options.ticks {
        let before = distribution(&world);
        let report = one(&world, policy, &mut stop).await;
        world.advance(TICK);
        match output {
            OutputFormat::Json => print(&document::json_line(&report)?)?,
            OutputFormat::Yaml => print(&document::yaml(&report)?)?,
            OutputFormat::Table => print(&tick_text(tick, &report, &before, &world, &palette))?,
        }
    }
    if output == OutputFormat::Table {
        print(&conclusion(&world, options, first))?;
    }
    Ok(Exit::of(RunOutcome::Fine, false))
}

/// One tick: the same driver as on a real cluster.
async fn one(world: &SimWorld, policy: &Policy, stop: &mut Stop) -> Report {
    let (metrics, actuator, clock) = (world.metrics(), world.actuator(), world.clock());
    let ports = Ports {
        metrics: &metrics,
        actuator: &actuator,
        clock: &clock,
        lease: None,
        journal: None,
    };
    let started = clock.now();
    let workload = world.config().workload;
    let settings = AssembleSettings {
        container: workload.name.clone(),
        workload,
        target: None,
        group: None,
    };
    let execution = ExecutionPolicy {
        minimum_pods: policy.minimum_pods,
        ..ExecutionPolicy::default()
    };
    let order = Order {
        assemble: &settings,
        autoscalers_from_metrics: false,
        freeze: &Freeze::default(),
        policy,
        execution: Some(execution),
    };
    let (workload, _) = driver::run_workload(ports, &order, stop).await;
    report(started, clock.now(), false, vec![workload])
}

fn introduction(world: &SimWorld, options: DemoOptions, palette: &Palette) -> String {
    let config = world.config();
    let strong = palette.strong;
    let assignor = assignor_word(options.assignor);
    format!(
        "{strong}A simulated consumer group{strong:#}: {} pods, {} partitions of uneven rates, \
         {assignor} assignor, seed {}.\nEach pod requests {} core and the autoscaler aims at \
         {} % of it. Every ten minutes of virtual time a CronJob runs the rebalancer.\n",
        config.pods, config.partitions, options.seed, config.request, config.target_percent,
    )
}

fn assignor_word(assignor: Assignor) -> &'static str {
    match assignor {
        Assignor::Sticky => "sticky",
        Assignor::Range => "range",
    }
}

fn tick_text(
    tick: usize,
    report: &Report,
    before: &str,
    world: &SimWorld,
    palette: &Palette,
) -> String {
    let (strong, dim) = (palette.strong, palette.dim);
    let mut text = format!(
        "\n{strong}━━ tick {tick}{strong:#} {dim}{:.0}{dim:#}\n",
        report.started
    );
    for workload in &report.workloads {
        text.push_str(&table::workload(workload, Detail::Pods, palette));
    }
    let _ = writeln!(text, "  before  {before}");
    let _ = writeln!(
        text,
        "  after   {}  (ten minutes later)",
        distribution(world)
    );
    text
}

/// The true loads of the ready pods, most loaded first.
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

/// The loads as a row of columns, with the highest and the mean.
fn distribution(world: &SimWorld) -> String {
    const COLUMNS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
    let loads = loads(world);
    let full = 2.0 * world.config().target();
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a column's height, cut to the highest one"
    )]
    let columns: String = loads
        .iter()
        .map(|load| COLUMNS[((load / full * 8.0) as usize).min(7)])
        .collect();
    #[expect(clippy::cast_precision_loss, reason = "a handful of pods")]
    let mean = loads.iter().sum::<f64>() / loads.len().max(1) as f64;
    format!(
        "{columns}  max {:.2}, mean {mean:.2}, max/mean {:.2}",
        peak(world),
        peak(world) / mean
    )
}

fn conclusion(world: &SimWorld, options: DemoOptions, first: f64) -> String {
    let last = peak(world);
    let evictions = world.evictions();
    let evictions = evictions
        .iter()
        .filter(|eviction| eviction.took_effect)
        .count();
    let mut text = format!(
        "\nThe most loaded pod spent {first:.2} cores at first and {last:.2} in the end; \
         {evictions} pods were evicted.\n"
    );
    match options.assignor {
        Assignor::Sticky => text.push_str(
            "Try another world with --seed, or --assignor range, where evicting cannot help.\n",
        ),
        Assignor::Range => text.push_str(
            "A range assignor gives partitions out by the rank of the members: new pods only \
             change who carries which load.\n",
        ),
    }
    text
}
