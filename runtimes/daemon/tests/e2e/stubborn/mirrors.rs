//! Mirrors that fail, while peers have all of a file or its beginning.

use super::{Cost, File, Scene, THREE, TWENTY, asked};
use crate::archive::{SMALL, names, pool_path};
use crate::daemon::Machine;
use crate::mirror::{Fault, Gate};

/// The one peer is gone after ten pieces, and the mirror, asked for the others, does so as often.
fn when_half_is_missing(fault: Fault, times: usize) -> (Scene, Cost) {
    let mut scene = Scene::alone(Machine::patient);
    let file = File::of(TWENTY);
    let peer = scene.peer("127.0.0.11", &file);
    peer.fault_after(10, "", 1, Fault::Vanish(100_000));
    scene.mirror.fault(&pool_path(TWENTY), times, fault);
    let cost = scene.installs(&file);
    (scene, cost)
}

/// What the peer was about to send when it went is wasted, and the mirror gives what is missing.
fn costs_the_missing_half(fault: Fault, times: usize) {
    when_half_is_missing(fault, times).1.is_at_most(10, 1);
}

#[test]
fn that_are_slow() {
    costs_the_missing_half(Fault::Rate(3_000_000), usize::MAX);
}

#[test]
fn that_cut() {
    costs_the_missing_half(Fault::Cut(1_200_000), 3);
}

#[test]
fn that_lie_about_the_length() {
    costs_the_missing_half(Fault::Promise(5), 1);
}

#[test]
fn that_lie_about_the_length_of_the_whole() {
    let (scene, cost) = when_half_is_missing(Fault::Total(5), 2);
    // What it sent after the lie was not read, but it counts that.
    let answers = scene.mirror.requests(&pool_path(TWENTY)).split_off(2);
    let from_mirror = answers.iter().map(|answer| answer.sent).sum();
    Cost { from_mirror, ..cost }.is_at_most(10, 1);
}

#[test]
fn that_are_out_of_order_for_a_moment() {
    costs_the_missing_half(Fault::Status(503), 2);
}

#[test]
fn that_want_to_be_asked_later() {
    costs_the_missing_half(Fault::Status(429), 1);
}

#[test]
fn that_hang_up() {
    costs_the_missing_half(Fault::Silence, 2);
}

/// The mirror is asked at once, beside a peer that has everything, slowly; apt has less patience than
/// that takes.
fn when_a_peer_has_it(spoil: impl Fn(&Scene)) {
    let b = |b: Machine| b.hedging_after(0).with("proxy", "drip_interval_seconds = 1");
    let mut scene = Scene::alone(b);
    scene.apt.option("Acquire::http::Timeout=3");
    let file = File::of(TWENTY);
    let peer = scene.peer("127.0.0.11", &file);
    peer.fault("", usize::MAX, Fault::Rate(1_500_000));
    spoil(&scene);
    let cost = scene.installs(&file);
    assert_eq!(cost.from_mirror, 0, "{cost:?}");
    cost.is_at_most(0, 0);
}

#[test]
fn that_have_lost_the_file() {
    when_a_peer_has_it(|scene| scene.mirror.fault("/pool/", usize::MAX, Fault::Status(404)));
}

#[test]
fn that_stay_out_of_order() {
    when_a_peer_has_it(|scene| scene.mirror.fault("/pool/", usize::MAX, Fault::Status(503)));
}

#[test]
fn that_refuse() {
    when_a_peer_has_it(|scene| scene.mirror.stop());
}

#[test]
fn that_are_dead() {
    let gate = Gate::default();
    when_a_peer_has_it(|scene| scene.mirror.fault("", usize::MAX, Fault::Withhold(gate.clone())));
    gate.open();
}

/// More files than are asked of one peer at a time, and each takes longer than silence is borne.
#[test]
fn that_are_gone_while_a_slow_peer_has_a_dozen_files() {
    let scene = Scene::alone(|b| b.patient().with("downloads", "stall_seconds = 1"));
    let files: Vec<File> = SMALL.iter().map(File::of).collect();
    let peer = scene.peer_of("127.0.0.11", &files);
    peer.fault("", usize::MAX, Fault::Rate(9_000));
    scene.mirror.stop();
    scene.apt.install(&names(&SMALL)).expect_success();
    scene.apt.verify(&SMALL);
    assert_eq!(scene.b.count("/apt/cut"), 0, "{:#}", scene.b.status());
    let asked: u64 = files.iter().map(|file| asked(&peer, file)).sum();
    assert_eq!((asked, scene.b.count("/downloads/bytes_wasted")), (SMALL.len() as u64, 0));
}

/// It takes longer for a piece than any other would be given, but there is no other.
#[test]
fn that_are_gone_while_a_peer_drips() {
    let mut scene = Scene::alone(|b| b.patient().with("downloads", "piece_timeout_seconds = 2"));
    let file = File::of(THREE);
    let peer = scene.peer("127.0.0.11", &file);
    peer.fault("", usize::MAX, Fault::Rate(150_000));
    scene.mirror.stop();
    let cost = scene.installs(&file);
    assert_eq!(cost.from_mirror, 0, "{cost:?}");
    // The first may have been given up before it was known that the mirror is gone.
    assert!((3..=4).contains(&asked(&peer, &file)), "{cost:?}");
    cost.is_at_most(0, 0);
}
