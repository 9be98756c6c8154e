//! Lines that fit a terminal: text wrapped between words, and shortened names.

use std::fmt::Write as _;

use anstyle::Style;

use super::style::Palette;

/// The shortest prefix that is worth an ellipsis.
const SHORTEST_PREFIX: usize = 6;

/// The number of columns of a text without escape codes.
pub(crate) fn columns(text: &str) -> usize {
    text.chars().count()
}

/// The indentation of a sentence that continues on another line.
pub(crate) const INDENT: usize = 2;

/// A sentence after a word with a style, such as `HOLD`, wrapped.
pub(crate) fn sentence(word: &str, style: Style, text: &str, palette: &Palette) -> String {
    sentence_at(0, word, style, text, palette)
}

/// A [`sentence`] that begins in the column after `margin` spaces.
pub(crate) fn sentence_at(
    margin: usize,
    word: &str,
    style: Style,
    text: &str,
    palette: &Palette,
) -> String {
    let mut line = format!("{:margin$}{style}{word}{style:#}: ", "");
    let used = margin + columns(word) + 2;
    append(&mut line, used, text, palette.width, margin + INDENT);
    line
}

/// Appends `text` to `line`, which has `used` visible columns, and ends the line. The text
/// continues on lines with `indent` spaces where it would exceed `width`. A word is never divided,
/// so a long one may exceed the width.
pub(crate) fn append(
    line: &mut String,
    used: usize,
    text: &str,
    width: Option<usize>,
    indent: usize,
) {
    let Some(width) = width else {
        line.push_str(text);
        line.push('\n');
        return;
    };
    let mut column = used;
    let mut begins = used == 0 || line.ends_with(' ');
    for word in text.split_whitespace() {
        let length = columns(word);
        if column + usize::from(!begins) + length > width && column > indent {
            line.truncate(line.trim_end_matches(' ').len());
            let _ = write!(line, "\n{:indent$}", "");
            column = indent;
            begins = true;
        }
        if !begins {
            line.push(' ');
            column += 1;
        }
        line.push_str(word);
        column += length;
        begins = false;
    }
    line.push('\n');
}

/// A text on lines of its own.
pub(crate) fn wrapped(text: &str, width: Option<usize>, indent: usize) -> String {
    let mut lines = String::new();
    append(&mut lines, 0, text, width, indent);
    lines
}

/// Appends `text` to a row of a table, of which `used` columns are in use, if the whole of it fits;
/// otherwise writes it below the row, with an indentation.
pub(super) fn append_or_below(line: &mut String, used: usize, text: &str, width: Option<usize>) {
    const INDENT: usize = 4;
    if width.is_some_and(|width| used + columns(text) > width) {
        line.truncate(line.trim_end_matches(' ').len());
        let _ = write!(line, "\n{:INDENT$}", "");
        append(line, INDENT, text, width, INDENT);
    } else {
        append(line, used, text, None, 0);
    }
}

/// The prefix, up to a dash, that all names have in common; `None` if it is too short to matter, or
/// if there is only one name.
pub(super) fn common_prefix<'a>(names: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let mut names = names.into_iter();
    let (first, second) = (names.next()?, names.next()?);
    let shared = |a: &'a str, b: &str| {
        let same = a.char_indices().zip(b.chars());
        let differs = same.clone().find(|((_, a), b)| a != b);
        let end = differs.map_or(a.len().min(b.len()), |((index, _), _)| index);
        a.get(..end).unwrap_or_default()
    };
    let prefix = names.fold(shared(first, second), shared);
    let prefix = &prefix[..=prefix.rfind('-')?];
    (prefix.len() >= SHORTEST_PREFIX).then_some(prefix)
}

/// The names, shortened to at most `width` columns where they are longer: the common prefix becomes
/// an ellipsis, and then the middle of a name that is still too long.
pub(super) fn short_names(names: Vec<String>, width: usize) -> Vec<String> {
    if names.iter().all(|name| columns(name) <= width) {
        return names;
    }
    let prefix = common_prefix(names.iter().map(String::as_str)).map(str::to_owned);
    let shorten = |name: String| {
        let rest = prefix
            .as_deref()
            .and_then(|prefix| name.strip_prefix(prefix));
        let name = rest.map_or(name.clone(), |rest| format!("…{rest}"));
        without_middle(&name, width)
    };
    names.into_iter().map(shorten).collect()
}

