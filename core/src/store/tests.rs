use super::*;
use crate::rng::{Purpose, Rng};
use alloc::vec;
use alloc::vec::Vec;
use khashmir_testing::quickcheck;
use quickcheck::{Arbitrary, Gen};

const LIFETIME: Duration = Duration::from_secs(3 * 3600);
const START: Instant = Instant::from_micros(1_000_000);
const HONEST: IpAddr = host(1, 1);

const fn host(network: u8, last: u8) -> IpAddr {
    IpAddr::V4(core::net::Ipv4Addr::new(203, 0, network, last))
}

fn key(n: u16) -> Id {
    let mut id = Id::ZERO;
    id.0[..2].copy_from_slice(&n.to_be_bytes());
    id
}

fn store_with(limits: &Limits) -> Store {
    Store::new(limits, LIFETIME, HashKey::new(&mut Rng::new([8; 32], Purpose::HashKey)))
}

fn minutes(minutes: u64) -> Duration {
    Duration::from_secs(60 * minutes)
}

/// Limits with room for `values` of 100 bytes.
fn room_for(values: usize) -> Limits {
    Limits { store_bytes: values * cost(100), ..Limits::DEFAULT }
}

/// A value of 100 bytes that no other `n` gives.
fn value(n: u32) -> [u8; 100] {
    let mut value = [b'v'; 100];
    value[..4].copy_from_slice(&n.to_be_bytes());
    value
}

fn values(store: &Store, now: Instant, key: &Id) -> Vec<Vec<u8>> {
    store.values(now, key).map(<[u8]>::to_vec).collect()
}

fn has(store: &Store, now: Instant, key: &Id, value: &[u8]) -> bool {
    store.values(now, key).any(|held| held == value)
}

impl Store {
    /// Sizes add up, bounds hold, indexes agree.
    fn check_invariants(&self) {
        let (mut all, mut expiries, mut arrivals) = (Vec::new(), BTreeSet::new(), BTreeSet::new());
        for (&key, held) in &self.keys {
            assert!(!held.entries.is_empty() && held.entries.len() <= self.values_per_key);
            assert!(held.entries.iter().is_sorted_by(|a, b| a.arrival < b.arrival));
            let mut counts = BTreeMap::new();
            for entry in &held.entries {
                let place = Place { key, arrival: entry.arrival };
                assert!((1..=self.value_len).contains(&entry.value.len()));
                assert_eq!(held.find(&entry.value), Some(entry.arrival), "values are distinct");
                assert!(arrivals.insert(entry.arrival) && entry.arrival < self.next_arrival);
                assert!(entry.filed_at <= entry.expires_at);
                assert_eq!(held.live_len(entry.expires_at), held.live(entry.expires_at).count());
                expiries.insert((entry.filed_at, place));
                all.push((entry.prefix(), entry.established, place, entry.cost()));
                *counts.entry(entry.prefix()).or_insert(0) += 1;
            }
            assert_eq!(held.counts, counts.into_iter().collect::<Vec<_>>());
        }
        assert_eq!(self.expiries, expiries);
        assert!(self.bytes() <= self.store_bytes);
        self.shares.check_invariants(&all);
        for source in all.iter().map(|(source, ..)| source) {
            assert!(self.shares.established(source) <= self.store_bytes / ESTABLISHED_SHARE);
        }
    }
}

#[test]
fn values_come_back_in_order_of_arrival_each_once() {
    let mut store = store_with(&Limits::DEFAULT);
    for text in ["b", "a", "c"] {
        assert_eq!(store.store(START, key(1), text.as_bytes(), HONEST, true), Ok(Stored::New));
    }
    assert_eq!(store.store(START, key(1), b"b", host(2, 2), true), Ok(Stored::Renewed));
    assert_eq!(values(&store, START, &key(1)), [b"b", b"a", b"c"]);
    assert_eq!(store.count(START, &key(1)), 3);
    assert_eq!((store.count(START, &key(2)), values(&store, START, &key(2)).len()), (0, 0));
    assert_eq!((store.len(), store.keys(), store.bytes()), (3, 1, 3 * cost(1)));
}

