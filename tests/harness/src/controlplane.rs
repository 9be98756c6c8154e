//! The Kubernetes control plane: etcd, kube-apiserver and kube-controller-manager.

use std::{
    fs,
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
    time::Duration,
};

use kube::config::{KubeConfigOptions, Kubeconfig};
use ring::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _};
use serde_json::{Value, json};

use crate::{
    Error, Result,
    assets::ControlPlanePrograms,
    audit,
    http::get,
    process::{Server, free_port, server_dir, with_ports},
};

/// Start-up deadline of each server, with room for a machine busy with a build.
const START_DEADLINE: Duration = Duration::from_secs(120);

/// The harness's own token, with all rights. The servers listen on loopback and hold no real data,
/// so the token need not be secret.
pub(crate) const ADMIN_TOKEN: &str = "harness-admin";

/// The token of the program under test, with all rights, unless a test gives it a service account.
/// Calls with this token are recorded in the audit log.
const PROGRAM_TOKEN: &str = "harness-program";

/// The controllers that act on objects. The autoscaler's controller is left out: the tests set the
/// number of pods and the autoscaler's status.
const CONTROLLERS: &str = "deployment-controller,replicaset-controller,statefulset-controller,\
    disruption-controller,garbage-collector-controller,serviceaccount-controller,\
    namespace-controller,cronjob-controller,job-controller,root-ca-certificate-publisher-controller";

/// Excludes the calls of the harness and of the control plane itself; the first matching rule
/// decides. `Request` keeps request bodies, such as the preconditions of an eviction.
const AUDIT_POLICY: &str = "apiVersion: audit.k8s.io/v1\nkind: Policy\nomitStages: [RequestReceived]\nrules:\n\
    - level: Request\n  users: [program]\n\
    - level: None\n  userGroups: ['system:masters']\n\
    - level: None\n  users: ['system:apiserver']\n\
    - level: Request\n";

/// A running control plane.
#[derive(Debug)]
pub struct ControlPlane {
    // Dropped in this order.
    _controller_manager: Server,
    /// `None` while the API server is stopped.
    api_server: Mutex<Option<Server>>,
    etcd: Server,
    program: PathBuf,
    addresses: Addresses,
}

/// Listening addresses. The API server keeps its address across a restart.
#[derive(Debug, Clone)]
struct Addresses {
    etcd: String,
    port: u16,
    url: String,
    audit_log: PathBuf,
}

impl ControlPlane {
    /// Starts the control plane. It is ready once the API responds and the controllers run.
    ///
    /// # Errors
    /// If a program is missing or does not become ready.
    pub async fn start() -> Result<Self> {
        let programs = tokio::task::spawn_blocking(ControlPlanePrograms::locate)
            .await
            .map_err(Error::document(
                "the search for the control plane's programs",
            ))??;
        let (etcd, etcd_url) = with_ports(async || start_etcd(&programs.etcd).await).await?;
        let files = files(&etcd);
        let program = programs.kube_apiserver;
        let audit_log = audit::new_log()?;
        let (api_server, addresses) = with_ports(async || {
            let port = free_port()?;
            let addresses = Addresses {
                etcd: etcd_url.clone(),
                port,
                url: format!("https://127.0.0.1:{port}"),
                audit_log: audit_log.clone(),
            };
            write_files(&files, &addresses.url)?;
            let server = start_api_server(&program, &files, &addresses).await?;
            Ok((server, addresses))
        })
        .await?;
        let controller_manager = with_ports(async || {
            start_controller_manager(&programs.kube_controller_manager, &files).await
        })
        .await?;
        Ok(Self {
            _controller_manager: controller_manager,
            api_server: Mutex::new(Some(api_server)),
            etcd,
            program,
            addresses,
        })
    }

    /// Kills the API server. Its state remains in etcd.
    pub fn stop_api_server(&self) {
        let server = self
            .api_server
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        drop(server);
    }

