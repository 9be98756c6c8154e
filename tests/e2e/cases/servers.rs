//! Servers that are not reached directly, or not by plain HTTP: tenancy proxies, HTTP proxies,
//! client certificates, and kubeconfigs with credentials that clients no longer support.

use std::path::{Path, PathBuf};

use ::harness::{
    FaultServer, ForwardProxy, MetricsServer, Rebalancer, Result, TenancyProxy, gateway::DOMAIN,
};
use rcgen::{BasicConstraints, CertificateParams, IsCa, KeyPair};
use rstest::rstest;
use serde_json::{Value, json};

use crate::support::{Outcome, RunExt as _, VICTIMS, assert_untouched, shared::Shared, uids};

/// A proxy's credentials, and the value of the header that contains them.
const PASSWORD: &str = "mark-of-the-proxy";
const CREDENTIALS: &str = "me:mark-of-the-proxy";
const AUTHORIZATION: &str = "Basic bWU6bWFyay1vZi10aGUtcHJveHk=";

/// Panics unless `plan` chooses the victims of the skewed workload.
async fn plans(shared: &Shared, program: Rebalancer) -> Result<Outcome> {
    let (_, before) = shared.skewed().await?;
    let run = program.arg("plan").ends_with(0).await?;
    assert_eq!(run.victims(), uids(&before, &VICTIMS), "{}", run.0);
    Ok(run)
}

/// Panics unless a run, which would evict pods of the skewed workload, ends with an error.
async fn fails(shared: &Shared, program: Rebalancer, code: i32, says: &[&str]) -> Result<Outcome> {
    let (consumer, before) = shared.skewed().await?;
    let run = program.ends_with(code).await?;
    run.assert_says(&run.0.stderr, says);
    assert_untouched(&consumer, &before).await?;
    Ok(run)
}

fn write(dir: &Path, name: &str, text: &str) -> PathBuf {
    let path = dir.join(name);
    std::fs::write(&path, text).unwrap();
    path
}

#[tokio::test]
async fn tenancy_proxy_needs_get_and_a_namespace() -> Result<()> {
    let shared = Shared::open().await?;
    let (consumer, _) = shared.skewed().await?;
    let dir = tempfile::tempdir().unwrap();
    let token = write(dir.path(), "token", "a-token\n");
    for server in shared.ns.metrics_servers() {
        let proxy = TenancyProxy::start(server).await?;
        let with_namespace = format!("{}?namespace={}", proxy.url(), shared.ns.name());
        let program = shared
            .ns
            .rebalancer(&consumer)
            .env("PROMETHEUS_BEARER_TOKEN_FILE", &token);
        let post = program.clone().env("PROMETHEUS_ENDPOINT", &with_namespace);
        let says = [
            "HTTP 403: Forbidden",
            "verb=create",
            "set PROMETHEUS_METHOD=GET",
        ];
        fails(&shared, post, 1, &says).await?;
        let get = program.env("PROMETHEUS_METHOD", "GET");
        let without = get.clone().env("PROMETHEUS_ENDPOINT", proxy.url());
        let says = ["HTTP 400: Bad Request", "?namespace=NAMESPACE"];
        fails(&shared, without, 1, &says).await?;
        assert_eq!(proxy.requests(), Vec::<String>::new());

        plans(&shared, get.env("PROMETHEUS_ENDPOINT", with_namespace)).await?;
        let requests = proxy.requests();
        assert!(!requests.is_empty());
        for request in requests {
            let begin = format!("GET /api/v1/query?namespace={}&query=", shared.ns.name());
            assert!(request.starts_with(&begin), "{request}");
        }
    }
    Ok(())
}

/// The address of a server as it is known only beyond the proxy.
fn beyond(url: &str) -> String {
    let (scheme, rest) = url.split_once("://").unwrap();
    let (_, port) = rest.rsplit_once(':').unwrap();
    format!("{scheme}://server.{DOMAIN}:{port}")
}

