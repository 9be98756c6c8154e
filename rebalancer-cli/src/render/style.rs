//! Colours of the output.

use std::io::IsTerminal;

use anstyle::{AnsiColor, Style};

/// The colours of everything that is printed; all plain without colour.
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
        }
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
