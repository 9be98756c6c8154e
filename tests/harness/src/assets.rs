//! Location, build and installation of the server programs.

use std::{
    fs::{self, File},
    path::{Path, PathBuf},
    process::Command,
};

use crate::{Error, Result};

/// File names of the control plane's programs, and of its client.
const CONTROL_PLANE: [&str; 4] = [
    "etcd",
    "kube-apiserver",
    "kube-controller-manager",
    "kubectl",
];

/// The program that implements them, selected by the name it is started under.
const PROGRAM: &str = "controlplane";

/// The programs of the control plane, and its client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ControlPlanePrograms {
    /// The path of etcd.
    pub etcd: PathBuf,
    /// The path of kube-apiserver.
    pub kube_apiserver: PathBuf,
    /// The path of kube-controller-manager.
    pub kube_controller_manager: PathBuf,
    /// The path of kubectl.
    pub kubectl: PathBuf,
}

impl ControlPlanePrograms {
    /// Locates the programs: in `KUBEBUILDER_ASSETS` when it is set, else in the cache. The first
    /// call builds them into the cache, which takes minutes.
    ///
    /// # Errors
    /// If a program is missing, or when the build failed (with its output).
    pub fn locate() -> Result<Self> {
        match std::env::var_os("KUBEBUILDER_ASSETS") {
            Some(dir) if !dir.is_empty() => Self::in_dir(Path::new(&dir)),
            _ => Self::in_dir(&built()?),
        }
    }

    /// Whether [`Self::locate`] would have to build the programs.
    ///
    /// # Errors
    /// If the Go module cannot be read, or there is no home directory.
    pub fn have_to_be_built() -> Result<bool> {
        if std::env::var_os("KUBEBUILDER_ASSETS").is_some_and(|dir| !dir.is_empty()) {
            return Ok(false);
        }
        let (_, dir) = module_and_cache()?;
        Ok(!is_built(&dir) && !dir.join(PROGRAM).is_file())
    }

    /// Locates the programs in a directory.
    ///
    /// # Errors
    /// Names the first program that is missing.
    pub fn in_dir(dir: &Path) -> Result<Self> {
        let find = |name: &str| {
            let path = dir.join(name);
            if path.is_file() {
                return Ok(path);
            }
            Err(Error::Missing {
                program: name.to_owned(),
                place: format!(" in KUBEBUILDER_ASSETS={}", dir.display()),
                hint: "the tests need etcd, kube-apiserver, kube-controller-manager and kubectl \
                       there; setup-envtest does not install kube-controller-manager: add it, or \
                       unset KUBEBUILDER_ASSETS and let `cargo xtask setup` build all of them"
                    .to_owned(),
            })
        };
        let [etcd, kube_apiserver, kube_controller_manager, kubectl] = CONTROL_PLANE;
        Ok(Self {
            etcd: find(etcd)?,
            kube_apiserver: find(kube_apiserver)?,
            kube_controller_manager: find(kube_controller_manager)?,
            kubectl: find(kubectl)?,
        })
    }
}

/// Returns the directory of the built control plane, and builds it if it is missing.
fn built() -> Result<PathBuf> {
    let (module, dir) = module_and_cache()?;
    if is_built(&dir) {
        return Ok(dir);
    }
    let _lock = lock(&dir)?;
    if !is_built(&dir) {
        build(&module, &dir)?;
    }
    Ok(dir)
}

/// Whether a directory has the complete build. Its symbolic links are created last.
fn is_built(dir: &Path) -> bool {
    CONTROL_PLANE.iter().all(|name| dir.join(name).is_file())
}

/// Locks a directory of the cache, so that other test processes wait instead of building the same
/// thing. The lock ends when the value is dropped.
fn lock(dir: &Path) -> Result<File> {
    fs::create_dir_all(dir).map_err(Error::io(format!("create {}", dir.display())))?;
    let path = dir.join("lock");
    let lock = File::create(&path).map_err(Error::io(format!("create {}", path.display())))?;
    lock.lock()
        .map_err(Error::io(format!("lock {}", path.display())))?;
    Ok(lock)
}

/// The Go module, and the cache directory for its current content.
fn module_and_cache() -> Result<(PathBuf, PathBuf)> {
    let module = Path::new(env!("CARGO_MANIFEST_DIR")).join("controlplane");
    let files = ["main.go", "go.mod", "go.sum"];
    let dir = cache_dir()?.join(format!(
        "controlplane-{:016x}",
        fingerprint(&module, &files)?
    ));
    Ok((module, dir))
}

