//! Real containers: they run the program under test in pods that a CronJob created.
//!
//! A container gets what a kubelet provides: the pod's environment, the files of the projected
//! volume (a token bound to the pod, the cluster's certificate, the namespace), its other projected
//! volumes (ConfigMaps and Secrets), a read-only file system, the pod's user without capabilities, and
//! a memory limit (on allocated memory; a kubelet limits used memory). This requires a Linux system
//! that permits `unshare`; elsewhere the test fails with a message that says so.

use std::{
    collections::{BTreeMap, HashMap},
    net::SocketAddr,
    os::unix::fs::PermissionsExt as _,
    path::Path,
    process::Stdio,
    sync::{Arc, Mutex, OnceLock, PoisonError},
};

use k8s_openapi::api::{
    authentication::v1::{BoundObjectReference, TokenRequest, TokenRequestSpec},
    core::v1::{ConfigMap, Container, KeyToPath, Pod, ServiceAccount, VolumeProjection},
};
use kube::{Api, ResourceExt as _, api::PostParams};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use tokio::net::{TcpListener, TcpStream};

use crate::{Error, Result, manifest, process::server_dir, quantity, rebalancer::binary};

/// The prefix of the image name in the manifests.
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
    running: Arc<Mutex<HashMap<String, u32>>>,
    logs: Arc<Mutex<HashMap<String, String>>>,
}

/// The servers that a container can reach.
struct Surroundings {
    api_server: SocketAddr,
    /// The address that [`METRICS_HOST`] resolves to.
    metrics: SocketAddr,
}

/// The outcome of a container.
pub(crate) struct Ended {
    /// The exit code, or 128 plus the number of the signal that ended the container.
    pub(crate) code: i32,
}

