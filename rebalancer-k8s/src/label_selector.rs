//! Label selectors: the workload's own, as its object has it, and the operator's, as text.

use std::collections::BTreeSet;
use std::fmt;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector as ApiSelector;
use kube::core::{Expression, ParseExpressionError, Selector};

/// The longest label value, and the longest label name without its prefix.
const MAX_NAME: usize = 63;
/// The longest prefix of a label name: a DNS subdomain.
const MAX_PREFIX: usize = 253;

/// A label selector in the grammar of the Kubernetes API (`a=1,b in (x,y),!c`).
///
/// The `Display` text is the canonical form of the selector, and parses to an equal selector.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LabelSelector {
    requirements: Vec<Requirement>,
}

/// One term of a selector.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Requirement {
    Expression(Expression),
    /// `key > number` or `key < number`, which [`Expression`] does not have.
    Comparison {
        key: String,
        sign: char,
        number: u64,
    },
}

/// A text that is not a label selector.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("label selector `{text}`: expected {expected} at character {}, found {found}", .index + 1)]
pub struct InvalidLabelSelector {
    /// The text that was parsed.
    text: String,
    /// Index of the character at which the text stops being a label selector.
    index: usize,
    /// A description of the tokens that are allowed there.
    expected: &'static str,
    /// A description of the token that is there.
    found: String,
}

/// Parses a label selector. An empty or blank text is the selector that selects everything.
///
/// The grammar and the limits on names and values are those of the API server, so that a selector
/// that is accepted here is not refused there.
///
/// # Errors
/// [`InvalidLabelSelector`] if the text does not follow the grammar, or if a name or value is not
/// one that a label can have.
///
/// ```
/// use rebalancer_k8s::parse_label_selector;
/// assert!(parse_label_selector("app=web, tier in (front, back), !canary").is_ok());
/// let error = parse_label_selector("tier in (").unwrap_err();
/// assert_eq!(
///     error.to_string(),
///     "label selector `tier in (`: expected a label value, `,` or `)` at character 10, found the \
///      end of the text"
/// );
/// ```
pub fn parse_label_selector(text: &str) -> Result<LabelSelector, InvalidLabelSelector> {
    let mut parser = Parser { text, index: 0 };
    let mut requirements = Vec::new();
    if parser.peek() == Token::End {
        return Ok(LabelSelector { requirements });
    }
    loop {
        requirements.push(parser.requirement()?);
        match parser.peek() {
            Token::End => return Ok(LabelSelector { requirements }),
            Token::Symbol(",") => parser.advance(),
            Token::Symbol(_) | Token::Word(_) => return Err(parser.error("`,` or the end")),
        }
    }
}

/// The text of the workload's own selector, or `None` if it selects everything.
///
/// # Errors
/// [`ParseExpressionError`] if the selector has an unknown operator.
pub(crate) fn text_of(selector: ApiSelector) -> Result<Option<String>, ParseExpressionError> {
    let selector = Selector::try_from(selector)?;
    Ok((!selector.selects_all()).then(|| selector.to_string()))
}

/// The text of a selector that selects what both selectors select.
pub(crate) fn both(own: &str, extra: Option<&str>) -> String {
    match extra.map(str::trim).filter(|extra| !extra.is_empty()) {
        Some(extra) => format!("{own},{extra}"),
        None => own.to_owned(),
    }
}

impl fmt::Display for LabelSelector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, requirement) in self.requirements.iter().enumerate() {
            let separator = if index == 0 { "" } else { "," };
            write!(f, "{separator}{requirement}")?;
        }
        Ok(())
    }
}

impl fmt::Display for Requirement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Expression(expression) => write!(f, "{expression}"),
            Self::Comparison { key, sign, number } => write!(f, "{key}{sign}{number}"),
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Token<'a> {
    /// A name, a value or a keyword.
    Word(&'a str),
    Symbol(&'static str),
    End,
}

/// All symbols of the grammar. A symbol that begins with another symbol precedes it.
const SYMBOLS: [&str; 9] = ["==", "!=", "=", "!", "(", ")", ",", ">", "<"];

struct Parser<'a> {
    text: &'a str,
    /// Byte index of the next unread character.
    index: usize,
}