    /// Restarts the API server at its old address.
    ///
    /// # Errors
    /// If it does not become ready.
    pub async fn start_api_server(&self) -> Result<()> {
        let server = start_api_server(&self.program, &self.dir(), &self.addresses).await?;
        *self
            .api_server
            .lock()
            .unwrap_or_else(PoisonError::into_inner) = Some(server);
        Ok(())
    }

    /// The URL of the API server.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.addresses.url
    }

    /// The socket address of the API server.
    pub(crate) fn address(&self) -> SocketAddr {
        SocketAddr::from(([127, 0, 0, 1], self.addresses.port))
    }

    /// The directory of the cluster's files, removed with the process.
    pub(crate) fn dir(&self) -> PathBuf {
        files(&self.etcd)
    }

    /// The path of the API server's self-signed certificate, which clients trust.
    #[must_use]
    pub fn certificate(&self) -> PathBuf {
        certificate(&self.dir())
    }

    /// The path of a kubeconfig with all rights.
    #[must_use]
    pub fn admin_kubeconfig(&self) -> PathBuf {
        admin_kubeconfig(&self.dir())
    }

    /// The path of a kubeconfig with all rights for the program under test. Its calls are in the
    /// audit log.
    #[must_use]
    pub fn program_kubeconfig(&self) -> PathBuf {
        program_kubeconfig(&self.dir())
    }

    /// Creates a client with all rights, for use on the current runtime.
    ///
    /// # Errors
    /// If the client cannot be built.
    pub async fn client(&self) -> Result<kube::Client> {
        client(&self.admin_kubeconfig()).await
    }

    /// The OpenAPI document (version 2) of the API server.
    ///
    /// # Errors
    /// If the API server does not answer with a JSON document.
    pub async fn openapi(&self) -> Result<Value> {
        let request = ::http::Request::get("/openapi/v2")
            .body(Vec::new())
            .map_err(Error::document("a request for /openapi/v2"))?;
        let client = self.client().await?;
        let answer = client.request(request).await;
        answer.map_err(Error::kube("read /openapi/v2"))
    }

    /// The path of the audit log, which omits the calls of the harness and of the control plane.
    #[must_use]
    pub fn audit_log(&self) -> PathBuf {
        self.addresses.audit_log.clone()
    }

    /// Writes a kubeconfig for a token.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub fn write_kubeconfig(&self, path: &Path, token: &str, namespace: &str) -> Result<()> {
        let user = json!({"token": token});
        write_kubeconfig(path, self.url(), &self.certificate(), user, namespace)
    }
}

/// Creates a client that does not retry: kube's own retries would hide a budget's 429.
pub(crate) async fn client(kubeconfig: &Path) -> Result<kube::Client> {
    // Another test may have installed the provider already, which is fine.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let what = || kubeconfig.display().to_string();
    let read = Kubeconfig::read_from(kubeconfig).map_err(Error::document(what()))?;
    let mut config = kube::Config::from_custom_kubeconfig(read, &KubeConfigOptions::default())
        .await
        .map_err(Error::document(what()))?;
    config.default_retry = false;
    kube::Client::try_from(config).map_err(Error::kube("build a Kubernetes client"))
}

async fn start_etcd(program: &Path) -> Result<(Server, String)> {
    let dir = server_dir("etcd")?;
    let client = format!("http://127.0.0.1:{}", free_port()?);
    let peer = format!("http://127.0.0.1:{}", free_port()?);
    let args = [
        format!("--data-dir={}", dir.join("data").display()),
        "--unsafe-no-fsync".to_owned(),
        format!("--listen-client-urls={client}"),
        format!("--advertise-client-urls={client}"),
        format!("--listen-peer-urls={peer}"),
        format!("--initial-advertise-peer-urls={peer}"),
        format!("--initial-cluster=default={peer}"),
        "--log-level=warn".to_owned(),
    ];
    let mut server = Server::spawn("etcd", program, args, dir)?;
    let address = client
        .trim_start_matches("http://")
        .parse()
        .map_err(Error::document(client.clone()))?;
    server
        .wait_ready(START_DEADLINE, async || {
            match get(address, "/health").await {
                Ok((200, _)) => Ok(()),
                Ok((status, body)) => Err(format!("/health answered {status}: {body}")),
                Err(error) => Err(error.to_string()),
            }
        })
        .await?;
    Ok((server, client))
}

