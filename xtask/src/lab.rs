//! A cluster for manual experiments.

use std::ffi::OsString;
use std::io::BufRead as _;

use harness::{PodView, Rebalancer, Series, Target, TestNamespace, Workload, WorkloadSpec};
use tokio::sync::mpsc;

use crate::{Error, setup};

/// Loads of the default workload, in cores, for a target of 0.7.
const LOADS: [f64; 8] = [1.4, 1.2, 0.9, 0.7, 0.6, 0.5, 0.3, 0.2];

/// The number of partitions that each pod owns in the metrics of the consumer group.
const PARTITIONS_PER_POD: usize = 3;
/// The part of a pod's load that does not depend on its partitions, in cores.
const BASE_LOAD: f64 = 0.05;
/// The CPU time that a record costs, in seconds.
const COST: f64 = 0.001;

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
    eprintln!("starting {} pods …", options.pods);
    let consumer = ns
        .create(WorkloadSpec::deployment("consumer").loads(loads(options.pods)))
        .await?;
    ns.autoscale(&consumer, Target::Utilization(70)).await?;
    expose_group(&ns, &consumer.pods().await?);
    eprintln!("waiting for a full window of metrics …");
    consumer.wait_measured().await?;

    // A variable of the shell would select another container.
    let program = ns.rebalancer(&consumer).env("CONTAINER_NAME", "consumer");
    print!("{}", environment(&program));
    println!("{}", hints(ns.name(), &ns.victoria_metrics().url()));
    eprintln!("\nIn another terminal, with these variables: cargo run -p rebalancer-cli -- plan");
    eprintln!("Enter skews the loads again, for example after a run. Ctrl-C ends the servers.");
    let mut lines = lines_of_stdin();
    loop {
        tokio::select! {
            // The servers are killed when this process ends for any reason.
            interrupted = tokio::signal::ctrl_c() => return Ok(interrupted?),
            Some(()) = lines.recv() => skew(&ns, &consumer).await?,
        }
    }
}

/// The loads of that many pods, in cores.
fn loads(pods: usize) -> impl Iterator<Item = f64> {
    LOADS.into_iter().cycle().take(pods)
}

/// Gives the pods that run now the loads of the start, and the partitions that explain them.
async fn skew(ns: &TestNamespace, consumer: &Workload<'_>) -> Result<(), Error> {
    let pods = consumer.pods().await?;
    let loads: Vec<f64> = loads(pods.len()).collect();
    if let Err(error) = consumer.set_loads(&loads).await {
        eprintln!("not skewed, because a pod is starting or ending: {error}; press Enter again");
        return Ok(());
    }
    expose_group(ns, &pods);
    eprintln!("waiting for a full window of metrics …");
    match consumer.wait_measured().await {
        Ok(()) => eprintln!("the loads of {} pods are skewed again", pods.len()),
        Err(error) => eprintln!("the loads are skewed again, but not measured yet: {error}"),
    }
    Ok(())
}

/// Exposes the metrics of a consumer group whose partitions explain the loads of the pods, in the
/// forms of the presets `consumer` and `kafka-exporter`.
fn expose_group(ns: &TestNamespace, pods: &[PodView]) {
    let mut series = Vec::new();
    for (index, (pod, load)) in pods.iter().zip(loads(pods.len())).enumerate() {
        #[expect(clippy::cast_precision_loss, reason = "a small number")]
        let rate = (load - BASE_LOAD) / COST / PARTITIONS_PER_POD as f64;
        for number in 0..PARTITIONS_PER_POD {
            let partition = index * PARTITIONS_PER_POD + number;
            let pod = &pod.name;
            series.push(Series::gauge(
                format!(
                    "kafka_consumer_assignment{{topic=\"orders\",partition=\"{partition}\",\
                     pod=\"{pod}\",group_id=\"orders\"}}"
                ),
                1.0,
            ));
            series.push(Series::growing(
                format!(
                    "kafka_topic_partition_current_offset{{topic=\"orders\",\
                     partition=\"{partition}\"}}"
                ),
                1e9,
                rate,
            ));
        }
    }
    ns.expose("lab", series);
}

/// Comments below the variables: other things to try.
fn hints(namespace: &str, victoria_metrics: &str) -> String {
    format!(
        "# the same metrics in VictoriaMetrics:\n\
         # export PROMETHEUS_ENDPOINT={victoria_metrics}\n\
         # the forecast; pods that replace others own partitions after the next Enter:\n\
         # export STRATEGY=forecast GROUP_ID=orders GROUP_METRICS=consumer,kafka-exporter \
         GROUP_ASSIGNOR=cooperative-sticky\n\
         # more to look at: kubectl -n {namespace} get pods,\n\
         # kubectl -n {namespace} scale deployment consumer --replicas 12,\n\
         # kubectl -n {namespace} create …; pods of a workload of your own run at 0.01 cores"
    )
}

/// Receives a value for each line of standard input.
fn lines_of_stdin() -> mpsc::Receiver<()> {
    let (sender, receiver) = mpsc::channel(1);
    std::thread::spawn(move || {
        for line in std::io::stdin().lock().lines() {
            if line.is_err() || sender.blocking_send(()).is_err() {
                break;
            }
        }
    });
    receiver
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
    use super::{BASE_LOAD, Options, environment, hints, loads};
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
    fn hints_name_the_namespace() {
        let hints = hints("lab", "http://127.0.0.1:8428");
        for line in hints.lines() {
            assert!(line.starts_with("# "), "{line}");
        }
        let commands = hints.split("kubectl ").skip(1);
        assert!(
            commands.clone().count() == 3
                && commands.clone().all(|rest| rest.starts_with("-n lab "))
        );
    }

    #[test]
    fn partitions_explain_the_loads() {
        for load in loads(16) {
            assert!(load > BASE_LOAD, "{load}");
        }
        assert_eq!(loads(10).count(), 10);
    }

    #[test]
    fn variables_become_lines() {
        let program = Rebalancer::new().env("B", "2").env("A", "1");
        assert_eq!(environment(&program), "export A=1\nexport B=2\n");
    }
}
