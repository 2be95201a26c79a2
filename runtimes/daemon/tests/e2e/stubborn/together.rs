//! All kinds of bad sources at once, in an order that a seed decides.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng as _, SeedableRng as _};

use super::{EIGHTY, File, Scene, asked};
use crate::daemon::Machine;
use crate::mirror::{Fault, Gate};

/// A liar, and sources that are slow, vanish, never end and stall, each from some request on; they are
/// honest before.
fn all_together(seed: u64) {
    println!("seed {seed}");
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let mut below = |bound: u64| rng.next_u64() % bound;
    let mut scene = Scene::with_a(&[EIGHTY], |a| a, |b: Machine| b.hedging_after(4_000));
    let file = File::of(EIGHTY);
    let gate = Gate::default();
    let liar = scene.false_peer("127.0.0.11", &file, &file.altered());
    let bad: Vec<_> = (12..20)
        .map(|n| {
            let server = scene.peer(&format!("127.0.0.{n}"), &file);
            let (after, bytes) = (below(10), below(500_000));
            let (name, fault) = match below(5) {
                0 => ("corrupts", Fault::Alter),
                1 => ("is slow", Fault::Rate(20_000 + bytes / 10)),
                2 => ("vanishes", Fault::Vanish(bytes)),
                3 => ("never ends", Fault::Endless),
                _ => ("stalls", Fault::Stall(bytes, gate.clone())),
            };
            println!("127.0.0.{n} {name} after {after} pieces ({bytes})");
            // Its piece hashes are right whatever it does.
            server.fault_after(after as usize, &file.path(), usize::MAX, fault);
            (server, after)
        })
        .collect();
    let cost = scene.installs(&file);
    gate.open();
    let spoilt: u64 = bad.iter().map(|(server, honest)| asked(server, &file).saturating_sub(*honest)).sum();
    println!("{spoilt} requests were spoilt: {cost:?}");
    assert!(spoilt > 0, "nobody had the time to do wrong");
    assert_eq!(asked(&liar, &file), 0, "one address outvoted nine");
    cost.is_at_most(spoilt, spoilt);
}

#[test]
fn as_the_seed_says() {
    all_together(khashmir_testing::seed());
}

#[test]
fn as_the_next_seed_says() {
    all_together(khashmir_testing::seed().wrapping_add(1));
}
