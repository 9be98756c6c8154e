//! Every source of a secret holds a marked value, and no output of the program contains
//! a mark: neither in a successful run nor in any class of error.

use std::path::{Path, PathBuf};

use ::harness::{
    Account, FaultServer, Rebalancer, Result, Run, TestNamespace, WorkloadSpec,
    fault::refused_url,
    http::{Reply, Request},
};
use k8s_openapi::api::{
    apps::v1::Deployment, coordination::v1::Lease, core::v1, events::v1::Event,
};
use rstest::rstest;
use serde_json::{Value, json};

use crate::support::{Outcome, account, shared::Shared, skewed};

/// Every secret that a run can be given.
const METRICS_TOKEN: &str = "mark-of-the-metrics-token";
const PASSWORD: &str = "mark of the password";
/// `me:mark of the password` in base 64.
const PAIR: &str = "bWU6bWFyayBvZiB0aGUgcGFzc3dvcmQ=";
const HEADER: &str = "mark-of-the-header, with=more";
const KUBE_TOKEN: &str = "mark.of-the_kube.token";

/// The sources of the secrets of a run; two sets, since some sources exclude each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum From {
    /// A bearer token for the metrics, headers from the environment, token and client key in the
    /// kubeconfig itself.
    Environment,
    /// A password for the metrics, headers from the configuration file, token and client key in
    /// files that the kubeconfig names.
    Files,
}

/// The secrets of a run, and the files that they are in.
struct Secrets {
    from: From,
    dir: tempfile::TempDir,
    kube_token: String,
    /// A private key and its certificate, as PEM.
    key: String,
    certificate: String,
}

impl Secrets {
    fn new(from: From, kube_token: &str) -> Self {
        let made = rcgen::generate_simple_self_signed(["nobody".to_owned()]).unwrap();
        let secrets = Self {
            from,
            dir: tempfile::tempdir().unwrap(),
            kube_token: kube_token.to_owned(),
            key: made.signing_key.serialize_pem(),
            certificate: made.cert.pem(),
        };
        secrets.write("metrics-token", &format!("{METRICS_TOKEN}\n"));
        secrets.write("password", &format!("{PASSWORD}\n"));
        secrets.write("kube-token", &format!("{kube_token}\n"));
        secrets.write("client.key", &secrets.key);
        secrets.write("client.crt", &secrets.certificate);
        secrets.write(
            "config.yaml",
            &format!("prometheus_headers: {{X-Api-Key: '{HEADER}'}}\n"),
        );
        secrets
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn write(&self, name: &str, text: &str) {
        std::fs::write(self.path(name), text).unwrap();
    }

    /// Writes a kubeconfig for a cluster and its authority.
    fn kubeconfig(&self, server: &str, authority: Option<&Path>) -> PathBuf {
        let user = match self.from {
            From::Environment => json!({
                "token": self.kube_token,
                "client-key-data": base64(&self.key),
                "client-certificate-data": base64(&self.certificate),
            }),
            From::Files => json!({
                "tokenFile": self.path("kube-token"),
                "client-key": self.path("client.key"),
                "client-certificate": self.path("client.crt"),
            }),
        };
        let mut cluster = json!({"server": server});
        if let Some(authority) = authority {
            cluster["certificate-authority"] = json!(authority);
        }
        let config = json!({
            "apiVersion": "v1", "kind": "Config", "current-context": "c",
            "clusters": [{"name": "c", "cluster": cluster}],
            "users": [{"name": "c", "user": user}],
            "contexts": [{"name": "c", "context": {"cluster": "c", "user": "c"}}],
        });
        self.write("kubeconfig", &config.to_string());
        self.path("kubeconfig")
    }

    /// The program with all secrets configured.
    fn give(&self, program: Rebalancer) -> Rebalancer {
        let program = program.env("LOG_LEVEL", "debug");
        match self.from {
            From::Environment => program
                .env("PROMETHEUS_BEARER_TOKEN_FILE", self.path("metrics-token"))
                // A comma would end the value.
                .env(
                    "PROMETHEUS_HEADERS",
                    format!("X-Api-Key={}", header_alone()),
                ),
            From::Files => program
                .env("PROMETHEUS_USERNAME", "me")
                .env("PROMETHEUS_PASSWORD_FILE", self.path("password"))
                .env("REBALANCER_CONFIG", self.path("config.yaml")),
        }
    }

    /// The texts that no output may contain.
    fn marks(&self) -> Vec<String> {
        let mut marks: Vec<String> = [METRICS_TOKEN, PASSWORD, PAIR, HEADER, header_alone()]
            .map(str::to_owned)
            .into();
        marks.push(self.kube_token.clone());
        // For a JWT, each part of the token.
        marks.extend(self.kube_token.split('.').map(str::to_owned));
        let lines = self.key.lines().filter(|line| !line.starts_with("-----"));
        marks.extend(lines.map(str::to_owned));
        marks.push(base64(&self.key));
        marks.retain(|mark| mark.len() > 8);
        marks
    }

    /// Panics if the text contains one of them.
    fn assert_not_in(&self, what: &str, text: &str) {
        for mark in self.marks() {
            assert!(!text.contains(&mark), "{mark:?} is in {what}: {text}");
        }
    }

    fn assert_not_shown(&self, what: &str, run: &Run) {
        self.assert_not_in(&format!("standard output of {what}"), &run.stdout);
        self.assert_not_in(&format!("standard error of {what}"), &run.stderr);
    }
}

fn header_alone() -> &'static str {
    HEADER.split(',').next().unwrap()
}

