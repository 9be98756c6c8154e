//! The terminal while the program waits: one line, updated in place.

use std::{
    io::Read as _,
    os::fd::OwnedFd,
    process::{Child, Command, Stdio},
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use ::harness::{Limit, Rebalancer, Result, TestNamespace, WorkloadSpec, rebalancer::binary};
use nix::{
    pty::{Winsize, openpty},
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use rstest::rstest;
use serde_json::Value;

use crate::support::skewed;

/// A width that shows the whole line.
const WIDE: u16 = 120;
/// A width that cuts the line.
const NARROW: u16 = 40;

/// The program with its standard error connected to a terminal.
struct OnTerminal {
    child: Child,
    /// The output on the terminal so far.
    written: Arc<Mutex<Vec<u8>>>,
    reader: std::thread::JoinHandle<()>,
}

impl OnTerminal {
    fn start(program: &Rebalancer, columns: u16) -> Result<Self> {
        let size = Winsize {
            ws_row: 24,
            ws_col: columns,
            ws_xpixel: 0,
            ws_ypixel: 0,
        };
        let pty = openpty(Some(&size), None).unwrap();
        let child = Command::new(binary()?)
            .env_clear()
            .envs(program.variables())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::from(pty.slave))
            .spawn()
            .unwrap();
        let written = Arc::new(Mutex::new(Vec::new()));
        let reader = read_all(pty.master, Arc::clone(&written));
        Ok(Self {
            child,
            written,
            reader,
        })
    }

    fn written(&self) -> String {
        let written = self.written.lock().unwrap_or_else(PoisonError::into_inner);
        String::from_utf8_lossy(&written).into_owned()
    }

    /// Waits until the words appear; panics after a timeout.
    async fn shows(&self, words: &str) {
        let started = Instant::now();
        while !self.written().contains(words) {
            let written = self.written();
            assert!(
                started.elapsed() < Duration::from_secs(40),
                "no {words:?} in {written:?}"
            );
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    fn signal(&self, signal: Signal) {
        let id = Pid::from_raw(self.child.id().try_into().unwrap());
        kill(id, signal).unwrap();
    }

    /// The exit code, the report, and the output on the terminal.
    fn end(mut self) -> (Option<i32>, Value, String) {
        let mut report = String::new();
        let stdout = self.child.stdout.as_mut().unwrap();
        stdout.read_to_string(&mut report).unwrap();
        let status = self.child.wait().unwrap();
        self.reader.join().unwrap();
        let written = self.written.lock().unwrap_or_else(PoisonError::into_inner);
        let written = String::from_utf8(written.clone()).unwrap();
        let report = serde_json::from_str(&report).unwrap_or(Value::Null);
        (status.code(), report, written)
    }
}

fn read_all(master: OwnedFd, into: Arc<Mutex<Vec<u8>>>) -> std::thread::JoinHandle<()> {
    std::thread::spawn(move || {
        let mut master = std::fs::File::from(master);
        let mut piece = [0; 4096];
        // Reading fails once the program has ended.
        while let Ok(length @ 1..) = master.read(&mut piece) {
            let mut into = into.lock().unwrap_or_else(PoisonError::into_inner);
            into.extend_from_slice(&piece[..length]);
        }
    })
}

/// The final lines on the terminal; a line that is too long continues on the next one.
fn screen(written: &str, columns: u16) -> Vec<String> {
    let mut rows = vec![Vec::new()];
    let mut column = 0;
    for letter in written.chars() {
        match letter {
            '\r' => column = 0,
            '\n' => rows.push(Vec::new()),
            letter => {
                if column == usize::from(columns) {
                    rows.push(Vec::new());
                    column = 0;
                }
                let row = rows.last_mut().unwrap();
                row.resize(row.len().max(column + 1), ' ');
                row[column] = letter;
                column += 1;
            }
        }
    }
    let text = |row: Vec<char>| row.into_iter().collect::<String>().trim_end().to_owned();
    rows.into_iter().map(text).collect()
}

/// Panics unless only the log is left and the status line never needed a second line.
fn assert_clean(written: &str, columns: u16) {
    let screen = screen(written, columns);
    assert!(
        !screen.iter().any(|line| line.contains("waiting for")),
        "{screen:#?}"
    );
    assert_eq!(screen.last().map(String::as_str), Some(""), "{screen:#?}");
    let longest = written
        .split(['\r', '\n'])
        .filter(|piece| piece.starts_with("waiting for"))
        .map(|piece| piece.chars().count())
        .max();
    assert!(longest < Some(columns.into()), "{written:?}");
    assert!(longest.is_some(), "{written:?}");
}

#[tokio::test]
async fn wait_for_replacements_is_one_temporary_line() -> Result<()> {
    let ns = TestNamespace::start().await?;
    let consumer = skewed(&ns, WorkloadSpec::deployment("consumer")).await?;
    ns.hold_new_pods(true);
    let program = ns
        .rebalancer(&consumer)
        .env("OUTPUT", "json")
        .env("MAX_UNAVAILABLE", "2")
        .env("READY_TIMEOUT", "90s")
        .env("RUN_TIMEOUT", "999s")
        .env("NO_COLOR", "1");
    let running = OnTerminal::start(&program, WIDE)?;
    running
        .shows("\rwaiting for replacements, 6 of 8 pods are ready: 3 of 90 s; 9")
        .await;
    ns.hold_new_pods(false);
    let (code, report, written) = tokio::task::spawn_blocking(|| running.end()).await.unwrap();
    assert_eq!(code, Some(0), "{written}");
    assert_eq!(report["workloads"][0]["execution"]["outcome"], "completed");
    assert!(written.contains(" s left of RUN_TIMEOUT"), "{written:?}");
    assert!(!written.contains('\x1b'), "{written:?}");
    assert_clean(&written, WIDE);
    // The whole log is left, and nothing of the status line.
    let log = screen(&written, WIDE).join("");
    for words in ["configuration loaded", "eviction answered", "run finished"] {
        assert!(log.contains(words), "{log}");
    }
    Ok(())
}

#[rstest]
#[case::of_a_terminal("xterm-256color", WIDE, "keep-all to allow 2 evictions: 2 of 120 s")]
#[case::of_a_narrow_one("xterm-256color", NARROW, "keep-a…")]
#[case::of_a_dumb_one("dumb", WIDE, "keep-all to allow 2 evictions: 2 of 120 s")]
#[tokio::test]
async fn interrupt_during_a_budget_wait_leaves_a_clean_terminal(
    #[case] terminal: &str,
    #[case] columns: u16,
    #[case] end: &str,
) -> Result<()> {
    let ns = TestNamespace::start().await?;
    let consumer = skewed(&ns, WorkloadSpec::deployment("consumer")).await?;
    ns.budget("keep-all", &consumer, Limit::MaxUnavailable("0".into()))
        .await?;
    let program = ns
        .rebalancer(&consumer)
        .env("OUTPUT", "json")
        .env("TERM", terminal);
    let running = OnTerminal::start(&program, columns)?;
    let line = format!("\rwaiting for PodDisruptionBudget {end}");
    running.shows(&line).await;
    running.signal(Signal::SIGINT);
    let (code, report, written) = tokio::task::spawn_blocking(|| running.end()).await.unwrap();
    assert_eq!(code, Some(3), "{written}");
    assert_eq!(report["workloads"][0]["execution"]["stopped"], "stopped");
    assert_clean(&written, columns);
    let log = screen(&written, columns).join("");
    assert!(
        log.contains("SIGINT: no further action is started"),
        "{log}"
    );
    // Only the log uses colours.
    assert_eq!(written.contains('\x1b'), terminal != "dumb", "{written:?}");
    Ok(())
}

/// A log for machines contains no line that is overwritten.
#[rstest]
#[case::json("LOG_FORMAT", "json")]
#[case::warnings("LOG_LEVEL", "warn")]
#[tokio::test]
async fn a_machine_readable_log_has_no_status_line(
    #[case] setting: &str,
    #[case] value: &str,
) -> Result<()> {
    let ns = TestNamespace::start().await?;
    let consumer = skewed(&ns, WorkloadSpec::deployment("consumer")).await?;
    ns.hold_new_pods(true);
    let program = ns
        .rebalancer(&consumer)
        .env("OUTPUT", "json")
        .env("READY_TIMEOUT", "3s")
        .env(setting, value);
    let running = OnTerminal::start(&program, WIDE)?;
    let (code, _, written) = tokio::task::spawn_blocking(|| running.end()).await.unwrap();
    assert_eq!(code, Some(3), "{written}");
    let lines = written.replace("\r\n", "\n");
    let shows_seconds = (0..=3).any(|seconds| lines.contains(&format!(": {seconds} of 3 s")));
    assert!(!lines.contains('\r') && !shows_seconds, "{written:?}");
    Ok(())
}
