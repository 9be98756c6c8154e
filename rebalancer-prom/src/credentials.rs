//! Who we are to the server. Files are read anew at each request, because tokens are rotated
//! under a running program.

use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use reqwest::header::HeaderValue;

use crate::error::PromError;
use crate::settings::PrometheusSettings;

const TOKEN_FILE: &str = "PROMETHEUS_BEARER_TOKEN_FILE";
const PASSWORD_FILE: &str = "PROMETHEUS_PASSWORD_FILE";

/// How requests are authenticated. Holds names of files, never a secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Credentials {
    /// Not at all, or by the operator's own `Authorization` header.
    None,
    /// A token from a file.
    Bearer { file: PathBuf },
    /// A user name, and a password from a file.
    Basic {
        username: String,
        password_file: PathBuf,
    },
}

impl Credentials {
    /// The one way of authentication that the settings name.
    pub(crate) fn from_settings(settings: &PrometheusSettings) -> Result<Self, PromError> {
        let bad = |reason| Err(PromError::BadCredentials { reason });
        let credentials = match (
            &settings.bearer_token_file,
            &settings.username,
            &settings.password_file,
        ) {
            (None, None, None) => return Ok(Self::None),
            (Some(file), None, None) => Self::Bearer { file: file.clone() },
            (None, Some(username), Some(_)) if username.is_empty() || username.contains(':') => {
                return bad("PROMETHEUS_USERNAME must not be empty, nor hold a colon");
            }
            (None, Some(username), Some(file)) => Self::Basic {
                username: username.clone(),
                password_file: file.clone(),
            },
            (None, Some(_), None) => {
                return bad("PROMETHEUS_USERNAME needs PROMETHEUS_PASSWORD_FILE beside it");
            }
            (None, None, Some(_)) => {
                return bad("PROMETHEUS_PASSWORD_FILE needs PROMETHEUS_USERNAME beside it");
            }
            (Some(_), Some(_), _) | (Some(_), _, Some(_)) => {
                return bad(
                    "PROMETHEUS_BEARER_TOKEN_FILE excludes PROMETHEUS_USERNAME and \
                     PROMETHEUS_PASSWORD_FILE: set one or the other",
                );
            }
        };
        if settings
            .headers
            .iter()
            .any(|(name, _)| name.trim().eq_ignore_ascii_case("authorization"))
        {
            return bad(
                "PROMETHEUS_HEADERS holds an Authorization header, which excludes \
                 PROMETHEUS_BEARER_TOKEN_FILE and PROMETHEUS_USERNAME: set one or the other",
            );
        }
        Ok(credentials)
    }

    /// The value of the `Authorization` header for the next request.
    pub(crate) fn authorization(&self) -> Result<Option<HeaderValue>, PromError> {
        let mut value = match self {
            Self::None => return Ok(None),
            Self::Bearer { file } => {
                let token = read(TOKEN_FILE, file)?;
                let token = token.trim();
                if token.is_empty() {
                    return Err(bad_file(TOKEN_FILE, file, "it is empty"));
                }
                HeaderValue::from_str(&format!("Bearer {token}")).map_err(|_| {
                    bad_file(TOKEN_FILE, file, "it holds bytes that no header may hold")
                })?
            }
            Self::Basic {
                username,
                password_file,
            } => {
                let password = read(PASSWORD_FILE, password_file)?;
                // Only the end of the line that an editor adds: spaces may be part of a password.
                let password = password.trim_end_matches(['\r', '\n']);
                if password.is_empty() {
                    return Err(bad_file(PASSWORD_FILE, password_file, "it is empty"));
                }
                let pair = STANDARD.encode(format!("{username}:{password}"));
                HeaderValue::from_str(&format!("Basic {pair}")).map_err(|_| {
                    bad_file(
                        PASSWORD_FILE,
                        password_file,
                        "it cannot be put into a header",
                    )
                })?
            }
        };
        value.set_sensitive(true);
        Ok(Some(value))
    }
}