#[test]
fn a_value_expires_unless_it_is_renewed() {
    let mut store = store_with(&Limits::DEFAULT);
    store.store(START, key(1), b"once", HONEST, true).unwrap();
    store.store(START, key(1), b"again", HONEST, true).unwrap();
    let renewed_at = START + minutes(150);
    assert_eq!(store.store(renewed_at, key(1), b"again", HONEST, true), Ok(Stored::Renewed));
    assert_eq!(store.count(START + LIFETIME.saturating_sub(Duration::from_micros(1)), &key(1)), 2);
    let later = START + LIFETIME;
    assert_eq!(values(&store, later, &key(1)), [b"again"], "expired before any checkpoint");
    assert_eq!(store.count(later, &key(1)), 1);
    store.expire(later);
    assert_eq!(store.len(), 1);
    store.expire(renewed_at + LIFETIME);
    assert_eq!((store.len(), store.keys(), store.bytes()), (0, 0, 0));
    store.check_invariants();
    assert_eq!(store.store(renewed_at + LIFETIME, key(1), b"once", HONEST, true), Ok(Stored::New));
}

#[test]
fn sizes_and_counts_are_bounded() {
    let mut store = store_with(&Limits::DEFAULT);
    let store_one =
        |store: &mut Store, value: &[u8], counted| store.store(START, key(1), value, HONEST, counted);
    assert_eq!(store_one(&mut store, b"", true), Err(Refused::Empty));
    assert_eq!(store_one(&mut store, &[1; 1392], true), Err(Refused::TooLong));
    for n in 0..4 {
        let longest = [n; 1391];
        assert_eq!(store_one(&mut store, &longest, true), Ok(Stored::New));
    }
    assert_eq!(store_one(&mut store, b"fifth", true), Err(Refused::SourceFull));
    assert_eq!(store_one(&mut store, &[0; 1391], true), Ok(Stored::Renewed), "a full source may renew");
    assert!(store.would_accept(START, &key(1), &HONEST, true), "so it gets a token");
    assert_eq!(store_one(&mut store, b"fifth", false), Ok(Stored::New), "uncounted networks");
    assert_eq!(store.store(START, key(2), b"fifth", HONEST, true), Ok(Stored::New), "another key");
    store.check_invariants();
}

#[test]
fn an_ipv6_host_is_one_source_whatever_address_it_takes() {
    let mut store = store_with(&Limits::DEFAULT);
    let ip = |last: u16| IpAddr::from([0x2001, 0xdb8, 0, 0, 0, 0, 0, last]);
    for n in 0..4 {
        store.store(START, key(1), &value(n), ip(n as u16), true).unwrap();
    }
    assert_eq!(store.store(START, key(1), b"5", ip(5), true), Err(Refused::SourceFull));
}

#[test]
fn room_that_expired_values_take_is_free() {
    let limits = Limits { values_per_key: 2, values_per_key_and_source: 1, ..room_for(2) };
    let mut store = store_with(&limits);
    store.store(START, key(1), &value(1), HONEST, true).unwrap();
    store.store(START, key(1), &value(2), host(2, 2), true).unwrap();
    assert!(!store.would_accept(START, &key(1), &host(3, 3), true), "the key is full");
    let later = START + LIFETIME;
    assert!(store.would_accept(later, &key(1), &HONEST, true));
    assert_eq!(store.store(later, key(1), &value(3), HONEST, true), Ok(Stored::New));
    assert_eq!(store.store(later, key(2), &value(4), HONEST, true), Ok(Stored::New));
    store.check_invariants();
}

