//! The parts of a setting's definition: name, value type, default, help, scope and secrecy.

use rebalancer_core::policy::PolicyField;

use super::value::{JsonType, RawValue, ValueType};

/// The definition of one setting with values of type `T` and a default of kind `D`
/// ([`Required`], [`Optional`] or [`Defaulted`]).
pub(super) struct Definition<T: 'static, D> {
    /// The environment variable.
    pub(super) name: &'static str,
    /// The meaning, in one sentence for help and documentation.
    pub(super) help: &'static str,
    /// Parser, placeholder in help, and JSON type.
    pub(super) value: &'static ValueType<T>,
    /// The value or the behaviour without the setting.
    pub(super) default: D,
    /// Scope, secrecy and the field of the policy.
    pub(super) attributes: Attributes,
}

/// A setting that a run needs.
pub(super) type Required<T> = Definition<T, Mandatory>;
/// A setting without a default value.
pub(super) type Optional<T> = Definition<T, Absent>;
/// A setting with a default value.
pub(super) type Defaulted<T> = Definition<T, Fallback<T>>;

/// The default of a setting that has none: a run needs the setting.
#[derive(Debug, Clone, Copy)]
pub(super) struct Mandatory;

/// The default of a setting that may be absent: the text for help says what applies then.
#[derive(Debug, Clone, Copy)]
pub(super) struct Absent(pub(super) &'static str);

/// The default value of a setting.
pub(super) enum Fallback<T: 'static> {
    /// A fixed value.
    Value(fn() -> T),
    /// The value of another setting.
    SameAs(&'static Defaulted<T>),
    /// A value computed from another setting.
    Derived {
        /// The other setting.
        from: &'static Defaulted<T>,
        /// The computation.
        derive: fn(T) -> T,
        /// The computation as text, before the name of the other setting: `half of`.
        words: &'static str,
    },
}

/// Properties that most settings leave at [`Attributes::USUAL`].
#[derive(Debug, Clone, Copy)]
pub(super) struct Attributes {
    /// Whether the setting applies to the whole run, so that an entry of the list of workloads
    /// cannot override it.
    pub(super) whole_run: bool,
    /// Whether the value may be a secret. Such a setting has no flag, since every process on the
    /// host can read the arguments of another.
    pub(super) secret: bool,
    /// The field of the policy that the setting sets. Hints of the core's messages name the setting
    /// by it.
    pub(super) policy_field: Option<PolicyField>,
}

impl Attributes {
    /// A setting of one workload whose value is not a secret.
    pub(super) const USUAL: Self = Self {
        whole_run: false,
        secret: false,
        policy_field: None,
    };
    /// A setting of the whole run.
    pub(super) const WHOLE_RUN: Self = Self {
        whole_run: true,
        ..Self::USUAL
    };
    /// A setting whose value may be a secret.
    pub(super) const SECRET: Self = Self {
        secret: true,
        ..Self::USUAL
    };

    /// A setting of one workload that sets a field of the policy.
    pub(super) const fn policy(field: PolicyField) -> Self {
        Self {
            policy_field: Some(field),
            ..Self::USUAL
        }
    }
}

/// One setting, as help, documentation and the layers of the configuration see it.
pub trait Setting: Sync {
    /// The environment variable.
    fn env(&self) -> &'static str;

    /// The meaning, in one sentence.
    fn help(&self) -> &'static str;

    /// The placeholder of the value in help, such as `DURATION`.
    fn value_name(&self) -> &'static str;

    /// The default as text; `None` if a run needs the setting.
    fn default_text(&self) -> Option<String>;

    /// The JSON type of the value in a configuration file.
    fn json_type(&self) -> JsonType;

    /// Whether the value may be a secret.
    fn is_secret(&self) -> bool;

    /// Whether the setting applies to the whole run instead of one workload.
    fn is_of_the_whole_run(&self) -> bool;

    /// The field of the policy that the setting sets.
    fn policy_field(&self) -> Option<PolicyField>;

    /// The usual text form of a value, and whether it is the default; `None` if it is not valid.
    fn normalized(&self, text: &str) -> Option<(String, bool)>;

    /// The key in a configuration file: the environment variable in lower case.
    fn key(&self) -> String {
        self.env().to_ascii_lowercase()
    }

    /// The flag without its leading dashes; `None` for a secret.
    fn flag(&self) -> Option<String> {
        (!self.is_secret()).then(|| self.key().replace('_', "-"))
    }
}

impl<T: 'static, D: DefaultText<T>> Setting for Definition<T, D> {
    fn env(&self) -> &'static str {
        self.name
    }

    fn help(&self) -> &'static str {
        self.help
    }

    fn value_name(&self) -> &'static str {
        self.value.name
    }

    fn default_text(&self) -> Option<String> {
        self.default.text(self.value)
    }

    fn json_type(&self) -> JsonType {
        self.value.json
    }

    fn normalized(&self, text: &str) -> Option<(String, bool)> {
        let parsed = (self.value.parse)(&RawValue::Text(text.to_owned())).ok()?;
        let text = (self.value.write)(&parsed);
        let is_default = self.default.value_text(self.value) == Some(text.clone());
        Some((text, is_default))
    }

    fn is_secret(&self) -> bool {
        self.attributes.secret
    }

    fn is_of_the_whole_run(&self) -> bool {
        self.attributes.whole_run
    }

    fn policy_field(&self) -> Option<PolicyField> {
        self.attributes.policy_field
    }
}

