//! Shells and kubectl, with the program under test in their `PATH`.

use std::{ffi::OsString, os::unix::fs::symlink, path::Path, process::Stdio};

use ::harness::{
    assets::{ControlPlanePrograms, find_in_path},
    rebalancer::binary,
};
use tokio::process::Command;

/// A command of an installed shell in which the program under test is `rebalancer`. Its environment
/// has nothing else but a home folder.
pub(crate) fn shell(name: &str, home: &Path) -> Command {
    let path = find_in_path(name);
    let path = path.unwrap_or_else(|| panic!("{name} is missing: run `cargo xtask setup`"));
    let program = binary().unwrap();
    command(&path, program.parent().unwrap(), home)
}

/// A command of bash in which kubectl is installed, and the program under test is `rebalancer` and
/// kubectl's plugin of that name. The links to them are in `home`.
pub(crate) fn shell_with_kubectl(home: &Path) -> Command {
    let folder = home.join("bin");
    std::fs::create_dir_all(&folder).unwrap();
    let (program, kubectl) = (
        binary().unwrap(),
        ControlPlanePrograms::locate().unwrap().kubectl,
    );
    for (name, target) in [
        ("rebalancer", &program),
        ("kubectl-rebalancer", &program),
        ("kubectl", &kubectl),
    ] {
        let link = folder.join(name);
        if !link.exists() {
            symlink(target, link).unwrap();
        }
    }
    command(Path::new("bash"), &folder, home)
}

fn command(program: &Path, first_in_path: &Path, home: &Path) -> Command {
    let usual = std::env::var_os("PATH").unwrap();
    let folders = std::iter::once(first_in_path.to_owned()).chain(std::env::split_paths(&usual));
    let path: OsString = std::env::join_paths(folders).unwrap();
    let mut command = Command::new(program);
    command
        .env_clear()
        .env("PATH", path)
        .env("HOME", home)
        // The start-up files of zsh.
        .env("ZDOTDIR", home)
        .env("TERM", "xterm")
        .current_dir(home)
        .stdin(Stdio::null());
    command
}