/// A kubeconfig for the API server with additional settings of the cluster.
fn kubeconfig(shared: &Shared, dir: &Path, server: &str, cluster: Value, user: Value) -> PathBuf {
    let mut settings = json!({
        "server": server,
        "certificate-authority": shared.ns.control_plane().certificate(),
        "tls-server-name": "127.0.0.1",
    });
    for (name, value) in cluster.as_object().unwrap() {
        settings[name] = value.clone();
    }
    let config = json!({
        "apiVersion": "v1", "kind": "Config", "current-context": "c",
        "clusters": [{"name": "c", "cluster": settings}],
        "users": [{"name": "me", "user": user}],
        "contexts": [{"name": "c", "context": {"cluster": "c", "user": "me"}}],
    });
    write(dir, "kubeconfig", &config.to_string())
}

/// The user of the kubeconfig with which the program usually runs.
fn usual_user(shared: &Shared) -> Value {
    let text = std::fs::read_to_string(shared.ns.control_plane().program_kubeconfig()).unwrap();
    let config: Value = serde_json::from_str(&text).unwrap();
    config["users"][0]["user"].clone()
}

#[rstest]
#[case::upper("HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY")]
#[case::lower("http_proxy", "https_proxy", "no_proxy")]
#[tokio::test]
async fn requests_to_both_servers_go_through_the_proxy_of_the_environment(
    #[case] http: &str,
    #[case] https: &str,
    #[case] no: &str,
) -> Result<()> {
    let shared = Shared::open().await?;
    let (consumer, _) = shared.skewed().await?;
    let dir = tempfile::tempdir().unwrap();
    let proxy = ForwardProxy::start(Some(AUTHORIZATION)).await?;
    let url = format!("http://{CREDENTIALS}@{}", proxy.address());
    let metrics = beyond(&shared.ns.prometheus().url());
    let api = beyond(shared.ns.control_plane().url());
    let kubeconfig = kubeconfig(&shared, dir.path(), &api, json!({}), usual_user(&shared));
    let program = shared
        .ns
        .rebalancer(&consumer)
        .env("PROMETHEUS_ENDPOINT", &metrics)
        .env("KUBECONFIG", kubeconfig)
        .env("LOG_LEVEL", "debug")
        .env(http, &url)
        .env(https, &url)
        // kube would not accept the comma at the end.
        .env(no, "localhost,10.0.0.0/8,.svc,");
    let run = plans(&shared, program.clone()).await?;
    let requests = proxy.requests();
    let query = format!("POST {metrics}/api/v1/query");
    let tunnel = format!("CONNECT {}", api.trim_start_matches("https://"));
    assert!(requests.contains(&query), "{requests:?}");
    assert!(requests.contains(&tunnel), "{requests:?}");
    for output in [&run.0.stdout, &run.0.stderr] {
        assert!(!output.contains(PASSWORD), "{}", run.0);
    }

    // Without the proxy, the names cannot be resolved.
    let count = proxy.requests().len();
    let direct = program.clone().env(no, format!("localhost,.{DOMAIN}"));
    let run = direct.ends_with(1).await?;
    run.assert_says(&run.0.stderr, &[&metrics]);
    assert!(!run.0.stderr.contains("through the proxy"), "{}", run.0);
    assert_eq!(proxy.requests().len(), count, "{:?}", proxy.requests());

    // Without credentials.
    let refused = format!("http://{}", proxy.address());
    let program = program.env(http, &refused).env(https, &refused);
    let says = [
        "the proxy requires credentials",
        &format!("through the proxy {refused}"),
    ];
    fails(&shared, program, 1, &says).await?;
    Ok(())
}

