//! What must never be shown, and how it is kept out of an answer's words: whatever stands before
//! the API may send back what it was sent.

use std::sync::{Mutex, PoisonError};

/// What stands in the place of a secret.
const HIDDEN: &[u8] = b"[hidden]";
/// What is shorter is no secret, but would be found in many words that hold none.
const SHORTEST: usize = 4;
/// After it comes a token, also one that only the client knows: it runs the kubeconfig's plugins.
const SCHEME: &[u8] = b"bearer ";

/// The secrets that were sent so far. Tokens are replaced, and an answer may be to an earlier one.
#[derive(Default)]
pub(crate) struct Secrets {
    texts: Mutex<Vec<Vec<u8>>>,
}

impl Secrets {
    /// Takes in a text that is not to be shown.
    pub(crate) fn add(&self, text: &str) {
        let text = text.trim().as_bytes();
        let mut texts = self.lock();
        if text.len() >= SHORTEST && !texts.iter().any(|known| known == text) {
            texts.push(text.to_owned());
            // One that holds another goes as a whole.
            texts.sort_by_key(|text| std::cmp::Reverse(text.len()));
        }
    }

    /// The bytes without secrets.
    pub(crate) fn hide_in(&self, bytes: &[u8]) -> Vec<u8> {
        let texts = self.lock();
        let mut shown = Vec::with_capacity(bytes.len());
        let mut at = 0;
        while let Some(rest) = bytes.get(at..).filter(|rest| !rest.is_empty()) {
            if let Some(secret) = texts.iter().find(|secret| rest.starts_with(secret)) {
                shown.extend_from_slice(HIDDEN);
                at += secret.len();
                continue;
            }
            let named = rest
                .get(..SCHEME.len())
                .is_some_and(|word| word.eq_ignore_ascii_case(SCHEME));
            let token = rest.iter().skip(SCHEME.len());
            let length = token.take_while(|byte| is_of_a_token(**byte)).count();
            if named && length >= SHORTEST {
                shown.extend_from_slice(&rest[..SCHEME.len()]);
                shown.extend_from_slice(HIDDEN);
                at += SCHEME.len() + length;
                continue;
            }
            shown.push(rest[0]);
            at += 1;
        }
        shown
    }

    /// A text without secrets.
    pub(crate) fn hide(&self, text: &str) -> String {
        String::from_utf8_lossy(&self.hide_in(text.as_bytes())).into_owned()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<Vec<u8>>> {
        self.texts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// As RFC 6750 has it.
fn is_of_a_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-._~+/=".contains(&byte)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case("you sent t0ken-1, t0ken-1!", "you sent [hidden], [hidden]!")]
    #[case("t0ken-1-more", "[hidden]")]
    // One that nobody told us of.
    #[case(
        "Authorization: bearer eyJ.abc_-=\r\n",
        "Authorization: bearer [hidden]\r\n"
    )]
    #[case(r#"{"a":"Bearer t0ken-1"}"#, r#"{"a":"Bearer [hidden]"}"#)]
    #[case("the bearer is an é", "the bearer is an é")]
    #[case("an ox is not", "an ox is not")]
    #[case("", "")]
    fn secrets_are_hidden(#[case] text: &str, #[case] shown: &str) {
        let secrets = Secrets::default();
        for text in ["t0ken-1", " t0ken-1-more\n", "ox", ""] {
            secrets.add(text);
        }
        assert_eq!(secrets.hide(text), shown);
    }
}
