//! Colours, where they are wanted.

use std::io::IsTerminal;

use anstyle::{AnsiColor, Style};

/// The colours of everything that is printed; all plain where colour is not wanted.
#[derive(Debug, Clone, Copy, Default)]
pub struct Palette {
    /// What is as it should be.
    pub good: Style,
    /// What deserves a look.
    pub warn: Style,
    /// What is wrong, or hot.
    pub bad: Style,
    /// What is cold.
    pub cold: Style,
    /// What matters less.
    pub dim: Style,
    /// What matters most.
    pub strong: Style,
}

impl Palette {
    /// No colour at all.
    #[must_use]
    pub fn plain() -> Self {
        Self::default()
    }

    /// Colour.
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
        }
    }

    /// Colour when `stream` is a terminal that can show it, and `NO_COLOR` is not set.
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
