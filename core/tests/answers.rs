//! What queries are answered with.
#![allow(clippy::unwrap_used)]

mod common;

use common::*;
use khashmir::config::Limits;
use khashmir::krpc::{Call, CompactAddress, EMPTY_RESPONSE_LEN, ErrorCode, Method};
use khashmir::{Config, Contact, Id};
use std::collections::BTreeSet;
use std::net::SocketAddr;

/// A node, and somebody whose address it takes for proved.
fn asked(config: Config) -> (Scene, Contact) {
    let mut scene = Scene::with(config);
    let friend = near(far_key(&scene.node), 100);
    scene.befriend([Peer::new(friend)]);
    (scene, friend)
}

fn put_from(scene: &mut Scene, from: Contact, key: Id, value: &[u8]) -> Sent {
    let sent = scene.ask(from, 1, Call::FindNode { target: key });
    let token = sent.last().unwrap().response().token.unwrap().to_vec();
    scene.ask(from, 2, Call::StoreValue { key, value, token: &token }).pop().unwrap()
}

/// Somebody in a network of its own.
fn source(n: u8) -> Contact {
    Contact { id: Id([n; 20]), addr: ([10, 200, n, 1], 9978).into() }
}

fn values_of(sent: &Sent) -> Vec<Vec<u8>> {
    sent.response().values.unwrap().iter().map(<[u8]>::to_vec).collect()
}

#[test]
fn pings_and_joins_tell_the_querier_where_it_is() {
    let (mut scene, friend) = asked(config());
    let ip = Some(CompactAddress(friend.addr));
    assert_eq!(scene.ask_proved(friend, 1, Call::Ping).response().ip, ip);
    let sent = scene.ask_proved(friend, 1, Call::Join);
    let response = sent.response();
    assert_eq!(response.ip_addr, Some(&b"10.100.0.1"[..]));
    assert_eq!((response.port, response.ip), (Some(9978), ip));
    assert_eq!(response.id, scene.node.id());
}

#[test]
fn the_closest_come_first_the_querier_among_them_and_never_ourselves() {
    let (mut scene, _) = asked(config());
    let key = far_key(&scene.node);
    scene.befriend((1..=7).map(|n| Peer::new(near(key, n))));
    let own_id = scene.node.id();
    for target in [key, id_near(key, 0xff), own_id] {
        let sent = scene.ask_proved(near(key, 1), 1, Call::FindNode { target });
        let nodes: Vec<Id> = sent.response().nodes.unwrap().iter().map(|contact| contact.id).collect();
        assert_eq!(nodes.len(), 8);
        assert!(nodes.windows(2).all(|two| two[0].distance(&target) < two[1].distance(&target)));
        assert!(nodes.contains(&id_near(key, 1)) && !nodes.contains(&own_id));
    }
    let sent = scene.ask_proved(near(key, 1), 1, Call::FindValue { key });
    let response = sent.response();
    assert_eq!((response.num, response.token), (Some(0), None), "find_value gives no token");
}

