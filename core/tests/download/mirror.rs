//! The mirror: left alone while peers do, asked as by a plain proxy while they do not.

use crate::world::{Behaviour::*, World, address, hashes, ms};
use khashmir::claim::{Claim, ClaimKey, PIECE_LEN, PieceHashesRef};
use khashmir::download::{
    Action, Download, DownloadConfig, Event, FailedBecause, Failure, Request, Source, Verdict, What,
};
use khashmir::rng::{Purpose, Rng};
use std::time::Duration;

const FAST: u64 = 20_000_000;

fn of_mirror(asked: &[Request]) -> Vec<What> {
    asked.iter().filter(|request| request.source == Source::Mirror).map(|request| request.what).collect()
}

#[test]
fn without_claims_the_whole_file_is_one_request_made_when_the_lookup_ends() {
    let world = World::new(30);
    let size = world.size;
    let done = world.run();
    assert!(done.finished());
    assert_eq!(of_mirror(&done.asked), [What::Range { offset: 0, len: size }]);
    let transfer = Duration::from_micros(size.div_ceil(65536) * 65536 / 10);
    assert!(done.took <= Duration::from_millis(330) + transfer, "{:?}", done.took);
}

#[test]
fn a_lookup_that_takes_long_delays_the_mirror_by_no_more_than_the_delay() {
    let done = World::new(1).lookup_ends(20_000).run();
    assert!(done.finished());
    assert!(done.took < Duration::from_millis(600), "{:?}", done.took);
}

#[test]
fn a_mirror_that_cuts_is_resumed_where_it_stopped() {
    let world = World::new(10).mirror(CutsEvery(3 * PIECE_LEN / 2), 10_000_000);
    let size = world.size;
    let done = world.run();
    assert!(done.finished());
    assert_eq!(done.from_mirror, size, "no byte twice");
}

#[test]
fn without_mirror_and_peers_it_fails_when_the_lookup_ends() {
    let mut world = World::new(5);
    world.mirror = None;
    let done = world.run();
    assert_eq!(done.last, Event::Failed(FailedBecause::NoSourceLeft));
    assert_eq!(done.took, Duration::from_millis(300));
}

#[test]
fn the_mirror_is_down_and_peers_give_the_file() {
    for dead in [Refusing, Without, Silent] {
        let done = World::new(20).mirror(dead, 1).peer(1, Honest, FAST).in_dht(0).run();
        assert!(done.finished(), "{dead:?}");
        assert_eq!(done.from_mirror, 0);
    }
}

#[test]
fn the_mirror_is_down_and_slow_peers_give_the_file_in_the_end() {
    let done = World::new(6).mirror(Refusing, 1).peer(1, Honest, 60_000).in_dht(0).run();
    assert!(done.finished());
    assert_eq!(done.from_peers, 6 * PIECE_LEN - 1000);
}

#[test]
fn the_mirror_is_down_and_the_only_peer_may_drip() {
    // A piece takes 75 seconds, where another would have 60.
    let done = World::new(3).mirror(Refusing, 1).peer(1, Honest, 7_000).run();
    assert!(done.finished());
    let done = World::new(3).mirror(Refusing, 1).peer(1, Honest, 7_000).peer(2, Honest, FAST).run();
    assert!(done.finished() && done.took < Duration::from_secs(30), "{:?}", done.took);
}

#[test]
fn silence_is_no_fault_of_who_has_not_been_asked() {
    let config = DownloadConfig { mirror: false, ..DownloadConfig::default() };
    let stall = config.stall;
    let mut plan = Download::new(config, 1000, Rng::new([1; 32], Purpose::Download), ms(0)).unwrap();
    let claim = Claim { v4: Some(address(1)), v6: None, pieces: PieceHashesRef::None };
    plan.handle_value(ms(0), &claim.encode(), ClaimKey::File);
    plan.handle_lookup_ended(ms(0));
    let Some(Action::Request(request)) = plan.poll_action() else { panic!() };
    plan.handle_held(ms(0), request.id);
    plan.handle_timeout(ms(0) + stall * 20);
    assert_eq!(plan.poll_action(), None);
    plan.handle_sent(ms(0) + stall * 20, request.id);
    plan.handle_timeout(ms(0) + stall * 20 + stall / 2);
    assert_eq!(plan.poll_action(), None);
    plan.handle_timeout(ms(0) + stall * 21);
    assert_eq!(plan.poll_action(), Some(Action::Cancel(request.id)));
}

