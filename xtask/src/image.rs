//! The final stage of the image, built and run by buildah.
//!
//! The first stage compiles the binary in an image of a registry, which not every machine reaches.
//! The final stage needs none: it is built from a binary that exists.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use harness::assets::find_in_path;
use serde_json::Value;

use crate::{Error, cargo, root, setup};

/// The name of the image.
const IMAGE: &str = "localhost/pod-rebalancer:xtask";

/// The certificate authorities of Debian, which the first stage installs too.
const CERTIFICATES: &str = "etc/ssl/certs/ca-certificates.crt";

/// The files of the image, without those that buildah adds to a running container.
const FILES: [&str; 3] = [CERTIFICATES, "rebalancer", "sbom/rebalancer.cdx.json"];

/// The options of the task.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Options {
    /// The static binary; without it, one of the development profile is linked.
    binary: Option<PathBuf>,
    /// The OCI archive to write.
    output: Option<PathBuf>,
}

impl Options {
    pub(crate) fn parse(args: &[OsString]) -> Result<Self, String> {
        let mut options = Self::default();
        let mut args = args.iter();
        while let Some(arg) = args.next() {
            let field = match arg.to_str() {
                Some("--binary") => &mut options.binary,
                Some("--output") => &mut options.output,
                _ => return Err(format!("image does not understand {arg:?}")),
            };
            let value = args.next().ok_or_else(|| format!("{arg:?} takes a file"))?;
            *field = Some(PathBuf::from(value));
        }
        Ok(options)
    }
}

/// Builds the image, checks its files and its configuration, and runs its program.
pub(crate) fn run(options: &Options) -> Result<(), Error> {
    if find_in_path("buildah").is_none() {
        setup::install(&["buildah"], "install buildah by hand")?;
    }
    let binary = match &options.binary {
        Some(binary) => binary.clone(),
        None => linked()?,
    };
    let bytes = fs::read(&binary).map_err(|error| format!("{}: {error}", binary.display()))?;
    if needs_loader(&bytes)? {
        return Err(format!(
            "{} needs a dynamic loader, so it would not start in an empty image; build it for a musl \
             target",
            binary.display()
        )
        .into());
    }
    let folder = tempfile::tempdir()?;
    let stage = folder.path().join("build");
    fs::create_dir_all(stage.join(CERTIFICATES).parent().ok_or("no folder")?)?;
    fs::copy(Path::new("/").join(CERTIFICATES), stage.join(CERTIFICATES))
        .map_err(|error| format!("/{CERTIFICATES}: {error}; install ca-certificates"))?;
    fs::copy(&binary, stage.join("rebalancer"))?;
    let dockerfile = fs::read_to_string(root()?.join("deploy/Dockerfile"))?;
    let last = final_stage(&dockerfile).ok_or("deploy/Dockerfile has no second stage")?;
    let file = folder.path().join("Dockerfile");
    fs::write(&file, last)?;

    let buildah = Buildah(folder.path());
    let context = format!("build={}", stage.display());
    let file = file.display().to_string();
    let context = ["--build-context", &context];
    let build = [
        "build",
        "--isolation",
        "chroot",
        "--format",
        "oci",
        "--file",
        &file,
        "--tag",
        IMAGE,
    ];
    buildah.call(&[&build[..], &context, &[&root()?.display().to_string()]].concat())?;
    let config = buildah.call(&["inspect", "--type", "image", IMAGE])?;
    let config: Value = serde_json::from_str(&config)?;
    let problems = problems(&config["OCIv1"]["config"]);
    if !problems.is_empty() {
        return Err(format!("the image is wrong: {}", problems.join("; ")).into());
    }
    let container = buildah.call(&["from", "--pull-never", IMAGE])?;
    let container = container.trim();
    let mounted = buildah.call(&["mount", container])?;
    let found = files(Path::new(mounted.trim()))?;
    if found != FILES {
        return Err(format!("the image has the files {found:?}, not {FILES:?}").into());
    }
    let said = buildah.call(&[
        "run",
        "--isolation",
        "chroot",
        container,
        "--",
        "/rebalancer",
        "--version",
    ])?;
    let version = env!("CARGO_PKG_VERSION");
    if !said.contains(version) {
        return Err(format!("the program in the image says {said:?}, not {version}").into());
    }
    println!(
        "the image has {FILES:?}, and its program runs: {}",
        said.trim()
    );
    if let Some(output) = &options.output {
        let target = format!("oci-archive:{}:{IMAGE}", output.display());
        buildah.call(&["push", IMAGE, &target])?;
        println!("written: {}", output.display());
    }
    Ok(())
}

