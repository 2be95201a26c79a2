//! Law 4: no input, however malformed, panics or grows any collection past its limit, and the work
//! for one is bounded.

use crate::driver::{Driver, Input, config};
use crate::peer::Peer;
use crate::script::Step;
use core::time::Duration;
use khashmir::config::Limits;
use khashmir::krpc::Call;
use khashmir::{Config, Id, Instant, Node};
use khashmir_testing::quickcheck;

/// Limits so small that a script runs into all of them.
fn narrow() -> Config {
    let limits = Limits {
        transactions: 8,
        pings: 3,
        outbox_datagrams: 6,
        progress_events: 2,
        operations: 3,
        publications: 2,
        values_per_key: 3,
        values_per_key_and_source: 2,
        store_bytes: 5_000,
        waiting_for_proof: 2,
        proved_addresses: 8,
        query_sources: 8,
        ..Limits::DEFAULT
    };
    Config { limits, ..config() }
}

#[test]
fn no_input_breaks_a_node_or_its_bounds() {
    fn law(script: Vec<Step>, polls: bool) -> bool {
        for config in [config(), narrow()] {
            let mut driver = Driver::new(config);
            driver.polls = polls;
            for step in &script {
                driver.step(step);
                driver.node.check_invariants();
            }
        }
        true
    }
    quickcheck().tests(300).quickcheck(law as fn(Vec<Step>, bool) -> bool);
}

/// What one input makes a node send is bounded by what it asked for or was told.
#[test]
fn one_datagram_brings_few() {
    fn law(script: Vec<Step>, peer: u8, datagram: Vec<u8>, which: u8) -> bool {
        let mut driver = Driver::after(config(), &script);
        driver.poll();
        // Nothing is due: what comes now is for the datagram alone.
        driver.give(driver.now, Input::Timeout);
        let peer = Peer(peer);
        let key = Id([3; 20]);
        let query = match which % 3 {
            0 => datagram,
            1 => peer.query(which, Call::FindNode { target: key }),
            _ => peer.query(which, Call::GetValue { key, num: 0 }),
        };
        let before = driver.output.sent.len();
        driver.give(driver.now, Input::Datagram(peer.addr(), query.clone()));
        let sent = &driver.output.sent[before..];
        let to_sender: usize = sent.iter().filter(|(to, _)| *to == peer.addr()).map(|(_, d)| d.len()).sum();
        let asked_before = driver.output.sent[..before].iter().any(|(to, _)| *to == peer.addr());
        // The answer and a ping to the querier, a ping to the oldest of its bucket.
        sent.len() <= 3 && (asked_before || to_sender <= 3 * query.len())
    }
    quickcheck().tests(200).quickcheck(law as fn(Vec<Step>, u8, Vec<u8>, u8) -> bool);
}

#[test]
fn no_snapshot_breaks_a_node() {
    fn law(script: Vec<Step>, changes: Vec<(u16, u8)>, cut: u16, downtime_s: u64) -> bool {
        let driver = Driver::after(config(), &script);
        let mut snapshot = driver.node.snapshot().to_vec();
        let downtime = Duration::from_secs(downtime_s);
        let restored = Node::restore(config(), &snapshot, downtime, [1; 32], Instant::ORIGIN).unwrap();
        restored.check_invariants();
        assert_eq!(restored.id(), driver.node.id());
        assert_eq!(restored.publications().count(), driver.node.publications().count());
        let len = snapshot.len();
        changes.iter().for_each(|(at, byte)| snapshot[usize::from(*at) % len] = *byte);
        snapshot.truncate(len - usize::from(cut) % 2 * (usize::from(cut) % len));
        let damaged = Node::restore(narrow(), &snapshot, downtime, [1; 32], Instant::ORIGIN);
        damaged.into_iter().for_each(|node| node.check_invariants());
        true
    }
    quickcheck().tests(150).quickcheck(law as fn(Vec<Step>, Vec<(u16, u8)>, u16, u64) -> bool);
}

/// The store takes from a flood no more than it may hold.
#[test]
fn a_flood_of_strangers_leaves_no_trace_beyond_the_bounds() {
    let mut node = Node::new(config(), [7; 32], Instant::ORIGIN).unwrap();
    let mut now = Instant::ORIGIN;
    let mut out = bytes::BytesMut::new();
    let peer = Peer(0);
    for n in 0..20_000u32 {
        let [a, b, c, d] = n.to_be_bytes();
        let from = ([60 + a, b, c, d], 1000).into();
        let call = if n % 2 == 0 { Call::Ping } else { Call::FindValue { key: Id([d; 20]) } };
        node.handle_datagram(now, from, &peer.query(d, call));
        while node.poll_transmit(&mut out).is_some() {
            out.clear();
        }
        now = now + Duration::from_millis(1);
    }
    node.check_invariants();
    let stats = node.stats();
    assert!(stats.transactions <= Limits::DEFAULT.pings, "{}", stats.transactions);
    assert_eq!((stats.contacts_ipv4, stats.keys), (0, 0), "who never answered is nobody");
    node.handle_timeout(now + Duration::from_secs(10));
    assert_eq!(node.stats().transactions, 0, "and is forgotten");
}
