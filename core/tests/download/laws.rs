//! What holds in every world; [`world`](crate::world) checks more of it at every step.

use crate::world::{Behaviour, World, address, hashes};
use khashmir::claim::{ClaimKey, PIECE_LEN, PieceHashesRef};
use khashmir::download::{Action, Download, DownloadConfig, Event, Failure, RequestId};
use khashmir::rng::{Purpose, Rng};
use khashmir::time::Instant;
use khashmir_testing::quickcheck;
use quickcheck::{Arbitrary, Gen, TestResult};
use std::time::Duration;

#[derive(Clone, Debug)]
struct Recipe {
    pieces: u64,
    mirror: Option<(Behaviour, u64)>,
    peers: Vec<(u64, Behaviour, u64, u8)>,
    in_dht: (bool, bool),
    seed: u8,
}

fn behaviour(g: &mut Gen) -> Behaviour {
    let bytes = u64::from(u32::arbitrary(g)) % (4 * PIECE_LEN);
    match u8::arbitrary(g) % 12 {
        0 => Behaviour::CorruptFrom(u64::from(u8::arbitrary(g) % 8)),
        1 => Behaviour::OtherFile,
        2 => Behaviour::Refusing,
        3 => Behaviour::Silent,
        4 => Behaviour::Without,
        5 => Behaviour::GoneAfter(bytes),
        6 => Behaviour::CutsEvery(bytes),
        _ => Behaviour::Honest,
    }
}

fn rate(g: &mut Gen) -> u64 {
    *g.choose(&[3_000, 50_000, 500_000, 5_000_000, 50_000_000]).unwrap()
}

impl Arbitrary for Recipe {
    fn arbitrary(g: &mut Gen) -> Recipe {
        let peers = (0..u8::arbitrary(g) % 8)
            .map(|_| (u64::from(u16::arbitrary(g) % 3000), behaviour(g), rate(g), u8::arbitrary(g)))
            .collect();
        Recipe {
            pieces: *g.choose(&[1, 1, 2, 4, 5, 9, 30, 70]).unwrap(),
            mirror: (u8::arbitrary(g) % 8 > 0).then(|| (behaviour(g), rate(g))),
            peers,
            in_dht: (bool::arbitrary(g), bool::arbitrary(g)),
            seed: u8::arbitrary(g),
        }
    }

    fn shrink(&self) -> Box<dyn Iterator<Item = Recipe>> {
        let recipe = self.clone();
        let fewer = (0..recipe.peers.len()).map(move |without| {
            let mut fewer = recipe.clone();
            fewer.peers.remove(without);
            fewer
        });
        Box::new(fewer)
    }
}

impl Recipe {
    fn world(&self) -> World {
        let mut world = World::new(self.pieces);
        world.seed = self.seed;
        world = match self.mirror {
            Some((behaviour, rate)) => world.mirror(behaviour, rate),
            None => {
                world.mirror = None;
                world
            }
        };
        for (n, &(at, behaviour, rate, tier)) in (1..).zip(&self.peers) {
            let version = u8::from(behaviour == Behaviour::OtherFile);
            let named = hashes(world.size, version);
            let pieces = match tier % 6 {
                0 => PieceHashesRef::None,
                1 => PieceHashesRef::Peers(named.sha1()),
                2 => PieceHashesRef::Dht(named.sha1()),
                _ => PieceHashesRef::to(&named),
            };
            world = world.server(n, behaviour, rate).claim(at, address(n), pieces);
        }
        if self.in_dht.0 {
            world = world.in_dht(0);
        }
        if self.in_dht.1 {
            world = world.in_dht(1);
        }
        world
    }
}

#[test]
fn every_download_ends_and_an_honest_mirror_suffices() {
    fn law(recipe: Recipe) -> bool {
        let size = recipe.world().size;
        let done = recipe.world().run();
        let honest = matches!(recipe.mirror, Some((Behaviour::Honest, rate)) if CHUNK_OF_STALL <= rate * 10);
        // The slowest mirror, and every peer stalling in turn as often as it may, and once more.
        let slowest = Duration::from_secs(size / 3_000 + 60);
        let peers = Duration::from_secs(130 * (recipe.peers.len() as u64 + 1));
        (!honest || done.finished()) && done.took <= slowest * 4 + peers
    }
    // At 3 kB/s a chunk takes longer than a stall may: that mirror counts as silent.
    const CHUNK_OF_STALL: u64 = 64 * 1024;
    quickcheck().tests(400).quickcheck(law as fn(Recipe) -> bool);
}

