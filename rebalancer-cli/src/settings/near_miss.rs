//! Names that are probably misspelt settings: keys of the configuration file, and variables of the
//! environment.
//!
//! An unknown key of the file is an error in any case, so a loose similarity is enough to suggest a
//! setting. The environment also contains variables of other programs, so the rule for it is
//! strict: it accepts typing errors, and rejects names that consist of other words.

use std::sync::LazyLock;

use super::definition::Setting;
use super::definitions::{all, by_env, interface, kafka};
use super::file::WORKLOADS;

/// The variable with the path of the configuration file.
pub(crate) const CONFIG: &str = "REBALANCER_CONFIG";

/// Prefixes that people put before the name of a setting.
const PREFIXES: [&str; 4] = [
    "POD_REBALANCER_",
    "REBALANCER_",
    "POD_REBALANCE_",
    "REBALANCE_",
];

/// Names of other programs that differ from a setting by one letter.
const OTHER_PROGRAMS: [&str; 1] = ["READ_TIMEOUT"];

/// Words whose short and long forms are confused: `MAX_SAMPLE_AGE`, `MINIMUM_PODS_REQUIRED`.
const ABBREVIATIONS: [(&str, &str); 3] =
    [("MIN", "MINIMUM"), ("MAX", "MAXIMUM"), ("PCT", "PERCENT")];

/// The number of letters from which a word may contain two typing errors.
const LONG_WORD: usize = 8;
/// The largest number of typing errors in a name.
const MOST_ERRORS: usize = 2;
/// The number of letters of a name from which words may be joined and contain a typing error.
const LONG_NAME: usize = 10;

/// The known key of the file that is most similar to `key`; `None` if none is similar enough.
pub(super) fn key(key: &str) -> Option<String> {
    let key = key.to_ascii_lowercase().replace('-', "_");
    all()
        .map(Setting::key)
        .chain([WORKLOADS.to_owned()])
        .map(|known| (strsim::jaro_winkler(&key, &known), known))
        .filter(|(likeness, _)| *likeness > 0.75)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, known)| known)
}

/// The variable of which `name` is probably a misspelling; `None` if `name` is a setting, or
/// belongs to another program.
///
/// The settings of the interface (`LOG_LEVEL`, `LOG_FORMAT`, `OUTPUT`) do not take part: they
/// affect no action, and other programs use similar names, such as `LOGLEVEL`.
pub(super) fn variable(name: &str) -> Option<&'static str> {
    if by_env(name).is_some() || name == CONFIG || OTHER_PROGRAMS.contains(&name) {
        return None;
    }
    let given = name.to_ascii_uppercase().replace(['-', '.'], "_");
    let meant = |given: &str, may_be_equal: bool| {
        let given = Name::new(given);
        let known = KNOWN.iter().find(|known| {
            may_be_equal && given.text == known.text || given.is_misspelling_of(known)
        });
        known.map(|known| known.text)
    };
    let without_prefix = PREFIXES
        .iter()
        .filter_map(|prefix| given.strip_prefix(prefix))
        .find_map(|rest| meant(rest, true));
    without_prefix
        .or_else(|| meant(&given, false))
        // A single word in lower or mixed case, such as `output`, is a usual name of a shell
        // variable.
        .filter(|known| given != *known || given.contains('_'))
}

/// Whether the setting is one of the connection to Kafka. Consumers have variables of similar names
/// in their environment, so a misspelling is an error only if the group is read from Kafka.
pub(super) fn is_of_kafka(name: &str) -> bool {
    kafka::SETTINGS.iter().any(|setting| setting.env() == name)
}

/// The settings whose misspellings are errors.
fn protected() -> impl Iterator<Item = &'static str> {
    let of_the_interface = |name: &str| {
        let mut settings = interface::SETTINGS.iter();
        settings.any(|setting| setting.env() == name)
    };
    all()
        .map(Setting::env)
        .filter(move |name| !of_the_interface(name))
}

/// The names whose misspellings are errors. They are divided into words once: the environment of a
/// pod may have thousands of variables, and each is compared with all of them.
static KNOWN: LazyLock<Vec<Name<'static>>> =
    LazyLock::new(|| protected().chain([CONFIG]).map(Name::new).collect());

/// A name in upper case.
struct Name<'a> {
    text: &'a str,
    as_written: Words<'a>,
    /// With abbreviations in their long form.
    in_full: Words<'a>,
}

