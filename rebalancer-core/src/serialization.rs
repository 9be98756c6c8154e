//! Conditions under which a field is left out of a document.

/// Whether a number is the default of its field.
#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "serde passes a reference"
)]
pub(crate) fn is_zero(number: &usize) -> bool {
    *number == 0
}
