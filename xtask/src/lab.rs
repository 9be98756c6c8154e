//! A cluster for manual experiments.

use std::ffi::OsString;
use std::io::BufRead as _;
use std::path::Path;
use std::sync::Arc;

use harness::assets::ControlPlanePrograms;
use harness::kafka::{JavaGroup, JavaGroupConfig};
use harness::{Kafka, PodView, Rebalancer, Series, Target, TestNamespace, Workload, WorkloadSpec};
use tokio::sync::mpsc;

use crate::{Error, setup};

/// Loads of the default workload, in cores, for a target of 0.7.
const LOADS: [f64; 8] = [1.4, 1.2, 0.9, 0.7, 0.6, 0.5, 0.3, 0.2];

/// The consumer group, and its topic.
const GROUP: &str = "orders";
/// The number of partitions for each pod.
const PARTITIONS_PER_POD: usize = 3;
/// The part of a pod's load that does not depend on its partitions, in cores.
const BASE_LOAD: f64 = 0.05;
/// The CPU time that a record costs in the metrics of the consumer group, in seconds.
const COST: f64 = 0.001;
/// The CPU time that a record of the broker costs, in seconds: the broker gets fewer records.
const KAFKA_COST: f64 = 0.01;

/// The largest number of pods. With a broker, each pod has a real consumer in one Java process.
const MAX_PODS: usize = 10_000;
const MAX_CONSUMERS: usize = 64;

/// The options of the task.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Options {
    pods: usize,
    /// Whether a broker and real consumers run. They take some seconds and half a gigabyte of
    /// memory, and loads that records cause are not as exact as constant ones, so this is on
    /// request.
    kafka: bool,
}

impl Options {
    pub(crate) fn parse(args: &[OsString]) -> Result<Self, String> {
        let mut options = Self {
            pods: LOADS.len(),
            kafka: false,
        };
        let mut pods = None;
        let mut args = args.iter().map(|arg| arg.to_string_lossy());
        while let Some(arg) = args.next() {
            match arg.as_ref() {
                "--kafka" => options.kafka = true,
                "--pods" => pods = Some(args.next().ok_or("--pods takes a number")?),
                other => return Err(format!("lab does not understand {other:?}")),
            }
        }
        let max = if options.kafka {
            MAX_CONSUMERS
        } else {
            MAX_PODS
        };
        if let Some(pods) = pods {
            options.pods = pods
                .parse()
                .ok()
                .filter(|pods| (1..=max).contains(pods))
                .ok_or_else(|| {
                    let with = if options.kafka { " with --kafka" } else { "" };
                    format!("--pods takes a number from 1 to {max}{with}, not {pods:?}")
                })?;
        }
        Ok(options)
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
    let lab = Lab::start(&ns, options).await?;
    let end = lab.serve().await;
    // The consumers end with their group. The servers are killed when this process ends for any
    // reason.
    ns.drop_work();
    end
}

/// The running workload.
struct Lab<'ns> {
    ns: &'ns TestNamespace,
    consumer: Workload<'ns>,
    /// The broker and the real consumers.
    kafka: Option<(Kafka, Arc<JavaGroup>)>,
}

impl<'ns> Lab<'ns> {
    /// Starts the pods, and waits until their loads are skewed and measured.
    async fn start(ns: &'ns TestNamespace, options: &Options) -> Result<Self, Error> {
        let kafka = if options.kafka {
            eprintln!("starting a Kafka broker …");
            let kafka = Kafka::start().await?;
            let group = JavaGroupConfig {
                id: GROUP.to_owned(),
                topic: GROUP.to_owned(),
                partitions: options.pods * PARTITIONS_PER_POD,
                base: BASE_LOAD,
                cost: KAFKA_COST,
            };
            let group = Arc::new(JavaGroup::start(&kafka, group).await?);
            ns.run_in_pods(Arc::<JavaGroup>::clone(&group));
            Some((kafka, group))
        } else {
            None
        };
        eprintln!("starting {} pods …", options.pods);
        let loads: Vec<f64> = if kafka.is_some() {
            vec![BASE_LOAD; options.pods]
        } else {
            loads(options.pods).collect()
        };
        let spec = WorkloadSpec::deployment("consumer").loads(loads);
        let consumer = ns.create(spec).await?;
        ns.autoscale(&consumer, Target::Utilization(70)).await?;
        let lab = Self {
            ns,
            consumer,
            kafka,
        };
        lab.skew().await?;
        Ok(lab)
    }

    /// Prints the variables, and skews the loads again for each line of standard input, until
    /// Ctrl-C.
    async fn serve(&self) -> Result<(), Error> {
        // A variable of the shell would select another container.
        let program = self.ns.rebalancer(&self.consumer);
        let program = program.env("CONTAINER_NAME", "consumer");
        let (program, hints_for_group) = match &self.kafka {
            Some((kafka, _)) => (
                program
                    .env("KAFKA_BOOTSTRAP_SERVERS", kafka.bootstrap())
                    .env("GROUP_ID", GROUP),
                KAFKA_HINTS,
            ),
            None => (program, METRICS_HINTS),
        };
        print!("{}", environment(&program));
        let victoria_metrics = self.ns.victoria_metrics().url();
        let kubectl = ControlPlanePrograms::locate()?.kubectl;
        let hints = hints(self.ns.name(), &victoria_metrics, hints_for_group, &kubectl);
        println!("{hints}");
        eprintln!(
            "\nIn another terminal, with these variables: cargo run -p rebalancer-cli -- plan"
        );
        eprintln!("Enter skews the loads again, for example after a run. Ctrl-C ends the servers.");
        let mut lines = lines_of_stdin();
        loop {
            tokio::select! {
                interrupted = tokio::signal::ctrl_c() => return Ok(interrupted?),
                Some(()) = lines.recv() => match self.skew().await {
                    Ok(()) => eprintln!("the loads are skewed again"),
                    Err(error) => eprintln!(
                        "the loads are not skewed, or not measured yet: {error}; press Enter again"
                    ),
                },
            }
        }
    }

