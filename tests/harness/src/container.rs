//! Real containers: they run the program under test in pods of a CronJob or a Deployment.
//!
//! A container gets what a kubelet provides: the pod's environment, the files of the projected
//! volume (a token bound to the pod, the cluster's certificate, the namespace), its other projected
//! volumes (ConfigMaps and Secrets, with their later changes), a read-only file system, the pod's
//! user without capabilities, and a memory limit (on allocated memory; a kubelet limits used
//! memory). Its network is that of the host. This requires a Linux system that permits `unshare`;
//! elsewhere the test fails with a message that says so.

mod probe;
mod volume;

use std::{
    collections::HashMap,
    net::SocketAddr,
    path::{Path, PathBuf},
    process::Stdio,
    sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError},
    time::{Duration, Instant},
};

use k8s_openapi::api::core::v1::{Container, Pod};
use kube::ResourceExt as _;
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use tokio::net::{TcpListener, TcpStream};

use crate::{Error, Result, manifest, process::server_dir, quantity, rebalancer::binary};

pub(crate) use probe::Probe;
use volume::Volume;

/// The prefix of the image name in the manifests, behind the registry if there is one.
const IMAGE: &str = "pod-rebalancer:";

/// The host name of the metrics server in the manifests.
const METRICS_HOST: &str = "victoriametrics";
const METRICS_PORT: u16 = 8428;

/// Sets up the mounts, then executes the program. `/run` and `/etc/hosts` are the pod's own. The
/// service account files are at the path where every client library looks for them.
const START: &str = r#"
mount -t tmpfs tmpfs /run
# A copy of /etc has room for the directories of further mounts.
cp -a /etc "$FILES/etc"
mount --bind "$FILES/etc" /etc
ls "$FILES/mounts" | while read -r index; do
    path=$(cat "$FILES/mounts/$index/path")
    mkdir -p "$path"
    mount --bind "$FILES/mounts/$index/files" "$path"
done
mount --bind "$FILES/hosts" /etc/hosts
touch /run/rebalancer
mount --bind "$BINARY" /run/rebalancer
mount -o remount,bind,ro /
cd /
# Variables come first, then the path of the program, then its arguments.
exec prlimit --data="$MEMORY" \
    setpriv --reuid "$RUN_AS" --regid "$RUN_AS" $GROUPS_OF_POD \
    --no-new-privs --inh-caps=-all --bounding-set=-all \
    env -i "$@"
"#;

/// Runs containers and keeps their output.
#[derive(Clone, Default)]
pub(crate) struct Containers {
    surroundings: Arc<OnceLock<Surroundings>>,
    /// By the UID of the pod: the process.
    running: Arc<Mutex<HashMap<String, u32>>>,
    /// By the UID of the pod.
    ended: Arc<Mutex<HashMap<String, Ended>>>,
    /// By `NAMESPACE/NAME` of the pod: its UID, and the log file of its container.
    started: Arc<Mutex<HashMap<String, (String, PathBuf)>>>,
}

/// The servers that a container can reach.
struct Surroundings {
    api_server: SocketAddr,
    /// The address that [`METRICS_HOST`] resolves to.
    metrics: SocketAddr,
}

/// The outcome of a container.
#[derive(Debug, Clone)]
pub(crate) struct Ended {
    /// The exit code, or 128 plus the number of the signal that ended the container.
    pub(crate) code: i32,
    /// The output.
    pub(crate) log: String,
}

/// The output of a container.
pub(crate) struct Log {
    pub(crate) text: String,
    /// Whether the container has ended.
    pub(crate) is_complete: bool,
}

impl Containers {
    /// Whether the pod's container is the program under test.
    pub(crate) fn runs(pod: &Pod) -> bool {
        let image = container(pod).and_then(|container| container.image.as_deref());
        let name = image.and_then(|image| image.rsplit('/').next());
        name.is_some_and(|name| name.starts_with(IMAGE))
    }