/// Worlds that once broke a law.
#[test]
fn what_failed_once_holds_now() {
    let mirror = Some((Behaviour::OtherFile, 5_000_000));
    let vanishing = |bytes| (626, Behaviour::GoneAfter(bytes), 50_000_000, 220);
    // A peer gave the piece that the mirror's stream was in, and its group gave way to none.
    let found =
        Recipe { pieces: 4, mirror, peers: vec![vanishing(1_105_290)], in_dht: (false, true), seed: 0 };
    found.world().run();
    // A timer asked for a piece in the very call that told that the mirror had brought it.
    let peers = vec![
        (1344, Behaviour::CutsEvery(1_190_884), 5_000_000, 49),
        (179, Behaviour::Honest, 500_000, 159),
        (280, Behaviour::Silent, 5_000_000, 25),
    ];
    let mirror = Some((Behaviour::GoneAfter(956_674), 500_000));
    Recipe { pieces: 70, mirror, peers, in_dht: (false, false), seed: 205 }.world().run();
}

#[test]
fn the_same_inputs_give_the_same_outputs() {
    fn law(recipe: Recipe) -> bool {
        let (a, b) = (recipe.world().run(), recipe.world().run());
        a.asked == b.asked && a.events == b.events && a.stats == b.stats
    }
    quickcheck().tests(60).quickcheck(law as fn(Recipe) -> bool);
}

#[test]
fn peers_that_name_the_right_piece_hashes_hardly_cost_time_however_bad_they_are() {
    fn law(mut recipe: Recipe) -> TestResult {
        recipe.peers.retain(|(_, behaviour, ..)| *behaviour != Behaviour::OtherFile);
        for (at, _, rate, tier) in &mut recipe.peers {
            (*at, *rate, *tier) = (*at % 300, (*rate).max(20_000), 3);
        }
        let mirror = (Behaviour::Honest, 5_000_000);
        let mut alone = recipe.clone();
        (recipe.mirror, alone.mirror) = (Some(mirror), Some(mirror));
        alone.peers.clear();
        let mut world = recipe.world();
        world.config.mirror_rate = Some(mirror.1);
        let (helped, alone) = (world.run(), alone.world().run());
        // What may be lost: a tenth, and the wait until somebody is late, which bad peers can bring
        // about one after the other.
        TestResult::from_bool(helped.took <= alone.took * 11 / 10 + Duration::from_secs(5))
    }
    quickcheck().tests(400).quickcheck(law as fn(Recipe) -> TestResult);
}

#[test]
fn in_honest_worlds_a_byte_is_asked_for_at_most_twice_of_peers_and_little_is_wasted() {
    fn law(seed: u8, rates: Vec<u8>, pieces: u8) -> bool {
        let mut world = World::new(u64::from(pieces % 60) + 2).in_dht(0);
        world.seed = seed;
        for (n, rate) in (1..).zip(rates.iter().take(10)) {
            world = world.peer(n, Behaviour::Honest, 1_000_000 + u64::from(*rate) * 50_000);
        }
        let size = world.size;
        let done = world.run();
        done.finished()
            && done.requested_pieces.values().all(|times| *times <= 2)
            && done.from_mirror + done.from_peers <= 2 * size
    }
    quickcheck().tests(200).quickcheck(law as fn(u8, Vec<u8>, u8) -> bool);
}

/// One call on a plan, with arguments that may be nonsense.
#[derive(Clone, Debug)]
enum Call {
    Value(Vec<u8>, bool),
    Claim(u8, u8),
    LookupEnded,
    Progress(usize, u64),
    Piece(usize, u8, Option<u8>),
    Hashes(usize, Vec<u8>, bool),
    RangeEnded(usize, bool),
    FileHash(bool),
    Held(usize, bool),
    Timeout,
}

impl Arbitrary for Call {
    fn arbitrary(g: &mut Gen) -> Call {
        let request = usize::arbitrary(g);
        match u8::arbitrary(g) % 13 {
            0 => Call::Value(Vec::arbitrary(g), bool::arbitrary(g)),
            1 | 2 => Call::Claim(u8::arbitrary(g), u8::arbitrary(g)),
            3 => Call::LookupEnded,
            4 | 5 => Call::Progress(request, u64::arbitrary(g)),
            6 | 7 => Call::Piece(request, u8::arbitrary(g), Option::arbitrary(g)),
            8 => Call::Hashes(request, Vec::arbitrary(g), bool::arbitrary(g)),
            9 => Call::RangeEnded(request, bool::arbitrary(g)),
            10 => Call::FileHash(bool::arbitrary(g)),
            11 => Call::Held(request, bool::arbitrary(g)),
            _ => Call::Timeout,
        }
    }
}

