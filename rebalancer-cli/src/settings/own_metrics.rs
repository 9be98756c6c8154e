//! Assembles the settings of the program's own metrics.

use rebalancer_prom::{Authentication, PushSettings};

use super::definitions::monitoring::{
    METRICS_FILE, METRICS_PUSH_BEARER_TOKEN_FILE, METRICS_PUSH_CA_FILE, METRICS_PUSH_PASSWORD_FILE,
    METRICS_PUSH_TIMEOUT, METRICS_PUSH_URL, METRICS_PUSH_USERNAME,
};
use super::reader::Reader;
use super::types::OwnMetricsSettings;

/// The destinations of the program's own metrics.
pub(super) fn own_metrics(reader: &mut Reader<'_>) -> OwnMetricsSettings {
    let authentication = authentication(reader);
    let (ca_file, timeout) = (
        reader.optional(&METRICS_PUSH_CA_FILE),
        reader.value(&METRICS_PUSH_TIMEOUT),
    );
    OwnMetricsSettings {
        file: reader.optional(&METRICS_FILE),
        push: reader.optional(&METRICS_PUSH_URL).map(|url| PushSettings {
            url,
            authentication,
            ca_file,
            timeout,
        }),
    }
}

/// The one kind of authentication that the settings select.
fn authentication(reader: &mut Reader<'_>) -> Authentication {
    let token = reader.optional(&METRICS_PUSH_BEARER_TOKEN_FILE);
    let username = reader.optional(&METRICS_PUSH_USERNAME);
    let password = reader.optional(&METRICS_PUSH_PASSWORD_FILE);
    match (token, username, password) {
        (None, None, None) => return Authentication::None,
        (Some(file), None, None) => return Authentication::BearerTokenFile(file),
        (None, Some(username), Some(_)) if username.contains(':') => {
            reader.invalid(&METRICS_PUSH_USERNAME, "it must not contain a colon");
        }
        (None, Some(username), Some(password_file)) => {
            return Authentication::Basic {
                username,
                password_file,
            };
        }
        (None, Some(_), None) => {
            let reason = "METRICS_PUSH_PASSWORD_FILE must be set as well";
            reader.invalid(&METRICS_PUSH_USERNAME, reason);
        }
        (None, None, Some(_)) => {
            let reason = "METRICS_PUSH_USERNAME must be set as well";
            reader.invalid(&METRICS_PUSH_PASSWORD_FILE, reason);
        }
        (Some(_), Some(_), _) | (Some(_), _, Some(_)) => {
            let reason = "it cannot be used together with METRICS_PUSH_USERNAME and \
                          METRICS_PUSH_PASSWORD_FILE";
            reader.invalid(&METRICS_PUSH_BEARER_TOKEN_FILE, reason);
        }
    }
    Authentication::None
}

#[cfg(test)]
mod tests {
    use super::super::reader::testing::read_variables;
    use super::*;
    use rstest::rstest;

    fn read(values: &[(&'static str, &str)]) -> Result<OwnMetricsSettings, Vec<String>> {
        read_variables(values, own_metrics)
    }

    const URL: (&str, &str) = ("METRICS_PUSH_URL", "http://gateway:9091");
    const TOKEN: (&str, &str) = ("METRICS_PUSH_BEARER_TOKEN_FILE", "/token");
    const USER: (&str, &str) = ("METRICS_PUSH_USERNAME", "me");
    const PASSWORD: (&str, &str) = ("METRICS_PUSH_PASSWORD_FILE", "/password");

    #[test]
    fn nothing_is_published_by_default() {
        let settings = read(&[TOKEN]).unwrap();
        assert!(settings.file.is_none() && settings.push.is_none());
    }

    #[test]
    fn credentials_select_the_authentication() {
        let of = |values: &[(&'static str, &str)]| {
            let settings = read(&[&[URL], values].concat()).unwrap();
            settings.push.unwrap().authentication
        };
        assert_eq!(of(&[]), Authentication::None);
        assert_eq!(
            of(&[TOKEN]),
            Authentication::BearerTokenFile("/token".into())
        );
        let basic = Authentication::Basic {
            username: "me".into(),
            password_file: "/password".into(),
        };
        assert_eq!(of(&[USER, PASSWORD]), basic);
    }

    #[rstest]
    #[case(&[USER], "METRICS_PUSH_USERNAME: METRICS_PUSH_PASSWORD_FILE must be set as well")]
    #[case(&[PASSWORD], "METRICS_PUSH_PASSWORD_FILE: METRICS_PUSH_USERNAME must be set as well")]
    #[case(&[TOKEN, USER, PASSWORD], "METRICS_PUSH_BEARER_TOKEN_FILE: it cannot be used together")]
    #[case(
        &[("METRICS_PUSH_USERNAME", "a:b"), PASSWORD],
        "METRICS_PUSH_USERNAME: it must not contain a colon"
    )]
    fn conflicting_credentials_are_one_error(
        #[case] values: &[(&'static str, &str)],
        #[case] says: &str,
    ) {
        let errors = read(values).unwrap_err();
        assert_eq!(errors.len(), 1, "{errors:?}");
        assert!(errors[0].starts_with(says), "{errors:?}");
    }
}
