//! The manifest for krew, the package manager of kubectl plugins.

mod check;

use std::ffi::OsString;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::{Error, root};

/// The placeholders of the template.
const VERSION: &str = "{{ version }}";
const PLATFORMS: &str = "  platforms: []\n";

/// The program in each archive.
const PROGRAM: &str = "rebalancer";

/// The options of the task.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Options {
    /// Install an archive of the program with krew itself.
    Check,
    /// Print the manifest of a release.
    Print(Release),
}

impl Options {
    pub(crate) fn parse(args: &[OsString]) -> Result<Self, String> {
        if args == ["--check"] {
            return Ok(Self::Check);
        }
        Release::parse(args).map(Self::Print)
    }
}

/// The published archives of a version.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Release {
    /// The version without `v`.
    version: String,
    /// The address of the folder with the archives.
    url: String,
    archives: Vec<PathBuf>,
}

impl Release {
    fn parse(args: &[OsString]) -> Result<Self, String> {
        let (mut version, mut url, mut archives) = (None, None, Vec::new());
        let mut args = args.iter();
        while let Some(arg) = args.next() {
            let mut value = || {
                let value = args.next().and_then(|value| value.to_str());
                value.map(ToOwned::to_owned)
            };
            match arg.to_str() {
                Some("--version") => version = Some(value().ok_or("--version takes a version")?),
                Some("--url") => url = Some(value().ok_or("--url takes a URL")?),
                Some(other) if other.starts_with('-') => {
                    return Err(format!("krew does not understand {other:?}"));
                }
                _ => archives.push(PathBuf::from(arg)),
            }
        }
        let version = version.ok_or("krew needs --version")?;
        let url = url.ok_or("krew needs --url, the address of the folder with the archives")?;
        if archives.is_empty() {
            return Err("krew needs at least one archive".to_owned());
        }
        Ok(Self {
            version: version.trim_start_matches('v').to_owned(),
            url: url.trim_end_matches('/').to_owned(),
            archives,
        })
    }
}

/// A platform with its archive.
#[derive(Debug, PartialEq, Eq)]
struct Platform {
    os: String,
    arch: String,
    uri: String,
    sha256: String,
}

/// Prints the manifest, or checks it.
pub(crate) fn run(options: &Options) -> Result<(), Error> {
    match options {
        Options::Check => check::run(),
        Options::Print(release) => {
            print!("{}", manifest(release)?);
            Ok(())
        }
    }
}

/// The manifest of a release.
fn manifest(release: &Release) -> Result<String, Error> {
    let template = fs::read_to_string(root()?.join("deploy/krew/rebalancer.yaml"))?;
    let mut platforms = Vec::new();
    for archive in &release.archives {
        platforms.push(platform(archive, &release.url)?);
    }
    let manifest = fill(&template, &release.version, &platforms)?;
    let problems = problems(&serde_saphyr::from_str(&manifest)?);
    if problems.is_empty() {
        Ok(manifest)
    } else {
        Err(format!("krew would refuse the manifest: {}", problems.join("; ")).into())
    }
}

/// The platform in the name of an archive: `rebalancer-linux-amd64.tar.gz`.
fn platform(archive: &Path, url: &str) -> Result<Platform, Error> {
    let name = archive.file_name().and_then(|name| name.to_str());
    let name = name.ok_or("an archive has no name")?;
    let parts = name.strip_suffix(".tar.gz").map(|stem| stem.split('-'));
    let parts: Vec<&str> = parts.into_iter().flatten().collect();
    let [
        PROGRAM,
        os @ ("linux" | "darwin"),
        arch @ ("amd64" | "arm64"),
    ] = parts.as_slice()
    else {
        let form = format!("{PROGRAM}-OS-ARCH.tar.gz, with linux or darwin and amd64 or arm64");
        return Err(format!("the name of {name} is not {form}").into());
    };
    let bytes = fs::read(archive).map_err(|error| format!("{}: {error}", archive.display()))?;
    Ok(Platform {
        os: (*os).to_owned(),
        arch: (*arch).to_owned(),
        uri: format!("{url}/{name}"),
        sha256: sha256(&bytes),
    })
}

