//! A cluster for manual experiments.

use std::ffi::OsString;

use harness::{Rebalancer, Target, TestNamespace, WorkloadSpec};

use crate::{Error, setup};

/// Loads of the default workload, in cores, for a target of 0.7.
const LOADS: [f64; 8] = [1.4, 1.2, 0.9, 0.7, 0.6, 0.5, 0.3, 0.2];

/// The options of the task.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Options {
    pods: usize,
}

impl Options {
    pub(crate) fn parse(args: &[OsString]) -> Result<Self, String> {
        let args: Vec<_> = args.iter().map(|arg| arg.to_string_lossy()).collect();
        match args
            .iter()
            .map(AsRef::as_ref)
            .collect::<Vec<&str>>()
            .as_slice()
        {
            [] => Ok(Self { pods: LOADS.len() }),
            ["--pods", pods] => match pods.parse() {
                Ok(pods @ 1..=10_000) => Ok(Self { pods }),
                _ => Err(format!(
                    "--pods takes a number from 1 to 10000, not {pods:?}"
                )),
            },
            _ => Err(format!("lab does not understand {:?}", args.join(" "))),
        }
    }
}

/// Starts the servers and the workload, and waits for Ctrl-C.
pub(crate) fn run(options: &Options) -> Result<(), Error> {
    setup::run()?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(stay(options))
}

async fn stay(options: &Options) -> Result<(), Error> {
    eprintln!("starting the servers …");
    let ns = TestNamespace::named("lab").await?;
    let loads = LOADS.into_iter().cycle().take(options.pods);
    eprintln!("starting {} pods …", options.pods);
    let consumer = ns
        .create(WorkloadSpec::deployment("consumer").loads(loads))
        .await?;
    ns.autoscale(&consumer, Target::Utilization(70)).await?;
    eprintln!("waiting for a full window of metrics …");
    consumer.wait_measured().await?;

    print!("{}", environment(&ns.rebalancer(&consumer)));
    println!(
        "# the same metrics in VictoriaMetrics:\n# export PROMETHEUS_ENDPOINT={}\n\
         # more to look at: kubectl get pods, kubectl scale deployment consumer --replicas 12,\n\
         # kubectl create …; pods of a workload of your own run at 0.01 cores",
        ns.victoria_metrics().url()
    );
    eprintln!("\nIn another terminal, with these variables: cargo run -p rebalancer-cli -- plan");
    eprintln!("Ctrl-C ends the servers.");
    // The servers are killed when this process ends for any reason.
    tokio::signal::ctrl_c().await?;
    Ok(())
}

/// The variables as shell assignments. The values need no quotes: addresses,
/// names, and paths of temporary files.
fn environment(program: &Rebalancer) -> String {
    program
        .variables()
        .map(|(key, value)| format!("export {}={}\n", key.display(), value.display()))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::{Options, environment};
    use harness::Rebalancer;

    #[test]
    fn options_are_checked() {
        let parse =
            |args: &[&str]| Options::parse(&args.iter().map(Into::into).collect::<Vec<_>>());
        assert_eq!(parse(&[]), Ok(Options { pods: 8 }));
        assert_eq!(parse(&["--pods", "1000"]), Ok(Options { pods: 1000 }));
        assert!(parse(&["--pods", "0"]).unwrap_err().contains("\"0\""));
        assert!(parse(&["--pots"]).unwrap_err().contains("--pots"));
    }

    #[test]
    fn variables_become_lines() {
        let program = Rebalancer::new().env("B", "2").env("A", "1");
        assert_eq!(environment(&program), "export A=1\nexport B=2\n");
    }
}
