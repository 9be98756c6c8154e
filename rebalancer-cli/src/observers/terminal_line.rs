//! One line on the terminal that shows what a run waits for, rewritten in place.
//!
//! The line is below the log: the log clears it before each of its own lines and writes it again
//! after them. There is no line when standard error is not a terminal, or when the log there is not
//! meant for people (`LOG_FORMAT=json`, or a `LOG_LEVEL` above `info`).
//!
//! If several workloads wait at the same time, the line shows the first of them and the number of
//! the others.
//!
//! Drawing uses carriage returns and spaces only, which every terminal can show. indicatif, the
//! usual crate, always draws with escape codes, hides where there are none, and brings bars and
//! threads that nothing here would use.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::Write as _;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use rebalancer_driver::{RunEvent, RunObserver, Wait};
use tokio::sync::Notify;
use tokio::task::JoinHandle;

/// A wait is shown when it takes longer than this.
const PATIENCE: Duration = Duration::from_millis(300);
/// The time between two updates of the line.
const INTERVAL: Duration = Duration::from_secs(1);
/// The width of a terminal that does not report its own.
const USUAL_WIDTH: usize = 80;

/// The line on the terminal. The writer of the log and the observer of the run share it.
#[derive(Debug)]
pub(crate) struct TerminalLine {
    /// Whether standard error is a terminal that people read.
    allowed: bool,
    state: Mutex<State>,
    /// Wakes the task that updates the line.
    changed: Notify,
}

#[derive(Debug, Default)]
struct State {
    /// Whether a run is in progress that shows its waits.
    on: bool,
    /// The current wait of each workload, by its index in the configuration.
    waits: BTreeMap<usize, ShownWait>,
    /// The time of the next update of the line.
    due: Option<Instant>,
    /// The text that is on the terminal now.
    shown: Option<String>,
}

/// A wait, on the clock of this process.
#[derive(Debug, Clone)]
struct ShownWait {
    reason: String,
    since: Instant,
    limit: Option<Duration>,
    /// The time at which the run of the workload reaches its timeout.
    run_ends: Option<Instant>,
}

