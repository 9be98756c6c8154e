//! Secrets for Kafka reach the broker that they are for, and no output.

use std::path::Path;
use std::sync::{Arc, Mutex};

use ::harness::{Rebalancer, Result};
use rstest::rstest;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

use crate::support::shared::Shared;

const SECRET: &str = "mark-of-the-secret-for-kafka";

/// The response of the broker to the message with the secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Response {
    /// A refusal whose message quotes the secret.
    Refusal,
    /// The request itself, which is no response.
    Echo,
    /// The connection is closed.
    Close,
    /// Authentication succeeds, and the next response is the secret.
    LaterEcho,
}

/// The keys of the APIs that the broker knows, each in one version.
const SASL_HANDSHAKE: i16 = 17;
const API_VERSIONS: i16 = 18;
const SASL_AUTHENTICATE: i16 = 36;

/// `SASL_AUTHENTICATION_FAILED`, and the error for a version of ApiVersions that the broker lacks.
const REFUSED: i16 = 58;
const UNSUPPORTED_VERSION: i16 = 35;

/// A broker that answers up to the authentication.
struct Broker {
    address: String,
    /// Everything that was received in the authentication.
    received: Arc<Mutex<Vec<u8>>>,
    task: JoinHandle<()>,
}

impl Drop for Broker {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Broker {
    async fn start(response: Response) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let received = Arc::<Mutex<Vec<u8>>>::default();
        let log = Arc::clone(&received);
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                // The program may close the connection at any time.
                tokio::spawn(serve(stream, response, Arc::clone(&log)));
            }
        });
        Self {
            address,
            received,
            task,
        }
    }

    fn received(&self) -> String {
        String::from_utf8_lossy(&self.received.lock().unwrap()).into_owned()
    }
}

async fn serve(
    mut stream: TcpStream,
    response: Response,
    log: Arc<Mutex<Vec<u8>>>,
) -> std::io::Result<()> {
    loop {
        let length = stream.read_u32().await?;
        let mut request = vec![0; usize::try_from(length).unwrap()];
        stream.read_exact(&mut request).await?;
        let api = i16::from_be_bytes([request[0], request[1]]);
        let mut body = request[4..8].to_vec();
        match api {
            API_VERSIONS => {
                let version = i16::from_be_bytes([request[2], request[3]]);
                let error = if version == 0 { 0 } else { UNSUPPORTED_VERSION };
                body.extend(error.to_be_bytes());
                body.extend(2_i32.to_be_bytes());
                for key in [SASL_HANDSHAKE, SASL_AUTHENTICATE] {
                    for number in [key, 1, 1] {
                        body.extend(number.to_be_bytes());
                    }
                }
            }
            SASL_HANDSHAKE => {
                body.extend(0_i16.to_be_bytes());
                body.extend(2_i32.to_be_bytes());
                text(&mut body, "PLAIN");
                text(&mut body, "OAUTHBEARER");
            }
            SASL_AUTHENTICATE => {
                log.lock().unwrap().extend_from_slice(&request);
                let (error, message) = match response {
                    Response::Close => return Ok(()),
                    Response::Echo => {
                        body.extend_from_slice(&request);
                        send(&mut stream, &body).await?;
                        continue;
                    }
                    Response::Refusal => (REFUSED, format!("{SECRET} is wrong, not {SECRET}")),
                    Response::LaterEcho => (0, String::new()),
                };
                body.extend(error.to_be_bytes());
                text(&mut body, &message);
                body.extend(0_i32.to_be_bytes());
                body.extend(0_i64.to_be_bytes());
            }
            _ => body.extend_from_slice(SECRET.as_bytes()),
        }
        send(&mut stream, &body).await?;
    }
}

fn text(body: &mut Vec<u8>, text: &str) {
    body.extend(i16::try_from(text.len()).unwrap().to_be_bytes());
    body.extend_from_slice(text.as_bytes());
}

async fn send(stream: &mut TcpStream, body: &[u8]) -> std::io::Result<()> {
    stream.write_u32(u32::try_from(body.len()).unwrap()).await?;
    stream.write_all(body).await
}

