//! Reads typed values out of the layers and collects every error.

use super::definition::{Defaulted, Definition, Fallback, Optional, Required, Setting as _};
use super::definitions::by_env;
use super::error::SettingsError;
use super::layers::{Given, Layer, Origin};

/// Reads settings from the layer of one workload and the common layer below it.
pub(super) struct Reader<'a> {
    common: &'a Layer,
    own: Option<&'a Layer>,
    errors: Vec<SettingsError>,
}

impl<'a> Reader<'a> {
    /// A reader of the common layer and, for an entry of the list of workloads, its own layer.
    pub(super) fn new(common: &'a Layer, own: Option<&'a Layer>) -> Self {
        Self {
            common,
            own,
            errors: Vec::new(),
        }
    }

    /// `value`, unless there were errors.
    pub(super) fn finish<T>(self, value: T) -> Result<T, Vec<SettingsError>> {
        if self.errors.is_empty() {
            Ok(value)
        } else {
            Err(self.errors)
        }
    }

    /// The value of a required setting; `None`, with an error, if it is absent or not valid.
    pub(super) fn required<T>(&mut self, setting: &Required<T>) -> Option<T> {
        if self.is_given(setting) {
            return self.parsed(setting);
        }
        self.push(SettingsError::Missing {
            env: setting.name,
            flag: setting.flag(),
            help: setting.help,
        });
        None
    }

    /// The value of an optional setting; `None` if it is absent or, with an error, not valid.
    pub(super) fn optional<T>(&mut self, setting: &Optional<T>) -> Option<T> {
        self.parsed(setting)
    }

    /// The value of a setting with a default. The default also replaces a value that is not valid,
    /// which is an error.
    pub(super) fn value<T>(&mut self, setting: &Defaulted<T>) -> T {
        match self.parsed(setting) {
            Some(value) => value,
            None => match &setting.default {
                Fallback::Value(default) => default(),
                Fallback::SameAs(other) => self.value(other),
                Fallback::Derived { from, derive, .. } => derive(self.value(from)),
            },
        }
    }

    /// The layer of the value of the setting; `None` if no layer has one.
    pub(super) fn origin<T, D>(&self, setting: &Definition<T, D>) -> Option<&'a Origin> {
        self.given(setting).map(|given| &given.origin)
    }

    /// Whether a layer has a value for the setting.
    pub(super) fn is_given<T, D>(&self, setting: &Definition<T, D>) -> bool {
        self.given(setting).is_some()
    }

    /// Records a problem of the setting's value.
    pub(super) fn invalid<T, D>(&mut self, setting: &Definition<T, D>, problem: impl Into<String>) {
        let name = self.given(setting).map_or_else(
            || setting.name.to_owned(),
            |given| given.origin.name(setting.name),
        );
        self.push(SettingsError::Invalid {
            name,
            problem: problem.into(),
        });
    }

    fn parsed<T, D>(&mut self, setting: &Definition<T, D>) -> Option<T> {
        let given = self.given(setting)?;
        match (setting.value.parse)(&given.value) {
            Ok(value) => Some(value),
            Err(problems) => {
                for problem in problems.0 {
                    self.invalid(setting, problem);
                }
                None
            }
        }
    }

    /// The given value. An empty text counts as absent.
    fn given<T, D>(&self, setting: &Definition<T, D>) -> Option<&'a Given> {
        debug_assert!(
            by_env(setting.name).is_some(),
            "{} is not in the list of its section",
            setting.name
        );
        let of = |layer: &'a Layer| {
            let given = layer.get(setting.name);
            given.filter(|given| !given.value.is_empty())
        };
        let common = of(self.common);
        // An entry of the list of workloads overrides the environment and the rest of the file, but
        // not the flags.
        match common.map(|given| &given.origin) {
            Some(Origin::Flag) => common,
            Some(Origin::Environment | Origin::File(_)) | None => self.own.and_then(of).or(common),
        }
    }

    /// Records an error once, also if its setting is read several times.
    fn push(&mut self, error: SettingsError) {
        if !self.errors.contains(&error) {
            self.errors.push(error);
        }
    }
}

#[cfg(test)]
pub(super) mod testing {
    //! Settings that a test reads from the environment.

    use super::super::value::RawValue;
    use super::*;