/// These files are a few bytes on a local file system: reading them does not hold up the runtime.
fn read(setting: &'static str, path: &Path) -> Result<String, PromError> {
    let bytes = std::fs::read(path).map_err(|source| PromError::UnreadableFile {
        setting,
        path: path.to_owned(),
        source,
    })?;
    String::from_utf8(bytes).map_err(|_| bad_file(setting, path, "it is not UTF-8 text"))
}

fn bad_file(setting: &'static str, path: &Path, reason: &str) -> PromError {
    PromError::BadFile {
        setting,
        path: path.to_owned(),
        reason: reason.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rebalancer_core::model::WorkloadRef;
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
    #[case(b"a\nb", Err("bytes that no header may hold"))]
    #[case(b"a\xff", Err("not UTF-8"))]
    fn a_token_comes_from_its_file(#[case] content: &[u8], #[case] expected: Result<&str, &str>) {
        let file = file_with(content);
        let credentials = Credentials::Bearer {
            file: file.path().to_owned(),
        };
        match (credentials.authorization(), expected) {
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
    fn a_password_comes_from_its_file(
        #[case] content: &[u8],
        #[case] expected: Result<&str, &str>,
    ) {
        let file = file_with(content);
        let credentials = Credentials::Basic {
            username: "Aladdin".into(),
            password_file: file.path().to_owned(),
        };
        match (credentials.authorization(), expected) {
            (Ok(Some(value)), Ok(expected)) => assert_eq!(value.to_str().unwrap(), expected),
            (Err(error), Err(expected)) => assert!(error.to_string().contains(expected)),
            (got, expected) => panic!("{got:?} is not {expected:?}"),
        }
    }

    #[test]
    fn a_missing_file_is_named_with_its_setting() {
        let credentials = Credentials::Bearer {
            file: "/does/not/exist".into(),
        };
        let message = credentials.authorization().unwrap_err().to_string();
        assert!(
            message.starts_with("PROMETHEUS_BEARER_TOKEN_FILE: cannot read /does/not/exist: "),
            "{message}"
        );
    }

    #[test]
    fn a_token_is_read_anew_each_time() {
        let file = file_with(b"one");
        let credentials = Credentials::Bearer {
            file: file.path().to_owned(),
        };
        assert_eq!(credentials.authorization().unwrap().unwrap(), "Bearer one");
        std::fs::write(file.path(), "two").unwrap();
        assert_eq!(credentials.authorization().unwrap().unwrap(), "Bearer two");
    }

    #[rstest]
    #[case(Some("t"), Some("u"), Some("p"), "", "excludes PROMETHEUS_USERNAME")]
    #[case(Some("t"), None, Some("p"), "", "excludes PROMETHEUS_USERNAME")]
    #[case(None, Some("u"), None, "", "needs PROMETHEUS_PASSWORD_FILE")]
    #[case(None, None, Some("p"), "", "needs PROMETHEUS_USERNAME")]
    #[case(None, Some("a:b"), Some("p"), "", "colon")]
    #[case(None, Some(""), Some("p"), "", "empty")]
    #[case(Some("t"), None, None, "authorization", "Authorization header")]
    fn contradictions_are_named(
        #[case] token: Option<&str>,
        #[case] username: Option<&str>,
        #[case] password: Option<&str>,
        #[case] header: &str,
        #[case] expected: &str,
    ) {
        let settings = PrometheusSettings {
            bearer_token_file: token.map(Into::into),
            username: username.map(Into::into),
            password_file: password.map(Into::into),
            headers: vec![(header.into(), "x".into())],
            ..PrometheusSettings::new("http://prom", WorkloadRef::default())
        };
        let message = Credentials::from_settings(&settings)
            .unwrap_err()
            .to_string();
        assert!(message.contains(expected), "{message}");
    }
}
