//! The value types of settings: parser, text form, placeholder in help, JSON type.

use std::fmt::Display;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use rebalancer_core::group::{Assignor, ClientFamily, Protocol};
use rebalancer_core::model::{Cores, MaxUnavailable, MinimumPods, Percent, Tolerance, TopK};
use rebalancer_core::policy::Strategy;
use rebalancer_k8s::{EvictionMethod, WorkloadKind};
use rebalancer_kafka::{BootstrapServers, SaslMechanism, SecurityProtocol};
use rebalancer_prom::{GroupMetrics, LabelName, Matchers, QueryMethod};

use super::duration;
use super::types::{
    ApprovalMode, LogFormat, LogLevel, NotifyEvent, NotifyFormat, OutputFormat, ReportFormat,
    TargetSource,
};
use crate::freeze::Freeze;
use crate::schedule::Schedule;

/// A type of value.
pub(super) struct ValueType<T> {
    /// The placeholder in help.
    pub(super) name: &'static str,
    /// The JSON type in a configuration file.
    pub(super) json: JsonType,
    /// The parser. It returns every problem of the value.
    pub(super) parse: fn(&RawValue) -> Result<T, Problems>,
    /// The text form, which the parser accepts.
    pub(super) write: fn(&T) -> String,
}

/// A value before it is parsed.
#[derive(Clone, PartialEq, Eq)]
pub(super) enum RawValue {
    /// Text in the form that an environment variable has.
    Text(String),
    /// A table of a configuration file: names and values.
    Table(Vec<(String, String)>),
}

/// The problems of one value. Each is the end of a sentence that begins with the setting's name.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Problems(pub(super) Vec<String>);

impl<E: Display> From<E> for Problems {
    fn from(problem: E) -> Self {
        Self(vec![problem.to_string()])
    }
}

/// The JSON type of a value in a configuration file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum JsonType {
    /// A string.
    Text,
    /// `true` or `false`.
    Boolean,
    /// A whole number, at least 1.
    Count,
    /// A number from 0 to 100.
    Percent,
    /// A number, at least 1.
    Multiple,
    /// A number above 0.
    Amount,
    /// A whole number, or a string such as `25%`.
    CountOrText,
    /// A string, or a table of strings.
    TextOrTable,
}

impl RawValue {
    /// Whether the value is an empty text.
    pub(super) fn is_empty(&self) -> bool {
        matches!(self, Self::Text(text) if text.is_empty())
    }

    /// The text, if the value is one.
    fn text(&self) -> Result<&str, Problems> {
        match self {
            Self::Text(text) => Ok(text),
            Self::Table(_) => Err("it must be a single value".into()),
        }
    }
}

/// A value type of texts without any form of their own.
const fn any_text(name: &'static str) -> ValueType<String> {
    ValueType {
        name,
        json: JsonType::Text,
        parse: |raw| Ok(raw.text()?.to_owned()),
        write: String::clone,
    }
}

