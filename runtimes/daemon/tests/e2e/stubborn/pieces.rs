//! Peers that have the file, or say so, and do not give it as they should.

use super::{EIGHTY, File, Scene, TWENTY, asked};
use crate::daemon::Machine;
use crate::mirror::{Fault, Gate};

/// Requests to one peer at a time: what may be under way when it is found out.
const DEPTH: u64 = 2;

/// Three peers who do so, beside A. Each is asked at most `times`, and each request costs a piece
/// at most.
fn three_beside_an_honest_one(fault: &Fault, times: u64, b: impl Fn(Machine) -> Machine) {
    let mut scene = Scene::with_a(&[TWENTY], |a| a, b);
    let file = File::of(TWENTY);
    let bad = ["127.0.0.11", "127.0.0.12", "127.0.0.13"].map(|ip| {
        let server = scene.peer(ip, &file);
        server.fault("", usize::MAX, fault.clone());
        server
    });
    let cost = scene.installs(&file);
    let asked = bad.each_ref().map(|server| asked(server, &file));
    assert!(asked.iter().any(|&asked| asked > 0), "nobody was asked");
    assert!(asked.iter().all(|&asked| asked <= times), "asked again and again: {asked:?}");
    let asked = asked.iter().sum();
    cost.is_at_most(asked, asked);
}

#[test]
fn peers_that_corrupt() {
    three_beside_an_honest_one(&Fault::Alter, DEPTH, Machine::patient);
}

#[test]
fn peers_that_never_end() {
    three_beside_an_honest_one(&Fault::Endless, 2 * DEPTH, Machine::patient);
}

#[test]
fn peers_that_give_a_wrong_length() {
    three_beside_an_honest_one(&Fault::Promise(5), 2 * DEPTH, Machine::patient);
}

#[test]
fn peers_that_give_another_range() {
    three_beside_an_honest_one(&Fault::OtherRange, 2 * DEPTH, Machine::patient);
}

#[test]
fn peers_that_give_the_whole_file_for_a_piece() {
    three_beside_an_honest_one(&Fault::Whole, 2 * DEPTH, Machine::patient);
}

#[test]
fn peers_that_vanish() {
    three_beside_an_honest_one(&Fault::Vanish(100_000), 2 * DEPTH, Machine::patient);
}

#[test]
fn peers_that_stall() {
    let gate = Gate::default();
    let stall = Fault::Stall(100_000, gate.clone());
    three_beside_an_honest_one(&stall, 2 * DEPTH, |b| b.hedging_after(3_000));
    gate.open();
}

#[test]
fn peers_that_are_slow() {
    // A piece takes them 17 seconds.
    three_beside_an_honest_one(&Fault::Rate(30_000), 2 * DEPTH, |b| b.hedging_after(3_000));
}

#[test]
fn the_only_source_killed_in_mid_download() {
    let limit = "upload_limit_per_second = 10_000_000";
    let mut scene = Scene::with_a(&[EIGHTY], |a| a.with("peers", limit), Machine::patient);
    let file = File::of(EIGHTY);
    let before = scene.b.count("/downloads/pieces_good");
    let cost = scene.installs_while(&file, |scene| {
        scene.b.wait("/downloads/pieces_good", |count| count >= before + 10);
        scene.a.take().unwrap().kill();
    });
    let given = scene.b.count("/downloads/pieces_good") - before;
    assert!(given < 80, "killed too late");
    // What was under way is missing, too, and the beginning of it was wasted.
    cost.is_at_most(80 - given, DEPTH);
}