fn build(module: &Path, dir: &Path) -> Result<()> {
    let program = dir.join(PROGRAM);
    if !program.is_file() {
        go_build(
            module,
            &["."],
            &program,
            "the control plane of the tests is built with it: install Go 1.21 or newer (it downloads \
             the version it needs), or set KUBEBUILDER_ASSETS",
        )?;
    }
    for name in CONTROL_PLANE {
        let link = dir.join(name);
        match std::os::unix::fs::symlink(PROGRAM, &link) {
            Err(error) if error.kind() != std::io::ErrorKind::AlreadyExists => {
                return Err(Error::io(format!("link {}", link.display()))(error));
            }
            _ => {}
        }
    }
    Ok(())
}

/// Builds a Go program. `hint` is shown when Go is not installed.
fn go_build(module: &Path, args: &[&str], program: &Path, hint: &str) -> Result<()> {
    let unfinished = program.with_extension("unfinished");
    let mut command = Command::new("go");
    command
        // git may refuse to report the state of the repository.
        .args(["build", "-trimpath", "-buildvcs=false", "-ldflags", "-s -w"])
        .arg("-o")
        .arg(&unfinished)
        .args(args)
        .current_dir(module);
    run(&mut command, "go", hint)?;
    fs::rename(&unfinished, program).map_err(Error::io(format!(
        "move the build to {}",
        program.display()
    )))
}

/// A current metrics server, built from its Go module. Distributions have older ones.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CurrentServer {
    /// Prometheus 3.
    Prometheus,
    /// The newest VictoriaMetrics that builds with the version of Go in `go.mod`.
    VictoriaMetrics,
}

impl CurrentServer {
    /// Every server.
    pub const ALL: [Self; 2] = [Self::Prometheus, Self::VictoriaMetrics];

    /// The program of the server.
    #[must_use]
    pub fn program(self) -> GoProgram {
        match self {
            Self::Prometheus => GoProgram {
                name: "prometheus",
                folder: "prometheus",
                files: &["go.mod", "go.sum"],
                variable: "CURRENT_PROMETHEUS_BIN",
                // Without the service discovery of clouds, whose clients take most of the build.
                arguments: &[
                    "-tags",
                    "remove_all_sd",
                    "github.com/prometheus/prometheus/cmd/prometheus",
                ],
            },
            Self::VictoriaMetrics => GoProgram {
                name: "victoria-metrics",
                folder: "victoria-metrics",
                files: &["go.mod", "go.sum"],
                variable: "CURRENT_VICTORIA_METRICS_BIN",
                arguments: &["github.com/VictoriaMetrics/VictoriaMetrics/app/victoria-metrics"],
            },
        }
    }
}

/// The program that renders the Helm chart and builds kustomizations, with their libraries.
pub const MANIFESTS: GoProgram = GoProgram {
    name: "manifests",
    folder: "manifests",
    files: &["main.go", "go.mod", "go.sum"],
    variable: "MANIFESTS_BIN",
    arguments: &["."],
};

/// Helm. It takes minutes to build.
pub const HELM: GoProgram = GoProgram {
    name: "helm",
    folder: "chart-tools",
    files: &["go.mod", "go.sum"],
    variable: "HELM_BIN",
    arguments: &["helm.sh/helm/v4/cmd/helm"],
};

/// The runner of unit tests for Helm charts.
pub const HELM_UNITTEST: GoProgram = GoProgram {
    name: "helm-unittest",
    variable: "HELM_UNITTEST_BIN",
    arguments: &["github.com/helm-unittest/helm-unittest/cmd/helm-unittest"],
    ..HELM
};

/// The validator of manifests by JSON Schemas.
pub const KUBECONFORM: GoProgram = GoProgram {
    name: "kubeconform",
    variable: "KUBECONFORM_BIN",
    arguments: &["github.com/yannh/kubeconform/cmd/kubeconform"],
    ..HELM
};

/// The package manager of kubectl plugins.
pub const KREW: GoProgram = GoProgram {
    name: "krew",
    folder: "krew",
    files: &["go.mod", "go.sum"],
    variable: "KREW_BIN",
    arguments: &["sigs.k8s.io/krew/cmd/krew"],
};

