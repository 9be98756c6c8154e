//! The configuration of a resident process, which is read again when its file changes.

use std::collections::HashMap;
use std::path::Path;

use crate::schedule::Schedule;
use crate::settings::{GivenFile, Settings, SettingsError, Sources};

/// The layers of the configuration, of which only the file may change.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Given<'a> {
    pub(crate) file: Option<&'a Path>,
    pub(crate) environment: &'a HashMap<String, String>,
    pub(crate) flags: &'a HashMap<String, String>,
}

/// The settings that apply, and the file that they are from.
#[derive(Debug)]
pub(crate) struct Configuration<'a> {
    given: Given<'a>,
    /// The text of the file when it was last read, or why it could not be read.
    seen: Option<Result<String, SettingsError>>,
    settings: Settings,
    schedule: Schedule,
}

/// The result of reading the configuration again.
#[derive(Debug)]
pub(crate) enum Reload {
    /// The file is the same as before.
    Unchanged,
    /// The file has changed, and its settings apply.
    Applied,
    /// The file has changed and is not valid; the earlier settings apply.
    Refused(Vec<SettingsError>),
}

impl<'a> Configuration<'a> {
    /// Reads the configuration.
    ///
    /// # Errors
    /// Every error of every layer; among them that there is no schedule.
    pub(crate) fn load(given: Given<'a>) -> Result<Self, Vec<SettingsError>> {
        let seen = given.file.map(text);
        let (settings, schedule) = given.settings(seen.as_ref())?;
        Ok(Self {
            given,
            seen,
            settings,
            schedule,
        })
    }

    /// Reads the configuration again if the file has changed, or in any case if `forced`.
    pub(crate) fn reload(&mut self, forced: bool) -> Reload {
        let seen = self.given.file.map(text);
        if seen == self.seen && !forced {
            return Reload::Unchanged;
        }
        let read = self.given.settings(seen.as_ref());
        self.seen = seen;
        match read {
            Ok((settings, schedule)) => {
                self.settings = settings;
                self.schedule = schedule;
                Reload::Applied
            }
            Err(errors) => Reload::Refused(errors),
        }
    }

    pub(crate) fn settings(&self) -> &Settings {
        &self.settings
    }

    pub(crate) fn schedule(&self) -> &Schedule {
        &self.schedule
    }
}

fn text(file: &Path) -> Result<String, SettingsError> {
    GivenFile::read(file).map(|file| file.text)
}

impl Given<'_> {
    /// The settings with this text of the file.
    fn settings(
        &self,
        text: Option<&Result<String, SettingsError>>,
    ) -> Result<(Settings, Schedule), Vec<SettingsError>> {
        let file = match (self.file, text) {
            (Some(path), Some(Ok(text))) => Some(GivenFile::of(path, text.clone())),
            (_, Some(Err(error))) => return Err(vec![error.clone()]),
            (_, None) | (None, _) => None,
        };
        let sources = Sources::of(file, self.environment, self.flags);
        let settings = sources.map_err(|error| vec![error])?.settings()?;
        let schedule = settings.serve.required_schedule();
        let schedule = schedule.map_err(|error| vec![error])?;
        Ok((settings, schedule))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const VALID: &str = "schedule: '*/5 * * * * UTC'\nprometheus_endpoint: http://metrics\n\
                         kube_namespace: a\ndeployment_name: b\n";

    #[test]
    fn changed_file_applies_unless_it_is_invalid() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("config.yaml");
        let nothing = HashMap::new();
        let given = Given {
            file: Some(&path),
            environment: &nothing,
            flags: &nothing,
        };
        std::fs::write(&path, VALID).unwrap();
        let mut configuration = Configuration::load(given).unwrap();
        assert!(matches!(configuration.reload(false), Reload::Unchanged));
        assert!(matches!(configuration.reload(true), Reload::Applied));

        let changed = VALID.replace("*/5", "*/7");
        std::fs::write(&path, format!("{changed}dry_run: true\n")).unwrap();
        assert!(matches!(configuration.reload(false), Reload::Applied));
        assert!(configuration.settings().is_dry_run());
        assert_eq!(configuration.schedule().to_string(), "*/7 * * * * UTC");

        for (text, problem) in [
            (format!("{VALID}dry_run: perhaps\n"), "perhaps"),
            (VALID.replace("schedule", "schedul"), "schedul"),
            ("[".to_owned(), "config.yaml"),
        ] {
            std::fs::write(&path, &text).unwrap();
            let Reload::Refused(errors) = configuration.reload(false) else {
                panic!("{text}");
            };
            assert!(errors[0].to_string().contains(problem), "{errors:?}");
            assert!(matches!(configuration.reload(false), Reload::Unchanged));
            assert!(configuration.settings().is_dry_run());
        }
        std::fs::remove_file(&path).unwrap();
        assert!(matches!(configuration.reload(false), Reload::Refused(_)));
        assert!(matches!(configuration.reload(false), Reload::Unchanged));
        std::fs::write(&path, VALID).unwrap();
        assert!(matches!(configuration.reload(false), Reload::Applied));
        assert!(!configuration.settings().is_dry_run());
    }

    #[test]
    fn schedule_is_required() {
        let nothing = HashMap::new();
        let flags = [
            ("prometheus_endpoint", "http://metrics"),
            ("kube_namespace", "a"),
            ("deployment_name", "b"),
        ];
        let flags = flags.map(|(key, value)| (key.to_owned(), value.to_owned()));
        let given = Given {
            file: None,
            environment: &nothing,
            flags: &HashMap::from(flags),
        };
        let errors = Configuration::load(given).unwrap_err();
        let text = errors[0].to_string();
        assert!(text.starts_with("SCHEDULE is required"), "{errors:?}");
    }
}
