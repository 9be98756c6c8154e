//! SCRAM (RFC 5802, RFC 7677) on the primitives of ring, which TLS already uses.
//!
//! The published crates for SASL bring second versions of base64, rand and the hash functions. As
//! Kafka's own clients do, this one sends passwords as they are, without SASLprep.

use std::num::NonZeroU32;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ring::rand::{SecureRandom as _, SystemRandom};
use ring::{digest, hmac, pbkdf2};

/// The hash function of a mechanism.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Hash {
    Sha256,
    Sha512,
}

impl Hash {
    fn digest(self) -> &'static digest::Algorithm {
        match self {
            Self::Sha256 => &digest::SHA256,
            Self::Sha512 => &digest::SHA512,
        }
    }

    fn hmac(self) -> hmac::Algorithm {
        match self {
            Self::Sha256 => hmac::HMAC_SHA256,
            Self::Sha512 => hmac::HMAC_SHA512,
        }
    }

    fn pbkdf2(self) -> pbkdf2::Algorithm {
        match self {
            Self::Sha256 => pbkdf2::PBKDF2_HMAC_SHA256,
            Self::Sha512 => pbkdf2::PBKDF2_HMAC_SHA512,
        }
    }
}

/// Why an exchange failed on the side of the client.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum ScramError {
    #[error("the system has no random numbers")]
    NoRandomness,
    #[error("the broker sent a message that is not SCRAM ({0})")]
    BadMessage(&'static str),
    #[error(
        "the broker requires {0} iterations; from {MIN_ITERATIONS} to {MAX_ITERATIONS} are accepted"
    )]
    Iterations(u32),
    #[error("the broker reports `{0}`")]
    Reported(String),
    #[error("the broker did not prove that it knows the password; it may not be the right server")]
    ServerSignature,
}

/// The fewest iterations that Kafka accepts for a password.
const MIN_ITERATIONS: u32 = 4096;
/// An upper bound, so that a server cannot keep the program busy. Kafka's is 16,384.
const MAX_ITERATIONS: u32 = 1_000_000;
/// The random bytes of a nonce.
const NONCE_BYTES: usize = 24;
/// The header for a client without channel binding, and its base64.
const GS2_HEADER: &str = "n,,";
const GS2_HEADER_BASE64: &str = "biws";

/// The client's side of an exchange.
pub(super) struct Scram {
    hash: Hash,
    password: String,
    /// The first message without the header.
    client_first_bare: String,
    nonce: String,
}

impl Scram {
    pub(super) fn new(hash: Hash, username: &str, password: &str) -> Result<Self, ScramError> {
        let mut nonce = [0; NONCE_BYTES];
        SystemRandom::new()
            .fill(&mut nonce)
            .map_err(|_| ScramError::NoRandomness)?;
        Ok(Self::with_nonce(
            hash,
            username,
            password,
            STANDARD.encode(nonce),
        ))
    }

    fn with_nonce(hash: Hash, username: &str, password: &str, nonce: String) -> Self {
        let username = username.replace('=', "=3D").replace(',', "=2C");
        Self {
            hash,
            password: password.to_owned(),
            client_first_bare: format!("n={username},r={nonce}"),
            nonce,
        }
    }

    /// The first message.
    pub(super) fn client_first(&self) -> String {
        format!("{GS2_HEADER}{}", self.client_first_bare)
    }

    /// The second message, in response to the first one of the server.
    pub(super) fn client_final(&self, server_first: &[u8]) -> Result<ClientFinal, ScramError> {
        let bad = ScramError::BadMessage;
        let server_first = str::from_utf8(server_first).map_err(|_| bad("not UTF-8"))?;
        let mut nonce = None;
        let mut salt = None;
        let mut iterations = None;
        for attribute in server_first.split(',') {
            match attribute.split_once('=') {
                Some(("r", value)) => nonce = Some(value),
                Some(("s", value)) => salt = STANDARD.decode(value).ok(),
                Some(("i", value)) => iterations = value.parse().ok(),
                Some(("e", value)) => return Err(ScramError::Reported(value.to_owned())),
                Some(("m", _)) => return Err(bad("an extension that is not supported")),
                Some(_) => {}
                None => return Err(bad("no attributes")),
            }
        }
        let nonce = nonce.ok_or_else(|| bad("no nonce"))?;
        if nonce.len() <= self.nonce.len() || !nonce.starts_with(&self.nonce) {
            return Err(bad("another nonce"));
        }
        let salt = salt.ok_or_else(|| bad("no salt"))?;
        let iterations: u32 = iterations.ok_or_else(|| bad("no number of iterations"))?;
        let iterations = NonZeroU32::new(iterations)
            .filter(|number| (MIN_ITERATIONS..=MAX_ITERATIONS).contains(&number.get()))
            .ok_or(ScramError::Iterations(iterations))?;

        let mut salted = vec![0; self.hash.digest().output_len()];
        let password = self.password.as_bytes();
        pbkdf2::derive(self.hash.pbkdf2(), iterations, &salt, password, &mut salted);
        let salted = hmac::Key::new(self.hash.hmac(), &salted);
        let client_key = hmac::sign(&salted, b"Client Key");
        let stored_key = digest::digest(self.hash.digest(), client_key.as_ref());
        let without_proof = format!("c={GS2_HEADER_BASE64},r={nonce}");
        let auth_message = format!("{},{server_first},{without_proof}", self.client_first_bare);
        let stored_key = hmac::Key::new(self.hash.hmac(), stored_key.as_ref());
        let signature = hmac::sign(&stored_key, auth_message.as_bytes());
        let proof: Vec<u8> = client_key
            .as_ref()
            .iter()
            .zip(signature.as_ref())
            .map(|(key, signature)| key ^ signature)
            .collect();
        let server_key = hmac::sign(&salted, b"Server Key");
        Ok(ClientFinal {
            message: format!("{without_proof},p={}", STANDARD.encode(proof)),
            server_key: hmac::Key::new(self.hash.hmac(), server_key.as_ref()),
            auth_message,
        })
    }
}

