//! The checks of the fuzz targets, as plain functions over bytes.
//!
//! A target of `fuzz_targets/` calls the `check` of its module with the input of the fuzzer.
//! The test `fuzz_corpus` of the workspace calls the same functions with every file of `corpus/`,
//! so that the targets and their seeds are checked on stable as well.
//!
//! A `check` panics if a promise is broken. Otherwise it returns whether the input was accepted,
//! which distinguishes seeds that must be accepted from seeds that must be refused.

pub mod configuration;
pub mod durations;
pub mod kafka_response;
pub mod kubernetes_json;
pub mod kubernetes_protobuf;
pub mod prometheus_answer;
pub mod promql_quoting;
pub mod snapshot;

/// A target: its name, which is also the name of its corpus, and its check.
pub type Target = (&'static str, fn(&[u8]) -> bool);

/// All targets.
pub const TARGETS: [Target; 8] = [
    ("configuration", configuration::check),
    ("durations", durations::check),
    ("kafka_response", kafka_response::check),
    ("kubernetes_json", kubernetes_json::check),
    ("kubernetes_protobuf", kubernetes_protobuf::check),
    ("prometheus_answer", prometheus_answer::check),
    ("promql_quoting", promql_quoting::check),
    ("snapshot", snapshot::check),
];

/// The separator between the parts of an input.
const SEPARATOR: &str = "\n%%\n";

/// The parts of an input; missing parts are empty.
fn parts<const N: usize>(text: &str) -> [&str; N] {
    let mut parts = [""; N];
    for (part, text) in parts.iter_mut().zip(text.splitn(N, SEPARATOR)) {
        *part = text;
    }
    parts
}
