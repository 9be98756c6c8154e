//! Results as documents with headings, tables and charts: Markdown for chats and pull requests,
//! HTML for a file that a browser shows.
//!
//! `content`, `backtest` and `what_if` turn a result into blocks, so that both formats say the
//! same. `markdown` and `html` write them.

mod backtest;
mod chart;
mod content;
mod escape;
mod html;
mod markdown;
mod what_if;

use rebalancer_core::report::Report;

use crate::backtest::BacktestDocument;
use crate::scenarios::ScenariosReport;

/// A whole document.
pub struct Page {
    title: String,
    /// A line about the program and the command.
    subtitle: String,
    sections: Vec<Section>,
}

impl Page {
    /// The document about a report of runs or decisions.
    #[must_use]
    pub fn of_report(report: &Report) -> Self {
        Self::new(
            content::subtitle(report),
            report.workloads.iter().map(content::section).collect(),
        )
    }

    /// The document about a backtest.
    #[must_use]
    pub fn of_backtest(report: &BacktestDocument) -> Self {
        let workloads = report.workloads.iter();
        Self::new(
            format!("rebalancer {}, backtest", report.version),
            workloads.map(backtest::section).collect(),
        )
    }

    /// The document about the scenarios of consumer groups.
    #[must_use]
    pub fn of_scenarios(report: &ScenariosReport) -> Self {
        let workloads = report.workloads.iter();
        Self::new(
            format!("rebalancer {}, forecast of scenarios", report.version),
            workloads.map(what_if::section).collect(),
        )
    }

    fn new(subtitle: String, sections: Vec<Section>) -> Self {
        let title = match sections.as_slice() {
            [section] => section.title.clone(),
            sections => format!("{} workloads", sections.len()),
        };
        Self {
            title,
            subtitle,
            sections,
        }
    }

    /// Renders the document in Markdown, as GitHub and GitLab read it.
    #[must_use]
    pub fn markdown(&self) -> String {
        markdown::document(self)
    }

    /// Renders the document in HTML that needs nothing else: no script, no other file.
    #[must_use]
    pub fn html(&self) -> String {
        html::document(self)
    }
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

impl Section {
    /// The section about a workload without a result.
    fn failed(title: String, error: &str) -> Self {
        Self {
            title,
            verdict: "ERROR".into(),
            tone: Tone::Bad,
            message: error.to_owned(),
            blocks: Vec::new(),
        }
    }
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
    Bars(Bars),
    Trend(Trend),
    Table(Table),
    /// Lines with a mark.
    List(Vec<(Tone, String)>),
}

impl Block {
    /// Lines without a mark of their own.
    fn remarks(lines: &[String]) -> Self {
        let lines = lines.iter();
        Self::List(lines.map(|line| (Tone::Plain, line.clone())).collect())
    }
}

/// Values as bars, against target and threshold, with their numbers.
struct Bars {
    /// The meaning of the bars.
    label: &'static str,
    bars: Vec<Bar>,
    /// Whether the chart has the name of each bar.
    is_named: bool,
    target: Option<f64>,
    threshold: Option<f64>,
    /// The numbers: a row for each bar, with its name in the first column.
    table: Table,
    /// The index of the column before which Markdown has the bars.
    bars_before: usize,
    /// The things that are not among the rows, and their number.
    omitted: (usize, &'static str),
}

/// A bar, with the marks of other values.
struct Bar {
    /// The value in the unit of the chart; `None` if it is not known.
    value: Option<f64>,
    marks: Vec<f64>,
    /// The text of the bar and its marks.
    title: String,
    /// Whether the bar stands out.
    stands_out: bool,
}

/// Values over time that are at least 1.
struct Trend {
    /// The meaning of the values.
    label: &'static str,
    /// Series of equal length, with their names.
    series: Vec<(&'static str, Vec<Option<f64>>)>,
    /// The times of the first and the last value.
    from: String,
    until: String,
    falls: Vec<Fall>,
}

/// A change of the value at once.
struct Fall {
    /// The index in the series.
    index: usize,
    before: f64,
    after: f64,
    title: String,
}

/// A table. Numbers are aligned to the right. A column without any text is not shown.
struct Table {
    columns: Vec<(&'static str, Align)>,
    rows: Vec<Vec<String>>,
}

impl Table {
    /// The table without the columns that are empty in every row.
    fn without_empty_columns(&self) -> Self {
        let columns = self.columns.iter().enumerate().filter(|(column, _)| {
            let mut cells = self.rows.iter().filter_map(|row| row.get(*column));
            cells.any(|cell| !cell.is_empty())
        });
        let (kept, columns): (Vec<usize>, Vec<_>) = columns.unzip();
        let row = |row: &Vec<String>| {
            kept.iter()
                .filter_map(|kept| row.get(*kept))
                .cloned()
                .collect()
        };
        Self {
            columns,
            rows: self.rows.iter().map(row).collect(),
        }
    }
}

/// A load or another number; a dash if it is unknown.
fn number(value: Option<f64>) -> String {
    let text = value.map_or_else(|| "–".to_owned(), |value| format!("{value:.3}"));
    match text.as_str() {
        "-0.000" => "0.000".to_owned(),
        _ => text,
    }
}

/// The alignment of a column.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Align {
    Left,
    Right,
}

#[cfg(test)]
mod tests;
