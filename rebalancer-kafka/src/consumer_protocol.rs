//! The consumer protocol: the subscriptions and assignments inside the messages of a classic group.
//!
//! Clients write these bytes and brokers pass them on without a check, so they are foreign bytes of
//! other processes. Every version has the fields of the earlier ones first.

use crate::wire::{Malformed, Reader, Writer};

/// The subscription that a member sends with JoinGroup.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Subscription {
    pub(crate) version: i16,
    pub(crate) topics: Vec<String>,
    pub(crate) user_data: Option<Vec<u8>>,
    /// The partitions that the member claims to own, from version 1 on.
    pub(crate) owned: Vec<(String, Vec<i32>)>,
    /// The rack, from version 3 on. librdkafka sends an empty one without `client.rack`, and its
    /// assignor takes that for a rack of its own; Java's takes it for none.
    pub(crate) rack: Option<String>,
}

impl Subscription {
    pub(crate) fn decode(bytes: &[u8]) -> Result<Self, Malformed> {
        let mut reader = Reader::new(bytes, false);
        let version = version(&mut reader)?;
        let topics = reader.array(Reader::string)?;
        let user_data = reader.nullable_bytes()?.map(<[u8]>::to_vec);
        // Some clients announce a version and leave out its fields.
        let has = |reader: &Reader<'_>, since| version >= since && !reader.is_empty();
        let owned = if has(&reader, 1) {
            topic_partitions(&mut reader)?
        } else {
            Vec::new()
        };
        if has(&reader, 2) {
            let _generation = reader.i32()?;
        }
        let rack = if has(&reader, 3) {
            reader.nullable_string()?
        } else {
            None
        };
        Ok(Self {
            version,
            topics,
            user_data,
            owned,
            rack,
        })
    }

    /// A subscription to no topics.
    ///
    /// Version 1, because leaders with librdkafka read the owned partitions of every member. No
    /// user data, because some leaders fail on data that they do not know.
    pub(crate) fn encode_empty() -> Vec<u8> {
        let mut writer = Writer::new(false);
        writer.i16(1);
        writer.array(&[], |_, (): &()| ());
        writer.null_bytes();
        writer.array(&[], |_, (): &()| ());
        writer.finish()
    }
}

/// The assignment that a member receives with SyncGroup.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Assignment {
    pub(crate) partitions: Vec<(String, Vec<i32>)>,
    /// Whether there is user data that is not that of a sticky assignor. Leaders with librdkafka
    /// repeat the sticky user data of the subscription in the assignment.
    pub(crate) has_other_user_data: bool,
}

impl Assignment {
    /// Decodes an assignment. Zero bytes, which the coordinator sends to a member that the leader
    /// left out, are an empty one.
    pub(crate) fn decode(bytes: &[u8]) -> Result<Self, Malformed> {
        if bytes.is_empty() {
            return Ok(Self::default());
        }
        let mut reader = Reader::new(bytes, false);
        version(&mut reader)?;
        let partitions = topic_partitions(&mut reader)?;
        let user_data = reader.nullable_bytes()?;
        Ok(Self {
            partitions,
            has_other_user_data: user_data
                .is_some_and(|data| !data.is_empty() && !is_sticky_user_data(data)),
        })
    }

    /// Encodes an assignment, with the user data of sticky assignors if `sticky_generation` is set.
    pub(crate) fn encode(
        partitions: &[(String, Vec<i32>)],
        sticky_generation: Option<i32>,
    ) -> Vec<u8> {
        let mut writer = Writer::new(false);
        writer.i16(1);
        write_topic_partitions(&mut writer, partitions);
        match sticky_generation {
            None => writer.null_bytes(),
            Some(generation) => {
                let mut data = Writer::new(false);
                write_topic_partitions(&mut data, partitions);
                data.i32(generation);
                writer.bytes(&data.finish());
            }
        }
        writer.finish()
    }
}

/// Whether bytes are the user data of a sticky assignor: topics with partitions, and possibly the
/// generation.
pub(crate) fn is_sticky_user_data(bytes: &[u8]) -> bool {
    let mut reader = Reader::new(bytes, false);
    topic_partitions(&mut reader).is_ok()
        && (reader.is_empty() || (reader.i32().is_ok() && reader.is_empty()))
}

fn version(reader: &mut Reader<'_>) -> Result<i16, Malformed> {
    match reader.i16()? {
        version @ 0.. => Ok(version),
        version => Err(Malformed::Version(version)),
    }
}

fn topic_partitions(reader: &mut Reader<'_>) -> Result<Vec<(String, Vec<i32>)>, Malformed> {
    reader.array(|reader| Ok((reader.string()?, reader.array(Reader::i32)?)))
}

