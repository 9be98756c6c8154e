//! The configuration of a resident process, which is read again when its file changes.

use std::collections::HashMap;
use std::path::Path;

use crate::schedule::Schedule;
use crate::settings::{
    GivenFile, Interface, OutputFormat, Settings, SettingsError, Sources, StartSettings,
};

/// The inputs of the configuration, of which only the file may change.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Inputs<'a> {
    pub(crate) file: Option<&'a Path>,
    pub(crate) environment: &'a HashMap<String, String>,
    pub(crate) flags: &'a HashMap<String, String>,
}

/// The settings that apply, and the file that they are from.
#[derive(Debug)]
pub(crate) struct Configuration<'a> {
    inputs: Inputs<'a>,
    /// The text of the file when it was last read, or why it could not be read.
    seen: Option<Result<String, SettingsError>>,
    at_start: StartSettings,
    valid: Valid,
}

/// The settings of valid inputs.
#[derive(Debug)]
struct Valid {
    settings: Settings,
    schedule: Schedule,
    interface: Interface,
}

impl Valid {
    fn start_settings(&self) -> StartSettings {
        StartSettings::of(&self.settings.serve, self.interface)
    }
}

/// The result of reading the configuration again.
#[derive(Debug)]
pub(crate) enum Reload {
    /// The file is the same as before.
    Unchanged,
    /// The file has changed, and its settings apply; but for these, which a process reads only when
    /// it starts.
    Applied { after_restart: Vec<&'static str> },
    /// The file has changed and is not valid; the earlier settings apply.
    Refused(Vec<SettingsError>),
}

impl<'a> Configuration<'a> {
    /// Reads the configuration.
    ///
    /// # Errors
    /// Every error of every layer; among them that there is no schedule.
    pub(crate) fn load(inputs: Inputs<'a>) -> Result<Self, Vec<SettingsError>> {
        let seen = inputs.file.map(text);
        let valid = inputs.read(seen.as_ref())?;
        Ok(Self {
            inputs,
            seen,
            at_start: valid.start_settings(),
            valid,
        })
    }

    /// Reads the configuration again if the file has changed, or in any case if `forced`.
    pub(crate) fn reload(&mut self, forced: bool) -> Reload {
        let seen = self.inputs.file.map(text);
        if seen == self.seen && !forced {
            return Reload::Unchanged;
        }
        let read = self.inputs.read(seen.as_ref());
        self.seen = seen;
        match read {
            Ok(valid) => {
                self.valid = valid;
                let after_restart = self.at_start.changed(&self.valid.start_settings());
                Reload::Applied { after_restart }
            }
            Err(errors) => Reload::Refused(errors),
        }
    }

    pub(crate) fn settings(&self) -> &Settings {
        &self.valid.settings
    }

    pub(crate) fn schedule(&self) -> &Schedule {
        &self.valid.schedule
    }

    /// The format of the results, as the process began with it.
    pub(crate) fn output(&self) -> OutputFormat {
        self.at_start.interface.output
    }
}

fn text(file: &Path) -> Result<String, SettingsError> {
    GivenFile::read(file).map(|file| file.text)
}

impl Inputs<'_> {
    /// Reads the settings with this text of the file.
    fn read(
        &self,
        text: Option<&Result<String, SettingsError>>,
    ) -> Result<Valid, Vec<SettingsError>> {
        let file = match (self.file, text) {
            (Some(path), Some(Ok(text))) => Some(GivenFile::of(path, text.clone())),
            (_, Some(Err(error))) => return Err(vec![error.clone()]),
            (_, None) | (None, _) => None,
        };
        let sources = Sources::of(file, self.environment, self.flags);
        let sources = sources.map_err(|error| vec![error])?;
        let settings = sources.settings()?;
        let schedule = settings.serve.required_schedule();
        Ok(Valid {
            schedule: schedule.map_err(|error| vec![error])?,
            interface: sources.interface()?,
            settings,
        })
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
        let inputs = Inputs {
            file: Some(&path),
            environment: &nothing,
            flags: &nothing,
        };
        std::fs::write(&path, VALID).unwrap();
        let mut configuration = Configuration::load(inputs).unwrap();
        assert!(matches!(configuration.reload(false), Reload::Unchanged));
        assert!(matches!(configuration.reload(true), Reload::Applied { .. }));

        let changed = VALID.replace("*/5", "*/7");
        std::fs::write(&path, format!("{changed}dry_run: true\n")).unwrap();
        assert!(matches!(
            configuration.reload(false),
            Reload::Applied { .. }
        ));
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
        assert!(matches!(
            configuration.reload(false),
            Reload::Applied { .. }
        ));
        assert!(!configuration.settings().is_dry_run());
    }

    #[test]
    fn changes_that_need_a_restart_are_named() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("config.yaml");
        let (nothing, flags) = (HashMap::new(), [("log_format", "json")]);
        let flags = flags.map(|(key, value)| (key.to_owned(), value.to_owned()));
        let inputs = Inputs {
            file: Some(&path),
            environment: &nothing,
            flags: &HashMap::from(flags),
        };
        std::fs::write(&path, VALID).unwrap();
        let mut configuration = Configuration::load(inputs).unwrap();
        let mut named = |added: &str| {
            std::fs::write(&path, format!("{VALID}{added}")).unwrap();
            let Reload::Applied { after_restart } = configuration.reload(true) else {
                panic!("{added}");
            };
            after_restart
        };
        for (added, expected) in [
            ("listen_address: '[::1]:9090'\n", "LISTEN_ADDRESS"),
            ("leader_election: false\n", "LEADER_ELECTION"),
            ("leader_election_lease: other\n", "LEADER_ELECTION_LEASE"),
            (
                "leader_election_namespace: c\n",
                "LEADER_ELECTION_NAMESPACE",
            ),
            ("log_level: debug\n", "LOG_LEVEL"),
            ("output: json\n", "OUTPUT"),
        ] {
            assert_eq!(named(added), [expected]);
        }
        // The flag has precedence over the file, and the other settings apply.
        assert!(named("log_format: text\ndry_run: true\n").is_empty());
        assert_eq!(configuration.output(), OutputFormat::default());
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
        let inputs = Inputs {
            file: None,
            environment: &nothing,
            flags: &HashMap::from(flags),
        };
        let errors = Configuration::load(inputs).unwrap_err();
        let text = errors[0].to_string();
        assert!(text.starts_with("SCHEDULE is required"), "{errors:?}");
    }
}
