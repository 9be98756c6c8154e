//! The document in Markdown.

use std::fmt::Write as _;

use super::{Align, Bars, Block, Page, Section, Table, Tone, Trend};
use crate::render::sparkline::{bounds, sparkline};

/// The number of rows with a bar in Markdown. A longer table is not read in a chat.
const MOST_ROWS: usize = 45;
/// The width of a bar, in characters.
const BAR: f64 = 20.0;
/// The width of a line over time, in characters.
const TREND: usize = 60;

/// Writes the document.
pub(super) fn document(page: &Page) -> String {
    let mut text = String::new();
    for section in &page.sections {
        if !text.is_empty() {
            text.push('\n');
        }
        write_section(&mut text, section);
    }
    let _ = writeln!(text, "\n<sub>{}</sub>", escaped(&page.subtitle));
    text
}

fn write_section(text: &mut String, section: &Section) {
    let Section {
        title,
        verdict,
        message,
        ..
    } = section;
    let _ = writeln!(text, "### {}\n", escaped(title));
    let _ = writeln!(text, "**{}**: {}", escaped(verdict), escaped(message));
    for block in &section.blocks {
        text.push('\n');
        match block {
            Block::Heading(heading) => {
                let _ = writeln!(text, "#### {heading}");
            }
            Block::Paragraph(paragraph) => {
                let _ = writeln!(text, "{}", escaped(paragraph));
            }
            Block::Facts(facts) => {
                let facts: Vec<String> = facts
                    .iter()
                    .map(|(name, value)| format!("{name} {}", escaped(value)))
                    .collect();
                let _ = writeln!(text, "{}", facts.join(" · "));
            }
            Block::Bars(bars) => write_bars(text, bars),
            Block::Trend(trend) => write_trend(text, trend),
            Block::Table(table) => write_table(text, table),
            Block::List(lines) => {
                for (tone, line) in lines {
                    let _ = writeln!(text, "- {} {}", mark(*tone), escaped(line));
                }
            }
        }
    }
}

fn mark(tone: Tone) -> char {
    match tone {
        Tone::Good => '✓',
        Tone::Notable => '‼',
        Tone::Bad => '✗',
        Tone::Plain => '–',
    }
}

/// The table with a bar in each row.
fn write_bars(text: &mut String, bars: &Bars) {
    let values = bars.bars.iter();
    let values = values.flat_map(|bar| bar.value.iter().chain(&bar.marks).copied());
    let highest = values.fold(bars.threshold.unwrap_or(0.0), f64::max);
    let at = bars.bars_before;
    let mut columns = bars.table.columns.clone();
    columns.insert(at.min(columns.len()), ("", Align::Left));
    let rows = bars.bars.iter().zip(&bars.table.rows);
    let rows = rows.take(MOST_ROWS).map(|(found, row)| {
        let mut cells = row.clone();
        cells.insert(at.min(cells.len()), bar(found.value, highest));
        cells
    });
    let rows: Vec<Vec<String>> = rows.collect();
    let (omitted, what) = bars.omitted;
    let omitted = omitted + bars.bars.len() - rows.len();
    write_table(text, &Table { columns, rows });
    if omitted > 0 {
        let _ = writeln!(text, "\nand {omitted} more {what}");
    }
}

/// A line of bars for each series, on one scale.
fn write_trend(text: &mut String, trend: &Trend) {
    let bounds = bounds(trend.series.iter().flat_map(|(_, series)| series));
    let names = trend.series.iter().map(|(name, _)| name.len());
    let width = names.max().unwrap_or(0);
    text.push_str("```text\n");
    for (name, series) in &trend.series {
        let line = sparkline(series, TREND, bounds);
        let _ = writeln!(text, "{name:width$}  {line}");
    }
    text.push_str("```\n");
    if let Some((low, high)) = bounds {
        let Trend { from, until, .. } = trend;
        let _ = writeln!(text, "\n{low:.2} to {high:.2}, from {from} to {until}");
    }
}

/// A bar of whole blocks; empty without a load.
fn bar(load: Option<f64>, highest: f64) -> String {
    let part = load.unwrap_or(0.0) / highest;
    let length = if part.is_finite() {
        (part * BAR).round()
    } else {
        0.0
    };
    // From 0 to 20.
    "█".repeat(length as usize)
}

fn write_table(text: &mut String, table: &Table) {
    let table = table.without_empty_columns();
    let names: Vec<&str> = table.columns.iter().map(|(name, _)| *name).collect();
    let _ = writeln!(text, "| {} |", names.join(" | "));
    let rules: Vec<&str> = table
        .columns
        .iter()
        .map(|(_, align)| match align {
            Align::Left => "---",
            Align::Right => "--:",
        })
        .collect();
    let _ = writeln!(text, "| {} |", rules.join(" | "));
    for row in &table.rows {
        let cells: Vec<String> = row.iter().map(|cell| escaped(cell)).collect();
        let _ = writeln!(text, "| {} |", cells.join(" | "));
    }
}

/// Text on one line, in which nothing is markup.
fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '\\' | '`' | '*' | '_' | '|' | '<' | '[' | ']' | '#' | '~' => {
                escaped.push('\\');
                escaped.push(character);
            }
            '&' => escaped.push_str("&amp;"),
            _ if character.is_control() => escaped.push(' '),
            _ => escaped.push(character),
        }
    }
    escaped
}
