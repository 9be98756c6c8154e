//! `ApiVersions`: the versions of each API that a broker supports.

use super::{Api, Request};
use crate::error_code::ErrorCode;
use crate::wire::{Malformed, Reader, Writer};

/// The request. Brokers log and count the name and version of the client's software.
#[derive(Debug)]
pub(crate) struct ApiVersions;

/// The versions of one API.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct VersionRange {
    pub(crate) key: i16,
    pub(crate) min: i16,
    pub(crate) max: i16,
}

/// The name of the client's software. Brokers accept letters, digits, dots and dashes.
const SOFTWARE_NAME: &str = "rebalancer";
const SOFTWARE_VERSION: &str = env!("CARGO_PKG_VERSION");

impl Request for ApiVersions {
    const API: Api = Api {
        key: 18,
        name: "ApiVersions",
        versions: 0..=3,
        flexible_from: 3,
    };
    type Response = (ErrorCode, Vec<VersionRange>);

    fn encode(&self, version: i16, writer: &mut Writer) {
        if version >= 3 {
            writer.string(SOFTWARE_NAME);
            writer.string(SOFTWARE_VERSION);
            writer.tags();
        }
    }

    fn decode(version: i16, reader: &mut Reader<'_>) -> Result<Self::Response, Malformed> {
        // A broker that does not support the version answers with version 0.
        let mut peek = Reader::new(reader.rest(), false);
        let error = ErrorCode(peek.i16()?);
        let is_version_0 = version == 0 || error == ErrorCode::UNSUPPORTED_VERSION;
        if is_version_0 {
            *reader = Reader::new(reader.rest(), false);
        }
        let error = ErrorCode(reader.i16()?);
        let ranges = reader.array(|reader| {
            let range = VersionRange {
                key: reader.i16()?,
                min: reader.i16()?,
                max: reader.i16()?,
            };
            reader.tags()?;
            Ok(range)
        })?;
        if !is_version_0 {
            let _throttle_ms = reader.i32()?;
            reader.tags()?;
        }
        Ok((error, ranges))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::messages::decode;

    const RANGE: VersionRange = VersionRange {
        key: 18,
        min: 0,
        max: 2,
    };

    #[test]
    fn response_of_version_3_is_read() {
        // Correlation id, no error, one API without tags, throttle time, no tags.
        let frame = [0, 0, 0, 7, 0, 0, 2, 0, 18, 0, 0, 0, 2, 0, 0, 0, 0, 0, 0];
        let (id, (error, ranges)) = decode::<ApiVersions>(3, &frame).unwrap();
        assert_eq!((id, error, ranges), (7, ErrorCode::NONE, vec![RANGE]));
    }

    #[test]
    fn response_of_an_older_broker_is_read_as_version_0() {
        let frame = [0, 0, 0, 7, 0, 35, 0, 0, 0, 1, 0, 18, 0, 0, 0, 2];
        let (id, (error, ranges)) = decode::<ApiVersions>(3, &frame).unwrap();
        let expected = (7, ErrorCode::UNSUPPORTED_VERSION, vec![RANGE]);
        assert_eq!((id, error, ranges), expected);
    }
}