/// Runs `plan` with both formats of the log; the runs must fail, and show no secret.
async fn fails(program: &Rebalancer) -> Result<()> {
    for (log, output) in [("json", "json"), ("text", "table"), ("text", "yaml")] {
        let run = program
            .clone()
            .arg("plan")
            .env("LOG_LEVEL", "debug")
            .env("LOG_FORMAT", log)
            .env("OUTPUT", output)
            .run()
            .await?;
        assert!(matches!(run.code, Some(1 | 2)), "{run}");
        for text in [&run.stdout, &run.stderr] {
            assert!(!text.contains(SECRET), "{run}");
        }
    }
    Ok(())
}

fn with_secret(program: Rebalancer, setting: &str, file: &Path) -> Rebalancer {
    std::fs::write(file, format!("{SECRET}\n")).unwrap();
    match setting {
        "KAFKA_SASL_PASSWORD" => program.env(setting, SECRET),
        _ => program.env(setting, file),
    }
}

#[rstest]
#[tokio::test]
async fn no_failure_of_a_broker_shows_a_secret(
    #[values(
        ("PLAIN", "KAFKA_SASL_PASSWORD"),
        ("PLAIN", "KAFKA_SASL_PASSWORD_FILE"),
        ("OAUTHBEARER", "KAFKA_SASL_OAUTHBEARER_TOKEN_FILE")
    )]
    (mechanism, setting): (&str, &str),
    #[values(
        Response::Refusal,
        Response::Echo,
        Response::Close,
        Response::LaterEcho
    )]
    response: Response,
) -> Result<()> {
    let shared = Shared::open().await?;
    let broker = Broker::start(response).await;
    let file = tempfile::NamedTempFile::new().unwrap();
    let mut program = shared
        .ns
        .rebalancer_for("consumer")
        .env("STRATEGY", "forecast")
        .env("GROUP_ID", "orders")
        .env("KAFKA_BOOTSTRAP_SERVERS", &broker.address)
        .env("KAFKA_SECURITY_PROTOCOL", "SASL_PLAINTEXT")
        .env("KAFKA_SASL_MECHANISM", mechanism)
        .env("KAFKA_TIMEOUT", "1s");
    if mechanism == "PLAIN" {
        program = program.env("KAFKA_SASL_USERNAME", "me");
    }
    fails(&with_secret(program, setting, file.path())).await?;
    let received = broker.received();
    assert!(received.contains(SECRET), "{received:?}");
    Ok(())
}

/// A file that is not what the setting says.
#[rstest]
#[case("KAFKA_SSL_KEY_FILE")]
#[case("KAFKA_SSL_CERTIFICATE_FILE")]
#[case("KAFKA_SSL_CA_FILE")]
#[tokio::test]
async fn no_broken_file_of_tls_is_shown(#[case] setting: &str) -> Result<()> {
    let shared = Shared::open().await?;
    let made = rcgen::generate_simple_self_signed(["client".to_owned()]).unwrap();
    let dir = tempfile::tempdir().unwrap();
    let path = |name: &str| dir.path().join(name);
    std::fs::write(path("key"), made.signing_key.serialize_pem()).unwrap();
    std::fs::write(path("certificate"), made.cert.pem()).unwrap();
    let broken = path("broken");
    let pem = format!("-----BEGIN PRIVATE KEY-----\n{SECRET}\n-----END PRIVATE KEY-----\n");
    std::fs::write(&broken, pem).unwrap();
    let program = shared
        .ns
        .rebalancer_for("consumer")
        .env("STRATEGY", "forecast")
        .env("GROUP_ID", "orders")
        .env("KAFKA_BOOTSTRAP_SERVERS", "127.0.0.1:9")
        .env("KAFKA_SECURITY_PROTOCOL", "SSL")
        .env("KAFKA_SSL_KEY_FILE", path("key"))
        .env("KAFKA_SSL_CERTIFICATE_FILE", path("certificate"))
        .env(setting, &broken);
    fails(&program).await?;
    let run = program.arg("plan").run().await?;
    assert!(run.stderr.contains(setting), "{run}");
    Ok(())
}