/// The encoding of data in a kubeconfig.
fn base64(text: &str) -> String {
    use k8s_openapi::ByteString;
    let encoded = serde_json::to_value(ByteString(text.as_bytes().to_vec())).unwrap();
    encoded.as_str().unwrap().to_owned()
}

/// A response that quotes every header of the request.
fn echo(request: &Request) -> String {
    let headers: Vec<String> = request
        .headers
        .iter()
        .map(|(name, value)| format!("{name}: {value}"))
        .collect();
    format!("you sent {}", headers.join(" and "))
}

fn answer(status: u16, content_type: &str, body: String) -> Reply {
    Reply::Answer {
        status,
        content_type: content_type.to_owned(),
        body,
    }
}

/// The failure of a server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum ServerFault {
    Unauthorized,
    Forbidden,
    Gateway,
    NotTheApi,
    Complaint,
    Redirect,
    Refused,
    Tls,
    Timeout,
}

impl ServerFault {
    const ALL: [Self; 9] = [
        Self::Unauthorized,
        Self::Forbidden,
        Self::Gateway,
        Self::NotTheApi,
        Self::Complaint,
        Self::Redirect,
        Self::Refused,
        Self::Tls,
        Self::Timeout,
    ];

    /// The connection fails before the server receives a secret.
    fn comes_first(self) -> bool {
        matches!(self, Self::Refused | Self::Tls)
    }

    /// The response of the server; `complain` makes an error document from a text.
    fn reply(self, request: &Request, complain: fn(&str) -> Value) -> Reply {
        let words = echo(request);
        let json = |status, body: Value| answer(status, "application/json", body.to_string());
        match self {
            Self::Unauthorized => answer(401, "text/plain", words),
            Self::Forbidden => json(403, complain(&words)),
            Self::Gateway => answer(502, "text/html", format!("<html>{words}")),
            Self::NotTheApi => json(
                200,
                json!({"kind": words, "status": words, "metadata": words, "items": words}),
            ),
            Self::Complaint => json(400, complain(&words)),
            Self::Redirect => {
                let secret = request.header("authorization").unwrap_or_default();
                let secret = secret.split(' ').next_back().unwrap_or_default();
                Reply::Redirect {
                    status: 302,
                    location: format!("http://me:{secret}@localhost/{secret}?{secret}#{secret}"),
                }
            }
            Self::Refused | Self::Tls => Reply::HangUp,
            Self::Timeout => Reply::Stall,
        }
    }

    /// A server with that failure, if one is needed, and its address.
    async fn server(self, complain: fn(&str) -> Value) -> Result<(Option<FaultServer>, String)> {
        if self == Self::Refused {
            return Ok((None, refused_url()?));
        }
        let server = FaultServer::answering(move |request| self.reply(request, complain)).await?;
        let mut url = server.url();
        if self == Self::Tls {
            url = url.replace("http://", "https://");
        }
        Ok((Some(server), url))
    }
}

fn of_prometheus(words: &str) -> Value {
    json!({"status": "error", "errorType": words, "error": words})
}

fn of_kubernetes(words: &str) -> Value {
    json!({"kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": words,
        "message": words, "details": {"causes": [{"reason": words, "message": words}]}})
}

