//! Every setting, once, as data: the environment variable, and from its name the key of the file
//! and, unless its value is a secret, the flag; help, the configuration table of the README and the JSON Schema come from here.

/// One setting.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Setting {
    /// The environment variable.
    pub env: &'static str,
    /// What stands for its value in help.
    pub value: &'static str,
    /// What happens without it; empty when it is required.
    pub default: &'static str,
    /// What it means.
    pub help: &'static str,
    /// Under which heading it goes.
    pub group: Group,
}

/// The headings of the settings.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Group {
    /// Which pods.
    Workload,
    /// Where loads come from.
    Metrics,
    /// The consumer group.
    ConsumerGroup,
    /// What is decided.
    Decision,
    /// How it is carried out.
    Acting,
    /// What the program says.
    Interface,
}

impl Group {
    /// All of them, in the order of help.
    pub const ALL: [Self; 6] = [
        Self::Workload,
        Self::Metrics,
        Self::ConsumerGroup,
        Self::Decision,
        Self::Acting,
        Self::Interface,
    ];

    /// The heading.
    #[must_use]
    pub fn heading(self) -> &'static str {
        match self {
            Self::Workload => "Workload",
            Self::Metrics => "Metrics",
            Self::ConsumerGroup => "Consumer group",
            Self::Decision => "Decision",
            Self::Acting => "Acting",
            Self::Interface => "Interface",
        }
    }
}

impl Setting {
    /// The key in a configuration file: the variable in lower case.
    #[must_use]
    pub fn key(&self) -> String {
        self.env.to_ascii_lowercase()
    }

    /// The flag without its dashes: the key with `-` for `_`. A secret has none, since every
    /// process on the host can read the arguments of another.
    #[must_use]
    pub fn flag(&self) -> Option<String> {
        (!self.is_secret()).then(|| self.key().replace('_', "-"))
    }

    /// Its value may hold secrets.
    #[must_use]
    pub fn is_secret(&self) -> bool {
        SECRET.contains(&self.env)
    }

    /// The setting is of the whole run, so that one workload of a list cannot have its own.
    #[must_use]
    pub fn is_global(&self) -> bool {
        self.group == Group::Interface || GLOBAL.contains(&self.env)
    }
}

/// Settings outside the interface group that are of the whole run all the same.
const GLOBAL: [&str; 5] = [
    "KUBE_CONTEXT",
    "KUBE_TIMEOUT",
    "DRY_RUN",
    "RUN_TIMEOUT",
    "MAX_EVICTIONS",
];

/// Settings whose values may hold secrets; others name the files that do.
const SECRET: [&str; 1] = ["PROMETHEUS_HEADERS"];

/// The setting that goes with an environment variable's name.
#[must_use]
pub fn by_env(env: &str) -> Option<&'static Setting> {
    SETTINGS.iter().find(|setting| setting.env == env)
}

macro_rules! settings {
    ($($group:ident { $($env:literal $value:literal = $default:literal, $help:literal;)* })*) => {
        /// Every setting, in the order of help.
        pub const SETTINGS: &[Setting] = &[$($(Setting {
            env: $env,
            value: $value,
            default: $default,
            help: $help,
            group: Group::$group,
        },)*)*];
    };
}