impl Containers {
    /// Whether the pod's container is the program under test.
    pub(crate) fn runs(pod: &Pod) -> bool {
        let image = container(pod).and_then(|container| container.image.as_deref());
        image.is_some_and(|image| image.starts_with(IMAGE))
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

    /// Returns the output of the pod's container once it has ended.
    pub(crate) fn log(&self, uid: &str) -> Option<String> {
        let logs = self.logs.lock().unwrap_or_else(PoisonError::into_inner);
        logs.get(uid).cloned()
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
        mount_volumes(client, pod, &dir.join("mounts"), user).await?;
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
        if let Some(process) = child.id() {
            self.lock_running().insert(uid.clone(), process);
        }
        let status = child
            .wait()
            .await
            .map_err(Error::io("wait for a container"))?;
        self.lock_running().remove(&uid);
        let text = std::fs::read_to_string(&log).map_err(Error::io("read a container's log"))?;
        self.logs
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(uid, text);
        std::fs::remove_dir_all(&dir).map_err(Error::io("remove the files of a container"))?;
        use std::os::unix::process::ExitStatusExt as _;
        let signalled = || status.signal().map_or(1, |signal| 128 + signal);
        Ok(Ended {
            code: status.code().unwrap_or_else(signalled),
        })
    }

    /// Sends SIGTERM to the pod's container, as a deletion does.
    pub(crate) fn terminate(&self, uid: &str) {
        if let Some(process) = self.lock_running().get(uid)
            && let Ok(process) = i32::try_from(*process)
        {
            // The container may have ended just now.
            let _ = kill(Pid::from_raw(process), Signal::SIGTERM);
        }
    }

    fn lock_running(&self) -> std::sync::MutexGuard<'_, HashMap<String, u32>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn container(pod: &Pod) -> Option<&Container> {
    pod.spec.as_ref()?.containers.first()
}

/// Writes the files of each volume of the pod's container, and the path of its mount: a directory for
/// each in `dir`.
async fn mount_volumes(client: &kube::Client, pod: &Pod, dir: &Path, user: i64) -> Result<()> {
    let wrong = |message: String| Error::Document {
        what: format!("pod {}", pod.name_any()),
        message,
    };
    let spec = pod.spec.clone().unwrap_or_default();
    let mounts = container(pod).and_then(|container| container.volume_mounts.clone());
    let mut count = 0;
    for mount in mounts.unwrap_or_default() {
        let volume = spec.volumes.iter().flatten();
        let volume = volume.clone().find(|volume| volume.name == mount.name);
        let projected = volume.and_then(|volume| volume.projected.clone());
        let projected = projected
            .ok_or_else(|| wrong(format!("its volume {} is not projected", mount.name)))?;
        let dir = dir.join(count.to_string());
        count += 1;
        let files = dir.join("files");
        std::fs::create_dir_all(&files).map_err(Error::io("create a volume"))?;
        // `/var/run` is a symbolic link.
        let path = mount.mount_path.replacen("/var/run/", "/run/", 1);
        write(&dir.join("path"), &path)?;
        let group = spec
            .security_context
            .as_ref()
            .and_then(|context| context.fs_group);
        let access = Access {
            user: u32::try_from(user).unwrap_or(0),
            group: group.and_then(|group| u32::try_from(group).ok()),
            mode: projected
                .default_mode
                .and_then(|mode| u32::try_from(mode).ok()),
        };
        for source in projected.sources.unwrap_or_default() {
            project(client, pod, source, &files, access).await?;
        }
    }
    if count == 0 {
        return Err(wrong("it has no projected volume".to_owned()));
    }
    Ok(())
}

/// The access to the files of a volume.
#[derive(Clone, Copy)]
struct Access {
    user: u32,
    /// `fsGroup` of the pod.
    group: Option<u32>,
    /// `defaultMode` of the volume.
    mode: Option<u32>,
}

/// Writes the files of one source of a projected volume. A token is readable by the pod's user only.
async fn project(
    client: &kube::Client,
    pod: &Pod,
    source: VolumeProjection,
    dir: &Path,
    access: Access,
) -> Result<()> {
    let (namespace, name) = (pod.namespace().unwrap_or_default(), pod.name_any());
    if let Some(projection) = source.service_account_token {
        let spec = pod.spec.clone().unwrap_or_default();
        let account = spec.service_account_name.unwrap_or_default();
        let request = TokenRequest {
            spec: Some(TokenRequestSpec {
                audiences: Some(projection.audience.into_iter().collect()),
                expiration_seconds: projection.expiration_seconds,
                bound_object_ref: Some(BoundObjectReference {
                    api_version: Some("v1".to_owned()),
                    kind: Some("Pod".to_owned()),
                    name: Some(name.clone()),
                    uid: pod.uid(),
                }),
                ..TokenRequestSpec::default()
            }),
            ..TokenRequest::default()
        };
        let answer = Api::<ServiceAccount>::namespaced(client.clone(), &namespace)
            .create_token_request(&account, &PostParams::default(), &request)
            .await
            .map_err(Error::kube(format!("request a token for {account}")))?;
        let token = answer.status.and_then(|status| status.token);
        let token = token.unwrap_or_default();
        return own(&dir.join(projection.path), &token, access.user);
    }
    if let Some(projection) = source.config_map {
        let map = projection.name.as_str();
        let found = Api::<ConfigMap>::namespaced(client.clone(), &namespace)
            .get(map)
            .await
            .map_err(Error::kube(format!("read ConfigMap {map}")))?;
        let data = found.data.unwrap_or_default().into_iter();
        let data = data.map(|(key, text)| (key, text.into_bytes())).collect();
        return share(dir, data, projection.items, access);
    }
    if let Some(projection) = source.secret {
        let data = manifest::secret_data(client, &namespace, &projection.name).await?;
        return share(dir, data, projection.items, access);
    }
    if let Some(projection) = source.downward_api {
        for item in projection.items.unwrap_or_default() {
            own(&dir.join(item.path), &namespace, access.user)?;
        }
        return Ok(());
    }
    Err(Error::Document {
        what: format!("pod {name}"),
        message: format!("its volume has {source:?}, unknown to the harness"),
    })
}

/// Writes the items of a ConfigMap or Secret, or all of it without items, with the owner and mode that
/// a kubelet gives them.
fn share(
    dir: &Path,
    data: BTreeMap<String, Vec<u8>>,
    items: Option<Vec<KeyToPath>>,
    access: Access,
) -> Result<()> {
    let all = || data.keys().map(|key| (key.clone(), key.clone())).collect();
    let paths: Vec<(String, String)> = items.map_or_else(all, |items| {
        items
            .into_iter()
            .map(|item| (item.key, item.path))
            .collect()
    });
    for (key, path) in paths {
        let path = dir.join(path);
        let failed = || format!("write {}", path.display());
        if let Some(parent) = path.parent() {
            std::fs::create_dir_all(parent).map_err(Error::io(failed()))?;
        }
        let text = data.get(&key).cloned().unwrap_or_default();
        std::fs::write(&path, text).map_err(Error::io(failed()))?;
        let mode = std::fs::Permissions::from_mode(access.mode.unwrap_or(0o644));
        std::fs::set_permissions(&path, mode).map_err(Error::io(failed()))?;
        std::os::unix::fs::chown(&path, Some(0), access.group).map_err(Error::io(failed()))?;
    }
    Ok(())
}

/// Writes a file that only the user can read.
fn own(path: &Path, text: &str, user: u32) -> Result<()> {
    write(path, text)?;
    let failed = || format!("give {} to user {user}", path.display());
    let mode = std::fs::Permissions::from_mode(0o400);
    std::fs::set_permissions(path, mode).map_err(Error::io(failed()))?;
    std::os::unix::fs::chown(path, Some(user), Some(user)).map_err(Error::io(failed()))
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
