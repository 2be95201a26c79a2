//! Mirrors that fail, while peers have all of a file or its beginning.

use super::{File, Scene, TWENTY};
use crate::archive::pool_path;
use crate::daemon::Machine;
use crate::mirror::{Fault, Gate};

/// The one peer is gone after ten pieces, and the mirror, asked for the others, does so as often.
fn when_half_is_missing(fault: Fault, times: usize) {
    let mut scene = Scene::alone(Machine::patient);
    let file = File::of(TWENTY);
    let peer = scene.peer("127.0.0.11", &file);
    peer.fault_after(10, "", 1, Fault::Vanish(100_000));
    scene.mirror.fault(&pool_path(TWENTY), times, fault);
    let cost = scene.installs(&file);
    // What the peer was about to send when it went is wasted.
    cost.is_at_most(10, 1);
}

#[test]
fn that_are_slow() {
    when_half_is_missing(Fault::Rate(3_000_000), usize::MAX);
}

#[test]
fn that_cut() {
    when_half_is_missing(Fault::Cut(1_200_000), 3);
}

#[test]
fn that_lie_about_the_length() {
    when_half_is_missing(Fault::Promise(5), 1);
}

#[test]
fn that_are_out_of_order_for_a_moment() {
    when_half_is_missing(Fault::Status(503), 2);
}

#[test]
fn that_want_to_be_asked_later() {
    when_half_is_missing(Fault::Status(429), 1);
}

#[test]
fn that_hang_up() {
    when_half_is_missing(Fault::Silence, 2);
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
