//! A part of a picture with axes.

use crate::svg::{Anchor, FAINT, Font, GRID, Svg};

/// The position of a plot and the ranges of its axes.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Plot {
    /// The upper left corner, in pixels.
    pub(super) at: (f64, f64),
    /// The width and height, in pixels.
    pub(super) size: (f64, f64),
    /// The numbers at the left and right ends.
    pub(super) across: (f64, f64),
    /// The numbers at the lower and upper ends.
    pub(super) up: (f64, f64),
}

impl Plot {
    /// The horizontal position of a number, in pixels, limited to the plot.
    pub(super) fn x(&self, number: f64) -> f64 {
        let (from, to) = self.across;
        self.at.0 + self.size.0 * ((number - from) / (to - from)).clamp(0.0, 1.0)
    }

    /// The vertical position of a number, in pixels, limited to the plot.
    pub(super) fn y(&self, number: f64) -> f64 {
        let (from, to) = self.up;
        self.bottom() - self.size.1 * ((number - from) / (to - from)).clamp(0.0, 1.0)
    }

    pub(super) fn point(&self, across: f64, up: f64) -> (f64, f64) {
        (self.x(across), self.y(up))
    }

    pub(super) fn right(&self) -> f64 {
        self.at.0 + self.size.0
    }

    pub(super) fn bottom(&self) -> f64 {
        self.at.1 + self.size.1
    }

    pub(super) fn heading(&self, svg: &mut Svg, text: &str) {
        let (x, y) = self.at;
        svg.text(x, y - 10.0, Anchor::Start, Font::HEADING, text);
    }

    /// Draws horizontal grid lines, labelled at the left.
    pub(super) fn grid_up(&self, svg: &mut Svg, numbers: &[f64], decimals: usize) {
        for number in numbers {
            let y = self.y(*number);
            svg.line((self.at.0, y), (self.right(), y), GRID, 1.0);
            let text = format!("{number:.decimals$}");
            svg.text(self.at.0 - 6.0, y + 4.0, Anchor::End, Font::NOTE, &text);
        }
    }

    /// Draws vertical grid lines, labelled at the bottom.
    pub(super) fn grid_across(&self, svg: &mut Svg, numbers: &[f64], decimals: usize) {
        for number in numbers {
            let x = self.x(*number);
            svg.line((x, self.at.1), (x, self.bottom()), GRID, 1.0);
            let text = format!("{number:.decimals$}");
            let below = self.bottom() + 16.0;
            svg.text(x, below, Anchor::Middle, Font::NOTE, &text);
        }
    }

    /// Draws the horizontal axis.
    pub(super) fn base(&self, svg: &mut Svg) {
        let y = self.bottom();
        svg.line((self.at.0, y), (self.right(), y), FAINT, 1.0);
    }

    /// Labels the vertical axis.
    pub(super) fn label_up(&self, svg: &mut Svg, text: &str) {
        let middle = self.at.1 + self.size.1 / 2.0;
        svg.upright(self.at.0 - 38.0, middle, Anchor::Middle, Font::TEXT, text);
    }

    /// Labels the horizontal axis.
    pub(super) fn label_across(&self, svg: &mut Svg, text: &str) {
        let middle = self.at.0 + self.size.0 / 2.0;
        let below = self.bottom() + 36.0;
        svg.text(middle, below, Anchor::Middle, Font::TEXT, text);
    }
}

/// Draws an entry of a legend; returns the position of the next entry.
pub(super) fn legend(svg: &mut Svg, (x, y): (f64, f64), colour: &str, text: &str) -> f64 {
    svg.rect((x, y - 10.0), (12.0, 12.0), colour);
    svg.text(x + 18.0, y, Anchor::Start, Font::TEXT, text);
    #[expect(clippy::cast_precision_loss, reason = "a number of letters")]
    let letters = text.chars().count() as f64;
    // An estimate of the width of letters of this size.
    x + 18.0 + letters * 6.4 + 22.0
}
