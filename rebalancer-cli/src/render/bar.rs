//! A load as a bar, with the target and the threshold marked.

use super::style::Palette;

/// The common scale of all bars of a table.
#[derive(Debug, Clone, Copy)]
pub struct Scale {
    /// The load at the right end, in the unit of the loads.
    full: f64,
    /// The width, in characters.
    width: usize,
    target: Option<f64>,
    threshold: Option<f64>,
}

/// Eighths of a character.
const EIGHTHS: [char; 8] = [' ', '▏', '▎', '▍', '▌', '▋', '▊', '▉'];

impl Scale {
    /// A scale of `width` characters with room for the highest load and both marks.
    #[must_use]
    pub fn new(highest: f64, target: Option<f64>, threshold: Option<f64>, width: usize) -> Self {
        let full = [Some(highest), target, threshold]
            .into_iter()
            .flatten()
            .fold(0.0, f64::max);
        Self {
            // Leaves room to the right of the marks. A scale without loads still has a length.
            full: if full > 0.0 { full * 1.02 } else { 1.0 },
            width,
            target,
            threshold,
        }
    }

    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        clippy::cast_precision_loss,
        reason = "a position in a line of a terminal"
    )]
    fn position(&self, load: f64, steps: usize) -> usize {
        ((load / self.full * (self.width * steps) as f64).round() as usize).min(self.width * steps)
    }

    /// Renders a load; `hot` and `cold` choose the colour.
    #[must_use]
    pub fn bar(&self, load: Option<f64>, hot: bool, cold: bool, palette: &Palette) -> String {
        let eighths = load.map_or(0, |load| self.position(load, 8));
        let mark = |at: Option<f64>| at.map(|at| self.position(at, 1).min(self.width - 1));
        let (target, threshold) = (mark(self.target), mark(self.threshold));
        let style = match (hot, cold) {
            (true, _) => palette.bad,
            (false, true) => palette.cold,
            (false, false) => palette.good,
        };
        let mut bar = format!("{style}");
        for cell in 0..self.width {
            bar.push(match eighths.saturating_sub(cell * 8) {
                _ if Some(cell) == threshold => '┃',
                _ if Some(cell) == target => '│',
                8.. => '█',
                part => EIGHTHS[part],
            });
        }
        bar.push_str(&format!("{style:#}"));
        bar
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case(Some(0.0), "     │  ┃ ")]
    #[case(Some(0.5), "████▉│  ┃ ")]
    #[case(Some(1.0), "█████│██┃▊")]
    #[case(None, "     │  ┃ ")]
    fn length_is_proportional_to_the_load(#[case] load: Option<f64>, #[case] expected: &str) {
        let scale = Scale::new(1.0, Some(0.55), Some(0.8), 10);
        assert_eq!(scale.bar(load, false, false, &Palette::plain()), expected);
    }

    #[test]
    fn is_empty_without_loads() {
        let scale = Scale::new(0.0, None, None, 4);
        assert_eq!(
            scale.bar(Some(0.0), false, false, &Palette::plain()),
            "    "
        );
    }
}