#[test]
fn errors_say_what_is_wrong() {
    let (mut scene, friend) = asked(config());
    let key = far_key(&scene.node);
    let token = scene.ask_proved(friend, 1, Call::FindNode { target: key });
    let token = token.response().token.unwrap().to_vec();
    let mut refused = |call| scene.ask_proved(friend, 1, call).error();
    let value = &b"v"[..];
    let long = vec![b'v'; 1392];
    assert_eq!(refused(Call::StoreValue { key, value, token: b"12345678" }), ErrorCode::InvalidToken);
    assert_eq!(refused(Call::StoreValue { key, value, token: b"" }), ErrorCode::InvalidToken);
    let other = id_near(key, 1);
    assert_eq!(refused(Call::StoreValue { key: other, value, token: &token }), ErrorCode::InvalidToken);
    assert_eq!(refused(Call::StoreValue { key, value: b"", token: &token }), ErrorCode::MalformedRequest);
    assert_eq!(refused(Call::StoreValue { key, value: &long, token: &token }), ErrorCode::ResponseTooLong);
    scene.ask_proved(friend, 1, Call::StoreValue { key, value: &long[1..], token: &token }).response();

    let replaced = |from: &[u8], to: &[u8]| {
        let text = query(friend.id, 1, Call::FindNode { target: Id([b'a'; 20]) });
        let at = text.windows(from.len()).position(|part| part == from).unwrap();
        [&text[..at], to, &text[at + from.len()..]].concat()
    };
    let cases = [
        (replaced(b"find_node", b"find_nude"), ErrorCode::MethodUnknown),
        (replaced(b"6:target", b"6:turget"), ErrorCode::MalformedRequest),
        (replaced(b"20:aaaaaaaaaaaaaaaaaaaa", b"19:aaaaaaaaaaaaaaaaaaa"), ErrorCode::MalformedRequest),
        (replaced(b"20:aaaaaaaaaaaaaaaaaaaa", b"i20e"), ErrorCode::MalformedRequest),
        (replaced(b"6:target", b"5:sparei1e6:target"), ErrorCode::MalformedRequest),
        (replaced(&friend.id.0, &[0; 20]), ErrorCode::MalformedRequest),
    ];
    for (datagram, code) in cases {
        scene.deliver(friend.addr, &datagram);
        assert_eq!(scene.sent()[0].error(), code, "{}", datagram.escape_ascii());
    }
    // Beside the arguments, what we do not know is ignored.
    scene.deliver(friend.addr, &replaced(b"1:q9:", b"1:fi1e1:q9:"));
    assert!(scene.sent()[0].response().nodes.is_some());
}

#[test]
fn every_retransmission_is_answered() {
    let (mut scene, friend) = asked(config());
    for _ in 0..3 {
        scene.ask_proved(friend, 1, Call::Ping).response();
    }
}

#[test]
fn values_that_fit_come_whole_and_others_in_random_order() {
    let (mut scene, friend) = asked(config());
    let key = far_key(&scene.node);
    let value = |n: u8| vec![n; 300];
    (1..=4).for_each(|n| drop(put_from(&mut scene, source(n), key, &value(n))));
    let all = values_of(&scene.ask_proved(friend, 1, Call::GetValue { key, num: 0 }));
    assert_eq!(all, (1..=4).map(value).collect::<Vec<_>>());
    assert_eq!(scene.ask_proved(friend, 1, Call::FindValue { key }).response().num, Some(4));

    let two = values_of(&scene.ask_proved(friend, 1, Call::GetValue { key, num: 2 }));
    assert_eq!(two.iter().collect::<BTreeSet<_>>().len(), 2);
    assert_eq!(values_of(&scene.ask_proved(friend, 1, Call::GetValue { key, num: 99 })).len(), 4);

    (5..=20).for_each(|n| drop(put_from(&mut scene, source(n), key, &value(n))));
    let mut seen = BTreeSet::new();
    let mut rounds = 0;
    while seen.len() < 20 && rounds < 60 {
        let sent = scene.ask_proved(friend, 1, Call::GetValue { key, num: 0 });
        assert!(sent.bytes.len() <= 1472);
        let values = values_of(&sent);
        assert_eq!(values.len(), 4, "as many as fit");
        seen.extend(values);
        rounds += 1;
    }
    assert_eq!(seen.len(), 20, "repeated queries reach all");
}

#[test]
fn a_value_that_alone_does_not_fit_is_an_error_and_hides_no_other() {
    let mut config = config();
    config.limits.datagram_ipv4 = 600;
    let (mut scene, friend) = asked(config);
    let key = far_key(&scene.node);
    put_from(&mut scene, source(1), key, &[b'l'; 1000]);
    let sent = scene.ask_proved(friend, 1, Call::GetValue { key, num: 0 });
    assert_eq!(sent.error(), ErrorCode::ResponseTooLong);
    put_from(&mut scene, source(2), key, b"short");
    for _ in 0..10 {
        let sent = scene.ask_proved(friend, 1, Call::GetValue { key, num: 0 });
        assert_eq!(values_of(&sent), [b"short"]);
    }
}

#[test]
fn a_key_without_values_is_an_answer() {
    let (mut scene, friend) = asked(config());
    let key = far_key(&scene.node);
    let sent = scene.ask_proved(friend, 1, Call::GetValue { key, num: 0 });
    assert!(sent.response().values.unwrap().is_empty());
    assert_eq!(sent.bytes.len(), EMPTY_RESPONSE_LEN + "6:valuesle".len());
}