/// A value type that parses and displays itself.
const fn parsed<T>(name: &'static str, json: JsonType) -> ValueType<T>
where
    T: FromStr + Display,
    T::Err: Display,
{
    ValueType {
        name,
        json,
        parse: |raw| {
            Ok(raw
                .text()?
                .parse::<T>()
                .map_err(|error| error.to_string())?)
        },
        write: T::to_string,
    }
}

pub(super) static NAME: ValueType<String> = any_text("NAME");
pub(super) static ID: ValueType<String> = any_text("ID");
pub(super) static PREFIX: ValueType<String> = any_text("PREFIX");
pub(super) static CONTEXT: ValueType<String> = any_text("CONTEXT");
pub(super) static PROMQL: ValueType<String> = any_text("PROMQL");
pub(super) static PASSWORD: ValueType<String> = any_text("PASSWORD");

pub(super) static FILE: ValueType<PathBuf> = ValueType {
    name: "FILE",
    json: JsonType::Text,
    parse: |raw| Ok(raw.text()?.into()),
    write: |path| path.display().to_string(),
};

pub(super) static COUNT: ValueType<TopK> = parsed("N", JsonType::Count);
pub(super) static MINIMUM_PODS: ValueType<MinimumPods> = parsed("N", JsonType::Count);
pub(super) static PERCENT: ValueType<Percent> = parsed("PERCENT", JsonType::Percent);
pub(super) static TOLERANCE: ValueType<Tolerance> = parsed("X", JsonType::Multiple);
pub(super) static CORES: ValueType<Cores> = parsed("CORES", JsonType::Amount);
pub(super) static PODS_OR_PERCENT: ValueType<MaxUnavailable> =
    parsed("N|PERCENT", JsonType::CountOrText);
pub(super) static SERVERS: ValueType<BootstrapServers> = parsed("HOST:PORT,…", JsonType::Text);
pub(super) static SECURITY_PROTOCOL: ValueType<SecurityProtocol> =
    parsed("PROTOCOL", JsonType::Text);
pub(super) static SASL_MECHANISM: ValueType<SaslMechanism> = parsed("MECHANISM", JsonType::Text);
pub(super) static WORKLOAD_KIND: ValueType<WorkloadKind> = parsed("KIND", JsonType::Text);

/// A file whose format follows from the end of its name.
pub(super) static REPORT_FILE: ValueType<PathBuf> = ValueType {
    name: "FILE",
    json: JsonType::Text,
    parse: |raw| {
        let text = raw.text()?;
        if ReportFormat::of(text).is_none() {
            return Err(format!("`{text}` ends neither with .html nor with .md").into());
        }
        Ok(text.into())
    },
    write: |path| path.display().to_string(),
};

/// The name of a Kubernetes object.
pub(super) static OBJECT_NAME: ValueType<String> = ValueType {
    name: "NAME",
    json: JsonType::Text,
    parse: |raw| object_name(raw.text()?),
    write: String::clone,
};
/// The name of a namespace.
pub(super) static NAMESPACE: ValueType<String> = ValueType {
    name: "NAMESPACE",
    json: JsonType::Text,
    parse: |raw| object_name(raw.text()?),
    write: String::clone,
};

fn object_name(text: &str) -> Result<String, Problems> {
    let allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '-' | '.');
    if text.chars().all(allowed) {
        return Ok(text.to_owned());
    }
    Err(
        format!("`{text}` is not a valid Kubernetes name: only a-z, 0-9, `-` and `.` are allowed")
            .into(),
    )
}

/// The base URL of a metrics server.
pub(super) static ENDPOINT: ValueType<String> = ValueType {
    name: "URL",
    json: JsonType::Text,
    parse: |raw| {
        let text = raw.text()?;
        let result = rebalancer_prom::check_endpoint(text);
        checked_url(text, result, "PROMETHEUS_ENDPOINT ")
    },
    write: String::clone,
};

/// The URL that metrics are pushed to.
pub(super) static PUSH_URL: ValueType<String> = ValueType {
    name: "URL",
    json: JsonType::Text,
    parse: |raw| {
        let text = raw.text()?;
        checked_url(
            text,
            rebalancer_prom::check_push_url(text),
            "METRICS_PUSH_URL ",
        )
    },
    write: String::clone,
};

/// The URL of a webhook.
pub(super) static WEBHOOK_URL: ValueType<String> = ValueType {
    name: "URL",
    json: JsonType::Text,
    parse: |raw| {
        let text = raw.text()?;
        checked_url(
            text,
            rebalancer_prom::check_webhook_url(text),
            "NOTIFY_URL ",
        )
    },
    write: String::clone,
};

/// The URL, unless the check failed with a message that begins with the variable, which the caller
/// names as the user gave it.
fn checked_url(
    url: &str,
    result: Result<(), impl Display>,
    variable: &str,
) -> Result<String, Problems> {
    result.map(|()| url.to_owned()).map_err(|error| {
        let problem = error.to_string();
        let problem = problem.strip_prefix(variable).unwrap_or(&problem);
        Problems(vec![problem.to_owned()])
    })
}

/// A boolean in the forms of Go's `strconv.ParseBool`, in any case.
pub(super) static BOOLEAN: ValueType<bool> = ValueType {
    name: "BOOL",
    json: JsonType::Boolean,
    parse: |raw| {
        let text = raw.text()?;
        match text.trim().to_ascii_lowercase().as_str() {
            "true" | "t" | "1" => Ok(true),
            "false" | "f" | "0" => Ok(false),
            _ => Err(format!("`{text}` is neither true nor false").into()),
        }
    },
    write: bool::to_string,
};

