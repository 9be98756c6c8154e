//! A series of numbers on one line, as bars of eight heights.

/// The levels of a sparkline.
const LEVELS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];

/// The lowest and the highest value of some series; `None` if no value is known.
pub(super) fn bounds<'a>(series: impl Iterator<Item = &'a Option<f64>>) -> Option<(f64, f64)> {
    let mut known = series.flatten().copied();
    let first = known.next()?;
    Some(known.fold((first, first), |(low, high), value| {
        (low.min(value), high.max(value))
    }))
}

/// The highest value of each of `parts` parts of a series; fewer if the series is shorter.
pub(super) fn peaks(series: &[Option<f64>], parts: usize) -> Vec<Option<f64>> {
    let parts = series.len().min(parts.max(1));
    let peak = |part: usize| {
        let (from, to) = (
            part * series.len() / parts,
            (part + 1) * series.len() / parts,
        );
        let values = series.get(from..to).unwrap_or_default().iter().flatten();
        values.copied().reduce(f64::max)
    };
    (0..parts).map(peak).collect()
}

/// The highest value of each part of a series as a bar between the bounds. A part without values is
/// blank.
pub(super) fn sparkline(
    series: &[Option<f64>],
    width: usize,
    bounds: Option<(f64, f64)>,
) -> String {
    let (low, high) = bounds.unwrap_or_default();
    let level = |value: f64| {
        let share = if high > low {
            (value - low) / (high - low)
        } else {
            0.0
        };
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "an index of the levels"
        )]
        let index = (share * 7.0).round() as usize;
        LEVELS.get(index).copied().unwrap_or('█')
    };
    let peaks = peaks(series, width).into_iter();
    let line: String = peaks.map(|peak| peak.map_or(' ', level)).collect();
    line.trim_end().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case(&[], "")]
    #[case(&[Some(1.0)], "▁")]
    #[case(&[Some(1.0), Some(1.5), Some(2.0)], "▁▅█")]
    #[case(&[Some(1.0), None, Some(2.0), None], "▁ █")]
    // The highest value of each part counts.
    #[case(&[Some(1.0), Some(2.0), Some(1.0), Some(1.0), None, None, Some(1.5), None], "█▁ ▅")]
    fn sparkline_has_the_peaks(#[case] series: &[Option<f64>], #[case] line: &str) {
        assert_eq!(sparkline(series, 4, bounds(series.iter())), line);
    }
}
