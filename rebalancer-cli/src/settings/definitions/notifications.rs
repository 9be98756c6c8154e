//! Settings of notifications.

use std::path::PathBuf;
use std::time::Duration;

use crate::settings::definition::{
    Absent, Attributes, Defaulted, Definition, Fallback, Optional, Setting,
};
use crate::settings::types::{NotifyEvent, NotifyFormat};
use crate::settings::value;

/// Every setting of the section, in the order of help.
pub(super) const SETTINGS: &[&dyn Setting] = &[
    &NOTIFY_URL,
    &NOTIFY_URL_FILE,
    &NOTIFY_FORMAT,
    &NOTIFY_ON,
    &NOTIFY_CA_FILE,
    &NOTIFY_TIMEOUT,
];

pub(in crate::settings) static NOTIFY_URL: Optional<String> = Definition {
    name: "NOTIFY_URL",
    help: "URL of a webhook to which runs are reported, such as an incoming webhook of Slack",
    value: &value::WEBHOOK_URL,
    default: Absent("none"),
    attributes: Attributes {
        secret: true,
        ..Attributes::WHOLE_RUN
    },
};

pub(in crate::settings) static NOTIFY_URL_FILE: Optional<PathBuf> = Definition {
    name: "NOTIFY_URL_FILE",
    help: "File with the URL, instead of NOTIFY_URL",
    value: &value::FILE,
    default: Absent("none"),
    attributes: Attributes::WHOLE_RUN,
};

pub(in crate::settings) static NOTIFY_FORMAT: Defaulted<NotifyFormat> = Definition {
    name: "NOTIFY_FORMAT",
    help: "slack (also Mattermost and Rocket.Chat), teams, or json",
    value: &value::NOTIFY_FORMAT,
    default: Fallback::Value(|| NotifyFormat::Json),
    attributes: Attributes::WHOLE_RUN,
};

pub(in crate::settings) static NOTIFY_ON: Defaulted<Vec<NotifyEvent>> = Definition {
    name: "NOTIFY_ON",
    help: "What is reported, separated by commas: rotations (and other actions), failures, hold_changes \
           (another hold reason than in the last run), plans (that are not executed)",
    value: &value::NOTIFY_ON,
    default: Fallback::Value(|| vec![NotifyEvent::Rotations, NotifyEvent::Failures]),
    attributes: Attributes::WHOLE_RUN,
};

pub(in crate::settings) static NOTIFY_CA_FILE: Optional<PathBuf> = Definition {
    name: "NOTIFY_CA_FILE",
    help: "PEM file of certificates to trust for NOTIFY_URL in addition to the system's",
    value: &value::FILE,
    default: Absent("the system's"),
    attributes: Attributes::WHOLE_RUN,
};

pub(in crate::settings) static NOTIFY_TIMEOUT: Defaulted<Duration> = Definition {
    name: "NOTIFY_TIMEOUT",
    help: "Maximum time for the notification of a run, which is sent after everything else",
    value: &value::POSITIVE_DURATION,
    default: Fallback::Value(|| Duration::from_secs(10)),
    attributes: Attributes::WHOLE_RUN,
};
