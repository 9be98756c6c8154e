//! A report as a document with headings, tables and charts: Markdown for chats and pull requests, HTML
//! for a file that a browser shows.
//!
//! `content` turns a report into blocks, so that both formats say the same. `markdown` and `html` write
//! them.

mod chart;
mod content;
mod escape;
mod html;
mod markdown;

use rebalancer_core::report::Report;

/// Renders a report in Markdown, as GitHub and GitLab read it.
#[must_use]
pub fn markdown(report: &Report) -> String {
    markdown::document(&content::page(report))
}

/// Renders a report as an HTML document that needs nothing else: no script, no other file.
#[must_use]
pub fn html(report: &Report) -> String {
    html::document(&content::page(report))
}

/// A whole document.
struct Page {
    title: String,
    /// A line about the program and the run.
    subtitle: String,
    sections: Vec<Section>,
}

/// The part of a document about one workload.
struct Section {
    /// The workload.
    title: String,
    /// The word of the decision, such as `ROTATE`.
    verdict: String,
    tone: Tone,
    /// The decision in one sentence.
    message: String,
    blocks: Vec<Block>,
}

/// The meaning of a colour.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Tone {
    Good,
    Notable,
    Bad,
    Plain,
}

/// A part of a section.
enum Block {
    Heading(&'static str),
    Paragraph(String),
    /// Numbers with their names.
    Facts(Vec<(&'static str, String)>),
    /// The loads of pods.
    Loads(Loads),
    Table(Table),
    /// Lines with a mark.
    List(Vec<(Tone, String)>),
}

/// The loads of pods, against target and threshold.
struct Loads {
    rows: Vec<LoadRow>,
    target: Option<f64>,
    threshold: Option<f64>,
    /// The number of pods that are not among the rows.
    omitted: usize,
}

/// The load of a pod.
struct LoadRow {
    pod: String,
    /// The load now; `None` if it is not measured.
    load: Option<f64>,
    /// The load after the action, if that is known.
    after: Option<f64>,
    /// The role in the plan; may be empty.
    role: &'static str,
    /// Why the pod may not be a victim; empty if it may.
    ineligible: String,
}

/// A table. Numbers are aligned to the right.
struct Table {
    columns: Vec<(&'static str, Align)>,
    rows: Vec<Vec<String>>,
}

impl Table {
    /// The table without the columns that are empty in every row.
    fn without_empty_columns(mut self) -> Self {
        let is_used: Vec<bool> = (0..self.columns.len())
            .map(|column| {
                let mut cells = self.rows.iter().filter_map(|row| row.get(column));
                cells.any(|cell| !cell.is_empty())
            })
            .collect();
        let mut used = is_used.iter();
        self.columns.retain(|_| used.next() == Some(&true));
        for row in &mut self.rows {
            let mut used = is_used.iter();
            row.retain(|_| used.next() == Some(&true));
        }
        self
    }
}

/// A load or another number; a dash if it is unknown.
fn number(value: Option<f64>) -> String {
    value.map_or_else(|| "–".to_owned(), |value| format!("{value:.3}"))
}

/// The alignment of a column.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Align {
    Left,
    Right,
}

#[cfg(test)]
mod tests;
