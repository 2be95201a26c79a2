//! What is announced, and served, after a daemon ended.

use super::archive::{Archive, content};
use super::machine::{Setup, asked_for, wait};
use super::mirror::Mirror;

const PIECE: usize = 524_288;

fn comes_back(kill: bool) {
    let (small, large) = (content(1, 300), content(2, 6 * PIECE));
    let archive = Archive::of(&[("small.deb", &small), ("large.deb", &large)]);
    let mirror = Mirror::of(&archive, |_| None);
    let mut a = Setup::at("127.0.0.1").start(&mirror);
    let b = Setup::at("127.0.0.2").joining(&a).start(&mirror);
    a.update(&mirror, &archive);
    a.install(&mirror, "small.deb");
    a.install(&mirror, "large.deb");
    a.wait_announced(3);
    // Nobody but A has any value now.
    drop(b);
    let peers = a.peers();
    if kill {
        a.kill();
    } else {
        a.stop();
    }
    a.start_again(&mirror, peers);

    let c = Setup::at("127.0.0.3").joining(&a).start(&mirror);
    a.wait_announced(3);
    c.update(&mirror, &archive);
    for (name, content) in [("small.deb", &small), ("large.deb", &large)] {
        assert!(c.install(&mirror, name) == *content);
        assert_eq!(asked_for(&mirror, name), 1, "{name} came from the mirror again");
    }
}

#[test]
fn all_is_announced_again_after_a_clean_stop() {
    comes_back(false);
}

#[test]
fn all_is_announced_again_after_a_kill() {
    comes_back(true);
}

#[test]
fn a_machine_finds_its_way_back_without_bootstrap() {
    let mirror = Mirror::of(&Archive::default(), |_| None);
    let a = Setup::at("127.0.0.1").start(&mirror);
    let mut b = Setup::at("127.0.0.2").joining(&a).start(&mirror);
    wait("B has joined", || b.status()["dht"]["contacts"] == 1);
    let peers = b.peers();
    b.stop();
    b.forget_bootstrap();
    b.start_again(&mirror, peers);
    wait("B is back", || b.status()["dht"]["contacts"] == 1);
}