/// A program that is built from a Go module of the harness, unless a variable names one.
#[derive(Debug, Clone, Copy)]
pub struct GoProgram {
    name: &'static str,
    /// The folder of the module.
    folder: &'static str,
    /// The files of the module that decide about the program.
    files: &'static [&'static str],
    variable: &'static str,
    /// The arguments of `go build`.
    arguments: &'static [&'static str],
}

impl GoProgram {
    /// The name of the program.
    #[must_use]
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// Locates the program: by its environment variable, else in the cache. The first call builds
    /// it into the cache, which may take minutes.
    ///
    /// # Errors
    /// If the build failed (with its output).
    pub fn locate(&self) -> Result<PathBuf> {
        let Self { name, variable, .. } = self;
        if let Some(path) = self.given() {
            return Ok(path);
        }
        let (module, dir) = self.module_and_cache()?;
        let program = dir.join(name);
        if program.is_file() {
            return Ok(program);
        }
        let _lock = lock(&dir)?;
        if !program.is_file() {
            let hint = format!(
                "{name} of the tests is built with it: install Go, or set {variable} to the program"
            );
            go_build(&module, self.arguments, &program, &hint)?;
        }
        Ok(program)
    }

    /// Whether [`Self::locate`] would have to build the program.
    ///
    /// # Errors
    /// If the Go module cannot be read, or there is no home directory.
    pub fn has_to_be_built(&self) -> Result<bool> {
        if self.given().is_some() {
            return Ok(false);
        }
        let (_, dir) = self.module_and_cache()?;
        Ok(!dir.join(self.name).is_file())
    }

    fn given(&self) -> Option<PathBuf> {
        let path = std::env::var_os(self.variable).filter(|path| !path.is_empty())?;
        Some(PathBuf::from(path))
    }

    /// The Go module, and the cache directory for its current content.
    fn module_and_cache(&self) -> Result<(PathBuf, PathBuf)> {
        let module = Path::new(env!("CARGO_MANIFEST_DIR")).join(self.folder);
        let hash = fingerprint(&module, self.files)?;
        let dir = cache_dir()?.join(format!("{}-{hash:016x}", self.folder));
        Ok((module, dir))
    }
}

/// The cache directory, which survives a fresh checkout.
///
/// # Errors
/// If there is no home directory.
pub fn cache_dir() -> Result<PathBuf> {
    let base = std::env::var_os("XDG_CACHE_HOME")
        .map(PathBuf::from)
        .filter(|dir| dir.is_absolute());
    base.or_else(|| std::env::home_dir().map(|home| home.join(".cache")))
        .map(|base| base.join("rebalancer"))
        .ok_or_else(|| Error::Missing {
            program: "a cache directory".to_owned(),
            place: String::new(),
            hint: "set HOME or XDG_CACHE_HOME".to_owned(),
        })
}

/// FNV-1a over files of a folder. Unlike the standard hasher, it does not change with the compiler,
/// so a Rust update does not trigger a Go build.
fn fingerprint(folder: &Path, files: &[&str]) -> Result<u64> {
    let mut hash = 0xcbf2_9ce4_8422_2325_u64;
    for name in files {
        let path = folder.join(name);
        let text = fs::read(&path).map_err(Error::io(format!("read {}", path.display())))?;
        hash = fnv(hash, &text);
    }
    Ok(hash)
}

/// Adds bytes to an FNV-1a hash.
fn fnv(hash: u64, bytes: &[u8]) -> u64 {
    let add = |hash: u64, byte: &u8| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
    bytes.iter().fold(hash, add)
}

/// A version of the Kafka broker.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum KafkaVersion {
    /// Kafka 4.4, whose coordinator is written in Java.
    #[default]
    Current,
    /// Kafka 3.9 with its coordinator in Scala.
    V3_9,
    /// Kafka 3.9 built for Scala 2.12, whose hash maps have another order.
    V3_9Scala212,
}

impl KafkaVersion {
    /// Every version.
    pub const ALL: [Self; 3] = [Self::Current, Self::V3_9, Self::V3_9Scala212];

    /// The Maven artifact and its version.
    fn artifact(self) -> (&'static str, &'static str) {
        match self {
            Self::Current => ("kafka_2.13", "4.4.0"),
            Self::V3_9 => ("kafka_2.13", "3.9.1"),
            Self::V3_9Scala212 => ("kafka_2.12", "3.9.1"),
        }
    }

