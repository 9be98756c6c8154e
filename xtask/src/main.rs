//! Developer and CI tasks: `cargo xtask --help`.
#![recursion_limit = "256"]
#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "the terminal is what it is for"
)]

mod bench;
mod calibration;
mod chart;
mod cycles;
mod deny;
mod efficacy;
mod figures;
mod fuzz;
mod generate;
mod handover;
mod helm;
mod image;
mod krew;
mod lab;
mod own_metrics;
mod package;
mod packages;
mod prose;
mod reasons;
mod sbom;
mod setup;
mod soak;
mod svg;
mod test;
mod tools;

use std::{
    ffi::OsString,
    path::Path,
    process::{Command, ExitCode, ExitStatus},
};

const HELP: &str = "\
Developer tasks of the rebalancer.

Usage: cargo xtask <TASK>

Tasks:
  setup               install or build what the tests need: Prometheus,
                      VictoriaMetrics, the Pushgateway, the node exporter, Chromium,
                      zsh, fish, mandoc, a JDK and Maven with apt-get, the Kubernetes
                      control plane with kubectl and the libraries of Helm and
                      kustomize with go build (some minutes the first time), the
                      jars of a Kafka broker with Maven
  test [ARGS]...      setup, then build the binary and run all tests of the
                      workspace; ARGS go to cargo test
  bench               measure a dry run of the release binary on 1,000 and on
                      5,000 pods: peak memory and CPU time
  fuzz [--seconds N] [TARGET]...
                      run all fuzz targets, or the named ones, for 10 seconds
                      each (default); needs a nightly toolchain
  deny                check licenses, banned crates and sources of the
                      dependencies by deny.toml
  generate [--check]  write the generated files: docs/schemas and the tables in
                      docs; with --check, only report stale files
  figures [--check]   draw docs/figures; with --check, only report stale files
  chart               check the Helm chart with helm, helm-unittest and kubeconform,
                      and install, test, upgrade, roll back and uninstall it on a
                      control plane; builds these programs once (5 CPU
                      minutes)
  image [--binary FILE] [--output FILE]
                      build the final stage of deploy/Dockerfile with buildah, check
                      its files and its configuration, and run its program: the
                      static binary FILE, or one of the development profile. With
                      --output, write the image as an OCI archive. Needs root
  krew --version V --url URL ARCHIVE...
                      print the manifest for krew: deploy/krew/rebalancer.yaml with
                      the version, and the address and the checksum of each
                      archive, rebalancer-OS-ARCH.tar.gz
  krew --check        build krew, and have it install such an archive of the
                      development profile in a temporary folder; kubectl runs it
  cycles              list modules that depend on each other, in any package; fails
                      when there are some
  prose [--verbose]   count phrases that CONTRIBUTING.md asks to avoid, in the
                      comments of each package; fails above 20 per 10,000 words
  package             check that kafka-assignors, rebalancer-core and
                      rebalancer-driver could be published
  lab [--pods N] [--kafka]
                      start the servers with a skewed workload, print the
                      environment to run rebalancer against them, skew the
                      loads again on Enter, and wait for Ctrl-C. With --kafka,
                      a broker and a group of real consumers run too, one in
                      each pod (at most 64), whose records cause the loads
  soak [--worlds N] [--seed S]
                      run N simulated worlds (default 1,000,000) with injected
                      faults and check the safety rules; the seeds start at S
                      (default 1). Prints the worlds per second, and the seed of
                      a world that breaks a rule. Faster in release mode:
                      cargo run --release --package xtask -- soak
  calibration         accuracy of forecasts on recorded consumer groups: the
                      table in docs/forecast.md
  efficacy [--worlds N] [--only ASSIGNOR]
                      evictions and remaining peak load of rotate-outliers,
                      forecast, assign and rejoin on N simulated groups (default 200) per
                      assignor: the table in docs/forecast.md. Faster in
                      release mode: cargo run --release --package xtask -- efficacy
  handover [--write] [--groups N] [--client java|librdkafka] [--active N]
           [--hold SECONDS] [--seed S]
                      hand assignments to N groups (default 20) of each client on
                      real brokers, count the records, and restart a consumer of
                      each group: the tables in docs/assign.md, which --write
                      replaces. Records arrive at 2 groups at a time (--active).
                      The assignment is checked again after 180 seconds (--hold).
                      Takes 25 minutes on 2 cores
  help                print this text

Environment:
  KUBEBUILDER_ASSETS    folder of etcd, kube-apiserver, kube-controller-manager
                        and kubectl, instead of building them
  KAFKA_LIBS, KAFKA_3_9_LIBS, KAFKA_3_9_SCALA_2_12_LIBS
                        folder of the jars of a Kafka broker (4.4, 3.9, 3.9 for
                        Scala 2.12), instead of having Maven copy them
  PROMETHEUS_BIN        program to use instead of prometheus in PATH
  VICTORIA_METRICS_BIN  program to use instead of victoria-metrics in PATH
  PUSHGATEWAY_BIN       program to use instead of prometheus-pushgateway in PATH
  NODE_EXPORTER_BIN     program to use instead of prometheus-node-exporter in PATH
  CHROMIUM_BIN          program to use instead of chromium-headless-shell in PATH
  CURRENT_PROMETHEUS_BIN
                        program to use instead of building a current Prometheus
  CURRENT_VICTORIA_METRICS_BIN
                        program to use instead of building a current VictoriaMetrics
  MANIFESTS_BIN         program to use instead of building tests/harness/manifests,
                        which renders the Helm chart and builds kustomizations
  HELM_BIN, HELM_UNITTEST_BIN, KUBECONFORM_BIN, KREW_BIN
                        programs to use instead of building them for `chart` and
                        `krew --check`
  REBALANCER_BIN        the binary under test, instead of the one just built
  REBALANCER_TEST_KEEP  when set, keep the directories and logs of the servers
