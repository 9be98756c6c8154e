//! Assembles the settings of notifications.

use rebalancer_prom::{WebhookSettings, WebhookUrl};

use super::definitions::notifications::{
    NOTIFY_CA_FILE, NOTIFY_FORMAT, NOTIFY_ON, NOTIFY_TIMEOUT, NOTIFY_URL, NOTIFY_URL_FILE,
};
use super::reader::Reader;
use super::types::NotifySettings;

/// The notifications; `None` without a webhook.
pub(super) fn notifications(reader: &mut Reader<'_>) -> Option<NotifySettings> {
    let (text, file) = (
        reader.optional(&NOTIFY_URL),
        reader.optional(&NOTIFY_URL_FILE),
    );
    let (ca_file, timeout) = (
        reader.optional(&NOTIFY_CA_FILE),
        reader.value(&NOTIFY_TIMEOUT),
    );
    let (format, events) = (reader.value(&NOTIFY_FORMAT), reader.value(&NOTIFY_ON));
    let url = match (text, file) {
        (None, None) => return None,
        (Some(text), None) => WebhookUrl::Text(text),
        (None, Some(file)) => WebhookUrl::File(file),
        (Some(_), Some(file)) => {
            reader.invalid(
                &NOTIFY_URL_FILE,
                "it cannot be used together with NOTIFY_URL",
            );
            WebhookUrl::File(file)
        }
    };
    Some(NotifySettings {
        webhook: WebhookSettings {
            url,
            ca_file,
            timeout,
        },
        format,
        events,
    })
}

#[cfg(test)]
mod tests {
    use super::super::reader::testing::read_variables;
    use super::super::types::{NotifyEvent, NotifyFormat};
    use super::*;

    fn read(values: &[(&'static str, &str)]) -> Result<Option<NotifySettings>, Vec<String>> {
        read_variables(values, notifications)
    }

    const URL: (&str, &str) = ("NOTIFY_URL", "https://hooks.example.com/secret");

    #[test]
    fn nothing_is_sent_without_a_url() {
        assert!(read(&[("NOTIFY_FORMAT", "slack")]).unwrap().is_none());
    }

    #[test]
    fn rotations_and_failures_are_sent_as_json_by_default() {
        let settings = read(&[URL]).unwrap().unwrap();
        assert_eq!(settings.format, NotifyFormat::Json);
        let expected = [NotifyEvent::Rotations, NotifyEvent::Failures];
        assert_eq!(settings.events, expected);
        let shown = format!("{settings:?}");
        assert!(!shown.contains("secret"), "{shown}");
    }

    #[test]
    fn two_urls_are_an_error() {
        let errors = read(&[URL, ("NOTIFY_URL_FILE", "/url")]).unwrap_err();
        let expected = "NOTIFY_URL_FILE: it cannot be used together with NOTIFY_URL";
        assert_eq!(errors, [expected]);
    }
}