#[test]
fn the_mirror_fails_before_peers_appear() {
    let mut world = World::new(20).mirror(Without, 1).in_dht(0).lookup_ends(5000);
    let right = PieceHashesRef::to(&hashes(world.size, 0));
    world = world.server(1, Honest, FAST).claim(4000, address(1), right);
    assert!(world.run().finished());
}

#[test]
fn everything_fails_and_so_does_the_plan() {
    for dead in [Refusing, Without, Silent, CutsEvery(0)] {
        let done = World::new(20).mirror(dead, 1).peer(1, CorruptFrom(3), FAST).in_dht(0).run();
        assert_eq!(done.last, Event::Failed(FailedBecause::NoSourceLeft), "{dead:?}");
        assert!(done.took < Duration::from_secs(60), "{dead:?} {:?}", done.took);
    }
}

#[test]
fn a_mirror_with_another_file_fails_the_plan() {
    let done = World::new(5).mirror(OtherFile, 10_000_000).run();
    assert_eq!(done.last, Event::Failed(FailedBecause::MirrorWrong));
    assert_eq!(done.from_mirror, 5 * PIECE_LEN - 1000, "once");
}

#[test]
fn a_mirror_that_stalls_is_asked_again() {
    // It sends ten pieces a connection and then falls silent: peers are none.
    let done = World::new(3).mirror(GoneAfter(PIECE_LEN), 10_000_000).run();
    assert_eq!(done.last, Event::Failed(FailedBecause::NoSourceLeft));
    assert!(of_mirror(&done.asked).len() >= 3);
}

#[test]
fn after_a_wrong_file_what_the_mirror_gave_is_not_fetched_again() {
    let mut world = World::new(20).in_dht(1).lookup_ends(2500).mirror(Honest, 2_000_000);
    let lie = PieceHashesRef::to(&hashes(world.size, 1));
    world = world.server(1, OtherFile, FAST).claim(2000, address(1), lie);
    let size = world.size;
    let done = world.run();
    assert!(done.finished());
    assert_eq!(done.stats.files_wrong, 1);
    assert!(done.from_mirror <= size + PIECE_LEN, "{} of {size}", done.from_mirror);
}

#[test]
fn a_stream_never_completes_a_piece_whose_beginning_was_discarded() {
    let size = World::new(3).size;
    let rng = Rng::new([1; 32], Purpose::Download);
    let mut plan = Download::new(DownloadConfig::default(), size, rng, ms(0)).unwrap();
    let value = |n, pieces| Claim { v4: Some(address(n)), v6: None, pieces }.encode();
    let requests = |plan: &mut Download| -> Vec<Request> {
        let actions: Vec<Action> = std::iter::from_fn(|| plan.poll_action()).collect();
        let is_live = |request: &Request| !actions.contains(&Action::Cancel(request.id));
        let made = actions.iter().filter_map(|action| match action {
            Action::Request(request) => Some(*request),
            Action::Cancel(_) => None,
        });
        made.filter(is_live).collect()
    };

    // A peer without piece hashes is late; the mirror's stream is in the piece when it comes.
    plan.handle_value(ms(0), &value(1, PieceHashesRef::None), ClaimKey::File);
    plan.handle_lookup_ended(ms(0));
    let of_peer = requests(&mut plan);
    plan.handle_timeout(ms(1000));
    let stream = requests(&mut plan).pop().unwrap();
    assert_eq!(stream.what, What::Range { offset: 0, len: size });
    plan.handle_progress(ms(1010), stream.id, 100_000);
    assert_eq!(plan.handle_piece(ms(1020), of_peer[0].id, Ok([6; 20])), Verdict::Keep);
    assert_eq!(plan.handle_piece(ms(1030), of_peer[1].id, Err(Failure::NotFound)), Verdict::Discard);

    // The next group says that the piece is another one.
    plan.handle_value(ms(1040), &value(2, PieceHashesRef::to(&hashes(size, 0))), ClaimKey::File);
    let events: Vec<Event> = std::iter::from_fn(|| plan.poll_event()).collect();
    assert!(events.contains(&Event::Discarded { offset: 0, len: PIECE_LEN }), "{events:?}");
    plan.handle_range_ended(ms(1050), stream.id, Ok(()));
    assert_eq!(plan.poll_event(), None, "the stream was not whole any more");
}
