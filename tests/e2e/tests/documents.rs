//! The documents refer only to files and headings that exist.
#![expect(clippy::unwrap_used, reason = "test helpers unwrap what must exist")]

use std::path::{Path, PathBuf};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// The documents in the root folder, in `docs`, and of the chart.
fn documents() -> Vec<PathBuf> {
    let folders = [
        root(),
        root().join("docs"),
        root().join("charts/rebalancer"),
    ];
    let files = folders
        .iter()
        .flat_map(|folder| std::fs::read_dir(folder).unwrap());
    files
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "md"))
        .collect()
}

/// The destinations of the links in a document.
fn links(text: &str) -> Vec<String> {
    let rest = text.split("](").skip(1);
    rest.filter_map(|rest| Some(rest.split_once(')')?.0.to_owned()))
        .collect()
}

/// The anchors of the headings in a document, as GitHub makes them.
fn anchors(text: &str) -> Vec<String> {
    let headings = text.lines().filter(|line| line.starts_with('#'));
    headings
        .map(|heading| {
            let heading = heading.trim_start_matches(['#', ' ']).to_lowercase();
            let kept = heading
                .chars()
                .filter(|c| c.is_alphanumeric() || " -_".contains(*c));
            kept.map(|c| if c == ' ' { '-' } else { c }).collect()
        })
        .collect()
}

#[test]
fn links_lead_to_files_and_headings() {
    let mut checked = 0;
    for document in documents() {
        let text = std::fs::read_to_string(&document).unwrap();
        for link in links(&text).iter().filter(|link| !link.contains("://")) {
            let (file, anchor) = link.split_once('#').unwrap_or((link, ""));
            let target = match file {
                "" => document.clone(),
                file => document.parent().unwrap().join(file),
            };
            assert!(target.exists(), "{}: {link}", document.display());
            if !anchor.is_empty() {
                let anchors = anchors(&std::fs::read_to_string(&target).unwrap());
                let exists = anchors.iter().any(|known| known == anchor);
                assert!(exists, "{}: {link}; {anchors:?}", document.display());
            }
            checked += 1;
        }
    }
    assert!(checked > 20, "only {checked} links were found");
}

#[test]
fn readme_has_at_most_150_lines() {
    let text = std::fs::read_to_string(root().join("README.md")).unwrap();
    assert!(text.lines().count() <= 150);
}

#[test]
fn files_named_in_the_architecture_exist() {
    let text = std::fs::read_to_string(root().join("ARCHITECTURE.md")).unwrap();
    let paths: Vec<&str> = text
        .split('`')
        .skip(1)
        .step_by(2)
        .filter(|code| code.contains('/') && !code.contains(char::is_whitespace))
        .collect();
    for path in &paths {
        assert!(root().join(path).exists(), "{path}");
    }
    assert!(paths.len() > 40, "only {} paths were found", paths.len());
}

/// The list has each crate of Cargo.lock that the binary contains, with its checksum, and none that
/// only tests or builds use.
#[test]
fn bill_of_materials_is_that_of_the_binary() {
    let read = |path: &str| std::fs::read_to_string(root().join(path)).unwrap();
    let document: serde_json::Value = serde_json::from_str(&read("deploy/sbom.cdx.json")).unwrap();
    assert_eq!(document["bomFormat"], "CycloneDX");
    assert_eq!(
        document["metadata"]["component"]["version"],
        env!("CARGO_PKG_VERSION")
    );
    let lock = read("Cargo.lock");
    let components = document["components"].as_array().unwrap();
    for component in components {
        let text = |field: &str| component[field].as_str().unwrap();
        let (name, version) = (text("name"), text("version"));
        let entry = format!("name = \"{name}\"\nversion = \"{version}\"\n");
        let (_, rest) = lock
            .split_once(&entry)
            .unwrap_or_else(|| panic!("{name} {version}"));
        let entry = rest.split("[[package]]").next().unwrap();
        if let Some(checksum) = component["hashes"][0]["content"].as_str() {
            assert!(entry.contains(checksum), "{name}");
        } else {
            assert!(!entry.contains("checksum"), "{name} has no checksum");
        }
        assert!(component["licenses"][0]["expression"].is_string(), "{name}");
    }
    let has = |name: &str| components.iter().any(|component| component["name"] == name);
    for name in [
        "rebalancer-core",
        "tokio",
        "rustls",
        "ring",
        "serde_json",
        "kube-client",
    ] {
        assert!(has(name), "{name}");
    }
    for name in [
        "insta",
        "rstest",
        "proptest",
        "serde_derive",
        "cc",
        "harness",
        "rdkafka",
    ] {
        assert!(!has(name), "{name}");
    }
}

/// A base image that changes under its tag would change the build without a commit.
#[test]
fn base_images_are_pinned() {
    let recipe = std::fs::read_to_string(root().join("deploy/Dockerfile")).unwrap();
    let stages = recipe.lines().filter_map(|line| line.strip_prefix("FROM "));
    let images = stages.map(|stage| stage.split(' ').next().unwrap());
    let images: Vec<&str> = images.filter(|image| *image != "scratch").collect();
    assert!(!images.is_empty(), "{recipe}");
    for image in images {
        let tag = image.strip_prefix("rust:").unwrap();
        let (version, variant) = tag.split_once('-').unwrap();
        let (minor, patch) = version.rsplit_once('.').unwrap();
        assert_eq!(minor, env!("CARGO_PKG_RUST_VERSION"), "{image}");
        assert!(patch.parse::<u32>().is_ok(), "{image}");
        assert_eq!(variant, "slim-bookworm", "{image} has no distribution");
    }
}

/// A scratch image contains only what is copied into it.
#[test]
fn image_has_the_binary_and_the_certificate_authorities() {
    let recipe = std::fs::read_to_string(root().join("deploy/Dockerfile")).unwrap();
    let (build, image) = recipe.split_once("\nFROM scratch\n").unwrap();
    let copied: Vec<&str> = image
        .lines()
        .filter_map(|line| line.strip_prefix("COPY --from=build "))
        .collect();
    let authorities = "/etc/ssl/certs/ca-certificates.crt";
    assert_eq!(
        copied,
        [
            format!("{authorities} {authorities}").as_str(),
            "/rebalancer /rebalancer"
        ]
    );
    assert!(build.contains("--no-install-recommends ca-certificates "));
    assert!(image.contains("\nCOPY deploy/sbom.cdx.json /sbom/rebalancer.cdx.json\n"));
    let version = format!(
        "org.opencontainers.image.version=\"{}\"",
        env!("CARGO_PKG_VERSION")
    );
    assert!(image.contains(&version), "{image}");
}