/// Runs `plan` with both log and report formats; the runs must fail.
async fn fails(secrets: &Secrets, what: &str, program: &Rebalancer) -> Result<()> {
    for (log, output) in [("json", "json"), ("text", "table"), ("text", "yaml")] {
        let run = program
            .clone()
            .arg("plan")
            .env("LOG_FORMAT", log)
            .env("OUTPUT", output)
            .run()
            .await?;
        assert_eq!(run.code, Some(1), "{what}: {run}");
        secrets.assert_not_shown(what, &run);
    }
    Ok(())
}

#[rstest]
#[tokio::test]
async fn no_failure_of_the_metrics_server_shows_a_secret(
    #[values(From::Environment, From::Files)] from: From,
) -> Result<()> {
    let shared = Shared::open().await?;
    let secrets = Secrets::new(from, KUBE_TOKEN);
    for failure in ServerFault::ALL {
        let (server, url) = failure.server(of_prometheus).await?;
        let program = secrets
            .give(shared.ns.rebalancer_for("consumer"))
            .env("PROMETHEUS_ENDPOINT", url)
            .env("PROMETHEUS_TIMEOUT", "1s");
        fails(&secrets, &format!("{failure:?} of Prometheus"), &program).await?;
        let requests = server.map_or_else(Vec::new, |server| server.requests());
        let sent: String = requests.iter().map(echo).collect();
        let expected = match from {
            From::Environment => [METRICS_TOKEN, header_alone()],
            From::Files => [PAIR, HEADER],
        };
        assert!(
            failure.comes_first() || expected.iter().all(|secret| sent.contains(secret)),
            "{failure:?}: {sent}"
        );
    }
    Ok(())
}

#[rstest]
#[tokio::test]
async fn no_failure_of_the_api_server_shows_a_secret(
    #[values(From::Environment, From::Files)] from: From,
) -> Result<()> {
    let shared = Shared::open().await?;
    let secrets = Secrets::new(from, KUBE_TOKEN);
    for failure in ServerFault::ALL {
        let (server, url) = failure.server(of_kubernetes).await?;
        let program = secrets
            .give(shared.ns.rebalancer_for("consumer"))
            .env("KUBECONFIG", secrets.kubeconfig(&url, None))
            .env("KUBE_TIMEOUT", "1s");
        fails(&secrets, &format!("{failure:?} of Kubernetes"), &program).await?;
        let requests = server.map_or_else(Vec::new, |server| server.requests());
        let sent: String = requests.iter().map(echo).collect();
        assert!(
            failure.comes_first() || sent.contains(KUBE_TOKEN),
            "{failure:?}: {sent}"
        );
    }
    Ok(())
}

/// The output of a run whose token comes from an exec plugin of the kubeconfig.
#[tokio::test]
async fn token_of_a_plugin_is_not_shown() -> Result<()> {
    let shared = Shared::open().await?;
    let secrets = Secrets::new(From::Environment, KUBE_TOKEN);
    let credential = json!({"apiVersion": "client.authentication.k8s.io/v1",
        "kind": "ExecCredential", "status": {"token": KUBE_TOKEN}});
    let (server, url) = ServerFault::Gateway.server(of_kubernetes).await?;
    let config = json!({
        "apiVersion": "v1", "kind": "Config", "current-context": "c",
        "clusters": [{"name": "c", "cluster": {"server": url}}],
        "users": [{"name": "c", "user": {"exec": {
            "apiVersion": "client.authentication.k8s.io/v1", "command": "/bin/echo",
            "args": [credential.to_string()], "interactiveMode": "Never"}}}],
        "contexts": [{"name": "c", "context": {"cluster": "c", "user": "c"}}],
    });
    secrets.write("kubeconfig", &config.to_string());
    let program = secrets
        .give(shared.ns.rebalancer_for("consumer"))
        .env("KUBECONFIG", secrets.path("kubeconfig"));
    fails(&secrets, "a token of a plugin", &program).await?;
    let requests = server.map_or_else(Vec::new, |server| server.requests());
    assert!(
        requests
            .iter()
            .any(|request| echo(request).contains(KUBE_TOKEN))
    );
    Ok(())
}

