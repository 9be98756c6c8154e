//! `ListGroups`: the groups that one broker coordinates.

use super::{Api, Request};
use crate::error_code::ErrorCode;
use crate::wire::{Malformed, Reader, Writer};

/// The request for all groups.
#[derive(Debug)]
pub(crate) struct ListGroups;

/// A group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ListedGroup {
    pub(crate) id: String,
    pub(crate) protocol_type: String,
    /// `Stable`, `Empty`, …
    pub(crate) state: String,
    /// `classic`, `consumer`, …; `None` if the broker is older than 3.8.
    pub(crate) group_type: Option<String>,
}

impl Request for ListGroups {
    const API: Api = Api {
        key: 16,
        name: "ListGroups",
        versions: 4..=5,
        flexible_from: 3,
    };
    type Response = (ErrorCode, Vec<ListedGroup>);

    fn encode(&self, version: i16, writer: &mut Writer) {
        // No filter of states, and none of types.
        writer.array(&[], |_, (): &()| ());
        if version >= 5 {
            writer.array(&[], |_, (): &()| ());
        }
        writer.tags();
    }

    fn decode(version: i16, reader: &mut Reader<'_>) -> Result<Self::Response, Malformed> {
        let _throttle_ms = reader.i32()?;
        let error = ErrorCode(reader.i16()?);
        let groups = reader.array(|reader| {
            let group = ListedGroup {
                id: reader.string()?,
                protocol_type: reader.string()?,
                state: reader.string()?,
                group_type: match version {
                    5.. => Some(reader.string()?),
                    _ => None,
                },
            };
            reader.tags()?;
            Ok(group)
        })?;
        reader.tags()?;
        Ok((error, groups))
    }
}
