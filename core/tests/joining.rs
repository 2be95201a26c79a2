//! How a node enters the network, and stays in it.
#![allow(clippy::unwrap_used)]

mod common;

use common::*;
use core::time::Duration;
use khashmir::config::LookupPolicy;
use khashmir::krpc::{Body, Call, Method, Query};
use khashmir::node::Ending;
use khashmir::{Config, Contact, Event, Id};
use std::collections::BTreeSet;

fn join(scene: &mut Scene, bootstrap: &[u8]) -> (u128, Ending, usize) {
    let start = scene.now;
    let addrs: Vec<_> = bootstrap.iter().map(|n| addr(*n)).collect();
    let op = scene.node.join(scene.now, &addrs).unwrap();
    match scene.finish(op) {
        (at, Event::JoinFinished { ending, contacts, .. }) => {
            (at.saturating_duration_since(start).as_millis(), ending, contacts)
        }
        (_, other) => panic!("{other:?}"),
    }
}

/// When `join` queries went to peer `n`, in whole seconds, those sent again left out.
fn tries(sent: &[Sent], n: u8) -> Vec<u64> {
    let mut seen = Vec::new();
    let mut times = Vec::new();
    let joins = sent.iter().filter(|sent| sent.method() == Some(Method::Join) && number(&sent.to) == n);
    for join in joins {
        let id = join.message().transaction_id;
        if !seen.contains(&id) {
            seen.push(id);
            times.push(join.at.as_micros() / 1_000_000);
        }
    }
    times
}

#[test]
fn a_join_looks_for_the_neighbours_of_our_own_id() {
    let mut scene = Scene::new();
    let own_id = scene.node.id();
    let neighbours: Vec<Contact> = (1..=8).map(|n| near(own_id, n)).collect();
    neighbours.iter().for_each(|contact| _ = scene.add(Peer::new(*contact)));
    let bootstrap = Contact { id: far_key(&scene.node), addr: addr(100) };
    scene.add(Peer::new(bootstrap).knows(neighbours.clone()));
    // One way in is enough; the other is dead.
    let (took, ending, contacts) = join(&mut scene, &[99, 100]);
    // We ourselves are among the eight closest; with the seven others, whom the search asked, the
    // bootstrap node is a contact too.
    assert_eq!((ending, contacts, scene.node.contacts().count()), (Ending::Complete, 7, 8));
    assert!(took < 1000, "{took}");
    let mut target = own_id;
    target.0[19] = target.0[19].wrapping_add(1);
    let sent = scene.sent();
    assert_eq!(sent.iter().filter(|sent| sent.method() == Some(Method::Join)).count(), 2);
    let searches: Vec<_> = sent.iter().filter(|sent| sent.method() == Some(Method::FindNode)).collect();
    assert_eq!(searches.len(), 8);
    assert!(searches.iter().all(|sent| sent.call() == Call::FindNode { target }));
}

#[test]
fn a_bootstrap_node_joins_an_empty_network_alone() {
    let mut scene = Scene::new();
    assert_eq!(join(&mut scene, &[]), (0, Ending::Complete, 0));
    scene.run_for(HOUR);
    assert!(scene.sent().is_empty());
}

#[test]
fn a_join_that_finds_nobody_is_tried_again_ever_later() {
    let mut scene = Scene::new();
    let (took, _, contacts) = join(&mut scene, &[1]);
    assert_eq!((took / 1000, contacts), (9, 0));
    scene.run_for(20 * MINUTE);
    let tries = tries(&scene.sent(), 1);
    // Each fails after nine seconds; then 20, 40, 80, 160 s, and never more than a checkpoint's 300.
    assert_eq!(tries[..7], [0, 29, 78, 167, 336, 645, 954]);
    // As soon as there is somebody, there are no more than one at a checkpoint.
    scene.add(Peer::new(near(far_key(&scene.node), 1)));
    scene.run_for(6 * MINUTE);
    assert_eq!(scene.node.contacts().count(), 1);
    scene.sent();
    scene.run_for(HOUR);
    assert!((10..=14).contains(&queries(&scene.sent(), Method::Join).len()));
}

/// Else the parts of a network that was cut in two would never find together.
#[test]
fn who_knows_enough_others_asks_the_bootstrap_contacts_ever_later() {
    let mut scene = Scene::new();
    let key = far_key(&scene.node);
    scene.befriend((1..=8).map(|n| Peer::new(near(key, n))));
    join(&mut scene, &[1]);
    assert_eq!(scene.node.contacts().count(), 8);
    scene.sent();
    scene.run_for(HOUR);
    assert!((4..=6).contains(&queries(&scene.sent(), Method::Join).len()));
    scene.run_for(HOUR);
    scene.sent();
    scene.run_for(10 * HOUR);
    assert!((9..=10).contains(&queries(&scene.sent(), Method::Join).len()));
}

