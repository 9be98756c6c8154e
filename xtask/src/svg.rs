//! A small SVG writer: shapes and text in order, with numbers rounded to a tenth of a pixel, so
//! that the same picture always has the same bytes.

use std::fmt::Write as _;

/// The background: the picture looks the same on a light and on a dark page.
const PAPER: &str = "#ffffff";

/// The colour of text and axes.
pub(crate) const INK: &str = "#1f2328";

/// The colour of secondary text and lines.
pub(crate) const FAINT: &str = "#59636e";

/// The colour of grid lines.
pub(crate) const GRID: &str = "#d8dee4";

/// Colours that people with any colour vision can distinguish (Okabe and Ito), and a grey.
pub(crate) const BLUE: &str = "#0072b2";
pub(crate) const ORANGE: &str = "#e69f00";
pub(crate) const GREEN: &str = "#009e73";
pub(crate) const RED: &str = "#d55e00";
pub(crate) const GREY: &str = "#b6bec7";

/// The point of a text that is placed at the given coordinates.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Anchor {
    Start,
    Middle,
    End,
}

impl Anchor {
    fn as_str(self) -> &'static str {
        match self {
            Self::Start => "start",
            Self::Middle => "middle",
            Self::End => "end",
        }
    }
}

/// The style of a text.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Font {
    pub(crate) size: u32,
    pub(crate) bold: bool,
    pub(crate) colour: &'static str,
}

impl Font {
    /// The title of a picture.
    pub(crate) const TITLE: Self = Self {
        size: 16,
        bold: true,
        colour: INK,
    };
    /// The title of a part.
    pub(crate) const HEADING: Self = Self {
        size: 12,
        bold: true,
        colour: INK,
    };
    /// Ordinary text.
    pub(crate) const TEXT: Self = Self {
        size: 12,
        bold: false,
        colour: INK,
    };
    /// Numbers at axes, and notes.
    pub(crate) const NOTE: Self = Self {
        size: 11,
        bold: false,
        colour: FAINT,
    };
}

/// A picture that is being drawn.
pub(crate) struct Svg {
    text: String,
}

impl Svg {
    /// An empty picture with a visible title and a description for screen readers.
    pub(crate) fn new(width: u32, height: u32, title: &str, description: &str) -> Self {
        let mut svg = Self {
            text: format!(
                "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" \
                 font-family=\"sans-serif\" role=\"img\">\n<title>{}</title>\n<desc>{}</desc>\n\
                 <rect width=\"{width}\" height=\"{height}\" rx=\"8\" fill=\"{PAPER}\"/>\n",
                escaped(title),
                escaped(description)
            ),
        };
        svg.text(20.0, 30.0, Anchor::Start, Font::TITLE, title);
        svg
    }

    pub(crate) fn rect(&mut self, (x, y): (f64, f64), (width, height): (f64, f64), fill: &str) {
        let _ = writeln!(
            self.text,
            "<rect x=\"{x:.1}\" y=\"{y:.1}\" width=\"{width:.1}\" height=\"{height:.1}\" \
             fill=\"{fill}\"/>"
        );
    }

    pub(crate) fn line(&mut self, from: (f64, f64), to: (f64, f64), colour: &str, width: f64) {
        let _ = writeln!(
            self.text,
            "<line x1=\"{:.1}\" y1=\"{:.1}\" x2=\"{:.1}\" y2=\"{:.1}\" stroke=\"{colour}\" \
             stroke-width=\"{width}\"/>",
            from.0, from.1, to.0, to.1
        );
    }

    pub(crate) fn dashed(&mut self, from: (f64, f64), to: (f64, f64), colour: &str) {
        let _ = writeln!(
            self.text,
            "<line x1=\"{:.1}\" y1=\"{:.1}\" x2=\"{:.1}\" y2=\"{:.1}\" stroke=\"{colour}\" \
             stroke-width=\"1.5\" stroke-dasharray=\"5 4\"/>",
            from.0, from.1, to.0, to.1
        );
    }

    pub(crate) fn polyline(&mut self, points: &[(f64, f64)], colour: &str) {
        let points: Vec<String> = points
            .iter()
            .map(|(x, y)| format!("{x:.1},{y:.1}"))
            .collect();
        let _ = writeln!(
            self.text,
            "<polyline points=\"{}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"2\"/>",
            points.join(" ")
        );
    }

    pub(crate) fn dot(&mut self, (x, y): (f64, f64), radius: f64, fill: &str) {
        let _ = writeln!(
            self.text,
            "<circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"{radius}\" fill=\"{fill}\"/>"
        );
    }

    pub(crate) fn text(&mut self, x: f64, y: f64, anchor: Anchor, font: Font, text: &str) {
        self.turned_text((x, y), 0, anchor, font, text);
    }

    /// Draws a text that runs upwards.
    pub(crate) fn upright(&mut self, x: f64, y: f64, anchor: Anchor, font: Font, text: &str) {
        self.turned_text((x, y), -90, anchor, font, text);
    }

    fn turned_text(
        &mut self,
        (x, y): (f64, f64),
        turn: i32,
        anchor: Anchor,
        font: Font,
        text: &str,
    ) {
        let _ = write!(
            self.text,
            "<text x=\"{x:.1}\" y=\"{y:.1}\" font-size=\"{}\" fill=\"{}\" text-anchor=\"{}\"",
            font.size,
            font.colour,
            anchor.as_str()
        );
        if font.bold {
            self.text.push_str(" font-weight=\"bold\"");
        }
        if turn != 0 {
            let _ = write!(self.text, " transform=\"rotate({turn} {x:.1} {y:.1})\"");
        }
        let _ = writeln!(self.text, ">{}</text>", escaped(text));
    }

    /// The text of the file.
    pub(crate) fn finish(mut self) -> String {
        self.text.push_str("</svg>\n");
        self.text
    }
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
}
