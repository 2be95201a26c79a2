//! Peers that lie, and what it costs: time, never a wrong file.

use crate::world::{Behaviour::*, World, address, hashes};
use khashmir::claim::{PIECE_LEN, PieceHashes, PieceHashesRef};
use khashmir::download::Source;
use std::net::SocketAddrV4;
use std::time::Duration;

const FAST: u64 = 20_000_000;

#[test]
fn a_peer_whose_piece_does_not_match_is_not_asked_again() {
    let done = World::new(20).peer(1, CorruptFrom(0), FAST).peer(2, Honest, FAST).in_dht(0).run();
    assert!(done.finished());
    assert_eq!((done.from_mirror, done.stats.pieces_wrong), (0, 1));
}

#[test]
fn when_all_peers_corrupt_the_mirror_gives_the_file() {
    let world = (1..=5).fold(World::new(20), |world, n| world.peer(n, CorruptFrom(u64::from(n)), FAST));
    let done = world.in_dht(0).run();
    assert!(done.finished());
    assert_eq!(done.stats.pieces_wrong, 5);
}

#[test]
fn piece_hashes_of_another_file_cost_time_and_then_the_mirror_alone_is_asked() {
    // Even an honest peer of a smaller group: who can stand for many liars can stand for more.
    let world = World::new(20).peer(1, OtherFile, FAST).peer(2, OtherFile, FAST).peer(3, Honest, FAST);
    let done = world.in_dht(0).in_dht(1).run();
    assert!(done.finished());
    assert_eq!(done.stats.files_wrong, 1);
    let first_of_mirror = done.asked.iter().position(|request| request.source == Source::Mirror).unwrap();
    let after = &done.asked[first_of_mirror..];
    assert!(after.iter().all(|request| request.source == Source::Mirror));
    assert_eq!(done.from_mirror, 20 * PIECE_LEN - 1000);
}

#[test]
fn the_group_of_more_addresses_is_believed() {
    let world = World::new(20).peer(1, OtherFile, FAST).peer(2, Honest, FAST).peer(3, Honest, FAST);
    let done = world.in_dht(0).in_dht(1).run();
    assert!(done.finished());
    assert_eq!((done.stats.files_wrong, done.from_mirror), (0, 0));
}

#[test]
fn many_claims_of_one_address_are_one_vote() {
    let lie = |size| PieceHashesRef::to(&hashes(size, 1));
    let mut world = World::new(20);
    for port in 1000..1040 {
        let many = SocketAddrV4::new(*address(1).ip(), port);
        let pieces = lie(world.size);
        world = world.claim(200, many, pieces);
    }
    let done = world.peer(2, Honest, FAST).peer(3, Honest, FAST).in_dht(0).in_dht(1).run();
    assert!(done.finished());
    assert_eq!((done.stats.files_wrong, done.from_mirror), (0, 0));
    assert!(done.stats.claims_refused >= 36, "{:?}", done.stats);
}

#[test]
fn a_claim_in_the_name_of_an_honest_peer_costs_a_piece_of_it() {
    let world = World::new(20);
    let [right, lie] = [0, 1].map(|version| PieceHashesRef::to(&hashes(world.size, version)));
    let done = [1, 8, 9]
        .into_iter()
        .fold(world, |world, n| world.claim(100, address(n), lie.clone()))
        .claim(200, address(1), right)
        .server(1, Honest, FAST)
        .server(8, Refusing, 1)
        .server(9, Refusing, 1)
        .in_dht(0)
        .in_dht(1)
        .run();
    assert!(done.finished());
    assert_eq!((done.stats.pieces_wrong, done.stats.files_wrong, done.from_mirror), (1, 0, 0));
}

#[test]
fn who_contradicts_everybody_is_not_asked_a_third_time() {
    let world = World::new(20);
    let size = world.size;
    let world = (0..6).fold(world, |world, version| {
        world.claim(100, address(1), PieceHashesRef::to(&hashes(size, version))).in_dht(version)
    });
    let done = world.server(1, CorruptFrom(0), FAST).run();
    assert!(done.finished());
    assert!(done.stats.pieces_wrong <= 2, "{:?}", done.stats);
}