    /// Sets the API server and metrics server that containers connect to. The manifests' host name
    /// for the metrics server resolves to it.
    pub(crate) async fn surround(&self, api_server: SocketAddr, metrics: SocketAddr) -> Result<()> {
        let metrics = forward(metrics).await?;
        let surroundings = Surroundings {
            api_server,
            metrics,
        };
        let _ = self.surroundings.set(surroundings);
        Ok(())
    }

    /// Returns the outcome of the pod's container once it has ended.
    pub(crate) fn ended(&self, uid: &str) -> Option<Ended> {
        lock(&self.ended).get(uid).cloned()
    }

    /// The output of the container of a pod, which is given as `NAMESPACE/NAME`. `None` if the pod
    /// has none that runs, or has run.
    pub(crate) fn log(&self, pod: &str) -> Option<Log> {
        let (uid, path) = lock(&self.started).get(pod).cloned()?;
        // The file is read first: it is removed after the container was recorded as ended.
        let so_far = std::fs::read_to_string(path).unwrap_or_default();
        let ended = self.ended(&uid);
        Some(Log {
            is_complete: ended.is_some(),
            text: ended.map_or(so_far, |ended| ended.log),
        })
    }

    /// Runs the pod's container until it ends.
    pub(crate) async fn run(&self, client: &kube::Client, pod: &Pod) -> Result<Ended> {
        let name = pod.name_any();
        let wrong = |message: &str| Error::Document {
            what: format!("pod {name}"),
            message: message.to_owned(),
        };
        let surroundings = self
            .surroundings
            .get()
            .ok_or_else(|| wrong("its cluster has not started yet"))?;
        let spec = pod.spec.as_ref().ok_or_else(|| wrong("it has no spec"))?;
        let container = container(pod).ok_or_else(|| wrong("it has no container"))?;
        let user = spec
            .security_context
            .as_ref()
            .and_then(|context| context.run_as_user)
            .ok_or_else(|| wrong("it has no runAsUser"))?;
        let limits = container
            .resources
            .as_ref()
            .and_then(|all| all.limits.as_ref());
        let memory = limits
            .and_then(|limits| limits.get("memory"))
            .ok_or_else(|| wrong("its container has no memory limit"))?;

        let dir = server_dir("container")?;
        let mut volumes = volume::mount(client, pod, &dir.join("mounts"), user).await?;
        let metrics = surroundings.metrics.ip();
        write(
            &dir.join("hosts"),
            &format!("127.0.0.1 localhost\n{metrics} {METRICS_HOST}\n"),
        )?;
        let namespace = pod.namespace().unwrap_or_default();
        let what = format!("pod {name}");
        let mut environment =
            manifest::container_environment(client, spec, &namespace, &what).await?;
        let address = surroundings.api_server;
        environment.push((
            "KUBERNETES_SERVICE_HOST".to_owned(),
            address.ip().to_string(),
        ));
        environment.push((
            "KUBERNETES_SERVICE_PORT".to_owned(),
            address.port().to_string(),
        ));
        environment.push(("HOSTNAME".to_owned(), name.clone()));

        let group = spec
            .security_context
            .as_ref()
            .and_then(|context| context.fs_group);
        let groups = group.map_or_else(
            || "--clear-groups".to_owned(),
            |group| format!("--groups {group}"),
        );
        let log = dir.join("log");
        let file = std::fs::File::create(&log).map_err(Error::io("create a container's log"))?;
        let also = file
            .try_clone()
            .map_err(Error::io("create a container's log"))?;
        let mut command = tokio::process::Command::new("unshare");
        command
            .args(["--mount", "sh", "-euc", START, "sh"])
            .args(
                environment
                    .iter()
                    .map(|(key, value)| format!("{key}={value}")),
            )
            .arg("/run/rebalancer")
            .args(container.args.iter().flatten())
            .env("GROUPS_OF_POD", groups)
            .env("FILES", &dir)
            .env("BINARY", binary()?)
            .env("RUN_AS", user.to_string())
            .env("MEMORY", quantity::bytes(&memory.0).to_string())
            .stdin(Stdio::null())
            .stdout(file)
            .stderr(also)
            .kill_on_drop(true);
        let mut child = command.spawn().map_err(Error::io("run unshare"))?;
        let uid = pod.uid().unwrap_or_default();
        lock(&self.started).insert(format!("{namespace}/{name}"), (uid.clone(), log.clone()));
        if let Some(process) = child.id() {
            lock(&self.running).insert(uid.clone(), process);
        }
        let status = tokio::select! {
            status = child.wait() => status,
            never = keep_current(client, pod, &mut volumes) => match never {},
        };
        let status = status.map_err(Error::io("wait for a container"))?;
        lock(&self.running).remove(&uid);
        let text = std::fs::read_to_string(&log).map_err(Error::io("read a container's log"))?;
        use std::os::unix::process::ExitStatusExt as _;
        let signalled = || status.signal().map_or(1, |signal| 128 + signal);
        let ended = Ended {
            code: status.code().unwrap_or_else(signalled),
            log: text,
        };
        lock(&self.ended).insert(uid, ended.clone());
        std::fs::remove_dir_all(&dir).map_err(Error::io("remove the files of a container"))?;
        Ok(ended)
    }