settings! {
    Workload {
        "KUBE_NAMESPACE" "NAMESPACE" = "",
            "Namespace of the workload";
        "DEPLOYMENT_NAME" "NAME" = "",
            "Name of the workload, and of its measured container";
        "WORKLOAD_KIND" "KIND" = "Deployment",
            "Deployment, StatefulSet, or Kind.version.group of anything with a scale subresource";
        "CONTAINER_NAME" "NAME" = "DEPLOYMENT_NAME",
            "The measured container";
        "KUBE_LABEL_SELECTOR" "SELECTOR" = "none",
            "Pods must match this label selector as well as the workload's own";
        "KUBE_CONTEXT" "CONTEXT" = "the current one",
            "Context of the kubeconfig; inside a cluster the pod's service account is used";
        "KUBE_TIMEOUT" "DURATION" = "30s",
            "How long a request to the Kubernetes API may take; 30s at most";
    }
    Metrics {
        "PROMETHEUS_ENDPOINT" "URL" = "",
            "Base URL of Prometheus, VictoriaMetrics, Thanos or Mimir; a path is allowed";
        "PROMETHEUS_TIMEOUT" "DURATION" = "30s",
            "How long a query may take";
        "METRICS_TIME_WINDOW" "DURATION" = "5m",
            "The window that the CPU rate is taken over";
        "LOAD_QUERY" "PROMQL" = "CPU rate of the container",
            "Any PromQL that yields one sample per `pod` label, in place of the CPU rate; set METRICS_TIME_WINDOW to its window";
        "FRESHNESS_QUERY" "PROMQL" = "from the CPU series",
            "PromQL that yields the age in seconds of each `pod`'s newest sample; only with LOAD_QUERY";
        "PROMETHEUS_BEARER_TOKEN_FILE" "FILE" = "none",
            "File with a bearer token, read again for each query";
        "PROMETHEUS_USERNAME" "NAME" = "none",
            "User name of basic authentication";
        "PROMETHEUS_PASSWORD_FILE" "FILE" = "none",
            "File with the password of basic authentication";
        "PROMETHEUS_CA_FILE" "FILE" = "the system's",
            "PEM file of certificate authorities to trust besides the system's";
        "PROMETHEUS_HEADERS" "NAME=VALUE,…" = "none",
            "Extra request headers, such as X-Scope-OrgID=tenant";
    }
    ConsumerGroup {
        "GROUP_ID" "ID" = "none",
            "group.id of the consumers";
        "GROUP_METRICS" "NAME,…" = "none",
            "Whose metrics tell of the group: consumer, jmx, kafka-exporter, kafka-lag-exporter; of several the first that has owners, and the first that has rates";
        "GROUP_ASSIGNMENT_QUERY" "PROMQL" = "from GROUP_METRICS",
            "PromQL that yields one sample for each owned partition, with the labels topic, partition, and one of pod, member_host, client_id";
        "GROUP_RATE_QUERY" "PROMQL" = "from GROUP_METRICS",
            "PromQL that yields what arrives in each partition per second, with the labels topic and partition";
        "GROUP_ASSIGNOR" "NAME" = "auto",
            "range, roundrobin, sticky, cooperative-sticky or uniform; auto recognises the first two by who owns what";
        "GROUP_CLIENT" "NAME" = "java",
            "The client library of the consumers: java, or librdkafka (and what is built on it)";
        "GROUP_PROTOCOL" "NAME" = "classic",
            "group.protocol of the consumers: classic, or consumer (KIP-848)";
        "GROUP_SESSION_TIMEOUT" "DURATION" = "45s",
            "session.timeout.ms of static members";
    }
    Decision {
        "STRATEGY" "NAME" = "rotate-outliers",
            "The rule that chooses victims: rotate-outliers, forecast (needs the consumer group's metrics), or auto (forecast where they are known)";
        "REBALANCE_TOP_K_PODS" "N" = "2",
            "How many of the hottest, and of the coldest pods to evict at most; at least 1";
        "TOLERANCE_MULTIPLIER" "X" = "1.5",
            "The multiple of the target above which a pod is hot; at least 1.0";
        "MINIMUM_IMPROVEMENT_PERCENT" "PERCENT" = "10.0",
            "The improvement a plan must exceed, or for forecast the fall of the highest load that must be expected; 0 to 100";
        "MINIMUM_CONFIDENCE_PERCENT" "PERCENT" = "80",
            "How likely the highest load must be to fall by a plan of the forecast; 0 to 100";
        "MINIMUM_PODS_REQUIRED" "N" = "3",
            "Ready pods that must be left at any time; at least 1";
        "HPA_PREFIX" "PREFIX" = "empty",
            "When set, and no HorizontalPodAutoscaler refers to the workload, the one named HPA_PREFIX + DEPLOYMENT_NAME is used";
        "TARGET_CORES" "CORES" = "from the autoscaler",
            "Target load per pod, in cores (or the unit of LOAD_QUERY)";
        "TARGET_SOURCE" "SOURCE" = "kubernetes",
            "Where autoscalers are read: kubernetes, or prometheus (kube-state-metrics)";
        "MINIMUM_POD_AGE" "DURATION" = "METRICS_TIME_WINDOW",
            "A younger pod's rate is not yet its load: it is never evicted";
        "COOLDOWN" "DURATION" = "METRICS_TIME_WINDOW",
            "Hold when a pod became ready more recently than this";
        "MINIMUM_COVERAGE_PERCENT" "PERCENT" = "90",
            "Share of the ready pods that must have a load; 0 to 100";
        "MAXIMUM_SAMPLE_AGE" "DURATION" = "half of METRICS_TIME_WINDOW",
            "A load whose newest sample is older is not trusted";
        "MAX_EVICTIONS" "N" = "none",
            "How many pods a run may evict at most, over all workloads";
        "FREEZE" "CRON TIMEZONE;…" = "none",
            "Hold in every minute that matches, such as `* 8-17 * * MON-FRI Europe/Berlin`";
        "IGNORE_HISTORY" "BOOL" = "false",
            "Do not hold for what is remembered of the last rotation: neither its time nor that it did not help";
    }
    Acting {
        "DRY_RUN" "BOOL" = "false",
            "Let the API server check every eviction, and change nothing";
        "EVICTION_METHOD" "METHOD" = "evict",
            "evict (PodDisruptionBudgets hold) or delete (they do not)";
        "EVICTION_TIMEOUT" "DURATION" = "2m",
            "How long a wave may wait for PodDisruptionBudgets to allow it";
        "READY_TIMEOUT" "DURATION" = "5m",
            "How long to wait for a wave's replacements to be ready";
        "RUN_TIMEOUT" "DURATION" = "none",
            "How long a run may take: then no further action is begun, and the report is written";
        "ONE_AT_A_TIME" "BOOL" = "true",
            "Hold while another run acts on the same workload, told by a Lease";
        "MAX_UNAVAILABLE" "N|PERCENT" = "all",
            "Pods of a wave: all, a number, or a percentage of the ready pods";
        "GRACE_PERIOD" "DURATION" = "the pod's own",
            "Termination grace period, in whole seconds; at least 1s";
    }
    Interface {
        "LOG_LEVEL" "LEVEL" = "info",
            "debug, info, warn or error";
        "LOG_FORMAT" "FORMAT" = "text on a terminal, else json",
            "json or text";
        "OUTPUT" "FORMAT" = "table",
            "table, json or yaml";
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_setting_is_there_once() {
        let mut names: Vec<&str> = SETTINGS.iter().map(|setting| setting.env).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), SETTINGS.len());
    }

    #[test]
    fn what_may_hold_a_secret_has_no_flag() {
        for setting in SETTINGS {
            let flag = setting.flag();
            assert_eq!(flag.is_none(), setting.is_secret(), "{}", setting.env);
        }
        assert_eq!(by_env("PROMETHEUS_HEADERS").unwrap().flag(), None);
        let flag = by_env("DRY_RUN").unwrap().flag();
        assert_eq!(flag.as_deref(), Some("dry-run"));
    }

    // What the Go program read must go on working under the same name.
    #[test]
    fn the_variables_of_the_go_program_are_all_there() {
        for env in [
            "PROMETHEUS_ENDPOINT",
            "KUBE_NAMESPACE",
            "DEPLOYMENT_NAME",
            "PROMETHEUS_TIMEOUT",
            "KUBE_LABEL_SELECTOR",
            "METRICS_TIME_WINDOW",
            "REBALANCE_TOP_K_PODS",
            "TOLERANCE_MULTIPLIER",
            "MINIMUM_IMPROVEMENT_PERCENT",
            "HPA_PREFIX",
            "MINIMUM_PODS_REQUIRED",
            "DRY_RUN",
            "LOG_LEVEL",
        ] {
            assert!(by_env(env).is_some(), "{env}");
        }
    }
}
