//! The manifest in the hands of krew: an archive of the program, installed as a plugin of kubectl.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;

use harness::assets::{ControlPlanePrograms, KREW};
use harness::rebalancer::binary;

use super::{PROGRAM, Release, manifest};
use crate::{Error, cargo, setup};

/// Installs and runs the plugin, in a folder of its own.
pub(super) fn run() -> Result<(), Error> {
    setup::build(&KREW, "krew, once")?;
    if !cargo(&["build", "--package", "rebalancer-cli"])?.success() {
        return Err("the binary could not be built".into());
    }
    let folder = tempfile::tempdir()?;
    let folder = folder.path();
    let archive = archive(folder)?;
    let version = env!("CARGO_PKG_VERSION");
    let release = Release {
        version: version.to_owned(),
        url: "https://downloads.example.org".to_owned(),
        archives: vec![archive.clone()],
    };
    // krew takes the name of the plugin from that of the file.
    let file = folder.join(format!("{PROGRAM}.yaml"));
    fs::write(&file, manifest(&release)?)?;

    let programs = folder.join("programs");
    fs::create_dir(&programs)?;
    symlink(
        ControlPlanePrograms::locate()?.kubectl,
        programs.join("kubectl"),
    )?;
    symlink(KREW.locate()?, programs.join("kubectl-krew"))?;
    let kubectl = |args: &[&str]| kubectl(folder, &programs, args);
    let file = format!("--manifest={}", file.display());
    let archive = format!("--archive={}", archive.display());
    kubectl(&["krew", "install", &file, &archive])?;
    let said = kubectl(&[PROGRAM, "--version"])?;
    if !said.contains(version) {
        return Err(format!("the plugin says {said:?}, not the version {version}").into());
    }
    eprintln!("krew installs the plugin, and kubectl runs it");
    Ok(())
}

/// Writes an archive of the program, as releases have them. Returns its path.
fn archive(folder: &Path) -> Result<PathBuf, Error> {
    let archive = folder.join(format!("{PROGRAM}-{}.tar.gz", platform()?));
    let binary = binary()?;
    let home = binary.parent().ok_or("the binary is in no folder")?;
    call(
        Command::new("tar")
            .args(["-czf".as_ref(), archive.as_os_str(), "-C".as_ref()])
            .args([home.as_os_str(), PROGRAM.as_ref()]),
    )?;
    Ok(archive)
}

/// Runs kubectl with krew, whose files are in `folder`. Returns the output.
fn kubectl(folder: &Path, programs: &Path, args: &[&str]) -> Result<String, Error> {
    let usual = std::env::var_os("PATH").unwrap_or_default();
    let ours = [programs.to_owned(), folder.join("bin")];
    let path = std::env::join_paths(ours.into_iter().chain(std::env::split_paths(&usual)))?;
    call(
        Command::new(programs.join("kubectl"))
            .args(args)
            .env("PATH", path)
            .env("HOME", folder)
            .env("KREW_ROOT", folder)
            .env("KREW_NO_UPGRADE_CHECK", "1"),
    )
}

/// Runs a command. Returns its standard output.
fn call(command: &mut Command) -> Result<String, Error> {
    let output = command
        .output()
        .map_err(|error| format!("{command:?}: {error}"))?;
    if output.status.success() {
        return Ok(String::from_utf8(output.stdout)?);
    }
    let said = String::from_utf8_lossy(&output.stderr);
    Err(format!("{command:?} failed ({}): {said}", output.status).into())
}

/// The platform of this machine, as archives name it.
fn platform() -> Result<String, Error> {
    let os = match std::env::consts::OS {
        "macos" => "darwin",
        os => os,
    };
    let arch = match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => return Err(format!("krew has no archive for {other}").into()),
    };
    Ok(format!("{os}-{arch}"))
}
