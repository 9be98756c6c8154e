//! A response of a Kafka broker, or the subscription or assignment of a member: decoding never
//! panics, never allocates more than a small multiple of the input, and an assignment survives
//! encoding.
//!
//! The first byte selects the decoder, and the second one the version.

use rebalancer_kafka::fuzzing::decode;

/// Checks the input with the selected decoder.
pub fn check(data: &[u8]) -> bool {
    match data {
        [decoder, version, frame @ ..] => decode(*decoder, *version, frame),
        _ => false,
    }
}
