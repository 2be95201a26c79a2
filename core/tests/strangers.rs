//! What goes to an address that has not proved itself, and what is kept of it.
#![allow(clippy::unwrap_used)]

mod common;

use common::*;
use core::time::Duration;
use khashmir::krpc::{Call, ErrorCode, Message, Method};
use khashmir::{Contact, Id, Node};
use std::net::SocketAddr;

/// As far from the node as its contacts are, so that the table has no room for it.
const STRANGER: Id = Id([0xda; 20]);

fn stranger(n: u8) -> Contact {
    Contact { id: STRANGER, addr: addr(n) }
}

/// A node that knows eight contacts in each family, close to the returned key.
fn well_connected() -> (Scene, Id) {
    let mut scene = Scene::new();
    let key = far_key(&scene.node);
    scene.befriend((1..=8).map(|n| Peer::new(near(key, n))));
    scene.befriend((1..=8).map(|n| Peer::new(Contact { id: id_near(key, n), addr: addr6(n.into()) })));
    (scene, key)
}

/// Puts `values` into the node's store, from one source each.
fn store(scene: &mut Scene, key: Id, values: &[Vec<u8>]) {
    for (n, value) in values.iter().enumerate() {
        let from = Contact { id: STRANGER, addr: ([10, 200, n as u8, 1], 7).into() };
        let sent = scene.ask(from, 1, Call::FindNode { target: key });
        let token = sent.last().unwrap().response().token.unwrap().to_vec();
        let stored = scene.ask(from, 2, Call::StoreValue { key, value, token: &token });
        assert_eq!(stored.last().unwrap().response().values, None);
    }
    assert_eq!(scene.node.stats().values, values.len());
    // The pings of their makers are over, and so are their proofs.
    scene.run_for(16 * MINUTE);
    scene.sent();
}

#[test]
fn never_more_than_three_times_what_came() {
    let (mut scene, key) = well_connected();
    store(&mut scene, key, &vec![vec![b'v'; 300]; 1]);
    let calls = [
        Call::Ping,
        Call::Join,
        Call::FindNode { target: key },
        Call::FindValue { key },
        Call::GetValue { key, num: 0 },
        Call::StoreValue { key, value: b"v", token: b"wrong" },
    ];
    for (n, call) in calls.into_iter().enumerate() {
        for from in [addr(100 + n as u8), addr6(100 + n as u16)] {
            let datagram = query(STRANGER, 1, call);
            // Again and again: each datagram has a budget of its own.
            for round in 0..3 {
                scene.sent();
                scene.deliver(from, &datagram);
                let sent = scene.sent();
                let bytes: usize = sent.iter().map(|sent| sent.bytes.len()).sum();
                assert!(sent.iter().all(|sent| sent.to == from));
                assert!(bytes <= 3 * datagram.len(), "{call:?} of {} bytes: {bytes}", datagram.len());
                let pinged = sent.first().and_then(Sent::method) == Some(Method::Ping);
                assert_eq!(pinged, round == 0, "first a ping, and none while that is under way");
            }
        }
    }
}

#[test]
fn five_contacts_over_ipv4_and_three_over_ipv6() {
    let (mut scene, key) = well_connected();
    for call in [Call::FindNode { target: key }, Call::FindValue { key }] {
        let n = if call.method() == Method::FindNode { 100 } else { 101 };
        let sent = scene.ask(stranger(n), 1, call);
        let response = sent[1].response();
        let nodes: Vec<Contact> = response.nodes.unwrap().iter().collect();
        assert_eq!(nodes, (1..=5).map(|n| near(key, n)).collect::<Vec<_>>(), "closest first");
        assert_eq!(response.nodes6, None);

        let from = Contact { id: STRANGER, addr: addr6(n.into()) };
        let sent = scene.ask(from, 1, call);
        let response = sent[1].response();
        let nodes6: Vec<Id> = response.nodes6.unwrap().iter().map(|contact| contact.id).collect();
        assert_eq!(nodes6, [1, 2, 3].map(|n| id_near(key, n)));
        assert!(response.nodes.unwrap().is_empty());
    }
}

#[test]
fn who_answered_the_ping_is_answered_in_full() {
    let (mut scene, key) = well_connected();
    let friend = scene.add(Peer::new(stranger(100)));
    scene.ask(friend, 1, Call::Ping);
    scene.run_for(SECOND);
    let sent = scene.ask_proved(friend, 2, Call::FindNode { target: key });
    let response = sent.response();
    assert_eq!(response.nodes.unwrap().len(), 8);
    assert_eq!(response.nodes6.unwrap().len(), 8);
}

