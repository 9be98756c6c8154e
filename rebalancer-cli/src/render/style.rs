//! Colours and width of the output.

use std::io::IsTerminal;

use anstyle::{AnsiColor, Style};

/// The colours of everything that is printed, all plain without colour, and the width.
#[derive(Debug, Clone, Copy, Default)]
pub struct Palette {
    /// A good state.
    pub good: Style,
    /// A state that deserves attention.
    pub warn: Style,
    /// A bad state, or a hot pod.
    pub bad: Style,
    /// A cold pod.
    pub cold: Style,
    /// Minor text.
    pub dim: Style,
    /// Emphasized text.
    pub strong: Style,
    /// The number of columns; `None` for lines of any length.
    pub width: Option<usize>,
}

impl Palette {
    /// A palette without colour.
    #[must_use]
    pub fn plain() -> Self {
        Self::default()
    }

    /// A palette with colour.
    #[must_use]
    pub fn colour() -> Self {
        let of = |colour: AnsiColor| Style::new().fg_color(Some(colour.into()));
        Self {
            good: of(AnsiColor::Green),
            warn: of(AnsiColor::Yellow),
            bad: of(AnsiColor::Red),
            cold: of(AnsiColor::Cyan),
            dim: Style::new().dimmed(),
            strong: Style::new().bold(),
            width: None,
        }
    }

    /// Sets the width.
    #[must_use]
    pub fn with_width(self, width: Option<usize>) -> Self {
        Self { width, ..self }
    }

    /// A palette with colour if `stream` is a terminal that can show it and `NO_COLOR` is not set.
    #[must_use]
    pub fn for_stream(stream: &impl IsTerminal) -> Self {
        let set = |name: &str| std::env::var_os(name).is_some_and(|value| !value.is_empty());
        let dumb = std::env::var_os("TERM").is_some_and(|term| term == "dumb");
        if stream.is_terminal() && !set("NO_COLOR") && !dumb {
            Self::colour()
        } else {
            Self::plain()
        }
    }
}

/// The narrowest width that tables are fitted to.
const NARROWEST: usize = 40;

/// The width of standard output: `COLUMNS`, or else that of the terminal. `None` if standard output
/// is not a terminal: a line of a log or a file is not broken, so that a sentence is found as a
/// whole.
#[must_use]
pub fn stdout_width() -> Option<usize> {
    let columns = std::env::var("COLUMNS").ok();
    let columns = columns.and_then(|columns| columns.trim().parse::<usize>().ok());
    let terminal = || {
        let (width, _) = terminal_size::terminal_size_of(std::io::stdout())?;
        Some(usize::from(width.0))
    };
    // A terminal of unknown width reports 0.
    let width = columns.or_else(terminal).filter(|width| *width > 0);
    width.map(|width| width.max(NARROWEST))
}