/// The words of a name.
struct Words<'a> {
    words: Vec<&'a str>,
    /// The number of letters of all words together.
    letters: usize,
}

impl<'a> Name<'a> {
    fn new(text: &'a str) -> Self {
        let words: Vec<&str> = text.split('_').filter(|word| !word.is_empty()).collect();
        Self {
            text,
            in_full: Words::new(in_full(&words)),
            as_written: Words::new(words),
        }
    }

    /// Whether the name differs from `known` by typing errors or abbreviations only.
    fn is_misspelling_of(&self, known: &Self) -> bool {
        self.as_written.differs_by_typing_errors(&known.as_written)
            || self.in_full.differs_by_typing_errors(&known.in_full)
    }
}

impl<'a> Words<'a> {
    fn new(words: Vec<&'a str>) -> Self {
        Self {
            letters: words.iter().map(|word| word.chars().count()).sum(),
            words,
        }
    }

    fn differs_by_typing_errors(&self, known: &Self) -> bool {
        // Each missing or additional letter is an error. This decides almost every pair without
        // computing a distance.
        if self.letters.abs_diff(known.letters) > MOST_ERRORS {
            return false;
        }
        let (given, known) = (&self.words, &known.words);
        if given.len() == known.len() {
            let errors: Option<usize> = given
                .iter()
                .zip(known)
                .map(|(given, known)| {
                    let allowed = if known.len() >= LONG_WORD { 2 } else { 1 };
                    if given.chars().count().abs_diff(known.chars().count()) > allowed {
                        return None;
                    }
                    let errors = strsim::osa_distance(given, known);
                    (errors <= allowed).then_some(errors)
                })
                .sum();
            return errors.is_some_and(|errors| errors <= MOST_ERRORS);
        }
        // Underscores are missing, or there are more of them.
        let (given, known) = (given.concat(), known.concat());
        let allowed = usize::from(known.len() >= LONG_NAME);
        // The distance is not smaller than the difference of the lengths.
        self.letters.abs_diff(known.chars().count()) <= allowed
            && strsim::osa_distance(&given, &known) <= allowed
    }
}