#[tokio::test]
async fn proxy_of_the_kubeconfig_is_used() -> Result<()> {
    let shared = Shared::open().await?;
    let (consumer, _) = shared.skewed().await?;
    let dir = tempfile::tempdir().unwrap();
    let proxy = ForwardProxy::start(Some(AUTHORIZATION)).await?;
    let api = beyond(shared.ns.control_plane().url());
    let through = |url: String| {
        let cluster = json!({"proxy-url": url});
        let path = kubeconfig(&shared, dir.path(), &api, cluster, usual_user(&shared));
        let program = shared.ns.rebalancer(&consumer).env("KUBECONFIG", path);
        // The kubeconfig has precedence.
        program
            .env("HTTPS_PROXY", "http://127.0.0.1:9")
            .env("NO_PROXY", "*")
    };
    let url = format!("http://{CREDENTIALS}@{}", proxy.address());
    plans(&shared, through(url)).await?;
    let tunnel = format!("CONNECT {}", api.trim_start_matches("https://"));
    assert!(proxy.requests().contains(&tunnel), "{:?}", proxy.requests());

    let socks = through(format!("socks5://{CREDENTIALS}@{}", proxy.address()));
    let says =
        ["proxy-url of the kubeconfig: the proxy cannot be used: SOCKS proxies are not supported"];
    let run = fails(&shared, socks, 2, &says).await?;
    assert!(!run.0.stderr.contains(PASSWORD), "{}", run.0);
    assert!(!run.0.stderr.contains("feature"), "{}", run.0);
    Ok(())
}

#[rstest]
#[case::socks(
    "socks5://me:mark-of-the-proxy@127.0.0.1:1080",
    "SOCKS proxies are not supported"
)]
#[case::invalid("http://me:mark-of-the-proxy@x@127.0.0.1:1080", "its URL is not valid")]
#[tokio::test]
async fn unusable_proxy_of_the_environment_is_an_error_of_the_configuration(
    #[case] url: &str,
    #[case] problem: &str,
    #[values("HTTP_PROXY", "HTTPS_PROXY")] variable: &str,
) -> Result<()> {
    let shared = Shared::open().await?;
    let (consumer, _) = shared.skewed().await?;
    let dir = tempfile::tempdir().unwrap();
    let api = beyond(shared.ns.control_plane().url());
    let kubeconfig = kubeconfig(&shared, dir.path(), &api, json!({}), usual_user(&shared));
    let program = shared
        .ns
        .rebalancer(&consumer)
        .env("PROMETHEUS_ENDPOINT", beyond(&shared.ns.prometheus().url()))
        .env("KUBECONFIG", kubeconfig)
        .env(variable, url);
    let says = [&format!("{variable}: the proxy cannot be used: {problem}")];
    let run = fails(&shared, program, 2, &says.map(String::as_str)).await?;
    assert!(!run.0.stderr.contains(PASSWORD), "{}", run.0);
    Ok(())
}

#[tokio::test]
async fn auth_provider_of_the_kubeconfig_is_refused_before_a_request() -> Result<()> {
    let shared = Shared::open().await?;
    let (consumer, _) = shared.skewed().await?;
    let dir = tempfile::tempdir().unwrap();
    let server = FaultServer::html(401, "Unauthorized").await?;
    let provider = json!({"name": "oidc", "config": {
        "idp-issuer-url": "https://issuer.example.com", "client-id": "kubernetes",
        "id-token": PASSWORD, "refresh-token": PASSWORD,
    }});
    let user = json!({"auth-provider": provider});
    let path = kubeconfig(&shared, dir.path(), &server.url(), json!({}), user);
    let program = shared.ns.rebalancer(&consumer).env("KUBECONFIG", path);
    let says = [
        "`auth-provider: oidc`",
        "not supported",
        "kubelogin",
        r#"the user \"me\""#,
    ];
    let run = fails(&shared, program, 2, &says).await?;
    assert!(!run.0.stderr.contains(PASSWORD), "{}", run.0);
    assert_eq!(server.requests(), []);
    Ok(())
}

/// A certificate that is its own authority, as `openssl req -x509` creates it.
fn self_signed(dir: &Path, name: &str) -> (PathBuf, PathBuf) {
    let mut params = CertificateParams::new(["127.0.0.1".to_owned()]).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let key = KeyPair::generate().unwrap();
    let certificate = params.self_signed(&key).unwrap();
    (
        write(dir, &format!("{name}.crt"), &certificate.pem()),
        write(dir, &format!("{name}.key"), &key.serialize_pem()),
    )
}