#[test]
fn a_pong_proves_one_ip_and_port_for_a_quarter_of_an_hour() {
    let (mut scene, _) = well_connected();
    let friend = scene.add(Peer::new(stranger(100)));
    let pings = |sent: &[Sent]| queries(sent, Method::Ping).len();
    assert_eq!(pings(&scene.ask(friend, 1, Call::Ping)), 1);
    scene.run_for(14 * MINUTE);
    assert_eq!(pings(&scene.ask(friend, 2, Call::Ping)), 0);
    let other_port = Contact { addr: SocketAddr::new(friend.addr.ip(), 9979), ..friend };
    assert_eq!(pings(&scene.ask(other_port, 3, Call::Ping)), 1);
    // Silent, so that nothing proves it anew.
    scene.peer(friend).reply = Box::new(|_, _| Reply::Silence);
    scene.run_for(MINUTE + 20 * SECOND);
    assert_eq!(pings(&scene.ask(friend, 4, Call::Ping)), 1);
}

#[test]
fn values_that_do_not_fit_wait_for_the_pong() {
    let (mut scene, key) = well_connected();
    let value = vec![b'v'; 1000];
    store(&mut scene, key, std::slice::from_ref(&value));
    let friend = scene.add(Peer::new(stranger(100)));
    let sent = scene.ask(friend, 9, Call::GetValue { key, num: 0 });
    assert_eq!(queries(&sent, Method::Ping).len(), 1);
    assert_eq!(sent.len(), 1, "no answer yet: {sent:?}");
    scene.run_for(SECOND);
    let sent = scene.sent();
    assert_eq!(sent.len(), 1);
    assert_eq!(sent[0].message().transaction_id, tid(9));
    assert_eq!(sent[0].response().values.unwrap().iter().collect::<Vec<_>>(), [&value[..]]);
}

#[test]
fn a_value_among_long_ones_waits_too() {
    let (mut scene, key) = well_connected();
    store(&mut scene, key, &[vec![b'l'; 600], vec![b's']]);
    for n in 0..8 {
        let from = scene.add(Peer::new(stranger(100 + n)));
        let sent = scene.ask(from, 9, Call::GetValue { key, num: 1 });
        assert_eq!(sent.len(), 1, "whichever is chosen, the answer is not cut: {sent:?}");
        scene.run_for(SECOND);
        assert_eq!(scene.sent()[0].response().values.unwrap().len(), 1);
    }
}

#[test]
fn sixty_four_wait_and_no_more() {
    let (mut scene, key) = well_connected();
    store(&mut scene, key, &[vec![b'v'; 1000], vec![b's'; 10]]);
    let silent = |n: u8| Contact { id: STRANGER, addr: ([10, 150, n, 1], 9978).into() };
    for n in 0..64 {
        assert_eq!(scene.ask(silent(n), 1, Call::GetValue { key, num: 0 }).len(), 1, "{n} waits");
    }
    let sent = scene.ask(silent(64), 1, Call::GetValue { key, num: 0 });
    let values = sent[1].response().values.unwrap();
    assert_eq!(values.iter().collect::<Vec<_>>(), [&[b's'; 10][..]], "what fits");
    // The others' pings fail, and nobody is ever answered whose address may be forged.
    scene.run_for(MINUTE);
    assert!(scene.sent().is_empty());
    assert_eq!(scene.ask(silent(65), 1, Call::GetValue { key, num: 0 }).len(), 1, "there is room again");
}

#[test]
fn a_valid_token_proves_and_needs_no_ping() {
    let (mut scene, key) = well_connected();
    let sent = scene.ask(stranger(100), 1, Call::FindNode { target: key });
    let token = sent[1].response().token.unwrap().to_vec();
    // From another port of the same host: a token is bound to the IP alone, a proof is not.
    let port = Contact { id: STRANGER, addr: SocketAddr::new(addr(100).ip(), 5000) };
    let stored = scene.ask(port, 2, Call::StoreValue { key, value: &[b'v'; 1200], token: &token });
    assert_eq!(stored.len(), 1, "the table has no room for it, and its address is proved: {stored:?}");
    let answer = scene.ask_proved(port, 3, Call::GetValue { key, num: 0 });
    assert_eq!(answer.response().values.unwrap().len(), 1);
}

