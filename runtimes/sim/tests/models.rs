//! The modelled networks: the same everywhere, and with the policies of 2008 as slow as in 2008.

use khashmir::Config;
use khashmir::config::{Limits, LookupPolicy};
use khashmir_sim::model::{Kind, Model, Terrain, Trial, figures_of_2008};

fn config_of_2008(lookup: LookupPolicy) -> Config {
    Config { lookup, limits: Limits::KHASHMIR_2008, ..Config::default() }
}

/// Whether `ours` is within 15 % of what the code of 2008 took, or, where its runs spread wider,
/// within 5 % of their range.
fn is_close(ours: f64, recorded: &[f64]) -> bool {
    let low = recorded.iter().copied().fold(f64::INFINITY, f64::min);
    let high = recorded.iter().copied().fold(0.0, f64::max);
    let middle = recorded.iter().sum::<f64>() / recorded.len() as f64;
    ((low * 0.95).min(middle * 0.85)..=(high * 1.05).max(middle * 1.15)).contains(&ours)
}

#[test]
fn the_release_of_2008_is_as_slow_as_it_was() {
    for (model, seed) in [(Model::DEPLOYMENT, 1), (Model::CLEAN, 1)] {
        let recorded = figures_of_2008();
        let rows = recorded.iter().filter(|row| row.model == model.name && row.policy == "KHASHMIR_2008");
        let rows: Vec<_> = rows.collect();
        let config = config_of_2008(LookupPolicy::KHASHMIR_2008);
        let trial = Trial { slow_nodes: Some(rows[0].slow_nodes), ..Trial::new(model, seed, config) };
        let ours = trial.run();
        let of = |figure: fn(&khashmir_sim::model::Recorded) -> f64| -> Vec<f64> {
            rows.iter().map(|row| figure(row)).collect()
        };
        let context = format!("{}, seed {seed}: {ours:?}", model.name);
        assert!(is_close(ours.healthy.mean, &of(|row| row.healthy.mean)), "{context}");
        assert!(is_close(ours.healthy.p50, &of(|row| row.healthy.p50)), "{context}");
        assert!(is_close(ours.all.mean, &of(|row| row.all.mean)), "{context}");
        assert!(is_close(ours.contacts, &of(|row| row.contacts)), "{context}");
        assert!(is_close(ours.datagrams as f64, &of(|row| row.datagrams as f64)), "{context}");
        assert!(ours.hit_share > 0.99, "{context}");
    }
}

/// The targets: an hour of the network in which the release of 2008 took 16 s for a lookup.
#[test]
fn our_own_policy_makes_2008_look_old() {
    let recorded = figures_of_2008();
    let model = Model::DEPLOYMENT;
    let rows = recorded.iter().filter(|row| row.model == model.name && row.policy == "KHASHMIR_2008");
    let rows: Vec<_> = rows.collect();
    let slow_nodes = Some(rows[0].slow_nodes);
    let ours = Trial { slow_nodes, ..Trial::new(model, 1, Config::default()) }.run();
    assert!(ours.healthy.mean <= 0.6 && ours.healthy.p99 <= 3.0, "{ours:?}");
    assert!(ours.hit_share > 0.995, "{ours:?}");
    assert!(ours.natted_share <= 0.01, "{ours:?}");
    let datagrams = rows.iter().map(|row| row.datagrams).min();
    assert!(datagrams.is_some_and(|most| ours.datagrams * 10 <= most * 12), "{ours:?}");
}

/// The mathematics, too, is the same on every platform: the digest is of an x86-64 run.
#[test]
fn the_same_seed_gives_the_same_run_everywhere() {
    let model = Model {
        run: Model::DEPLOYMENT.run / 10,
        warm_up: Model::DEPLOYMENT.warm_up / 10,
        ..Model::DEPLOYMENT
    };
    let trial = Trial { checked: true, ..Trial::new(model, 3, config_of_2008(LookupPolicy::KHASHMIR_2008)) };
    let run = trial.run();
    assert_eq!(run, trial.run());
    let digest: String = run.digest.iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(digest, "fa1f4e3d471d412c3d9a10a7cf70e814e3d7a2c9");
    let kinds =
        |seed| Terrain::draw(&model, seed, None).sites().iter().map(|site| site.kind).collect::<Vec<Kind>>();
    assert_ne!(kinds(3), kinds(4));
}
