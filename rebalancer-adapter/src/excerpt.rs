//! Excerpts of response bodies for error messages and logs.

use crate::secrets::Secrets;

/// The maximum length of an [`excerpt`], in characters.
pub const EXCERPT_CHARS: usize = 200;

/// Returns the first [`EXCERPT_CHARS`] characters of a text on one line, without secrets.
#[must_use]
pub fn excerpt(text: &[u8], secrets: &Secrets) -> String {
    excerpt_up_to(EXCERPT_CHARS, text, secrets)
}

/// Returns the first `max` characters of a text on one line, without secrets. An ellipsis marks a
/// text that is cut.
///
/// Each run of white space and control characters becomes one space, so that the text of a server
/// can neither break a log line nor change the colour of a terminal.
#[must_use]
pub fn excerpt_up_to(max: usize, text: &[u8], secrets: &Secrets) -> String {
    // A character has at most four bytes. Removed white space can make the excerpt shorter than
    // `max`.
    let head = secrets.hide_in(text, max * 4);
    let head = String::from_utf8_lossy(&head);
    let mut line = String::new();
    let mut chars = 0;
    let mut gap = false;
    for c in head.chars() {
        if c.is_whitespace() || c.is_control() {
            gap = true;
            continue;
        }
        let space = gap && !line.is_empty();
        gap = false;
        if chars + usize::from(space) >= max {
            line.push('…');
            return line;
        }
        if space {
            line.push(' ');
            chars += 1;
        }
        line.push(c);
        chars += 1;
    }
    if text.len() > max * 4 {
        line.push('…');
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case("<html>\n  <b>x</b>\r\n", "<html> <b>x</b>")]
    #[case("", "")]
    #[case("\u{1b}[31mred", "[31mred")]
    fn excerpt_is_one_plain_line(#[case] text: &str, #[case] line: &str) {
        assert_eq!(excerpt(text.as_bytes(), &Secrets::default()), line);
    }

    #[test]
    fn excerpt_shows_no_part_of_a_secret_at_its_end() {
        let mut secrets = Secrets::default();
        secrets.add_header(b"hunter2");
        let text = format!("{}hunter2", "x".repeat(EXCERPT_CHARS - 3));
        let line = excerpt(text.as_bytes(), &secrets);
        assert!(line.ends_with("x[hi…"), "{line}");
    }

    #[rstest]
    #[case::before_the_last_character(EXCERPT_CHARS - 1)]
    #[case::after_the_last_character(EXCERPT_CHARS)]
    fn white_space_at_the_end_does_not_exceed_the_length(#[case] before: usize) {
        let text = format!("{} y", "x".repeat(before));
        let line = excerpt(text.as_bytes(), &Secrets::default());
        assert_eq!(line, format!("{}…", "x".repeat(before)));
    }

    #[test]
    fn long_text_is_cut_with_an_ellipsis() {
        let line = excerpt("é".repeat(5000).as_bytes(), &Secrets::default());
        assert_eq!(line.chars().count(), EXCERPT_CHARS + 1);
        assert!(line.ends_with('…'));
    }
}