#[test]
fn nothing_is_kept_of_what_is_no_valid_query() {
    let mut scene = Scene::new();
    let mut unknown_method = query(STRANGER, 1, Call::Ping);
    let at = unknown_method.windows(4).position(|four| four == b"ping").unwrap();
    unknown_method[at..at + 4].copy_from_slice(b"pong");
    let cases: [(&[u8], Option<ErrorCode>); 7] = [
        (b"", None),
        (b"l4:i1eed-8:", None),
        (b"d1:ad2:id20:aaaaaaaaaaaaaaaaaaaae1:q4:ping1:t2:aa1:y1:qe", None),
        (b"d1:ad2:id20:aaaaaaaaaaaaaaaaaaaae1:q4:ping1:t20:bbbbbbbbbbbbbbbbbbbb1:y1:qe!", None),
        (b"d1:rd2:id20:aaaaaaaaaaaaaaaaaaaae1:t20:bbbbbbbbbbbbbbbbbbbb1:y1:re", None),
        (&unknown_method, Some(ErrorCode::MethodUnknown)),
        (
            b"d1:ad2:id19:aaaaaaaaaaaaaaaaaaae1:q4:ping1:t20:bbbbbbbbbbbbbbbbbbbb1:y1:qe",
            Some(ErrorCode::MalformedRequest),
        ),
    ];
    for (n, (datagram, error)) in cases.into_iter().enumerate() {
        scene.deliver(addr(100 + n as u8), datagram);
        let sent = scene.sent();
        assert_eq!(sent.first().map(Sent::error), error, "{datagram:?}");
        assert!(sent.len() <= 1, "no ping");
        assert_eq!(scene.node.stats().transactions, 0);
    }
}

#[test]
fn a_flood_of_strangers_leaves_every_size_flat() {
    let (mut scene, key) = well_connected();
    let mut sizes = None;
    for n in 0..30_000u32 {
        let [_, a, b, c] = n.to_be_bytes();
        let from = SocketAddr::from(([10, 100 + a, b, c], 1 + (n % 60_000) as u16));
        let call = if n % 2 == 0 { Call::FindNode { target: key } } else { Call::GetValue { key, num: 0 } };
        scene.deliver(from, &query(STRANGER, 1, call));
        scene.sent();
        scene.now = scene.now + Duration::from_millis(1);
        if n == 10_000 {
            sizes = Some(sizes_of(&scene.node));
        }
    }
    scene.node.check_invariants();
    assert_eq!(Some(sizes_of(&scene.node)), sizes);
}

fn sizes_of(node: &Node) -> [usize; 6] {
    let stats = node.stats();
    let contacts = stats.contacts_ipv4 + stats.contacts_ipv6;
    [stats.transactions, contacts, stats.values, stats.outbox, stats.events, stats.operations]
}

#[test]
fn a_verification_ping_is_sent_once() {
    let mut scene = Scene::new();
    scene.ask(stranger(100), 1, Call::Ping);
    scene.run_for(50 * SECOND);
    assert!(scene.sent().is_empty(), "not again after two and six seconds");
    assert_eq!(scene.node.stats().transactions, 0, "forgotten");
}

#[test]
fn forged_queries_keep_nobody_from_being_pinged() {
    let (mut scene, _) = well_connected();
    // A thousand forged queries a second, for as long as a ping is waited for and longer.
    for n in 0..20_000u32 {
        let [_, a, b, c] = n.to_be_bytes();
        scene.deliver(([10, 100 + a, b, c], 4000).into(), &query(STRANGER, 1, Call::Ping));
        scene.sent();
        scene.run_for(Duration::from_millis(1));
        if n % 5000 == 4999 {
            let honest =
                scene.add(Peer::new(stranger((n / 5000) as u8 + 50)).after(Duration::from_millis(80)));
            scene.ask(honest, 7, Call::Ping);
        }
    }
    scene.run_for(SECOND);
    scene.sent();
    for n in 0..4 {
        let answer = scene.ask(stranger(n + 50), 8, Call::Ping);
        assert_eq!(answer.len(), 1, "{n} has proved its address, and is not pinged again");
    }
}

#[test]
fn a_query_under_a_forged_id_takes_nothing_from_the_true_one() {
    let (mut scene, key) = well_connected();
    let value = vec![b'v'; 1000];
    store(&mut scene, key, std::slice::from_ref(&value));
    let honest = scene.add(Peer::new(stranger(100)));
    // Somebody else forges a query from its address first; the ping that follows is answered under
    // the true id, and proves the address all the same.
    scene.deliver(honest.addr, &query(Id([9; 20]), 1, Call::Ping));
    scene.sent();
    scene.deliver(honest.addr, &query(honest.id, 2, Call::GetValue { key, num: 0 }));
    scene.run_for(SECOND);
    let sent = scene.sent();
    let answered = sent.iter().find(|sent| sent.message().transaction_id == tid(2)).unwrap();
    assert_eq!(answered.response().values.unwrap().len(), 1);
}

#[test]
fn everything_sent_is_well_formed() {
    let (mut scene, key) = well_connected();
    scene.ask(stranger(100), 1, Call::Join);
    let sent = scene.ask(stranger(101), 1, Call::FindNode { target: key });
    assert!(sent.iter().all(|sent| Message::decode(&sent.bytes).is_ok() && sent.bytes.len() <= 1472));
}