/// Other users of the host cannot read secrets from the arguments of the program or its children.
#[tokio::test]
async fn arguments_of_the_running_program_contain_no_secret() -> Result<()> {
    let shared = Shared::open().await?;
    for from in [From::Environment, From::Files] {
        let secrets = Secrets::new(from, KUBE_TOKEN);
        let server = FaultServer::stall().await?;
        let kubernetes = FaultServer::stall().await?;
        let running = secrets
            .give(shared.ns.rebalancer_for("consumer"))
            .env("PROMETHEUS_ENDPOINT", server.url())
            .env("KUBECONFIG", secrets.kubeconfig(&kubernetes.url(), None))
            .arg("plan")
            .spawn()?;
        while server.requests().is_empty() || kubernetes.requests().is_empty() {
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
        let id = running.id().unwrap();
        let arguments = std::fs::read(format!("/proc/{id}/cmdline")).unwrap();
        let arguments = String::from_utf8_lossy(&arguments).into_owned();
        assert!(arguments.ends_with("plan\0"), "{arguments:?}");
        secrets.assert_not_in("the arguments", &arguments);
        let children = std::fs::read_to_string(format!("/proc/{id}/task/{id}/children"));
        assert_eq!(children.unwrap_or_default(), "", "it started programs");
        running.terminate().await?;
        let run = running.wait().await?;
        assert_eq!(run.code, Some(1), "{run}");
        secrets.assert_not_shown("a run that was stopped", &run);
    }
    Ok(())
}

/// Every process on the host could read a flag, so no flag exists.
#[tokio::test]
async fn headers_have_no_flag() -> Result<()> {
    for args in [
        vec![format!("--prometheus-headers=X-Api-Key={HEADER}")],
        vec![
            "--prometheus-headers".to_owned(),
            format!("X-Api-Key={HEADER}"),
        ],
    ] {
        let run = Rebalancer::new().arg("plan").args(args).run().await?;
        assert_eq!(run.code, Some(2), "{run}");
        assert!(
            run.stderr
                .contains("set the environment variable PROMETHEUS_HEADERS"),
            "{run}"
        );
        assert!(!run.stderr.contains(header_alone()), "{run}");
    }
    Ok(())
}

/// An account with all rights in the test namespace.
async fn admin(ns: &TestNamespace) -> Result<Account> {
    let everything = "[{apiGroups: ['*'], resources: ['*'], verbs: ['*']}]";
    account(ns, "everything", everything).await
}

/// A whole run on real servers: its output, its files, and the objects that it writes.
#[rstest]
#[tokio::test]
async fn a_successful_run_shows_no_secret(
    #[values(From::Environment, From::Files)] from: From,
) -> Result<()> {
    let ns = TestNamespace::start().await?;
    let consumer = skewed(&ns, WorkloadSpec::deployment("consumer")).await?;
    let account = admin(&ns).await?;
    let secrets = Secrets::new(from, &account.token);
    let control_plane = ns.control_plane();
    let kubeconfig = secrets.kubeconfig(control_plane.url(), Some(&control_plane.certificate()));
    let program = secrets
        .give(ns.rebalancer(&consumer))
        .env("KUBECONFIG", kubeconfig);

    let kept = secrets.path("snapshot.json");
    for (log, output) in [("json", "json"), ("text", "table"), ("text", "yaml")] {
        let run = program
            .clone()
            .args(["plan", "--save"])
            .arg(&kept)
            .env("LOG_FORMAT", log)
            .env("OUTPUT", output)
            .run()
            .await?;
        assert_eq!(run.code, Some(0), "{run}");
        assert!(run.stderr.contains("API call"), "{run}");
        secrets.assert_not_shown("plan", &run);
        let snapshot = std::fs::read_to_string(&kept).unwrap();
        assert!(snapshot.contains("consumer"), "{snapshot}");
        secrets.assert_not_in("the snapshot", &snapshot);
    }

    let run = program.env("OUTPUT", "json").run().await?;
    assert_eq!(run.code, Some(0), "{run}");
    secrets.assert_not_shown("a run", &run);
    assert_eq!(Outcome(run).outcomes(), ["evicted"; 4]);
    // Everything that the run wrote, read back from the API.
    let all = Default::default();
    let events = ns.api::<Event>().list(&all).await.unwrap().items;
    let leases = ns.api::<Lease>().list(&all).await.unwrap().items;
    let workload = ns.api::<Deployment>().get("consumer").await.unwrap();
    let pods = ns.api::<v1::Pod>().list(&all).await.unwrap().items;
    assert_eq!(leases.len(), 1);
    let ours =
        |event: &&Event| event.reporting_controller.as_deref() == Some("rebalancer.io/rebalancer");
    assert_eq!(events.iter().filter(ours).count(), 5);
    let remembered = workload.metadata.annotations.as_ref();
    assert!(remembered.is_some_and(|all| all.contains_key("rebalancer.io/last-rotation")));
    let written = serde_json::to_string(&json!([events, leases, workload, pods])).unwrap();
    secrets.assert_not_in("the cluster", &written);
    Ok(())
}
