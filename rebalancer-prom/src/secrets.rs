//! What must never be shown, and how it is kept out of a server's words.
//!
//! A server may send back what it was sent: a proxy that shows the request's headers on its error
//! page, a login page that repeats the user name and the password.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

/// What stands in the place of a secret.
const HIDDEN: &[u8] = "[hidden]".as_bytes();
/// What is shorter is no secret, but would be found in many words that hold none.
const SHORTEST: usize = 4;

/// The secrets of a request.
#[derive(Clone, Default)]
pub(crate) struct Secrets {
    /// The longest first, so that one that holds another goes as a whole.
    texts: Vec<Vec<u8>>,
}

impl fmt::Debug for Secrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Secrets({})", self.texts.len())
    }
}

impl Secrets {
    /// Takes in the value of a header: the whole, and the parts that are secret by themselves
    /// (`Bearer TOKEN`; `Basic BASE64`, and the password in it).
    pub(crate) fn add_header(&mut self, value: &[u8]) {
        let value = value.trim_ascii();
        self.add(value);
        let Some(space) = value.iter().position(u8::is_ascii_whitespace) else {
            return;
        };
        let (scheme, parameters) = value.split_at(space);
        let parameters = parameters.trim_ascii();
        self.add(parameters);
        if scheme.eq_ignore_ascii_case(b"basic")
            && let Ok(pair) = STANDARD.decode(parameters)
            && let Some(colon) = pair.iter().position(|&byte| byte == b':')
        {
            self.add(&pair[colon + 1..]);
        }
    }

    fn add(&mut self, text: &[u8]) {
        if text.len() >= SHORTEST && !self.texts.iter().any(|known| known == text) {
            self.texts.push(text.to_owned());
            self.texts.sort_by_key(|text| std::cmp::Reverse(text.len()));
        }
    }

    /// The beginning of a text, `max` bytes of it and no secret. One that reaches beyond `max` is
    /// not shown in part either.
    pub(crate) fn hide_in(&self, text: &[u8], max: usize) -> Vec<u8> {
        let max = max.min(text.len());
        let mut shown = Vec::with_capacity(max);
        let mut at = 0;
        while at < max {
            let rest = &text[at..];
            match self.texts.iter().find(|secret| rest.starts_with(secret)) {
                Some(secret) => {
                    shown.extend_from_slice(HIDDEN);
                    at += secret.len();
                }
                None => {
                    shown.push(text[at]);
                    at += 1;
                }
            }
        }
        shown
    }

    /// A whole text without the secrets.
    pub(crate) fn hide(&self, text: &str) -> String {
        String::from_utf8_lossy(&self.hide_in(text.as_bytes(), text.len())).into_owned()
    }
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
    fn secrets_are_hidden(#[case] headers: &[&str], #[case] text: &str, #[case] shown: &str) {
        assert_eq!(secrets(headers).hide(text), shown);
    }

    #[rstest]
    #[case(3, "abc")]
    #[case(4, "abc[hidden]")]
    #[case(10, "abc[hidden]")]
    #[case(11, "abc[hidden]d")]
    fn no_part_of_a_secret_is_shown_where_the_text_is_cut(#[case] max: usize, #[case] shown: &str) {
        let secrets = secrets(&["hunter2"]);
        assert_eq!(secrets.hide_in(b"abchunter2def", max), shown.as_bytes());
    }

    #[test]
    fn debug_shows_no_secret() {
        assert_eq!(format!("{:?}", secrets(&["Bearer hunter2"])), "Secrets(2)");
    }
}
