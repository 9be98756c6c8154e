//! Authentication of requests.

use std::path::PathBuf;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use reqwest::header::HeaderValue;

use rebalancer_adapter::{SettingFileError, read_setting_text};

use crate::error::{CredentialSetting, InvalidCredentials};

/// The authentication of requests. Holds the names of files, never a secret.
///
/// The files are read again for each request, because tokens are rotated while a program runs.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Authentication {
    /// No authentication, or an `Authorization` header among the extra headers.
    #[default]
    None,
    /// `Authorization: Bearer` with the token of a file (`PROMETHEUS_BEARER_TOKEN_FILE`).
    BearerTokenFile(PathBuf),
    /// Basic authentication.
    Basic {
        /// `PROMETHEUS_USERNAME`: not empty and without a colon.
        username: String,
        /// `PROMETHEUS_PASSWORD_FILE`.
        password_file: PathBuf,
    },
}

impl Authentication {
    /// Returns the one kind of authentication that the settings select.
    ///
    /// # Errors
    /// If the settings exclude each other or one is missing.
    pub fn from_settings(
        bearer_token_file: Option<PathBuf>,
        username: Option<String>,
        password_file: Option<PathBuf>,
        headers: &[(String, String)],
    ) -> Result<Self, InvalidCredentials> {
        let authentication = match (bearer_token_file, username, password_file) {
            (None, None, None) => Self::None,
            (Some(file), None, None) => Self::BearerTokenFile(file),
            (None, Some(username), Some(password_file)) => Self::Basic {
                username,
                password_file,
            },
            (None, Some(_), None) => {
                return Err(invalid(
                    CredentialSetting::Username,
                    "PROMETHEUS_PASSWORD_FILE must be set as well",
                ));
            }
            (None, None, Some(_)) => {
                return Err(invalid(
                    CredentialSetting::PasswordFile,
                    "PROMETHEUS_USERNAME must be set as well",
                ));
            }
            (Some(_), Some(_), _) | (Some(_), _, Some(_)) => {
                return Err(invalid(
                    CredentialSetting::BearerTokenFile,
                    "it cannot be used together with PROMETHEUS_USERNAME and \
                     PROMETHEUS_PASSWORD_FILE",
                ));
            }
        };
        authentication.check(headers)?;
        Ok(authentication)
    }

    /// Checks the user name, and that no extra header sets other credentials.
    pub(crate) fn check(&self, headers: &[(String, String)]) -> Result<(), InvalidCredentials> {
        match self {
            Self::None => return Ok(()),
            Self::Basic { username, .. } if username.is_empty() || username.contains(':') => {
                return Err(invalid(
                    CredentialSetting::Username,
                    "it must not be empty and must not contain a colon",
                ));
            }
            Self::BearerTokenFile(_) | Self::Basic { .. } => {}
        }
        let sets_authorization =
            |(name, _): &(String, String)| name.trim().eq_ignore_ascii_case("authorization");
        if headers.iter().any(sets_authorization) {
            return Err(invalid(
                CredentialSetting::Headers,
                "its Authorization header cannot be used together with \
                 PROMETHEUS_BEARER_TOKEN_FILE or PROMETHEUS_USERNAME",
            ));
        }
        Ok(())
    }

    /// Returns the value of the `Authorization` header for the next query.
    pub(crate) fn authorization(&self) -> Result<Option<HeaderValue>, SettingFileError> {
        self.authorization_by(FileSettings {
            bearer_token_file: CredentialSetting::BearerTokenFile.name(),
            password_file: CredentialSetting::PasswordFile.name(),
        })
    }

    /// Returns the value of the `Authorization` header for the next request to a server whose
    /// settings have these names.
    pub(crate) fn authorization_by(
        &self,
        settings: FileSettings,
    ) -> Result<Option<HeaderValue>, SettingFileError> {
        let mut value = match self {
            Self::None => return Ok(None),
            Self::BearerTokenFile(file) => {
                let setting = settings.bearer_token_file;
                let token = read_setting_text(setting, file)?;
                let token = token.trim();
                if token.is_empty() {
                    return Err(SettingFileError::unusable(setting, file, "it is empty"));
                }
                HeaderValue::from_str(&format!("Bearer {token}")).map_err(|_| {
                    SettingFileError::unusable(
                        setting,
                        file,
                        "it contains bytes that are not allowed in a header",
                    )
                })?
            }
            Self::Basic {
                username,
                password_file,
            } => {
                let setting = settings.password_file;
                let password = read_setting_text(setting, password_file)?;
                // Removes only the line ending that editors add: a password may contain spaces.
                let password = password.trim_end_matches(['\r', '\n']);
                if password.is_empty() {
                    return Err(SettingFileError::unusable(
                        setting,
                        password_file,
                        "it is empty",
                    ));
                }
                let pair = STANDARD.encode(format!("{username}:{password}"));
                HeaderValue::from_str(&format!("Basic {pair}")).map_err(|_| {
                    SettingFileError::unusable(
                        setting,
                        password_file,
                        "it contains bytes that are not allowed in a header",
                    )
                })?
            }
        };
        value.set_sensitive(true);
        Ok(Some(value))
    }
}

/// The names of the settings that name the files of credentials, for messages.
#[derive(Debug, Clone, Copy)]
pub(crate) struct FileSettings {
    pub(crate) bearer_token_file: &'static str,
    pub(crate) password_file: &'static str,
}

