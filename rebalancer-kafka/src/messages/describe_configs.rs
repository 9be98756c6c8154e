//! `DescribeConfigs`: the settings of a group that its coordinator applies.

use super::{Api, Request};
use crate::error_code::ErrorCode;
use crate::wire::{Malformed, Reader, Writer};

/// The request for one setting of a group.
#[derive(Debug)]
pub(crate) struct DescribeGroupConfig<'a> {
    pub(crate) group: &'a str,
    pub(crate) name: &'a str,
}

/// The type of a resource that is a group, from Kafka 3.8 on.
const GROUP: i8 = 32;

impl Request for DescribeGroupConfig<'_> {
    const API: Api = Api {
        key: 32,
        name: "DescribeConfigs",
        versions: 4..=4,
        flexible_from: 4,
    };
    /// The value, which is that of the brokers if the group has none of its own; `None` if there is
    /// no such setting.
    type Response = (ErrorCode, Option<String>);

    fn encode(&self, _version: i16, writer: &mut Writer) {
        writer.array(&[self.group], |writer, group| {
            writer.i8(GROUP);
            writer.string(group);
            writer.array(&[self.name], |writer, name| writer.string(name));
            writer.tags();
        });
        let (include_synonyms, include_documentation) = (false, false);
        writer.bool(include_synonyms);
        writer.bool(include_documentation);
        writer.tags();
    }

    fn decode(_version: i16, reader: &mut Reader<'_>) -> Result<Self::Response, Malformed> {
        let _throttle_ms = reader.i32()?;
        let results = reader.array(|reader| {
            let error = ErrorCode(reader.i16()?);
            let _message = reader.nullable_string()?;
            let _type = reader.i8()?;
            let _name = reader.string()?;
            let settings = reader.array(setting)?;
            reader.tags()?;
            Ok((error, settings))
        })?;
        reader.tags()?;
        let Some((error, settings)) = results.into_iter().next() else {
            return Ok((ErrorCode::NONE, None));
        };
        Ok((error, settings.into_iter().flatten().next()))
    }
}

/// Reads the value of a setting.
fn setting(reader: &mut Reader<'_>) -> Result<Option<String>, Malformed> {
    let _name = reader.string()?;
    let value = reader.nullable_string()?;
    let _read_only = reader.bool()?;
    let _source = reader.i8()?;
    let _is_sensitive = reader.bool()?;
    let _synonyms = reader.array(|reader| {
        let _name = reader.string()?;
        let _value = reader.nullable_string()?;
        let _source = reader.i8()?;
        reader.tags()
    })?;
    let _type = reader.i8()?;
    let _documentation = reader.nullable_string()?;
    reader.tags()?;
    Ok(value)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::messages::{decode, encode};
    use rstest::rstest;

    /// A response about one group: header, throttle time, and the result.
    fn response(error: i16, value: Option<&str>) -> Vec<u8> {
        let mut writer = Writer::new(true);
        writer.i32(7);
        writer.tags();
        writer.i32(0);
        writer.array(&[()], |writer, ()| {
            writer.i16(error);
            writer.nullable_string(None);
            writer.i8(GROUP);
            writer.string("orders");
            let settings: &[&str] = if error == 0 { &["heartbeat"] } else { &[] };
            writer.array(settings, |writer, name| {
                writer.string(name);
                writer.nullable_string(value);
                writer.bool(false);
                writer.i8(8);
                writer.bool(false);
                writer.array(&[("heartbeat", 5)], |writer, (name, source)| {
                    writer.string(name);
                    writer.nullable_string(None);
                    writer.i8(*source);
                    writer.tags();
                });
                writer.i8(3);
                writer.nullable_string(None);
                writer.tags();
            });
            writer.tags();
        });
        writer.tags();
        writer.finish()
    }

    #[rstest]
    #[case(0, Some("7000"), ErrorCode::NONE, Some("7000"))]
    #[case(0, None, ErrorCode::NONE, None)]
    #[case(30, None, ErrorCode::GROUP_AUTHORIZATION_FAILED, None)]
    fn value_is_read(
        #[case] code: i16,
        #[case] value: Option<&str>,
        #[case] error: ErrorCode,
        #[case] expected: Option<&str>,
    ) {
        let frame = response(code, value);
        let (id, found) = decode::<DescribeGroupConfig<'_>>(4, &frame).unwrap();
        assert_eq!((id, found), (7, (error, expected.map(str::to_owned))));
    }

    #[test]
    fn request_names_the_group_and_the_setting() {
        let request = DescribeGroupConfig {
            group: "g",
            name: "n",
        };
        let bytes = encode(&request, 4, 1, "c");
        // After the header: one resource of type 32 with one key, no synonyms, no documentation.
        let body = [2, 32, 2, b'g', 2, 2, b'n', 0, 0, 0, 0];
        assert!(bytes.ends_with(&body), "{bytes:?}");
    }
}
