//! Text from foreign input, made safe for a terminal.

/// Replaces control characters, which could move the cursor: a snapshot may come from anywhere.
pub(super) fn printable(text: &str) -> String {
    text.chars()
        .map(|c| if c.is_control() { '?' } else { c })
        .collect()
}