#[test]
fn a_full_key_makes_room_for_a_source_with_fewer_values() {
    let limits = Limits { values_per_key: 8, ..Limits::DEFAULT };
    let mut store = store_with(&limits);
    for n in 0..4 {
        store.store(START, key(1), &value(n), host(2, 2), true).unwrap();
        store.store(START, key(1), &value(10 + n), host(3, 3), true).unwrap();
    }
    assert!(store.would_accept(START, &key(1), &HONEST, true));
    assert_eq!(store.store(START, key(1), &value(20), HONEST, true), Ok(Stored::New));
    assert!(!has(&store, START, &key(1), &value(13)), "the newest of those with most went");
    assert_eq!(store.count(START, &key(1)), 8);
    assert_eq!(store.store(START, key(1), &value(21), HONEST, true), Ok(Stored::New));
    // 4 - 3 - 2 - 1: now nobody has two more than the newcomer.
    assert!(!has(&store, START, &key(1), &value(3)));
    let refused = store.store(START, key(1), &value(22), HONEST, true);
    assert_eq!(refused, Err(Refused::KeyFull), "three and three against two");
    assert!(store.would_accept(START, &key(1), &HONEST, true), "it still has its own to renew");
    store.check_invariants();
}

#[test]
fn values_that_many_renewed_keep_their_place_under_a_full_key() {
    let limits = Limits { values_per_key: 8, ..Limits::DEFAULT };
    let mut store = store_with(&limits);
    let renewed_at = START + ESTABLISHED_AFTER;
    for now in [START, renewed_at] {
        for n in 0..8 {
            store.store(now, key(1), &value(n), host(2, n as u8 / 4), true).unwrap();
        }
    }
    assert!(!store.would_accept(renewed_at, &key(1), &HONEST, true));
    let refused = store.store(renewed_at, key(1), &value(20), HONEST, true);
    assert_eq!(refused, Err(Refused::KeyFull));
    store.check_invariants();
}

#[test]
fn a_flood_from_one_address_pushes_out_itself() {
    let mut store = store_with(&room_for(100));
    let attacker = host(66, 6);
    for n in 0..1000 {
        let _ = store.store(START, key(n), &value(u32::from(n)), attacker, true);
    }
    assert_eq!(store.len(), 100, "while nobody else comes, it has it all");
    for n in 0..40 {
        let stored = store.store(START, key(n), &value(5000), host(n as u8, 1), true);
        assert_eq!(stored, Ok(Stored::New), "honest newcomer {n}");
    }
    for n in 1000..2000 {
        let refused = store.store(START, key(n), &value(u32::from(n)), attacker, true);
        assert_eq!(refused, Err(Refused::OverShare));
        assert!(!store.would_accept(START, &key(n), &attacker, true));
    }
    assert!((0..40).all(|n| has(&store, START, &key(n), &value(5000))));
    store.check_invariants();
}

#[test]
fn what_was_renewed_outlives_a_flood_from_many_addresses() {
    let mut store = store_with(&room_for(200));
    let renewed_at = START + minutes(150);
    for now in [START, renewed_at] {
        for n in 0..20 {
            store.store(now, key(n), &value(5000), host(1, n as u8), true).unwrap();
        }
    }
    for n in 0..20_000u32 {
        let source = IpAddr::from((0x0b00_0000 + n).to_be_bytes());
        let _ = store.store(renewed_at, key(n as u16), &value(n), source, true);
    }
    assert_eq!(store.len(), 200);
    assert!((0..20).all(|n| has(&store, renewed_at, &key(n), &value(5000))));
    store.check_invariants();
}

#[test]
fn storing_twice_at_once_is_no_renewal_that_protects() {
    let mut store = store_with(&room_for(200));
    let now = START + minutes(29);
    store.store(START, key(1000), &value(5000), HONEST, true).unwrap();
    for now in [START, now] {
        for n in 0..199 {
            store.store(now, key(n), &value(u32::from(n)), host(66, n as u8 / 2), true).unwrap();
        }
    }
    assert_eq!(store.store(now, key(7), &value(5000), host(2, 2), true), Ok(Stored::New));
    assert!(has(&store, now, &key(1000), &value(5000)), "one of the flood's went");
    assert_eq!(store.len(), 200);
}

