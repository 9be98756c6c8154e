//! Every setting, one definition each, in one module for each section.
//!
//! Help, flags, the keys of the configuration file, the table in the documentation and the JSON
//! Schema derive from the definitions.

pub(super) mod acting;
pub(super) mod consumer_group;
pub(super) mod decision;
pub(super) mod interface;
pub(super) mod kafka;
pub(super) mod metrics;
pub(super) mod monitoring;
pub(super) mod notifications;
pub(super) mod serve;
pub(super) mod workload;

use rebalancer_core::policy::PolicyField;

use super::definition::Setting;

/// Settings under one heading.
pub struct Section {
    /// The heading.
    pub heading: &'static str,
    /// The settings, in the order of help.
    pub settings: &'static [&'static dyn Setting],
}

/// Every section, in the order of help.
pub static SECTIONS: [Section; 10] = [
    Section {
        heading: "Workload",
        settings: workload::SETTINGS,
    },
    Section {
        heading: "Metrics",
        settings: metrics::SETTINGS,
    },
    Section {
        heading: "Consumer group",
        settings: consumer_group::SETTINGS,
    },
    Section {
        heading: "Kafka",
        settings: kafka::SETTINGS,
    },
    Section {
        heading: "Decision",
        settings: decision::SETTINGS,
    },
    Section {
        heading: "Acting",
        settings: acting::SETTINGS,
    },
    Section {
        heading: "Own metrics",
        settings: monitoring::SETTINGS,
    },
    Section {
        heading: "Notifications",
        settings: notifications::SETTINGS,
    },
    Section {
        heading: "Serve",
        settings: serve::SETTINGS,
    },
    Section {
        heading: "Interface",
        settings: interface::SETTINGS,
    },
];

/// Every setting, in the order of help.
pub fn all() -> impl Iterator<Item = &'static dyn Setting> {
    SECTIONS
        .iter()
        .flat_map(|section| section.settings.iter().copied())
}

/// The setting of an environment variable.
#[must_use]
pub fn by_env(env: &str) -> Option<&'static dyn Setting> {
    all().find(|setting| setting.env() == env)
}

/// The setting of a field of the policy; `None` for a field without a setting.
#[must_use]
pub fn by_policy_field(field: PolicyField) -> Option<&'static dyn Setting> {
    all().find(|setting| setting.policy_field() == Some(field))
}

/// The setting of a key in a configuration file.
pub(super) fn by_key(key: &str) -> Option<&'static dyn Setting> {
    all().find(|setting| setting.key() == key)
}

#[cfg(test)]
mod tests {
    use super::super::definition::{Defaulted, Fallback};
    use super::super::value::RawValue;
    use super::*;
    use std::fmt::Debug;

