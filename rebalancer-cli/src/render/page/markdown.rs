//! The document in Markdown.

use std::fmt::Write as _;

use super::{Align, Block, Loads, Page, Section, Table, Tone, number};

/// The number of pods in a Markdown table. A longer table is not read in a chat.
const MOST_PODS: usize = 45;
/// The width of a bar, in characters.
const BAR: f64 = 20.0;

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
            Block::Loads(loads) => write_loads(text, loads),
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

fn write_loads(text: &mut String, loads: &Loads) {
    let has_after = loads.rows.iter().any(|row| row.after.is_some());
    let highest = loads
        .rows
        .iter()
        .flat_map(|row| [row.load, row.after])
        .flatten()
        .fold(loads.threshold.unwrap_or(0.0), f64::max);
    let mut columns = vec![("pod", Align::Left), ("load", Align::Right)];
    if has_after {
        columns.push(("after", Align::Right));
    }
    columns.extend([
        ("", Align::Left),
        ("role", Align::Left),
        ("not eligible", Align::Left),
    ]);
    let rows = loads.rows.iter().take(MOST_PODS).map(|row| {
        let mut cells = vec![row.pod.clone(), number(row.load)];
        if has_after {
            cells.push(number(row.after));
        }
        cells.extend([
            bar(row.load, highest),
            row.role.to_owned(),
            row.ineligible.clone(),
        ]);
        cells
    });
    let rows: Vec<Vec<String>> = rows.collect();
    let omitted = loads.omitted + loads.rows.len() - rows.len();
    let table = Table { columns, rows };
    write_table(text, &table.without_empty_columns());
    if omitted > 0 {
        let _ = writeln!(text, "\nand {omitted} more pods");
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
