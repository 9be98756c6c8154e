//! The accuracy of forecasts on recorded consumer groups: the table in docs/forecast.md.

use evaluation::calibration::{Calibration, Effort, Orders, calibrate};
use evaluation::episode::Ids;

use crate::Error;

/// The knowledge a forecast starts from, from most to least.
const KNOWN: [(Ids, Orders); 3] = [
    (Ids::Known, Orders::Known),
    (Ids::Known, Orders::Unknown),
    (Ids::Unknown, Orders::Unknown),
];

/// Runs the calibration and prints the table.
pub(crate) fn run() -> Result<(), Error> {
    let mut columns = Vec::new();
    for (ids, orders) in KNOWN {
        columns.push(calibrate(ids, orders, Effort::FULL, |_| true)?);
    }
    println!(
        "| client | protocol | assignor | forecasts | it stays as it is | ids and order known | \
         ids known | neither |\n|---|---|---|---|---|---|---|---|"
    );
    let first = columns.first().ok_or("nothing was calibrated")?;
    for (kind, calibration) in first {
        let of_kind = columns.iter().filter_map(|column| column.get(kind));
        let cells: Vec<String> = of_kind.map(cell).collect();
        println!(
            "| {} | {} | {} | {} | {:.1} % | {} |",
            kind.client,
            kind.protocol,
            kind.assignor,
            calibration.cases.len(),
            calibration.error_of_no_change_percent(),
            cells.join(" | ")
        );
    }
    Ok(())
}

/// The error, and the share of outcomes inside the interval.
fn cell(calibration: &Calibration) -> String {
    let error = calibration.error_percent();
    let coverage = calibration.coverage_percent();
    // Rounding in the fit is not an error of the forecast.
    if error < 1e-6 {
        format!("exact, {coverage:.0} %")
    } else {
        format!("{error:.1} %, {coverage:.0} %")
    }
}