/// A number of workloads, 1 or more.
pub(super) static WORKLOADS: ValueType<usize> = ValueType {
    name: "N",
    json: JsonType::Count,
    parse: |raw| Ok((COUNT.parse)(raw)?.get()),
    write: usize::to_string,
};

/// A duration, zero included.
pub(super) static DURATION: ValueType<Duration> = duration_type(any_duration);
/// A duration above zero.
pub(super) static POSITIVE_DURATION: ValueType<Duration> = duration_type(positive);
/// The longest timeout of a request to the Kubernetes API: a lease outlasts the requests of one
/// eviction.
const LONGEST_KUBE_TIMEOUT: Duration = Duration::from_secs(30);
/// A timeout of requests to the Kubernetes API.
pub(super) static KUBE_TIMEOUT: ValueType<Duration> = duration_type(|raw| {
    let timeout = positive(raw)?;
    if timeout > LONGEST_KUBE_TIMEOUT {
        let longest = duration::format(LONGEST_KUBE_TIMEOUT);
        return Err(format!("it must be {longest} at most").into());
    }
    Ok(timeout)
});

/// A grace period. Kubernetes counts it in whole seconds. Zero would be a forced deletion, with
/// which a StatefulSet may have two pods of one identity.
pub(super) static GRACE_PERIOD: ValueType<u32> = ValueType {
    name: "DURATION",
    json: JsonType::Text,
    parse: |raw| {
        let period = positive(raw)?;
        u32::try_from(period.as_secs())
            .ok()
            .filter(|_| period.subsec_nanos() == 0)
            .ok_or_else(|| "it must be a whole number of seconds".into())
    },
    write: |seconds| format!("{seconds}s"),
};

const fn duration_type(parse: fn(&RawValue) -> Result<Duration, Problems>) -> ValueType<Duration> {
    ValueType {
        name: "DURATION",
        json: JsonType::Text,
        parse,
        write: |duration| duration::format(*duration),
    }
}

fn any_duration(raw: &RawValue) -> Result<Duration, Problems> {
    let text = raw.text()?;
    duration::parse(text)
        .ok_or_else(|| format!("`{text}` is not a duration such as 30s, 5m, 1m30s or 500ms").into())
}

fn positive(raw: &RawValue) -> Result<Duration, Problems> {
    let duration = any_duration(raw)?;
    if duration.is_zero() {
        return Err("it must be longer than zero".into());
    }
    Ok(duration)
}

/// Freeze windows.
pub(super) static FREEZE: ValueType<Freeze> = ValueType {
    name: "CRON TIMEZONE;…",
    json: JsonType::Text,
    parse: |raw| Ok(raw.text()?.parse::<Freeze>()?),
    write: Freeze::to_string,
};

/// A schedule.
pub(super) static SCHEDULE: ValueType<Schedule> = parsed("CRON TIMEZONE", JsonType::Text);

/// The address of a server, such as `[::]:8080`.
pub(super) static ADDRESS: ValueType<SocketAddr> = ValueType {
    name: "ADDRESS",
    json: JsonType::Text,
    parse: |raw| {
        let text = raw.text()?;
        text.trim().parse().map_err(|_| {
            format!("`{text}` is not an address such as [::]:8080 or 127.0.0.1:8080").into()
        })
    },
    write: SocketAddr::to_string,
};

/// A Kubernetes label selector, in the syntax of `kubectl --selector`.
pub(super) static LABEL_SELECTOR: ValueType<String> = ValueType {
    name: "SELECTOR",
    json: JsonType::Text,
    parse: |raw| {
        let text = raw.text()?;
        match rebalancer_k8s::parse_label_selector(text) {
            Ok(_) => Ok(text.to_owned()),
            Err(error) => Err(format!(
                "{error}; a valid selector is, for example, `app=consumer,tier in (front, back)`"
            )
            .into()),
        }
    },
    write: String::clone,
};

/// Label matchers of PromQL.
pub(super) static MATCHERS: ValueType<Matchers> = parsed("MATCHERS", JsonType::Text);

