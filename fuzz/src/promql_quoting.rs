//! A namespace and a container, separated by a line `%%`: as label values they read back unchanged,
//! and they do not change the rest of each query. The whole input as label matchers: what is valid
//! is written as matchers that read back unchanged.

use std::time::Duration;

use rebalancer_prom::fuzzing::{literal, matchers, queries};

use super::parts;

/// Checks the quoting of the input.
pub fn check(data: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(data) else {
        return false;
    };
    assert_eq!(
        strings(&literal(text)),
        ("…".to_owned(), vec![text.to_owned()])
    );
    if let Some(promql) = matchers(text) {
        assert_eq!(matchers(&promql).as_deref(), Some(promql.as_str()));
        let (outside, _) = strings(&promql);
        let allowed = |c: char| c.is_ascii_alphanumeric() || "_=~!,…".contains(c);
        assert!(outside.chars().all(allowed), "not quoted: {promql}");
    }
    let [namespace, container] = parts(text);
    let window = Duration::from_secs(300);
    for (query, plain) in queries(namespace, container, window)
        .iter()
        .zip(queries("", "", window))
    {
        let (outside, values) = strings(query);
        let (expected, of_plain) = strings(&plain);
        assert_eq!(outside, expected, "the query has changed: {query}");
        let given = values.iter().zip(&of_plain);
        let given: Vec<&str> = given
            // The metric names of autoscalers are fixed by us.
            .filter(|(_, plain)| plain.is_empty())
            .map(|(value, _)| value.as_str())
            .collect();
        assert!(
            given == [namespace, container] || given.iter().all(|value| *value == namespace),
            "the values have changed: {query}"
        );
    }
    true
}

/// The part of a query outside of its strings, and the strings, unquoted like Go's
/// `strconv.Unquote`.
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
                // A string may contain neither of these.
                None | Some('\n') => unreachable!("a string is not terminated in {query:?}"),
                Some(c) => value.push(c),
            }
        }
        outside.push('…');
        strings.push(value);
    }
    (outside, strings)
}
