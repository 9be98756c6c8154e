//! The wording of comments: counts phrases that CONTRIBUTING.md asks to avoid, and finds lines that
//! are too long.
//!
//! The code base once had a dialect of its own. The count keeps it from coming back: a crate may
//! have a few (a word may be right where it stands), not many.

use std::fs;
use std::path::PathBuf;

use crate::packages::{packages, rust_files};
use crate::{Error, root};

/// The number of markers per 10,000 comment words from which a crate fails.
const LIMIT: f64 = 20.0;

/// The number of columns at which prose wraps.
const COLUMNS: usize = 100;

/// Words and phrases to avoid, in lower case, without punctuation.
const PHRASES: [&str; 20] = [
    "told",
    "nobody",
    "somebody",
    "anybody",
    "whoever",
    "anew",
    "so many",
    "so long",
    "by itself",
    "by themselves",
    "came of",
    "comes of",
    "became of",
    "hangs on",
    "hang on",
    "stranger",
    "strangers",
    "doubled",
    "futile",
    "troubles",
];

/// First words that make a doc comment a riddle: it should begin with a noun phrase or a verb.
const FIRST_WORDS: [&str; 12] = [
    "it", "they", "them", "he", "what", "who", "those", "where", "how", "when", "somebody",
    "nobody",
];

/// The count of a file or a package.
#[derive(Debug, Default)]
struct Count {
    /// Words in comments.
    words: usize,
    /// The line number (from 1) of each marker, and the marker.
    markers: Vec<(usize, String)>,
}

impl Count {
    /// Markers per 10,000 words.
    #[expect(clippy::cast_precision_loss, reason = "counts of words are small")]
    fn rate(&self) -> f64 {
        self.markers.len() as f64 * 10_000.0 / self.words.max(1) as f64
    }
}

/// Prints the count of every package; `verbose` lists the markers.
///
/// # Errors
/// If a package is above the limit, or a file cannot be read.
pub(crate) fn run(verbose: bool) -> Result<(), Error> {
    let root = root()?;
    let mut folders: Vec<(String, PathBuf)> = packages()?
        .into_iter()
        .map(|package| (package.name, package.folder))
        .collect();
    // A workspace of its own.
    folders.push(("fuzz".into(), root.join("fuzz")));
    let mut above = Vec::new();
    let mut long = Vec::new();
    for (name, folder) in folders {
        let mut total = Count::default();
        for file in rust_files(&folder)? {
            let source = fs::read_to_string(&file)?;
            let found = count(&source);
            let file = file.strip_prefix(root).unwrap_or(&file).display();
            long.extend(
                long_lines(&source)
                    .iter()
                    .map(|line| format!("{file}:{line}")),
            );
            for (line, marker) in found.markers.iter().filter(|_| verbose) {
                println!("{file}:{line}: {marker}");
            }
            total.words += found.words;
            total.markers.extend(found.markers);
        }
        println!(
            "{name}: {} markers in {} comment words, {:.0} per 10,000",
            total.markers.len(),
            total.words,
            total.rate()
        );
        if total.rate() > LIMIT {
            above.push(name);
        }
    }
    if !long.is_empty() {
        let long = long.join(", ");
        return Err(format!("comments beyond column {COLUMNS}: {long}").into());
    }
    if above.is_empty() {
        return Ok(());
    }
    Err(format!(
        "more than {LIMIT} markers per 10,000 comment words in {}: `cargo xtask prose --verbose` \
         lists them",
        above.join(", ")
    )
    .into())
}

/// The count of the comments in `source`.
fn count(source: &str) -> Count {
    let mut count = Count::default();
    let mut in_doc = false;
    // The last word of the line above, since a phrase may go over the end of a line.
    let mut carried = String::new();
    for (index, line) in source.lines().enumerate() {
        let Some((is_doc, text)) = comment(line) else {
            in_doc = false;
            carried.clear();
            continue;
        };
        let words: Vec<String> = text.split_whitespace().map(plain).collect();
        count.words += words.len();
        let mut mark = |marker: String| count.markers.push((index + 1, marker));
        if is_doc
            && !in_doc
            && words
                .first()
                .is_some_and(|first| FIRST_WORDS.contains(&first.as_str()))
        {
            mark(format!("a doc comment begins with `{}`", words[0]));
        }
        let mut previous = std::mem::take(&mut carried);
        for word in &words {
            let pair = format!("{previous} {word}");
            for phrase in PHRASES {
                if phrase == word || phrase == pair {
                    mark(phrase.to_owned());
                }
            }
            previous.clone_from(word);
        }
        carried = previous;
        in_doc = is_doc;
    }
    count
}

/// The numbers (from 1) of the comments beyond [`COLUMNS`], apart from rows of tables, addresses
/// and code.
fn long_lines(source: &str) -> Vec<usize> {
    let mut long = Vec::new();
    let mut in_code = false;
    for (index, line) in source.lines().enumerate() {
        let Some((_, text)) = comment(line) else {
            in_code = false;
            continue;
        };
        if text.trim_start().starts_with("```") {
            in_code = !in_code;
        }
        let wraps = !in_code && !text.contains('|') && !text.contains("://");
        if wraps && line.chars().count() > COLUMNS {
            long.push(index + 1);
        }
    }
    long
}

/// The text of a line that is a comment, and whether that is a doc comment.
fn comment(line: &str) -> Option<(bool, &str)> {
    let line = line.trim_start();
    for doc in ["///", "//!"] {
        if let Some(text) = line.strip_prefix(doc) {
            return Some((true, text));
        }
    }
    line.strip_prefix("//").map(|text| (false, text))
}

/// A word in lower case without punctuation around it.
fn plain(word: &str) -> String {
    word.trim_matches(|character: char| !character.is_alphanumeric())
        .to_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_lines_of_prose_are_found() {
        let long = "word ".repeat(20);
        let source = format!(
            "/// {long}\n//! | {long} |\n// https://host/{long}\nlet x = 1; // {long}\n/// ```\n\
             /// {long}\n/// ```\n    // {long}\n"
        );
        assert_eq!(long_lines(&source), [1, 8]);
        assert_eq!(long_lines("// short"), [0_usize; 0]);
    }

    fn markers(source: &str) -> Vec<String> {
        count(source)
            .markers
            .into_iter()
            .map(|(_, marker)| marker)
            .collect()
    }

    #[test]
    fn phrases_count_in_comments_only() {
        let source = "// The caller is Told.\nlet told = \"told\";\n/// Returns what came of it.";
        assert_eq!(markers(source), ["told", "came of"]);
        assert_eq!(count(source).words, 9);
    }

    #[test]
    fn a_phrase_may_go_over_the_end_of_a_line() {
        assert_eq!(markers("// Waits for so\n// many seconds."), ["so many"]);
        assert_eq!(markers("// Waits for so\nlet many = 1;\n// many"), [""; 0]);
    }

    #[test]
    fn only_the_first_line_of_a_doc_comment_is_checked_for_its_first_word() {
        assert_eq!(
            markers("/// It waits.\nfn f()"),
            ["a doc comment begins with `it`"]
        );
        assert_eq!(markers("/// Waits until\n/// it ends.\nfn f()"), [""; 0]);
        assert_eq!(markers("// It is cheaper.\nfn f()"), [""; 0]);
    }
}
