//! Piece hashes that are a lie, and values that are no claims.

use khashmir::claim::{Claim, PieceHashesRef, file_key};
use khashmir_apt::Sha256;

use super::{File, Scene, THREE, TWENTY, asked};
use crate::archive::PIECE;
use crate::daemon::Machine;
use crate::liar::piece_hashes;

#[test]
fn of_one_address_are_outvoted() {
    let mut scene = Scene::with_a(&[TWENTY], |a| a, Machine::patient);
    let file = File::of(TWENTY);
    let _second = scene.peer("127.0.0.11", &file);
    let liar = scene.false_peer("127.0.0.12", &file, &file.altered());
    let cost = scene.installs(&file);
    assert_eq!(asked(&liar, &file), 0, "{cost:?}");
    cost.is_at_most(0, 0);
}

#[test]
fn of_many_values_from_one_address_are_outvoted() {
    let mut scene = Scene::with_a(&[TWENTY], |a| a, Machine::patient);
    let file = File::of(TWENTY);
    let _second = scene.peer("127.0.0.11", &file);
    let other = file.altered();
    let liars = [(); 4].map(|()| scene.false_peer("127.0.0.12", &file, &other));
    let cost = scene.installs(&file);
    assert_eq!(liars.each_ref().map(|liar| asked(liar, &file)), [0; 4], "{cost:?}");
    cost.is_at_most(0, 0);
}

#[test]
fn of_most_addresses_cost_one_whole_file_and_only_once() {
    let mut scene = Scene::with_a(&[TWENTY, THREE], |a| a, Machine::patient);
    for (file, pieces) in [(File::of(TWENTY), 20), (File::of(THREE), 0)] {
        let other = file.altered();
        let ips = ["127.0.0.11", "127.0.0.12", "127.0.0.13"];
        let liars = ips.map(|ip| scene.false_peer(ip, &file, &other));
        let cost = scene.installs(&file);
        let asked = liars.each_ref().map(|liar| asked(liar, &file));
        // Who gave the lie in the first file is not believed in the second.
        assert_eq!(asked.iter().any(|&asked| asked > 0), pieces > 0, "{asked:?}");
        cost.is_at_most(pieces, pieces);
    }
}

/// Whoever stores a claim names any address in it.
#[test]
fn in_the_name_of_honest_peers_do_them_no_harm() {
    let mut scene = Scene::with_a(&[TWENTY, THREE], |a| a, Machine::patient);
    let a = scene.a.as_ref().unwrap().peers();
    let file = File::of(TWENTY);
    let false_hashes = piece_hashes(&file.altered());
    for named in [a, "127.0.0.13:9".parse().unwrap(), "127.0.0.14:9".parse().unwrap()] {
        scene.claim(&file, named, &false_hashes);
    }
    // One piece is found to be other than they say, and another may be on its way.
    let cost = scene.installs(&file);
    cost.is_at_most(0, 2);
    assert!(cost.wasted > 0, "nobody believed them: {cost:?}");
    // A is asked all the same.
    let cost = scene.installs(&File::of(THREE));
    cost.is_at_most(0, 0);
    assert_eq!(cost.from_mirror, 0);
}

#[test]
fn values_that_are_no_claims_hide_none_that_is() {
    let mut scene = Scene::with_a(&[TWENTY], |a| a, Machine::patient);
    let file = File::of(TWENTY);
    let claim = Claim {
        v4: Some("127.0.0.11:9".parse().unwrap()),
        v6: None,
        pieces: PieceHashesRef::to(&file.hashes),
    };
    let claim = claim.encode();
    let values: [&[u8]; 12] = [
        b"",
        b"no claim",
        b"de",
        b"d1:c5:12345e",
        b"d1:c6:\x7f\0\0\x01\0\0e",
        b"d1:ci7ee",
        b"d1:c6:\x7f\0\0\x01\x26\xfa1:hi1ee",
        b"d1:c6:\x7f\0\0\x01\x26\xfa1:t0:e",
        b"d1:c6:\x7f\0\0\x01\x26\xfa1:t19:1234567890123456789e",
        b"l6:\x7f\0\0\x01\x26\xfae",
        &claim[..claim.len() - 1],
        &[b'l'; 300],
    ];
    let key = file_key(&Sha256::of(&file.content).0);
    for value in values.into_iter().filter(|value| !value.is_empty()) {
        scene.liar.put(key, value);
    }
    let before = scene.b.count("/claims/malformed");
    let cost = scene.installs(&file);
    let malformed = scene.b.count("/claims/malformed") - before;
    assert!(malformed >= values.len() as u64 - 2, "{malformed} were seen");
    assert!(cost.from_mirror == 0 && cost.wasted < PIECE, "{cost:?}");
}
