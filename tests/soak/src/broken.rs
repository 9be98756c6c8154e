//! A broken rule.

/// The name of a broken rule, and the details.
pub(crate) type Broken = (&'static str, String);

/// Returns the broken rule if `kept` is false.
pub(crate) fn keep(
    kept: bool,
    rule: &'static str,
    detail: impl FnOnce() -> String,
) -> Result<(), Broken> {
    if kept { Ok(()) } else { Err((rule, detail())) }
}