    #[test]
    fn names_are_unique() {
        let mut names: Vec<&str> = all().map(Setting::env).collect();
        let count = names.len();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), count);
    }

    #[test]
    fn secret_settings() {
        let secret: Vec<&str> = all()
            .filter(|setting| setting.is_secret())
            .map(Setting::env)
            .collect();
        let expected = ["PROMETHEUS_HEADERS", "KAFKA_SASL_PASSWORD", "NOTIFY_URL"];
        assert_eq!(secret, expected);
        let flag = by_env("DRY_RUN").unwrap().flag();
        assert_eq!(flag.as_deref(), Some("dry-run"));
    }

    #[test]
    fn settings_of_the_whole_run() {
        let names: Vec<&str> = all()
            .filter(|setting| setting.is_of_the_whole_run())
            .map(Setting::env)
            .collect();
        assert_eq!(
            names,
            [
                "KUBE_CONTEXT",
                "KUBE_TIMEOUT",
                "MAX_EVICTIONS",
                "MAX_CONCURRENT_WORKLOADS",
                "METRICS_FILE",
                "METRICS_PUSH_URL",
                "METRICS_PUSH_BEARER_TOKEN_FILE",
                "METRICS_PUSH_USERNAME",
                "METRICS_PUSH_PASSWORD_FILE",
                "METRICS_PUSH_CA_FILE",
                "METRICS_PUSH_TIMEOUT",
                "NOTIFY_URL",
                "NOTIFY_URL_FILE",
                "NOTIFY_FORMAT",
                "NOTIFY_ON",
                "NOTIFY_CA_FILE",
                "NOTIFY_TIMEOUT",
                "SCHEDULE",
                "LISTEN_ADDRESS",
                "LEADER_ELECTION",
                "LEADER_ELECTION_LEASE",
                "LEADER_ELECTION_NAMESPACE",
                "LOG_LEVEL",
                "LOG_FORMAT",
                "OUTPUT",
                "REPORT_FILE"
            ]
        );
    }

    #[test]
    fn every_policy_field_but_the_seed_has_one_setting() {
        for field in PolicyField::ALL {
            let settings = all().filter(|setting| setting.policy_field() == Some(field));
            let expected = usize::from(field != PolicyField::ForecastSeed);
            assert_eq!(settings.count(), expected, "{}", field.as_str());
        }
        let setting = by_policy_field(PolicyField::MinimumPods).unwrap();
        assert_eq!(setting.env(), "MINIMUM_PODS_REQUIRED");
    }

    #[test]
    fn required_settings() {
        let names: Vec<&str> = all()
            .filter(|setting| setting.default_text().is_none())
            .map(Setting::env)
            .collect();
        assert_eq!(
            names,
            ["KUBE_NAMESPACE", "DEPLOYMENT_NAME", "PROMETHEUS_ENDPOINT"]
        );
    }

    #[test]
    fn fixed_defaults_pass_their_own_parser() {
        fn check<T: PartialEq + Debug>(setting: &Defaulted<T>) {
            let Fallback::Value(default) = setting.default else {
                panic!("{} has no fixed default", setting.name);
            };
            let text = (setting.value.write)(&default());
            let parsed = (setting.value.parse)(&RawValue::Text(text));
            assert_eq!(parsed, Ok(default()), "{}", setting.name);
        }
        check(&workload::WORKLOAD_KIND);
        check(&workload::KUBE_TIMEOUT);
        check(&metrics::PROMETHEUS_TIMEOUT);
        check(&metrics::METRICS_TIME_WINDOW);
        check(&metrics::PROMETHEUS_POD_LABEL);
        check(&metrics::PROMETHEUS_NAMESPACE_LABEL);
        check(&metrics::PROMETHEUS_CONTAINER_LABEL);
        check(&consumer_group::GROUP_ASSIGNOR);
        check(&kafka::KAFKA_TIMEOUT);
        check(&decision::STRATEGY);
        check(&decision::REBALANCE_TOP_K_PODS);
        check(&decision::TOLERANCE_MULTIPLIER);
        check(&decision::MINIMUM_IMPROVEMENT_PERCENT);
        check(&decision::MINIMUM_CONFIDENCE_PERCENT);
        check(&decision::MINIMUM_PODS_REQUIRED);
        check(&decision::HPA_PREFIX);
        check(&decision::TARGET_SOURCE);
        check(&decision::MINIMUM_COVERAGE_PERCENT);
        check(&decision::IGNORE_HISTORY);
        check(&acting::DRY_RUN);
        check(&acting::APPROVAL);
        check(&acting::APPROVAL_EXPIRY);
        check(&acting::MAX_CONCURRENT_WORKLOADS);
        check(&acting::EVICTION_METHOD);
        check(&acting::EVICTION_TIMEOUT);
        check(&acting::READY_TIMEOUT);
        check(&acting::ONE_AT_A_TIME);
        check(&acting::MAX_UNAVAILABLE);
        check(&monitoring::METRICS_PUSH_TIMEOUT);
        check(&interface::OUTPUT);
    }

    // The Go program's environment must keep working.
    #[test]
    fn every_variable_of_the_go_program_exists() {
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
