//! Draws what the README and RESULTS.md show, as SVG and PNG.
//!
//!     cargo run --release -p khashmir-benches --bin pictures -- [DIRECTORY]
//!
//! Everything is measured anew, in virtual time; the same code draws the same pictures, but for the
//! times and the memory that the simulation itself takes. The default for DIRECTORY is
//! `benches/pictures`.

mod drawing;
mod response_time;

use std::error::Error;
use std::fs;
use std::path::PathBuf;

fn main() -> Result<(), Box<dyn Error>> {
    let directory = std::env::args_os().nth(1).map_or_else(|| "benches/pictures".into(), PathBuf::from);
    fs::create_dir_all(&directory)?;
    drawing::draw(&directory.join("response-time"), &response_time::panels()?)
}
