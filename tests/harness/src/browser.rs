//! A headless Chromium, which shows HTML files.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use tokio::process::Command;

use crate::assets::installed_program;
use crate::{Error, Result};

/// Debian package and program.
pub const PROGRAM: &str = "chromium-headless-shell";
/// The variable that replaces the program.
pub const VARIABLE: &str = "CHROMIUM_BIN";

/// The limit for one call.
const TIMEOUT: Duration = Duration::from_secs(120);

/// The size of a window, in CSS pixels.
#[derive(Debug, Clone, Copy)]
pub struct Window {
    /// The width.
    pub width: u32,
    /// The height.
    pub height: u32,
    /// Whether the system has a dark colour scheme.
    pub dark: bool,
}

/// Loads a file, lets its scripts run, and returns the document as HTML.
///
/// # Errors
/// If Chromium is missing or fails.
pub async fn document(file: &Path, window: Window) -> Result<String> {
    let output = call(file, window, &["--dump-dom".to_owned()]).await?;
    Ok(String::from_utf8_lossy(&output).into_owned())
}

/// Loads a file and writes what the window shows to a PNG file.
///
/// # Errors
/// If Chromium is missing or fails.
pub async fn screenshot(file: &Path, window: Window, png: &Path) -> Result<()> {
    let option = format!("--screenshot={}", png.display());
    call(file, window, &[option]).await.map(drop)
}

async fn call(file: &Path, window: Window, options: &[String]) -> Result<Vec<u8>> {
    let program: PathBuf = installed_program(PROGRAM, VARIABLE)?;
    let profile = tempfile::tempdir().map_err(Error::io("create a profile for Chromium"))?;
    let mut command = Command::new(&program);
    command
        .args([
            "--no-sandbox",
            "--disable-gpu",
            "--disable-dev-shm-usage",
            "--hide-scrollbars",
            // Lets scripts run without waiting for real time.
            "--virtual-time-budget=5000",
        ])
        .arg(format!("--user-data-dir={}", profile.path().display()))
        .arg(format!("--window-size={},{}", window.width, window.height));
    if window.dark {
        // 0 is dark, 1 is light.
        command.arg("--blink-settings=preferredColorScheme=0");
    }
    command
        .args(options)
        .arg(format!("file://{}", file.display()))
        .stdin(Stdio::null())
        .kill_on_drop(true);
    let action = || format!("run {} on {}", program.display(), file.display());
    let output = tokio::time::timeout(TIMEOUT, command.output())
        .await
        .map_err(|elapsed| Error::io(action())(elapsed.into()))?
        .map_err(Error::io(action()))?;
    if output.status.success() {
        return Ok(output.stdout);
    }
    Err(Error::Document {
        what: action(),
        message: String::from_utf8_lossy(&output.stderr).into_owned(),
    })
}
