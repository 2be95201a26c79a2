//! Peers that do what they can, fast or slow.

use crate::world::{Behaviour::*, World, address, hashes};
use khashmir::claim::{PIECE_LEN, PieceHashesRef};
use khashmir::download::{Event, Origin, Source, What};
use std::time::Duration;

const FAST: u64 = 20_000_000;

#[test]
fn one_peer_gives_a_file_of_one_piece_and_the_mirror_sends_nothing() {
    for size in [1, 20_000, PIECE_LEN] {
        let done = World::of_size(size).peer(1, Honest, FAST).run();
        assert!(done.finished());
        assert_eq!((done.from_mirror, done.from_peers), (0, size), "{size}");
        assert_eq!(done.stats.claims_plain, 1);
    }
}

#[test]
fn every_tier_is_read_and_the_mirror_sends_nothing() {
    let inline = World::new(3).peer(1, Honest, FAST).run();
    let dht = World::new(20).peer(1, Honest, FAST).in_dht(0).run();
    let peers = World::new(80).peer(1, Honest, FAST).peer(2, Honest, FAST).run();
    for done in [&inline, &dht, &peers] {
        assert!(done.finished());
        assert_eq!(done.from_mirror, 0);
    }
    assert_eq!(inline.stats.claims_inline, 1);
    assert_eq!((dht.stats.claims_dht, dht.stats.piece_hashes_from_dht), (1, 1));
    assert_eq!((peers.stats.claims_peers, peers.stats.piece_hashes_from_peers), (2, 1));
}

#[test]
fn piece_hashes_that_the_dht_has_lost_come_from_a_peer() {
    let done = World::new(20).peer(1, Honest, FAST).run();
    assert!(done.finished());
    assert_eq!((done.from_mirror, done.stats.piece_hashes_from_peers), (0, 1));
}

#[test]
fn rubbish_under_the_key_of_the_piece_hashes_hides_nothing() {
    let mut world = World::new(20).peer(1, Honest, FAST);
    let right = hashes(world.size, 0);
    world.dht.insert(right.sha1(), vec![b"rubbish".to_vec(), hashes(world.size, 3).encode(), right.encode()]);
    let done = world.run();
    assert!(done.finished());
    assert_eq!((done.stats.piece_hashes_from_dht, done.stats.piece_hashes_wrong), (1, 2));
}

#[test]
fn honest_peers_are_asked_for_each_piece_once_and_share_the_work() {
    let world = (1..=6).fold(World::new(60), |world, n| world.peer(n, Honest, 5_000_000)).in_dht(0);
    let done = world.run();
    assert!(done.finished());
    assert_eq!(done.from_mirror, 0);
    assert!(done.requested_pieces.values().all(|times| *times == 1), "{:?}", done.requested_pieces);
    let shares: Vec<u64> = done.servers.values().map(|server| server.sent / PIECE_LEN).collect();
    assert!(shares.iter().filter(|share| **share >= 5).count() >= 4, "{shares:?}");
}

#[test]
fn pieces_are_asked_for_in_file_order() {
    let done = World::new(40).peer(1, Honest, FAST).peer(2, Honest, FAST).in_dht(0).run();
    let asked: Vec<u64> = done
        .asked
        .iter()
        .filter_map(|request| match request.what {
            What::Piece { index, .. } => Some(index),
            _ => None,
        })
        .collect();
    assert!(asked.is_sorted(), "{asked:?}");
}

#[test]
fn four_peers_are_faster_than_the_mirror_alone() {
    let alone = World::new(60).run();
    let world = (1..=4).fold(World::new(60), |world, n| world.peer(n, Honest, 8_000_000)).in_dht(0);
    let helped = world.run();
    assert!(helped.took < alone.took * 6 / 10, "{:?} against {:?}", helped.took, alone.took);
}

#[test]
fn peers_that_are_much_slower_than_the_mirror_hardly_cost_time() {
    let alone = World::new(100).run();
    let done = World::new(100).peer(1, Honest, 60_000).peer(2, Honest, 60_000).run();
    assert!(done.finished());
    // The wait until they are late, and no more.
    assert!(done.took < alone.took + Duration::from_millis(1200), "{:?} against {:?}", done.took, alone.took);
}

#[test]
fn a_piece_that_is_late_comes_from_another_peer() {
    let done = World::new(12).peer(1, Honest, 30_000).peer(2, Honest, FAST).in_dht(0).run();
    assert!(done.finished());
    assert_eq!(done.from_mirror, 0);
    assert!(done.stats.pieces_late >= 1);
    assert!(done.took < Duration::from_secs(4), "{:?}", done.took);
}

#[test]
fn the_only_peer_of_a_small_file_is_late_and_the_mirror_gives_it() {
    let done = World::new(1).peer(1, Silent, 1).run();
    assert!(done.finished());
    assert!(done.took < Duration::from_millis(1500), "{:?}", done.took);
}

