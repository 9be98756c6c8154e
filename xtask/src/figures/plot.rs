//! A part of a picture with axes.

use crate::svg::{Anchor, FAINT, Font, GRID, Svg};

/// Where something is, and what numbers it spans.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Plot {
    /// Its left upper corner, in pixels.
    pub(super) at: (f64, f64),
    /// Its width and height, in pixels.
    pub(super) size: (f64, f64),
    /// The numbers at its left and right ends.
    pub(super) across: (f64, f64),
    /// The numbers at its lower and upper ends.
    pub(super) up: (f64, f64),
}

impl Plot {
    /// The pixel of a number across, no further than the ends.
    pub(super) fn x(&self, number: f64) -> f64 {
        let (from, to) = self.across;
        self.at.0 + self.size.0 * ((number - from) / (to - from)).clamp(0.0, 1.0)
    }

    /// The pixel of a number up, no further than the ends.
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

    /// Lines across at these numbers, which stand at the left.
    pub(super) fn grid_up(&self, svg: &mut Svg, numbers: &[f64], decimals: usize) {
        for number in numbers {
            let y = self.y(*number);
            svg.line((self.at.0, y), (self.right(), y), GRID, 1.0);
            let text = format!("{number:.decimals$}");
            svg.text(self.at.0 - 6.0, y + 4.0, Anchor::End, Font::NOTE, &text);
        }
    }

    /// Lines up at these numbers, which stand below.
    pub(super) fn grid_across(&self, svg: &mut Svg, numbers: &[f64], decimals: usize) {
        for number in numbers {
            let x = self.x(*number);
            svg.line((x, self.at.1), (x, self.bottom()), GRID, 1.0);
            let text = format!("{number:.decimals$}");
            let below = self.bottom() + 16.0;
            svg.text(x, below, Anchor::Middle, Font::NOTE, &text);
        }
    }

    /// The line at the bottom.
    pub(super) fn base(&self, svg: &mut Svg) {
        let y = self.bottom();
        svg.line((self.at.0, y), (self.right(), y), FAINT, 1.0);
    }

    /// What the numbers up mean.
    pub(super) fn label_up(&self, svg: &mut Svg, text: &str) {
        let middle = self.at.1 + self.size.1 / 2.0;
        svg.upright(self.at.0 - 38.0, middle, Anchor::Middle, Font::TEXT, text);
    }

    /// What the numbers across mean.
    pub(super) fn label_across(&self, svg: &mut Svg, text: &str) {
        let middle = self.at.0 + self.size.0 / 2.0;
        let below = self.bottom() + 36.0;
        svg.text(middle, below, Anchor::Middle, Font::TEXT, text);
    }
}

/// An entry of a legend; yields where the next one begins.
pub(super) fn legend(svg: &mut Svg, (x, y): (f64, f64), colour: &str, text: &str) -> f64 {
    svg.rect((x, y - 10.0), (12.0, 12.0), colour);
    svg.text(x + 18.0, y, Anchor::Start, Font::TEXT, text);
    #[expect(clippy::cast_precision_loss, reason = "a number of letters")]
    let letters = text.chars().count() as f64;
    // About as wide as letters of this size are.
    x + 18.0 + letters * 6.4 + 22.0
}