/// The name of a label in the metrics.
pub(super) static LABEL_NAME: ValueType<LabelName> = ValueType {
    name: "LABEL",
    json: JsonType::Text,
    parse: |raw| Ok(raw.text()?.parse::<LabelName>()?),
    // `Display` writes PromQL.
    write: |label| label.as_str().to_owned(),
};

/// Request headers: `Name=value` pairs separated by commas, where a value may contain `=`; or a
/// table, where it may contain any character.
pub(super) static HEADERS: ValueType<Vec<(String, String)>> = ValueType {
    name: "NAME=VALUE,…",
    json: JsonType::TextOrTable,
    parse: headers,
    write: |pairs| {
        let pairs: Vec<String> = pairs
            .iter()
            .map(|(name, value)| format!("{name}={value}"))
            .collect();
        pairs.join(",")
    },
};

fn headers(raw: &RawValue) -> Result<Vec<(String, String)>, Problems> {
    let text = match raw {
        RawValue::Table(pairs) => return Ok(pairs.clone()),
        RawValue::Text(text) => text,
    };
    let mut headers = Vec::new();
    let mut problems = Vec::new();
    for (index, pair) in text.split(',').enumerate() {
        match pair.split_once('=') {
            Some((name, value)) if !name.trim().is_empty() => {
                headers.push((name.trim().to_owned(), value.trim().to_owned()));
            }
            // The message does not quote the pair, which may be a secret.
            Some(_) | None => {
                problems.push(format!(
                    "pair number {} is not of the form Name=value",
                    index + 1
                ));
            }
        }
    }
    if problems.is_empty() {
        Ok(headers)
    } else {
        Err(Problems(problems))
    }
}

/// Metrics presets, separated by commas.
pub(super) static GROUP_METRICS: ValueType<Vec<GroupMetrics>> = ValueType {
    name: "NAME,…",
    json: JsonType::Text,
    parse: |raw| {
        let mut presets = Vec::new();
        let mut problems = Vec::new();
        for word in raw.text()?.split(',') {
            match word.parse() {
                Ok(preset) => presets.push(preset),
                Err(problem) => problems.push(problem),
            }
        }
        if problems.is_empty() {
            Ok(presets)
        } else {
            Err(Problems(problems))
        }
    },
    write: |presets| {
        let words: Vec<&str> = presets.iter().map(|preset| preset.as_str()).collect();
        words.join(",")
    },
};

/// Events, separated by commas.
pub(super) static NOTIFY_ON: ValueType<Vec<NotifyEvent>> = ValueType {
    name: "EVENT,…",
    json: JsonType::Text,
    parse: |raw| {
        let words = raw.text()?.split(',').map(str::trim);
        let events: Vec<Result<NotifyEvent, &str>> = words
            .map(|word| NotifyEvent::of(word).ok_or(word))
            .collect();
        let known = NotifyEvent::ALL.map(NotifyEvent::as_str).join(", ");
        let problem = |word: &&str| format!("`{word}` is not one of {known}");
        let unknown = events.iter().filter_map(|event| event.as_ref().err());
        let problems: Vec<String> = unknown.map(problem).collect();
        if problems.is_empty() {
            Ok(events.into_iter().flatten().collect())
        } else {
            Err(Problems(problems))
        }
    },
    write: |events| {
        let words: Vec<&str> = events.iter().map(|event| event.as_str()).collect();
        words.join(",")
    },
};

/// A type with one word for each of its values.
trait Words: Copy + PartialEq + 'static {
    /// Every value with its word.
    fn all() -> Vec<(&'static str, Self)>;
}

/// A value type of words, in any case.
const fn words<T: Words>(name: &'static str) -> ValueType<T> {
    ValueType {
        name,
        json: JsonType::Text,
        parse: |raw| {
            let text = raw.text()?;
            let all = T::all();
            let found = all
                .iter()
                .find(|(word, _)| word.eq_ignore_ascii_case(text.trim()));
            found.map(|(_, value)| *value).ok_or_else(|| {
                let known: Vec<&str> = all.iter().map(|(word, _)| *word).collect();
                format!("`{text}` is not one of {}", known.join(", ")).into()
            })
        },
        write: |value| {
            let all = T::all();
            let found = all.iter().find(|(_, known)| known == value);
            found.map_or_else(String::new, |(word, _)| (*word).to_owned())
        },
    }
}

