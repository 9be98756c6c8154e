//! `SaslHandshake` and `SaslAuthenticate`.

use super::{Api, Request};
use crate::error_code::ErrorCode;
use crate::wire::{Malformed, Reader, Writer};

/// The choice of a mechanism.
#[derive(Debug)]
pub(crate) struct SaslHandshake<'a> {
    pub(crate) mechanism: &'a str,
}

impl Request for SaslHandshake<'_> {
    const API: Api = Api {
        key: 17,
        name: "SaslHandshake",
        versions: 1..=1,
        flexible_from: i16::MAX,
    };
    /// The error, and the mechanisms that the broker has enabled.
    type Response = (ErrorCode, Vec<String>);

    fn encode(&self, _version: i16, writer: &mut Writer) {
        writer.string(self.mechanism);
    }

    fn decode(_version: i16, reader: &mut Reader<'_>) -> Result<Self::Response, Malformed> {
        Ok((ErrorCode(reader.i16()?), reader.array(Reader::string)?))
    }
}

/// One message of the mechanism.
pub(crate) struct SaslAuthenticate {
    pub(crate) auth_bytes: Vec<u8>,
}

/// The response of the broker.
pub(crate) struct SaslAuthenticated {
    pub(crate) error: ErrorCode,
    pub(crate) message: Option<String>,
    pub(crate) auth_bytes: Vec<u8>,
    /// The lifetime of the session, in milliseconds; 0 if it is not limited.
    pub(crate) session_lifetime_ms: i64,
}

impl Request for SaslAuthenticate {
    const API: Api = Api {
        key: 36,
        name: "SaslAuthenticate",
        versions: 1..=1,
        flexible_from: 2,
    };
    type Response = SaslAuthenticated;

    fn encode(&self, _version: i16, writer: &mut Writer) {
        writer.bytes(&self.auth_bytes);
    }

    fn decode(_version: i16, reader: &mut Reader<'_>) -> Result<Self::Response, Malformed> {
        Ok(SaslAuthenticated {
            error: ErrorCode(reader.i16()?),
            message: reader.nullable_string()?,
            auth_bytes: reader.bytes()?.to_vec(),
            session_lifetime_ms: reader.i64()?,
        })
    }
}
