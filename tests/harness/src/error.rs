//! Errors of the harness, each with the attempted action.

use std::{fmt, io, path::PathBuf, sync::Arc, time::Duration};

/// The result type of the harness.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// A failure of the harness, not of the program under test.
///
/// `Debug` prints the message, because tests that return an error print its `Debug` form, and
/// messages contain log excerpts of several lines.
#[derive(thiserror::Error)]
pub enum Error {
    /// A program that the tests need is not installed.
    #[error("{program} was not found{place}; {hint}")]
    Missing {
        /// The program's name.
        program: String,
        /// The searched location, as the continuation of a sentence.
        place: String,
        /// How to get the program.
        hint: String,
    },
    /// An I/O operation failed.
    #[error("cannot {action}: {source}")]
    Io {
        /// The attempted action.
        action: String,
        /// The underlying error.
        source: io::Error,
    },
    /// A command failed.
    #[error("{command} failed ({status}){output}")]
    Command {
        /// The command line.
        command: String,
        /// The exit status.
        status: String,
        /// The command's output, indented, after a line break.
        output: String,
    },
    /// A server exited or did not respond in time.
    #[error("{name} did not become ready: {reason}; the end of {}:\n{tail}", log.display())]
    Start {
        /// The server's name.
        name: String,
        /// The result of the last readiness check.
        reason: String,
        /// The log file, removed with its directory unless `REBALANCER_TEST_KEEP` is set.
        log: PathBuf,
        /// The last lines of the log.
        tail: String,
    },
    /// The Kubernetes API returned an error.
    #[error("cannot {action}: {source}")]
    Kube {
        /// The attempted action.
        action: String,
        /// The client's error.
        source: Box<kube::Error>,
    },
    /// A document does not have the expected form.
    #[error("{what}: {message}")]
    Document {
        /// The document.
        what: String,
        /// The mismatch.
        message: String,
    },
    /// A server's response was not a success.
    #[error("GET {url} returned status {status}: {body}")]
    Answer {
        /// The requested URL.
        url: String,
        /// The HTTP status code.
        status: u16,
        /// The response body.
        body: String,
    },
    /// An awaited condition did not occur in time.
    #[error("waited {} s for {what}; last seen: {last}", after.as_secs())]
    Timeout {
        /// The awaited condition.
        what: String,
        /// The deadline.
        after: Duration,
        /// The last observed state.
        last: String,
    },
    /// The shared servers of the test process did not start.
    #[error("{0}")]
    Shared(Arc<Error>),
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Error {
    /// For `map_err`: an I/O error with the attempted action.
    pub(crate) fn io(action: impl Into<String>) -> impl FnOnce(io::Error) -> Self {
        let action = action.into();
        move |source| Self::Io { action, source }
    }

    /// For `map_err`: an API error with the attempted action.
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

    /// The HTTP status code of the Kubernetes API's response, if it responded.
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