pub(super) static STRATEGY: ValueType<Strategy> = words("NAME");
pub(super) static APPROVAL: ValueType<ApprovalMode> = words("MODE");
pub(super) static TARGET_SOURCE: ValueType<TargetSource> = words("SOURCE");
pub(super) static QUERY_METHOD: ValueType<QueryMethod> = words("METHOD");
pub(super) static EVICTION_METHOD: ValueType<EvictionMethod> = words("METHOD");
/// An assignor; `None` for `auto`.
pub(super) static ASSIGNOR: ValueType<Option<Assignor>> = words("NAME");
pub(super) static CLIENT: ValueType<ClientFamily> = words("NAME");
pub(super) static PROTOCOL: ValueType<Protocol> = words("NAME");
pub(super) static OUTPUT: ValueType<OutputFormat> = words("FORMAT");
pub(super) static NOTIFY_FORMAT: ValueType<NotifyFormat> = words("FORMAT");
pub(super) static LOG_LEVEL: ValueType<LogLevel> = words("LEVEL");
pub(super) static LOG_FORMAT: ValueType<LogFormat> = words("FORMAT");

impl Words for Strategy {
    fn all() -> Vec<(&'static str, Self)> {
        Self::ALL
            .map(|strategy| (strategy.as_str(), strategy))
            .into()
    }
}

impl Words for ApprovalMode {
    fn all() -> Vec<(&'static str, Self)> {
        vec![("none", Self::None), ("manual", Self::Manual)]
    }
}

impl Words for TargetSource {
    fn all() -> Vec<(&'static str, Self)> {
        vec![
            ("kubernetes", Self::Kubernetes),
            ("prometheus", Self::Prometheus),
        ]
    }
}

impl Words for QueryMethod {
    fn all() -> Vec<(&'static str, Self)> {
        [Self::Post, Self::Get]
            .map(|method| (method.as_str(), method))
            .into()
    }
}

impl Words for EvictionMethod {
    fn all() -> Vec<(&'static str, Self)> {
        vec![("evict", Self::Evict), ("delete", Self::Delete)]
    }
}

impl Words for Option<Assignor> {
    fn all() -> Vec<(&'static str, Self)> {
        let assignors = Assignor::ALL.map(|assignor| (assignor.as_str(), Some(assignor)));
        std::iter::once(("auto", None)).chain(assignors).collect()
    }
}

impl Words for ClientFamily {
    fn all() -> Vec<(&'static str, Self)> {
        [Self::Java, Self::Librdkafka]
            .map(|client| (client.as_str(), client))
            .into()
    }
}

impl Words for Protocol {
    fn all() -> Vec<(&'static str, Self)> {
        [Self::Classic, Self::Consumer]
            .map(|protocol| (protocol.as_str(), protocol))
            .into()
    }
}

impl Words for OutputFormat {
    fn all() -> Vec<(&'static str, Self)> {
        vec![
            ("table", Self::Table),
            ("json", Self::Json),
            ("yaml", Self::Yaml),
            ("openmetrics", Self::OpenMetrics),
            ("markdown", Self::Markdown),
        ]
    }
}

impl Words for NotifyFormat {
    fn all() -> Vec<(&'static str, Self)> {
        Self::ALL.map(|format| (format.as_str(), format)).into()
    }
}

impl Words for LogLevel {
    fn all() -> Vec<(&'static str, Self)> {
        vec![
            ("debug", Self::Debug),
            ("info", Self::Info),
            ("warn", Self::Warn),
            ("error", Self::Error),
        ]
    }
}

