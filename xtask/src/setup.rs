//! Installing and building the servers of the tests.

use std::process::Command;

use harness::assets::{
    ControlPlanePrograms, CurrentServer, GoProgram, KafkaProgram, KafkaVersion, MANIFESTS,
    find_in_path, installed_program,
};
use harness::browser;

use crate::Error;

/// Debian package and program name, and the variable that replaces it.
const PROGRAMS: [(&str, &str); 5] = [
    ("prometheus", "PROMETHEUS_BIN"),
    ("victoria-metrics", "VICTORIA_METRICS_BIN"),
    ("prometheus-pushgateway", "PUSHGATEWAY_BIN"),
    ("prometheus-node-exporter", "NODE_EXPORTER_BIN"),
    (browser::PROGRAM, browser::VARIABLE),
];

/// Debian package and name of the programs that read completions and manual pages.
const READERS: [&str; 3] = ["zsh", "fish", "mandoc"];

/// Installs or builds everything that is missing.
pub(crate) fn run() -> Result<(), Error> {
    let mut missing: Vec<&str> = PROGRAMS
        .into_iter()
        .filter(|(name, variable)| installed_program(name, variable).is_err())
        .map(|(name, _)| name)
        .chain(
            READERS
                .into_iter()
                .filter(|name| find_in_path(name).is_none()),
        )
        .collect();
    let mut jars_are_missing = false;
    for version in KafkaVersion::ALL {
        jars_are_missing |= KafkaProgram::has_to_be_copied(version)?;
    }
    if find_in_path("java").is_none() || find_in_path("javac").is_none() {
        missing.push("default-jdk-headless");
    }
    if jars_are_missing && find_in_path("mvn").is_none() {
        missing.push("maven");
    }
    if !missing.is_empty() {
        let by_hand = format!(
            "install {} by hand, or set PROMETHEUS_BIN, VICTORIA_METRICS_BIN, PUSHGATEWAY_BIN, \
             NODE_EXPORTER_BIN and KAFKA_LIBS",
            missing.join(" and ")
        );
        install(&missing, &by_hand)?;
    }
    for (name, variable) in PROGRAMS {
        installed_program(name, variable)?;
    }
    if ControlPlanePrograms::have_to_be_built()? {
        eprintln!(
            "building etcd, kube-apiserver, kube-controller-manager and kubectl, once; some minutes …"
        );
    }
    ControlPlanePrograms::locate()?;
    for server in CurrentServer::ALL {
        let program = server.program();
        let what = format!("a current {}, once; some minutes", program.name());
        build(&program, &what)?;
    }
    build(&MANIFESTS, "the libraries of Helm and kustomize, once")?;
    for version in KafkaVersion::ALL {
        if KafkaProgram::has_to_be_copied(version)? {
            eprintln!("having Maven copy the jars of {version}, once …");
        }
        KafkaProgram::locate(version)?.consumers()?;
    }
    Ok(())
}

/// Builds a program, unless it is in the cache. `what` describes it for people who wait.
pub(crate) fn build(program: &GoProgram, what: &str) -> Result<(), Error> {
    if program.has_to_be_built()? {
        eprintln!("building {what} …");
    }
    program.locate()?;
    Ok(())
}

/// Installs Debian packages. `by_hand` is the alternative, for errors.
pub(crate) fn install(packages: &[&str], by_hand: &str) -> Result<(), Error> {
    let list = packages.join(" and ");
    if find_in_path("apt-get").is_none() {
        return Err(
            format!("this system lacks {list}, and apt-get to install it: {by_hand}").into(),
        );
    }
    let prefix: &[&str] = if is_root()? {
        &[]
    } else if may_sudo() {
        &["sudo", "-n"]
    } else {
        return Err(format!(
            "this system lacks {list}, and installing it takes root or sudo without a password: run \
             `apt-get install {}` as root, or {by_hand}",
            packages.join(" ")
        )
        .into());
    };
    eprintln!("installing {list} …");
    apt_get(prefix, &["update"])?;
    apt_get(
        prefix,
        &[&["install", "--yes", "--no-install-recommends"], packages].concat(),
    )
}

fn apt_get(prefix: &[&str], args: &[&str]) -> Result<(), Error> {
    // Through env, since sudo drops the variables of its own environment.
    let line = [
        prefix,
        &[
            "env",
            "DEBIAN_FRONTEND=noninteractive",
            "apt-get",
            "--quiet",
        ],
        args,
    ]
    .concat();
    let (program, args) = line.split_first().ok_or("an empty command line")?;
    let status = Command::new(program).args(args).status()?;
    if status.success() {
        Ok(())
    } else {
        Err(format!("`{}` failed ({status})", line.join(" ")).into())
    }
}

fn is_root() -> Result<bool, Error> {
    let output = Command::new("id").arg("-u").output()?;
    Ok(output.stdout.trim_ascii() == b"0")
}

fn may_sudo() -> bool {
    find_in_path("sudo").is_some()
        && Command::new("sudo")
            .args(["-n", "true"])
            .output()
            .is_ok_and(|output| output.status.success())
}