/// buildah with its storage in a folder that is removed afterwards.
struct Buildah<'a>(&'a Path);

impl Buildah<'_> {
    /// Runs buildah. Returns its standard output.
    fn call(&self, args: &[&str]) -> Result<String, Error> {
        let output = Command::new("buildah")
            .arg("--root")
            .arg(self.0.join("storage"))
            .arg("--runroot")
            .arg(self.0.join("run"))
            // Needs no privileges beyond root in a container, and no file system of its own.
            .args(["--storage-driver", "vfs"])
            .args(args)
            .output()
            .map_err(|error| format!("buildah: {error}"))?;
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        if output.status.success() {
            Ok(text(&output.stdout))
        } else {
            let said = text(&output.stderr);
            Err(format!(
                "`buildah {}` failed ({}): {said}",
                args.join(" "),
                output.status
            )
            .into())
        }
    }
}

/// Links the binary of the development profile statically. Only the last step differs from the
/// usual build, so the dependencies are not compiled again.
fn linked() -> Result<PathBuf, Error> {
    let status = cargo(&[
        "rustc",
        "--quiet",
        "--package",
        "rebalancer-cli",
        "--bin",
        "rebalancer",
        "--",
        "-Ctarget-feature=+crt-static",
    ])?;
    if status.success() {
        Ok(std::env::current_exe()?.with_file_name("rebalancer"))
    } else {
        Err(format!("the binary could not be linked statically ({status})").into())
    }
}

/// The last stage of a Dockerfile with several.
fn final_stage(dockerfile: &str) -> Option<&str> {
    let start = dockerfile.rfind("\nFROM ")?;
    dockerfile.get(start + 1..)
}

/// Whether an ELF program names a dynamic loader.
fn needs_loader(program: &[u8]) -> Result<bool, Error> {
    /// The type of the program header with the path of the loader.
    const INTERPRETER: u64 = 3;
    // 64 bits, little-endian.
    if !program.starts_with(b"\x7fELF\x02\x01") {
        return Err("the binary is no ELF file of 64 bits".into());
    }
    let number = |offset: u64, length: usize| {
        let start = usize::try_from(offset).ok()?;
        let bytes = program.get(start..start.checked_add(length)?)?;
        let value = bytes
            .iter()
            .rev()
            .fold(0, |value, byte| value << 8 | u64::from(*byte));
        Some(value)
    };
    let headers = || {
        let (table, size, count) = (number(32, 8)?, number(54, 2)?, number(56, 2)?);
        (0..count)
            .map(|index| number(table.checked_add(index * size)?, 4))
            .collect::<Option<Vec<u64>>>()
    };
    let kinds = headers().ok_or("the program headers of the binary are cut short")?;
    Ok(kinds.contains(&INTERPRETER))
}

/// The parts of the configuration of the image that are missing or wrong.
fn problems(config: &Value) -> Vec<String> {
    let label = |name: &str| &config["Labels"][format!("org.opencontainers.image.{name}")];
    let is_text = |value: &Value| value.as_str().is_some_and(|text| !text.is_empty());
    let mut problems = Vec::new();
    let mut rule = |holds: bool, problem: &str| {
        if !holds {
            problems.push(problem.to_owned());
        }
    };
    rule(config["User"] == "65532:65532", "User is not 65532:65532");
    rule(
        config["Entrypoint"] == serde_json::json!(["/rebalancer"]),
        "Entrypoint is not /rebalancer",
    );
    rule(
        *label("version") == env!("CARGO_PKG_VERSION"),
        "the label version is another one",
    );
    for name in ["title", "description", "licenses"] {
        rule(
            is_text(label(name)),
            &format!("the label {name} is missing"),
        );
    }
    problems
}

