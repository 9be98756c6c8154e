//! The primitive types of Kafka's protocol.
//!
//! The crate has its own codec for the dozen messages that it needs. The generated codecs of
//! published crates allocate the number of elements that a response announces before they read the
//! first one, so that one wrong length ends the process. Here the length is checked against the
//! bytes that are left.

mod reader;
mod writer;

pub(crate) use reader::{Malformed, Reader};
pub(crate) use writer::Writer;

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn values_survive_encoding(
            flexible: bool,
            number: i32,
            text: String,
            optional: Option<String>,
            bytes: Vec<u8>,
            list: Vec<i64>,
        ) {
            let mut writer = Writer::new(flexible);
            writer.i32(number);
            writer.string(&text);
            writer.nullable_string(optional.as_deref());
            writer.bytes(&bytes);
            writer.array(&list, |writer, &value| writer.i64(value));
            writer.tags();
            let encoded = writer.finish();
            let mut reader = Reader::new(&encoded, flexible);
            prop_assert_eq!(reader.i32().unwrap(), number);
            prop_assert_eq!(reader.string().unwrap(), text);
            prop_assert_eq!(reader.nullable_string().unwrap(), optional);
            prop_assert_eq!(reader.bytes().unwrap(), &bytes[..]);
            prop_assert_eq!(reader.array(Reader::i64).unwrap(), list);
            reader.tags().unwrap();
            prop_assert!(reader.is_empty());
        }
    }
}
