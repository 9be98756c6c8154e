//! Settings of the output and the log.

use std::path::PathBuf;

use crate::settings::types::{LogFormat, LogLevel, OutputFormat};

use crate::settings::definition::{
    Absent, Attributes, Defaulted, Definition, Fallback, Optional, Setting,
};
use crate::settings::value;

/// Every setting of the section, in the order of help.
pub(in crate::settings) const SETTINGS: &[&dyn Setting] =
    &[&LOG_LEVEL, &LOG_FORMAT, &OUTPUT, &REPORT_FILE];

pub(in crate::settings) static LOG_LEVEL: Optional<LogLevel> = Definition {
    name: "LOG_LEVEL",
    help: "debug, info, warn or error",
    value: &value::LOG_LEVEL,
    default: Absent("info for run and serve, else warn"),
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
    help: "table, json, yaml, markdown or openmetrics",
    value: &value::OUTPUT,
    default: Fallback::Value(OutputFormat::default),
    attributes: Attributes::WHOLE_RUN,
};

pub(in crate::settings) static REPORT_FILE: Optional<PathBuf> = Definition {
    name: "REPORT_FILE",
    help: "File for the report of run, plan, forecast, decide and backtest, for a browser (.html) or as \
           Markdown (.md)",
    value: &value::REPORT_FILE,
    default: Absent("none"),
    attributes: Attributes::WHOLE_RUN,
};
