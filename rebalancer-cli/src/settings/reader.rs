//! From texts to types: every setting read once, every error collected.

use std::fmt::Display;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use rebalancer_core::model::{
    Cores, MaxUnavailable, MinimumPods, Percent, Seconds, Tolerance, TopK, WorkloadRef,
};
use rebalancer_core::policy::{ExecutionPolicy, Policy, Strategy};
use rebalancer_k8s::{Autoscalers, EvictionMethod, WorkloadKind};

use crate::freeze::Freeze;

use super::layers::{Given, GivenValue, Layer, Origin};
use super::registry::by_env;
use super::{
    Interface, KubernetesSettings, LogFormat, LogLevel, OutputFormat, PrometheusSettings,
    SettingsError, TargetSource, WorkloadSettings, duration,
};

/// Reads typed settings from one workload's layer over the common one.
pub(super) struct Reader<'a> {
    common: &'a Layer,
    own: Option<&'a Layer>,
    errors: Vec<SettingsError>,
}

impl<'a> Reader<'a> {
    pub(super) fn new(common: &'a Layer, own: Option<&'a Layer>) -> Self {
        Self {
            common,
            own,
            errors: Vec::new(),
        }
    }

    /// `value`, unless something that was read was wrong.
    pub(super) fn finish<T>(self, value: T) -> Result<T, Vec<SettingsError>> {
        if self.errors.is_empty() {
            Ok(value)
        } else {
            Err(self.errors)
        }
    }

    fn given(&self, env: &str) -> Option<&'a Given> {
        debug_assert!(by_env(env).is_some(), "{env} is not a setting");
        let common = self.common.get(env);
        // An entry of the file stands over the file, and like it under environment and flags.
        match common.map(|given| &given.origin) {
            Some(Origin::Flag | Origin::Environment) => common,
            Some(Origin::File(_)) | None => self.own.and_then(|own| own.get(env)).or(common),
        }
    }

    pub(super) fn invalid(&mut self, env: &str, problem: impl Into<String>) {
        let name = self
            .given(env)
            .map_or_else(|| env.to_owned(), |given| given.origin.name(env));
        self.errors.push(SettingsError::Invalid {
            name,
            problem: problem.into(),
        });
    }

    /// The text as it is; `None` when absent or empty.
    pub(super) fn text(&self, env: &str) -> Option<String> {
        match &self.given(env)?.value {
            GivenValue::Text(text) => Some(text.clone()).filter(|text| !text.is_empty()),
            GivenValue::Table(_) => None,
        }
    }

    fn path(&self, env: &str) -> Option<PathBuf> {
        self.text(env).map(PathBuf::from)
    }

    fn required(&mut self, env: &'static str) -> Option<String> {
        let text = self.text(env);
        if text.is_none()
            && let Some(setting) = by_env(env)
        {
            self.errors.push(SettingsError::Missing {
                env,
                flag: setting.flag(),
                help: setting.help,
            });
        }
        text
    }

    fn parsed<T>(&mut self, env: &str) -> Option<T>
    where
        T: FromStr,
        T::Err: Display,
    {
        match self.text(env)?.parse() {
            Ok(value) => Some(value),
            Err(error) => {
                self.invalid(env, error.to_string());
                None
            }
        }
    }

    /// One of several words, in any case.
    pub(super) fn word<T: Copy>(&mut self, env: &str, words: &[(&str, T)]) -> Option<T> {
        let text = self.text(env)?;
        let found = words
            .iter()
            .find(|(word, _)| word.eq_ignore_ascii_case(text.trim()));
        if found.is_none() {
            let known: Vec<&str> = words.iter().map(|(word, _)| *word).collect();
            self.invalid(env, format!("`{text}` is not one of {}", known.join(", ")));
        }
        found.map(|(_, value)| *value)
    }

    /// The forms that Go's `strconv.ParseBool` takes, in any case.
    pub(super) fn boolean(&mut self, env: &str, default: bool) -> bool {
        let Some(text) = self.text(env) else {
            return default;
        };
        match text.trim().to_ascii_lowercase().as_str() {
            "true" | "t" | "1" => true,
            "false" | "f" | "0" => false,
            _ => {
                self.invalid(env, format!("`{text}` is neither true nor false"));
                false
            }
        }
    }

    fn duration(&mut self, env: &str) -> Option<Duration> {
        let text = self.text(env)?;
        let parsed = duration::parse(&text);
        if parsed.is_none() {
            self.invalid(
                env,
                format!("`{text}` is not a duration such as 30s, 5m, 1m30s or 500ms"),
            );
        }
        parsed
    }

    pub(super) fn positive_duration(&mut self, env: &str) -> Option<Duration> {
        let parsed = self.duration(env)?;
        if parsed.is_zero() {
            self.invalid(env, "it must be longer than zero");
            return None;
        }
        Some(parsed)
    }
}

