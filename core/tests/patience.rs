//! Our own policy: waits as long as the network needs, and keeps to contacts that answer.
#![allow(clippy::unwrap_used)]

mod common;

use common::*;
use core::time::Duration;
use khashmir::config::{Limits, LookupPolicy};
use khashmir::krpc::{Call, Method};
use khashmir::{Config, Contact, Event, Id};

const MILLI: Duration = Duration::from_millis(1);

fn scene() -> Scene {
    Scene::with(Config { lookup: LookupPolicy::DEFAULT, limits: Limits::DEFAULT, ..config() })
}

/// How long a lookup for `key` takes, and whom it finds.
fn find(scene: &mut Scene, key: Id) -> (Duration, Vec<Contact>) {
    scene.sent();
    let start = scene.now;
    let op = scene.node.find_node(scene.now, key).unwrap();
    match scene.finish(op) {
        (at, Event::FindNodeFinished { closest, .. }) => (at.saturating_duration_since(start), closest),
        (_, other) => panic!("{other:?}"),
    }
}

/// Eight peers near the key, each of which answers after 50 ms; the node has seen that often.
fn well_known() -> (Scene, Id) {
    let mut scene = scene();
    let key = far_key(&scene.node);
    scene.befriend((1..=8).map(|n| Peer::new(near(key, n)).after(50 * MILLI)));
    for _ in 0..10 {
        find(&mut scene, key);
    }
    (scene, key)
}

#[test]
fn requests_are_sent_again_after_what_answers_take_here() {
    let (mut scene, key) = well_known();
    scene.peer(near(key, 1)).reply = Box::new(|_, _| Reply::Silence);
    let (took, closest) = find(&mut scene, key);
    let sent = scene.sent();
    let asked: Vec<_> = sent.iter().filter(|sent| number(&sent.to) == 1).map(|sent| sent.at).collect();
    let after: Vec<_> = asked.iter().map(|at| at.saturating_duration_since(asked[0])).collect();
    assert_eq!(after, [0, 100, 200, 300].map(|n| n * MILLI), "not sooner than the least");
    assert!(took < 1100 * MILLI, "{took:?}");
    assert_eq!(closest, (2..=8).map(|n| near(key, n)).collect::<Vec<_>>());
}

#[test]
fn only_the_closest_are_waited_for_and_none_that_failed_before() {
    let (mut scene, key) = well_known();
    scene.peer(near(key, 6)).reply = Box::new(|_, _| Reply::Silence);
    let (took, _) = find(&mut scene, key);
    assert!(took <= 100 * MILLI, "the sixth holds nobody up: {took:?}");
    scene.peer(near(key, 1)).reply = Box::new(|_, _| Reply::Silence);
    let (took, _) = find(&mut scene, key);
    assert!(took >= 1000 * MILLI, "the first does: {took:?}");
    let (took, _) = find(&mut scene, key);
    assert!(took <= 100 * MILLI, "but once: {took:?}");
}

/// A NAT lets us in for a while after its node has sent us something: an answer shows nothing then.
#[test]
fn who_queried_us_becomes_a_contact_when_it_answers_out_of_the_blue() {
    for is_natted in [false, true] {
        let (mut scene, _) = well_known();
        let own_id = scene.node.id();
        let stranger = scene.add(Peer::new(Contact { id: id_near(own_id, 1), addr: addr(200) }));
        scene.ask(stranger, 1, Call::FindNode { target: own_id });
        scene.run_for(MINUTE);
        assert!(!scene.knows(&stranger), "it answered our ping, but it had just queried us");
        if is_natted {
            scene.peer(stranger).reply = Box::new(|_, method| {
                assert_eq!(method, Method::Ping);
                Reply::Silence
            });
        }
        scene.run_for(3 * MINUTE);
        assert_eq!(scene.knows(&stranger), !is_natted);
    }
}
