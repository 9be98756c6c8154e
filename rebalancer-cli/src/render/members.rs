//! The consumer group as it was observed: its members with their pods, and its partitions.

use std::fmt::Write as _;

use rebalancer_core::group_details::{GroupDetails, GroupOrigin, MemberDetails};
use rebalancer_core::model::{Load, WorkloadRef};

use super::style::Palette;
use super::text::printable;
use super::wrap::{INDENT, append_or_below, columns, sentence, short_names, wrapped};

/// The number of members in the table. Larger groups are for `--output json`.
const MOST_MEMBERS: usize = 50;
/// The number of partitions in the table.
const MOST_PARTITIONS: usize = 200;
/// The shortest width of shortened names.
const SHORTEST_NAME: usize = 8;

/// Renders the group of a workload; with `partitions`, each partition as well.
#[must_use]
pub fn whole(
    workload: &WorkloadRef,
    group: &GroupDetails,
    partitions: bool,
    palette: &Palette,
) -> String {
    let mut text = heading(workload, group, palette);
    text.push_str(&members(group, palette));
    if partitions {
        text.push_str(&self::partitions(group, palette));
    }
    text.push('\n');
    text.push_str(&outside(group, palette));
    text.push_str(&conclusion(group, palette));
    text
}

fn heading(workload: &WorkloadRef, group: &GroupDetails, palette: &Palette) -> String {
    let strong = palette.strong;
    let id = group.id.as_deref().unwrap_or("without a known id");
    let source = match group.source {
        GroupOrigin::Kafka => "Kafka",
        GroupOrigin::Metrics => "metrics",
    };
    let mut facts = vec![format!("group {}, read from {source}", printable(id))];
    facts.extend(
        group
            .state
            .as_deref()
            .map(|state| format!("state {}", printable(state))),
    );
    facts.extend(
        group
            .group_type
            .as_deref()
            .map(|kind| format!("type {}", printable(kind))),
    );
    facts.extend(match (&group.assignor, &group.reported_assignor) {
        (Some(assignor), _) => Some(format!("assignor {assignor}")),
        (None, Some(reported)) => Some(format!("assignor {}", printable(reported))),
        (None, None) => None,
    });
    facts.push(format!("client {}", group.client));
    facts.push(format!("protocol {}", group.protocol));
    facts.extend(
        group
            .cluster_id
            .as_deref()
            .map(|id| format!("cluster {}", printable(id))),
    );
    let mut counts = vec![
        count(
            group.members.len() + group.outside_members.len(),
            "member",
            "members",
        ),
        count(group.partitions.len(), "partition", "partitions"),
    ];
    let unit = group.rate_unit.as_deref().unwrap_or("per second");
    counts.extend(
        group
            .rate
            .map(|rate| format!("{} {}", number(rate), printable(unit))),
    );
    counts.extend(group.lag.map(|lag| format!("lag {lag} records")));
    sentence(&workload.to_string(), strong, &facts.join(", "), palette)
        + &wrapped(&counts.join(", "), palette.width, INDENT)
}

fn members(group: &GroupDetails, palette: &Palette) -> String {
    /// The columns after the name.
    const NUMBERS: usize = 2 + 8 + 2 + 10 + 2 + 9 + 2 + 10 + 2;
    let shown: Vec<&MemberDetails> = group.members.iter().take(MOST_MEMBERS).collect();
    let names: Vec<String> = shown.iter().map(|member| printable(&member.pod)).collect();
    let names = match palette.width {
        Some(width) => short_names(names, width.saturating_sub(NUMBERS).max(SHORTEST_NAME)),
        None => names,
    };
    let width = names.iter().map(|name| columns(name)).max();
    let width = width.unwrap_or(0).max("POD".len());
    let dim = palette.dim;
    let mut text = format!(
        "\n{dim}{:width$}  {:>8}  {:>10}  {:>9}  {:>10}  MEMBER{dim:#}\n",
        "POD", "LOAD", "PARTITIONS", "RATE", "LAG"
    );
    for (member, name) in shown.iter().zip(&names) {
        let load = member.pod_load.map(Load::get);
        let style = if member.behind > 0 {
            palette.warn
        } else {
            anstyle::Style::new()
        };
        let mut row = format!(
            "{name:width$}  {:>8}  {:>10}  {:>9}  {style}{:>10}{style:#}  ",
            load.map_or("–".into(), |load| format!("{load:.3}")),
            member.partitions,
            member.rate.map_or("–".into(), number),
            member.lag.map_or("–".into(), |lag| lag.to_string()),
        );
        append_or_below(&mut row, width + NUMBERS, &identity(member), palette.width);
        let end = row.trim_end().len();
        row.truncate(end);
        row.push('\n');
        text.push_str(&row);
    }
    let more = group.members.len().saturating_sub(MOST_MEMBERS);
    if more > 0 {
        let _ = writeln!(
            text,
            "{dim}… {more} more members, all in --output json{dim:#}"
        );
    }
    text
}