";

/// Any failure of a task; only its message is used.
type Error = Box<dyn std::error::Error + Send + Sync>;

fn main() -> ExitCode {
    let mut args = std::env::args_os().skip(1);
    let task = args.next().unwrap_or_default();
    let rest: Vec<OsString> = args.collect();
    let result = match task.to_str() {
        Some("help" | "--help" | "-h") => {
            print!("{HELP}");
            Ok(ExitCode::SUCCESS)
        }
        _ if rest
            .first()
            .is_some_and(|arg| arg == "--help" || arg == "-h") =>
        {
            print!("{HELP}");
            Ok(ExitCode::SUCCESS)
        }
        Some("calibration") if rest.is_empty() => calibration::run().map(|()| ExitCode::SUCCESS),
        Some("calibration") => return usage("calibration takes no arguments"),
        Some("efficacy") => match efficacy::Options::parse(&rest) {
            Ok(options) => efficacy::run(&options).map(|()| ExitCode::SUCCESS),
            Err(message) => return usage(&message),
        },
        Some("handover") => handover::run(&rest),
        Some("setup") if rest.is_empty() => setup::run().map(|()| ExitCode::SUCCESS),
        Some("test") => test::run(&rest),
        Some("bench") if rest.is_empty() => bench::run().map(|()| ExitCode::SUCCESS),
        Some("bench") => return usage("bench takes no arguments"),
        // Not in the help: `bench` starts it so that the kernel's account holds one child.
        Some("measure") => bench::measure(&rest).map(|()| ExitCode::SUCCESS),
        Some("generate") => match rest.as_slice() {
            [] => generate::run(false).map(|()| ExitCode::SUCCESS),
            [flag] if flag == "--check" => generate::run(true).map(|()| ExitCode::SUCCESS),
            _ => return usage("generate takes --check or nothing"),
        },
        Some("figures") => match rest.as_slice() {
            [] => figures::run(false).map(|()| ExitCode::SUCCESS),
            [flag] if flag == "--check" => figures::run(true).map(|()| ExitCode::SUCCESS),
            _ => return usage("figures takes --check or nothing"),
        },
        Some("fuzz") => match fuzz::Options::parse(&rest) {
            Ok(options) => fuzz::run(&options).map(|()| ExitCode::SUCCESS),
            Err(message) => return usage(&message),
        },
        Some("chart") if rest.is_empty() => helm::run().map(|()| ExitCode::SUCCESS),
        Some("chart") => return usage("chart takes no arguments"),
        Some("image") => match image::Options::parse(&rest) {
            Ok(options) => image::run(&options).map(|()| ExitCode::SUCCESS),
            Err(message) => return usage(&message),
        },
        Some("krew") => match krew::Options::parse(&rest) {
            Ok(options) => krew::run(&options).map(|()| ExitCode::SUCCESS),
            Err(message) => return usage(&message),
        },
        Some("cycles") if rest.is_empty() => cycles::run().map(|()| ExitCode::SUCCESS),
        Some("cycles") => return usage("cycles takes no arguments"),
        Some("prose") => match rest.as_slice() {
            [] => prose::run(false).map(|()| ExitCode::SUCCESS),
            [flag] if flag == "--verbose" => prose::run(true).map(|()| ExitCode::SUCCESS),
            _ => return usage("prose takes --verbose or nothing"),
        },
        Some("deny") if rest.is_empty() => deny::run().map(|()| ExitCode::SUCCESS),
        Some("deny") => return usage("deny takes no arguments"),
        Some("package") if rest.is_empty() => package::run().map(|()| ExitCode::SUCCESS),
        Some("package") => return usage("package takes no arguments"),
        Some("lab") => match lab::Options::parse(&rest) {
            Ok(options) => lab::run(&options).map(|()| ExitCode::SUCCESS),
            Err(message) => return usage(&message),
        },
        Some("soak") => match soak::Options::parse(&rest) {
            Ok(options) => Ok(soak::run(options)),
            Err(message) => return usage(&message),
        },
        Some("setup") => return usage("setup takes no arguments"),
        Some("") => return usage("no task is given"),
        _ => return usage(&format!("there is no task {}", task.display())),
    };
    result.unwrap_or_else(|error| {
        eprintln!("xtask: {error}");
        ExitCode::FAILURE
    })
}

/// Runs cargo and waits for it.
fn cargo<A: AsRef<std::ffi::OsStr>>(args: &[A]) -> std::io::Result<ExitStatus> {
    cargo_command(args).status()
}

/// A command that runs cargo.
fn cargo_command<A: AsRef<std::ffi::OsStr>>(args: &[A]) -> Command {
    // The cargo that runs this program sets it, so that the toolchain stays the same.
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    command.args(args);
    command
}

/// The root folder of the repository.
fn root() -> Result<&'static Path, Error> {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .ok_or_else(|| "the package has no parent folder".into())
}

fn usage(message: &str) -> ExitCode {
    eprint!("xtask: {message}\n\n{HELP}");
    ExitCode::from(2)
}
