//! The software bill of materials of the image: every crate in the binary, as a CycloneDX document.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use crate::{Error, cargo_command, root};

/// The targets of the image. The document has the crates of all of them.
const TARGETS: [&str; 2] = ["x86_64-unknown-linux-musl", "aarch64-unknown-linux-musl"];

/// The package of the binary.
const PACKAGE: &str = "rebalancer-cli";

/// A crate of the binary.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Crate {
    name: String,
    version: String,
}

impl Crate {
    /// The package URL, which is the reference within the document too.
    fn purl(&self) -> String {
        format!("pkg:cargo/{}@{}", self.name, self.version)
    }
}

/// The crates with their licences, and their dependencies.
#[derive(Debug, Default)]
struct Tree {
    licenses: BTreeMap<Crate, String>,
    edges: BTreeMap<Crate, BTreeSet<Crate>>,
}

impl Tree {
    /// Adds the output of `cargo tree`: the depth, the package and the licence on each line.
    fn add(&mut self, text: &str) -> Result<(), Error> {
        let mut path: Vec<Crate> = Vec::new();
        for line in text.lines().filter(|line| !line.is_empty()) {
            let (depth, found, license) = entry(line).ok_or_else(|| format!("{line:?}"))?;
            self.licenses.entry(found.clone()).or_insert(license);
            path.truncate(depth);
            if let Some(parent) = path.last() {
                let edges = self.edges.entry(parent.clone()).or_default();
                edges.insert(found.clone());
            }
            path.push(found);
        }
        Ok(())
    }
}

/// The depth, the crate and the licence of a line.
fn entry(line: &str) -> Option<(usize, Crate, String)> {
    // A repeated subtree is abbreviated.
    let line = line.strip_suffix(" (*)").unwrap_or(line);
    let digits = line.find(|letter: char| !letter.is_ascii_digit())?;
    let (depth, rest) = line.split_at(digits);
    let (package, license) = rest.split_once('\t')?;
    let mut words = package.split(' ');
    let found = Crate {
        name: words.next()?.to_owned(),
        version: words.next()?.strip_prefix('v')?.to_owned(),
    };
    // The old form of a choice of licences.
    let license = license.replace('/', " OR ");
    Some((depth.parse().ok()?, found, license))
}

/// The checksums in Cargo.lock.
fn checksums(lock: &str) -> BTreeMap<Crate, String> {
    let packages = lock.split("[[package]]").skip(1);
    let checksum = |package: &str| {
        let field = |name: &str| {
            let line = package.lines().find_map(|line| line.strip_prefix(name));
            Some(line?.strip_prefix(" = \"")?.strip_suffix('"')?.to_owned())
        };
        let found = Crate {
            name: field("name")?,
            version: field("version")?,
        };
        Some((found, field("checksum")?))
    };
    packages.filter_map(checksum).collect()
}

/// The document.
pub(crate) fn document() -> Result<Value, Error> {
    let mut tree = Tree::default();
    for target in TARGETS {
        tree.add(&cargo_tree(target)?)?;
    }
    let lock = std::fs::read_to_string(root()?.join("Cargo.lock"))?;
    of_tree(&tree, &checksums(&lock))
}

fn cargo_tree(target: &str) -> Result<String, Error> {
    let args = [
        "tree",
        "--locked",
        "--package",
        PACKAGE,
        "--target",
        target,
        // Neither build scripts nor procedural macros are in the binary.
        "--edges",
        "normal,no-proc-macro",
        "--prefix",
        "depth",
        "--format",
        "{p}\t{l}",
    ];
    let output = cargo_command(&args)
        .current_dir(root()?)
        // The image is built with the features that the binary itself needs.
        .env_remove("CARGO_RESOLVER_FEATURE_UNIFICATION")
        .output()?;
    if output.status.success() {
        return Ok(String::from_utf8(output.stdout)?);
    }
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    Err(format!("`cargo {}` failed: {said}", args.join(" ")).into())
}

fn of_tree(tree: &Tree, checksums: &BTreeMap<Crate, String>) -> Result<Value, Error> {
    let binary = tree.licenses.keys().find(|found| found.name == PACKAGE);
    let binary = binary.ok_or("cargo tree does not have the package")?;
    let component = |found: &Crate, kind: &str| {
        let mut component = json!({
            "type": kind,
            "bom-ref": found.purl(),
            "name": found.name,
            "version": found.version,
            "purl": found.purl(),
            "licenses": [{"expression": tree.licenses.get(found)}],
        });
        if let (Some(checksum), Some(fields)) = (checksums.get(found), component.as_object_mut()) {
            let hashes = json!([{"alg": "SHA-256", "content": checksum}]);
            fields.insert("hashes".into(), hashes);
        }
        component
    };
    let crates = tree.licenses.keys().filter(|found| *found != binary);
    let dependencies = tree.licenses.keys().map(|found| {
        let edges = tree.edges.get(found).into_iter().flatten();
        let edges: Vec<String> = edges.map(Crate::purl).collect();
        json!({"ref": found.purl(), "dependsOn": edges})
    });
    Ok(json!({
        "$schema": "http://cyclonedx.org/schema/bom-1.5.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": "1.5",
        "version": 1,
        "metadata": {"component": component(binary, "application")},
        "components": crates.map(|found| component(found, "library")).collect::<Vec<_>>(),
        "dependencies": dependencies.collect::<Vec<_>>(),
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    const TREE: &str = "0rebalancer-cli v0.1.0 (/src/rebalancer-cli)\tMIT OR Apache-2.0\n\
                        1a v1.2.3\tMIT/Apache-2.0\n\
                        2b v0.1.0\tMIT\n\
                        1b v0.1.0\tMIT (*)\n";

    #[test]
    fn crates_have_their_checksums_and_dependencies() {
        let mut tree = Tree::default();
        tree.add(TREE).unwrap();
        let lock = "version = 4\n\n[[package]]\nname = \"a\"\nversion = \"1.2.3\"\n\
                    source = \"registry\"\nchecksum = \"c0ffee\"\ndependencies = [\n \"b\",\n]\n";
        let document = of_tree(&tree, &checksums(lock)).unwrap();
        assert_eq!(document["metadata"]["component"]["name"], PACKAGE);
        let components = document["components"].as_array().unwrap();
        let names: Vec<&Value> = components
            .iter()
            .map(|component| &component["name"])
            .collect();
        assert_eq!(names, ["a", "b"]);
        assert_eq!(components[0]["hashes"][0]["content"], "c0ffee");
        assert_eq!(
            components[0]["licenses"][0]["expression"],
            "MIT OR Apache-2.0"
        );
        assert_eq!(components[1]["hashes"], Value::Null);
        let of = |purl: &str| {
            let mut all = document["dependencies"].as_array().unwrap().iter();
            all.find(|entry| entry["ref"] == purl).unwrap()["dependsOn"].clone()
        };
        assert_eq!(of("pkg:cargo/a@1.2.3"), json!(["pkg:cargo/b@0.1.0"]));
        let both = json!(["pkg:cargo/a@1.2.3", "pkg:cargo/b@0.1.0"]);
        assert_eq!(of("pkg:cargo/rebalancer-cli@0.1.0"), both);
    }

    #[test]
    fn unknown_line_is_an_error() {
        assert!(Tree::default().add("no depth").is_err());
    }
}
