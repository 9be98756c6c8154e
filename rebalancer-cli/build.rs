//! Makes the release binary smaller when it is linked.
//!
//! - Functions with the same code are folded. Rust promises no addresses of functions.
//! - The tables for unwinding are left out: 1.1 MB that nothing reads. A panic of a release aborts,
//!   and its backtrace would have no names, since the symbols are stripped.
//!
//! Cargo has no setting for either, and linkers differ. So each option is tried on an empty program
//! first, and one that the linker does not know is not used.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// The script of the linker that leaves out the tables. It extends the linker's own one.
const WITHOUT_TABLES: &str = "\
SECTIONS { /DISCARD/ : { *(.eh_frame) *(.eh_frame_hdr) *(.gcc_except_table*) } } INSERT AFTER .text;
";

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    // Other profiles are for development: their panics unwind, and their backtraces have names.
    if env::var("OPT_LEVEL").as_deref() != Ok("z")
        || env::var("PROFILE").as_deref() != Ok("release")
    {
        return;
    }
    let Some(directory) = env::var_os("OUT_DIR").map(PathBuf::from) else {
        return;
    };
    let script = directory.join("without_tables.ld");
    let mut groups = vec![vec!["-Wl,--icf=all".to_owned()]];
    if fs::write(&script, WITHOUT_TABLES).is_ok() {
        groups.push(vec![
            "-Wl,--no-eh-frame-hdr".to_owned(),
            format!("-Wl,-T,{}", script.display()),
        ]);
    }
    for arguments in groups {
        if links(&directory, &arguments) {
            for argument in arguments {
                println!("cargo::rustc-link-arg-bins={argument}");
            }
        }
    }
}

/// Whether the linker of this build takes the arguments.
fn links(directory: &Path, arguments: &[String]) -> bool {
    let program = directory.join("empty.rs");
    let (Some(rustc), Some(target)) = (env::var_os("RUSTC"), env::var_os("TARGET")) else {
        return false;
    };
    if fs::write(&program, "fn main() {}\n").is_err() {
        return false;
    }
    let mut command = Command::new(rustc);
    command
        .arg(&program)
        .args(["-C", "panic=abort", "--target"])
        .arg(target)
        .arg("-o")
        .arg(directory.join("empty"))
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    if let Some(linker) = env::var_os("RUSTC_LINKER") {
        let mut option = std::ffi::OsString::from("linker=");
        option.push(linker);
        command.arg("-C").arg(option);
    }
    if let Ok(flags) = env::var("CARGO_ENCODED_RUSTFLAGS") {
        command.args(flags.split('\u{1f}').filter(|flag| !flag.is_empty()));
    }
    for argument in arguments {
        command.arg("-C").arg(format!("link-arg={argument}"));
    }
    command.status().is_ok_and(|status| status.success())
}