    /// Gives the pods that run now the loads of the start, and waits until they are measured.
    async fn skew(&self) -> Result<(), Error> {
        let pods = self.consumer.pods().await?;
        let loads: Vec<f64> = loads(pods.len()).collect();
        if let Some((_, group)) = &self.kafka {
            eprintln!(
                "waiting for {} members of the group to settle …",
                pods.len()
            );
            group.wait_settled(pods.len()).await?;
            group.skew(&loads)?;
            eprintln!("waiting for a full window of metrics …");
            return Ok(group
                .wait_measured(self.ns, self.consumer.container())
                .await?);
        }
        // An error means that a pod is starting or ending.
        self.consumer.set_loads(&loads).await?;
        expose_group(self.ns, &pods);
        eprintln!("waiting for a full window of metrics …");
        Ok(self.consumer.wait_measured().await?)
    }
}

/// The loads of that many pods, in cores. Fewer pods than loads get some of the high and some of
/// the low ones, so that they can be evened out below the threshold.
fn loads(pods: usize) -> impl Iterator<Item = f64> {
    let all = LOADS.len();
    let index = move |pod: usize| {
        if pods < all {
            pod * all / pods
        } else {
            pod % all
        }
    };
    (0..pods).filter_map(move |pod| LOADS.get(index(pod)).copied())
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

/// The hints for a group that is known from metrics.
const METRICS_HINTS: &str = "\
# the forecast; pods that replace others own partitions after the next Enter:
# export STRATEGY=forecast GROUP_ID=orders GROUP_METRICS=consumer,kafka-exporter \
GROUP_ASSIGNOR=cooperative-sticky
# a real broker with real consumers, for STRATEGY=assign: cargo xtask lab --kafka";

/// The hints for a group of a broker.
const KAFKA_HINTS: &str = "\
# the group with its pods, rates and lag: rebalancer group
# hand out an assignment without restarting a pod; the next run holds:
# STRATEGY=assign rebalancer
# the gentlest strategy that works here: STRATEGY=auto rebalancer plan
# Enter gives the owners of the partitions new rates: the group is skewed again";

/// Comments below the variables: other things to try.
fn hints(namespace: &str, victoria_metrics: &str, of_group: &str, kubectl: &Path) -> String {
    let kubectl = kubectl.display();
    format!(
        "# the same metrics in VictoriaMetrics:\n\
         # export PROMETHEUS_ENDPOINT={victoria_metrics}\n\
         {of_group}\n\
         # the CronJob of README.md, if this runs as root: without docker, since the kubelet here runs the\n\
         # program of cargo build -p rebalancer-cli; with -n {namespace} for -n posthog, the workload consumer\n\
         # and the endpoint http://victoriametrics:8428. The pods are young, so before the job:\n\
         # kubectl -n {namespace} set env cronjob/pod-rebalancer METRICS_TIME_WINDOW=10s\n\
         # kubectl, if you have none: alias kubectl={kubectl}\n\
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
    use super::{BASE_LOAD, KAFKA_HINTS, METRICS_HINTS, Options, environment, hints, loads};
    use harness::Rebalancer;
    use std::path::Path;

    #[test]
    fn options_are_checked() {
        let parse =
            |args: &[&str]| Options::parse(&args.iter().map(Into::into).collect::<Vec<_>>());
        let options = |pods, kafka| Ok(Options { pods, kafka });
        assert_eq!(parse(&[]), options(8, false));
        assert_eq!(parse(&["--pods", "1000"]), options(1000, false));
        assert_eq!(parse(&["--kafka"]), options(8, true));
        assert_eq!(parse(&["--pods", "4", "--kafka"]), options(4, true));
        assert!(parse(&["--pods", "0"]).unwrap_err().contains("\"0\""));
        assert!(parse(&["--pods"]).unwrap_err().contains("takes a number"));
        let many = parse(&["--kafka", "--pods", "1000"]).unwrap_err();
        assert!(many.contains("from 1 to 64 with --kafka"), "{many}");
        assert!(parse(&["--pots"]).unwrap_err().contains("--pots"));
    }

    #[test]
    fn hints_name_the_namespace() {
        for of_group in [METRICS_HINTS, KAFKA_HINTS] {
            let kubectl = Path::new("/cache/kubectl");
            let hints = hints("lab", "http://127.0.0.1:8428", of_group, kubectl);
            for line in hints.lines() {
                assert!(line.starts_with("# "), "{line}");
            }
            let commands = hints.split("kubectl ").skip(1);
            assert!(
                commands.clone().count() == 4
                    && commands.clone().all(|rest| rest.starts_with("-n lab "))
            );
        }
    }

    #[test]
    fn partitions_explain_the_loads() {
        for load in loads(16) {
            assert!(load > BASE_LOAD, "{load}");
        }
        assert_eq!(loads(10).count(), 10);
        assert_eq!(loads(4).collect::<Vec<_>>(), [1.4, 0.9, 0.6, 0.3]);
        for pods in 2..=16 {
            let mean = loads(pods).sum::<f64>() / f64::from(u32::try_from(pods).unwrap());
            assert!(mean < 1.5 * 0.7, "{pods} pods: {mean}");
        }
    }

    #[test]
    fn variables_become_lines() {
        let program = Rebalancer::new().env("B", "2").env("A", "1");
        assert_eq!(environment(&program), "export A=1\nexport B=2\n");
    }
}