#[test]
fn peers_that_refuse_or_lack_the_file_cost_no_time() {
    let world = (1..=4).fold(World::new(20), |world, n| world.peer(n, Refusing, FAST));
    let done = (5..=8).fold(world, |world, n| world.peer(n, Without, FAST)).in_dht(0).run();
    assert!(done.finished());
    assert_eq!(done.from_peers, 0);
    let alone = World::new(20).run();
    assert!(done.took < alone.took + Duration::from_millis(300), "{:?} against {:?}", done.took, alone.took);
}

#[test]
fn a_peer_that_vanishes_is_replaced_by_the_others() {
    let done = World::new(40).peer(1, GoneAfter(3 * PIECE_LEN), FAST).peer(2, Honest, FAST).in_dht(0).run();
    assert!(done.finished());
    assert_eq!(done.from_mirror, 0);
    // What was on its way to us when it vanished comes again, nothing else.
    assert!(done.from_peers <= (40 + 2) * PIECE_LEN, "{}", done.from_peers);
}

#[test]
fn the_only_peer_vanishes_and_the_mirror_gives_the_rest() {
    let done = World::new(40).peer(1, GoneAfter(10 * PIECE_LEN), FAST).in_dht(0).run();
    assert!(done.finished());
    assert!(done.from_mirror <= 31 * PIECE_LEN, "{}", done.from_mirror);
    assert_eq!(done.stats.pieces_from_peers, 10);
}

#[test]
fn peers_that_appear_late_take_over_what_the_mirror_has_not_reached() {
    let right = PieceHashesRef::to(&hashes(World::new(60).size, 0));
    let mut world = World::new(60).in_dht(0).lookup_ends(1500).mirror(Honest, 2_000_000);
    for n in 1..=4 {
        world = world.server(n, Honest, 8_000_000).claim(1400, address(n), right.clone());
    }
    let done = world.run();
    assert!(done.finished());
    assert!(done.took < Duration::from_secs(4), "{:?}", done.took);
    // The stream went on: its first half second, and while the peers worked ahead of it.
    assert!(done.stats.pieces_from_mirror >= 6, "{:?}", done.stats);
    assert!(done.stats.pieces_from_peers >= 40, "{:?}", done.stats);
    assert!(done.stats.bytes_wasted <= 2 * PIECE_LEN, "{:?}", done.stats);
    assert!(done.from_mirror + done.from_peers <= (60 + 3) * PIECE_LEN, "{:?}", done.stats);
    // What the mirror gives comes from the front: it can be passed on as it comes.
    let first = done.events.iter().find(|event| matches!(event, Event::PieceDone { .. })).unwrap();
    assert_eq!(*first, Event::PieceDone { index: 0, origin: Origin::Mirror });
}

#[test]
fn where_the_stream_meets_the_peers_it_stops() {
    let alone = World::new(100).run();
    let right = PieceHashesRef::to(&hashes(World::new(100).size, 0));
    let mut world = World::new(100).lookup_ends(1100);
    for n in 1..=2 {
        world = world.server(n, Honest, 2_500_000).claim(1000, address(n), right.clone());
    }
    let done = world.run();
    assert!(done.finished());
    assert!(done.took < alone.took * 4 / 5, "{:?} against {:?}", done.took, alone.took);
    assert!(done.from_mirror + done.from_peers <= 106 * PIECE_LEN, "{:?}", done.stats);
}

#[test]
fn when_all_peers_are_silent_the_mirror_gives_the_file_at_one_go() {
    let world = (1..=8).fold(World::new(60), |world, n| world.peer(n, Silent, 1)).in_dht(0);
    let done = world.run();
    assert!(done.finished());
    let streams = done.asked.iter().filter(|request| request.source == Source::Mirror).count();
    assert!(streams <= 3, "{streams}");
}

#[test]
fn a_file_without_piece_hashes_comes_from_one_peer_at_a_time() {
    let world = World::new(10)
        .claim(200, address(1), PieceHashesRef::None)
        .claim(200, address(2), PieceHashesRef::None)
        .server(1, Honest, FAST)
        .server(2, Honest, FAST);
    let done = world.run();
    assert!(done.finished());
    assert_eq!(done.from_mirror, 0);
    let givers = done.servers.values().filter(|server| server.sent > 0).count();
    assert_eq!(givers, 1);
}

#[test]
fn an_empty_file_is_there_at_once() {
    let done = World::of_size(0).run();
    assert!(done.finished() && done.asked.is_empty());
}

#[test]
fn a_peer_with_two_addresses_is_reached_at_the_other() {
    use khashmir::config::AddressFamilies;
    let mut world = World::new(3);
    world.config.address_families = AddressFamilies::Both;
    let claim = khashmir::claim::Claim {
        v4: Some(address(1)),
        v6: Some("[2a00::7]:9978".parse().unwrap()),
        pieces: PieceHashesRef::to(&hashes(world.size, 0)),
    };
    let done = world.server(1, Refusing, 1).value(200, claim.encode()).run();
    let tried = |source: &str| done.asked.iter().any(|r| r.source == Source::Peer(source.parse().unwrap()));
    assert!(tried("9.0.0.1:9978") && tried("[2a00::7]:9978"));
    assert!(done.finished());
}
