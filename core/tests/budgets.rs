//! Whatever happens, every size has a bound, and what must not be lost is not.
#![allow(clippy::unwrap_used)]

mod common;

use bytes::BytesMut;
use common::*;
use core::time::Duration;
use khashmir::krpc::{Call, Method};
use khashmir::node::CommandError;
use khashmir::{Config, Contact, Event, Id, Instant, Node};
use std::collections::BTreeSet;

fn limited(change: impl FnOnce(&mut khashmir::config::Limits)) -> Config {
    let mut config = config();
    change(&mut config.limits);
    config
}

#[test]
fn an_operation_holds_its_slot_until_its_final_event_is_polled() {
    let mut node = Node::new(limited(|limits| limits.operations = 3), [1; 32], Instant::ORIGIN).unwrap();
    let now = Instant::ORIGIN;
    let key = Id([1; 20]);
    // Alone, each is over at once, but not yet polled.
    let started: Vec<_> = (0..3).map(|_| node.get(now, key, 1).unwrap()).collect();
    assert_eq!(node.get(now, key, 1), Err(CommandError::TooManyOperations));
    assert_eq!(node.publish(now, key, b"v"), Err(CommandError::TooManyOperations));
    assert_eq!(node.publications().count(), 0, "a refused command changes nothing");
    assert_eq!(node.poll_event().and_then(|event| event.finished()), Some(started[0]));
    let next = node.get(now, key, 1).unwrap();
    assert!(!started.contains(&next), "no id is used again");
    assert_eq!(node.get(now, key, 1), Err(CommandError::TooManyOperations));
}

#[test]
fn final_events_survive_a_flood_of_progress() {
    let mut scene = Scene::with(limited(|limits| limits.progress_events = 2));
    let key = far_key(&scene.node);
    scene.befriend([Peer::new(near(key, 1)).holds((0..50).map(|n| vec![n]))]);
    let now = scene.now;
    let gets: Vec<_> = (0..10).map(|_| scene.node.get(now, key, 1000).unwrap()).collect();
    // A driver that delivers and sends, and does not poll events.
    let mut payload = BytesMut::new();
    for _ in 0..3 {
        while let Some(to) = scene.node.poll_transmit(&mut payload) {
            let message = khashmir::krpc::Message::decode(&payload).unwrap();
            let khashmir::krpc::Body::Query(Ok(query)) = message.body else { panic!() };
            let values: Vec<[u8; 1]> = (0..50).map(|n| [n]).collect();
            let values: Vec<&[u8]> = values.iter().map(|value| &value[..]).collect();
            let mut response = khashmir::krpc::Response::new(id_near(key, 1));
            if query.call.method() == Method::FindValue {
                (response.nodes, response.num) = (Some(khashmir::krpc::Contacts::new(&[])), Some(50));
            } else {
                response.values = Some(khashmir::krpc::Values::new(&values));
            }
            let mut answer = BytesMut::new();
            response.encode(message.transaction_id, &mut answer);
            payload.clear();
            scene.node.handle_datagram(now, to, &answer);
            scene.node.check_invariants();
        }
    }
    let mut events = Vec::new();
    while let Some(event) = scene.node.poll_event() {
        events.push(event);
    }
    let finals: BTreeSet<_> = events.iter().filter_map(Event::finished).collect();
    assert_eq!(finals, gets.into_iter().collect());
    assert_eq!(events.len() - finals.len(), 2);
    assert_eq!(scene.node.stats().events_dropped, 498);
}

#[test]
fn a_driver_that_does_not_send_costs_a_bounded_queue() {
    let mut scene = Scene::with(limited(|limits| limits.outbox_datagrams = 100));
    for n in 0..2000u32 {
        let [_, _, b, c] = n.to_be_bytes();
        let from = ([10, 100, b, c], 9978).into();
        scene.node.handle_datagram(scene.now, from, &query(Id([9; 20]), 1, Call::Ping));
        scene.node.check_invariants();
    }
    assert_eq!(scene.node.stats().outbox, 100);
    assert!(scene.node.stats().outbox_overflows > 0);
    assert_eq!(scene.sent().len(), 100);
}

#[test]
fn more_lookups_than_requests_wait_for_each_other_and_all_find() {
    let mut scene = Scene::with(limited(|limits| limits.transactions = 20));
    let key = far_key(&scene.node);
    scene.befriend((1..=8).map(|n| Peer::new(near(key, n)).holds([b"v".to_vec()])));
    let gets: Vec<_> = (0..100).map(|_| scene.node.get(scene.now, key, 1).unwrap()).collect();
    scene.node.check_invariants();
    for get in gets {
        let (_, event) = scene.finish(get);
        assert!(matches!(event, Event::GetFinished { values: 1, .. }), "{event:?}");
    }
    assert_eq!(scene.node.contacts().count(), 8, "who could not be asked has not failed");
}