#[test]
fn a_newcomer_that_would_have_as_much_as_any_gives_way_itself() {
    let mut store = store_with(&room_for(10));
    for n in 0..10 {
        store.store(START, key(1), &value(n), host(2, n as u8), true).unwrap();
    }
    assert_eq!(store.store(START, key(2), &value(10), HONEST, true), Err(Refused::OverShare));
    assert_eq!(store.count(START, &key(1)), 10);
    assert_eq!(store.store(START, key(2), &value(10)[1..], HONEST, true), Ok(Stored::New));
    assert_eq!(store.count(START, &key(1)), 9);
}

#[test]
fn a_patient_flood_from_one_address_is_protected_up_to_its_share_only() {
    let mut store = store_with(&room_for(640));
    let attacker = host(66, 6);
    let renewed_at = START + minutes(60);
    for now in [START, renewed_at] {
        for n in 0..640 {
            store.store(now, key(n), &value(u32::from(n)), attacker, true).unwrap();
        }
    }
    for n in 0..600u16 {
        let source = IpAddr::from((0x0b00_0000 + u32::from(n)).to_be_bytes());
        assert_eq!(store.store(renewed_at, key(n), &value(5000), source, true), Ok(Stored::New), "{n}");
    }
    store.check_invariants();
}

#[test]
fn where_all_is_established_the_largest_source_gives_way() {
    let limits = room_for(128);
    let mut store = store_with(&limits);
    let renewed_at = START + minutes(60);
    for now in [START, renewed_at] {
        for n in 0..128 {
            store.store(now, key(n), &value(u32::from(n)), host(2, n as u8 / 2), true).unwrap();
        }
    }
    assert!(store.would_accept(renewed_at, &key(1000), &HONEST, true));
    assert_eq!(store.store(renewed_at, key(1000), &value(5000), HONEST, true), Ok(Stored::New));
    let refused = store.store(renewed_at, key(1001), &value(5000), HONEST, true);
    assert_eq!(refused, Err(Refused::OverShare), "now it is the only one with a value to establish");
    store.check_invariants();
}

#[test]
fn a_value_larger_than_the_store_is_refused_and_pushes_nothing_out() {
    let limits = Limits { store_bytes: cost(100), ..Limits::DEFAULT };
    let mut store = store_with(&limits);
    store.store(START, key(1), &value(1), HONEST, true).unwrap();
    assert_eq!(store.store(START, key(2), &[1; 101], host(2, 2), true), Err(Refused::OverShare));
    assert_eq!(store.len(), 1);
}

#[test]
fn a_snapshot_restores_values_with_their_age() {
    let mut store = store_with(&Limits::DEFAULT);
    store.store(START, key(2), b"old", HONEST, true).unwrap();
    let now = START + minutes(100);
    store.store(now, key(2), b"new", host(2, 2), true).unwrap();
    store.store(now, key(1), b"first key", HONEST, true).unwrap();
    let saved: Vec<_> = store.iter(now).collect();
    let expected = [
        (key(1), &b"first key"[..], HONEST, Duration::ZERO),
        (key(2), b"old", HONEST, minutes(100)),
        (key(2), b"new", host(2, 2), Duration::ZERO),
    ];
    assert_eq!(saved, expected);

    // The clock of the next run starts anew, 10 minutes later.
    let mut restored = store_with(&Limits::DEFAULT);
    for (key, value, source, age) in saved {
        assert!(restored.restore(Instant::ORIGIN, key, value, source, age + minutes(10)));
    }
    assert_eq!(values(&restored, Instant::ORIGIN, &key(2)), [b"old", b"new"]);
    assert_eq!(values(&restored, Instant::ORIGIN + minutes(70), &key(2)), [b"new"]);
    assert_eq!(restored.count(Instant::ORIGIN + minutes(170), &key(2)), 0);
    assert!(!restored.restore(START, key(3), b"expired", HONEST, LIFETIME));
    restored.check_invariants();
}

