//! Settings of the output and the log.

use crate::settings::types::{LogFormat, LogLevel, OutputFormat};

use crate::settings::definition::{
    Absent, Attributes, Defaulted, Definition, Fallback, Optional, Setting,
};
use crate::settings::value;

/// Every setting of the section, in the order of help.
pub(in crate::settings) const SETTINGS: &[&dyn Setting] = &[&LOG_LEVEL, &LOG_FORMAT, &OUTPUT];

pub(in crate::settings) static LOG_LEVEL: Optional<LogLevel> = Definition {
    name: "LOG_LEVEL",
    help: "debug, info, warn or error",
    value: &value::LOG_LEVEL,
    default: Absent("info for run, else warn"),
    attributes: Attributes::WHOLE_RUN,
};

pub(in crate::settings) static LOG_FORMAT: Optional<LogFormat> = Definition {
    name: "LOG_FORMAT",
    help: "json or text",
    value: &value::LOG_FORMAT,
    default: Absent("text on a terminal, else json"),
    attributes: Attributes::WHOLE_RUN,
};

pub(in crate::settings) static OUTPUT: Defaulted<OutputFormat> = Definition {
    name: "OUTPUT",
    help: "table, json, yaml or openmetrics",
    value: &value::OUTPUT,
    default: Fallback::Value(OutputFormat::default),
    attributes: Attributes::WHOLE_RUN,
};