/// The second message of the client, and the knowledge to verify the response.
pub(super) struct ClientFinal {
    pub(super) message: String,
    server_key: hmac::Key,
    auth_message: String,
}

impl ClientFinal {
    /// Verifies that the server knows the password.
    pub(super) fn verify(&self, server_final: &[u8]) -> Result<(), ScramError> {
        let bad = ScramError::BadMessage;
        let message = str::from_utf8(server_final).map_err(|_| bad("not UTF-8"))?;
        let first = message.split(',').next().unwrap_or_default();
        match first.split_once('=') {
            Some(("e", error)) => Err(ScramError::Reported(error.to_owned())),
            Some(("v", signature)) => {
                let signature = STANDARD
                    .decode(signature)
                    .map_err(|_| bad("a signature that is not base64"))?;
                hmac::verify(&self.server_key, self.auth_message.as_bytes(), &signature)
                    .map_err(|_| ScramError::ServerSignature)
            }
            Some(_) | None => Err(bad("no signature")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    /// The example of RFC 7677.
    fn example() -> Scram {
        let nonce = "rOprNGfwEbeRWgbNEkqO".to_owned();
        Scram::with_nonce(Hash::Sha256, "user", "pencil", nonce)
    }

    const SERVER_FIRST: &str = "r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,\
                                s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096";

    #[test]
    fn example_of_the_rfc_is_reproduced() {
        let scram = example();
        assert_eq!(scram.client_first(), "n,,n=user,r=rOprNGfwEbeRWgbNEkqO");
        let last = scram.client_final(SERVER_FIRST.as_bytes()).unwrap();
        assert_eq!(
            last.message,
            "c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,\
             p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ="
        );
        last.verify(b"v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=")
            .unwrap();
    }

    #[rstest]
    #[case(
        "v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G5=",
        ScramError::ServerSignature
    )]
    #[case("e=invalid-proof", ScramError::Reported("invalid-proof".into()))]
    #[case("v=?", ScramError::BadMessage("a signature that is not base64"))]
    #[case("", ScramError::BadMessage("no signature"))]
    fn server_must_know_the_password(#[case] message: &str, #[case] expected: ScramError) {
        let last = example().client_final(SERVER_FIRST.as_bytes()).unwrap();
        let error = last.verify(message.as_bytes()).unwrap_err();
        // The last character of a base64 text may have unused bits.
        if expected == ScramError::ServerSignature {
            let not_base64 = ScramError::BadMessage("a signature that is not base64");
            assert!(error == expected || error == not_base64, "{error}");
        } else {
            assert_eq!(error, expected);
        }
    }

    #[test]
    fn signature_of_another_password_is_refused() {
        let nonce = "rOprNGfwEbeRWgbNEkqO".to_owned();
        let scram = Scram::with_nonce(Hash::Sha256, "user", "pen", nonce);
        let last = scram.client_final(SERVER_FIRST.as_bytes()).unwrap();
        assert_eq!(
            last.verify(b"v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4="),
            Err(ScramError::ServerSignature)
        );
    }

    #[rstest]
    #[case("r=other,s=AAAA,i=4096", ScramError::BadMessage("another nonce"))]
    #[case(
        "r=rOprNGfwEbeRWgbNEkqO,s=AAAA,i=4096",
        ScramError::BadMessage("another nonce")
    )]
    #[case("s=AAAA,i=4096", ScramError::BadMessage("no nonce"))]
    #[case("r=rOprNGfwEbeRWgbNEkqOx,i=4096", ScramError::BadMessage("no salt"))]
    #[case(
        "r=rOprNGfwEbeRWgbNEkqOx,s=AAAA",
        ScramError::BadMessage("no number of iterations")
    )]
    #[case("r=rOprNGfwEbeRWgbNEkqOx,s=AAAA,i=1", ScramError::Iterations(1))]
    #[case(
        "r=rOprNGfwEbeRWgbNEkqOx,s=AAAA,i=4000000000",
        ScramError::Iterations(4_000_000_000)
    )]
    #[case("e=unknown-user", ScramError::Reported("unknown-user".into()))]
    #[case("hello", ScramError::BadMessage("no attributes"))]
    #[case(
        "m=x,r=y",
        ScramError::BadMessage("an extension that is not supported")
    )]
    fn bad_message_of_the_server_is_refused(#[case] message: &str, #[case] expected: ScramError) {
        let error = example().client_final(message.as_bytes()).err();
        assert_eq!(error, Some(expected));
    }

    #[test]
    fn special_characters_of_a_user_name_are_escaped() {
        let scram = Scram::with_nonce(Hash::Sha512, "a=b,c", "p", "n".into());
        assert_eq!(scram.client_first(), "n,,n=a=3Db=2Cc,r=n");
    }

    #[test]
    fn nonces_differ() {
        let nonce = || Scram::new(Hash::Sha512, "u", "p").unwrap().nonce;
        assert_ne!(nonce(), nonce());
    }
}