/// The name with an ellipsis in place of its middle, if it is longer than `width`. Its end is what
/// distinguishes it, so more of the end is kept.
fn without_middle(name: &str, width: usize) -> String {
    let length = columns(name);
    if length <= width || width < 3 {
        return name.to_owned();
    }
    let head = (width - 1) / 3;
    let tail = width - 1 - head;
    let letters = || name.chars();
    letters()
        .take(head)
        .chain(['…'])
        .chain(letters().skip(length - tail))
        .collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case("one two three", Some(9), "one two\n  three\n")]
    #[case("one two three", Some(13), "one two three\n")]
    #[case("one two three", None, "one two three\n")]
    #[case(
        "incomprehensibilities are long",
        Some(9),
        "incomprehensibilities\n  are\n  long\n"
    )]
    #[case("", Some(9), "\n")]
    fn wraps_between_words(#[case] text: &str, #[case] width: Option<usize>, #[case] lines: &str) {
        assert_eq!(wrapped(text, width, 2), lines);
    }

    #[test]
    fn continues_a_line() {
        let mut line = "HOLD: ".to_owned();
        append(&mut line, 6, "no pod is hot", Some(12), 2);
        assert_eq!(line, "HOLD: no pod\n  is hot\n");
        let mut row = "a  1.0  ".to_owned();
        append_or_below(&mut row, 8, "not ready, young", Some(20));
        assert_eq!(row, "a  1.0\n    not ready, young\n");
        let mut row = "a  1.0  ".to_owned();
        append_or_below(&mut row, 8, "not ready", Some(20));
        assert_eq!(row, "a  1.0  not ready\n");
    }

    #[rstest]
    #[case(&["orders-6b7b87f58f-4r8hp", "orders-6b7b87f58f-685sp"], Some("orders-6b7b87f58f-"))]
    #[case(&["orders-6b7b87f58f-4r8hp", "orders-75c9d8f58f-685sp"], Some("orders-"))]
    #[case(&["orders-0", "orders-1", "orders-10"], Some("orders-"))]
    #[case(&["a-0", "a-1"], None)]
    #[case(&["orders-6b7b87f58f-4r8hp"], None)]
    #[case(&["ordérs-a-1", "ordérs-b-1"], Some("ordérs-"))]
    fn common_prefix_ends_at_a_dash(#[case] names: &[&str], #[case] prefix: Option<&str>) {
        assert_eq!(common_prefix(names.iter().copied()), prefix);
    }

    #[rstest]
    #[case(&["orders-6b7b87f58f-4r8hp", "orders-6b7b87f58f-685sp"], 23,
        &["orders-6b7b87f58f-4r8hp", "orders-6b7b87f58f-685sp"])]
    #[case(&["orders-6b7b87f58f-4r8hp", "orders-6b7b87f58f-685sp"], 22, &["…4r8hp", "…685sp"])]
    #[case(&["a-very-long-name-that-is-alone"], 13, &["a-ve…is-alone"])]
    fn names_are_shortened_only_if_needed(
        #[case] names: &[&str],
        #[case] width: usize,
        #[case] short: &[&str],
    ) {
        let names = names.iter().map(|name| (*name).to_owned()).collect();
        assert_eq!(short_names(names, width), short);
    }

    proptest! {
        #[test]
        fn wrapping_keeps_every_word_and_fits(
            words in prop::collection::vec("[a-zé]{1,9}", 0..20),
            width in 12_usize..40,
            indent in 0_usize..3,
        ) {
            let text = words.join(" ");
            let lines = wrapped(&text, Some(width), indent);
            prop_assert_eq!(lines.split_whitespace().collect::<Vec<_>>(), words);
            for line in lines.lines() {
                prop_assert!(columns(line) <= width, "{:?}", line);
            }
        }

        #[test]
        fn short_names_fit(
            names in prop::collection::vec("[a-zé]{1,5}-[a-z]{1,9}-[a-z0-9]{1,20}", 1..5),
            width in 3_usize..40,
        ) {
            for name in short_names(names, width) {
                prop_assert!(columns(&name) <= width, "{:?}", name);
            }
        }
    }
}