/// The directory of the cluster's files. It is inside etcd's directory, which exists before and
/// after the API server and is always removed.
fn files(etcd: &Server) -> PathBuf {
    etcd.dir().join("cluster")
}

fn certificate(files: &Path) -> PathBuf {
    files.join("certificates/apiserver.crt")
}

fn write_files(files: &Path, url: &str) -> Result<()> {
    fs::create_dir_all(files).map_err(Error::io(format!("create {}", files.display())))?;
    write_service_account_keys(files)?;
    write(
        &files.join("tokens.csv"),
        &format!(
            "{ADMIN_TOKEN},harness,harness,system:masters\n\
             {PROGRAM_TOKEN},program,program,system:masters\n"
        ),
    )?;
    write(&files.join("audit-policy.yaml"), AUDIT_POLICY)?;
    for (token, kubeconfig) in [
        (ADMIN_TOKEN, admin_kubeconfig(files)),
        (PROGRAM_TOKEN, program_kubeconfig(files)),
    ] {
        let user = json!({"token": token});
        write_kubeconfig(&kubeconfig, url, &certificate(files), user, "default")?;
    }
    Ok(())
}

async fn start_api_server(program: &Path, files: &Path, addresses: &Addresses) -> Result<Server> {
    let Addresses { etcd, port, .. } = addresses;
    let file = |name: &str| files.join(name).display().to_string();
    let args = [
        format!("--etcd-servers={etcd}"),
        "--bind-address=127.0.0.1".to_owned(),
        // Listed in the server's self-signed certificate.
        "--advertise-address=127.0.0.1".to_owned(),
        "--endpoint-reconciler-type=none".to_owned(),
        format!("--secure-port={port}"),
        format!("--cert-dir={}", file("certificates")),
        "--service-account-issuer=https://kubernetes.default.svc".to_owned(),
        format!(
            "--service-account-key-file={}",
            file(SERVICE_ACCOUNT_PUBLIC_KEY)
        ),
        format!(
            "--service-account-signing-key-file={}",
            file(SERVICE_ACCOUNT_KEY)
        ),
        format!("--token-auth-file={}", file("tokens.csv")),
        "--authorization-mode=RBAC".to_owned(),
        "--service-cluster-ip-range=10.0.0.0/24".to_owned(),
        format!("--audit-policy-file={}", file("audit-policy.yaml")),
        format!("--audit-log-path={}", addresses.audit_log.display()),
        // Blocking mode writes an entry before the caller gets its response.
        "--audit-log-mode=blocking".to_owned(),
        "--audit-log-maxsize=10000".to_owned(),
        "--max-requests-inflight=2000".to_owned(),
        "--max-mutating-requests-inflight=1000".to_owned(),
    ];
    let dir = server_dir("kube-apiserver")?;
    let mut server = Server::spawn("kube-apiserver", program, args, dir)?;
    let kubeconfig = admin_kubeconfig(files);
    server
        .wait_ready(START_DEADLINE, async || {
            // The certificate does not exist at the first attempts.
            let client = client(&kubeconfig)
                .await
                .map_err(|error| error.to_string())?;
            let request = ::http::Request::get("/readyz")
                .body(Vec::new())
                .map_err(|error| error.to_string())?;
            client
                .request_text(request)
                .await
                .map(drop)
                .map_err(|error| error.to_string())
        })
        .await?;
    Ok(server)
}