    /// Ends the pod's container, as a deletion does: SIGTERM, and SIGKILL after the grace period of
    /// the pod.
    pub(crate) async fn terminate(&self, pod: &Pod) {
        let uid = pod.uid().unwrap_or_default();
        let period = pod
            .spec
            .as_ref()
            .and_then(|spec| spec.termination_grace_period_seconds);
        let period = period.and_then(|seconds| u64::try_from(seconds).ok());
        let period = Duration::from_secs(period.unwrap_or(30));
        let asked = Instant::now();
        let mut signal = Signal::SIGTERM;
        loop {
            let process = lock(&self.running).get(&uid).copied();
            let Some(process) = process.and_then(|process| i32::try_from(process).ok()) else {
                return;
            };
            if signal == Signal::SIGTERM || asked.elapsed() > period {
                // The container may have ended just now.
                let _ = kill(Pid::from_raw(process), signal);
                signal = Signal::SIGKILL;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
}

/// Writes later changes of ConfigMaps and Secrets to the volumes, as a kubelet does, but sooner.
async fn keep_current(
    client: &kube::Client,
    pod: &Pod,
    volumes: &mut [Volume],
) -> std::convert::Infallible {
    loop {
        tokio::time::sleep(Duration::from_secs(1)).await;
        for volume in volumes.iter_mut() {
            // The API server may be stopped for a while, and an object may be about to be replaced.
            let _ = volume.refresh(client, pod).await;
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn container(pod: &Pod) -> Option<&Container> {
    pod.spec.as_ref()?.containers.first()
}

fn write(path: &Path, text: &str) -> Result<()> {
    std::fs::write(path, text).map_err(Error::io(format!("write {}", path.display())))
}

/// Forwards connections from a loopback address to `to`, and returns that address. It has the port
/// number used in the manifests. That port may be taken on 127.0.0.1, so the address is a different
/// one.
async fn forward(to: SocketAddr) -> Result<SocketAddr> {
    let mut last = None;
    for place in 1..=250 {
        let address = SocketAddr::from(([127, 84, 28, place], METRICS_PORT));
        match TcpListener::bind(address).await {
            Ok(listener) => {
                tokio::spawn(relay(listener, to));
                return Ok(address);
            }
            Err(error) => last = Some(error),
        }
    }
    let error = last.unwrap_or_else(|| std::io::Error::other("no address was tried"));
    Err(Error::io(format!("listen on port {METRICS_PORT}"))(error))
}

async fn relay(listener: TcpListener, to: SocketAddr) {
    while let Ok((mut client, _)) = listener.accept().await {
        tokio::spawn(async move {
            if let Ok(mut server) = TcpStream::connect(to).await {
                // The side that closes first ends both directions.
                let _ = tokio::io::copy_bidirectional(&mut client, &mut server).await;
            }
        });
    }
}
