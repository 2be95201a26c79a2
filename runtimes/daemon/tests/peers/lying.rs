//! Whatever peers do, apt gets the right bytes.

use khashmir::claim::PieceHashesRef;

use super::archive::{Archive, content};
use super::liar::{Liar, piece_hashes};
use super::machine::{Machine, Setup, asked_for};
use super::mirror::{Act, Asked, Mirror};

const PIECE: usize = 524_288;

struct Scene {
    package: Vec<u8>,
    mirror: Mirror,
    machine: Machine,
    liar: Liar,
}

/// A machine that knows of the package, in a network with a liar.
fn scene(len: usize, setup: impl Fn(Setup) -> Setup) -> Scene {
    let package = content(1, len);
    let archive = Archive::of(&[("p.deb", &package)]);
    let mirror = Mirror::of(&archive, |_| None);
    let machine = setup(Setup::at("127.0.0.1")).start(&mirror);
    machine.update(&mirror, &archive);
    let liar = Liar::joining(machine.peers());
    Scene { package, mirror, machine, liar }
}

/// A server of peers that does this for every file and all piece hashes.
fn server(act: impl Fn(&Asked) -> Act + Send + Sync + 'static) -> Mirror {
    Mirror::start(act)
}

impl Scene {
    #[track_caller]
    fn arrives(&self) {
        assert!(self.machine.install(&self.mirror, "p.deb") == self.package);
    }
}

#[test]
fn one_wrong_file_costs_time_alone() {
    let scene = scene(1000, |setup| setup);
    let wrong = server(|_| Act::Serve(vec![7; 1000]));
    scene.liar.claim(&scene.package, wrong.address, PieceHashesRef::None);
    scene.arrives();
    assert_eq!(scene.machine.stats().downloads.files_bad.value(), 1);
    assert_eq!(asked_for(&scene.mirror, "p.deb"), 1);
}

#[test]
fn a_corrupting_peer_is_told_from_an_honest_one() {
    let package = content(1, 6 * PIECE);
    let archive = Archive::of(&[("p.deb", &package)]);
    let mirror = Mirror::of(&archive, |_| None);
    let a = Setup::at("127.0.0.1").start(&mirror);
    let b = Setup::at("127.0.0.2").joining(&a).start(&mirror);
    let liar = Liar::joining(a.peers());
    a.update(&mirror, &archive);
    a.install(&mirror, "p.deb");
    a.wait_announced(2);
    let mut altered = package.clone();
    altered.iter_mut().step_by(PIECE).for_each(|byte| *byte ^= 1);
    let corrupting = server(move |_| Act::Serve(altered.clone()));
    liar.claim(&package, corrupting.address, PieceHashesRef::to(&piece_hashes(&package)));

    b.update(&mirror, &archive);
    assert!(b.install(&mirror, "p.deb") == package);
    let downloads = &b.stats().downloads;
    assert!(downloads.pieces_bad.value() > 0, "the liar was asked");
    assert!(downloads.bytes_wasted.value() >= PIECE as u64);
    assert_eq!(downloads.pieces_good.value(), 6 + 1, "and the index");
    assert_eq!(asked_for(&mirror, "p.deb"), 1, "honest pieces were there");
}

#[test]
fn piece_hashes_that_lie_cost_time_alone() {
    // In the claim, in the hash table, and at the peer.
    for pieces in [2, 6, 66] {
        let scene = scene(pieces * PIECE, |setup| setup);
        let wrong = content(9, pieces * PIECE);
        let hashes = piece_hashes(&wrong);
        let named = PieceHashesRef::to(&hashes);
        if let PieceHashesRef::Dht(sha1) = named {
            scene.liar.put(khashmir::Id(sha1), &hashes.encode());
        }
        let encoded = hashes.encode();
        let file = khashmir::claim::encode_path(&khashmir_apt::Sha256::of(&scene.package).0);
        let consistent =
            server(move |asked| Act::Serve(if asked.path == file { wrong.clone() } else { encoded.clone() }));
        scene.liar.claim(&scene.package, consistent.address, named);
        scene.arrives();
        let downloads = &scene.machine.stats().downloads;
        assert_eq!(downloads.files_bad.value(), 1, "{pieces} pieces");
        assert_eq!(downloads.pieces_good.value(), pieces as u64, "each matched its hash");
    }
}

#[test]
fn answers_that_are_none_end_the_use_of_a_peer() {
    let whole = content(1, 3 * PIECE);
    let part = whole[..PIECE].to_vec();
    let other_range = vec!["Content-Range: bytes 1-524288/1572864".to_owned()];
    let acts = [
        Act::Status(500, vec![]),
        Act::Status(404, vec![]),
        // The whole file where a part was asked for.
        Act::Headers(whole.clone(), vec![]),
        Act::Headers(part.clone(), other_range),
        Act::Lie(PIECE, vec![1; 10]),
        Act::CutAfter(1000, whole.clone()),
        Act::Chunked(whole.clone()),
        Act::Status(302, vec!["Location: /elsewhere".to_owned()]),
    ];
    for act in acts {
        let scene = scene(3 * PIECE, |setup| setup);
        let act_here = act.clone();
        let bad = server(move |_| act_here.clone());
        scene.liar.claim(&scene.package, bad.address, PieceHashesRef::to(&piece_hashes(&scene.package)));
        scene.arrives();
        let downloads = &scene.machine.stats().downloads;
        assert_eq!(downloads.pieces_good.value(), 0);
        assert!(downloads.bytes_from_peers.value() <= 4 * PIECE as u64, "no more is read than was asked for");
        assert!(downloads.bytes_from_mirror.value() >= scene.package.len() as u64);
    }
}

#[test]
fn an_error_is_no_file_however_long_its_text() {
    let scene = scene("so it is".len(), |setup| setup);
    let failing = server(|_| Act::Status(500, vec![]));
    scene.liar.claim(&scene.package, failing.address, PieceHashesRef::None);
    scene.arrives();
    let downloads = &scene.machine.stats().downloads;
    assert_eq!(downloads.files_bad.value() + downloads.pieces_good.value(), 0);
}

#[test]
fn who_falls_silent_is_not_waited_for() {
    for act in [Act::Stall(1000, content(1, 3 * PIECE)), Act::Hold(Box::new(Act::Status(404, vec![])))] {
        let scene = scene(3 * PIECE, Setup::impatient);
        let silent = server(move |_| act.clone());
        scene.liar.claim(&scene.package, silent.address, PieceHashesRef::to(&piece_hashes(&scene.package)));
        let began = std::time::Instant::now();
        scene.arrives();
        assert!(began.elapsed().as_secs() < 8, "{:?}", began.elapsed());
        silent.open_gate();
    }
}

#[test]
fn claims_send_nobody_to_addresses_that_are_not_allowed() {
    // 127.0.0.0/8 is listed; nothing private beside it is.
    let scene = scene(1000, |setup| setup);
    scene.liar.claim(&scene.package, "10.0.0.1:80".parse().unwrap(), PieceHashesRef::None);
    scene.liar.put(khashmir::claim::file_key(&khashmir_apt::Sha256::of(&scene.package).0), b"no claim");
    scene.arrives();
    assert_eq!(asked_for(&scene.mirror, "p.deb"), 1);
    // A claim that cannot be followed counts among the malformed.
    let claims = &scene.machine.stats().claims;
    assert!(claims.malformed.value() >= 1);
}
