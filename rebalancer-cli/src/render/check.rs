//! The document of `rebalancer check` as text: sections of lines, and the fix under each line.

use std::fmt::Write as _;

use super::style::Palette;
use super::text::printable;
use super::wrap::{INDENT, append};
use crate::check::{CheckLine, CheckReport, CheckStatus};

/// Renders the document.
#[must_use]
pub fn report(report: &CheckReport, palette: &Palette) -> String {
    let mut text = String::new();
    let mut counts = [0_usize; 3];
    for section in &report.sections {
        let strong = palette.strong;
        let title = section.subject.title();
        let _ = write!(text, "{strong}{title}{strong:#}");
        if let Some(workload) = &section.workload {
            let _ = write!(text, " of {}", printable(&workload.to_string()));
        }
        text.push('\n');
        for check in &section.checks {
            text.push_str(&line(check, palette));
            let [passed, warnings, errors] = &mut counts;
            match check.status {
                CheckStatus::Info => {}
                CheckStatus::Ok => *passed += 1,
                CheckStatus::Warning => *warnings += 1,
                CheckStatus::Error => *errors += 1,
            }
        }
        text.push('\n');
    }
    let [passed, warnings, errors] = counts;
    let _ = writeln!(
        text,
        "{passed} passed, {}, {}",
        count(warnings, "warning"),
        count(errors, "error")
    );
    text
}

fn count(number: usize, noun: &str) -> String {
    let plural = if number == 1 { "" } else { "s" };
    format!("{number} {noun}{plural}")
}

fn line(check: &CheckLine, palette: &Palette) -> String {
    let (symbol, style) = match check.status {
        CheckStatus::Info => ('·', palette.dim),
        CheckStatus::Ok => ('✓', palette.good),
        CheckStatus::Warning => ('‼', palette.warn),
        CheckStatus::Error => ('×', palette.bad),
    };
    let mut text = format!("{style}{symbol}{style:#} ");
    append(
        &mut text,
        INDENT,
        &printable(&check.message),
        palette.width,
        INDENT,
    );
    if let Some(fix) = &check.fix {
        let mut below = " ".repeat(INDENT);
        append(&mut below, INDENT, &printable(fix), palette.width, INDENT);
        text.push_str(&below);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::{CheckSection, Subject};
    use insta::assert_snapshot;

    fn example() -> CheckReport {
        let fix = "add to the Role: {apiGroups: [\"\"], resources: [\"pods/eviction\"]}";
        let section = |subject, checks| CheckSection {
            subject,
            workload: Some(rebalancer_core::model::WorkloadRef {
                namespace: "posthog".into(),
                kind: "Deployment".into(),
                name: "ingestion".into(),
            }),
            checks,
        };
        CheckReport::new(vec![
            section(
                Subject::Kubernetes,
                vec![
                    CheckLine::new(CheckStatus::Ok, "may list pods: the pods of the workload"),
                    CheckLine::new(
                        CheckStatus::Error,
                        "may not create pods/eviction: runs fail",
                    )
                    .with_fix(fix),
                ],
            ),
            section(
                Subject::Strategies,
                vec![
                    CheckLine::new(CheckStatus::Warning, "rotate-outliers (configured): holds"),
                    CheckLine::new(CheckStatus::Info, "assign: holds\u{1b}[2J"),
                ],
            ),
        ])
    }

    #[test]
    fn fix_is_below_its_line() {
        assert_snapshot!(report(&example(), &Palette::plain()), @r#"
        kubernetes of Deployment posthog/ingestion
        ✓ may list pods: the pods of the workload
        × may not create pods/eviction: runs fail
          add to the Role: {apiGroups: [""], resources: ["pods/eviction"]}

        strategies of Deployment posthog/ingestion
        ‼ rotate-outliers (configured): holds
        · assign: holds?[2J

        1 passed, 1 warning, 1 error
        "#);
    }

    #[test]
    fn lines_are_wrapped_below_their_text() {
        let text = report(&example(), &Palette::plain().with_width(Some(40)));
        assert!(text.contains("‼ rotate-outliers (configured): holds\n"));
        assert!(
            text.contains("\n  add to the Role: {apiGroups: [\"\"],\n  resources:"),
            "{text}"
        );
    }
}