#[derive(Clone, Debug)]
struct Operation {
    wait: Duration,
    key: Id,
    value: Vec<u8>,
    source: IpAddr,
    counted: bool,
    expire: bool,
}

impl Arbitrary for Operation {
    fn arbitrary(g: &mut Gen) -> Operation {
        let wait = if u8::arbitrary(g) % 16 == 0 { minutes(u64::arbitrary(g) % 60) } else { Duration::ZERO };
        // Few names and few bytes, so that they meet.
        let len = *g.choose(&[0, 1, 1, 30, 200, 1391, 1392]).unwrap_or(&1);
        Operation {
            wait,
            key: key(u16::arbitrary(g) % 4),
            value: vec![u8::arbitrary(g) % 4; len],
            source: host(u8::arbitrary(g) % 3, u8::arbitrary(g) % 4),
            counted: u8::arbitrary(g) % 4 != 0,
            expire: u8::arbitrary(g) % 32 == 0,
        }
    }
}

/// Whatever is stored: bounds hold and indexes agree after every step, what was stored is there,
/// and what was refused changed nothing that others see.
#[test]
fn the_store_is_sound_after_any_operations() {
    fn law(room: u8, operations: Vec<Operation>) -> bool {
        let limits = Limits {
            values_per_key: 6,
            values_per_key_and_source: 3,
            store_bytes: usize::from(room) * 200,
            ..Limits::DEFAULT
        };
        let (mut store, mut now) = (store_with(&limits), START);
        for Operation { wait, key, value, source, counted, expire } in operations {
            now = now + wait;
            let before: Vec<_> = store.iter(now).map(owned).collect();
            match store.store(now, key, &value, source, counted) {
                Ok(stored) => {
                    assert!(has(&store, now, &key, &value));
                    let known = before.iter().any(|(k, v, ..)| *k == key && *v == value);
                    assert_eq!(stored == Stored::Renewed, known);
                    assert!(store.would_accept(now, &key, &source, counted) || known);
                }
                Err(refused) => {
                    assert_eq!(refused == Refused::Empty, value.is_empty());
                    assert_eq!(refused == Refused::TooLong, value.len() > limits.value_len);
                    assert_eq!(store.iter(now).map(owned).collect::<Vec<_>>(), before);
                }
            }
            if expire {
                store.expire(now);
                assert_eq!(store.len(), store.iter(now).count());
            }
            store.check_invariants();
            let counted = (0..4).map(|n| store.count(now, &super::tests::key(n))).sum::<usize>();
            assert_eq!(counted, store.iter(now).count());
        }
        true
    }
    quickcheck().tests(300).quickcheck(law as fn(u8, Vec<Operation>) -> bool);
}

/// A token is a promise: who gets one may store a value of usual length, or renew one.
#[test]
fn who_would_be_accepted_is() {
    fn law(room: u8, operations: Vec<Operation>) -> bool {
        let limits = Limits { values_per_key: 6, store_bytes: usize::from(room) * 100, ..Limits::DEFAULT };
        let (mut store, mut now) = (store_with(&limits), START);
        operations.into_iter().all(|Operation { wait, key, value, source, counted, .. }| {
            now = now + wait;
            let _ = store.store(now, key, &value, source, counted);
            let asked = host(9, value.len() as u8);
            let promised = store.would_accept(now, &key, &asked, counted);
            let stored = store.clone().store(now, key, &[b'x'; USUAL_LEN], asked, counted);
            let nothing_expired = store.iter(now).count() == store.len();
            if nothing_expired { promised == stored.is_ok() } else { !promised || stored.is_ok() }
        })
    }
    quickcheck().tests(300).quickcheck(law as fn(u8, Vec<Operation>) -> bool);
}

fn owned((key, value, source, age): (Id, &[u8], IpAddr, Duration)) -> (Id, Vec<u8>, IpAddr, Duration) {
    (key, value.to_vec(), source, age)
}