fn invalid(setting: CredentialSetting, reason: &'static str) -> InvalidCredentials {
    InvalidCredentials { setting, reason }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    fn file_with(content: &[u8]) -> tempfile::NamedTempFile {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), content).unwrap();
        file
    }

    #[rstest]
    #[case(b"abc\n", Ok("Bearer abc"))]
    #[case(b"  abc.d-e_f \r\n", Ok("Bearer abc.d-e_f"))]
    #[case(b"", Err("it is empty"))]
    #[case(b" \n", Err("it is empty"))]
    #[case(b"a\nb", Err("not allowed in a header"))]
    #[case(b"a\xff", Err("not UTF-8"))]
    fn bearer_token_is_read_from_its_file(
        #[case] content: &[u8],
        #[case] expected: Result<&str, &str>,
    ) {
        let file = file_with(content);
        let authentication = Authentication::BearerTokenFile(file.path().to_owned());
        match (authentication.authorization(), expected) {
            (Ok(Some(value)), Ok(expected)) => {
                assert_eq!(value.to_str().unwrap(), expected);
                assert!(value.is_sensitive());
            }
            (Err(error), Err(expected)) => {
                let message = error.to_string();
                assert!(message.contains(expected), "{message}");
                assert!(message.starts_with("PROMETHEUS_BEARER_TOKEN_FILE: "));
            }
            (got, expected) => panic!("{got:?} is not {expected:?}"),
        }
    }

    #[rstest]
    #[case(b"open sesame \n", Ok("Basic QWxhZGRpbjpvcGVuIHNlc2FtZSA="))]
    #[case(b"open sesame", Ok("Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ=="))]
    #[case(b"\n", Err("it is empty"))]
    fn password_is_read_from_its_file(
        #[case] content: &[u8],
        #[case] expected: Result<&str, &str>,
    ) {
        let file = file_with(content);
        let authentication = Authentication::Basic {
            username: "Aladdin".into(),
            password_file: file.path().to_owned(),
        };
        match (authentication.authorization(), expected) {
            (Ok(Some(value)), Ok(expected)) => assert_eq!(value.to_str().unwrap(), expected),
            (Err(error), Err(expected)) => assert!(error.to_string().contains(expected)),
            (got, expected) => panic!("{got:?} is not {expected:?}"),
        }
    }

    #[test]
    fn error_for_a_missing_file_names_the_setting() {
        let authentication = Authentication::BearerTokenFile("/does/not/exist".into());
        let message = authentication.authorization().unwrap_err().to_string();
        assert!(
            message.starts_with("PROMETHEUS_BEARER_TOKEN_FILE: cannot read /does/not/exist: "),
            "{message}"
        );
    }

    #[test]
    fn token_file_is_read_for_each_request() {
        let file = file_with(b"one");
        let authentication = Authentication::BearerTokenFile(file.path().to_owned());
        assert_eq!(
            authentication.authorization().unwrap().unwrap(),
            "Bearer one"
        );
        std::fs::write(file.path(), "two").unwrap();
        assert_eq!(
            authentication.authorization().unwrap().unwrap(),
            "Bearer two"
        );
    }

    #[rstest]
    #[case(
        Some("t"),
        Some("u"),
        Some("p"),
        "",
        CredentialSetting::BearerTokenFile,
        "together with PROMETHEUS_USERNAME"
    )]
    #[case(
        Some("t"),
        Some("u"),
        None,
        "",
        CredentialSetting::BearerTokenFile,
        "together with PROMETHEUS_USERNAME"
    )]
    #[case(
        Some("t"),
        None,
        Some("p"),
        "",
        CredentialSetting::BearerTokenFile,
        "together with PROMETHEUS_USERNAME"
    )]
    #[case(
        None,
        Some("u"),
        None,
        "",
        CredentialSetting::Username,
        "PROMETHEUS_PASSWORD_FILE must be set"
    )]
    #[case(
        None,
        None,
        Some("p"),
        "",
        CredentialSetting::PasswordFile,
        "PROMETHEUS_USERNAME must be set"
    )]
    #[case(None, Some("a:b"), Some("p"), "", CredentialSetting::Username, "colon")]
    #[case(None, Some(""), Some("p"), "", CredentialSetting::Username, "empty")]
    #[case(
        Some("t"),
        None,
        None,
        "authorization",
        CredentialSetting::Headers,
        "Authorization header"
    )]
    fn conflicting_settings_are_errors(
        #[case] token: Option<&str>,
        #[case] username: Option<&str>,
        #[case] password: Option<&str>,
        #[case] header: &str,
        #[case] setting: CredentialSetting,
        #[case] reason: &str,
    ) {
        let error = Authentication::from_settings(
            token.map(Into::into),
            username.map(Into::into),
            password.map(Into::into),
            &[(header.into(), "x".into())],
        )
        .unwrap_err();
        assert_eq!(error.setting, setting);
        assert!(error.reason.contains(reason), "{error}");
    }

    #[test]
    fn authorization_header_alone_is_accepted() {
        let headers = [("Authorization".into(), "x".into())];
        let authentication = Authentication::from_settings(None, None, None, &headers);
        assert_eq!(authentication, Ok(Authentication::None));
    }
}
