//! Why there is no connection.

use rebalancer_adapter::SettingFileError;

use crate::connection::{CallError, ConnectFailure, OpenError};

/// Why there is no connection.
#[derive(Debug)]
pub(crate) enum DialError {
    /// The failure of this broker.
    Failure(ConnectFailure),
    /// A file with credentials cannot be used.
    File(SettingFileError),
    /// A request of the set-up has no response.
    Call(CallError),
}

impl From<ConnectFailure> for DialError {
    fn from(failure: ConnectFailure) -> Self {
        Self::Failure(failure)
    }
}

impl From<SettingFileError> for DialError {
    fn from(error: SettingFileError) -> Self {
        Self::File(error)
    }
}

impl From<CallError> for DialError {
    fn from(error: CallError) -> Self {
        Self::Call(error)
    }
}

impl From<OpenError> for DialError {
    fn from(error: OpenError) -> Self {
        match error {
            OpenError::Refused(failure) => Self::Failure(failure),
            OpenError::Call(error) => Self::Call(error),
        }
    }
}
