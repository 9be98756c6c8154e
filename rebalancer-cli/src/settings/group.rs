//! What the operator says about the consumer group.

use std::time::Duration;

use rebalancer_core::group::{Assignor, ClientFamily, Protocol};
use rebalancer_core::model::WorkloadRef;
use rebalancer_core::policy::{Policy, Strategy};
use rebalancer_core::snapshot::GroupSettings;
use rebalancer_prom::{GroupMetrics, GroupSource};

use super::reader::Reader;

/// Where the group is found, and what is known of it without looking; `None` when no setting is
/// about it.
pub(super) fn group(
    reader: &mut Reader<'_>,
    workload: &WorkloadRef,
    policy: &Policy,
) -> Option<(GroupSource, GroupSettings)> {
    let group_id = reader.text("GROUP_ID");
    let metrics = presets(reader);
    let assignment_query = reader.text("GROUP_ASSIGNMENT_QUERY");
    let rate_query = reader.text("GROUP_RATE_QUERY");
    let assignor = assignor(reader);
    let client = reader.word(
        "GROUP_CLIENT",
        &[ClientFamily::Java, ClientFamily::Librdkafka].map(|client| (client.as_str(), client)),
    );
    let protocol = reader.word(
        "GROUP_PROTOCOL",
        &[Protocol::Classic, Protocol::Consumer].map(|protocol| (protocol.as_str(), protocol)),
    );
    let session_timeout = reader.positive_duration("GROUP_SESSION_TIMEOUT");
    if !metrics.is_empty() && group_id.is_none() {
        reader.invalid("GROUP_METRICS", "GROUP_ID must be set as well");
    }
    let settings = GroupSettings {
        id: group_id.clone(),
        assignor,
        client: client.unwrap_or_default(),
        protocol: protocol.unwrap_or_default(),
        session_timeout: session_timeout.map(Into::into),
    };
    if let Some(assignor) = assignor
        && !assignor.exists_in(settings.protocol, settings.client)
    {
        let why = format!(
            "there is no {assignor} in a group with GROUP_PROTOCOL={} and GROUP_CLIENT={}",
            settings.protocol.as_str(),
            settings.client.as_str()
        );
        reader.invalid("GROUP_ASSIGNOR", why);
    }
    let source = GroupSource {
        group_id,
        metrics,
        assignment_query,
        rate_query,
        cooldown: Duration::try_from_secs_f64(policy.cooldown_seconds.get()).unwrap_or_default(),
    };
    owners_can_be_found(reader, &source, workload, policy.strategy);
    let nothing_said = source
        == GroupSource {
            cooldown: source.cooldown,
            ..GroupSource::default()
        }
        && settings == GroupSettings::default()
        && client.is_none()
        && protocol.is_none();
    (!nothing_said).then_some((source, settings))
}

/// Rates without owners say nothing, and nothing can be forecast without them.
fn owners_can_be_found(
    reader: &mut Reader<'_>,
    source: &GroupSource,
    workload: &WorkloadRef,
    strategy: Strategy,
) {
    if source
        .assignment(&workload.namespace, &workload.name)
        .is_some()
    {
        return;
    }
    const HOW: &str = "set GROUP_ASSIGNMENT_QUERY, or GROUP_METRICS to consumer, jmx or \
                       kafka-lag-exporter";
    if source.rate_query.is_some() {
        reader.invalid(
            "GROUP_RATE_QUERY",
            format!("nothing says who owns what: {HOW}"),
        );
    } else if source.metrics.is_empty() {
        if strategy == Strategy::Forecast {
            reader.invalid(
                "STRATEGY",
                format!("forecast has to know who owns what: {HOW}"),
            );
        }
    } else if source.group_id.is_some() {
        let said: Vec<&str> = source
            .metrics
            .iter()
            .map(|preset| preset.as_str())
            .collect();
        let why = format!("{} does not say who owns what: {HOW}", said.join(", "));
        reader.invalid("GROUP_METRICS", why);
    }
}

fn presets(reader: &mut Reader<'_>) -> Vec<GroupMetrics> {
    let Some(text) = reader.text("GROUP_METRICS") else {
        return Vec::new();
    };
    let mut presets = Vec::new();
    for word in text.split(',') {
        match word.parse() {
            Ok(preset) => presets.push(preset),
            Err(why) => reader.invalid("GROUP_METRICS", why),
        }
    }
    presets
}

/// `None` is `auto`.
fn assignor(reader: &mut Reader<'_>) -> Option<Assignor> {
    let [a, b, c, d, e] = Assignor::ALL.map(|assignor| (assignor.as_str(), Some(assignor)));
    reader
        .word("GROUP_ASSIGNOR", &[("auto", None), a, b, c, d, e])
        .flatten()
}
