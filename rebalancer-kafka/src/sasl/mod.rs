//! Authentication with SASL.

mod credentials;
mod scram;

use std::time::Duration;

use rebalancer_adapter::{Secrets, excerpt};

use crate::connection::{CallError, ConnectFailure, Connection};
use crate::error::DialError;
use crate::error_code::ErrorCode;
use crate::messages::{SaslAuthenticate, SaslAuthenticated, SaslHandshake};
use crate::settings::{Password, PasswordMechanism, Sasl};
use credentials::{read_password, read_token};
use scram::{Hash, Scram};

/// The response of the client to an error of OAUTHBEARER (RFC 7628).
const OAUTH_ABORT: &[u8] = &[1];

/// Authenticates a new connection.
pub(crate) async fn authenticate(
    connection: &mut Connection,
    sasl: &Sasl,
    limit: Duration,
) -> Result<(), DialError> {
    let mechanism = sasl.mechanism();
    let handshake = SaslHandshake {
        mechanism: mechanism.as_str(),
    };
    let (error, enabled) = connection.call(&handshake, limit).await?;
    match error {
        ErrorCode::NONE => {}
        ErrorCode::UNSUPPORTED_SASL_MECHANISM => {
            return Err(ConnectFailure::Mechanism { mechanism, enabled }.into());
        }
        ErrorCode::ILLEGAL_SASL_STATE => return Err(ConnectFailure::NoSasl.into()),
        other => return Err(ConnectFailure::Refused(other).into()),
    }
    match sasl {
        Sasl::Token { token_file } => {
            let token = read_token(token_file)?;
            let mut secrets = Secrets::default();
            secrets.add(&token);
            let mut exchange = Exchange::new(connection, sasl, secrets, limit);
            let first = format!("n,,\u{1}auth=Bearer {token}\u{1}\u{1}");
            let answer = exchange.send(first.into_bytes()).await?;
            if !answer.is_empty() {
                // The broker reports an error and expects one more message before it fails.
                let mut status = exchange.shown(&answer);
                if let Err(DialError::Failure(ConnectFailure::Authentication { message, .. })) =
                    exchange.send(OAUTH_ABORT.to_vec()).await
                {
                    status = format!("{message} {status}");
                }
                return Err(exchange.rejected(&status));
            }
        }
        Sasl::Password {
            mechanism,
            username,
            password,
        } => {
            let password = match password {
                Password::Text(text) => text.expose().to_owned(),
                Password::File(path) => read_password(path)?,
            };
            let mut secrets = Secrets::default();
            secrets.add(&password);
            let mut exchange = Exchange::new(connection, sasl, secrets, limit);
            let hash = match mechanism {
                PasswordMechanism::Plain => {
                    let message = format!("\0{username}\0{password}");
                    exchange.send(message.into_bytes()).await?;
                    return Ok(());
                }
                PasswordMechanism::ScramSha256 => Hash::Sha256,
                PasswordMechanism::ScramSha512 => Hash::Sha512,
            };
            let scram = Scram::new(hash, username, &password)
                .map_err(|error| exchange.rejected(&error.to_string()))?;
            let server_first = exchange.send(scram.client_first().into_bytes()).await?;
            let last = scram
                .client_final(&server_first)
                .map_err(|error| exchange.rejected(&error.to_string()))?;
            let server_final = exchange.send(last.message.clone().into_bytes()).await?;
            last.verify(&server_final)
                .map_err(|error| exchange.rejected(&error.to_string()))?;
        }
    }
    Ok(())
}

/// The messages of one authentication.
struct Exchange<'a> {
    connection: &'a mut Connection,
    sasl: &'a Sasl,
    secrets: Secrets,
    limit: Duration,
}

impl<'a> Exchange<'a> {
    fn new(
        connection: &'a mut Connection,
        sasl: &'a Sasl,
        secrets: Secrets,
        limit: Duration,
    ) -> Self {
        Self {
            connection,
            sasl,
            secrets,
            limit,
        }
    }

    /// Sends a message of the mechanism, and returns the one of the broker.
    async fn send(&mut self, auth_bytes: Vec<u8>) -> Result<Vec<u8>, DialError> {
        let request = SaslAuthenticate { auth_bytes };
        let answer = match self.connection.call(&request, self.limit).await {
            Ok(answer) => answer,
            // Some brokers close the connection instead of a response with an error.
            Err(CallError::Closed(cause)) => {
                return Err(self.rejected(&format!("the connection was closed ({cause})")));
            }
            Err(error) => return Err(error.into()),
        };
        let SaslAuthenticated {
            error,
            message,
            auth_bytes,
            session_lifetime_ms,
        } = answer;
        if !error.is_none() {
            let message = message.filter(|message| !message.is_empty());
            let message = message.unwrap_or_else(|| error.to_string());
            let message = self.shown(message.as_bytes());
            return Err(self.rejected(&message));
        }
        if let Ok(lifetime @ 1..) = u64::try_from(session_lifetime_ms) {
            self.connection
                .expire_after(Duration::from_millis(lifetime));
        }
        Ok(auth_bytes)
    }

    /// A text of the broker on one line, without the password or the token.
    fn shown(&self, text: &[u8]) -> String {
        excerpt(text, &self.secrets)
    }

    fn rejected(&self, message: &str) -> DialError {
        let username = match self.sasl {
            Sasl::Password { username, .. } => Some(username.clone()),
            Sasl::Token { .. } => None,
        };
        DialError::Failure(ConnectFailure::Authentication {
            mechanism: self.sasl.mechanism(),
            username,
            message: message.to_owned(),
        })
    }
}
