//! Who a contact is: an id at an address. Nobody else evicts, replaces or fails it.
#![allow(clippy::unwrap_used)]

mod common;

use common::*;
use core::time::Duration;
use khashmir::Contact;
use khashmir::krpc::{Call, Method};
use khashmir::node::Ending;

/// A node with one contact.
fn acquainted() -> (Scene, Contact) {
    let mut scene = Scene::new();
    let friend = near(far_key(&scene.node), 1);
    scene.befriend([Peer::new(friend)]);
    (scene, friend)
}

#[test]
fn a_stranger_with_a_contacts_id_changes_nothing() {
    let (mut scene, friend) = acquainted();
    let impostor = scene.add(Peer::new(Contact { addr: addr(100), ..friend }));
    // It queries, answers our ping, and is pinged by us on its own.
    scene.ask(impostor, 1, Call::Ping);
    scene.run_for(SECOND);
    scene.node.ping(scene.now, impostor.addr).unwrap();
    scene.run_for(SECOND);
    assert_eq!(scene.node.contacts().collect::<Vec<_>>(), [friend]);
    // Then it falls silent, which is held against nobody.
    scene.peer(impostor).reply = Box::new(|_, _| Reply::Silence);
    for _ in 0..4 {
        scene.run_for(16 * MINUTE);
        scene.ask(impostor, 1, Call::Ping);
    }
    scene.run_for(MINUTE);
    assert_eq!(scene.node.contacts().collect::<Vec<_>>(), [friend]);
}

#[test]
fn forged_queries_from_a_contacts_address_do_not_fail_it() {
    let (mut scene, friend) = acquainted();
    // For half a minute the contact does not hear us; somebody forges queries from it all the while.
    scene.run_for(16 * MINUTE);
    scene.peer(friend).reply = Box::new(|_, _| Reply::Silence);
    scene.run_for(16 * MINUTE);
    for _ in 0..20 {
        scene.ask(friend, 1, Call::Ping);
        scene.run_for(10 * SECOND);
    }
    assert!(scene.knows(&friend), "one failed re-ping is one failure, not three");
}

#[test]
fn another_id_at_its_address_removes_exactly_that_contact() {
    let mut scene = Scene::new();
    let key = far_key(&scene.node);
    scene.befriend([Peer::new(near(key, 1)), Peer::new(near(key, 2))]);
    let renamed = Contact { id: id_near(key, 77), ..near(key, 1) };
    scene.peer(renamed).reply = Box::new(move |_, _| Reply::As(renamed.id));
    let op = scene.node.find_node(scene.now, key).unwrap();
    scene.run_for(Duration::from_millis(50));
    assert_eq!(scene.node.contacts().collect::<Vec<_>>(), [near(key, 2)]);
    let (_, event) = scene.finish(op);
    assert!(
        matches!(&event, khashmir::Event::FindNodeFinished { closest, .. } if *closest == [near(key, 2)]),
        "an answer under another id is none: {event:?}"
    );
    // Whoever is there now may become a contact like anybody else.
    scene.node.ping(scene.now, renamed.addr).unwrap();
    scene.run_for(SECOND);
    assert!(scene.knows(&renamed));
}

#[test]
fn a_wrong_id_heard_of_in_a_lookup_removes_no_contact() {
    let (mut scene, friend) = acquainted();
    // Somebody tells of our friend's id at a victim's address, who of course answers under its own.
    let victim = scene.add(Peer::new(near(friend.id, 50)));
    let liar = Peer::new(near(friend.id, 60)).knows([Contact { id: friend.id, addr: victim.addr }]);
    scene.befriend([liar]);
    let op = scene.node.find_node(scene.now, friend.id).unwrap();
    scene.finish(op);
    assert!(scene.knows(&friend));
    assert!(!scene.knows(&Contact { id: friend.id, addr: victim.addr }));
}

#[test]
fn an_answer_counts_only_from_the_address_that_was_asked() {
    let mut scene = Scene::new();
    let asked = near(far_key(&scene.node), 1);
    let op = scene.node.ping(scene.now, asked.addr).unwrap();
    let sent = scene.sent();
    let mut pong = bytes::BytesMut::new();
    khashmir::krpc::Response::new(asked.id).encode(sent[0].message().transaction_id, &mut pong);
    for from in [addr(2), ([10, 1, 0, 1], 9979).into()] {
        scene.deliver(from, &pong);
    }
    assert_eq!((scene.events.len(), scene.node.contacts().count()), (0, 0));
    scene.deliver(asked.addr, &pong);
    assert_eq!(scene.events[0].1.finished(), Some(op));
    assert!(scene.knows(&asked));
    // The same again ends nothing: the first answer did.
    scene.deliver(asked.addr, &pong);
    assert_eq!((scene.events.len(), scene.node.stats().unsolicited), (1, 3));
}