pub(super) fn interface(reader: &mut Reader<'_>) -> Interface {
    Interface {
        output: reader
            .word(
                "OUTPUT",
                &[
                    ("table", OutputFormat::Table),
                    ("json", OutputFormat::Json),
                    ("yaml", OutputFormat::Yaml),
                ],
            )
            .unwrap_or_default(),
        log_level: reader.word(
            "LOG_LEVEL",
            &[
                ("debug", LogLevel::Debug),
                ("info", LogLevel::Info),
                ("warn", LogLevel::Warn),
                ("error", LogLevel::Error),
            ],
        ),
        log_format: reader.word(
            "LOG_FORMAT",
            &[("json", LogFormat::Json), ("text", LogFormat::Text)],
        ),
    }
}

/// `METRICS_TIME_WINDOW`, which several other settings follow.
fn window(reader: &mut Reader<'_>) -> Duration {
    reader
        .positive_duration("METRICS_TIME_WINDOW")
        .unwrap_or(Duration::from_secs(300))
}

pub(super) fn policy(reader: &mut Reader<'_>) -> Policy {
    let defaults = Policy::default();
    let window = window(reader);
    Policy {
        strategy: reader
            .word(
                "STRATEGY",
                &Strategy::ALL.map(|strategy| (strategy.as_str(), strategy)),
            )
            .unwrap_or(defaults.strategy),
        top_k: reader
            .parsed::<TopK>("REBALANCE_TOP_K_PODS")
            .unwrap_or(defaults.top_k),
        tolerance: reader
            .parsed::<Tolerance>("TOLERANCE_MULTIPLIER")
            .unwrap_or(defaults.tolerance),
        minimum_improvement_percent: reader
            .parsed::<Percent>("MINIMUM_IMPROVEMENT_PERCENT")
            .unwrap_or(defaults.minimum_improvement_percent),
        minimum_confidence_percent: reader
            .parsed::<Percent>("MINIMUM_CONFIDENCE_PERCENT")
            .unwrap_or(defaults.minimum_confidence_percent),
        forecast_seed: defaults.forecast_seed,
        minimum_pods: minimum_pods(reader),
        max_unavailable: reader
            .parsed::<MaxUnavailable>("MAX_UNAVAILABLE")
            .unwrap_or(defaults.max_unavailable),
        max_evictions: reader.parsed::<TopK>("MAX_EVICTIONS").map(TopK::get),
        ignore_history: reader.boolean("IGNORE_HISTORY", defaults.ignore_history),
        minimum_pod_age_seconds: reader.duration("MINIMUM_POD_AGE").unwrap_or(window).into(),
        cooldown_seconds: reader.duration("COOLDOWN").unwrap_or(window).into(),
        maximum_sample_age_seconds: reader
            .positive_duration("MAXIMUM_SAMPLE_AGE")
            .unwrap_or(window / 2)
            .into(),
        minimum_coverage_percent: reader
            .parsed::<Percent>("MINIMUM_COVERAGE_PERCENT")
            .unwrap_or(defaults.minimum_coverage_percent),
    }
}

fn minimum_pods(reader: &mut Reader<'_>) -> MinimumPods {
    reader
        .parsed("MINIMUM_PODS_REQUIRED")
        .unwrap_or(MinimumPods::DEFAULT)
}

pub(super) fn target(reader: &mut Reader<'_>) -> Option<Cores> {
    reader.parsed("TARGET_CORES")
}