/// Without `PROMETHEUS_CA_FILE`, the certificates are those of the system, such as the file in the
/// image; OpenSSL's variable selects another one.
#[tokio::test]
async fn certificates_of_the_system_are_used() -> Result<()> {
    let shared = Shared::open().await?;
    let (consumer, _) = shared.skewed().await?;
    let dir = tempfile::tempdir().unwrap();
    let own = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).unwrap();
    let certificate = write(dir.path(), "server.crt", &own.cert.pem());
    let key = write(dir.path(), "server.key", &own.signing_key.serialize_pem());
    let (client, client_key) = self_signed(dir.path(), "client");
    let server = MetricsServer::with_client_certificates(&certificate, &key, &client).await?;
    let program = shared
        .ns
        .rebalancer(&consumer)
        .env(
            "PROMETHEUS_ENDPOINT",
            server.url().replace("http://", "https://"),
        )
        .env("PROMETHEUS_CLIENT_CERTIFICATE_FILE", &client)
        .env("PROMETHEUS_CLIENT_KEY_FILE", &client_key);
    let says = ["the server's certificate is not accepted"];
    fails(
        &shared,
        program.clone().env("SSL_CERT_FILE", &client),
        1,
        &says,
    )
    .await?;
    let run = program
        .env("SSL_CERT_FILE", &certificate)
        .ends_with(1)
        .await?;
    run.held("insufficient_coverage");
    Ok(())
}

/// Amazon Managed Prometheus answers an unsigned request in this way.
#[tokio::test]
async fn server_of_a_cloud_proposes_a_signing_proxy() -> Result<()> {
    let shared = Shared::open().await?;
    let (consumer, _) = shared.skewed().await?;
    let server = FaultServer::json(403, r#"{"message":"Missing Authentication Token"}"#).await?;
    let program = shared
        .ns
        .rebalancer(&consumer)
        .env("PROMETHEUS_ENDPOINT", server.url());
    let says = [
        "HTTP 403",
        "AWS Signature Version 4",
        "amazon-managed-prometheus.yaml",
    ];
    fails(&shared, program, 1, &says).await?;
    Ok(())
}

/// A real Prometheus with a self-signed certificate that requires a client certificate.
#[tokio::test]
async fn server_with_client_certificates() -> Result<()> {
    let shared = Shared::open().await?;
    let (consumer, _) = shared.skewed().await?;
    let dir = tempfile::tempdir().unwrap();
    let (certificate, key) = self_signed(dir.path(), "server");
    let (client, client_key) = self_signed(dir.path(), "client");
    let (unknown, unknown_key) = self_signed(dir.path(), "unknown");
    let server = MetricsServer::with_client_certificates(&certificate, &key, &client).await?;
    let url = server.url().replace("http://", "https://");
    let program = shared
        .ns
        .rebalancer(&consumer)
        .env("PROMETHEUS_ENDPOINT", &url);

    // Neither the certificate of the server nor that of the client is known.
    let says = [
        "the server's certificate is not accepted",
        "the server's own if it is self-signed",
    ];
    fails(
        &shared,
        program.clone().env("PROMETHEUS_CA_FILE", &client),
        1,
        &says,
    )
    .await?;
    let program = program.env("PROMETHEUS_CA_FILE", &certificate);
    let says = [
        "the server requires a client certificate",
        "set PROMETHEUS_CLIENT_CERTIFICATE_FILE",
    ];
    fails(&shared, program.clone(), 1, &says).await?;
    let with = |certificate: &Path, key: &Path| {
        program
            .clone()
            .env("PROMETHEUS_CLIENT_CERTIFICATE_FILE", certificate)
            .env("PROMETHEUS_CLIENT_KEY_FILE", key)
    };
    let says = ["the server does not accept the client certificate"];
    fails(&shared, with(&unknown, &unknown_key), 1, &says).await?;
    let says = [
        "PROMETHEUS_CLIENT_KEY_FILE: ",
        "does not belong to the first certificate of",
    ];
    fails(&shared, with(&client, &unknown_key), 2, &says).await?;

    // This server has no metrics, which is the only remaining problem.
    let run = with(&client, &client_key).ends_with(1).await?;
    run.held("insufficient_coverage");
    Ok(())
}