#[test]
fn three_failures_in_a_row_remove_a_contact_and_an_answer_between_forgives() {
    let (mut scene, friend) = acquainted();
    let key = friend.id;
    let fail = |scene: &mut Scene| {
        scene.peer(friend).reply = Box::new(|_, _| Reply::Silence);
        scene.node.find_node(scene.now, key).unwrap();
        scene.run_for(10 * SECOND);
    };
    fail(&mut scene);
    fail(&mut scene);
    scene.peer(friend).reply = Box::new(|_, _| Reply::Answer);
    scene.node.find_node(scene.now, key).unwrap();
    scene.run_for(SECOND);
    fail(&mut scene);
    fail(&mut scene);
    assert!(scene.knows(&friend));
    fail(&mut scene);
    assert!(!scene.knows(&friend));
}

#[test]
fn one_who_only_queries_is_no_contact_until_it_answers() {
    let mut scene = Scene::new();
    let silent = near(far_key(&scene.node), 1);
    let open = scene.add(Peer::new(near(far_key(&scene.node), 2)));
    for contact in [silent, open] {
        assert_eq!(queries(&scene.ask(contact, 1, Call::Ping), Method::Ping).len(), 1);
    }
    scene.run_for(MINUTE);
    assert_eq!(scene.node.contacts().collect::<Vec<_>>(), [open]);
}

#[test]
fn a_new_contact_is_pinged_once_more_after_a_quarter_of_an_hour() {
    let (mut scene, friend) = acquainted();
    let answered = scene.now;
    scene.run_for(2 * HOUR);
    let pings = queries(&scene.sent(), Method::Ping);
    assert_eq!(pings, [(friend.addr, 900.0 + answered.as_micros() as f64 / 1e6)]);
    assert!(scene.knows(&friend));
}

#[test]
fn a_contact_that_failed_once_is_pinged_again() {
    let (mut scene, friend) = acquainted();
    scene.run_for(20 * MINUTE);
    scene.peer(friend).reply = Box::new(|_, _| Reply::Silence);
    scene.node.find_node(scene.now, friend.id).unwrap();
    scene.run_for(9 * SECOND);
    let failed = scene.now;
    scene.sent();
    scene.run_for(20 * MINUTE);
    // Sent again, as every query is: after two and six seconds.
    let pings = asked(failed, &scene.sent(), Method::Ping);
    assert_eq!(pings, [(1, 900_000), (1, 902_000), (1, 906_000)]);
    // That one failed too; the third in a row is the last.
    assert!(scene.knows(&friend));
    scene.run_for(20 * MINUTE);
    assert!(!scene.knows(&friend));
}

#[test]
fn an_answer_without_contacts_fails_its_sender() {
    let (mut scene, friend) = acquainted();
    for n in 1..=3 {
        let op = scene.node.find_node(scene.now, friend.id).unwrap();
        scene.peer(friend).reply = Box::new(|_, _| Reply::Bare);
        let (_, event) = scene.finish(op);
        let nobody = khashmir::Event::FindNodeFinished { op, ending: Ending::Complete, closest: vec![] };
        assert_eq!(event, nobody);
        assert_eq!(scene.knows(&friend), n < 3);
    }
}

#[test]
fn one_failed_ping_gives_the_place_of_the_oldest_to_a_newcomer() {
    let mut scene = Scene::new();
    let key = far_key(&scene.node);
    scene.befriend((1..=8).map(|n| Peer::new(near(key, n))));
    let newcomer = scene.add(Peer::new(near(key, 9)));
    scene.ask(newcomer, 1, Call::Ping);
    scene.run_for(20 * SECOND);
    assert!(!scene.knows(&newcomer), "all were heard of lately: there is no room");
    // All answer their second ping. A quarter of an hour later the oldest is due again.
    scene.run_for(16 * MINUTE);
    scene.peer(near(key, 1)).reply = Box::new(|_, _| Reply::Silence);
    scene.run_for(15 * MINUTE);
    scene.sent();
    scene.ask(newcomer, 2, Call::Ping);
    scene.run_for(20 * SECOND);
    assert!(scene.knows(&newcomer) && !scene.knows(&near(key, 1)));
    assert_eq!(scene.node.contacts().count(), 8);
    // An oldest that answers stays.
    let late = scene.add(Peer::new(near(key, 10)));
    scene.ask(late, 1, Call::Ping);
    scene.run_for(20 * SECOND);
    assert!(!scene.knows(&late));
}

#[test]
fn one_host_and_one_network_have_few_places() {
    let mut scene = Scene::new();
    let key = far_key(&scene.node);
    scene.befriend([Peer::new(near(key, 1))]);
    for other in [([10, 1, 0, 1], 5000), ([10, 1, 0, 2], 9978)] {
        let contact = scene.add(Peer::new(Contact { id: id_near(key, 9), addr: other.into() }));
        scene.node.ping(scene.now, contact.addr).unwrap();
        scene.run_for(SECOND);
        assert!(!scene.knows(&contact), "{contact:?}");
    }
    // The rules that count can be lifted for networks in which many nodes share a host.
    let mut config = config();
    config.uncounted_networks = vec!["10.0.0.0/8".parse().unwrap()];
    let mut scene = Scene::with(config);
    let same_host = |n: u16| Contact { id: id_near(key, n as u8), addr: ([10, 1, 0, 1], n).into() };
    scene.befriend((1..=8).map(|n| Peer::new(same_host(n))));
}