/// The ids, the host and the rack of a member, as far as they are known.
fn identity(member: &MemberDetails) -> String {
    let mut parts = Vec::new();
    if member.behind > 0 {
        parts.push(format!(
            "behind on {}",
            count(member.behind, "partition", "partitions")
        ));
    }
    match (&member.instance, &member.client_id, &member.id) {
        (Some(instance), _, _) => parts.push(format!("static {}", printable(instance))),
        (None, Some(client_id), _) => parts.push(printable(client_id)),
        (None, None, Some(id)) => parts.push(printable(id)),
        (None, None, None) => {}
    }
    let host = member.host.as_deref();
    parts.extend(host.map(|host| printable(host.trim_start_matches('/'))));
    let rack = member.rack.as_deref().filter(|rack| !rack.is_empty());
    parts.extend(rack.map(|rack| format!("rack {}", printable(rack))));
    if let Some(topics) = &member.topics {
        parts.push(format!(
            "subscribes to {}",
            printable(&topics.join(" and "))
        ));
    }
    parts.join(", ")
}

fn partitions(group: &GroupDetails, palette: &Palette) -> String {
    /// The columns after the partition.
    const NUMBERS: usize = 2 + 9 + 2 + 10 + 2;
    let shown: Vec<_> = group.partitions.iter().take(MOST_PARTITIONS).collect();
    let names: Vec<String> = shown
        .iter()
        .map(|partition| format!("{}-{}", printable(&partition.topic), partition.partition))
        .collect();
    let width = names.iter().map(|name| columns(name)).max();
    let width = width.unwrap_or(0).max("PARTITION".len());
    let owners: Vec<String> = shown
        .iter()
        .map(|partition| partition.owner.as_deref().map_or("–".into(), printable))
        .collect();
    let owners = match palette.width {
        Some(all) => short_names(
            owners,
            all.saturating_sub(width + NUMBERS).max(SHORTEST_NAME),
        ),
        None => owners,
    };
    let dim = palette.dim;
    let mut text = format!(
        "\n{dim}{:width$}  {:>9}  {:>10}  OWNER{dim:#}\n",
        "PARTITION", "RATE", "LAG"
    );
    for ((partition, name), owner) in shown.iter().zip(&names).zip(&owners) {
        let style = if partition.behind {
            palette.warn
        } else {
            anstyle::Style::new()
        };
        let _ = writeln!(
            text,
            "{name:width$}  {:>9}  {style}{:>10}{style:#}  {owner}",
            partition.rate.map_or("–".into(), number),
            partition.lag.map_or("–".into(), |lag| lag.to_string()),
        );
    }
    let more = group.partitions.len().saturating_sub(MOST_PARTITIONS);
    if more > 0 {
        let _ = writeln!(
            text,
            "{dim}… {more} more partitions, all in --output json{dim:#}"
        );
    }
    text
}

/// The members outside the workload.
fn outside(group: &GroupDetails, palette: &Palette) -> String {
    let mut text = String::new();
    for member in &group.outside_members {
        let ids = [
            ("instance id", &member.instance),
            ("client id", &member.client_id),
            ("member id", &member.id),
        ];
        let mut parts: Vec<String> = ids
            .iter()
            .filter_map(|(name, id)| Some(format!("{name} {}", printable(id.as_deref()?))))
            .collect();
        let host = member.host.as_deref();
        parts.extend(host.map(|host| format!("host {}", printable(host.trim_start_matches('/')))));
        let owns = match member.partitions.as_slice() {
            [] => "owns no partition".to_owned(),
            partitions => format!("owns {}", printable(&partitions.join(", "))),
        };
        parts.push(owns);
        let parts = parts.join(", ");
        text.push_str(&sentence(
            "member outside the workload",
            palette.bad,
            &parts,
            palette,
        ));
    }
    text
}

fn conclusion(group: &GroupDetails, palette: &Palette) -> String {
    let mut text = String::new();
    for note in &group.notes {
        text.push_str(&sentence("note", palette.dim, &printable(note), palette));
    }
    text.push_str(&match &group.problem {
        Some(problem) => sentence(
            "no forecast",
            palette.warn,
            &printable(&problem.message),
            palette,
        ),
        None => sentence(
            "settled",
            palette.good,
            "every partition has an owner in a ready pod; `rebalancer forecast` shows the expected \
             effect of evictions",
            palette,
        ),
    });
    text
}

/// A rate with at most one decimal.
fn number(rate: f64) -> String {
    if rate.abs() < 100.0 {
        format!("{rate:.1}")
    } else {
        format!("{rate:.0}")
    }
}

fn count(number: usize, one: &str, several: &str) -> String {
    let unit = if number == 1 { one } else { several };
    format!("{number} {unit}")
}
