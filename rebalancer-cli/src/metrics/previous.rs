//! The values of an earlier exposition.

use std::collections::HashMap;

/// The values of an earlier exposition, by series.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Previous(HashMap<String, f64>);

impl Previous {
    /// Reads an exposition of this program, in either format. Lines of another form are skipped.
    #[must_use]
    pub fn parse(text: &str) -> Self {
        let samples = text.lines().filter(|line| !line.starts_with('#'));
        let values = samples.filter_map(|line| {
            let (series, value) = line.rsplit_once(' ')?;
            let value: f64 = value.parse().ok()?;
            value.is_finite().then(|| (series.to_owned(), value))
        });
        Self(values.collect())
    }

    /// The value of a series.
    pub(super) fn value(&self, name: &str, labels: &[(&'static str, String)]) -> Option<f64> {
        self.0.get(&series(name, labels)).copied()
    }
}

/// A series as the exposition writes it. No value of a label has a character that needs an escape:
/// all are words of the program, or names of Kubernetes.
fn series(name: &str, labels: &[(&'static str, String)]) -> String {
    let labels: Vec<String> = labels
        .iter()
        .map(|(label, value)| format!("{label}=\"{value}\""))
        .collect();
    format!("{name}{{{}}}", labels.join(","))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_another_form_are_skipped() {
        let text = "# HELP a A\na{b=\"c\"} 2\n\nnonsense\na{b=\"d\"} NaN\na{b=\"e\"} x\n";
        let previous = Previous::parse(text);
        let value = |of: &str| previous.value("a", &[("b", of.to_owned())]);
        assert_eq!(
            (value("c"), value("d"), value("e")),
            (Some(2.0), None, None)
        );
        assert_eq!(Previous::parse("\u{0}binary\u{1}"), Previous::default());
    }
}