#[test]
fn a_node_that_lost_everybody_joins_again() {
    let mut scene = Scene::new();
    let friend = scene.add(Peer::new(near(far_key(&scene.node), 1)));
    join(&mut scene, &[1]);
    scene.peer(friend).reply = Box::new(|_, _| Reply::Silence);
    for _ in 0..3 {
        scene.node.find_node(scene.now, friend.id).unwrap();
        scene.run_for(10 * SECOND);
    }
    assert_eq!(scene.node.contacts().count(), 0);
    scene.peer(friend).reply = Box::new(|_, _| Reply::Answer);
    scene.run_for(6 * MINUTE);
    assert!(scene.knows(&friend));
}

#[test]
fn many_dead_ways_in_do_not_hide_a_live_one() {
    let mut scene = Scene::new();
    let friend = scene.add(Peer::new(near(far_key(&scene.node), 200)));
    for order in [(1..=40).chain([200]).collect::<Vec<u8>>(), [200].into_iter().chain(1..=40).collect()] {
        let (took, _, contacts) = join(&mut scene, &order);
        assert_eq!(contacts, 1);
        assert!(took <= 30_000);
        assert!(scene.knows(&friend));
    }
}

#[test]
fn a_bucket_that_nobody_looked_into_for_an_hour_is_refreshed_at_a_checkpoint() {
    let mut scene = Scene::new();
    let key = far_key(&scene.node);
    scene.befriend([Peer::new(near(key, 1))]);
    scene.node.find_node(scene.now, key).unwrap();
    scene.run_for(59 * MINUTE);
    // What others look for does not count.
    scene.deliver(addr(1), &query(id_near(key, 1), 1, Call::FindNode { target: key }));
    scene.sent();
    scene.events.clear();
    scene.run_for(HOUR);
    let sent = scene.sent();
    let refreshes: Vec<&Sent> = sent.iter().filter(|sent| sent.method() == Some(Method::FindNode)).collect();
    assert_eq!(refreshes.len(), 1);
    let at = refreshes[0].at;
    assert!((3600..3600 + 330).contains(&(at.as_micros() / 1_000_000)), "{at:?}");
    assert!(scene.events.contains(&(at, Event::CheckpointPassed)));
    assert!(scene.events.iter().all(|(_, event)| event.finished().is_none()), "upkeep is silent");
    let Call::FindNode { target } = refreshes[0].call() else { panic!() };
    assert!(target != key && target != Id::ZERO);
}

#[test]
fn checkpoints_come_about_every_five_minutes() {
    let mut scene = Scene::new();
    scene.run_for(2 * HOUR);
    let times: Vec<u64> = scene.events.iter().map(|(at, _)| at.as_micros() / 1_000_000).collect();
    assert_eq!(times[0], 60);
    let between: Vec<u64> = times.windows(2).map(|two| two[1] - two[0]).collect();
    assert!(between.iter().all(|secs| (269..=330).contains(secs)), "{between:?}");
    assert!(between.iter().any(|secs| *secs != between[0]), "nodes that start together spread out");
}

#[test]
fn a_jump_of_the_clock_fires_what_is_periodic_once() {
    let mut scene = Scene::new();
    scene.now = scene.now + Duration::from_secs(30 * 24 * 3600);
    scene.node.handle_timeout(scene.now);
    scene.sent();
    assert_eq!(scene.events.len(), 1, "one checkpoint: {:?}", scene.events);
}

#[test]
fn buckets_are_refreshed_over_both_networks_few_at_a_time_until_all_are() {
    for (lookup, at_a_time) in [(LookupPolicy::DEFAULT, 1), (LookupPolicy::KHASHMIR_2008, 16)] {
        refreshes_all(lookup, at_a_time);
    }
}

fn refreshes_all(lookup: LookupPolicy, at_a_time: usize) {
    let mut scene = Scene::with(Config { lookup, ..config() });
    let own = scene.node.id();
    // Nine contacts so near to ourselves split the tables into very many buckets.
    let peers = (1..=9).flat_map(|n| [near(own, n), Contact { addr: addr6(n.into()), ..near(own, n) }]);
    scene.befriend(peers.map(Peer::new));
    for peer in scene.peers.values_mut() {
        peer.latency = SECOND;
    }
    scene.sent();
    let most = (0..HOUR.as_secs() + 600).map(|_| {
        scene.run_for(SECOND);
        scene.node.stats().upkeep_operations
    });
    assert_eq!(most.max(), Some(at_a_time));
    let prefix_len = |sent: &Sent| match sent.message().body {
        Body::Query(Ok(Query { call: Call::FindNode { target }, .. })) => {
            Some(own.common_prefix_len(&target))
        }
        _ => None,
    };
    let refreshed: BTreeSet<u32> = scene.sent().iter().filter_map(prefix_len).collect();
    assert!(refreshed.len() > 100, "so many buckets: {refreshed:?}");
}
