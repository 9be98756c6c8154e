//! Errors of the configuration.

/// An error of the configuration. Its message is one line that names the setting or the file.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SettingsError {
    /// A required setting is absent.
    #[error("{env} is required: {help}. Set the environment variable{}", or_flag(.flag.as_deref()))]
    Missing {
        /// The environment variable.
        env: &'static str,
        /// The flag; `None` for a secret.
        flag: Option<String>,
        /// The meaning of the setting.
        help: &'static str,
    },
    /// A value is not valid.
    #[error("{name}: {problem}")]
    Invalid {
        /// The variable, key or flag, as the user gave it.
        name: String,
        /// The problem of the value.
        problem: String,
    },
    /// No setting says where the consumer group of a workload is read from.
    #[error(
        "no setting provides the consumer group of {workload}: set KAFKA_BOOTSTRAP_SERVERS and \
         GROUP_ID, or GROUP_METRICS and GROUP_ID, or GROUP_ASSIGNMENT_QUERY"
    )]
    NoGroup {
        /// The workload.
        workload: String,
    },
    /// A variable of the environment is probably a misspelt setting.
    #[error(
        "the environment contains {name}, which is not a setting: did you mean {meant}? If {name} \
         belongs to another program, unset it, or set {meant} as well"
    )]
    Misspelt {
        /// The variable of the environment.
        name: String,
        /// The variable of the setting.
        meant: &'static str,
    },
    /// A key of the file is not a setting.
    #[error("unknown key `{key}` in {path}{}", suggestion(.nearest.as_deref()))]
    UnknownKey {
        /// The key.
        key: String,
        /// The file.
        path: String,
        /// The most similar known key.
        nearest: Option<String>,
    },
    /// The structure of the file is not valid.
    #[error("cannot use the configuration file {path}: {message}")]
    Malformed {
        /// The file.
        path: String,
        /// The problem.
        message: String,
    },
    /// The file cannot be read.
    #[error("cannot read the configuration file {path}: {problem}")]
    Unreadable {
        /// The file.
        path: String,
        /// The error of the operating system.
        problem: String,
    },
}

fn or_flag(flag: Option<&str>) -> String {
    flag.map_or_else(String::new, |flag| format!(", or give --{flag}"))
}

fn suggestion(nearest: Option<&str>) -> String {
    nearest.map_or_else(
        || "; `rebalancer --help` lists every setting".into(),
        |nearest| format!("; did you mean `{nearest}`?"),
    )
}
