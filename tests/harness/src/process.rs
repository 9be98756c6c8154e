//! Servers as child processes that end with the process that started them.

use std::{
    ffi::OsString,
    fs::File,
    net::{Ipv4Addr, TcpListener},
    os::unix::process::CommandExt as _,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::atomic::{AtomicU32, Ordering},
    time::{Duration, Instant},
};

use crate::{Error, Result};

/// The variable that keeps the servers' directories and logs when it is set.
pub const KEEP_VARIABLE: &str = "REBALANCER_TEST_KEEP";

/// Runs the server in the background and waits for the end of standard input.
///
/// Only the harness holds the other end of standard input, so it is closed however the harness
/// ends: by a return, a panic, a signal, or SIGKILL while the server is in a static that is never
/// dropped. A parent-death signal would depend on the thread that forked, which in a test ends
/// early.
///
/// The file `.stop` is written before the kill. With it, the shell knows that the end was requested
/// and removes the directory, unless the server is to be started again (the file `.keep`). Without
/// it, the server crashed, and its log is kept.
const GUARD: &str = r#"
keep=$1 dir=$2
shift 2
exec 3<&0
"$@" </dev/null 3<&- &
server=$!
{ cat <&3 >/dev/null; : >"$dir/.stop"; kill -9 "$server"; } &
watcher=$!
exec 3<&-
wait "$server"
status=$?
if [ -e "$dir/.stop" ]; then
    [ "$keep" = keep ] || [ -e "$dir/.keep" ] || rm -rf -- "$dir"
else
    kill "$watcher"
fi
exit "$status"
"#;

/// The name of the log in a server's directory.
const LOG: &str = "log";
/// The files with which [`GUARD`] is controlled.
const STOP_FILE: &str = ".stop";
const KEEP_FILE: &str = ".keep";

/// A running server.
///
/// Dropping it kills it and removes its directory.
#[derive(Debug)]
pub struct Server {
    name: String,
    program: PathBuf,
    args: Vec<OsString>,
    guard: Child,
    dir: PathBuf,
    log: PathBuf,
}

impl Server {
    /// Starts a program that writes its output to `log` in `dir`.
    ///
    /// The server then owns the directory.
    ///
    /// # Errors
    /// If the log cannot be written or the shell cannot be started.
    pub fn spawn(
        name: &str,
        program: &Path,
        args: impl IntoIterator<Item = impl Into<OsString>>,
        dir: PathBuf,
    ) -> Result<Self> {
        let args: Vec<OsString> = args.into_iter().map(Into::into).collect();
        Ok(Self {
            name: name.to_owned(),
            guard: launch(name, program, &args, &dir)?,
            program: program.to_owned(),
            args,
            log: dir.join(LOG),
            dir,
        })
    }

    /// Kills the server and keeps its directory, so that it can be started again.
    ///
    /// # Errors
    /// If the directory cannot be written.
    pub fn kill(&mut self) -> Result<()> {
        let keep = self.dir.join(KEEP_FILE);
        File::create(&keep).map_err(Error::io(format!("write {}", keep.display())))?;
        drop(self.guard.stdin.take());
        let ended = self.guard.wait();
        ended.map_err(Error::io(format!("kill {}", self.name)))?;
        Ok(())
    }

    /// Starts the server again after [`kill`](Self::kill), with its arguments and files.
    ///
    /// # Errors
    /// As [`spawn`](Self::spawn).
    pub fn start_again(&mut self) -> Result<()> {
        for name in [KEEP_FILE, STOP_FILE] {
            let file = self.dir.join(name);
            let removed = std::fs::remove_file(&file);
            removed.map_err(Error::io(format!("remove {}", file.display())))?;
        }
        self.guard = launch(&self.name, &self.program, &self.args, &self.dir)?;
        Ok(())
    }

    /// Calls `ready` until it succeeds, the server exits, or the deadline has passed.
    ///
    /// # Errors
    /// The end of the server's log, when it did not become ready.
    pub async fn wait_ready(
        &mut self,
        deadline: Duration,
        mut ready: impl AsyncFnMut() -> Result<(), String>,
    ) -> Result<()> {
        let started = Instant::now();
        loop {
            let reason = match ready().await {
                Ok(()) => return Ok(()),
                Err(reason) => reason,
            };
            let ended = self
                .guard
                .try_wait()
                .map_err(Error::io(format!("watch {}", self.name)))?;
            let reason = match ended {
                Some(status) => format!("it exited with {status}"),
                None if started.elapsed() >= deadline => {
                    format!("after {} s: {reason}", deadline.as_secs())
                }
                None => {
                    tokio::time::sleep(Duration::from_millis(50)).await;
                    continue;
                }
            };
            return Err(Error::Start {
                name: self.name.clone(),
                reason,
                log: self.log.clone(),
                tail: tail(&self.log, 30),
            });
        }
    }

