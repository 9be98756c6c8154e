//! The document in HTML.

use std::fmt::Write as _;

use super::chart;
use super::escape::escaped;
use super::{Align, Bars, Block, Page, Section, Table, Tone, Trend};

/// The style sheet. It has no fixed widths, so that a phone shows the page as well.
const STYLE: &str = include_str!("style.css");

/// Writes the document.
pub(super) fn document(page: &Page) -> String {
    let title = escaped(&page.title);
    let mut html = format!(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\"/>\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\"/>\n\
         <title>{title}</title>\n<style>\n{STYLE}</style>\n</head>\n<body>\n<h1>{title}</h1>\n\
         <p class=\"sub\">{}</p>\n",
        escaped(&page.subtitle)
    );
    let several = page.sections.len() > 1;
    for section in &page.sections {
        write_section(&mut html, section, several);
    }
    html.push_str("</body>\n</html>\n");
    html
}

fn write_section(html: &mut String, section: &Section, several: bool) {
    html.push_str("<section>\n");
    if several {
        let _ = writeln!(html, "<h2>{}</h2>", escaped(&section.title));
    }
    let _ = writeln!(
        html,
        "<p class=\"verdict {}\"><b>{}</b>{}</p>",
        class(section.tone),
        escaped(&section.verdict),
        escaped(&section.message)
    );
    for block in &section.blocks {
        match block {
            Block::Heading(heading) => {
                let _ = writeln!(html, "<h3>{}</h3>", escaped(heading));
            }
            Block::Paragraph(text) => {
                let _ = writeln!(html, "<p>{}</p>", escaped(text));
            }
            Block::Facts(facts) => {
                html.push_str("<dl>\n");
                for (name, value) in facts {
                    let value = escaped(value);
                    let _ = writeln!(html, "<div><dt>{name}</dt><dd>{value}</dd></div>");
                }
                html.push_str("</dl>\n");
            }
            Block::Bars(bars) => write_bars(html, bars),
            Block::Trend(trend) => write_trend(html, trend),
            Block::Table(table) => write_table(html, table),
            Block::List(lines) => {
                html.push_str("<ul>\n");
                for (tone, line) in lines {
                    let _ = writeln!(
                        html,
                        "<li class=\"{}\">{}</li>",
                        class(*tone),
                        escaped(line)
                    );
                }
                html.push_str("</ul>\n");
            }
        }
    }
    html.push_str("</section>\n");
}

fn class(tone: Tone) -> &'static str {
    match tone {
        Tone::Good => "good",
        Tone::Notable => "notable",
        Tone::Bad => "bad",
        Tone::Plain => "plain",
    }
}

/// The chart, and its numbers as a table.
fn write_bars(html: &mut String, bars: &Bars) {
    html.push_str(&chart::bars(bars));
    write_table(html, &bars.table);
    let (omitted, what) = bars.omitted;
    if omitted > 0 {
        let _ = writeln!(
            html,
            "<p class=\"sub\">and {omitted} more {what}, which the JSON report lists</p>"
        );
    }
}

/// The chart, and the names of its lines.
fn write_trend(html: &mut String, trend: &Trend) {
    html.push_str(&chart::trend(trend));
    html.push_str("<p class=\"sub legend\">");
    for (index, (name, _)) in trend.series.iter().enumerate() {
        let _ = write!(html, "<i class=\"series{index}\"></i>{name} ");
    }
    html.push_str("</p>\n");
}

fn write_table(html: &mut String, table: &Table) {
    let class = |align: Align| match align {
        Align::Left => "",
        Align::Right => " class=\"right\"",
    };
    let table = table.without_empty_columns();
    html.push_str("<div class=\"wide\"><table>\n<thead><tr>");
    for (name, align) in &table.columns {
        let _ = write!(html, "<th{}>{name}</th>", class(*align));
    }
    html.push_str("</tr></thead>\n<tbody>\n");
    for row in &table.rows {
        html.push_str("<tr>");
        for (cell, (_, align)) in row.iter().zip(&table.columns) {
            let _ = write!(html, "<td{}>{}</td>", class(*align), escaped(cell));
        }
        html.push_str("</tr>\n");
    }
    html.push_str("</tbody>\n</table></div>\n");
}