    /// Assembles settings from variables. Returns the texts of the errors if there are any.
    pub(in crate::settings) fn read_variables<T>(
        variables: &[(&'static str, &str)],
        assemble: impl FnOnce(&mut Reader<'_>) -> T,
    ) -> Result<T, Vec<String>> {
        let layer: Layer = variables
            .iter()
            .map(|(name, text)| {
                let given = Given {
                    value: RawValue::Text((*text).to_owned()),
                    origin: Origin::Environment,
                };
                (*name, given)
            })
            .collect();
        let mut reader = Reader::new(&layer, None);
        let settings = assemble(&mut reader);
        let settings = reader.finish(settings);
        settings.map_err(|errors| errors.iter().map(ToString::to_string).collect())
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::definitions::decision::{
        COOLDOWN, MAXIMUM_SAMPLE_AGE, MINIMUM_PODS_REQUIRED,
    };
    use super::super::definitions::metrics::{
        LOAD_QUERY, METRICS_TIME_WINDOW, PROMETHEUS_ENDPOINT,
    };
    use super::super::value::RawValue;
    use super::*;

    fn layer(values: &[(&'static str, &str)], origin: &Origin) -> Layer {
        let given = |text: &str| Given {
            value: RawValue::Text(text.to_owned()),
            origin: origin.clone(),
        };
        values
            .iter()
            .map(|(name, text)| (*name, given(text)))
            .collect()
    }

    fn errors(reader: Reader<'_>) -> Vec<String> {
        let errors = reader.finish(()).unwrap_err();
        errors.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn absent_settings_take_their_defaults() {
        let layer = layer(&[("METRICS_TIME_WINDOW", "10s")], &Origin::Environment);
        let mut reader = Reader::new(&layer, None);
        assert_eq!(reader.value(&COOLDOWN), Duration::from_secs(10));
        assert_eq!(reader.value(&MAXIMUM_SAMPLE_AGE), Duration::from_secs(5));
        assert_eq!(reader.value(&MINIMUM_PODS_REQUIRED).get(), 3);
        assert_eq!(reader.optional(&LOAD_QUERY), None);
        assert_eq!(reader.finish(()), Ok(()));
    }

    #[test]
    fn missing_required_setting_is_an_error() {
        let layer = layer(&[("PROMETHEUS_ENDPOINT", "")], &Origin::Environment);
        let mut reader = Reader::new(&layer, None);
        assert_eq!(reader.required(&PROMETHEUS_ENDPOINT), None);
        let errors = errors(reader);
        assert!(
            errors[0].starts_with("PROMETHEUS_ENDPOINT is required: "),
            "{errors:?}"
        );
    }

    #[test]
    fn invalid_value_is_one_error_however_often_it_is_read() {
        let layer = layer(&[("METRICS_TIME_WINDOW", "soon")], &Origin::Flag);
        let mut reader = Reader::new(&layer, None);
        reader.value(&METRICS_TIME_WINDOW);
        reader.value(&COOLDOWN);
        let errors = errors(reader);
        assert_eq!(errors.len(), 1, "{errors:?}");
        assert!(
            errors[0].starts_with("--metrics-time-window: `soon`"),
            "{errors:?}"
        );
    }

    #[test]
    fn own_layer_overrides_all_but_the_flags() {
        let own = layer(&[("COOLDOWN", "1s")], &Origin::File("f".into()));
        for (origin, seconds) in [
            (Origin::File("f".into()), 1),
            (Origin::Environment, 1),
            (Origin::Flag, 2),
        ] {
            let common = layer(&[("COOLDOWN", "2s")], &origin);
            let mut reader = Reader::new(&common, Some(&own));
            assert_eq!(
                reader.value(&COOLDOWN),
                Duration::from_secs(seconds),
                "{origin:?}"
            );
        }
    }

    /// An empty value of a template must not turn a dry run into a real one.
    #[test]
    fn empty_value_of_the_own_layer_counts_as_absent() {
        let own = layer(&[("COOLDOWN", "")], &Origin::File("f".into()));
        let common = layer(&[("COOLDOWN", "2s")], &Origin::Environment);
        let mut reader = Reader::new(&common, Some(&own));
        assert_eq!(reader.value(&COOLDOWN), Duration::from_secs(2));
    }
}