    /// The directory of the server's files.
    #[must_use]
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// The last lines of the server's log.
    #[must_use]
    pub fn log_tail(&self, lines: usize) -> String {
        tail(&self.log, lines)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.guard.stdin.take());
        // An error means that the guard has already exited.
        let _ = self.guard.wait();
        if !keep() {
            // The guard removes the directory, unless the server has crashed.
            let _ = std::fs::remove_dir_all(&self.dir);
        }
    }
}

/// Starts a program, with its guard, in a directory.
fn launch(name: &str, program: &Path, args: &[OsString], dir: &Path) -> Result<Child> {
    let log = dir.join(LOG);
    let failed = || Error::io(format!("write {}", log.display()));
    let out = File::options()
        .create(true)
        .append(true)
        .open(&log)
        .map_err(failed())?;
    let err = out.try_clone().map_err(failed())?;
    let keep = if keep() { "keep" } else { "remove" };
    Command::new("/bin/sh")
        .arg("-c")
        .arg(GUARD)
        .arg(format!("{name}-guard"))
        .arg(keep)
        .arg(dir)
        .arg(program)
        .args(args)
        .current_dir(dir)
        .stdin(Stdio::piped())
        .stdout(out)
        .stderr(err)
        // Ctrl-C in a terminal signals the whole process group. The servers should end through
        // the closed pipe instead.
        .process_group(0)
        .spawn()
        .map_err(Error::io(format!("start /bin/sh for {name}")))
}

fn keep() -> bool {
    std::env::var_os(KEEP_VARIABLE).is_some()
}

/// Creates a directory for a server's files.
///
/// # Errors
/// If the temporary directory is not writable.
pub fn server_dir(name: &str) -> Result<PathBuf> {
    tempfile::Builder::new()
        .prefix(&format!("rebalancer-{name}-"))
        .tempdir()
        .map(tempfile::TempDir::keep)
        .map_err(Error::io(format!(
            "create a temporary directory for {name}"
        )))
}

/// Returns a free loopback port that this process has not used before. It is below the ports that
/// the system gives to connections (from 32768 on Linux), so that it stays free until the server
/// binds it, also after a restart of the server.
///
/// # Errors
/// If a thousand ports in a row are in use.
pub fn free_port() -> Result<u16> {
    static TRIED: AtomicU32 = AtomicU32::new(0);
    const FIRST: u32 = 10_000;
    const COUNT: u32 = 22_000;
    // Processes that run at the same time begin in different places.
    let start = std::process::id() % COUNT * 61;
    let mut attempts = 0;
    loop {
        attempts += 1;
        let place = (start + TRIED.fetch_add(1, Ordering::Relaxed)) % COUNT;
        let port = u16::try_from(FIRST + place).unwrap_or(u16::MAX);
        match TcpListener::bind((Ipv4Addr::LOCALHOST, port)) {
            Ok(_) => return Ok(port),
            Err(error) if attempts == 1_000 => {
                return Err(Error::io("find a free port on 127.0.0.1")(error));
            }
            Err(_) => {}
        }
    }
}

/// Starts a server with up to three attempts: another process may take the port between its choice
/// and the start.
///
/// # Errors
/// The error of the last attempt.
pub async fn with_ports<T>(mut start: impl AsyncFnMut() -> Result<T>) -> Result<T> {
    let mut attempts = 0;
    loop {
        attempts += 1;
        match start().await {
            Err(Error::Start { tail, .. })
                if attempts < 3 && tail.to_ascii_lowercase().contains("address already in use") => {
            }
            result => return result,
        }
    }
}

fn tail(log: &Path, lines: usize) -> String {
    let text = std::fs::read(log).unwrap_or_default();
    let text = String::from_utf8_lossy(&text);
    let all: Vec<&str> = text.lines().collect();
    let from = all.len().saturating_sub(lines);
    all.get(from..).unwrap_or_default().join("\n")
}
