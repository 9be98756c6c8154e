//! The operator's label matchers, which select series in every built-in query.
//!
//! The parser accepts what PromQL accepts between the braces of a selector. A crate for all of
//! PromQL would add a parser generator and `chrono` to the program.

use std::fmt;
use std::iter::Peekable;
use std::str::{CharIndices, FromStr};

use crate::literal::string_literal;

/// Label matchers, such as `cluster="prod-eu",tenant=~"a|b"` (`PROMETHEUS_MATCHERS`).
///
/// `Display` writes them as PromQL. Regular expressions are evaluated by the server and not checked
/// here, because its dialect may differ.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Matchers(Vec<Matcher>);

/// One label matcher.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Matcher {
    label: String,
    operator: Operator,
    value: String,
}

/// The operator of a matcher.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Operator {
    Equal,
    NotEqual,
    Matches,
    MatchesNot,
}

impl Matchers {
    /// Whether there are no matchers, so that every series is selected.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl Operator {
    const ALL: [Self; 4] = [Self::Matches, Self::MatchesNot, Self::NotEqual, Self::Equal];

    fn as_str(self) -> &'static str {
        match self {
            Self::Equal => "=",
            Self::NotEqual => "!=",
            Self::Matches => "=~",
            Self::MatchesNot => "!~",
        }
    }
}

/// Whether PromQL accepts a label name without quotes.
fn is_plain(name: &str) -> bool {
    name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && name.chars().all(is_plain_character)
}

fn is_plain_character(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_'
}

impl fmt::Display for Matchers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, matcher) in self.0.iter().enumerate() {
            let separator = if index == 0 { "" } else { "," };
            write!(f, "{separator}{matcher}")?;
        }
        Ok(())
    }
}

impl fmt::Display for Matcher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if is_plain(&self.label) {
            f.write_str(&self.label)?;
        } else {
            f.write_str(&string_literal(&self.label))?;
        }
        f.write_str(self.operator.as_str())?;
        f.write_str(&string_literal(&self.value))
    }
}

/// Why a text is not a list of label matchers.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "at character {position}: {problem}; write label matchers as in PromQL, for example \
     cluster=\"prod-eu\",tenant=~\"a|b\""
)]
pub struct InvalidMatchers {
    /// Number of the character, from 1.
    position: usize,
    problem: String,
}

impl FromStr for Matchers {
    type Err = InvalidMatchers;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mut parser = Parser::new(text);
        let mut matchers = Vec::new();
        // Like PromQL, accepts a comma after the last matcher.
        while !parser.at_end() {
            matchers.push(parser.matcher()?);
            if !parser.at_end() {
                parser.comma()?;
            }
        }
        Ok(Self(matchers))
    }
}

/// Reads matchers from a text.
struct Parser<'a> {
    text: &'a str,
    rest: Peekable<CharIndices<'a>>,
}

impl<'a> Parser<'a> {
    fn new(text: &'a str) -> Self {
        Self {
            text,
            rest: text.char_indices().peekable(),
        }
    }

    /// Skips white space and returns whether nothing follows.
    fn at_end(&mut self) -> bool {
        while self.rest.next_if(|(_, c)| c.is_whitespace()).is_some() {}
        self.rest.peek().is_none()
    }

    /// The index of the next character, in bytes.
    fn offset(&mut self) -> usize {
        self.rest.peek().map_or(self.text.len(), |(at, _)| *at)
    }

    /// The error for what follows.
    fn expected(&mut self, expected: &str) -> InvalidMatchers {
        let offset = self.offset();
        let found = match self.rest.peek() {
            Some((_, c)) => format!("`{c}` follows"),
            None => "the text ends".to_owned(),
        };
        self.error_at(offset, format!("{expected} is expected, but {found}"))
    }

    fn error_at(&self, offset: usize, problem: impl Into<String>) -> InvalidMatchers {
        let before = self.text.get(..offset).unwrap_or(self.text);
        InvalidMatchers {
            position: before.chars().count() + 1,
            problem: problem.into(),
        }
    }