impl<'a> Parser<'a> {
    /// The unread text without leading white space.
    fn rest(&self) -> &'a str {
        self.text
            .get(self.index..)
            .unwrap_or_default()
            .trim_start_matches(is_space)
    }

    fn peek(&self) -> Token<'a> {
        let rest = self.rest();
        if rest.is_empty() {
            return Token::End;
        }
        if let Some(symbol) = SYMBOLS.into_iter().find(|symbol| rest.starts_with(symbol)) {
            return Token::Symbol(symbol);
        }
        let end = rest
            .find(|letter| is_space(letter) || "=!(),><".contains(letter))
            .unwrap_or(rest.len());
        Token::Word(rest.get(..end).unwrap_or_default())
    }

    fn advance(&mut self) {
        let length = match self.peek() {
            Token::Word(word) => word.len(),
            Token::Symbol(symbol) => symbol.len(),
            Token::End => 0,
        };
        self.index = self.text.len() - self.rest().len() + length;
    }

    /// The error that the next token is not an expected one.
    fn error(&self, expected: &'static str) -> InvalidLabelSelector {
        let start = self.text.len() - self.rest().len();
        InvalidLabelSelector {
            text: self.text.to_owned(),
            index: self.text.get(..start).unwrap_or_default().chars().count(),
            expected,
            found: match self.peek() {
                Token::Word(found) | Token::Symbol(found) => format!("`{found}`"),
                Token::End => "the end of the text".to_owned(),
            },
        }
    }

    fn requirement(&mut self) -> Result<Requirement, InvalidLabelSelector> {
        let absent = self.peek() == Token::Symbol("!");
        if absent {
            self.advance();
        }
        let key = self.key()?;
        if absent {
            return Ok(Requirement::Expression(Expression::DoesNotExist(key)));
        }
        let operator = match self.peek() {
            Token::End | Token::Symbol(",") => {
                return Ok(Requirement::Expression(Expression::Exists(key)));
            }
            Token::Word(operator @ ("in" | "notin"))
            | Token::Symbol(operator @ ("=" | "==" | "!=" | ">" | "<")) => operator,
            Token::Word(_) | Token::Symbol(_) => {
                return Err(self.error("`=`, `!=`, `in`, `notin`, `,` or the end"));
            }
        };
        self.advance();
        let expression = match operator {
            "in" => Expression::In(key, self.values()?),
            "notin" => Expression::NotIn(key, self.values()?),
            "!=" => Expression::NotEqual(key, self.value("a label value")?),
            ">" => return self.comparison(key, '>'),
            "<" => return self.comparison(key, '<'),
            _ => Expression::Equal(key, self.value("a label value")?),
        };
        Ok(Requirement::Expression(expression))
    }

    fn key(&mut self) -> Result<String, InvalidLabelSelector> {
        const EXPECTED: &str = "a label name";
        let Token::Word(key) = self.peek() else {
            return Err(self.error(EXPECTED));
        };
        let (prefix, name) = match key.split_once('/') {
            Some((prefix, name)) => (Some(prefix), name),
            None => (None, key),
        };
        if !is_name(name) || !prefix.is_none_or(is_subdomain) {
            return Err(self.error(EXPECTED));
        }
        self.advance();
        Ok(key.to_owned())
    }

    /// A value; one that is left out is empty.
    fn value(&mut self, expected: &'static str) -> Result<String, InvalidLabelSelector> {
        match self.peek() {
            Token::Word(value) if is_name(value) => {
                self.advance();
                Ok(value.to_owned())
            }
            Token::End | Token::Symbol("," | ")") => Ok(String::new()),
            Token::Word(_) | Token::Symbol(_) => Err(self.error(expected)),
        }
    }

    fn comparison(&mut self, key: String, sign: char) -> Result<Requirement, InvalidLabelSelector> {
        if let Token::Word(word) = self.peek()
            && is_name(word)
            && let Ok(number) = word.parse::<i64>()
        {
            self.advance();
            let number = number.unsigned_abs();
            return Ok(Requirement::Comparison { key, sign, number });
        }
        Err(self.error("a whole number that is not negative"))
    }

    /// Values in parentheses.
    fn values(&mut self) -> Result<BTreeSet<String>, InvalidLabelSelector> {
        const EXPECTED: &str = "a label value, `,` or `)`";
        if self.peek() != Token::Symbol("(") {
            return Err(self.error("`(`"));
        }
        self.advance();
        let mut values = BTreeSet::new();
        loop {
            values.insert(self.value(EXPECTED)?);
            match self.peek() {
                Token::Symbol(",") => self.advance(),
                Token::Symbol(")") => {
                    self.advance();
                    return Ok(values);
                }
                Token::End => return Err(self.error(EXPECTED)),
                Token::Symbol(_) | Token::Word(_) => return Err(self.error("`,` or `)`")),
            }
        }
    }
}