async fn start_controller_manager(program: &Path, api_server: &Path) -> Result<Server> {
    let dir = server_dir("kube-controller-manager")?;
    let (health, health_port) = (Duration::from_secs(5), free_port()?);
    let args = [
        format!("--kubeconfig={}", admin_kubeconfig(api_server).display()),
        "--leader-elect=false".to_owned(),
        format!(
            "--service-account-private-key-file={}",
            api_server.join(SERVICE_ACCOUNT_KEY).display()
        ),
        format!("--root-ca-file={}", certificate(api_server).display()),
        format!("--controllers={CONTROLLERS}"),
        "--bind-address=127.0.0.1".to_owned(),
        format!("--secure-port={health_port}"),
        format!("--cert-dir={}", dir.join("certificates").display()),
        // The default of 20 requests per second would need a minute for 1,000 pods.
        "--kube-api-qps=2000".to_owned(),
        "--kube-api-burst=4000".to_owned(),
    ];
    let mut server = Server::spawn("kube-controller-manager", program, args, dir)?;
    let client = client(&admin_kubeconfig(api_server)).await?;
    let accounts =
        kube::Api::<k8s_openapi::api::core::v1::ServiceAccount>::namespaced(client, "default");
    server
        .wait_ready(START_DEADLINE, async || {
            // A controller creates these, so their existence shows that the controllers run.
            match tokio::time::timeout(health, accounts.get_opt("default")).await {
                Ok(Ok(Some(_))) => Ok(()),
                Ok(Ok(None)) => Err("no service account was made yet".to_owned()),
                Ok(Err(error)) => Err(error.to_string()),
                Err(elapsed) => Err(elapsed.to_string()),
            }
        })
        .await?;
    Ok(server)
}

fn admin_kubeconfig(dir: &Path) -> PathBuf {
    dir.join("admin.kubeconfig")
}

fn program_kubeconfig(dir: &Path) -> PathBuf {
    dir.join("program.kubeconfig")
}

/// Writes a kubeconfig for one server and one user.
pub(crate) fn write_kubeconfig(
    path: &Path,
    url: &str,
    authority: &Path,
    user: Value,
    namespace: &str,
) -> Result<()> {
    let config = json!({
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "harness", "cluster": {
            "server": url,
            "certificate-authority": authority,
        }}],
        "users": [{"name": "harness", "user": user}],
        "contexts": [{"name": "harness", "context": {
            "cluster": "harness", "user": "harness", "namespace": namespace,
        }}],
        "current-context": "harness",
    });
    // JSON is valid YAML.
    write(path, &format!("{config:#}\n"))
}

const SERVICE_ACCOUNT_KEY: &str = "service-account.key";
const SERVICE_ACCOUNT_PUBLIC_KEY: &str = "service-account.pub";

/// Generates the key that signs service account tokens. A key in the repository would trigger
/// secret scanners.
fn write_service_account_keys(dir: &Path) -> Result<()> {
    /// The DER prefix of a P-256 public key (RFC 5480), up to the curve point.
    const SPKI_P256: [u8; 26] = [
        0x30, 0x59, 0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x08,
        0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07, 0x03, 0x42, 0x00,
    ];
    let random = ring::rand::SystemRandom::new();
    let failed = |error: &dyn std::fmt::Display| Error::Document {
        what: "a new service account key".to_owned(),
        message: error.to_string(),
    };
    let algorithm = &ECDSA_P256_SHA256_FIXED_SIGNING;
    let private =
        EcdsaKeyPair::generate_pkcs8(algorithm, &random).map_err(|error| failed(&error))?;
    let pair = EcdsaKeyPair::from_pkcs8(algorithm, private.as_ref(), &random)
        .map_err(|error| failed(&error))?;
    let public = [&SPKI_P256, pair.public_key().as_ref()].concat();
    let pem = |tag: &str, der: &[u8]| pem::encode(&pem::Pem::new(tag, der));
    write(
        &dir.join(SERVICE_ACCOUNT_KEY),
        &pem("PRIVATE KEY", private.as_ref()),
    )?;
    write(
        &dir.join(SERVICE_ACCOUNT_PUBLIC_KEY),
        &pem("PUBLIC KEY", &public),
    )
}

fn write(path: &Path, text: &str) -> Result<()> {
    fs::write(path, text).map_err(Error::io(format!("write {}", path.display())))
}
