//! The smallest configuration file: the given settings that differ from their defaults.

use std::fmt::Write as _;

use super::definition::Setting;
use super::definitions::all;
use super::file::WORKLOADS;
use super::layers::{Layer, Layers, Origin};
use super::value::{JsonType, RawValue};

/// Settings of the terminal on which a command is tried, and not of a run in the cluster.
const OF_THE_TERMINAL: [&str; 4] = ["KUBE_CONTEXT", "LOG_LEVEL", "LOG_FORMAT", "OUTPUT"];

/// The file in YAML. Secrets are left out, with a comment.
pub(super) fn smallest(layers: &Layers) -> String {
    let mut text = String::from("# The settings that differ from their defaults.\n");
    let entries = layers.workloads.iter().flatten();
    let is_secret = |setting: &&dyn Setting| {
        setting.is_secret() && {
            let mut all = std::iter::once(&layers.common).chain(entries.clone());
            all.any(|layer| layer.contains_key(setting.env()))
        }
    };
    for setting in all().filter(is_secret) {
        let env = setting.env();
        let _ = writeln!(text, "# {env} is a secret: set it in the environment.");
    }
    for (setting, value) in differing(&layers.common, false) {
        let _ = writeln!(text, "{}: {}", setting.key(), scalar(setting, &value));
    }
    if let Some(entries) = &layers.workloads {
        let _ = writeln!(text, "{WORKLOADS}:");
        for entry in entries {
            // A flag overrides the entries, and is among the common values above.
            let is_flag = |setting: &dyn Setting| {
                let common = layers.common.get(setting.env());
                common.is_some_and(|given| given.origin == Origin::Flag)
            };
            let lines: Vec<String> = differing(entry, true)
                .filter(|(setting, _)| !is_flag(*setting))
                .map(|(setting, value)| format!("{}: {}", setting.key(), scalar(setting, &value)))
                .collect();
            let _ = if lines.is_empty() {
                writeln!(text, "  - {{}}")
            } else {
                writeln!(text, "  - {}", lines.join("\n    "))
            };
        }
    }
    text
}

/// The settings of a layer that are needed with their values, in the order of help. In an entry, a
/// default is needed too, since it may override a common value.
fn differing(
    layer: &Layer,
    is_entry: bool,
) -> impl Iterator<Item = (&'static dyn Setting, String)> {
    all().filter_map(move |setting| {
        let text = match &layer.get(setting.env())?.value {
            RawValue::Text(text) => text,
            // Only a secret may be a table.
            RawValue::Table(_) => return None,
        };
        if text.is_empty() || setting.is_secret() || OF_THE_TERMINAL.contains(&setting.env()) {
            return None;
        }
        let (value, is_default) = setting.normalized(text)?;
        (is_entry || !is_default).then_some((setting, value))
    })
}

/// A value as a scalar of YAML. Text is quoted as in JSON.
fn scalar(setting: &dyn Setting, value: &str) -> String {
    let is_plain = match setting.json_type() {
        JsonType::Text | JsonType::TextOrTable => false,
        JsonType::Boolean => true,
        JsonType::Count
        | JsonType::Percent
        | JsonType::Multiple
        | JsonType::Amount
        | JsonType::CountOrText => value.parse::<f64>().is_ok_and(f64::is_finite),
    };
    if is_plain {
        value.to_owned()
    } else {
        serde_json::Value::from(value).to_string()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::super::Sources;
    use super::super::file::{FileText, GivenFile};

    fn sources(
        file: Option<&str>,
        environment: &[(&str, &str)],
        flags: &[(&str, &str)],
    ) -> Sources {
        let map = |pairs: &[(&str, &str)]| {
            let pairs = pairs.iter();
            pairs
                .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
                .collect::<HashMap<String, String>>()
        };
        let file = file.map(|text| GivenFile {
            path: "f.yaml".into(),
            text: text.into(),
            format: FileText::Yaml,
        });
        Sources::of(file, &map(environment), &map(flags)).unwrap()
    }

    /// The settings of both are equal.
    fn assert_equivalent(sources: &Sources) {
        let again = super::tests::sources(Some(&sources.smallest()), &[], &[]);
        let (one, other) = (sources.settings().unwrap(), again.settings().unwrap());
        assert_eq!(format!("{one:?}"), format!("{other:?}"));
    }

    #[test]
    fn defaults_and_settings_of_the_terminal_are_left_out() {
        let environment = [
            ("PROMETHEUS_ENDPOINT", "http://prometheus:9090"),
            ("KUBE_NAMESPACE", "orders"),
            ("DEPLOYMENT_NAME", "ingestion"),
            ("METRICS_TIME_WINDOW", "300s"),
            ("TOLERANCE_MULTIPLIER", "2"),
            ("DRY_RUN", "1"),
            ("MAX_UNAVAILABLE", "25%"),
        ];
        let sources = sources(None, &environment, &[("output", "json")]);
        let expected = "# The settings that differ from their defaults.\n\
                        kube_namespace: \"orders\"\n\
                        deployment_name: \"ingestion\"\n\
                        prometheus_endpoint: \"http://prometheus:9090\"\n\
                        tolerance_multiplier: 2\n\
                        dry_run: true\n\
                        max_unavailable: \"25%\"\n";
        assert_eq!(sources.smallest(), expected);
        assert_equivalent(&sources);
    }

    #[test]
    fn entries_keep_what_overrides_the_common_settings() {
        let file = "prometheus_endpoint: http://p\nkube_namespace: orders\nmax_unavailable: 1\n\
                    workloads:\n- {deployment_name: a, max_unavailable: all}\n- {deployment_name: b}\n";
        let sources = sources(Some(file), &[], &[("tolerance_multiplier", "3")]);
        let text = sources.smallest();
        assert!(
            text.ends_with(
                "workloads:\n  - deployment_name: \"a\"\n    max_unavailable: \"all\"\n  \
                 - deployment_name: \"b\"\n"
            ),
            "{text}"
        );
        assert_equivalent(&sources);
    }

    #[test]
    fn secrets_are_named_without_their_values() {
        let environment = [
            ("PROMETHEUS_ENDPOINT", "http://p"),
            ("PROMETHEUS_HEADERS", "X-Api-Key=hunter2"),
        ];
        let text = sources(None, &environment, &[]).smallest();
        assert!(text.contains("# PROMETHEUS_HEADERS is a secret"), "{text}");
        assert!(!text.contains("hunter2"), "{text}");
    }
}
