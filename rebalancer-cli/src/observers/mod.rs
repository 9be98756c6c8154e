//! Observers of a run: the log, and the line on the terminal.

pub(crate) mod logging;
pub(crate) mod terminal_line;