    /// The variable that names a folder with the jars.
    fn variable(self) -> &'static str {
        match self {
            Self::Current => "KAFKA_LIBS",
            Self::V3_9 => "KAFKA_3_9_LIBS",
            Self::V3_9Scala212 => "KAFKA_3_9_SCALA_2_12_LIBS",
        }
    }
}

impl std::fmt::Display for KafkaVersion {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (artifact, version) = self.artifact();
        write!(f, "{artifact} {version}")
    }
}

/// The Java runtime and the jars of a Kafka broker.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KafkaProgram {
    /// The path of the Java runtime.
    pub java: PathBuf,
    /// The directory of the jars.
    pub jars: PathBuf,
}

impl KafkaProgram {
    /// Locates the jars: in the folder of the version's variable (`KAFKA_LIBS`, `KAFKA_3_9_LIBS`,
    /// `KAFKA_3_9_SCALA_2_12_LIBS`) when it is set, else in the cache. The first call has Maven
    /// download them into the cache.
    ///
    /// # Errors
    /// If a program is missing, or when Maven failed (with its output).
    pub fn locate(version: KafkaVersion) -> Result<Self> {
        let hint = "the Kafka broker of the tests runs on it: run `cargo xtask setup`, or install \
                    Java 17 or newer";
        let java = find_in_path("java").ok_or_else(|| missing_in_path("java", hint))?;
        let jars = match own_kafka_libs(version) {
            Some(jars) => jars,
            None => copied(version)?,
        };
        Ok(Self { java, jars })
    }

    /// Returns the directory of the compiled `java/Consumers.java`. The first call compiles it into
    /// the cache, beside the jars.
    ///
    /// # Errors
    /// If the compiler is missing, or when it failed (with its output).
    pub fn consumers(&self) -> Result<PathBuf> {
        let sources = Path::new(env!("CARGO_MANIFEST_DIR")).join("java");
        let source = "Consumers.java";
        let hash = fingerprint(&sources, &[source])?;
        // Jars of several versions have several addresses.
        let jars = self.jars.as_os_str().as_encoded_bytes();
        let hash = fnv(hash, jars);
        let dir = cache_dir()?.join(format!("java-consumers-{hash:016x}"));
        let classes = dir.join("classes");
        if classes.is_dir() {
            return Ok(classes);
        }
        let _lock = lock(&dir)?;
        if classes.is_dir() {
            return Ok(classes);
        }
        let unfinished = dir.join("classes.unfinished");
        let mut jars = self.jars.clone().into_os_string();
        jars.push("/*");
        let mut command = Command::new("javac");
        command
            .arg("-cp")
            .arg(jars)
            .arg("-d")
            .arg(&unfinished)
            .arg(sources.join(source));
        let hint = "it compiles the Java consumers of the tests once: run `cargo xtask setup`, or \
                    install a JDK of version 17 or newer";
        run(&mut command, "javac", hint)?;
        let moved = fs::rename(&unfinished, &classes);
        moved.map_err(Error::io(format!("move classes to {}", classes.display())))?;
        Ok(classes)
    }

    /// Whether [`Self::locate`] would have to call Maven.
    ///
    /// # Errors
    /// If the Maven project cannot be read, or there is no home directory.
    pub fn has_to_be_copied(version: KafkaVersion) -> Result<bool> {
        if own_kafka_libs(version).is_some() {
            return Ok(false);
        }
        let (_, dir) = project_and_cache(version)?;
        Ok(!dir.join(JARS).is_dir())
    }
}

/// The name of the jar directory inside the cache directory.
const JARS: &str = "jars";

fn own_kafka_libs(version: KafkaVersion) -> Option<PathBuf> {
    let dir = std::env::var_os(version.variable()).filter(|dir| !dir.is_empty())?;
    Some(PathBuf::from(dir))
}

/// Returns the directory of the jars, and has Maven download them if they are missing.
fn copied(version: KafkaVersion) -> Result<PathBuf> {
    let (project, dir) = project_and_cache(version)?;
    let jars = dir.join(JARS);
    if jars.is_dir() {
        return Ok(jars);
    }
    let _lock = lock(&dir)?;
    if !jars.is_dir() {
        copy(version, &project, &dir, &jars)?;
    }
    Ok(jars)
}

