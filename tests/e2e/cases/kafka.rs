//! Failures of the connection to Kafka. Cases with a group are in `tests/kafka`, which has
//! consumers.

use std::net::TcpListener;

use ::harness::Result;
use rstest::rstest;

use crate::support::{RunExt as _, assert_untouched, shared::Shared};

/// The server at the address of the broker.
#[derive(Debug, Clone, Copy)]
enum Server {
    /// Nothing.
    None,
    /// A server that accepts connections and never answers.
    Silent,
}

impl Server {
    /// The address, and the socket that must be kept.
    fn start(self) -> (String, Option<TcpListener>) {
        let socket = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = socket.local_addr().unwrap().to_string();
        match self {
            Self::None => (address, None),
            Self::Silent => (address, Some(socket)),
        }
    }
}

/// A run goes on without the group: the strategy decides whether that matters.
#[rstest]
#[case::refused(Server::None)]
#[case::silent(Server::Silent)]
#[tokio::test]
async fn unreachable_broker_is_named_and_nothing_is_evicted(#[case] server: Server) -> Result<()> {
    let shared = Shared::open().await?;
    let (consumer, before) = shared.skewed().await?;
    let (address, _socket) = server.start();
    let program = shared
        .ns
        .rebalancer(&consumer)
        .env("KAFKA_BOOTSTRAP_SERVERS", &address)
        .env("KAFKA_TIMEOUT", "1s")
        .env("KAFKA_SECURITY_PROTOCOL", "SASL_PLAINTEXT")
        .env("KAFKA_SASL_MECHANISM", "PLAIN")
        .env("KAFKA_SASL_USERNAME", "rebalancer")
        .env("KAFKA_SASL_PASSWORD", "hunter2-secret")
        .env("GROUP_ID", "orders")
        .env("LOG_LEVEL", "debug");

    let forecast = program.clone().env("STRATEGY", "forecast");
    let run = forecast.ends_with(1).await?;
    let message = run.held("group_unknown");
    run.assert_says(&message, &[address.as_str()]);
    assert!(
        run.0.stderr.contains("consumer group not read"),
        "{}",
        run.0
    );
    assert!(!run.0.stderr.contains("hunter2-secret"), "{}", run.0);

    let auto = program.clone().arg("plan").env("STRATEGY", "auto");
    let run = auto.ends_with(0).await?;
    let workload = run.workload();
    let fallback = workload["fallback"].as_str().unwrap_or_default();
    run.assert_says(fallback, &[address.as_str()]);
    assert_eq!(workload["decision"]["action"], "rotate", "{}", run.0);

    let run = program.clone().arg("group").ends_with(1).await?;
    let group = &run.workload()["consumer_group"];
    let message = group["problem"]["message"].as_str().unwrap_or_default();
    run.assert_says(message, &[address.as_str()]);

    // The default strategy does not use the group.
    let run = program.arg("plan").ends_with(0).await?;
    assert_eq!(run.workload()["decision"]["action"], "rotate", "{}", run.0);
    assert_untouched(&consumer, &before).await
}

/// Without a source, there is nothing to show.
#[tokio::test]
async fn group_needs_a_source() -> Result<()> {
    let shared = Shared::open().await?;
    let (consumer, _) = shared.skewed().await?;
    let run = shared.ns.rebalancer(&consumer).arg("group");
    let run = run.env("GROUP_ID", "orders").ends_with(2).await?;
    let stderr = run.0.stderr.clone();
    run.assert_says(
        &stderr,
        &[
            "no setting provides the consumer group of Deployment",
            "KAFKA_BOOTSTRAP_SERVERS",
        ],
    );
    Ok(())
}