#[test]
fn requests_to_an_unreachable_address_fail_at_once() {
    let mut scene = Scene::new();
    let friend = near(far_key(&scene.node), 1);
    let op = scene.node.ping(scene.now, friend.addr).unwrap();
    let other = scene.node.ping(scene.now, addr(2)).unwrap();
    scene.node.handle_unreachable(scene.now, friend.addr);
    scene.sent();
    let over: Vec<_> = scene.events.iter().filter_map(|(_, event)| event.finished()).collect();
    assert_eq!(over, [op], "and nobody else's");
    assert_eq!(scene.finish(other).0, Instant::ORIGIN + 9 * SECOND);
    // So is the ping that a stranger's query has caused.
    scene.node.handle_datagram(scene.now, friend.addr, &query(friend.id, 1, Call::Ping));
    scene.node.handle_unreachable(scene.now, friend.addr);
    assert_eq!(scene.node.stats().transactions, 0);
}

#[test]
fn time_may_go_backwards_or_to_its_end() {
    let mut scene = Scene::new();
    let key = far_key(&scene.node);
    scene.befriend([Peer::new(near(key, 1))]);
    scene.node.publish(scene.now, key, b"v").unwrap();
    scene.run_for(HOUR);
    let before = scene.node.poll_timeout();
    scene.node.handle_timeout(Instant::ORIGIN);
    assert_eq!(scene.node.poll_timeout(), before);
    // The end of time comes once, and no timer spins there.
    for _ in 0..3 {
        scene.node.handle_timeout(Instant::from_micros(u64::MAX));
        scene.node.check_invariants();
        while scene.node.poll_transmit(&mut BytesMut::new()).is_some() {}
    }
    scene.node.get(Instant::from_micros(u64::MAX), key, 1).unwrap();
    let mut node = Node::new(config(), [1; 32], Instant::from_micros(u64::MAX)).unwrap();
    node.join(Instant::from_micros(u64::MAX), &[addr(1)]).unwrap();
    node.handle_timeout(Instant::from_micros(u64::MAX));
    node.check_invariants();
}

#[test]
fn who_asks_for_much_is_answered_within_one_datagram() {
    let mut scene = Scene::new();
    let key = far_key(&scene.node);
    scene.befriend((1..=8).map(|n| Peer::new(near(key, n))));
    for n in 1..=200u8 {
        let from = Contact { id: Id([n; 20]), addr: ([10, 200, n, 1], 9978).into() };
        let sent = scene.ask(from, 1, Call::FindNode { target: key });
        let token = sent.last().unwrap().response().token.unwrap().to_vec();
        scene.ask(from, 2, Call::StoreValue { key, value: &[n; 120], token: &token });
    }
    assert_eq!(scene.node.stats().values, 200);
    for call in [Call::GetValue { key, num: 0 }, Call::GetValue { key, num: i64::MAX }] {
        let sent = scene.ask_proved(near(key, 1), 1, call);
        assert!((1400..=1472).contains(&sent.bytes.len()), "{}", sent.bytes.len());
    }
}

#[test]
fn an_address_that_may_not_be_sent_to_is_refused_with_a_reason() {
    let mut node = Node::new(Config::default(), [1; 32], Instant::ORIGIN).unwrap();
    for bad in ["10.0.0.1:9978", "127.0.0.1:9978", "8.8.8.8:0", "[2a00::1]:9978", "224.0.0.1:1"] {
        let bad = bad.parse().unwrap();
        let refused = CommandError::AddressNotAllowed(bad);
        assert_eq!(node.ping(Instant::ORIGIN, bad), Err(refused));
        assert_eq!(node.join(Instant::ORIGIN, &["8.8.8.8:1".parse().unwrap(), bad]), Err(refused));
        assert!(refused.to_string().contains(&bad.to_string()));
    }
    for len in [0, 1300] {
        let refused = node.put(Instant::ORIGIN, Id([1; 20]), &vec![0; len]);
        assert_eq!(refused, Err(CommandError::ValueLength(len)));
    }
    assert_eq!(node.stats().operations, 0);
    assert_eq!(node.poll_transmit(&mut BytesMut::new()), None);
    let longest = node.put(Instant::ORIGIN + Duration::ZERO, Id([1; 20]), &[0; 1299]);
    assert!(longest.is_ok());
}
