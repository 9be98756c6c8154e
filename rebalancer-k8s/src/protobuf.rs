//! Protobuf, the other format of the API.
//!
//! Lists of pods are requested in protobuf: a field that is not read is skipped by its length,
//! where JSON must be parsed byte by byte. A list takes a fraction of the CPU and half the bytes,
//! on the server too. The messages have only the fields that are read; their tags are those of
//! `generated.proto` of the API, which never change. The fields that hold text are [`Bytes`],
//! slices of the response body, so that a text that is not used costs no allocation.
//!
//! Custom resources have no protobuf format, and a server without protobuf responds in JSON.

use bytes::Bytes;
use prost::Message;

/// The `Accept` header: protobuf, otherwise JSON.
pub(crate) const PREFERRED: &str = "application/vnd.kubernetes.protobuf,application/json";

/// The first bytes of a response in protobuf.
const MAGIC: &[u8] = b"k8s\0";

/// A response that is not valid protobuf.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Malformed {
    #[error("malformed protobuf: {0}")]
    Message(#[from] prost::DecodeError),
    #[error("a protobuf response without an object")]
    NoObject,
}

/// The object in a response.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Object {
    /// The kind; empty if the response does not name one.
    pub(crate) kind: String,
    /// The object's own message.
    pub(crate) message: Bytes,
}

/// `Unknown` of the API: the envelope around every object.
#[derive(Clone, PartialEq, Message)]
struct Envelope {
    #[prost(message, required, tag = "1")]
    type_meta: TypeMeta,
    #[prost(bytes = "bytes", optional, tag = "2")]
    raw: Option<Bytes>,
}

#[derive(Clone, PartialEq, Message)]
struct TypeMeta {
    #[prost(string, tag = "2")]
    kind: String,
}

/// Returns the object in a response, or `None` if the response has another format.
pub(crate) fn object(body: &Bytes) -> Result<Option<Object>, Malformed> {
    if !body.starts_with(MAGIC) {
        return Ok(None);
    }
    let envelope = Envelope::decode(body.slice(MAGIC.len()..))?;
    Ok(Some(Object {
        kind: envelope.type_meta.kind,
        message: envelope.raw.ok_or(Malformed::NoObject)?,
    }))
}

/// An encoder that is independent of the messages' tags, for tests.
#[cfg(test)]
pub(crate) mod testing {
    use bytes::Bytes;

    /// An encoded message.
    #[derive(Default)]
    pub(crate) struct Encoded(pub(crate) Vec<u8>);

    impl Encoded {
        fn varint(&mut self, mut number: u64) {
            while number >= 0x80 {
                self.0.push(number as u8 | 0x80);
                number >>= 7;
            }
            self.0.push(number as u8);
        }

        /// Adds a number.
        pub(crate) fn number(mut self, tag: u64, number: u64) -> Self {
            self.varint(tag << 3);
            self.varint(number);
            self
        }

        /// Adds a text or a message.
        pub(crate) fn bytes(mut self, tag: u64, bytes: impl AsRef<[u8]>) -> Self {
            self.varint(tag << 3 | 2);
            self.varint(bytes.as_ref().len() as u64);
            self.0.extend_from_slice(bytes.as_ref());
            self
        }

        /// Returns the response with this object of `kind`.
        pub(crate) fn response(self, kind: &str) -> Bytes {
            let type_meta = Self::default().bytes(1, "v1").bytes(2, kind);
            let envelope = Self::default()
                .bytes(1, type_meta.0)
                .bytes(2, self.0)
                .bytes(3, "");
            [super::MAGIC, &envelope.0].concat().into()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::testing::Encoded;
    use super::*;
    use rstest::rstest;

    #[test]
    fn tells_protobuf_from_json() {
        assert_eq!(object(&Bytes::from_static(b"{}")).unwrap(), None);
        let response = Encoded::default().number(1, 1).response("Pod");
        let found = object(&response).unwrap().unwrap();
        assert_eq!(found.kind, "Pod");
        assert_eq!(found.message, [0x08, 1].as_slice());
    }

    #[rstest]
    #[case::no_object(b"k8s\0".as_slice())]
    #[case::truncated(b"k8s\0\x12\x05a".as_slice())]
    #[case::unknown_wire_type(b"k8s\0\x0f".as_slice())]
    #[case::kind_is_not_utf8(b"k8s\0\x0a\x03\x12\x01\xff\x12\x00".as_slice())]
    fn refuses_malformed_protobuf(#[case] body: &'static [u8]) {
        assert!(object(&Bytes::from_static(body)).is_err());
    }
}
