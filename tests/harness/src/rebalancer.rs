//! The program under test as a child process.

use std::{
    collections::BTreeMap,
    ffi::{OsStr, OsString},
    fmt,
    path::PathBuf,
    process::{ExitStatus, Stdio},
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use serde::de::DeserializeOwned;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt as _},
    process::{Child, Command},
    task::JoinHandle,
};

use crate::{
    Error, Result,
    wait::{Look, until},
};

/// Pause between two looks at the output of a running program.
const PAUSE: Duration = Duration::from_millis(10);

/// The variable with the path of the binary under test.
pub const BINARY_VARIABLE: &str = "REBALANCER_BIN";

/// Locates the binary: `REBALANCER_BIN`, else next to the current executable.
///
/// # Errors
/// If the binary has not been built.
pub fn binary() -> Result<PathBuf> {
    if let Some(path) = std::env::var_os(BINARY_VARIABLE) {
        return Ok(PathBuf::from(path));
    }
    let own = std::env::current_exe().map_err(Error::io("find the current executable"))?;
    // A test is in `deps` of the profile's directory; xtask is in the directory itself.
    let found = own
        .ancestors()
        .skip(1)
        .take(2)
        .map(|dir| dir.join("rebalancer"))
        .find(|path| path.is_file());
    found.ok_or_else(|| Error::Missing {
        program: "rebalancer".to_owned(),
        place: format!(" beside {}", own.display()),
        hint: format!(
            "run `cargo xtask test`, or `cargo build -p rebalancer-cli`, or set {BINARY_VARIABLE}"
        ),
    })
}

/// A call of the program. Its environment contains only the variables set here.
#[derive(Debug, Clone)]
pub struct Rebalancer {
    args: Vec<OsString>,
    env: BTreeMap<OsString, OsString>,
    stdin: Option<String>,
    timeout: Duration,
}

impl Default for Rebalancer {
    fn default() -> Self {
        Self::new()
    }
}

impl Rebalancer {
    /// A call without arguments and variables, with a timeout of one minute.
    #[must_use]
    pub fn new() -> Self {
        Self {
            args: Vec::new(),
            env: BTreeMap::new(),
            stdin: None,
            timeout: Duration::from_secs(60),
        }
    }

    /// Adds an argument.
    #[must_use]
    pub fn arg(mut self, arg: impl Into<OsString>) -> Self {
        self.args.push(arg.into());
        self
    }

    /// Adds arguments.
    #[must_use]
    pub fn args(mut self, args: impl IntoIterator<Item = impl Into<OsString>>) -> Self {
        self.args.extend(args.into_iter().map(Into::into));
        self
    }

    /// Sets a variable.
    #[must_use]
    pub fn env(mut self, key: impl AsRef<OsStr>, value: impl AsRef<OsStr>) -> Self {
        self.env
            .insert(key.as_ref().to_owned(), value.as_ref().to_owned());
        self
    }

    /// Sets variables.
    #[must_use]
    pub fn envs(
        mut self,
        variables: impl IntoIterator<Item = (impl AsRef<OsStr>, impl AsRef<OsStr>)>,
    ) -> Self {
        for (key, value) in variables {
            self = self.env(key, value);
        }
        self
    }

    /// Removes a variable.
    #[must_use]
    pub fn without_env(mut self, key: impl AsRef<OsStr>) -> Self {
        self.env.remove(key.as_ref());
        self
    }

    /// The variables, sorted by name.
    pub fn variables(&self) -> impl Iterator<Item = (&OsStr, &OsStr)> {
        self.env
            .iter()
            .map(|(key, value)| (key.as_os_str(), value.as_os_str()))
    }

    /// Sets the text for standard input, which is empty otherwise.
    #[must_use]
    pub fn stdin(mut self, text: impl Into<String>) -> Self {
        self.stdin = Some(text.into());
        self
    }

    /// Sets the time after which the program is killed and the call fails.
    #[must_use]
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// Runs the program and waits for its end.
    ///
    /// # Errors
    /// If the binary is missing, or the program exceeds the timeout.
    pub async fn run(self) -> Result<Run> {
        self.spawn()?.wait().await
    }

    /// Starts the program.
    ///
    /// # Errors
    /// If the binary is missing.
    pub fn spawn(self) -> Result<Running> {
        let binary = binary()?;
        let mut child = Command::new(&binary)
            .args(&self.args)
            .env_clear()
            .envs(&self.env)
            .stdin(if self.stdin.is_some() {
                Stdio::piped()
            } else {
                Stdio::null()
            })
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .map_err(Error::io(format!("start {}", binary.display())))?;
        if let (Some(mut pipe), Some(text)) = (child.stdin.take(), self.stdin) {
            // If the program does not read its input, the test sees that in the program's
            // behaviour.
            tokio::spawn(async move { pipe.write_all(text.as_bytes()).await.ok() });
        }
        Ok(Running {
            stdout: Output::of(child.stdout.take()),
            stderr: Output::of(child.stderr.take()),
            child,
            started: Instant::now(),
            timeout: self.timeout,
        })
    }
}

