//! One line on a terminal that says what a run waits for, renewed in place as long as it does.
//!
//! It stands below the log, which clears it before each line and puts it back. Where standard error
//! is no terminal, or is not for people (`LOG_FORMAT=json`, or a `LOG_LEVEL` that leaves out what
//! happens), there is none.
//!
//! A carriage return and spaces are all that it takes, so that every terminal can show it. indicatif,
//! the usual crate, draws with escape codes always, hides where there are none, and brings bars and
//! threads that nothing here would use.

use std::fmt::Write as _;
use std::io::Write as _;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Nothing is shown of what takes no longer.
const PATIENCE: Duration = Duration::from_millis(300);
/// Between two renewals.
const INTERVAL: Duration = Duration::from_secs(1);
/// The width of a terminal that does not tell.
const USUAL_WIDTH: usize = 80;

/// The line is the process's, as the log is.
static LINE: Mutex<Line> = Mutex::new(Line {
    allowed: false,
    on: false,
    run_ends: None,
    shown: None,
});

/// The line, and what stands on it.
struct Line {
    /// Whoever reads standard error would see it.
    allowed: bool,
    /// There is a run that may have to wait.
    on: bool,
    /// When the run has taken as long as it may.
    run_ends: Option<Instant>,
    shown: Option<String>,
}

fn line() -> MutexGuard<'static, Line> {
    LINE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Says whether standard error is a terminal that people read.
pub(crate) fn allow(allowed: bool) {
    line().allowed = allowed;
}

/// A run begins, which may take so long.
pub(crate) fn begin(run_timeout: Option<Duration>) {
    let mut line = line();
    line.on = line.allowed;
    line.run_ends = run_timeout.and_then(|timeout| Instant::now().checked_add(timeout));
}

/// What is waited for is shown by the line.
pub(crate) fn is_on() -> bool {
    line().on
}

/// Writes a line of the log, above the line.
pub(crate) fn write_above(text: &str) {
    let line = line();
    let written = match &line.shown {
        None => text.to_owned(),
        Some(shown) => format!("{}{text}{shown}", blank(width())),
    };
    write(&written);
}

/// Nothing is waited for any more.
pub(crate) fn clear() {
    let mut line = line();
    if line.shown.take().is_some() {
        write(&blank(width()));
    }
}

/// Does something, and meanwhile shows what is waited for. What is shown stays, for what comes next;
/// without words it is cleared at once.
pub(crate) async fn beside<T>(doing: impl Future<Output = T>, wait: Option<Wait>) -> T {
    if !is_on() {
        return doing.await;
    }
    let Some(wait) = wait else {
        clear();
        return doing.await;
    };
    let showing = async {
        if line().shown.is_none() {
            tokio::time::sleep(PATIENCE).await;
        }
        loop {
            show(&wait);
            tokio::time::sleep(INTERVAL).await;
        }
    };
    tokio::select! {
        biased;
        done = doing => done,
        never = showing => never,
    }
}

/// Does something that may take a while, and shows that until it is done.
pub(crate) async fn during<T>(what: &str, doing: impl Future<Output = T>) -> T {
    let done = beside(doing, Some(Wait::new(what.to_owned()))).await;
    clear();
    done
}

/// What is waited for.
#[derive(Debug, Clone)]
pub(crate) struct Wait {
    what: String,
    since: Instant,
    /// After so long it is given up.
    limit: Option<Duration>,
}

impl Wait {
    /// Something that begins now and has no limit of its own.
    pub(crate) fn new(what: String) -> Self {
        Self {
            what,
            since: Instant::now(),
            limit: None,
        }
    }

    /// The same, which began so long ago and is given up `limit` after that.
    pub(crate) fn within(self, ago: Duration, limit: Duration) -> Self {
        Self {
            since: self.since.checked_sub(ago).unwrap_or(self.since),
            limit: Some(limit),
            ..self
        }
    }

    fn in_words(&self, now: Instant, run_ends: Option<Instant>) -> String {
        let mut words = self.what.clone();
        let elapsed = now.saturating_duration_since(self.since).as_secs();
        // Writing to a string cannot fail.
        let _ = match self.limit {
            Some(limit) => write!(words, ": {elapsed} of {} s", limit.as_secs()),
            None => write!(words, ": {elapsed} s"),
        };
        if let Some(ends) = run_ends {
            let left = ends.saturating_duration_since(now).as_secs();
            let _ = write!(words, "; {left} s left of RUN_TIMEOUT");
        }
        words
    }
}

fn show(wait: &Wait) {
    let mut line = line();
    let width = width();
    let words = wait.in_words(Instant::now(), line.run_ends);
    let shown = cut(&words, width);
    write(&format!("{}{shown}", blank(width)));
    line.shown = Some(shown);
}

/// Makes the line empty, also of what the terminal wrote there itself, such as `^C`.
fn blank(width: usize) -> String {
    format!("\r{}\r", " ".repeat(width))
}

/// The columns that can be written to without the terminal going to the next line.
fn width() -> usize {
    let columns = terminal_size::terminal_size_of(std::io::stderr())
        .map_or(USUAL_WIDTH, |(columns, _)| columns.0.into());
    // A terminal of nobody knows how many columns says 0.
    match columns {
        0 => USUAL_WIDTH - 1,
        columns => columns - 1,
    }
}

fn cut(words: &str, width: usize) -> String {
    if words.chars().count() <= width {
        return words.to_owned();
    }
    let mut short: String = words.chars().take(width.saturating_sub(1)).collect();
    short.push('…');
    short
}

/// Standard error that cannot be written to has nobody left to tell.
fn write(text: &str) {
    let mut stderr = std::io::stderr().lock();
    let _ = stderr.write_all(text.as_bytes());
    let _ = stderr.flush();
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case::at_first(0, None, "waiting for b: 4 of 60 s")]
    #[case::later(90, None, "waiting for b: 94 of 60 s")]
    #[case::of_a_run_that_ends(2, Some(20), "waiting for b: 6 of 60 s; 18 s left of RUN_TIMEOUT")]
    #[case::of_one_that_has_ended(9, Some(5), "waiting for b: 13 of 60 s; 0 s left of RUN_TIMEOUT")]
    fn a_wait_is_told_with_its_limits(
        #[case] seconds: u64,
        #[case] run_ends: Option<u64>,
        #[case] words: &str,
    ) {
        let wait = Wait::new("waiting for b".into())
            .within(Duration::from_secs(4), Duration::from_secs(60));
        let began = wait.since + Duration::from_secs(4);
        let after = |seconds| began + Duration::from_secs(seconds);
        assert_eq!(wait.in_words(after(seconds), run_ends.map(after)), words);
    }

    #[test]
    fn what_has_no_limit_is_told_with_its_time() {
        let wait = Wait::new("taking the lease".into());
        let now = wait.since + Duration::from_millis(2900);
        assert_eq!(wait.in_words(now, None), "taking the lease: 2 s");
    }

    #[rstest]
    #[case("four", 4, "four")]
    #[case("five…", 5, "five…")]
    #[case("twelve words", 8, "twelve …")]
    #[case("é", 0, "…")]
    fn it_is_no_longer_than_the_terminal_is_wide(
        #[case] words: &str,
        #[case] width: usize,
        #[case] shown: &str,
    ) {
        assert_eq!(cut(words, width), shown);
    }
}