/// One workload. Placeholders stand where something required is missing, which is then among
/// the errors.
pub(super) fn workload(reader: &mut Reader<'_>, dry_run: bool) -> WorkloadSettings {
    let namespace = object_name(reader, "KUBE_NAMESPACE");
    let name = object_name(reader, "DEPLOYMENT_NAME");
    let endpoint = endpoint(reader);
    let policy = policy(reader);
    let execution = ExecutionPolicy {
        minimum_pods: policy.minimum_pods,
        eviction_timeout_seconds: or_default(
            reader.duration("EVICTION_TIMEOUT"),
            ExecutionPolicy::default().eviction_timeout_seconds,
        ),
        ready_timeout_seconds: or_default(
            reader.positive_duration("READY_TIMEOUT"),
            ExecutionPolicy::default().ready_timeout_seconds,
        ),
        dry_run,
    };
    let target = target(reader);
    let target_source = reader
        .word(
            "TARGET_SOURCE",
            &[
                ("kubernetes", TargetSource::Kubernetes),
                ("prometheus", TargetSource::Prometheus),
            ],
        )
        .unwrap_or(TargetSource::Kubernetes);
    let workload = WorkloadRef {
        namespace: namespace.unwrap_or_default(),
        kind: reader
            .parsed::<WorkloadKind>("WORKLOAD_KIND")
            .unwrap_or(WorkloadKind::Deployment)
            .to_string(),
        name: name.unwrap_or_default(),
    };
    let kubernetes = KubernetesSettings {
        container: reader
            .text("CONTAINER_NAME")
            .unwrap_or_else(|| workload.name.clone()),
        label_selector: reader.text("KUBE_LABEL_SELECTOR"),
        hpa_prefix: reader.text("HPA_PREFIX").unwrap_or_default(),
        autoscalers: match (target_source, target) {
            (TargetSource::Prometheus, _) => Autoscalers::No,
            (TargetSource::Kubernetes, Some(_)) => Autoscalers::IfPermitted,
            (TargetSource::Kubernetes, None) => Autoscalers::Required,
        },
        eviction_method: reader
            .word(
                "EVICTION_METHOD",
                &[
                    ("evict", EvictionMethod::Evict),
                    ("delete", EvictionMethod::Delete),
                ],
            )
            .unwrap_or(EvictionMethod::Evict),
        grace_period: grace_period(reader),
        ..KubernetesSettings::new(workload)
    };
    let mut prometheus = prometheus(reader, endpoint.unwrap_or_default(), &kubernetes);
    let group = super::group::group(reader, &kubernetes.workload, &policy);
    let (source, group) = group.unzip();
    prometheus.group = source;
    WorkloadSettings {
        prometheus,
        group,
        kubernetes,
        target,
        target_source,
        policy,
        execution,
        freeze: reader.parsed::<Freeze>("FREEZE").unwrap_or_default(),
        one_at_a_time: reader.boolean("ONE_AT_A_TIME", true),
    }
}

/// The longest that `KUBE_TIMEOUT` may be: a lease lasts longer than the requests of an eviction.
const LONGEST_KUBE_TIMEOUT: Duration = Duration::from_secs(30);

pub(super) fn kube_timeout(reader: &mut Reader<'_>) -> Duration {
    let timeout = reader
        .positive_duration("KUBE_TIMEOUT")
        .unwrap_or(LONGEST_KUBE_TIMEOUT);
    if timeout > LONGEST_KUBE_TIMEOUT {
        reader.invalid("KUBE_TIMEOUT", "it must be 30s at most");
    }
    timeout
}

fn or_default(given: Option<Duration>, default: Seconds) -> Seconds {
    given.map_or(default, Seconds::from)
}

/// A name that an object of Kubernetes can have.
fn object_name(reader: &mut Reader<'_>, env: &'static str) -> Option<String> {
    let name = reader.required(env)?;
    let allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '-' | '.');
    if name.chars().all(allowed) {
        return Some(name);
    }
    reader.invalid(
        env,
        format!("`{name}` is no name in Kubernetes: only a-z, 0-9, `-` and `.` are allowed"),
    );
    None
}

