//! Parts of messages.

use std::fmt;

use rebalancer_core::ports::PortErrorKind;

use crate::address::Address;
use crate::connection::ConnectFailure;

/// The maximum number of names in a message.
const SHOWN: usize = 5;

/// The failures of all servers, followed by each remedy once.
pub(super) struct NoBroker<'a>(pub(super) &'a [(Address, ConnectFailure)]);

impl fmt::Display for NoBroker<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut remedies = Vec::new();
        for (index, (address, failure)) in self.0.iter().enumerate() {
            let separator = if index == 0 { "" } else { "; " };
            write!(f, "{separator}{address}: {failure}")?;
            let remedy = failure.remedy();
            if !remedies.contains(&remedy) {
                remedies.push(remedy);
            }
        }
        for remedy in remedies {
            write!(f, "; {remedy}")?;
        }
        Ok(())
    }
}

/// The remedy for a broker that is not reachable under its advertised address.
pub(super) fn advertised_remedy(failure: &ConnectFailure) -> &'static str {
    let kind = failure.kind();
    if matches!(kind, PortErrorKind::Unreachable | PortErrorKind::Timeout) {
        "check that the broker is up, and that the address in its `advertised.listeners` can be \
         reached from here"
    } else {
        failure.remedy()
    }
}

/// The rights to grant for an action on a group.
pub(super) fn right_on_group(needs_read: bool) -> &'static str {
    if needs_read {
        "READ"
    } else {
        "DESCRIBE (or READ, which includes it)"
    }
}

/// The command that grants a right.
pub(super) fn kafka_acls(operation: &str, resource: &str, name: &str) -> String {
    format!(
        "kafka-acls --add --allow-principal User:NAME --operation {operation} --{resource} {name}"
    )
}

/// Topics with the word for them.
pub(super) fn topics(names: &[String]) -> String {
    match names {
        [] => "the topics that the group subscribes to".to_owned(),
        [one] => format!("topic `{one}`"),
        several => format!("topics {}", name_list(several)),
    }
}

/// The first names of a list, in backquotes.
fn name_list(names: &[String]) -> String {
    let shown = names.iter().take(SHOWN).map(|name| format!("`{name}`"));
    let shown = shown.collect::<Vec<_>>().join(", ");
    match names.len().saturating_sub(SHOWN) {
        0 => shown,
        more => format!("{shown} and {more} more"),
    }
}

/// The part of the message about an unknown group that names other groups.
pub(super) fn other_groups(similar: &[String], visible: usize) -> String {
    match (similar, visible) {
        ([], 0) => "and the user of the program can see no other group; check GROUP_ID, and grant \
                    DESCRIBE on the group"
            .to_owned(),
        ([], 1) => "and the only other group has another name; check GROUP_ID".to_owned(),
        ([], _) => {
            format!("and none of the {visible} other groups has a similar name; check GROUP_ID")
        }
        (similar, _) => format!("but there is {}; check GROUP_ID", name_list(similar)),
    }
}
