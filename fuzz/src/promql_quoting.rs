//! A namespace and a container, with a line `%%` between: as label values they read back as what
//! they were, and leave the rest of each query as it is.

use std::time::Duration;

use rebalancer_prom::fuzzing::{literal, queries};

use super::parts;

/// Quotes the input.
pub fn check(data: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(data) else {
        return false;
    };
    assert_eq!(
        strings(&literal(text)),
        ("…".to_owned(), vec![text.to_owned()])
    );
    let [namespace, container] = parts(text);
    let window = Duration::from_secs(300);
    for (query, plain) in queries(namespace, container, window)
        .iter()
        .zip(queries("", "", window))
    {
        let (outside, values) = strings(query);
        let (expected, of_plain) = strings(&plain);
        assert_eq!(outside, expected, "the query is another one: {query}");
        let given = values.iter().zip(&of_plain);
        let given: Vec<&str> = given
            // The names of the autoscalers' metrics are ours.
            .filter(|(_, plain)| plain.is_empty())
            .map(|(value, _)| value.as_str())
            .collect();
        assert!(
            given == [namespace, container] || given == [namespace],
            "other values: {query}"
        );
    }
    true
}

/// What of a query is outside of its strings, and the strings, unquoted as Go's
/// `strconv.Unquote` does.
fn strings(query: &str) -> (String, Vec<String>) {
    let mut outside = String::new();
    let mut strings = Vec::new();
    let mut rest = query.chars();
    while let Some(c) = rest.next() {
        if c != '"' {
            outside.push(c);
            continue;
        }
        let mut value = String::new();
        loop {
            match rest.next() {
                Some('"') => break,
                Some('\\') => value.push(match rest.next() {
                    Some('n') => '\n',
                    Some(c @ ('\\' | '"')) => c,
                    other => unreachable!("{other:?} after a backslash in {query:?}"),
                }),
                // Neither may stand in a string.
                None | Some('\n') => unreachable!("a string is left open in {query:?}"),
                Some(c) => value.push(c),
            }
        }
        outside.push('…');
        strings.push(value);
    }
    (outside, strings)
}
