//! A headless Chromium, which shows HTML files.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use serde_json::Value;
use tokio::process::Command;

use crate::assets::installed_program;
use crate::{Error, Result};

/// Debian package and program.
pub const PROGRAM: &str = "chromium-headless-shell";
/// The variable that replaces the program.
pub const VARIABLE: &str = "CHROMIUM_BIN";

/// The limit for one call.
const TIMEOUT: Duration = Duration::from_secs(120);

/// Measures a page in an iframe: its width, and the bars of its chart. A page cannot measure
/// itself, since it has no script.
const MEASURE: &str = r#"<!DOCTYPE html><meta charset="utf-8"><body style="margin:0">
<iframe id="page" style="border:0;width:WIDTHpx;height:4000px" srcdoc="PAGE"></iframe>
<pre id="result"></pre>
<script>
const frame = document.getElementById("page");
frame.onload = () => {
  const page = frame.contentDocument;
  const boxes = [...page.querySelectorAll("svg rect:not(.after)")].map(r => r.getBoundingClientRect());
  const body = frame.contentWindow.getComputedStyle(page.body);
  document.getElementById("result").textContent = JSON.stringify({
    overflow: page.documentElement.scrollWidth - page.documentElement.clientWidth,
    bars: boxes.filter(box => box.width > 0 && box.height > 0).length,
    lines: [...page.querySelectorAll("svg path")]
      .filter(line => line.getBoundingClientRect().width > 0).length,
    dots: page.querySelectorAll("svg circle").length,
    rows: page.querySelectorAll("tbody tr").length,
    background: body.backgroundColor,
    color: body.color,
  });
};
</script>"#;

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

/// Measures a report of the program in a window: its overflow, the bars, lines and dots of its
/// chart, its rows and its colours.
///
/// # Errors
/// If the page cannot be read, or Chromium is missing or fails.
pub async fn measured(page: &Path, window: Window) -> Result<Value> {
    let action = || format!("measure {}", page.display());
    let html = std::fs::read_to_string(page).map_err(Error::io(action()))?;
    let html = html.replace('&', "&amp;").replace('"', "&quot;");
    let measure = MEASURE.replace("WIDTH", &window.width.to_string());
    let file = page.with_extension(format!("{}.measure.html", window.width));
    std::fs::write(&file, measure.replace("PAGE", &html)).map_err(Error::io(action()))?;
    let document = document(&file, window).await?;
    let result = document.split_once("<pre id=\"result\">");
    let result = result.and_then(|(_, rest)| rest.split_once("</pre>"));
    let (result, _) = result.ok_or_else(|| Error::document(action())(&document))?;
    serde_json::from_str(result)
        .map_err(|error| Error::document(action())(format!("{error}: {document}")))
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
