//! How far, how fast and how large: lookups and nodes in networks of many sizes.

use crate::drawing::{Axis, Curve, PALETTE, Panel, Scale};
use std::error::Error;
use std::ops::Range;

/// A line for each size, as `scale` prints it.
pub struct Table {
    columns: Vec<String>,
    rows: Vec<Vec<f64>>,
}

impl Table {
    /// Reads what `scale` printed.
    pub fn read(csv: &str) -> Result<Table, Box<dyn Error>> {
        let mut lines = csv.lines();
        let columns: Vec<String> =
            lines.next().ok_or("no line at all")?.split(',').map(str::to_owned).collect();
        let number = |text: &str| if text.is_empty() { Ok(f64::NAN) } else { text.parse::<f64>() };
        let rows = lines.map(|line| line.split(',').map(number).collect());
        let rows = rows.collect::<Result<Vec<Vec<f64>>, _>>()?;
        if rows.is_empty() || rows.iter().any(|row| row.len() != columns.len()) {
            return Err("not what `scale` prints: a line of names, then as many numbers in each".into());
        }
        Ok(Table { columns, rows })
    }

    /// One number of each size, with the size before it.
    fn points(&self, column: &str, unit: f64) -> Result<Vec<(f64, f64)>, Box<dyn Error>> {
        let of = |name: &str| {
            let at = self.columns.iter().position(|column| column == name);
            at.ok_or_else(|| format!("no column {name}"))
        };
        let (sizes, values) = (of("nodes")?, of(column)?);
        Ok(self.rows.iter().map(|row| (row[sizes], row[values] / unit)).collect())
    }
}

/// Steps of a lookup, its time, what a node takes, and what the whole takes.
pub fn panels(table: &Table) -> Result<[Panel; 4], Box<dyn Error>> {
    let sizes = table.points("nodes", 1.0)?;
    let all = sizes.iter().map(|(size, _)| *size);
    let nodes = all.clone().fold(f64::MAX, f64::min)..all.fold(1.0, f64::max);
    let panel = |title: &str, label, scale, curves: Vec<Curve>| {
        let x = Axis { label: "nodes in the network", range: nodes.clone(), scale: Scale::Logarithmic };
        let y = Axis { label, range: extent(&curves, scale), scale };
        Panel { title: title.to_owned(), x, y, curves }
    };
    let quarter_of_log2 = sizes.iter().map(|(size, _)| (*size, size.log2() / 4.0)).collect();
    Ok([
        panel(
            "steps of a lookup",
            "steps to the closest node",
            Scale::Linear,
            vec![
                curve("mean", 4, table.points("hops_mean", 1.0)?),
                curve("most", 5, table.points("hops_max", 1.0)?),
                curve("log2(nodes) / 4", 0, quarter_of_log2),
            ],
        ),
        panel(
            "time of a lookup, 20 to 80 ms each way",
            "seconds",
            Scale::Linear,
            vec![
                curve("mean", 4, table.points("lookup_mean_s", 1.0)?),
                curve("99th percentile", 5, table.points("lookup_p99_s", 1.0)?),
            ],
        ),
        panel(
            "memory of a node that stores nothing",
            "KiB of heap",
            Scale::Linear,
            vec![
                curve("mean", 4, table.points("engine_heap_mean_bytes", 1024.0)?),
                curve("largest", 5, table.points("engine_heap_max_bytes", 1024.0)?),
            ],
        ),
        panel(
            "the whole simulation",
            "processor time, s",
            Scale::Logarithmic,
            vec![curve("processor time", 4, table.points("cpu_s", 1.0)?)],
        ),
    ])
}

fn curve(name: &str, colour: usize, points: Vec<(f64, f64)>) -> Curve {
    Curve { name: name.to_owned(), colour: PALETTE[colour], points, is_marked: true }
}

/// From nothing, or from a power of ten, to what leaves room for the names above the largest.
fn extent(curves: &[Curve], scale: Scale) -> Range<f64> {
    let all = curves.iter().flat_map(|curve| &curve.points).map(|(_, y)| *y);
    let (least, most) = all.fold((f64::MAX, 0.0_f64), |(least, most), y| (least.min(y), most.max(y)));
    match scale {
        Scale::Linear => 0.0..most * 1.6,
        Scale::Logarithmic => 10_f64.powf(least.log10().floor())..most * 2.0,
    }
}