impl TerminalLine {
    /// A line that is only used if `allowed`: standard error is a terminal that people read.
    pub(crate) fn new(allowed: bool) -> Self {
        Self {
            allowed,
            state: Mutex::default(),
            changed: Notify::new(),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Starts to show the waits of a run. The line is updated until the returned guard is dropped.
    pub(crate) fn begin(self: &Arc<Self>) -> Updates {
        if !self.allowed {
            return Updates(None);
        }
        self.state().on = true;
        let line = Arc::clone(self);
        Updates(Some(tokio::spawn(async move { line.update().await })))
    }

    /// Whether waits are shown.
    pub(crate) fn is_on(&self) -> bool {
        self.state().on
    }

    /// Writes lines of the log above the line.
    pub(crate) fn write_above(&self, text: &str) {
        let state = self.state();
        let written = match &state.shown {
            None => text.to_owned(),
            Some(shown) => format!("{}{text}{shown}", blank(width())),
        };
        write(&written);
    }

    /// The observer of the workload with this index, whose run of at most `run_timeout` begins now.
    /// With `name`, the line names the workload.
    pub(crate) fn observer(
        self: &Arc<Self>,
        index: usize,
        name: Option<String>,
        run_timeout: Option<Duration>,
    ) -> WorkloadLine {
        WorkloadLine {
            line: Arc::clone(self),
            index,
            name,
            run_ends: run_timeout.and_then(|timeout| Instant::now().checked_add(timeout)),
        }
    }

    /// Shows how far a command is that is no run, until [`clear`](Self::clear).
    pub(crate) fn show_progress(&self, text: String) {
        let wait = ShownWait {
            reason: text,
            since: self.first_wait().unwrap_or_else(Instant::now),
            limit: None,
            run_ends: None,
        };
        self.begin_wait(0, wait);
    }

    /// The beginning of the wait of the first workload.
    fn first_wait(&self) -> Option<Instant> {
        self.state().waits.get(&0).map(|wait| wait.since)
    }

    /// Clears the line: no workload waits.
    pub(crate) fn clear(&self) {
        let mut state = self.state();
        state.waits.clear();
        state.clear();
    }

    fn begin_wait(&self, index: usize, wait: ShownWait) {
        let mut state = self.state();
        if !state.on {
            return;
        }
        let now = Instant::now();
        if state.shown.is_some() {
            // The line shows the new reason at once.
            state.due = Some(now);
        } else if state.waits.is_empty() {
            state.due = Some(now + PATIENCE);
        }
        state.waits.insert(index, wait);
        state.draw_when_due(now);
        drop(state);
        self.changed.notify_one();
    }

    fn end_wait(&self, index: usize) {
        let mut state = self.state();
        state.waits.remove(&index);
        if state.waits.is_empty() {
            state.clear();
        } else if state.shown.is_some() {
            let now = Instant::now();
            state.due = Some(now);
            state.draw_when_due(now);
        }
    }

    async fn update(&self) {
        loop {
            let due = self.state().due;
            match due {
                None => self.changed.notified().await,
                Some(due) => tokio::select! {
                    () = tokio::time::sleep_until(due.into()) => {
                        self.state().draw_when_due(Instant::now());
                    }
                    () = self.changed.notified() => {}
                },
            }
        }
    }
}

/// Shows the waits of one workload on the line.
#[derive(Debug)]
pub(crate) struct WorkloadLine {
    line: Arc<TerminalLine>,
    index: usize,
    /// The name on the line; `None` if there is only one workload.
    name: Option<String>,
    run_ends: Option<Instant>,
}

impl WorkloadLine {
    fn shown(&self, wait: &Wait, now: Instant) -> ShownWait {
        let reason = match &self.name {
            Some(name) => format!("{name}: {}", wait.reason),
            None => wait.reason.to_string(),
        };
        ShownWait {
            reason,
            since: now.checked_sub(wait.elapsed).unwrap_or(now),
            limit: wait.limit,
            run_ends: self.run_ends,
        }
    }
}

impl RunObserver for WorkloadLine {
    fn event(&self, event: &RunEvent<'_>) {
        if let RunEvent::Waiting(wait) = event {
            let wait = self.shown(wait, Instant::now());
            self.line.begin_wait(self.index, wait);
        } else if let RunEvent::WaitEnded = event {
            self.line.end_wait(self.index);
        }
    }
}

/// The task that updates the line; it ends when this is dropped.
#[derive(Debug)]
pub(crate) struct Updates(Option<JoinHandle<()>>);

impl Drop for Updates {
    fn drop(&mut self) {
        if let Some(task) = &self.0 {
            task.abort();
        }
    }
}

impl State {
    fn draw_when_due(&mut self, now: Instant) {
        if self.due.is_none_or(|due| now < due) {
            return;
        }
        let Some(text) = self.text(now) else { return };
        self.due = Some(now + INTERVAL);
        let width = width();
        let shown = cut(&text, width);
        write(&format!("{}{shown}", blank(width)));
        self.shown = Some(shown);
    }

    /// The text of the line; `None` if no workload waits.
    fn text(&self, now: Instant) -> Option<String> {
        let mut waits = self.waits.values();
        let mut text = waits.next()?.text(now);
        match waits.count() {
            0 => {}
            1 => text.push_str("; 1 more workload waits"),
            others => {
                let _ = write!(text, "; {others} more workloads wait");
            }
        }
        Some(text)
    }

    fn clear(&mut self) {
        self.due = None;
        if self.shown.take().is_some() {
            write(&blank(width()));
        }
    }
}

impl ShownWait {
    fn text(&self, now: Instant) -> String {
        let mut text = self.reason.clone();
        let elapsed = now.saturating_duration_since(self.since).as_secs();
        // Writing to a string cannot fail.
        let _ = match self.limit {
            Some(limit) => write!(text, ": {elapsed} of {} s", limit.as_secs()),
            None => write!(text, ": {elapsed} s"),
        };
        if let Some(ends) = self.run_ends {
            let left = ends.saturating_duration_since(now).as_secs();
            let _ = write!(text, "; {left} s left of RUN_TIMEOUT");
        }
        text
    }
}

/// Empties the line, including what the terminal wrote there itself, such as `^C`.
fn blank(width: usize) -> String {
    format!("\r{}\r", " ".repeat(width))
}

/// The number of columns that can be written without a line break by the terminal.
fn width() -> usize {
    let columns = terminal_size::terminal_size_of(std::io::stderr())
        .map_or(USUAL_WIDTH, |(columns, _)| columns.0.into());
    // A terminal of unknown width reports 0.
    match columns {
        0 => USUAL_WIDTH - 1,
        columns => columns - 1,
    }
}

fn cut(text: &str, width: usize) -> String {
    if text.chars().count() <= width {
        return text.to_owned();
    }
    let mut short: String = text.chars().take(width.saturating_sub(1)).collect();
    short.push('…');
    short
}

/// Writes to standard error. A failure is ignored, because there is no other place to report it.
fn write(text: &str) {
    let mut stderr = std::io::stderr().lock();
    let _ = stderr.write_all(text.as_bytes());
    let _ = stderr.flush();
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    fn wait(reason: &str, elapsed: u64, limit: Option<u64>) -> ShownWait {
        let now = Instant::now();
        ShownWait {
            reason: reason.to_owned(),
            since: now.checked_sub(Duration::from_secs(elapsed)).unwrap(),
            limit: limit.map(Duration::from_secs),
            run_ends: None,
        }
    }

    #[rstest]
    #[case::at_first(0, None, "waiting for b: 4 of 60 s")]
    #[case::later(90, None, "waiting for b: 94 of 60 s")]
    #[case::with_run_timeout(2, Some(20), "waiting for b: 6 of 60 s; 18 s left of RUN_TIMEOUT")]
    #[case::after_run_timeout(9, Some(5), "waiting for b: 13 of 60 s; 0 s left of RUN_TIMEOUT")]
    fn shows_elapsed_time_and_limits(
        #[case] seconds: u64,
        #[case] run_ends: Option<u64>,
        #[case] text: &str,
    ) {
        let mut wait = wait("waiting for b", 4, Some(60));
        let began = wait.since + Duration::from_secs(4);
        let after = |seconds| began + Duration::from_secs(seconds);
        wait.run_ends = run_ends.map(after);
        assert_eq!(wait.text(after(seconds)), text);
    }

    #[test]
    fn shows_elapsed_time_without_limit() {
        let wait = wait("acquiring the lease", 0, None);
        let now = wait.since + Duration::from_millis(2900);
        assert_eq!(wait.text(now), "acquiring the lease: 2 s");
    }

    #[rstest]
    #[case(&[], None)]
    #[case(&[3], Some("wait 3: 0 s"))]
    #[case(&[2, 1], Some("wait 1: 0 s; 1 more workload waits"))]
    #[case(&[2, 0, 1], Some("wait 0: 0 s; 2 more workloads wait"))]
    fn shows_the_first_workload_that_waits(#[case] indices: &[usize], #[case] text: Option<&str>) {
        let waits = indices
            .iter()
            .map(|index| (*index, wait(&format!("wait {index}"), 0, None)));
        let state = State {
            waits: waits.collect(),
            ..State::default()
        };
        assert_eq!(state.text(Instant::now()).as_deref(), text);
    }

    #[test]
    fn progress_counts_from_its_beginning() {
        let line = TerminalLine::new(true);
        line.show_progress("not begun".to_owned());
        assert!(line.state().waits.is_empty());
        line.state().on = true;
        line.show_progress("1 of 2".to_owned());
        let began = line.state().waits[&0].since;
        line.show_progress("2 of 2".to_owned());
        let shown = line.state().waits[&0].clone();
        assert_eq!((shown.reason.as_str(), shown.since), ("2 of 2", began));
        line.clear();
        assert!(line.state().waits.is_empty());
    }

    #[rstest]
    #[case("four", 4, "four")]
    #[case("five…", 5, "five…")]
    #[case("twelve words", 8, "twelve …")]
    #[case("é", 0, "…")]
    fn cuts_text_to_the_terminal_width(
        #[case] text: &str,
        #[case] width: usize,
        #[case] shown: &str,
    ) {
        assert_eq!(cut(text, width), shown);
    }
}