fn write_topic_partitions(writer: &mut Writer, topics: &[(String, Vec<i32>)]) {
    writer.array(topics, |writer, (topic, partitions)| {
        writer.string(topic);
        writer.array(partitions, |writer, &partition| writer.i32(partition));
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use rstest::rstest;

    /// A subscription of librdkafka 2.12 with `cooperative-sticky`, as a broker returned it:
    /// version 3, the topic `t`, user data, one owned partition, generation 2 and rack `a`.
    const LIBRDKAFKA: &[u8] = &[
        0, 3, 0, 0, 0, 1, 0, 1, b't', 0, 0, 0, 19, 0, 0, 0, 1, 0, 1, b't', 0, 0, 0, 1, 0, 0, 0, 7,
        0, 0, 0, 2, 0, 0, 0, 1, 0, 1, b't', 0, 0, 0, 1, 0, 0, 0, 7, 0, 0, 0, 2, 0, 1, b'a',
    ];

    #[test]
    fn subscription_of_version_3_is_decoded() {
        let subscription = Subscription::decode(LIBRDKAFKA).unwrap();
        assert_eq!(subscription.version, 3);
        assert_eq!(subscription.topics, ["t"]);
        assert_eq!(subscription.owned, [("t".to_owned(), vec![7])]);
        assert_eq!(subscription.rack.as_deref(), Some("a"));
        assert!(is_sticky_user_data(&subscription.user_data.unwrap()));
    }

    #[rstest]
    #[case::version_0(&[0, 0, 0, 0, 0, 1, 0, 1, b't', 0xff, 0xff, 0xff, 0xff])]
    #[case::version_1_without_owned(&[0, 1, 0, 0, 0, 1, 0, 1, b't', 0xff, 0xff, 0xff, 0xff])]
    #[case::version_9(&[
        0, 9, 0, 0, 0, 1, 0, 1, b't', 0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0, 0, 0, 0, 2, 0xff, 0xff, 42,
    ])]
    fn other_versions_are_decoded(#[case] bytes: &[u8]) {
        let subscription = Subscription::decode(bytes).unwrap();
        assert_eq!(subscription.topics, ["t"]);
        assert_eq!(subscription.user_data, None);
        assert_eq!(subscription.owned, []);
        assert_eq!(subscription.rack, None);
    }

    #[rstest]
    #[case::none(&[0xff, 0xff], None)]
    #[case::empty(&[0, 0], Some(""))]
    #[case::named(&[0, 1, b'a'], Some("a"))]
    fn empty_rack_is_not_a_missing_one(#[case] rack: &[u8], #[case] expected: Option<&str>) {
        let before = [
            0, 3, 0, 0, 0, 1, 0, 1, b't', 0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0, 0, 0, 0, 2,
        ];
        let subscription = Subscription::decode(&[&before, rack].concat()).unwrap();
        assert_eq!(subscription.rack.as_deref(), expected);
    }

    #[rstest]
    #[case(&[], Malformed::Truncated)]
    #[case(&[0xff, 0xff], Malformed::Version(-1))]
    #[case(&[0, 0, 0, 0, 0, 9], Malformed::Length(9))]
    fn foreign_bytes_are_no_subscription(#[case] bytes: &[u8], #[case] expected: Malformed) {
        assert_eq!(Subscription::decode(bytes), Err(expected));
    }

    #[test]
    fn own_subscription_has_version_1_and_no_user_data() {
        let bytes = Subscription::encode_empty();
        assert_eq!(
            bytes,
            [0, 1, 0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0]
        );
        let subscription = Subscription::decode(&bytes).unwrap();
        assert_eq!(subscription.topics, Vec::<String>::new());
        assert_eq!(subscription.user_data, None);
    }

    #[test]
    fn assignment_without_partitions_is_not_zero_bytes() {
        let bytes = Assignment::encode(&[], None);
        assert_eq!(bytes, [0, 1, 0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff]);
        assert_eq!(Assignment::decode(&bytes), Assignment::decode(&[]));
    }

    #[test]
    fn sticky_user_data_repeats_the_partitions() {
        let partitions = [("t".to_owned(), vec![1, 2])];
        let bytes = Assignment::encode(&partitions, Some(5));
        let assignment = Assignment::decode(&bytes).unwrap();
        assert!(!assignment.has_other_user_data);
        // The version, 19 bytes of partitions and the length come before the user data.
        let data = &bytes[2 + 19 + 4..];
        assert!(is_sticky_user_data(data));
        assert!(data.ends_with(&[0, 0, 0, 5]));
    }

    proptest! {
        #[test]
        fn assignments_survive_encoding(
            partitions in proptest::collection::vec(("[a-z]{1,9}", proptest::collection::vec(0..99_i32, 0..9)), 0..5),
            generation: Option<i32>,
        ) {
            let bytes = Assignment::encode(&partitions, generation);
            let decoded = Assignment::decode(&bytes).unwrap();
            prop_assert_eq!(decoded.partitions, partitions);
            prop_assert!(!decoded.has_other_user_data);
        }

        #[test]
        fn foreign_bytes_do_not_panic(bytes: Vec<u8>) {
            let _ = Subscription::decode(&bytes);
            let _ = Assignment::decode(&bytes);
            let _ = is_sticky_user_data(&bytes);
        }
    }
}
