//! Machines that fetch from each other. The mirror's own count says what came from it.

use crate::apt::{Apt, Via};
use crate::archive::{Archive, NOTABLE, Package, names};
use crate::daemon::{Daemon, Machine};
use crate::mirror::Mirror;

/// Nobody has taken a package byte from the mirror since A did.
#[track_caller]
fn assert_none_from_mirror(mirror: &Mirror, daemon: &Daemon) {
    let sent = mirror.sent("/pool/");
    let requests = mirror.requests("/pool/");
    assert_eq!(
        sent,
        total(&NOTABLE),
        "package bytes came from the mirror again: {:#?}\n{:#}",
        requests.iter().skip(NOTABLE.len()).collect::<Vec<_>>(),
        daemon.status()
    );
}

fn total(packages: &[Package]) -> u64 {
    packages.iter().map(|package| package.size).sum()
}

/// A's apt takes all packages from the mirror; then A is announced as their source.
/// `other` is whoever tells A its address.
fn seed(mirror: &Mirror, a: &Daemon, other: &Daemon) {
    let apt = Apt::new(mirror.address(), Via::Proxy(a.proxy()));
    apt.update().expect_success();
    apt.install(&names(&NOTABLE)).expect_success();
    apt.verify(&NOTABLE);
    assert_eq!(mirror.sent("/pool/"), total(&NOTABLE));
    announced(a, other);
}

/// Waits until all packages of one daemon are announced, and another can find them.
fn announced(one: &Daemon, other: &Daemon) {
    one.wait("/downloads/in_progress", |count| count == 0);
    // The index is announced, too.
    let files = NOTABLE.len() as u64 + 1;
    one.wait("/dht/publications", |count| count >= files);
    // In a network of so few everyone who was there holds every value.
    one.wait("/dht/keys", |count| count >= files);
    other.wait("/dht/contacts", |count| count >= 1);
}

fn assert_read_every_tier(daemon: &Daemon) {
    for tier in ["plain", "t", "h", "l"] {
        assert!(
            daemon.count(&format!("/claims/{tier}")) > 0,
            "no claim of tier {tier}: {:#}",
            daemon.status()
        );
    }
    assert_eq!(daemon.count("/downloads/pieces_bad"), 0);
}

#[test]
fn the_next_machine_gets_it_from_the_first() {
    let mirror = Mirror::serve(Archive::shared().www());
    let a = Machine::new("127.0.0.1", mirror.address(), &[]);
    let a = a.start();
    let b = Machine::new("127.0.0.2", mirror.address(), &[a.peers()]).patient();
    let b = b.start();
    seed(&mirror, &a, &b);

    // B knows A only.
    let apt = Apt::new(mirror.address(), Via::Prefix(b.proxy()));
    apt.update().expect_success();
    apt.install(&names(&NOTABLE)).expect_success();
    apt.verify(&NOTABLE);
    assert_none_from_mirror(&mirror, &b);
    assert_read_every_tier(&b);
    assert!(b.count("/downloads/bytes_from_peers") >= total(&NOTABLE));
    assert!(a.count("/uploads/bytes") >= total(&NOTABLE));

    // C knows B only, and A is gone.
    let c = Machine::new("127.0.0.3", mirror.address(), &[b.peers()]).patient();
    let c = c.start();
    announced(&b, &c);
    a.stop();
    let apt = Apt::new(mirror.address(), Via::Proxy(c.proxy()));
    apt.update().expect_success();
    apt.install(&names(&NOTABLE)).expect_success();
    apt.verify(&NOTABLE);
    assert_none_from_mirror(&mirror, &c);
    assert_read_every_tier(&c);
    assert!(b.count("/uploads/bytes") >= total(&NOTABLE));
    b.stop();
    c.stop();
}

#[test]
fn what_peers_have_arrives_while_the_mirror_is_down() {
    let mirror = Mirror::serve(Archive::shared().www());
    let a = Machine::new("127.0.0.1", mirror.address(), &[]);
    let a = a.start();
    let b = Machine::new("127.0.0.2", mirror.address(), &[a.peers()]);
    let b = b.start();
    seed(&mirror, &a, &b);

    let apt = Apt::new(mirror.address(), Via::Proxy(b.proxy()));
    apt.update().expect_success();
    mirror.stop();
    apt.install(&names(&NOTABLE)).expect_success();
    apt.verify(&NOTABLE);
}

#[test]
fn what_was_announced_is_served_after_a_kill() {
    let mirror = Mirror::serve(Archive::shared().www());
    let machine = Machine::new("127.0.0.1", mirror.address(), &[]);
    let a = machine.start();
    let b = Machine::new("127.0.0.2", mirror.address(), &[a.peers()]).patient();
    let b = b.start();
    seed(&mirror, &a, &b);
    a.kill();
    let a = machine.start();

    let apt = Apt::new(mirror.address(), Via::Proxy(b.proxy()));
    apt.update().expect_success();
    apt.install(&names(&NOTABLE)).expect_success();
    apt.verify(&NOTABLE);
    assert_none_from_mirror(&mirror, &b);
    assert!(a.count("/uploads/bytes") >= total(&NOTABLE));
}

#[test]
fn a_machine_with_fresh_lists_has_peers_too() {
    let mirror = Mirror::serve(Archive::shared().www());
    let a = Machine::new("127.0.0.1", mirror.address(), &[]);
    let a = a.start();
    let b = Machine::new("127.0.0.2", mirror.address(), &[a.peers()]).patient();
    let b = b.start();
    seed(&mirror, &a, &b);

    // Its lists are from before it had the daemon, which thus has to get the index itself.
    let mut apt = Apt::new(mirror.address(), Via::Direct);
    apt.update().expect_success();
    apt.route(mirror.address(), Via::Proxy(b.proxy()), "stable");
    let text = apt.update().expect_success();
    assert!(text.contains("Hit:1"), "{text}");
    b.wait("/downloads/completed", |count| count >= 1);
    b.wait("/downloads/in_progress", |count| count == 0);
    apt.install(&names(&NOTABLE)).expect_success();
    apt.verify(&NOTABLE);
    assert_none_from_mirror(&mirror, &b);
}
