//! The chain of an error's sources.

use std::error::Error;
use std::io;
use std::iter;

/// Returns the error and its sources, outermost first.
///
/// `io::Error::source` skips the error that an `io::Error` wraps; this iterator includes it.
pub fn causes<'a>(
    error: &'a (dyn Error + 'static),
) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    iter::successors(Some(error), |&error| {
        let io = error.downcast_ref::<io::Error>();
        match io.and_then(io::Error::get_ref) {
            Some(wrapped) => Some(wrapped),
            None => error.source(),
        }
    })
}

/// Returns the message of the innermost source. The outer errors of an HTTP client only say that
/// the request failed.
#[must_use]
pub fn root_cause(error: &(dyn Error + 'static)) -> String {
    causes(error)
        .last()
        .map_or_else(|| error.to_string(), ToString::to_string)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wrapped_error_of_an_io_error_is_included() {
        let tls = rustls::Error::General("no trust".into());
        let error = io::Error::other(io::Error::new(io::ErrorKind::InvalidData, tls));
        assert!(causes(&error).any(|cause| cause.is::<rustls::Error>()));
        assert!(root_cause(&error).contains("no trust"));
    }

    #[test]
    fn error_without_source_is_its_own_root_cause() {
        assert_eq!(root_cause(&io::Error::other("reset")), "reset");
    }
}