/// The text that the program has written to a pipe.
#[derive(Debug)]
struct Output {
    bytes: Arc<Mutex<Vec<u8>>>,
    reading: JoinHandle<()>,
}

impl Output {
    fn of(pipe: Option<impl AsyncReadExt + Unpin + Send + 'static>) -> Self {
        let bytes = Arc::<Mutex<Vec<u8>>>::default();
        let written = Arc::clone(&bytes);
        let reading = tokio::spawn(async move {
            let Some(mut pipe) = pipe else { return };
            let mut part = Vec::with_capacity(8192);
            // Output before a read error is still useful.
            while let Ok(1..) = pipe.read_buf(&mut part).await {
                let mut written = written.lock().unwrap_or_else(PoisonError::into_inner);
                written.append(&mut part);
            }
        });
        Self { bytes, reading }
    }

    fn text(&self) -> String {
        let bytes = self.bytes.lock().unwrap_or_else(PoisonError::into_inner);
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// The text until the program closed the pipe.
    async fn complete(mut self) -> String {
        // The reading task does not panic.
        let _ = (&mut self.reading).await;
        self.text()
    }
}

/// The running program. Dropping it kills it.
#[derive(Debug)]
pub struct Running {
    child: Child,
    stdout: Output,
    stderr: Output,
    started: Instant,
    timeout: Duration,
}

impl Running {
    /// The process id; `None` after the end.
    #[must_use]
    pub fn id(&self) -> Option<u32> {
        self.child.id()
    }

    /// Waits until the log contains a text.
    ///
    /// # Errors
    /// If it does not within the timeout of the program, or before its end; the error contains the
    /// log.
    pub async fn wait_logged(&self, text: &str) -> Result<()> {
        let what = format!("`{text}` in the log of rebalancer");
        until(what.as_str(), self.timeout, PAUSE, async || {
            let has_ended = self.stderr.reading.is_finished();
            let log = self.stderr.text();
            match log.contains(text) {
                true => Ok(Look::Done(())),
                false if has_ended => Err(Error::document(what.as_str())(log)),
                false => Ok(Look::Not(log)),
            }
        })
        .await
    }

    /// Kills the program (SIGKILL) and waits for its end.
    ///
    /// # Errors
    /// As [`Self::wait`], or if the signal cannot be sent.
    pub async fn kill(mut self) -> Result<Run> {
        self.child
            .start_kill()
            .map_err(Error::io("kill rebalancer"))?;
        self.wait().await
    }

    /// Sends SIGTERM, as a kubelet does.
    ///
    /// # Errors
    /// If the signal cannot be sent.
    pub async fn terminate(&self) -> Result<()> {
        let Some(id) = self.child.id() else {
            return Ok(());
        };
        let status = Command::new("kill")
            .arg("-TERM")
            .arg(id.to_string())
            .status()
            .await;
        status
            .map(drop)
            .map_err(Error::io(format!("send SIGTERM to {id}")))
    }

    /// Waits for the end of the program.
    ///
    /// # Errors
    /// If the program exceeds the timeout; the error contains its output.
    pub async fn wait(mut self) -> Result<Run> {
        let status = match tokio::time::timeout(self.timeout, self.child.wait()).await {
            Ok(status) => Some(status.map_err(Error::io("wait for rebalancer"))?),
            Err(_) => {
                self.child
                    .kill()
                    .await
                    .map_err(Error::io("kill rebalancer"))?;
                None
            }
        };
        let elapsed = self.started.elapsed();
        let run = Run {
            code: status.as_ref().and_then(ExitStatus::code),
            stdout: self.stdout.complete().await,
            stderr: self.stderr.complete().await,
            elapsed,
        };
        if status.is_none() {
            let what = "the end of rebalancer".to_owned();
            return Err(Error::Timeout {
                what,
                after: self.timeout,
                last: run.to_string(),
            });
        }
        Ok(run)
    }
}

/// The outcome of a run. `Display` prints everything, for the messages of assertions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Run {
    /// The exit code; `None` after a signal.
    pub code: Option<i32>,
    /// Standard output: the result.
    pub stdout: String,
    /// Standard error: the logs.
    pub stderr: String,
    /// Time from start to end.
    pub elapsed: Duration,
}

impl Run {
    /// Parses standard output as a JSON document.
    ///
    /// # Errors
    /// If it does not have that form; the error contains all output.
    pub fn json<T: DeserializeOwned>(&self) -> Result<T> {
        serde_json::from_str(&self.stdout)
            .map_err(|error| Error::document(format!("standard output ({error}) of a run"))(self))
    }
}

impl fmt::Display for Run {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.code {
            Some(code) => write!(f, "exit code {code}")?,
            None => f.write_str("killed")?,
        }
        let seconds = self.elapsed.as_secs_f64();
        write!(
            f,
            " after {seconds:.2} s\n--- stdout\n{}\n--- stderr\n{}",
            self.stdout.trim_end(),
            self.stderr.trim_end()
        )
    }
}