    fn matcher(&mut self) -> Result<Matcher, InvalidMatchers> {
        let offset = self.offset();
        let label = self.label()?;
        if label == "__name__" {
            let problem = "the name of a metric cannot be matched, because each query has its own";
            return Err(self.error_at(offset, problem));
        }
        let operator = self.operator()?;
        if self.at_end() {
            return Err(self.expected("a value in quotes"));
        }
        let Some(value) = self.string()? else {
            return Err(self.expected("a value in quotes"));
        };
        Ok(Matcher {
            label,
            operator,
            value,
        })
    }

    /// A plain name, or any name in quotes.
    fn label(&mut self) -> Result<String, InvalidMatchers> {
        let offset = self.offset();
        if let Some(name) = self.string()? {
            if name.is_empty() {
                return Err(self.error_at(offset, "the name of a label is empty"));
            }
            return Ok(name);
        }
        let mut name = String::new();
        while let Some((_, c)) = self.rest.next_if(|(_, c)| is_plain_character(*c)) {
            name.push(c);
        }
        if is_plain(&name) {
            Ok(name)
        } else if name.is_empty() {
            Err(self.expected("the name of a label"))
        } else {
            Err(self.error_at(offset, format!("`{name}` is not the name of a label")))
        }
    }

    fn operator(&mut self) -> Result<Operator, InvalidMatchers> {
        if self.at_end() {
            return Err(self.expected("one of =, !=, =~ and !~"));
        }
        let offset = self.offset();
        let rest = self.text.get(offset..).unwrap_or_default();
        let mut operators = Operator::ALL.into_iter();
        match operators.find(|operator| rest.starts_with(operator.as_str())) {
            Some(operator) => {
                for _ in operator.as_str().chars() {
                    self.rest.next();
                }
                Ok(operator)
            }
            None => Err(self.expected("one of =, !=, =~ and !~")),
        }
    }

    fn comma(&mut self) -> Result<(), InvalidMatchers> {
        match self.rest.next_if(|(_, c)| *c == ',') {
            Some(_) => Ok(()),
            None => Err(self.expected("a comma")),
        }
    }

    /// A string in double quotes, single quotes or back quotes; `None` if something else follows.
    fn string(&mut self) -> Result<Option<String>, InvalidMatchers> {
        let is_quote = |(_, c): &(usize, char)| matches!(c, '"' | '\'' | '`');
        let Some((start, quote)) = self.rest.next_if(is_quote) else {
            return Ok(None);
        };
        let mut value = String::new();
        loop {
            match self.rest.next() {
                Some((_, c)) if c == quote => return Ok(Some(value)),
                Some((at, '\\')) if quote != '`' => value.push(self.escape(at)?),
                Some((_, '\n')) if quote != '`' => {
                    return Err(self.error_at(start, "the string contains a line break"));
                }
                Some((_, c)) => value.push(c),
                None => return Err(self.error_at(start, "the string has no closing quote")),
            }
        }
    }

