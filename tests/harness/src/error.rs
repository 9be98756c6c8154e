//! What can go wrong in the harness, each with what was attempted.

use std::{fmt, io, path::PathBuf, sync::Arc, time::Duration};

/// The result of everything in the harness.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// A failure of the harness, not of the program under test.
///
/// Its `Debug` is its message, since that is what a test that returns an error
/// prints, and the messages carry logs of several lines.
#[derive(thiserror::Error)]
pub enum Error {
    /// A program that the tests need is not installed.
    #[error("{program} was not found{place}; {hint}")]
    Missing {
        /// The program's name.
        program: String,
        /// Where it was looked for, as the continuation of a sentence.
        place: String,
        /// What to do about it.
        hint: String,
    },
    /// The operating system refused something.
    #[error("cannot {action}: {source}")]
    Io {
        /// What was attempted.
        action: String,
        /// The system's answer.
        source: io::Error,
    },
    /// A command ended with a failure.
    #[error("{command} failed ({status}){output}")]
    Command {
        /// The command line.
        command: String,
        /// How it ended.
        status: String,
        /// What it printed, indented, with a line break before it.
        output: String,
    },
    /// A server ended or stayed deaf instead of becoming ready.
    #[error("{name} did not become ready: {reason}; the end of {}:\n{tail}", log.display())]
    Start {
        /// The server's name.
        name: String,
        /// What the last attempt to reach it said.
        reason: String,
        /// Its log file, removed with its directory unless `REBALANCER_TEST_KEEP` is set.
        log: PathBuf,
        /// The last lines of the log.
        tail: String,
    },
    /// The Kubernetes API refused something.
    #[error("cannot {action}: {source}")]
    Kube {
        /// What was attempted.
        action: String,
        /// The client's error.
        source: Box<kube::Error>,
    },
    /// A document does not have the form that it should have.
    #[error("{what} cannot be understood: {message}")]
    Document {
        /// The document.
        what: String,
        /// What is wrong with it.
        message: String,
    },
    /// A server answered something else than success.
    #[error("GET {url} answered {status}: {body}")]
    Answer {
        /// The address asked.
        url: String,
        /// The HTTP status code.
        status: u16,
        /// The body of the answer.
        body: String,
    },
    /// Something waited for did not happen.
    #[error("waited {} s for {what}; last seen: {last}", after.as_secs())]
    Timeout {
        /// What was waited for.
        what: String,
        /// For how long.
        after: Duration,
        /// The state at the end.
        last: String,
    },
    /// The servers that all tests of the process share did not start.
    #[error("{0}")]
    Shared(Arc<Error>),
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Error {
    /// For `map_err`: the I/O error with what was attempted.
    pub(crate) fn io(action: impl Into<String>) -> impl FnOnce(io::Error) -> Self {
        let action = action.into();
        move |source| Self::Io { action, source }
    }

    /// For `map_err`: the API's error with what was attempted.
    pub(crate) fn kube(action: impl Into<String>) -> impl FnOnce(kube::Error) -> Self {
        let action = action.into();
        move |source| Self::Kube {
            action,
            source: Box::new(source),
        }
    }

    /// For `map_err`: a document that does not parse.
    pub(crate) fn document<E: fmt::Display>(what: impl Into<String>) -> impl FnOnce(E) -> Self {
        let what = what.into();
        move |error| Self::Document {
            what,
            message: error.to_string(),
        }
    }

    /// The HTTP status code of the Kubernetes API's answer, where there was one.
    #[must_use]
    pub fn code(&self) -> Option<u16> {
        if let Self::Kube { source, .. } = self
            && let kube::Error::Api(status) = source.as_ref()
        {
            return Some(status.code);
        }
        None
    }
}