#[test]
fn a_larger_group_that_appears_before_anything_came_is_believed_instead() {
    let mut world = World::new(20).in_dht(0).lookup_ends(2000);
    let (lie, truth) = (hashes(world.size, 1), hashes(world.size, 0));
    // The liar is heard of first and sends its piece hashes slowly.
    world = world.claim(10, address(1), PieceHashesRef::to(&lie)).server(1, OtherFile, 100_000);
    for n in 2..=3 {
        world = world.claim(400, address(n), PieceHashesRef::to(&truth)).server(n, Honest, FAST);
    }
    let done = world.run();
    assert!(done.finished());
    assert_eq!((done.stats.files_wrong, done.from_mirror), (0, 0));
}

#[test]
fn a_group_whose_piece_hashes_cannot_be_had_gives_way_to_the_next() {
    let mut world = World::new(20).in_dht(0);
    for n in 1..=3 {
        world =
            world.claim(200, address(n), PieceHashesRef::Dht([n; 20].map(|_| 0xee))).server(n, Honest, FAST);
    }
    let done = world.peer(4, Honest, FAST).run();
    assert!(done.finished());
    assert!(done.stats.pieces_from_peers >= 15, "{:?}", done.stats);
}

#[test]
fn piece_hashes_of_the_wrong_number_are_not_believed() {
    let world = World::new(20);
    let short = PieceHashes::new(vec![[5; 20]; 7]);
    let mut world = world.claim(200, address(1), PieceHashesRef::Dht(short.sha1())).server(1, Honest, FAST);
    world.dht.insert(short.sha1(), vec![short.encode()]);
    let done = world.claim(200, address(2), PieceHashesRef::Inline(PieceHashes::new(vec![[1; 20]; 3]))).run();
    assert!(done.finished());
    assert_eq!((done.from_peers, done.stats.claims_malformed), (0, 1));
}

#[test]
fn a_wrong_file_without_piece_hashes_costs_its_peer_and_the_next_is_asked() {
    let done = World::new(1).peer(1, OtherFile, FAST).peer(2, Honest, FAST).run();
    assert!(done.finished());
    assert!(done.from_mirror == 0 && done.stats.files_wrong <= 1);
    let only_lies = World::new(1).peer(1, OtherFile, FAST).peer(2, OtherFile, FAST).run();
    assert!(only_lies.finished());
    assert_eq!(only_lies.stats.files_wrong, 2);
}

#[test]
fn values_that_are_no_claims_hide_none() {
    let world = World::new(3).value(190, b"rubbish".to_vec()).value(195, b"de".to_vec());
    let done = world.peer(1, Honest, FAST).value(205, vec![0xff; 1391]).run();
    assert!(done.finished());
    assert_eq!((done.stats.claims_malformed, done.from_mirror), (3, 0));
}

#[test]
fn claims_cannot_point_us_at_our_own_network_or_at_ourselves() {
    let mut world = World::new(1).lookup_ends(250);
    world.config.own = vec![address(9).into()];
    for address in ["127.0.0.1:22", "192.168.0.1:80", "9.0.0.9:9978", "9.0.0.7:0"] {
        world = world.claim(200, address.parse().unwrap(), PieceHashesRef::None);
    }
    let done = world.run();
    assert!(done.finished() && done.took < Duration::from_millis(500));
    assert!(done.asked.iter().all(|request| request.source == Source::Mirror));
    assert_eq!(done.stats.claims_refused, 4);
}

#[test]
fn thousands_of_claims_are_bounded() {
    let mut world = World::new(20);
    for n in 0..5000u32 {
        let from = SocketAddrV4::new((0x0900_0000 + n).into(), 1);
        world = world.claim(200, from, PieceHashesRef::Dht([n as u8; 20]));
    }
    let done = world.run();
    assert!(done.finished());
    assert!(done.stats.claims_refused >= 5000 - 256, "{:?}", done.stats);
}