    /// The character that an escape stands for; `at` is the index of its backslash.
    fn escape(&mut self, at: usize) -> Result<char, InvalidMatchers> {
        let escaped = self.rest.next().map(|(_, c)| c);
        let digits = match escaped {
            Some('n') => return Ok('\n'),
            Some('r') => return Ok('\r'),
            Some('t') => return Ok('\t'),
            Some(c @ ('\\' | '"' | '\'')) => return Ok(c),
            Some('u') => 4,
            Some('U') => 8,
            Some(_) | None => 0,
        };
        let number: String = (0..digits)
            .map_while(|_| self.rest.next_if(|(_, c)| c.is_ascii_hexdigit()))
            .map(|(_, c)| c)
            .collect();
        let code = u32::from_str_radix(&number, 16).ok();
        let c = code.filter(|_| number.len() == digits);
        c.and_then(char::from_u32).ok_or_else(|| {
            self.error_at(
                at,
                r#"the escape is none of \\, \", \', \n, \r, \t, \uXXXX and \UXXXXXXXX"#,
            )
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case::empty("", "")]
    #[case::blank(" \t", "")]
    #[case::one(r#"cluster="prod-eu""#, r#"cluster="prod-eu""#)]
    #[case::operators(r#"a="1",b!="2",c=~"3|4",d!~".+""#, r#"a="1",b!="2",c=~"3|4",d!~".+""#)]
    #[case::white_space(" a = \"1\" ,\n b=~'x' , ", r#"a="1",b=~"x""#)]
    #[case::no_space(r#"a="1",b="2","#, r#"a="1",b="2""#)]
    #[case::single_quotes(r#"a='say "hi"'"#, r#"a="say \"hi\"""#)]
    #[case::back_quotes(r"a=~`\d+`", r#"a=~"\\d+""#)]
    #[case::escapes(r#"a="\\d\t\"\u00e9\U0001F600""#, "a=\"\\\\d\t\\\"é😀\"")]
    #[case::separators_in_a_string(r#"a="x,y}","#, r#"a="x,y}""#)]
    #[case::quoted_name(r#""k8s.cluster.name"="x""#, r#""k8s.cluster.name"="x""#)]
    #[case::plain_name_in_quotes(r#""cluster"="x""#, r#"cluster="x""#)]
    #[case::empty_value(r#"replica="""#, r#"replica="""#)]
    fn matchers_are_written_as_promql(#[case] text: &str, #[case] promql: &str) {
        let matchers: Matchers = text.parse().unwrap();
        assert_eq!(matchers.to_string(), promql);
        assert_eq!(promql.parse(), Ok(matchers.clone()));
        assert_eq!(matchers.is_empty(), promql.is_empty());
    }

    #[rstest]
    #[case::without_quotes("cluster=prod", 9, "a value in quotes is expected, but `p` follows")]
    #[case::without_value("cluster=", 9, "a value in quotes is expected, but the text ends")]
    #[case::without_operator(
        "cluster",
        8,
        "one of =, !=, =~ and !~ is expected, but the text ends"
    )]
    #[case::colon(
        r#"cluster:"x""#,
        8,
        "one of =, !=, =~ and !~ is expected, but `:` follows"
    )]
    #[case::comparison(r#"cluster=="x""#, 9, "a value in quotes is expected, but `=` follows")]
    #[case::braces(r#"{a="b"}"#, 1, "the name of a label is expected, but `{` follows")]
    #[case::semicolon(r#"a="b";c="d""#, 6, "a comma is expected, but `;` follows")]
    #[case::or(r#"a="b" or c="d""#, 7, "a comma is expected, but `o` follows")]
    #[case::two_commas(
        r#"a="b",,c="d""#,
        7,
        "the name of a label is expected, but `,` follows"
    )]
    #[case::digit(r#"1a="b""#, 1, "`1a` is not the name of a label")]
    #[case::empty_name(r#"""="b""#, 1, "the name of a label is empty")]
    #[case::open_string(r#"a='é',b="c"#, 9, "the string has no closing quote")]
    #[case::line_break("a=\"b\nc\"", 3, "the string contains a line break")]
    #[case::escape(r#"a="\d""#, 4, "the escape is none of")]
    #[case::short_escape(r#"a="\u00e""#, 4, "the escape is none of")]
    #[case::surrogate(r#"a="\ud800""#, 4, "the escape is none of")]
    #[case::metric_name(r#"__name__="up""#, 1, "the name of a metric cannot be matched")]
    fn error_has_the_position_and_the_problem(
        #[case] text: &str,
        #[case] position: usize,
        #[case] problem: &str,
    ) {
        let error = text.parse::<Matchers>().unwrap_err();
        assert_eq!(error.position, position, "{error}");
        assert!(error.to_string().contains(problem), "{error}");
        assert!(
            error.to_string().contains("write label matchers"),
            "{error}"
        );
    }
}
