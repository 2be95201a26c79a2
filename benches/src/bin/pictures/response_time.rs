//! The figure of the 2008 papers: how many nodes wait how long for a lookup, on average.

use crate::drawing::{Axis, Curve, PALETTE, Panel, Scale};
use std::error::Error;

/// Measured on PlanetLab in 2008, for each stage of the implementation.
const MEASURED_IN_2008: &str =
    include_str!("../../../../conformance/vectors/recordings/figure-response-time.csv");

/// The names of the stages, in the order of the file's columns.
const STAGES: [&str; 5] = ["original", "retransmissions", "leap-frog", "early abort", "re-pings"];

/// Seconds; the last bin holds what takes longer, too.
const BINS: usize = 30;

/// The paper's figure, from its numbers.
pub fn paper() -> Result<Panel, Box<dyn Error>> {
    let mut curves = STAGES.map(|_| Vec::new());
    for line in MEASURED_IN_2008.lines().filter(|line| line.starts_with(|first: char| first.is_ascii_digit())) {
        let cells = line.split(',').map(str::parse).collect::<Result<Vec<f64>, _>>()?;
        let [second, fractions @ ..] = &cells[..] else { continue };
        for (curve, fraction) in curves.iter_mut().zip(fractions) {
            curve.push((second - 0.5, *fraction));
        }
    }
    let curves = curves.into_iter().zip(STAGES).zip(PALETTE);
    Ok(Panel {
        title: "2008, measured on 300 PlanetLab nodes".to_owned(),
        x: seconds(),
        y: fraction_of_nodes(),
        curves: curves.map(|((points, name), colour)| Curve { name: name.to_owned(), colour, points, is_marked: false }).collect(),
    })
}

fn seconds() -> Axis {
    Axis { label: "mean time of a node's lookups, s".to_owned(), range: 0.0..BINS as f64, scale: Scale::Linear }
}

fn fraction_of_nodes() -> Axis {
    Axis { label: "fraction of nodes".to_owned(), range: 0.0..1.0, scale: Scale::Linear }
}
