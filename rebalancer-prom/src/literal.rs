//! Literals of PromQL.

/// Returns a regular expression that matches only this text.
pub(crate) fn regex_literal(text: &str) -> String {
    let mut regex = String::with_capacity(text.len());
    for c in text.chars() {
        if r"\.+*?()|[]{}^$".contains(c) {
            regex.push('\\');
        }
        regex.push(c);
    }
    regex
}

/// Returns a PromQL string literal.
pub(crate) fn string_literal(value: &str) -> String {
    let mut literal = String::with_capacity(value.len() + 2);
    literal.push('"');
    for c in value.chars() {
        match c {
            '\\' => literal.push_str("\\\\"),
            '"' => literal.push_str("\\\""),
            '\n' => literal.push_str("\\n"),
            c => literal.push(c),
        }
    }
    literal.push('"');
    literal
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case("plain", r#""plain""#)]
    #[case(r#"a"b"#, r#""a\"b""#)]
    #[case(r"a\b", r#""a\\b""#)]
    #[case("a\nb", r#""a\nb""#)]
    #[case(r#"x"} or vector(1) #"#, r#""x\"} or vector(1) #""#)]
    #[case("a.*é", r#""a.*é""#)]
    fn string_literal_is_escaped(#[case] value: &str, #[case] literal: &str) {
        assert_eq!(string_literal(value), literal);
    }
}
