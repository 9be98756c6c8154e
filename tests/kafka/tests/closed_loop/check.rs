//! `rebalancer check` with a group that is read from the brokers.

use harness::kafka::{AclOperation, AclResource, Listener, USERS};
use harness::wait::{Look, until};
use harness::{Rebalancer, Result, Run, TestNamespace};
use rebalancer_core::group::Assignor;
use serde_json::Value;

use crate::DEADLINE;
use crate::assign::{assigning, skewed};
use crate::scene::{PARTITIONS, PODS, Scene};

/// A user that may read the group and its topics, and not join the group.
const DESCRIBER: &str = "describer";

/// The time until a broker applies a new ACL.
const PAUSE: std::time::Duration = std::time::Duration::from_millis(200);

/// The program as that user.
async fn as_describer(scene: &Scene<'_>) -> Result<Rebalancer> {
    let operation = AclOperation::Describe;
    let admin = scene.kafka.admin();
    let group = scene.ns.name();
    admin
        .allow(DESCRIBER, operation, AclResource::Group, group)
        .await?;
    for topic in &scene.consumers().topics {
        admin
            .allow(DESCRIBER, operation, AclResource::Topic, topic)
            .await?;
    }
    let (_, password) = USERS
        .into_iter()
        .find(|(user, _)| *user == DESCRIBER)
        .unwrap();
    let address = scene.kafka.address(Listener::SaslPlaintext).to_string();
    Ok(assigning(scene, "assign")
        .env("KAFKA_BOOTSTRAP_SERVERS", address)
        .env("KAFKA_SECURITY_PROTOCOL", "SASL_PLAINTEXT")
        .env("KAFKA_SASL_MECHANISM", "PLAIN")
        .env("KAFKA_SASL_USERNAME", DESCRIBER)
        .env("KAFKA_SASL_PASSWORD", password))
}

/// The line of a document about a subject that contains a text, if there is one.
fn find(run: &Run, subject: &str, text: &str) -> Option<Value> {
    let document: Value = run.json().unwrap();
    let sections = document["sections"].as_array().unwrap();
    let sections = sections.iter().filter(|one| one["subject"] == subject);
    let mut lines = sections.flat_map(|section| section["checks"].as_array().unwrap());
    let has_text = |line: &&Value| line["message"].as_str().unwrap().contains(text);
    lines.find(has_text).cloned()
}

/// Panics unless there is such a line, with that status.
fn assert_line(run: &Run, subject: &str, status: &str, text: &str) {
    let line = find(run, subject, text).unwrap_or_else(|| panic!("no {text:?}: {run}"));
    assert_eq!(line["status"], status, "{text}: {run}");
}

/// Members, assignor and the right to join the group are shown, and what each strategy would do.
/// Without the right, the ACL is named.
#[tokio::test(flavor = "multi_thread")]
async fn group_of_the_brokers_is_checked_with_the_rights_of_the_user() -> Result<()> {
    let ns = TestNamespace::start().await?;
    let mut scene = Scene::start(&ns, Assignor::CooperativeSticky).await?;
    let owned = skewed(&mut scene).await?;
    let program = assigning(&scene, "assign").arg("check");
    let checked = program.run().await?;
    assert_eq!(checked.code, Some(0), "{checked}");
    let group = format!(
        "the brokers respond: {PODS} members own {PARTITIONS} of {PARTITIONS} partitions; assignor \
         cooperative-sticky"
    );
    assert_line(&checked, "consumer_group", "ok", &group);
    assert_line(&checked, "consumer_group", "ok", "may READ the group");
    assert_line(
        &checked,
        "strategies",
        "ok",
        "assign (configured): would move ",
    );
    for other in [
        "rotate-outliers: ",
        "forecast: ",
        "rejoin: ",
        "auto: would move ",
    ] {
        assert_line(&checked, "strategies", "info", other);
    }

    let program = as_describer(&scene).await?.arg("check");
    let missing = "may not READ the group: the hand-over fails";
    let (checked, line) = until("the rights of the user", DEADLINE, PAUSE, async || {
        let checked = program.clone().run().await?;
        Ok(match find(&checked, "consumer_group", missing) {
            Some(line) => Look::Done((checked, line)),
            None => Look::Not(checked.to_string()),
        })
    })
    .await?;
    assert_eq!(checked.code, Some(1), "{checked}");
    assert_eq!(line["status"], "error", "{checked}");
    let fix = line["fix"].as_str().unwrap();
    let acl = "kafka-acls --add --allow-principal User:NAME --operation Read --group";
    assert!(fix.ends_with(&format!("{acl} {}", ns.name())), "{checked}");
    // What it may read is checked nevertheless.
    assert_line(&checked, "consumer_group", "ok", &group);
    assert_line(
        &checked,
        "strategies",
        "ok",
        "assign (configured): would move ",
    );
    let table = program.env("OUTPUT", "table").run().await?;
    let shown = format!("× {missing}");
    assert!(table.stdout.contains(&shown), "{table}");

    // Nothing was moved by the checks.
    assert_eq!(scene.settled().await?, owned);
    Ok(())
}
