//! Runs the engine in the modelled networks, and prints what its lookups take beside what those of
//! the 2008 code took.
//!
//!     cargo run --release -p khashmir-sim --bin models -- [MODEL | POLICY | SEEDS]...
//!
//! Each of `deployment`, `planetlab`, `lossy`, `clean` restricts it to those models; `default`,
//! `oracle`, and the names of the 2008 policies to those policies. A number says how many seeds; 5 is
//! the default.

use khashmir::Config;
use khashmir::config::{Limits, LookupPolicy};
use khashmir_sim::model::{Measured, Model, Recorded, Times, Trial, figures_of_2008};
use std::process::ExitCode;

/// A policy by its name, with what else belongs to it.
struct Contender {
    name: &'static str,
    config: Config,
    oracle: bool,
}

fn contenders() -> Vec<Contender> {
    let of_2008 = [
        ("ORIGINAL", LookupPolicy::ORIGINAL),
        ("RETRANSMIT", LookupPolicy::RETRANSMIT),
        ("ABORT_EARLY", LookupPolicy::ABORT_EARLY),
        ("KHASHMIR_2008", LookupPolicy::KHASHMIR_2008),
    ];
    let of_2008 = of_2008.map(|(name, lookup)| {
        let config = Config { lookup, limits: Limits::KHASHMIR_2008, ..Config::default() };
        Contender { name, config, oracle: false }
    });
    let ours = [("default", false), ("oracle", true)].map(|(name, oracle)| Contender {
        name,
        config: Config::default(),
        oracle,
    });
    of_2008.into_iter().chain(ours).collect()
}

fn main() -> ExitCode {
    let contenders = contenders();
    let (mut models, mut policies, mut seeds) = (Vec::new(), Vec::new(), 5);
    for argument in std::env::args().skip(1) {
        if let Some(model) = Model::ALL.into_iter().find(|model| model.name == argument) {
            models.push(model);
        } else if let Some(at) = contenders.iter().position(|contender| contender.name == argument) {
            policies.push(at);
        } else if let Ok(number) = argument.parse::<u64>() {
            seeds = number;
        } else {
            let policies: Vec<&str> = contenders.iter().map(|contender| contender.name).collect();
            let models = Model::ALL.map(|model| model.name);
            eprintln!(
                "models: {argument:?} is no model ({models:?}), no policy ({policies:?}), no number of seeds"
            );
            return ExitCode::FAILURE;
        }
    }
    if models.is_empty() {
        models.extend(Model::ALL);
    }
    if policies.is_empty() {
        policies.extend(0..contenders.len());
    }
    print_head();
    let recorded = figures_of_2008();
    for model in &models {
        for at in &policies {
            let Contender { name, config, oracle } = &contenders[*at];
            let rows_of = |policy: &str| {
                let same = |row: &&Recorded| row.model == model.name && row.policy == policy;
                recorded.iter().filter(same).collect::<Vec<_>>()
            };
            let mut rows = rows_of(name);
            rows.iter().for_each(|row| print_recorded(row));
            if rows.is_empty() {
                rows = rows_of("KHASHMIR_2008");
            }
            for seed in 1..=seeds {
                // As many slow nodes as one of the rows had, one row after the other.
                let slow_nodes = Some(rows[(seed as usize - 1) % rows.len()].slow_nodes);
                let trial = Trial { slow_nodes, oracle: *oracle, ..Trial::new(*model, seed, config.clone()) };
                print_measured(model, name, seed, &trial.run());
            }
        }
    }
    ExitCode::SUCCESS
}

fn print_head() {
    println!(
        "| model | policy | seed | slow, never joined | all: mean, p50, p90 | healthy: mean, p50, p90, p99 | contacts, bad, natted | datagrams | hits |"
    );
    println!("|---|---|---|---|---|---|---|---|---|");
}

fn print_recorded(row: &Recorded) {
    println!(
        "| {} | {} | 2008 | {}, {} | {} | {} | {:.1}, {:.1} % | {} | |",
        row.model,
        row.policy,
        row.slow_nodes,
        row.never_joined,
        three(&row.all),
        four(&row.healthy),
        row.contacts,
        row.bad_share * 100.0,
        row.datagrams,
    );
}

fn print_measured(model: &Model, policy: &str, seed: u64, measured: &Measured) {
    println!(
        "| {} | {policy} | {seed} | {}, {} | {} | {} | {:.1}, {:.1} %, {:.2} % | {} | {:.2} % |",
        model.name,
        measured.slow_nodes,
        measured.never_joined,
        three(&measured.all),
        four(&measured.healthy),
        measured.contacts,
        measured.bad_share * 100.0,
        measured.natted_share * 100.0,
        measured.datagrams,
        measured.hit_share * 100.0,
    );
}

fn three(times: &Times) -> String {
    format!("{:.2}, {:.2}, {:.2}", times.mean, times.p50, times.p90)
}

fn four(times: &Times) -> String {
    format!("{}, {:.2}", three(times), times.p99)
}
