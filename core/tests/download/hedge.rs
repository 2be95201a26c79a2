//! When the mirror is asked though peers may have the file: while somebody waits, and no sooner.

use crate::world::{Behaviour::*, World, address, hashes};
use khashmir::claim::{PIECE_LEN, PieceHashesRef};
use khashmir::download::{Source, What};
use std::time::Duration;

const FAST: u64 = 20_000_000;
const MS: Duration = Duration::from_millis(1);

/// A world as it is by default.
fn world(pieces: u64) -> World {
    let mut world = World::new(pieces);
    world.config = khashmir::download::DownloadConfig::default();
    world
}

#[test]
fn what_nobody_waits_for_is_left_to_peers_however_slow() {
    let slow = || world(4).peer(1, Honest, 100_000);
    let waited_for = slow().run();
    assert!(waited_for.finished() && waited_for.from_mirror > 0);
    let ahead = slow().wanted_at(60_000).run();
    assert!(ahead.finished());
    assert_eq!(ahead.from_mirror, 0);
}

#[test]
fn once_somebody_waits_the_mirror_gives_what_peers_are_late_with() {
    let done = world(4).peer(1, Silent, 1).wanted_at(2000).run();
    assert!(done.finished());
    let alone = world(4).lookup_ends(1).run().took;
    assert!(done.took > 2000 * MS && done.took < alone + 2100 * MS, "{:?}", done.took);
}

#[test]
fn a_lookup_that_takes_long_is_waited_for_only_from_when_somebody_waits() {
    let done = world(1).lookup_ends(20_000).wanted_at(5000).run();
    assert!(done.finished());
    let alone = world(1).lookup_ends(1).run().took;
    assert!(done.took >= 5300 * MS && done.took < alone + 5350 * MS, "{:?}", done.took);
}

#[test]
fn what_nobody_has_comes_from_the_mirror_though_nobody_waits() {
    let done = world(3).wanted_at(60_000).run();
    assert!(done.finished());
    assert!(done.took < 1000 * MS, "{:?}", done.took);
}

#[test]
fn a_peer_that_is_silent_is_late_before_one_that_sends() {
    let done = world(1).peer(1, Silent, 1).run();
    assert!(done.finished());
    // The lookup, the wait for its first byte, and the mirror's time.
    assert!(done.took < 750 * MS, "{:?}", done.took);
    // A chunk comes every 110 ms: the whole takes longer, but it comes.
    let steady = world(1).peer(1, Honest, 600_000).run();
    assert!(steady.finished());
    assert_eq!(steady.from_mirror, 0, "{:?}", steady.stats);
}

#[test]
fn when_waiting_turns_out_to_be_vain_the_mirror_is_asked_at_once() {
    let done = world(1).lookup_ends(20_000).wanted_at(30_000).mirror_delay_at(1000, Duration::ZERO).run();
    assert!(done.finished());
    assert!(done.took < 1200 * MS, "{:?}", done.took);
}

/// A world in which there is time for the piece hashes.
fn probing(pieces: u64) -> World {
    let mut world = World::new(pieces);
    world.config.mirror_probe = 2000 * MS;
    world
}

#[test]
fn peers_that_are_slower_than_a_mirror_nobody_knows_are_found_out() {
    let right = |size| PieceHashesRef::to(&hashes(size, 0));
    let slow = |pieces| {
        let world = probing(pieces).mirror(Honest, 12_500_000);
        let pieces = right(world.size);
        world.server(1, Honest, 600_000).claim(200, address(1), pieces)
    };
    let done = slow(100).run();
    assert!(done.finished());
    let alone = world(100).mirror(Honest, 12_500_000).lookup_ends(1).run().took;
    // What it took to find out, and no more.
    assert!(done.took < alone + 3000 * MS, "{:?} against {alone:?}", done.took);
    let mirror = |request: &&khashmir::download::Request| request.source == Source::Mirror;
    let first = done.asked.iter().find(mirror).unwrap();
    assert!(matches!(first.what, What::Range { len, .. } if len <= PIECE_LEN), "{first:?}");
}

#[test]
fn to_find_out_how_fast_the_mirror_is_costs_it_one_piece() {
    let mut fast = probing(400).in_dht(0);
    for n in 1..=2 {
        let pieces = PieceHashesRef::to(&hashes(fast.size, 0));
        fast = fast.server(n, Honest, FAST).claim(200, address(n), pieces);
    }
    let done = fast.run();
    assert!(done.finished() && done.took > 3000 * MS, "{:?}", done.took);
    assert!(done.from_mirror > 0 && done.from_mirror <= PIECE_LEN, "{}", done.from_mirror);
}