/// The Maven project, and the cache directory for its current content.
fn project_and_cache(version: KafkaVersion) -> Result<(PathBuf, PathBuf)> {
    let project = Path::new(env!("CARGO_MANIFEST_DIR")).join("kafka");
    let hash = fingerprint(&project, &["pom.xml"])?;
    let (artifact, number) = version.artifact();
    let dir = cache_dir()?.join(format!("{artifact}-{number}-{hash:016x}"));
    Ok((project, dir))
}

fn copy(version: KafkaVersion, project: &Path, dir: &Path, jars: &Path) -> Result<()> {
    let (artifact, number) = version.artifact();
    let unfinished = dir.join("jars.unfinished");
    let mut command = Command::new("mvn");
    command
        .args([
            "-q",
            "-B",
            "dependency:copy-dependencies",
            "-DincludeScope=runtime",
        ])
        .arg(format!("-Dkafka.artifact={artifact}"))
        .arg(format!("-Dkafka.version={number}"))
        .arg(format!("-DoutputDirectory={}", unfinished.display()))
        .current_dir(project);
    run(
        &mut command,
        "mvn",
        "it copies the Kafka broker's jars once: run `cargo xtask setup`, or install Maven, or set \
         KAFKA_LIBS to a folder of the jars",
    )?;
    fs::rename(&unfinished, jars).map_err(Error::io(format!("move the jars to {}", jars.display())))
}

/// Runs a build command. `hint` is shown when the program is not installed.
fn run(command: &mut Command, program: &str, hint: &str) -> Result<()> {
    let output = command.output().map_err(|error| {
        if error.kind() == std::io::ErrorKind::NotFound {
            missing_in_path(program, hint)
        } else {
            Error::io(format!("run {program}"))(error)
        }
    })?;
    if output.status.success() {
        return Ok(());
    }
    // Go reports errors on standard error, Maven on standard output.
    let said = [output.stderr, output.stdout].concat();
    Err(Error::Command {
        command: format!("{command:?}"),
        status: output.status.to_string(),
        output: format!("\n{}", String::from_utf8_lossy(&said)),
    })
}

fn missing_in_path(program: &str, hint: &str) -> Error {
    Error::Missing {
        program: program.to_owned(),
        place: " in PATH".to_owned(),
        hint: hint.to_owned(),
    }
}

/// Locates an installed program: from the environment variable, else in `PATH`.
///
/// # Errors
/// If the program is found in neither.
pub fn installed_program(name: &str, variable: &str) -> Result<PathBuf> {
    if let Some(path) = std::env::var_os(variable) {
        return Ok(PathBuf::from(path));
    }
    find_in_path(name).ok_or_else(|| Error::Missing {
        program: name.to_owned(),
        place: " in PATH".to_owned(),
        hint: format!("run `cargo xtask setup`, or set {variable} to the program"),
    })
}

/// Locates `promtool`: beside Prometheus, else in `PATH`.
///
/// # Errors
/// If it is missing.
pub fn promtool() -> Result<PathBuf> {
    program_of("prometheus", "PROMETHEUS_BIN", "promtool")
}

/// Locates `vmalert`: beside VictoriaMetrics, else in `PATH`.
///
/// # Errors
/// If it is missing.
pub fn vmalert() -> Result<PathBuf> {
    program_of("victoria-metrics", "VICTORIA_METRICS_BIN", "vmalert")
}

/// Locates another program of the Debian package of a server: beside the server, else in `PATH`.
fn program_of(server: &str, variable: &str, name: &str) -> Result<PathBuf> {
    let server_path = installed_program(server, variable)?;
    let beside = server_path.with_file_name(name);
    if beside.is_file() {
        return Ok(beside);
    }
    find_in_path(name).ok_or_else(|| Error::Missing {
        program: name.to_owned(),
        place: format!(" beside {} and in PATH", server_path.display()),
        hint: format!("Debian's package {server} contains it: run `cargo xtask setup`"),
    })
}

/// Returns the first file of that name in the directories of `PATH`.
#[must_use]
pub fn find_in_path(name: &str) -> Option<PathBuf> {
    std::env::split_paths(&std::env::var_os("PATH")?)
        .map(|dir| dir.join(name))
        .find(|path| path.is_file())
}