#[test]
fn who_cannot_store_withholds_the_token() {
    let (mut scene, friend) = asked(Config { accept_stores: false, ..config() });
    let key = far_key(&scene.node);
    let sent = scene.ask_proved(friend, 1, Call::FindNode { target: key });
    assert_eq!(sent.response().token, None);

    let limits = Limits { values_per_key: 2, values_per_key_and_source: 1, ..Limits::DEFAULT };
    let (mut scene, friend) = asked(Config { limits, ..config() });
    for n in 1..=2 {
        put_from(&mut scene, source(n), key, &[n]).response();
    }
    let sent = scene.ask_proved(friend, 1, Call::FindNode { target: key });
    assert_eq!(sent.response().token, None, "the key is full");
    let sent = scene.ask_proved(friend, 1, Call::FindNode { target: id_near(key, 1) });
    assert!(sent.response().token.is_some());
    // Whoever has a value there may renew it.
    let sent = scene.ask(source(1), 1, Call::FindNode { target: key });
    assert!(sent.last().unwrap().response().token.is_some());
}

#[test]
fn a_token_is_good_for_its_host_and_key_through_two_checkpoints() {
    let (mut scene, friend) = asked(config());
    let key = far_key(&scene.node);
    let sent = scene.ask_proved(friend, 1, Call::FindNode { target: key });
    let token = sent.response().token.unwrap().to_vec();
    let store = |scene: &mut Scene, addr: SocketAddr| {
        let call = Call::StoreValue { key, value: b"v", token: &token };
        let sent = scene.ask(Contact { addr, ..friend }, 1, call).pop().unwrap();
        matches!(sent.message().body, khashmir::krpc::Body::Response(_))
    };
    assert!(store(&mut scene, friend.addr));
    assert!(store(&mut scene, SocketAddr::new(friend.addr.ip(), 1)), "whatever the port");
    assert!(!store(&mut scene, addr(101)));
    // Checkpoints are at 60 s and then every 270 to 330 s.
    scene.run_for(10 * SECOND);
    let started = scene.now;
    let mut checkpoints = 0;
    while store(&mut scene, friend.addr) {
        scene.run_for(5 * SECOND);
        checkpoints = scene.events.iter().filter(|(_, e)| *e == khashmir::Event::CheckpointPassed).count();
        assert!(checkpoints <= 3);
    }
    assert_eq!(checkpoints, 3);
    let lived = scene.now.saturating_duration_since(started);
    assert!((590..=730).contains(&lived.as_secs()), "{lived:?}");
}

#[test]
fn a_value_is_forgotten_after_three_hours_unless_stored_again() {
    let (mut scene, friend) = asked(config());
    let key = far_key(&scene.node);
    put_from(&mut scene, friend, key, b"once");
    put_from(&mut scene, friend, key, b"renewed");
    scene.run_for(2 * HOUR);
    put_from(&mut scene, friend, key, b"renewed");
    scene.run_for(HOUR - 5 * SECOND);
    let get =
        |scene: &mut Scene| values_of(scene.ask(friend, 1, Call::GetValue { key, num: 0 }).last().unwrap());
    assert_eq!(get(&mut scene).len(), 2);
    scene.run_for(10 * SECOND);
    assert_eq!(get(&mut scene), [b"renewed"]);
    // The next checkpoint notices.
    scene.run_for(2 * HOUR + 6 * MINUTE);
    assert_eq!(scene.node.stats().keys, 0);
}

#[test]
fn many_queries_of_one_source_are_met_with_silence_and_others_are_served() {
    let (mut scene, friend) = asked(config());
    let answered = |sent: Vec<Sent>| sent.iter().filter(|sent| sent.method().is_none()).count();
    let served: usize = (0..1000).map(|_| answered(scene.ask(friend, 1, Call::Ping))).sum();
    assert!((250..=256).contains(&served), "four seconds' worth of 64: {served}");
    assert_eq!(answered(scene.ask(source(1), 1, Call::Ping)), 1);
    scene.run_for(SECOND);
    let served: usize = (0..1000).map(|_| answered(scene.ask(friend, 1, Call::Ping))).sum();
    assert_eq!(served, 64);
    assert_eq!(queries(&scene.sent(), Method::Ping).len(), 0);
}