/// The files with content below a folder, by their paths. buildah creates some files in `/etc`, of
/// which only the certificates are from the image.
fn files(folder: &Path) -> Result<Vec<String>, Error> {
    let mut found = Vec::new();
    let mut open = vec![folder.to_owned()];
    while let Some(next) = open.pop() {
        for entry in fs::read_dir(&next)? {
            let path = entry?.path();
            if path.is_dir() {
                open.push(path);
                continue;
            }
            let path = path.strip_prefix(folder)?.display().to_string();
            let by_buildah = ["etc/hosts", "etc/resolv.conf", "etc/hostname"];
            if !by_buildah.contains(&path.as_str()) {
                found.push(path);
            }
        }
    }
    found.sort();
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn final_stage_starts_from_nothing() {
        let dockerfile = fs::read_to_string(root().unwrap().join("deploy/Dockerfile")).unwrap();
        let stage = final_stage(&dockerfile).unwrap();
        assert!(stage.starts_with("FROM scratch\n"), "{stage}");
        assert!(stage.contains("COPY --from=build /rebalancer /rebalancer\n"));
        assert_eq!(final_stage("FROM scratch\n"), None);
    }

    /// The context of the image has the files that the stages copy: `.dockerignore` excludes none
    /// of them.
    #[test]
    fn context_has_every_package_and_file() {
        let root = root().unwrap();
        let ignore = fs::read_to_string(root.join(".dockerignore")).unwrap();
        let is_sent = |path: &str| {
            ignore
                .lines()
                .filter_map(|line| line.strip_prefix('!'))
                .any(|kept| {
                    let kept = kept.strip_suffix('*').unwrap_or(kept);
                    path.starts_with(kept)
                })
        };
        let dockerfile = fs::read_to_string(root.join("deploy/Dockerfile")).unwrap();
        let copied = dockerfile.lines().filter_map(|line| {
            let source = line.strip_prefix("COPY ")?.split(' ').next()?;
            (source != "." && !source.starts_with("--")).then_some(source)
        });
        let copied: Vec<&str> = copied.collect();
        assert!(!copied.is_empty());
        for source in copied {
            assert!(root.join(source).exists() && is_sent(source), "{source}");
        }
        for package in crate::packages::packages().unwrap() {
            let folder = package.folder.strip_prefix(root).unwrap();
            assert!(is_sent(folder.to_str().unwrap()), "{}", package.name);
        }
    }

    #[test]
    fn program_with_a_loader_is_recognised() {
        // The test itself is linked dynamically.
        let own = fs::read(std::env::current_exe().unwrap()).unwrap();
        assert!(needs_loader(&own).unwrap());
        // One header, of a segment to load.
        let mut header = vec![0; 120];
        header[..6].copy_from_slice(b"\x7fELF\x02\x01");
        header[32] = 64;
        header[54] = 56;
        header[56] = 1;
        header[64] = 1;
        assert!(!needs_loader(&header).unwrap());
        header[64] = 3;
        assert!(needs_loader(&header).unwrap());
        assert!(needs_loader(&header[..64]).is_err());
        assert!(needs_loader(b"#!/bin/sh\n").is_err());
    }

    #[test]
    fn image_without_its_user_is_wrong() {
        let mut config = json!({
            "User": "65532:65532",
            "Entrypoint": ["/rebalancer"],
            "Labels": {
                "org.opencontainers.image.title": "rebalancer",
                "org.opencontainers.image.description": "…",
                "org.opencontainers.image.version": env!("CARGO_PKG_VERSION"),
                "org.opencontainers.image.licenses": "MIT",
            },
        });
        assert_eq!(problems(&config), Vec::<String>::new());
        config["User"] = json!("root");
        assert_eq!(problems(&config), ["User is not 65532:65532"]);
        assert_eq!(problems(&json!({})).len(), 6);
    }

    #[test]
    fn options_name_files() {
        let parse =
            |args: &[&str]| Options::parse(&args.iter().map(Into::into).collect::<Vec<_>>());
        assert_eq!(parse(&[]), Ok(Options::default()));
        let options = parse(&["--binary", "a", "--output", "b"]).unwrap();
        assert_eq!(options.binary, Some("a".into()));
        assert_eq!(options.output, Some("b".into()));
        assert!(parse(&["--binary"]).unwrap_err().contains("takes a file"));
        assert!(parse(&["--push"]).unwrap_err().contains("--push"));
    }
}
