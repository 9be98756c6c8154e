//! The documents refer only to files and headings that exist.
#![expect(clippy::unwrap_used, reason = "test helpers unwrap what must exist")]

use std::path::{Path, PathBuf};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// The documents in the root folder and in `docs`.
fn documents() -> Vec<PathBuf> {
    let folders = [root(), root().join("docs")];
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
}