fn sha256(bytes: &[u8]) -> String {
    let digest = ring::digest::digest(&ring::digest::SHA256, bytes);
    let digest = digest.as_ref().iter();
    digest.fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// The manifest: the template without its comment, with the version and the platforms.
fn fill(template: &str, version: &str, platforms: &[Platform]) -> Result<String, Error> {
    let lines = template.lines().skip_while(|line| line.starts_with('#'));
    let template = lines.fold(String::new(), |text, line| text + line + "\n");
    for placeholder in [VERSION, PLATFORMS] {
        if template.matches(placeholder).count() != 1 {
            return Err(format!("the template does not have {placeholder:?} once").into());
        }
    }
    let mut list = String::from("  platforms:\n");
    for platform in platforms {
        let Platform {
            os,
            arch,
            uri,
            sha256,
        } = platform;
        let _ = write!(
            list,
            "    - selector:\n        matchLabels:\n          os: {os}\n          arch: {arch}\n      \
             uri: {uri}\n      sha256: {sha256}\n      bin: {PROGRAM}\n"
        );
    }
    Ok(template
        .replace(VERSION, &format!("v{version}"))
        .replace(PLATFORMS, &list))
}

/// The rules of krew that the manifest breaks.
fn problems(manifest: &Value) -> Vec<String> {
    let mut problems = Vec::new();
    let mut rule = |holds: bool, problem: &str| {
        if !holds {
            problems.push(problem.to_owned());
        }
    };
    let spec = &manifest["spec"];
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let api = "krew.googlecontainertools.github.com/v1alpha2";
    rule(manifest["apiVersion"] == api, "apiVersion is another one");
    rule(manifest["kind"] == "Plugin", "kind is not Plugin");
    rule(
        manifest["metadata"]["name"] == PROGRAM,
        "the name is not that of the file",
    );
    let short = text(&spec["shortDescription"]);
    rule(
        !short.is_empty() && !short.contains(['\r', '\n']),
        "shortDescription is not one line",
    );
    rule(
        is_version(&text(&spec["version"])),
        "version is not v and a semantic version",
    );
    let platforms = spec["platforms"].as_array().cloned().unwrap_or_default();
    rule(!platforms.is_empty(), "there is no platform");
    let mut seen = Vec::new();
    for platform in &platforms {
        let sum = text(&platform["sha256"]);
        let is_hex = |c: char| c.is_ascii_digit() || ('a'..='f').contains(&c);
        rule(
            sum.len() == 64 && sum.chars().all(is_hex),
            "sha256 is not 64 hexadecimal digits",
        );
        rule(
            text(&platform["uri"]).starts_with("https://"),
            "uri is not one of https",
        );
        rule(!text(&platform["bin"]).is_empty(), "bin is missing");
        let labels = &platform["selector"]["matchLabels"];
        let keys = labels.as_object().into_iter().flatten();
        let keys: Vec<&String> = keys.map(|(key, _)| key).collect();
        rule(
            !keys.is_empty() && keys.iter().all(|key| *key == "os" || *key == "arch"),
            "matchLabels has other keys than os and arch, or none",
        );
        rule(!seen.contains(&labels), "two archives are for one platform");
        seen.push(labels);
    }
    problems
}

/// Whether a text is `v` and a semantic version.
fn is_version(text: &str) -> bool {
    let Some(version) = text.strip_prefix('v') else {
        return false;
    };
    let (version, build) = version.split_once('+').unwrap_or((version, "0"));
    let (core, pre) = version.split_once('-').unwrap_or((version, "0"));
    let is_number = |part: &str| {
        let is_canonical = part == "0" || !part.starts_with('0');
        !part.is_empty() && is_canonical && part.chars().all(|c| c.is_ascii_digit())
    };
    let is_word = |part: &str| {
        !part.is_empty() && part.chars().all(|c| c.is_ascii_alphanumeric() || c == '-')
    };
    core.split('.').count() == 3
        && core.split('.').all(is_number)
        && pre.split('.').all(is_word)
        && build.split('.').all(is_word)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn template() -> String {
        fs::read_to_string(root().unwrap().join("deploy/krew/rebalancer.yaml")).unwrap()
    }

    /// The manifest of two archives.
    fn manifest() -> Value {
        let folder = tempfile::tempdir().unwrap();
        let platforms = ["amd64", "arm64"].map(|arch| {
            let path = folder
                .path()
                .join(format!("rebalancer-linux-{arch}.tar.gz"));
            fs::write(&path, "abc").unwrap();
            platform(&path, "https://example.org/v1.2.3").unwrap()
        });
        let text = fill(&template(), "1.2.3", &platforms).unwrap();
        assert!(text.starts_with("apiVersion: "), "{text}");
        serde_saphyr::from_str(&text).unwrap()
    }

    #[test]
    fn manifest_has_the_checksum_of_each_archive() {
        let manifest = manifest();
        assert_eq!(problems(&manifest), Vec::<String>::new());
        let spec = &manifest["spec"];
        assert_eq!(spec["version"], "v1.2.3");
        let platforms = spec["platforms"].as_array().unwrap();
        assert_eq!(platforms.len(), 2);
        // The checksum of "abc" in FIPS 180.
        let sum = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(platforms[1]["sha256"], sum);
        let uri = "https://example.org/v1.2.3/rebalancer-linux-arm64.tar.gz";
        assert_eq!(platforms[1]["uri"], uri);
        let labels = json!({"os": "linux", "arch": "arm64"});
        assert_eq!(platforms[1]["selector"]["matchLabels"], labels);
    }

    #[test]
    fn manifest_that_krew_would_refuse_is_an_error() {
        let broken: [(&str, Value); 7] = [
            ("/kind", json!("Plug")),
            ("/metadata/name", json!("kubectl-rebalancer")),
            ("/spec/version", json!("1.2.3")),
            ("/spec/version", json!("v01.2.3")),
            ("/spec/shortDescription", json!("two\nlines")),
            ("/spec/platforms/0/sha256", json!("BA78")),
            ("/spec/platforms", json!([])),
        ];
        for (path, value) in broken {
            let mut manifest = manifest();
            *manifest.pointer_mut(path).unwrap() = value;
            assert_eq!(problems(&manifest).len(), 1, "{path}");
        }
        let mut twice = manifest();
        let first = twice["spec"]["platforms"][0].clone();
        twice["spec"]["platforms"][1] = first;
        assert_eq!(problems(&twice), ["two archives are for one platform"]);
    }

    #[test]
    fn archives_are_named_after_their_platform() {
        let error = |name: &str| {
            let error = platform(Path::new(name), "https://example.org");
            error.unwrap_err().to_string()
        };
        for name in [
            "rebalancer.tar.gz",
            "rebalancer-linux-riscv.tar.gz",
            "rebalancer-linux-amd64.zip",
        ] {
            assert!(error(name).contains("OS-ARCH"), "{name}");
        }
        let missing = error("rebalancer-linux-amd64.tar.gz");
        assert!(missing.contains("No such file"), "{missing}");
    }

    #[test]
    fn options_are_checked() {
        let parse =
            |args: &[&str]| Options::parse(&args.iter().map(Into::into).collect::<Vec<_>>());
        assert_eq!(parse(&["--check"]), Ok(Options::Check));
        let expected = Release {
            version: "1.2.3".into(),
            url: "https://example.org".into(),
            archives: vec!["a.tar.gz".into()],
        };
        let args = [
            "--version",
            "v1.2.3",
            "--url",
            "https://example.org/",
            "a.tar.gz",
        ];
        assert_eq!(parse(&args), Ok(Options::Print(expected)));
        for (args, part) in [
            (&["a.tar.gz"][..], "--version"),
            (&["--version", "1.2.3", "a.tar.gz"], "--url"),
            (&["--version", "1.2.3", "--url", "u"], "archive"),
            (&["--version"], "takes a version"),
            (&["--sum"], "--sum"),
            (&["--check", "a.tar.gz"], "--check"),
        ] {
            assert!(parse(args).unwrap_err().contains(part), "{args:?}");
        }
    }
}
