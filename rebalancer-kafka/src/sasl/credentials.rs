//! The files of passwords and tokens.

use std::path::Path;

use rebalancer_adapter::{SettingFileError, read_setting_text};

use crate::settings::SecuritySetting;

/// Reads the password.
pub(super) fn read_password(path: &Path) -> Result<String, SettingFileError> {
    let setting = SecuritySetting::PasswordFile.name();
    let text = read_setting_text(setting, path)?;
    // Removes only the line ending that editors add: a password may contain spaces.
    let password = text.trim_end_matches(['\r', '\n']);
    if password.is_empty() {
        return Err(SettingFileError::unusable(setting, path, "it is empty"));
    }
    if password.contains('\0') {
        return Err(SettingFileError::unusable(
            setting,
            path,
            "it contains a NUL character",
        ));
    }
    Ok(password.to_owned())
}

/// Reads the token.
pub(super) fn read_token(path: &Path) -> Result<String, SettingFileError> {
    let setting = SecuritySetting::TokenFile.name();
    let text = read_setting_text(setting, path)?;
    let token = text.trim();
    if token.is_empty() {
        return Err(SettingFileError::unusable(setting, path, "it is empty"));
    }
    // The characters of a token in RFC 6750. Another one would end the message.
    let is_allowed = |c: char| c.is_ascii_alphanumeric() || "-._~+/=".contains(c);
    if !token.chars().all(is_allowed) {
        let reason = "it contains characters that a token cannot contain";
        return Err(SettingFileError::unusable(setting, path, reason));
    }
    Ok(token.to_owned())
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
    #[case(b"open sesame \n", Ok("open sesame "))]
    #[case(b"open\r\n", Ok("open"))]
    #[case(b"\n", Err("it is empty"))]
    #[case(b"a\0b", Err("NUL"))]
    #[case(b"a\xff", Err("not UTF-8"))]
    fn password_is_read(#[case] content: &[u8], #[case] expected: Result<&str, &str>) {
        check(
            "KAFKA_SASL_PASSWORD_FILE: ",
            read_password(file_with(content).path()),
            expected,
        );
    }

    #[rstest]
    #[case(b" abc.d-e_f=\r\n", Ok("abc.d-e_f="))]
    #[case(b" \n", Err("it is empty"))]
    #[case(b"a\x01b", Err("characters that a token cannot contain"))]
    #[case(b"a\nb", Err("characters that a token cannot contain"))]
    fn token_is_read(#[case] content: &[u8], #[case] expected: Result<&str, &str>) {
        check(
            "KAFKA_SASL_OAUTHBEARER_TOKEN_FILE: ",
            read_token(file_with(content).path()),
            expected,
        );
    }

    fn check(setting: &str, read: Result<String, SettingFileError>, expected: Result<&str, &str>) {
        match (read, expected) {
            (Ok(read), Ok(expected)) => assert_eq!(read, expected),
            (Err(error), Err(expected)) => {
                let message = error.to_string();
                assert!(message.starts_with(setting), "{message}");
                assert!(message.contains(expected), "{message}");
            }
            (read, expected) => panic!("{read:?} is not {expected:?}"),
        }
    }

    #[test]
    fn missing_file_is_named() {
        let error = read_token(Path::new("/does/not/exist")).unwrap_err();
        let message = error.to_string();
        assert!(
            message.starts_with("KAFKA_SASL_OAUTHBEARER_TOKEN_FILE: cannot read /does/not/exist: "),
            "{message}"
        );
    }
}