/// Kubernetes counts grace periods in whole seconds.
/// None at all would be a forced deletion: a StatefulSet could have two pods of one identity.
fn grace_period(reader: &mut Reader<'_>) -> Option<u32> {
    let period = reader.positive_duration("GRACE_PERIOD")?;
    let seconds = u32::try_from(period.as_secs())
        .ok()
        .filter(|_| period.subsec_nanos() == 0);
    if seconds.is_none() {
        reader.invalid("GRACE_PERIOD", "it must be a whole number of seconds");
    }
    seconds
}

fn prometheus(
    reader: &mut Reader<'_>,
    endpoint: String,
    kubernetes: &KubernetesSettings,
) -> PrometheusSettings {
    let settings = PrometheusSettings {
        timeout: reader
            .positive_duration("PROMETHEUS_TIMEOUT")
            .unwrap_or(Duration::from_secs(30)),
        window: window(reader),
        container: kubernetes.container.clone(),
        hpa_prefix: kubernetes.hpa_prefix.clone(),
        load_query: reader.text("LOAD_QUERY"),
        freshness_query: reader.text("FRESHNESS_QUERY"),
        bearer_token_file: reader.path("PROMETHEUS_BEARER_TOKEN_FILE"),
        username: reader.text("PROMETHEUS_USERNAME"),
        password_file: reader.path("PROMETHEUS_PASSWORD_FILE"),
        ca_file: reader.path("PROMETHEUS_CA_FILE"),
        headers: headers(reader),
        ..PrometheusSettings::new(endpoint, kubernetes.workload.clone())
    };
    if settings.freshness_query.is_some() && settings.load_query.is_none() {
        reader.invalid(
            "FRESHNESS_QUERY",
            "it goes with LOAD_QUERY; without one, freshness is read from the CPU series",
        );
    }
    match (&settings.username, &settings.password_file) {
        (Some(_), None) => reader.invalid(
            "PROMETHEUS_USERNAME",
            "PROMETHEUS_PASSWORD_FILE must be set as well",
        ),
        (None, Some(_)) => reader.invalid(
            "PROMETHEUS_PASSWORD_FILE",
            "PROMETHEUS_USERNAME must be set as well",
        ),
        (Some(_), Some(_)) | (None, None) => {}
    }
    if settings.username.is_some() && settings.bearer_token_file.is_some() {
        reader.invalid(
            "PROMETHEUS_BEARER_TOKEN_FILE",
            "it cannot be used together with PROMETHEUS_USERNAME",
        );
    }
    settings
}

fn endpoint(reader: &mut Reader<'_>) -> Option<String> {
    let text = reader.required("PROMETHEUS_ENDPOINT")?;
    match rebalancer_prom::check_endpoint(&text) {
        Ok(()) => Some(text),
        Err(error) => {
            // The message begins with the variable; the layer's own name for it stands instead.
            let problem = error.to_string();
            let problem = problem
                .strip_prefix("PROMETHEUS_ENDPOINT ")
                .unwrap_or(&problem);
            reader.invalid("PROMETHEUS_ENDPOINT", problem);
            None
        }
    }
}

/// `Name=value` pairs with commas between, where a value may hold `=`; or a table of the file, where
/// it may hold anything.
fn headers(reader: &mut Reader<'_>) -> Vec<(String, String)> {
    let text = match reader.given("PROMETHEUS_HEADERS").map(|given| &given.value) {
        None => return Vec::new(),
        Some(GivenValue::Table(pairs)) => return pairs.clone(),
        Some(GivenValue::Text(text)) if text.is_empty() => return Vec::new(),
        Some(GivenValue::Text(text)) => text.clone(),
    };
    let mut headers = Vec::new();
    for (index, pair) in text.split(',').enumerate() {
        match pair.split_once('=') {
            Some((name, value)) if !name.trim().is_empty() => {
                headers.push((name.trim().to_owned(), value.trim().to_owned()));
            }
            // The pair itself is not shown: it may be a secret.
            Some(_) | None => {
                reader.invalid(
                    "PROMETHEUS_HEADERS",
                    format!("pair number {} is not of the form Name=value", index + 1),
                );
            }
        }
    }
    headers
}
