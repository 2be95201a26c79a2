//! What one machine has, the next gets from it.

use khashmir_daemon::stats::Counter;

use super::archive::{Archive, content};
use super::machine::{Machine, Setup, asked_for, wait};
use super::mirror::{Act, Mirror};

const PIECE: usize = 524_288;

/// A machine that has the packages, and another that has joined it.
fn pair(mirror: &Mirror, archive: &Archive, names: &[&str]) -> (Machine, Machine) {
    let a = Setup::at("127.0.0.1").start(mirror);
    let b = Setup::at("127.0.0.2").joining(&a).start(mirror);
    a.update(mirror, archive);
    for name in names {
        a.install(mirror, name);
    }
    a.wait_announced(names.len() as u64 + 1);
    (a, b)
}

#[test]
fn files_of_every_tier_come_from_the_machine_that_has_them() {
    let files = [
        ("tiny.deb", content(1, 1)),
        ("exact.deb", content(2, PIECE)),
        ("three.deb", content(3, 2 * PIECE + 7)),
        ("twenty.deb", content(4, 20 * PIECE)),
        ("eighty.deb", content(5, 79 * PIECE + 1)),
    ];
    let packages: Vec<(&str, &[u8])> = files.iter().map(|(name, content)| (*name, &content[..])).collect();
    let archive = Archive::of(&packages);
    let mirror = Mirror::of(&archive, |_| None);
    let names = files.each_ref().map(|(name, _)| *name);
    let (a, b) = pair(&mirror, &archive, &names);

    b.update(&mirror, &archive);
    for (name, content) in &files {
        assert!(b.install(&mirror, name) == *content, "{name}");
        assert_eq!(asked_for(&mirror, name), 1, "{name} came from the mirror again");
    }
    let total: u64 = files.iter().map(|(_, content)| content.len() as u64).sum();
    let (got, gave) = (&b.stats().downloads, &a.stats().uploads);
    assert!(got.bytes_from_peers.value() >= total);
    assert!(gave.bytes.value() >= total);
    assert_eq!(got.pieces_bad.value() + got.files_bad.value(), 0);
    // Those of the files, and that of the index.
    let claims = &b.stats().claims;
    let read = [&claims.plain, &claims.t, &claims.h, &claims.l].map(Counter::value);
    assert_eq!(read, [3, 1, 1, 1], "plain, t, h and l");

    // What B got it announces in turn.
    b.wait_announced(names.len() as u64 + 1);
}

#[test]
fn the_third_machine_gets_it_from_the_second_when_the_first_is_gone() {
    let package = content(1, 2 * PIECE + 1);
    let archive = Archive::of(&[("p.deb", &package)]);
    let mirror = Mirror::of(&archive, |_| None);
    let (mut a, b) = pair(&mirror, &archive, &["p.deb"]);
    b.update(&mirror, &archive);
    b.install(&mirror, "p.deb");
    b.wait_announced(2);
    a.stop();
    let c = Setup::at("127.0.0.3").joining(&b).start(&mirror);
    c.update(&mirror, &archive);
    assert!(c.install(&mirror, "p.deb") == package);
    assert_eq!(asked_for(&mirror, "p.deb"), 1);
    assert!(b.stats().uploads.bytes.value() >= package.len() as u64);
}

#[test]
fn what_peers_have_arrives_though_the_mirror_has_it_not() {
    for fault in [Act::Status(404, vec![]), Act::Status(503, vec![]), Act::Serve(vec![7; 10])] {
        let package = content(1, 2 * PIECE + 1);
        let archive = Archive::of(&[("p.deb", &package)]);
        let act = fault.clone();
        let mirror = Mirror::of(&archive, move |asked| {
            (asked.path.ends_with("p.deb") && asked.nth > 0).then(|| act.clone())
        });
        let a = Setup::at("127.0.0.1").start(&mirror);
        // It asks the mirror at once, beside the peers.
        let b = Setup { hedge_delay_ms: 0, ..Setup::at("127.0.0.2").joining(&a) }.start(&mirror);
        a.update(&mirror, &archive);
        a.install(&mirror, "p.deb");
        a.wait_announced(2);
        b.update(&mirror, &archive);
        assert!(b.install(&mirror, "p.deb") == package, "{fault:?}");
    }
}

#[test]
fn nobody_known_costs_no_time() {
    let package = content(1, 1000);
    let archive = Archive::of(&[("p.deb", &package)]);
    let mirror = Mirror::of(&archive, |_| None);
    // It would wait for 25 seconds if it waited for peers.
    let alone = Setup::at("127.0.0.1").start(&mirror);
    alone.update(&mirror, &archive);
    let began = std::time::Instant::now();
    assert!(alone.install(&mirror, "p.deb") == package);
    assert!(began.elapsed().as_secs() < 10, "{:?}", began.elapsed());
}

#[test]
fn eviction_withdraws_the_announcement() {
    let (one, two) = (content(1, 600_000), content(2, 600_000));
    let archive = Archive::of(&[("one.deb", &one), ("two.deb", &two)]);
    let mirror = Mirror::of(&archive, |_| None);
    let cache = "[cache]\nsize_limit = \"1 MB\"";
    let a = Setup { peers: cache, ..Setup::at("127.0.0.1") }.start(&mirror);
    let _b = Setup::at("127.0.0.2").joining(&a).start(&mirror);
    a.update(&mirror, &archive);
    // Else both may come into the cache at one go, in any order.
    a.wait_announced(1);
    a.install(&mirror, "one.deb");
    a.wait_announced(2);
    a.install(&mirror, "two.deb");
    // The index was used least recently, then the first package; together they make room.
    wait("the evicted are withdrawn", || a.stats().dht.publications.value() == 1);
    assert_eq!(a.context().cache.announceable(10).unwrap().len(), 1);
}

#[test]
fn an_index_that_the_mirror_altered_comes_right_from_peers() {
    let archive = Archive::of(&[("p.deb", b"a package")]);
    let right = archive.files[&Archive::packages_by_name()].clone();
    let altered = [&right[..], b"Package: evil\n"].concat();
    let mirror = Mirror::of(&archive, move |asked| {
        (asked.path == Archive::packages_by_name()).then(|| Act::Serve(altered.clone()))
    });
    let a = Setup::at("127.0.0.1").start(&mirror);
    // It asks the mirror at once, beside the peers.
    let b = Setup { hedge_delay_ms: 0, ..Setup::at("127.0.0.2").joining(&a) }.start(&mirror);
    a.update(&mirror, &archive);
    a.wait_announced(1);
    let mut client = super::client::Client::connect(b.proxy());
    client.get(&mirror.url(&format!("{}/InRelease", super::archive::SUITE)), &[]).ok();
    assert!(client.get(&mirror.url(&Archive::packages_by_name()), &[]).ok() == right);
}
