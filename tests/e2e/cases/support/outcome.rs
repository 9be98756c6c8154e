//! The results of a run, with assertions that print all of them on failure.

use ::harness::Run;
use serde_json::Value;

/// A run that ended with the exit code that was expected.
#[derive(Debug)]
pub(crate) struct Outcome(pub(crate) Run);

impl Outcome {
    /// The whole report.
    pub(crate) fn report(&self) -> Value {
        let report: Value = self.0.json().unwrap();
        assert_eq!(report["schema"], "rebalancer/report/v2", "{}", self.0);
        report
    }

    /// The part of the report about the one workload.
    pub(crate) fn workload(&self) -> Value {
        let report = self.report();
        let workloads = report["workloads"].as_array().unwrap();
        assert_eq!(workloads.len(), 1, "{}", self.0);
        workloads[0].clone()
    }

    /// UIDs of the victims, in order.
    pub(crate) fn victims(&self) -> Vec<String> {
        texts(&self.workload()["victims"], "uid")
    }

    /// The outcome of each victim, in order.
    pub(crate) fn outcomes(&self) -> Vec<String> {
        texts(&self.workload()["execution"]["pods"], "outcome")
    }

    /// The check with that name.
    pub(crate) fn check(&self, name: &str) -> Value {
        let workload = self.workload();
        let checks = workload["checks"].as_array().unwrap();
        let found = checks.iter().find(|check| check["name"] == name);
        found
            .unwrap_or_else(|| panic!("no check {name}: {}", self.0))
            .clone()
    }

    /// The message of a hold; panics unless the run held for that reason.
    pub(crate) fn held(&self, reason: &str) -> String {
        let workload = self.workload();
        let decision = &workload["decision"];
        assert_eq!(decision["action"], "hold", "{}", self.0);
        assert_eq!(decision["reason"], reason, "{}", self.0);
        assert!(workload.get("execution").is_none(), "{}", self.0);
        decision["message"].as_str().unwrap().to_owned()
    }

    /// The error of a run without a decision; panics if there was a decision. The log may name
    /// settings after it.
    pub(crate) fn error(&self) -> String {
        let workload = self.workload();
        let error = workload["error"].as_str();
        let error = error
            .unwrap_or_else(|| panic!("no error: {}", self.0))
            .to_owned();
        assert!(
            self.log().iter().any(|line| line["msg"]
                .as_str()
                .is_some_and(|message| message.starts_with(&error))),
            "the log lacks the error: {}",
            self.0
        );
        error
    }

    /// The lines of the log.
    pub(crate) fn log(&self) -> Vec<Value> {
        let parse = |line| {
            serde_json::from_str(line)
                .unwrap_or_else(|error| panic!("{line:?} is no JSON ({error}): {}", self.0))
        };
        self.0.stderr.lines().map(parse).collect()
    }

    /// The lines of the log that have that message.
    pub(crate) fn events(&self, message: &str) -> Vec<Value> {
        let mut lines = self.log();
        lines.retain(|line| line["msg"] == message);
        lines
    }

    /// Panics unless the text contains all of these.
    pub(crate) fn assert_says(&self, text: &str, parts: &[&str]) {
        for part in parts {
            assert!(
                text.contains(part),
                "{part:?} is not in {text:?}: {}",
                self.0
            );
        }
    }
}

fn texts(list: &Value, field: &str) -> Vec<String> {
    let list = list.as_array().map(Vec::as_slice).unwrap_or_default();
    list.iter()
        .map(|entry| entry[field].as_str().unwrap_or_default().to_owned())
        .collect()
}
