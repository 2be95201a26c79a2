//! The figure of the 2008 papers: how many nodes wait how long for a lookup, on average.

use crate::drawing::{Axis, Curve, PALETTE, Panel, Scale};
use khashmir::Config;
use khashmir::config::{Limits, LookupPolicy};
use khashmir_sim::model::{BINS, Model, Recorded, Trial, figures_of_2008};
use std::error::Error;
use std::thread;

/// Measured on PlanetLab in 2008: a line for each second, a column for each stage.
const MEASURED_ON_PLANETLAB: &str =
    include_str!("../../../../conformance/vectors/recordings/figure-response-time.csv");

/// The stages of the 2008 implementation, in the order of that file's columns.
const STAGES: [(&str, &str, LookupPolicy); 5] = [
    ("original", "ORIGINAL", LookupPolicy::ORIGINAL),
    ("re-transmissions", "RETRANSMIT", LookupPolicy::RETRANSMIT),
    ("leap-frog", "LEAPFROG", LookupPolicy::LEAPFROG),
    ("abort early", "ABORT_EARLY", LookupPolicy::ABORT_EARLY),
    ("re-pings (the release)", "KHASHMIR_2008", LookupPolicy::KHASHMIR_2008),
];

const SEED: u64 = 1;
/// Of a stage that was not run with the 2008 code, and of our default; else as many as that run had.
const SLOW_NODES: usize = 45;

/// What was measured in 2008, the 2008 code in the model of that network, and ours there.
pub fn panels() -> Result<[Panel; 3], Box<dyn Error>> {
    Ok([
        panel("2008, measured on PlanetLab", measured_on_planetlab()?),
        panel("the code of 2008 in the modelled network", of_2008()),
        panel("this implementation in the modelled network", ours()?),
    ])
}

fn panel(title: &str, curves: Vec<Curve>) -> Panel {
    let x = Axis { label: "mean time of a node's lookups, s", range: 0.0..BINS as f64, scale: Scale::Linear };
    let y = Axis { label: "share of the nodes", range: 0.0..1.0, scale: Scale::Linear };
    Panel { title: title.to_owned(), x, y, curves }
}

fn measured_on_planetlab() -> Result<Vec<Curve>, Box<dyn Error>> {
    let mut shares = STAGES.map(|_| Vec::new());
    let rows = MEASURED_ON_PLANETLAB.lines().filter(|line| line.starts_with(|c: char| c.is_ascii_digit()));
    for row in rows {
        for (stage, share) in shares.iter_mut().zip(row.split(',').skip(1)) {
            stage.push(share.parse()?);
        }
    }
    Ok(shares.iter().enumerate().map(|(stage, shares)| curve(stage, shares)).collect())
}

/// The stages that were run in the model; of several runs, the first.
fn of_2008() -> Vec<Curve> {
    let stages = STAGES.iter().enumerate();
    stages
        .filter_map(|(at, (_, policy, _))| Some(curve(at, &run_of_2008(policy)?.share_per_second)))
        .collect()
}

fn run_of_2008(policy: &str) -> Option<Recorded> {
    figures_of_2008().into_iter().find(|row| row.model == Model::PLANETLAB.name && row.policy == policy)
}

/// Every stage, and the default.
fn ours() -> Result<Vec<Curve>, Box<dyn Error>> {
    let trial = |config: Config, slow_nodes: Option<usize>| {
        let slow_nodes = slow_nodes.or(Some(SLOW_NODES));
        Trial { slow_nodes, ..Trial::new(Model::PLANETLAB, SEED, config) }
    };
    let of_2008 = STAGES.map(|(_, policy, lookup)| {
        let config = Config { lookup, limits: Limits::KHASHMIR_2008, ..Config::default() };
        trial(config, run_of_2008(policy).map(|run| run.slow_nodes))
    });
    let trials: Vec<Trial> = of_2008.into_iter().chain([trial(Config::default(), None)]).collect();
    let measured = thread::scope(|scope| {
        let running: Vec<_> = trials.iter().map(|trial| scope.spawn(|| trial.run())).collect();
        running.into_iter().map(|trial| trial.join()).collect::<Result<Vec<_>, _>>()
    });
    let measured = measured.map_err(|_| "a trial in the modelled network panicked")?;
    Ok(measured.iter().enumerate().map(|(at, measured)| curve(at, &measured.share_per_second)).collect())
}

/// A point in the middle of each second.
fn curve(at: usize, shares: &[f64]) -> Curve {
    let name = STAGES.get(at).map_or("our default", |(name, ..)| name);
    let points = shares.iter().enumerate().map(|(second, share)| (second as f64 + 0.5, *share)).collect();
    Curve { name: name.to_owned(), colour: PALETTE[at], points, is_marked: false }
}