#[test]
fn no_sequence_of_calls_panics_and_polling_changes_nothing() {
    fn play(calls: &[(Call, u32)], size: u64, poll_each: bool) -> (Vec<Action>, Vec<Event>) {
        let rng = Rng::new([3; 32], Purpose::Download);
        let mut plan = Download::new(DownloadConfig::default(), size, rng, Instant::ORIGIN).unwrap();
        let (mut actions, mut events, mut ids) = (Vec::new(), Vec::new(), Vec::<RequestId>::new());
        let mut now = Instant::ORIGIN;
        for (call, later) in calls {
            // A clock that now and then goes back.
            now = match later % 5 {
                0 => now.saturating_sub(Duration::from_millis(u64::from(*later))),
                _ => now + Duration::from_micros(u64::from(*later) % 3_000_000),
            };
            // Requests are numbered from 1: no need to poll to know them.
            let id = |n: &usize| ids.get(n % ids.len().max(1)).copied();
            match call {
                Call::Value(value, v6) => {
                    plan.handle_value(now, value, if *v6 { ClaimKey::FileV6 } else { ClaimKey::File });
                }
                Call::Claim(n, version) => {
                    let pieces = PieceHashesRef::to(&hashes(size, version % 2));
                    let claim = khashmir::claim::Claim { v4: Some(address(*n)), v6: None, pieces };
                    plan.handle_value(now, &claim.encode(), ClaimKey::File);
                }
                Call::LookupEnded => plan.handle_lookup_ended(now),
                Call::Progress(n, bytes) => {
                    id(n).into_iter().for_each(|id| plan.handle_progress(now, id, *bytes))
                }
                Call::Piece(n, index, version) => {
                    let mut sha1 = [version.unwrap_or(0); 20];
                    sha1[..8].copy_from_slice(&u64::from(*index).to_be_bytes());
                    let result = version.map(|_| sha1).ok_or(Failure::Interrupted);
                    let _ = id(n).map(|id| plan.handle_piece(now, id, result));
                }
                Call::Hashes(n, bytes, found) => {
                    let result = if *found { Ok(&bytes[..]) } else { Err(Failure::Unreachable) };
                    id(n).into_iter().for_each(|id| plan.handle_piece_hashes(now, id, result));
                }
                Call::RangeEnded(n, whole) => {
                    let result = if *whole { Ok(()) } else { Err(Failure::Interrupted) };
                    id(n).into_iter().for_each(|id| plan.handle_range_ended(now, id, result));
                }
                Call::FileHash(right) => plan.handle_file_hash(now, *right),
                Call::Held(n, true) => id(n).into_iter().for_each(|id| plan.handle_held(now, id)),
                Call::Held(n, false) => id(n).into_iter().for_each(|id| plan.handle_sent(now, id)),
                Call::Timeout => {
                    plan.handle_timeout(now);
                    assert!(plan.poll_timeout().is_none_or(|at| at > now));
                }
            }
            // A plan that is not polled does the same; its ids are known from a copy.
            let mut copy = plan.clone();
            let from = if poll_each { &mut plan } else { &mut copy };
            let polled: Vec<Action> = std::iter::from_fn(|| from.poll_action()).collect();
            ids = polled
                .iter()
                .filter_map(|action| match action {
                    Action::Request(request) => Some(request.id),
                    Action::Cancel(_) => None,
                })
                .chain(if poll_each { std::mem::take(&mut ids) } else { Vec::new() })
                .collect();
            ids.sort_unstable();
            if poll_each {
                actions.extend(polled);
                events.extend(std::iter::from_fn(|| plan.poll_event()));
            }
        }
        actions.extend(std::iter::from_fn(|| plan.poll_action()));
        events.extend(std::iter::from_fn(|| plan.poll_event()));
        (actions, events)
    }
    fn law(calls: Vec<(Call, u32)>, pieces: u8) -> bool {
        let size = u64::from(pieces % 12) * PIECE_LEN + u64::from(pieces);
        play(&calls, size, true) == play(&calls, size, false)
    }
    quickcheck().tests(1500).quickcheck(law as fn(Vec<(Call, u32)>, u8) -> bool);
}