/// Whether the API's lexer skips the character.
fn is_space(letter: char) -> bool {
    matches!(letter, ' ' | '\t' | '\r' | '\n')
}

/// Whether the text can be a label value that is not empty, or the name part of a label name.
fn is_name(text: &str) -> bool {
    let bytes = text.as_bytes();
    text.len() <= MAX_NAME
        && bytes.first().is_some_and(u8::is_ascii_alphanumeric)
        && bytes.last().is_some_and(u8::is_ascii_alphanumeric)
        && bytes
            .iter()
            .all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(byte))
}

/// Whether the text is a DNS subdomain of RFC 1123.
fn is_subdomain(text: &str) -> bool {
    let is_edge = |byte: &u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    text.len() <= MAX_PREFIX
        && text.split('.').map(str::as_bytes).all(|label| {
            label.first().is_some_and(is_edge)
                && label.last().is_some_and(is_edge)
                && label.iter().all(|byte| is_edge(byte) || *byte == b'-')
        })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use rstest::rstest;

    #[rstest]
    #[case(r#"{"matchLabels": {"b": "2", "a": "1"}}"#, Some("a=1,b=2"))]
    #[case(
        r#"{"matchExpressions": [
            {"key": "tier", "operator": "In", "values": ["x", "y"]},
            {"key": "env", "operator": "NotIn", "values": ["dev"]},
            {"key": "app", "operator": "Exists"},
            {"key": "old", "operator": "DoesNotExist", "values": null}]}"#,
        Some("tier in (x,y),env notin (dev),app,!old")
    )]
    #[case(
        r#"{"matchLabels": {"a": ""}, "matchExpressions": [{"key": "b", "operator": "Exists"}]}"#,
        Some("a=,b")
    )]
    #[case("{}", None)]
    #[case(r#"{"matchLabels": {}, "matchExpressions": []}"#, None)]
    fn writes_the_selector_of_a_workload_as_text(#[case] json: &str, #[case] text: Option<&str>) {
        let selector: ApiSelector = serde_json::from_str(json).unwrap();
        let written = text_of(selector).unwrap();
        assert_eq!(written.as_deref(), text);
        if let Some(written) = written {
            assert_eq!(parse_label_selector(&written).unwrap().to_string(), written);
        }
    }

    #[test]
    fn refuses_an_unknown_operator_in_the_selector_of_a_workload() {
        let json = r#"{"matchExpressions": [{"key": "a", "operator": "Near", "values": ["b"]}]}"#;
        assert!(text_of(serde_json::from_str(json).unwrap()).is_err());
    }

    #[rstest]
    #[case(None, "a=1")]
    #[case(Some("  "), "a=1")]
    #[case(Some("b in (x,y)"), "a=1,b in (x,y)")]
    fn joins_two_selectors(#[case] extra: Option<&str>, #[case] text: &str) {
        assert_eq!(both("a=1", extra), text);
    }

    #[rstest]
    #[case::blank(" \t", "")]
    #[case::equal("a=b", "a=b")]
    #[case::equal_with_two_signs("a == b", "a=b")]
    #[case::equal_to_the_empty_value("a=,b= ", "a=,b=")]
    #[case::not_equal("a != b", "a!=b")]
    #[case::exists(" a ", "a")]
    #[case::does_not_exist("! a", "!a")]
    #[case::in_a_set("a in(x , y,x)", "a in (x,y)")]
    #[case::not_in_a_set("a notin (x)", "a notin (x)")]
    #[case::empty_values("a in (),b in (,x),c in (x,)", "a in (),b in (,x),c in (,x)")]
    #[case::comparisons("a>1,b < 20", "a>1,b<20")]
    #[case::keywords_as_names("in in (in),notin=in", "in in (in),notin=in")]
    #[case::prefix("app.kubernetes.io/name=web", "app.kubernetes.io/name=web")]
    #[case::many("a=1,\n b in (x),!c", "a=1,b in (x),!c")]
    fn parses_a_selector(#[case] text: &str, #[case] canonical: &str) {
        assert_eq!(parse_label_selector(text).unwrap().to_string(), canonical);
    }

    #[rstest]
    #[case(
        "a in (",
        "a label value, `,` or `)` at character 7, found the end of the text"
    )]
    #[case(
        "a in (x",
        "a label value, `,` or `)` at character 8, found the end of the text"
    )]
    #[case("a in (x y)", "`,` or `)` at character 9, found `y`")]
    #[case("a in (x=y)", "`,` or `)` at character 8, found `=`")]
    #[case("a in x", "`(` at character 6, found `x`")]
    #[case(
        "a near (x)",
        "`=`, `!=`, `in`, `notin`, `,` or the end at character 3, found `near`"
    )]
    #[case("a=b c", "`,` or the end at character 5, found `c`")]
    #[case("a=(b)", "a label value at character 3, found `(`")]
    #[case("!a=b", "`,` or the end at character 3, found `=`")]
    #[case("a=b,", "a label name at character 5, found the end of the text")]
    #[case(",a=b", "a label name at character 1, found `,`")]
    #[case("=b", "a label name at character 1, found `=`")]
    #[case(
        "a>",
        "a whole number that is not negative at character 3, found the end of the text"
    )]
    #[case(
        "a>-1",
        "a whole number that is not negative at character 3, found `-1`"
    )]
    #[case("a<x", "a whole number that is not negative at character 3, found `x`")]
    #[case("é=b", "a label name at character 1, found `é`")]
    #[case("a=é,b", "a label value at character 3, found `é`")]
    #[case("-a=b", "a label name at character 1, found `-a`")]
    #[case("a=b-", "a label value at character 3, found `b-`")]
    #[case("Upper.io/a", "a label name at character 1, found `Upper.io/a`")]
    #[case("a//b", "a label name at character 1, found `a//b`")]
    #[case("/b", "a label name at character 1, found `/b`")]
    fn refuses_a_text_that_is_not_a_selector(#[case] text: &str, #[case] message: &str) {
        let error = parse_label_selector(text).unwrap_err().to_string();
        assert_eq!(
            error,
            format!("label selector `{text}`: expected {message}")
        );
    }

    #[rstest]
    #[case(63, true)]
    #[case(64, false)]
    fn limits_the_length_of_names_and_values(#[case] length: usize, #[case] valid: bool) {
        let long = "a".repeat(length);
        for text in [
            format!("{long}=b"),
            format!("a={long}"),
            format!("x.io/{long}"),
        ] {
            assert_eq!(parse_label_selector(&text).is_ok(), valid, "{text}");
        }
    }

    fn name() -> impl Strategy<Value = String> {
        "[A-Za-z0-9]([A-Za-z0-9._-]{0,8}[A-Za-z0-9])?"
    }

    fn requirement() -> impl Strategy<Value = Requirement> {
        let key = (
            proptest::option::of("[a-z]{1,4}(\\.[a-z0-9]{1,4}){0,2}/"),
            name(),
        )
            .prop_map(|(prefix, name)| prefix.unwrap_or_default() + &name);
        let value = || prop_oneof![Just(String::new()), name()];
        let set = proptest::collection::btree_set(value(), 1..4);
        (key, 0..8, value(), set, 0..=i64::MAX.unsigned_abs()).prop_map(
            |(key, kind, value, set, number)| {
                Requirement::Expression(match kind {
                    0 => Expression::In(key, set),
                    1 => Expression::NotIn(key, set),
                    2 => Expression::Equal(key, value),
                    3 => Expression::NotEqual(key, value),
                    4 => Expression::Exists(key),
                    5 => Expression::DoesNotExist(key),
                    other => {
                        let sign = if other == 6 { '>' } else { '<' };
                        return Requirement::Comparison { key, sign, number };
                    }
                })
            },
        )
    }

    proptest! {
        #[test]
        fn parses_what_it_displays(
            requirements in proptest::collection::vec(requirement(), 0..5),
        ) {
            let selector = LabelSelector { requirements };
            prop_assert_eq!(parse_label_selector(&selector.to_string()), Ok(selector));
        }

        #[test]
        fn parses_any_text_without_panic(text in "[ab =!(),<>/.é-]{0,20}|\\PC{0,20}") {
            if let Ok(selector) = parse_label_selector(&text) {
                prop_assert_eq!(parse_label_selector(&selector.to_string()), Ok(selector));
            }
        }
    }
}
