//! The pictures of the documentation, drawn from the results of the code that they describe.

mod calibration;
mod efficacy;
mod one_eviction;
mod plans;
mod plot;

use crate::{Error, generate, root};

/// Draws all pictures; with `check`, only reports which are out of date.
pub(crate) fn run(check: bool) -> Result<(), Error> {
    let folder = root()?.join("docs/figures");
    let drawn = [
        ("one-eviction.svg", one_eviction::draw()?),
        ("plans.svg", plans::draw()?),
        ("calibration.svg", calibration::draw()?),
        ("efficacy.svg", efficacy::draw()?),
    ];
    let files = drawn.map(|(name, text)| (folder.join(name), text));
    generate::write_or_check(files, check, "cargo xtask figures")
}
