//! Recognition of the client library of a member.
//!
//! | user data of `cooperative-sticky` | written by |
//! |---|---|
//! | four bytes, the generation | Java from 2.8.1 and 3.0 on |
//! | the partitions of the previous assignment, and the generation | librdkafka after its first assignment; franz-go |
//! | none | librdkafka before its first assignment; Java up to 2.8.0, with a subscription of version 0 or 1; sarama |
//!
//! The assignors `range` and `roundrobin` have no user data, and that of `sticky` is the same in
//! all libraries. There only the default client ids show the library.

use rebalancer_core::group::{Assignor, ClientFamily};

use crate::consumer_protocol::{Subscription, is_sticky_user_data};

/// The beginnings of the default client ids of libraries whose assignors are modelled neither as
/// those of Java nor as those of librdkafka.
const OTHER_LIBRARIES: [&str; 6] = [
    "kgo",
    "sarama",
    "kafka-python",
    "aiokafka",
    "kafkajs",
    "franz",
];

/// Returns the library of a member of a classic group; `None` if nothing shows it.
pub(crate) fn of_member(
    group: &str,
    assignor: &str,
    client_id: &str,
    subscription: &Subscription,
) -> Option<ClientFamily> {
    if OTHER_LIBRARIES
        .iter()
        .any(|name| client_id.starts_with(name))
    {
        return None;
    }
    if client_id == "rdkafka" {
        return Some(ClientFamily::Librdkafka);
    }
    let is_java_default = client_id
        .strip_prefix("consumer-")
        .and_then(|rest| rest.strip_prefix(group))
        .and_then(|rest| rest.strip_prefix('-'))
        .is_some_and(|number| number.parse::<u32>().is_ok());
    if is_java_default {
        return Some(ClientFamily::Java);
    }
    if assignor != Assignor::CooperativeSticky.as_str() {
        return None;
    }
    match subscription.user_data.as_deref() {
        Some([_, _, _, _]) => Some(ClientFamily::Java),
        Some(data @ [_, ..]) => is_sticky_user_data(data).then_some(ClientFamily::Librdkafka),
        Some([]) | None => (subscription.version >= 2).then_some(ClientFamily::Librdkafka),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ClientFamily::{Java, Librdkafka};
    use rstest::rstest;

    const STICKY: &[u8] = &[0, 0, 0, 1, 0, 1, b't', 0, 0, 0, 1, 0, 0, 0, 7, 0, 0, 0, 2];

    #[rstest]
    #[case::java("cooperative-sticky", "pod-1", 3, Some(&[0, 0, 0, 5][..]), Some(Java))]
    #[case::librdkafka("cooperative-sticky", "pod-1", 3, Some(STICKY), Some(Librdkafka))]
    #[case::librdkafka_at_first("cooperative-sticky", "pod-1", 3, None, Some(Librdkafka))]
    #[case::old_java_or_librdkafka("cooperative-sticky", "pod-1", 1, None, None)]
    #[case::unknown_user_data("cooperative-sticky", "pod-1", 3, Some(&[9; 7][..]), None)]
    #[case::franz_go("cooperative-sticky", "kgo", 3, Some(STICKY), None)]
    #[case::sticky_of_any_library("sticky", "pod-1", 3, Some(STICKY), None)]
    #[case::default_id_of_java("range", "consumer-or-ders-12", 3, None, Some(Java))]
    #[case::pod_that_looks_like_it("range", "consumer-or-ders-12a", 3, None, None)]
    #[case::default_id_of_librdkafka("range", "rdkafka", 3, None, Some(Librdkafka))]
    #[case::no_hint("range", "pod-1", 3, None, None)]
    fn library_is_recognised(
        #[case] assignor: &str,
        #[case] client_id: &str,
        #[case] version: i16,
        #[case] user_data: Option<&[u8]>,
        #[case] expected: Option<ClientFamily>,
    ) {
        let subscription = Subscription {
            version,
            topics: vec!["t".into()],
            user_data: user_data.map(<[u8]>::to_vec),
            owned: Vec::new(),
            rack: None,
        };
        let family = of_member("or-ders", assignor, client_id, &subscription);
        assert_eq!(family, expected);
    }
}