/// The words, with abbreviations in their long form.
fn in_full<'a>(words: &[&'a str]) -> Vec<&'a str> {
    let in_full = |word: &&'a str| {
        let found = ABBREVIATIONS.iter().find(|(short, _)| short == word);
        found.map_or(*word, |(_, long)| *long)
    };
    words.iter().map(in_full).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case("DRYRUN", "DRY_RUN")]
    #[case("DRY_RUNS", "DRY_RUN")]
    #[case("DRY__RUN", "DRY_RUN")]
    #[case("DRY-RUN", "DRY_RUN")]
    #[case("DYR_RUN", "DRY_RUN")]
    #[case("dry_run", "DRY_RUN")]
    #[case("Dry_Run", "DRY_RUN")]
    #[case("dryrun", "DRY_RUN")]
    #[case("REBALANCER_DRY_RUN", "DRY_RUN")]
    #[case("REBALANCER_DRYRUN", "DRY_RUN")]
    #[case("REBALANCER_FREEZE", "FREEZE")]
    #[case("TARGET_CORE", "TARGET_CORES")]
    #[case("PROMETHEUS_ENPOINT", "PROMETHEUS_ENDPOINT")]
    #[case("PROMETEUS_ENDPIONT", "PROMETHEUS_ENDPOINT")]
    #[case("PROMETHEUSENDPOINT", "PROMETHEUS_ENDPOINT")]
    #[case("METRICS_TIMEWINDOW", "METRICS_TIME_WINDOW")]
    #[case("TOLERENCE_MULTIPLIER", "TOLERANCE_MULTIPLIER")]
    #[case("MIN_PODS_REQUIRED", "MINIMUM_PODS_REQUIRED")]
    #[case("MAXIMUM_EVICTIONS", "MAX_EVICTIONS")]
    #[case("MAX_EVICTION", "MAX_EVICTIONS")]
    #[case("MAX_UNAVAILIBLE", "MAX_UNAVAILABLE")]
    #[case("KUBECONTEXT", "KUBE_CONTEXT")]
    #[case("FREZE", "FREEZE")]
    #[case("RUN_TIMEOUTS", "RUN_TIMEOUT")]
    #[case("REBALANCER_CONFG", "REBALANCER_CONFIG")]
    #[case("REBALANCE_CONFIG", "REBALANCER_CONFIG")]
    fn typing_error_is_recognised(#[case] name: &str, #[case] meant: &str) {
        assert_eq!(variable(name), Some(meant));
    }

    #[test]
    fn own_names_are_no_typing_errors() {
        for setting in all() {
            assert_eq!(variable(setting.env()), None);
        }
        assert_eq!(variable(CONFIG), None);
    }

    /// A missing, a doubled and two exchanged letters.
    #[test]
    fn each_typing_error_in_each_setting_is_recognised() {
        for name in protected() {
            let letters: Vec<char> = name.chars().collect();
            for index in 1..letters.len() {
                let mut missing = letters.clone();
                missing.remove(index);
                let mut doubled = letters.clone();
                doubled.insert(index, letters[index]);
                let mut exchanged = letters.clone();
                exchanged.swap(index - 1, index);
                for wrong in [missing, doubled, exchanged] {
                    let wrong: String = wrong.into_iter().collect();
                    let is_another =
                        by_env(&wrong).is_some() || OTHER_PROGRAMS.contains(&wrong.as_str());
                    assert!(
                        is_another || variable(&wrong).is_some(),
                        "{wrong} for {name}"
                    );
                }
            }
        }
    }

    /// Environments in which the program typically runs; no name in them is meant for it.
    const OTHERS: &str = "\
        HOSTNAME HOME PATH PWD OLDPWD SHLVL SHELL TERM USER LOGNAME LANG LC_ALL LC_TIME TZ EDITOR \
        PAGER LESS LS_COLORS XDG_RUNTIME_DIR XDG_SESSION_ID DBUS_SESSION_BUS_ADDRESS SSH_AUTH_SOCK \
        SSH_CONNECTION SSH_TTY DISPLAY COLORTERM COLUMNS LINES NO_COLOR CLICOLOR FORCE_COLOR \
        TERM_PROGRAM TERM_PROGRAM_VERSION TMPDIR HISTSIZE MAIL MANPATH INFOPATH PS1 _ \
        KUBECONFIG KUBE_EDITOR KUBE_CONFIG KUBE_CONFIG_PATH KUBERNETES_SERVICE_HOST \
        KUBERNETES_SERVICE_PORT KUBERNETES_SERVICE_PORT_HTTPS KUBERNETES_PORT \
        KUBERNETES_PORT_443_TCP KUBERNETES_PORT_443_TCP_PROTO KUBERNETES_PORT_443_TCP_PORT \
        KUBERNETES_PORT_443_TCP_ADDR KUBERNETES_NAMESPACE NAMESPACE POD_NAME POD_NAMESPACE POD_IP \
        POD_UID NODE_NAME HOST_IP SERVICE_ACCOUNT CONTAINER_IMAGE CONTAINER_PORT \
        PROMETHEUS_PORT PROMETHEUS_SERVICE_HOST PROMETHEUS_SERVICE_PORT PROMETHEUS_SERVICE_PORT_HTTP \
        PROMETHEUS_PORT_9090_TCP PROMETHEUS_PORT_9090_TCP_ADDR PROMETHEUS_URL PROMETHEUS_HOST \
        PROMETHEUS_TOKEN PROMETHEUS_MULTIPROC_DIR PROMETHEUS_PUSHGATEWAY_URL \
        KAFKA_SERVICE_HOST KAFKA_SERVICE_PORT KAFKA_PORT KAFKA_PORT_9092_TCP KAFKA_BROKERS \
        KAFKA_BOOTSTRAP_SERVERS KAFKA_OPTS KAFKA_HEAP_OPTS KAFKA_GROUP_ID KAFKA_CLIENT_ID \
        CONSUMER_GROUP GROUP_NAME ORDERS_SERVICE_HOST ORDERS_PORT ORDERS_PORT_8080_TCP \
        STRATEGY_SERVICE_HOST GROUP_SERVICE_PORT TARGET_SERVICE_HOST TARGET_PORT TARGET_HOST \
        TARGET_ENV TARGET_ARCH TARGET_OS TARGETARCH TARGETPLATFORM \
        GITHUB_ACTIONS GITHUB_OUTPUT GITHUB_ENV GITHUB_TOKEN GITHUB_RUN_ID GITHUB_RUN_NUMBER \
        GITHUB_WORKSPACE GITHUB_REF_NAME RUNNER_OS RUNNER_TEMP RUNNER_ARCH RUNNER_NAME \
        RUNNER_TOOL_CACHE ACTIONS_RUNTIME_TOKEN INPUT_DRY-RUN INPUT_STRATEGY CI GITLAB_CI \
        CI_JOB_NAME CI_PROJECT_NAME CI_ENVIRONMENT_NAME JENKINS_URL BUILD_NUMBER WORKSPACE \
        HELM_DRY_RUN HELM_NAMESPACE HELM_KUBECONTEXT HELM_KUBETOKEN HELM_PLUGINS HELM_MAX_HISTORY \
        TF_LOG TF_VAR_namespace npm_config_dry_run npm_config_output npm_lifecycle_event NODE_ENV \
        NODE_OPTIONS CARGO_HOME CARGO_TERM_COLOR RUSTUP_HOME RUST_LOG RUST_BACKTRACE GOPATH GOFLAGS \
        JAVA_HOME JAVA_OPTS MAVEN_OPTS VIRTUAL_ENV PYTHONPATH CONDA_PREFIX NVM_DIR PNPM_HOME \
        DOCKER_HOST DOCKER_CONFIG DOCKER_BUILDKIT COMPOSE_PROJECT_NAME AWS_PROFILE AWS_REGION \
        AWS_ACCESS_KEY_ID AWS_ROLE_ARN AWS_WEB_IDENTITY_TOKEN_FILE AWS_MAX_ATTEMPTS \
        GOOGLE_APPLICATION_CREDENTIALS AZURE_CLIENT_ID AZURE_FEDERATED_TOKEN_FILE \
        HTTP_PROXY HTTPS_PROXY NO_PROXY http_proxy https_proxy no_proxy ALL_PROXY SSL_CERT_FILE \
        SSL_CERT_DIR CURL_CA_BUNDLE REQUESTS_CA_BUNDLE LOGLEVEL LOGFORMAT LOG_LEVELS LOG_FILE \
        OUTPUTS output OUT strategy Freeze READ_TIMEOUT WRITE_TIMEOUT CONNECT_TIMEOUT RPC_TIMEOUT \
        TCP_TIMEOUT DB_TIMEOUT JOB_TIMEOUT IDLE_TIMEOUT CURL_TIMEOUT REQUEST_TIMEOUT \
        REBALANCER_SERVICE_HOST REBALANCER_SERVICE_PORT REBALANCER_PORT REBALANCER_PORT_80_TCP \
        REBALANCER_IMAGE REBALANCER_VERSION REBALANCER_BIN APP_NAME SERVICE_NAME RELEASE_NAME \
        DEPLOYMENT_ENVIRONMENT DEPLOYMENT_ID CONTAINER_ID CONTAINER_RUNTIME_ENDPOINT GROUPS \
        USER_ID GRACE MAX_RETRIES MAX_CONNECTIONS MAX_WORKERS MINIMUM_VERSION MIN_REPLICAS \
        LOAD_BALANCER METRICS_PORT METRICS_ENABLED METRICS_PATH OTEL_SERVICE_NAME \
        OTEL_EXPORTER_OTLP_ENDPOINT OTEL_METRICS_EXPORTER DD_AGENT_HOST SENTRY_DSN";

    #[test]
    fn variables_of_other_programs_are_accepted() {
        let refused: Vec<_> = OTHERS
            .split_whitespace()
            .filter_map(|name| Some((name, variable(name)?)))
            .collect();
        assert_eq!(refused, []);
    }

    proptest! {
        /// The kubelet sets these variables for each Service of the namespace.
        #[test]
        fn variables_of_services_are_accepted(service in "[a-z][a-z0-9-]{0,20}[a-z0-9]", port in 1_u16..) {
            let name = service.to_ascii_uppercase().replace('-', "_");
            for variable_of_service in [
                format!("{name}_SERVICE_HOST"),
                format!("{name}_SERVICE_PORT"),
                format!("{name}_SERVICE_PORT_HTTP"),
                format!("{name}_PORT"),
                format!("{name}_PORT_{port}_TCP"),
                format!("{name}_PORT_{port}_TCP_PROTO"),
                format!("{name}_PORT_{port}_TCP_PORT"),
                format!("{name}_PORT_{port}_TCP_ADDR"),
            ] {
                prop_assert_eq!(variable(&variable_of_service), None, "{}", variable_of_service);
            }
        }
    }
}
