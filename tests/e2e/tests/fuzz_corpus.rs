//! Runs the check of each fuzz target on every seed, on stable and without a fuzzer.
//!
//! A seed whose name begins with `valid` must be accepted, and one with `broken` must be refused,
//! so that the corpus keeps covering its purpose.

// Not a dependency: the package needs the runtime of the fuzzer and has its own workspace.
#[expect(unreachable_pub, reason = "it is a library by itself")]
#[path = "../../../fuzz/src/lib.rs"]
mod fuzz;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use fuzz::TARGETS;

fn folder(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../fuzz")
        .join(name)
}

#[expect(clippy::panic, reason = "a helper of tests")]
fn entries(folder: &Path) -> impl Iterator<Item = PathBuf> {
    let entries = fs::read_dir(folder).unwrap_or_else(|error| panic!("{folder:?}: {error}"));
    entries.flatten().map(|entry| entry.path())
}

/// The entries of a folder, without their extensions.
fn names(folder: &Path) -> BTreeSet<String> {
    entries(folder)
        .map(|path| path.file_stem().unwrap_or_default().to_owned())
        .map(|name| name.to_string_lossy().into_owned())
        .collect()
}

#[test]
fn every_target_has_a_program_and_a_corpus() {
    let targets: BTreeSet<String> = TARGETS.iter().map(|(name, _)| (*name).to_owned()).collect();
    assert_eq!(names(&folder("fuzz_targets")), targets);
    assert_eq!(names(&folder("corpus")), targets);
    assert!(names(&folder("dictionaries")).is_subset(&targets));
}

#[test]
fn every_seed_has_its_expected_result() {
    for (target, check) in TARGETS {
        let mut kinds = BTreeSet::new();
        for path in entries(&folder("corpus").join(target)) {
            let name = path.file_name().unwrap().to_str().unwrap();
            // Printed when the check fails.
            println!("{target}/{name}");
            let accepted = check(&fs::read(&path).unwrap());
            let (kind, _) = name.split_once('-').unwrap();
            assert!(matches!(kind, "valid" | "broken"), "{target}/{name}");
            assert_eq!(accepted, kind == "valid", "{target}/{name} accepted");
            kinds.insert(kind.to_owned());
        }
        assert!(
            kinds.contains("valid"),
            "{target} has no seed that is valid"
        );
    }
}
