//! Installing through one daemon, when all goes well.

use std::time::{Duration, Instant};

use crate::apt::{Apt, Via};
use crate::archive::{Archive, NOTABLE, SMALL, SOURCE, names, pool_path};
use crate::daemon::Machine;
use crate::mirror::Mirror;

#[test]
fn through_a_proxy() {
    installs_through(Via::Proxy);
}

#[test]
fn through_a_prefix() {
    installs_through(Via::Prefix);
}

fn installs_through(via: fn(std::net::SocketAddr) -> Via) {
    let mirror = Mirror::serve(Archive::shared().www());
    let machine = Machine::new("127.0.0.1", mirror.address(), &[]);
    let daemon = machine.start();
    let apt = Apt::new(mirror.address(), via(daemon.proxy()));

    apt.update().expect_success();
    apt.install(&names(&NOTABLE)).expect_success();
    apt.verify(&NOTABLE);
    for package in &NOTABLE {
        assert_eq!(mirror.sent(&pool_path(package)), package.size, "{} once from the mirror", package.name);
    }
    apt.source(SOURCE).expect_success();
    let tar = Archive::shared().www().join("debian/pool/main/o/orbit/orbit_1.0.tar.gz");
    assert!(apt.source_file("orbit_1.0.tar.gz") == std::fs::read(tar).unwrap());

    // Again, and by a second machine's apt: all of it out of the cache.
    let served = mirror.requests("/pool/").len();
    apt.forget_debs();
    let second = Apt::new(mirror.address(), via(daemon.proxy()));
    second.update().expect_success();
    for apt in [&apt, &second] {
        apt.install(&names(&NOTABLE)).expect_success();
        apt.verify(&NOTABLE);
    }
    second.source(SOURCE).expect_success();
    assert_eq!(mirror.requests("/pool/").len(), served, "the mirror was asked again");
    assert!(
        daemon.count("/apt/bytes_from_cache") >= 2 * NOTABLE.iter().map(|package| package.size).sum::<u64>()
    );
    daemon.stop();
}

#[test]
fn one_index_for_both_styles() {
    let mirror = Mirror::serve(Archive::shared().www());
    let machine = Machine::new("127.0.0.1", mirror.address(), &[]);
    let daemon = machine.start();
    for via in [Via::Proxy(daemon.proxy()), Via::Prefix(daemon.proxy())] {
        let apt = Apt::new(mirror.address(), via);
        apt.update().expect_success();
        apt.install(&["orbit-c++"]).expect_success();
        apt.verify(&NOTABLE[5..]);
    }
    assert_eq!(mirror.requests("orbit-c++").len(), 1, "both styles name one file");
    let packages = mirror.requests("binary-").len();
    assert_eq!(packages, 1, "the index came once for both");
}

#[test]
fn an_update_with_nothing_new_hits() {
    let mirror = Mirror::serve(Archive::shared().www());
    let machine = Machine::new("127.0.0.1", mirror.address(), &[]);
    let daemon = machine.start();
    let apt = Apt::new(mirror.address(), Via::Proxy(daemon.proxy()));
    apt.update().expect_success();
    let text = apt.update().expect_success();
    assert!(text.contains("Hit:1") && !text.contains("Get:1"), "{text}");
    let asked = mirror.requests("InRelease");
    assert_eq!(
        asked.last().unwrap().status,
        Some(304),
        "the mirror was asked whether it changed: {asked:#?}"
    );
}

#[test]
fn a_machine_with_fresh_lists_teaches_the_daemon() {
    let mirror = Mirror::serve(Archive::shared().www());
    let mut apt = Apt::new(mirror.address(), Via::Direct);
    apt.update().expect_success();

    // The daemon comes later: apt's lists are up to date, so it asks for InRelease
    // alone, and the daemon has to fetch the index by itself.
    let machine = Machine::new("127.0.0.1", mirror.address(), &[]);
    let daemon = machine.start();
    let before = mirror.requests("").len();
    apt.route(mirror.address(), Via::Proxy(daemon.proxy()), "stable");
    let text = apt.update().expect_success();
    assert!(text.contains("Hit:1"), "{text}");
    mirror.wait("binary-", "the daemon fetch the index", |requests| {
        requests.iter().filter(|request| request.finished).count() >= 2
    });
    assert!(mirror.requests("").len() > before);

    // Once it has read the index it knows the package by its hash, and has it cached
    // at the latest when it is asked for again.
    let deadline = Instant::now() + Duration::from_secs(20);
    loop {
        let asked = mirror.requests("orbit-one").len();
        apt.forget_debs();
        apt.install(&["orbit-one"]).expect_success();
        apt.verify(&NOTABLE[..1]);
        if asked > 0 && mirror.requests("orbit-one").len() == asked {
            break;
        }
        assert!(Instant::now() < deadline, "the daemon does not use the index that it fetched");
    }
}

#[test]
fn ten_requests_at_once_reach_the_mirror() {
    let mirror = Mirror::serve(Archive::shared().www());
    let machine = Machine::new("127.0.0.1", mirror.address(), &[]);
    let daemon = machine.start();
    let apt = Apt::new(mirror.address(), Via::Proxy(daemon.proxy()));
    apt.update().expect_success();

    // apt sends a connection's first request alone.
    let gate = mirror.withhold("/pool/", 1);
    let run = apt.start_install(&names(&SMALL));
    mirror.wait("/pool/", "ten requests outstanding", |requests| {
        requests.iter().any(|request| request.outstanding == 10)
    });
    gate.open();
    run.wait().expect_success();
    apt.verify(&SMALL);
}
