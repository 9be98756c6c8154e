//! Secrets of requests, and their removal from the text of responses.
//!
//! A server may send back what it received: a proxy that shows the request's headers on its error
//! page, or a login page that repeats the user name and the password.

use std::cmp::Reverse;
use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

/// The replacement for a secret.
const HIDDEN: &[u8] = b"[hidden]";
/// The minimum length of a secret, in bytes. A shorter text occurs in many words that contain no
/// secret.
const SHORTEST: usize = 4;
/// The scheme before a bearer token.
const BEARER: &[u8] = b"bearer ";

/// The secrets that were sent to a server.
#[derive(Clone, Default)]
pub struct Secrets {
    /// The longest first, so that a secret that contains another one is replaced as a whole.
    texts: Vec<Vec<u8>>,
    any_bearer_token: bool,
}

impl fmt::Debug for Secrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Secrets({})", self.texts.len())
    }
}

impl Secrets {
    /// Also hides every text that follows `Bearer ` and looks like a token. This covers tokens that
    /// only the HTTP client knows, such as those of a credential plugin.
    #[must_use]
    pub fn hiding_any_bearer_token() -> Self {
        Self {
            texts: Vec::new(),
            any_bearer_token: true,
        }
    }

    /// Adds a secret. White space around it is not part of it.
    pub fn add(&mut self, text: &str) {
        self.push(text.trim().as_bytes());
    }

    /// Adds the value of a header: the whole value, and the parts that are secrets on their own
    /// (the token of `Bearer TOKEN`; the pair of `Basic BASE64` and the password in it).
    pub fn add_header(&mut self, value: &[u8]) {
        let value = value.trim_ascii();
        self.push(value);
        let Some(space) = value.iter().position(u8::is_ascii_whitespace) else {
            return;
        };
        let (scheme, parameters) = value.split_at(space);
        let parameters = parameters.trim_ascii();
        self.push(parameters);
        if scheme.eq_ignore_ascii_case(b"basic")
            && let Ok(pair) = STANDARD.decode(parameters)
            && let Some(colon) = pair.iter().position(|&byte| byte == b':')
        {
            self.push(&pair[colon + 1..]);
        }
    }

    fn push(&mut self, text: &[u8]) {
        if text.len() >= SHORTEST && !self.texts.iter().any(|known| known == text) {
            self.texts.push(text.to_owned());
            self.texts.sort_by_key(|text| Reverse(text.len()));
        }
    }

    /// Returns the first `max` bytes of a text, with each secret replaced. A secret that extends
    /// beyond `max` is not shown in part either.
    #[must_use]
    pub fn hide_in(&self, text: &[u8], max: usize) -> Vec<u8> {
        let max = max.min(text.len());
        let mut shown = Vec::with_capacity(max);
        let mut index = 0;
        while index < max {
            let rest = &text[index..];
            if let Some(secret) = self.texts.iter().find(|secret| rest.starts_with(secret)) {
                shown.extend_from_slice(HIDDEN);
                index += secret.len();
            } else if let Some(length) = self.bearer_token(rest) {
                shown.extend_from_slice(&rest[..BEARER.len()]);
                shown.extend_from_slice(HIDDEN);
                index += BEARER.len() + length;
            } else {
                shown.push(text[index]);
                index += 1;
            }
        }
        shown
    }

    /// Returns a whole text, with each secret replaced.
    #[must_use]
    pub fn hide(&self, text: &str) -> String {
        String::from_utf8_lossy(&self.hide_in(text.as_bytes(), usize::MAX)).into_owned()
    }

    /// The length of the token at the beginning of a text, after the scheme `Bearer`.
    fn bearer_token(&self, text: &[u8]) -> Option<usize> {
        let (scheme, rest) = text.split_at_checked(BEARER.len())?;
        if !self.any_bearer_token || !scheme.eq_ignore_ascii_case(BEARER) {
            return None;
        }
        let length = rest.iter().take_while(|&&byte| is_token_byte(byte)).count();
        (length >= SHORTEST).then_some(length)
    }
}

/// Whether a byte can be part of a bearer token (RFC 6750).
fn is_token_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-._~+/=".contains(&byte)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    fn secrets(headers: &[&str]) -> Secrets {
        let mut secrets = Secrets::default();
        for value in headers {
            secrets.add_header(value.as_bytes());
        }
        secrets
    }

    #[rstest]
    #[case(&["Bearer t0ken"], "got: Bearer t0ken, t0ken!", "got: [hidden], [hidden]!")]
    #[case(&["Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ=="], "open sesame, QWxhZGRpbjpvcGVuIHNlc2FtZQ==", "[hidden], [hidden]")]
    #[case(&["basic QWxhZGRpbjpvcGVuIHNlc2FtZQ=="], "Aladdin is no secret", "Aladdin is no secret")]
    #[case(&["hunter2", "hunter2-long"], "hunter2-long hunter2", "[hidden] [hidden]")]
    #[case(&["hunter2"], "hunter2hunter2é", "[hidden][hidden]é")]
    #[case(&["1", ""], "tenant 1", "tenant 1")]
    #[case(&[], "words", "words")]
    #[case(&[], "Bearer authentication", "Bearer authentication")]
    fn headers_are_hidden(#[case] headers: &[&str], #[case] text: &str, #[case] shown: &str) {
        assert_eq!(secrets(headers).hide(text), shown);
    }

    #[rstest]
    #[case("you sent t0ken-1, t0ken-1!", "you sent [hidden], [hidden]!")]
    #[case("t0ken-1-more", "[hidden]")]
    #[case::unknown_token(
        "Authorization: bearer eyJ.abc_-=\r\n",
        "Authorization: bearer [hidden]\r\n"
    )]
    #[case(r#"{"a":"Bearer t0ken-1"}"#, r#"{"a":"Bearer [hidden]"}"#)]
    #[case("the bearer is an é", "the bearer is an é")]
    #[case("an ox is not", "an ox is not")]
    #[case("", "")]
    fn known_and_unknown_bearer_tokens_are_hidden(#[case] text: &str, #[case] shown: &str) {
        let mut secrets = Secrets::hiding_any_bearer_token();
        for text in ["t0ken-1", " t0ken-1-more\n", "ox", ""] {
            secrets.add(text);
        }
        assert_eq!(secrets.hide(text), shown);
    }

    #[rstest]
    #[case(3, "abc")]
    #[case(4, "abc[hidden]")]
    #[case(10, "abc[hidden]")]
    #[case(11, "abc[hidden]d")]
    fn no_part_of_a_secret_is_shown_at_the_cut(#[case] max: usize, #[case] shown: &str) {
        let secrets = secrets(&["hunter2"]);
        assert_eq!(secrets.hide_in(b"abchunter2def", max), shown.as_bytes());
    }

    #[test]
    fn debug_shows_no_secret() {
        assert_eq!(format!("{:?}", secrets(&["Bearer hunter2"])), "Secrets(2)");
    }
}
