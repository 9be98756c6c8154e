//! Recognition of static members by the shape of their ids.
//!
//! Exporters that ask the broker do not report `group.instance.id`, but ids that derive from it.

use crate::ports::MemberLabels;

/// Upper bound for the length of a `group.instance.id`, in Kafka.
const MAXIMUM_LENGTH: usize = 249;

/// Returns the `group.instance.id` of a member: the one that the metrics report, else the one that
/// its ids show. `None` for a dynamic member, and for a member whose ids do not show it, such as
/// the bare UUID of KIP-848.
pub(super) fn instance_id(labels: &MemberLabels, group: Option<&str>) -> Option<String> {
    let reported = labels.instance.as_deref();
    let shown = || {
        let client_id = labels.client_id.as_deref()?;
        match labels.member_id.as_deref() {
            Some(member_id) => of_member_id(member_id, client_id),
            None => of_client_id(client_id, group?),
        }
    };
    reported.or_else(shown).map(str::to_owned)
}

/// The broker generates `<group.instance.id>-<uuid>` for a static member and `<client.id>-<uuid>`
/// for a dynamic one.
fn of_member_id<'a>(member_id: &'a str, client_id: &str) -> Option<&'a str> {
    let start = before_uuid(member_id)?;
    (start != client_id && is_instance_id(start)).then_some(start)
}

/// Since version 2.3, the Java client generates the client id
/// `consumer-<group>-<group.instance.id>` for a static member without `client.id`, and
/// `consumer-<group>-<number>` for a dynamic one.
fn of_client_id<'a>(client_id: &'a str, group: &str) -> Option<&'a str> {
    let rest = client_id.strip_prefix("consumer-")?.strip_prefix(group)?;
    let end = rest.strip_prefix('-')?;
    let is_number = end.bytes().all(|byte| byte.is_ascii_digit());
    (!is_number && is_instance_id(end)).then_some(end)
}

/// Whether Kafka accepts the text as a `group.instance.id`. The member ids of other brokers start
/// with texts that it does not accept.
fn is_instance_id(text: &str) -> bool {
    let is_legal = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
    (1..=MAXIMUM_LENGTH).contains(&text.len()) && text.bytes().all(is_legal)
}

/// The text before a `-` and a UUID at the end.
fn before_uuid(text: &str) -> Option<&str> {
    let (start, uuid) = text.split_at_checked(text.len().checked_sub(UUID_LENGTH)?)?;
    is_uuid(uuid).then_some(start)?.strip_suffix('-')
}

const UUID_LENGTH: usize = 36;

/// Whether the text is a UUID: 32 hexadecimal digits in groups of 8, 4, 4, 4 and 12.
fn is_uuid(text: &str) -> bool {
    text.len() == UUID_LENGTH
        && text.bytes().enumerate().all(|(index, byte)| match index {
            8 | 13 | 18 | 23 => byte == b'-',
            _ => byte.is_ascii_hexdigit(),
        })
}

/// Whether a `group.instance.id` contains a UUID, so that it is drawn at each start.
pub(crate) fn contains_uuid(text: &str) -> bool {
    let starts = 0..=text.len().saturating_sub(UUID_LENGTH);
    starts
        .filter_map(|start| text.get(start..start.checked_add(UUID_LENGTH)?))
        .any(is_uuid)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    const UUID: &str = "9b1deb4d-3b7d-4bad-9bdd-2b0d7b3dcb6d";

    #[rstest]
    #[case::dynamic("consumer-g-1-UUID", "consumer-g-1", None)]
    #[case::static_member("orders-0-UUID", "consumer-g-1", Some("orders-0"))]
    #[case::client_id_is_a_prefix("orders-0-UUID", "orders", Some("orders-0"))]
    #[case::client_id_is_a_suffix("static-orders-UUID", "orders", Some("static-orders"))]
    #[case::librdkafka("rdkafka-UUID", "rdkafka", None)]
    #[case::sarama_with_upper_case("sarama-9B1DEB4D-3B7D-4BAD-9BDD-2B0D7B3DCB6D", "sarama", None)]
    #[case::kip_848("UUID", "consumer-g-1", None)]
    #[case::kip_848_of_java("mQx5Tz3fQ0K7v1QpL2dZ-w", "consumer-g-1", None)]
    #[case::no_uuid("orders-0", "consumer-g-1", None)]
    #[case::empty_start("-UUID", "consumer-g-1", None)]
    #[case::event_hubs("ns:c:$default:I:consumer-g-1-UUID", "consumer-g-1", None)]
    #[case::not_ascii("é-UUID", "consumer-g-1", None)]
    #[case::uuid_cut_within_a_character("é9b1deb4d-3b7d-4bad-9bdd-2b0d7b3dcb6", "c", None)]
    fn member_id_shows_the_instance_id(
        #[case] member_id: &str,
        #[case] client_id: &str,
        #[case] expected: Option<&str>,
    ) {
        let labels = MemberLabels {
            client_id: Some(client_id.into()),
            member_id: Some(member_id.replace("UUID", UUID)),
            ..MemberLabels::default()
        };
        assert_eq!(instance_id(&labels, Some("g")).as_deref(), expected);
    }

    #[rstest]
    #[case::dynamic("consumer-g-12", Some("g"), None)]
    #[case::static_member("consumer-g-orders-0", Some("g"), Some("orders-0"))]
    #[case::another_group("consumer-other-orders-0", Some("g"), None)]
    #[case::set_by_the_application("orders-0", Some("g"), None)]
    #[case::unknown_group("consumer-g-orders-0", None, None)]
    #[case::nothing_after_the_group("consumer-g-", Some("g"), None)]
    fn generated_client_id_shows_the_instance_id(
        #[case] client_id: &str,
        #[case] group: Option<&str>,
        #[case] expected: Option<&str>,
    ) {
        let labels = MemberLabels {
            client_id: Some(client_id.into()),
            ..MemberLabels::default()
        };
        assert_eq!(instance_id(&labels, group).as_deref(), expected);
    }

    #[test]
    fn reported_instance_id_precedes_the_shape() {
        let labels = MemberLabels {
            client_id: Some("c".into()),
            member_id: Some(format!("shown-{UUID}")),
            instance: Some("reported".into()),
            ..MemberLabels::default()
        };
        assert_eq!(instance_id(&labels, None).as_deref(), Some("reported"));
    }

    #[rstest]
    #[case("orders-UUID", true)]
    #[case("UUID", true)]
    #[case("a-UUID-b", true)]
    #[case("orders-0", false)]
    #[case("", false)]
    fn uuid_is_found_anywhere(#[case] text: &str, #[case] expected: bool) {
        assert_eq!(contains_uuid(&text.replace("UUID", UUID)), expected);
    }
}
