//! Draws what the README and RESULTS.md show, as SVG and PNG.
//!
//!     cargo run --release -p khashmir-benches --bin pictures -- [DIRECTORY]
//!
//! The response times are measured anew, in virtual time: the same code draws the same picture. What
//! stands in DIRECTORY/network-size.csv, as `scale` prints it, becomes the other one. The default for
//! DIRECTORY is `benches/pictures`.

mod drawing;
mod network_size;
mod response_time;

use network_size::Table;
use std::error::Error;
use std::fs;
use std::path::PathBuf;

fn main() -> Result<(), Box<dyn Error>> {
    let directory = std::env::args_os().nth(1).map_or_else(|| "benches/pictures".into(), PathBuf::from);
    let sizes = directory.join("network-size.csv");
    let csv = fs::read_to_string(&sizes).map_err(|error| format!("{}: {error}", sizes.display()))?;
    let table = Table::read(&csv).map_err(|error| format!("{}: {error}", sizes.display()))?;
    drawing::draw(&directory.join("network-size"), &network_size::panels(&table)?)?;
    drawing::draw(&directory.join("response-time"), &response_time::panels()?)
}
