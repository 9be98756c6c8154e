//! What the fuzz targets check, as plain functions over bytes.
//!
//! A target of `fuzz_targets/` calls the `check` of its module with whatever the fuzzer thinks of.
//! The test `fuzz_corpus` of the workspace calls the same functions with every file of `corpus/`,
//! so that the targets and their seeds are checked on stable as well.
//!
//! A `check` panics when a promise is broken, and otherwise says whether the input was accepted:
//! that tells a seed that is meant to be good from one that is meant to be refused.

pub mod configuration;
pub mod durations;
pub mod kubernetes_protobuf;
pub mod prometheus_answer;
pub mod promql_quoting;
pub mod snapshot;

/// A target: its name, which is that of its corpus as well, and what it checks.
pub type Target = (&'static str, fn(&[u8]) -> bool);

/// Every target.
pub const TARGETS: [Target; 6] = [
    ("configuration", configuration::check),
    ("durations", durations::check),
    ("kubernetes_protobuf", kubernetes_protobuf::check),
    ("prometheus_answer", prometheus_answer::check),
    ("promql_quoting", promql_quoting::check),
    ("snapshot", snapshot::check),
];

/// What stands between the parts of an input that has several.
const SEPARATOR: &str = "\n%%\n";

/// The parts of an input; those that are missing are empty.
fn parts<const N: usize>(text: &str) -> [&str; N] {
    let mut parts = [""; N];
    for (part, text) in parts.iter_mut().zip(text.splitn(N, SEPARATOR)) {
        *part = text;
    }
    parts
}