impl Words for LogFormat {
    fn all() -> Vec<(&'static str, Self)> {
        vec![("json", Self::Json), ("text", Self::Text)]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fmt::Debug;

    fn parse<T>(value: &ValueType<T>, text: &str) -> Result<T, Vec<String>> {
        (value.parse)(&RawValue::Text(text.to_owned())).map_err(|problems| problems.0)
    }

    /// Parses `text`, writes the value, and checks the written form.
    fn round_trip<T: PartialEq + Debug>(value: &ValueType<T>, text: &str, written: &str) {
        let parsed = parse(value, text).unwrap();
        assert_eq!((value.write)(&parsed), written, "{text}");
        assert_eq!(parse(value, written), Ok(parsed), "{text}");
    }

    fn refuse<T: Debug>(value: &ValueType<T>, text: &str, problem: &str) {
        let problems = parse(value, text).unwrap_err();
        assert_eq!(problems.len(), 1, "{text}: {problems:?}");
        assert!(problems[0].contains(problem), "{text}: {problems:?}");
    }

    #[test]
    fn texts_are_taken_as_they_are() {
        round_trip(&PROMQL, " sum(rate(x[5m]))", " sum(rate(x[5m]))");
        round_trip(&FILE, "/etc/token", "/etc/token");
    }

    #[test]
    fn quantities_are_parsed_with_their_range() {
        round_trip(&COUNT, "2", "2");
        round_trip(&MINIMUM_PODS, " 3", "3");
        round_trip(&PERCENT, "10.0", "10");
        round_trip(&TOLERANCE, "1.5", "1.5");
        round_trip(&CORES, "0.7", "0.7");
        round_trip(&PODS_OR_PERCENT, "25%", "25%");
        refuse(&COUNT, "0", "1 or more");
        refuse(&PERCENT, "101", "0 to 100");
        refuse(&TOLERANCE, "0.9", "from 1");
        refuse(&CORES, "700m", "above 0");
    }

    #[test]
    fn object_names_have_the_characters_of_kubernetes() {
        round_trip(&OBJECT_NAME, "ingestion-1.a", "ingestion-1.a");
        refuse(&OBJECT_NAME, "a/b", "`a/b` is not a valid Kubernetes name");
        refuse(&NAMESPACE, "Posthog", "a-z");
    }

    #[test]
    fn endpoint_problem_does_not_repeat_the_variable() {
        round_trip(
            &ENDPOINT,
            "https://mimir/prometheus",
            "https://mimir/prometheus",
        );
        let problems = parse(&ENDPOINT, "ftp://prometheus").unwrap_err();
        assert!(
            !problems[0].starts_with("PROMETHEUS_ENDPOINT"),
            "{problems:?}"
        );
    }

    #[test]
    fn push_url_problem_does_not_repeat_the_variable() {
        round_trip(&PUSH_URL, "http://gateway:9091", "http://gateway:9091");
        refuse(&PUSH_URL, "ftp://gateway", "`ftp://gateway` cannot be used");
        let problems = parse(&PUSH_URL, "ftp://gateway").unwrap_err();
        assert!(problems[0].starts_with("`ftp://"), "{problems:?}");
    }

    #[test]
    fn url_of_a_webhook_is_not_shown() {
        let url = "https://hooks.example.com/secret";
        round_trip(&WEBHOOK_URL, url, url);
        for url in ["ftp://hooks.example.com/secret", "hooks.example.com/secret"] {
            let problems = parse(&WEBHOOK_URL, url).unwrap_err();
            assert!(problems[0].contains("cannot be used"), "{problems:?}");
            assert!(!problems[0].contains("secret"), "{problems:?}");
        }
    }

    #[test]
    fn events_are_a_list_of_words() {
        round_trip(
            &NOTIFY_ON,
            "failures, hold_changes",
            "failures,hold_changes",
        );
        refuse(
            &NOTIFY_ON,
            "failures,holds",
            "`holds` is not one of rotations, failures,",
        );
        refuse(&NOTIFY_ON, "", "`` is not one of");
        round_trip(&NOTIFY_FORMAT, "Slack", "slack");
    }

    #[test]
    fn report_has_a_known_format() {
        round_trip(&REPORT_FILE, "out/a.HTML", "out/a.HTML");
        round_trip(&REPORT_FILE, "a.md", "a.md");
        for name in ["report", "report.pdf", "html"] {
            refuse(&REPORT_FILE, name, "neither with .html nor with .md");
        }
    }

    #[test]
    fn booleans_have_the_forms_of_go() {
        for text in ["true", "T", "1"] {
            round_trip(&BOOLEAN, text, "true");
        }
        for text in ["FALSE", "f", "0"] {
            round_trip(&BOOLEAN, text, "false");
        }
        refuse(&BOOLEAN, "yes", "neither true nor false");
    }

    #[test]
    fn durations_are_bounded() {
        round_trip(&DURATION, "0", "0s");
        round_trip(&POSITIVE_DURATION, "90s", "1m30s");
        round_trip(&KUBE_TIMEOUT, "30s", "30s");
        refuse(&DURATION, "soon", "not a duration");
        refuse(&POSITIVE_DURATION, "0s", "longer than zero");
        refuse(&KUBE_TIMEOUT, "31s", "30s at most");
    }

    #[test]
    fn grace_periods_are_whole_seconds() {
        round_trip(&GRACE_PERIOD, "1m", "60s");
        refuse(&GRACE_PERIOD, "1500ms", "whole number of seconds");
        refuse(&GRACE_PERIOD, "0s", "longer than zero");
    }

    #[test]
    fn freeze_windows_need_a_time_zone() {
        let window = "* 8-17 * * MON-FRI Europe/Berlin";
        let freeze = parse(&FREEZE, window).unwrap();
        assert_eq!((FREEZE.write)(&freeze), window);
        assert!(parse(&FREEZE, "* 8-17 * * MON-FRI").is_err());
    }

    #[test]
    fn label_selectors_are_checked() {
        let selector = "app=consumer,tier in (front, back),!canary";
        round_trip(&LABEL_SELECTOR, selector, selector);
        refuse(
            &LABEL_SELECTOR,
            "a in (",
            "a valid selector is, for example,",
        );
    }

    #[test]
    fn matchers_and_label_names_are_checked() {
        round_trip(&MATCHERS, r#"a = 'b', c!~"d""#, r#"a="b",c!~"d""#);
        refuse(&MATCHERS, "cluster=prod", "a value in quotes is expected");
        round_trip(&LABEL_NAME, "exported_pod", "exported_pod");
        round_trip(&LABEL_NAME, "k8s.pod.name", "k8s.pod.name");
        refuse(&LABEL_NAME, "exported-pod", "is not a label name");
    }

    #[test]
    fn words_are_parsed_in_any_case() {
        round_trip(&STRATEGY, "Forecast", "forecast");
        round_trip(&ASSIGNOR, "auto", "auto");
        round_trip(&LOG_LEVEL, " warn ", "warn");
        refuse(
            &OUTPUT,
            "csv",
            "`csv` is not one of table, json, yaml, openmetrics",
        );
    }

    #[test]
    fn every_word_parses_to_its_value() {
        fn check<T: Words + Debug>(value: &ValueType<T>) {
            for (word, known) in T::all() {
                assert_eq!(parse(value, word), Ok(known));
                assert_eq!((value.write)(&known), word);
            }
        }
        check(&STRATEGY);
        check(&APPROVAL);
        check(&TARGET_SOURCE);
        check(&QUERY_METHOD);
        check(&EVICTION_METHOD);
        check(&ASSIGNOR);
        check(&CLIENT);
        check(&PROTOCOL);
        check(&OUTPUT);
        check(&LOG_LEVEL);
        check(&LOG_FORMAT);
    }

    #[test]
    fn each_bad_element_of_a_list_is_a_problem() {
        round_trip(
            &GROUP_METRICS,
            "consumer, kafka-exporter",
            "consumer,kafka-exporter",
        );
        let problems = parse(&GROUP_METRICS, "burrow,jmx,lag").unwrap_err();
        assert_eq!(problems.len(), 2, "{problems:?}");
        let problems = parse(&HEADERS, "A=b,s3cret,=c").unwrap_err();
        assert_eq!(
            problems,
            [
                "pair number 2 is not of the form Name=value",
                "pair number 3 is not of the form Name=value"
            ]
        );
    }

    #[test]
    fn headers_may_be_a_table() {
        let pairs = vec![("X-List".to_owned(), "a, b=c".to_owned())];
        let table = RawValue::Table(pairs.clone());
        assert_eq!((HEADERS.parse)(&table), Ok(pairs));
        assert!((PROMQL.parse)(&table).is_err());
    }
}
