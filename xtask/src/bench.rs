//! The cost of a dry run: peak memory and CPU time of the release binary against real servers.

use std::ffi::OsString;
use std::path::Path;
use std::process::Command;

use harness::{Target, TestNamespace, WorkloadSpec};
use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::time::TimeValLike as _;

use crate::{Error, cargo, setup};

/// Sizes of the workload, in pods.
const PODS: [usize; 2] = [1000, 5000];
/// Runs of each size; the median is printed.
const RUNS: usize = 11;

/// The cost of one run.
#[derive(Debug, Clone, Copy)]
struct Cost {
    /// Peak resident memory, in KiB.
    memory: i64,
    /// User and system time, in milliseconds.
    cpu: i64,
}

/// Builds the release binary and measures it.
pub(crate) fn run() -> Result<(), Error> {
    setup::run()?;
    let built = cargo(&["build", "--release", "--package", "rebalancer-cli"])?;
    if !built.success() {
        return Err("the release build failed".into());
    }
    // This program was built into the debug folder of the same target folder.
    let own = std::env::current_exe()?;
    let binary = own
        .ancestors()
        .nth(2)
        .ok_or("this program is in no target folder")?
        .join("release/rebalancer");
    let size = std::fs::metadata(&binary)?.len();
    println!("binary: {:.2} MB", bytes_to_mb(size));
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(async {
        for pods in PODS {
            measure_dry_runs(&binary, pods).await?;
        }
        Ok(())
    })
}

async fn measure_dry_runs(binary: &Path, pods: usize) -> Result<(), Error> {
    eprintln!("starting {pods} pods …");
    let ns = TestNamespace::named(&format!("bench-{pods}")).await?;
    // Two hot and two cold pods among pods at the mean, so that the run has a plan.
    let loads = [1.4, 1.3, 0.2, 0.1]
        .into_iter()
        .chain(std::iter::repeat(0.7))
        .take(pods);
    let consumer = ns
        .create(WorkloadSpec::deployment("consumer").loads(loads))
        .await?;
    ns.autoscale(&consumer, Target::Utilization(70)).await?;
    consumer.wait_measured().await?;
    let program = ns
        .rebalancer(&consumer)
        .env("DRY_RUN", "true")
        .env("OUTPUT", "json");
    let mut costs = Vec::new();
    for _ in 0..RUNS {
        let output = tokio::process::Command::new(std::env::current_exe()?)
            .arg("measure")
            .arg(binary)
            .env_clear()
            .envs(program.variables())
            .output()
            .await?;
        costs.push(cost(&output)?);
    }
    costs.sort_by_key(|cost| cost.cpu);
    let cpu = costs[RUNS / 2].cpu;
    costs.sort_by_key(|cost| cost.memory);
    println!(
        "dry run, {pods} pods: peak memory {:.1} MB (highest {:.1}), CPU {cpu} ms; medians of {RUNS}",
        kib_to_mb(costs[RUNS / 2].memory),
        kib_to_mb(costs[RUNS - 1].memory),
    );
    ns.delete().await?;
    Ok(())
}

/// The last line that `measure` printed.
fn cost(output: &std::process::Output) -> Result<Cost, Error> {
    let text = String::from_utf8_lossy(&output.stderr);
    let last = text.lines().last().unwrap_or_default();
    let mut numbers = last.split(' ').map(str::parse);
    match (output.status.success(), numbers.next(), numbers.next()) {
        (true, Some(Ok(memory)), Some(Ok(cpu))) => Ok(Cost { memory, cpu }),
        _ => Err(format!("the dry run failed:\n{text}").into()),
    }
}

/// Runs a program as the only child of this process and prints its cost. The kernel keeps
/// one account for all children of a process.
pub(crate) fn measure(command: &[OsString]) -> Result<(), Error> {
    let (program, args) = command.split_first().ok_or("measure what?")?;
    let status = Command::new(program).args(args).status()?;
    if !status.success() {
        return Err(format!("{status}").into());
    }
    let usage = getrusage(UsageWho::RUSAGE_CHILDREN)?;
    let cpu = usage.user_time() + usage.system_time();
    eprintln!("{} {}", usage.max_rss(), cpu.num_milliseconds());
    Ok(())
}

#[expect(clippy::cast_precision_loss, reason = "for a person")]
fn bytes_to_mb(bytes: u64) -> f64 {
    bytes as f64 / 1e6
}

#[expect(clippy::cast_precision_loss, reason = "for a person")]
fn kib_to_mb(kib: i64) -> f64 {
    kib as f64 * 1024.0 / 1e6
}