/// A default that has a text form.
pub(super) trait DefaultText<T>: Sync {
    /// The default as text; `None` if there is none.
    fn text(&self, value: &ValueType<T>) -> Option<String>;

    /// The text of the default value, which the parser accepts; `None` if the default is no fixed
    /// value.
    fn value_text(&self, _value: &ValueType<T>) -> Option<String> {
        None
    }
}

impl<T> DefaultText<T> for Mandatory {
    fn text(&self, _: &ValueType<T>) -> Option<String> {
        None
    }
}

impl<T> DefaultText<T> for Absent {
    fn text(&self, _: &ValueType<T>) -> Option<String> {
        Some(self.0.to_owned())
    }
}

impl<T> DefaultText<T> for Fallback<T> {
    fn text(&self, value: &ValueType<T>) -> Option<String> {
        Some(match self {
            Self::Value(default) => match (value.write)(&default()) {
                empty if empty.is_empty() => "empty".to_owned(),
                text => text,
            },
            Self::SameAs(other) => other.name.to_owned(),
            Self::Derived { from, words, .. } => format!("{words} {}", from.name),
        })
    }

    fn value_text(&self, value: &ValueType<T>) -> Option<String> {
        match self {
            Self::Value(default) => Some((value.write)(&default())),
            Self::SameAs(_) | Self::Derived { .. } => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::value;
    use super::*;
    use std::time::Duration;

    static REQUIRED: Required<String> = Definition {
        name: "A_NAME",
        help: "A name",
        value: &value::NAME,
        default: Mandatory,
        attributes: Attributes::USUAL,
    };
    static OPTIONAL: Optional<String> = Definition {
        name: "A_TOKEN",
        help: "A token",
        value: &value::NAME,
        default: Absent("none"),
        attributes: Attributes::SECRET,
    };
    static PREFIX: Defaulted<String> = Definition {
        name: "A_PREFIX",
        help: "A prefix",
        value: &value::PREFIX,
        default: Fallback::Value(String::new),
        attributes: Attributes::WHOLE_RUN,
    };
    static WINDOW: Defaulted<Duration> = Definition {
        name: "A_WINDOW",
        help: "A window",
        value: &value::DURATION,
        default: Fallback::Value(|| Duration::from_secs(90)),
        attributes: Attributes::USUAL,
    };
    static SAME: Defaulted<Duration> = Definition {
        name: "THE_SAME",
        help: "The same",
        value: &value::DURATION,
        default: Fallback::SameAs(&WINDOW),
        attributes: Attributes::USUAL,
    };
    static HALF: Defaulted<Duration> = Definition {
        name: "A_HALF",
        help: "A half",
        value: &value::DURATION,
        default: Fallback::Derived {
            from: &WINDOW,
            derive: |window| window / 2,
            words: "half of",
        },
        attributes: Attributes::USUAL,
    };

    #[test]
    fn default_text_derives_from_the_default() {
        let settings: [(&dyn Setting, Option<&str>); 6] = [
            (&REQUIRED, None),
            (&OPTIONAL, Some("none")),
            (&PREFIX, Some("empty")),
            (&WINDOW, Some("1m30s")),
            (&SAME, Some("A_WINDOW")),
            (&HALF, Some("half of A_WINDOW")),
        ];
        for (setting, text) in settings {
            assert_eq!(setting.default_text().as_deref(), text, "{}", setting.env());
        }
    }

    #[test]
    fn flag_and_key_derive_from_the_name() {
        assert_eq!(REQUIRED.key(), "a_name");
        assert_eq!(REQUIRED.flag().as_deref(), Some("a-name"));
        assert_eq!(OPTIONAL.key(), "a_token");
    }

    #[test]
    fn secrets_have_no_flag() {
        assert!(OPTIONAL.is_secret());
        assert_eq!(OPTIONAL.flag(), None);
    }

    #[test]
    fn attributes_name_the_scope() {
        assert!(PREFIX.is_of_the_whole_run());
        assert!(!REQUIRED.is_of_the_whole_run());
    }
}
