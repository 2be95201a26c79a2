//! How a lookup searches: whom it asks, when, and when it ends.
#![allow(clippy::unwrap_used)]

mod common;

use common::*;
use core::time::Duration;
use khashmir::config::LookupPolicy;
use khashmir::krpc::Method::{FindNode, FindValue};
use khashmir::node::Ending;
use khashmir::{Config, Contact, Event, Id};

fn with_policy(lookup: LookupPolicy) -> Config {
    Config { lookup, ..config() }
}

/// A lookup for `key` run to its end: what was sent, how long it took, how it ended, whom it found.
fn find(scene: &mut Scene, key: Id) -> (Vec<Sent>, Duration, Ending, Vec<Contact>) {
    scene.sent();
    let start = scene.now;
    let op = scene.node.find_node(scene.now, key).unwrap();
    match scene.finish(op) {
        (at, Event::FindNodeFinished { ending, closest, .. }) => {
            (scene.sent(), at.saturating_duration_since(start), ending, closest)
        }
        (_, other) => panic!("{other:?}"),
    }
}

/// Contacts 11 to 18 are known. 11 alone answers, and knows 1 to 8, who answer too.
fn overtaking(lookup: LookupPolicy) -> (Scene, Id) {
    let mut scene = Scene::with(with_policy(lookup));
    let key = far_key(&scene.node);
    scene.befriend((11..=18).map(|n| Peer::new(near(key, n))));
    for n in 12..=18 {
        scene.peer(near(key, n)).reply = Box::new(|_, _| Reply::Silence);
    }
    scene.peer(near(key, 11)).nodes = (1..=8).map(|n| near(key, n)).collect();
    (1..=8).for_each(|n| _ = scene.add(Peer::new(near(key, n))));
    (scene, key)
}

#[test]
fn a_lookup_without_contacts_ends_at_once_with_ourselves_alone() {
    let mut scene = Scene::new();
    let key = far_key(&scene.node);
    let (sent, took, ending, closest) = find(&mut scene, key);
    assert_eq!((sent.len(), took, ending, closest), (0, Duration::ZERO, Ending::Complete, vec![]));
}

#[test]
fn the_closest_are_asked_eight_at_a_time_and_again_after_two_and_six_seconds() {
    let mut scene = Scene::new();
    let key = far_key(&scene.node);
    scene.befriend((1..=8).map(|n| Peer::new(near(key, n))));
    for n in 1..=8 {
        scene.peer(near(key, n)).reply = Box::new(|_, _| Reply::Silence);
    }
    let start = scene.now;
    let (sent, took, ending, closest) = find(&mut scene, key);
    let mut expected = Vec::new();
    for at in [0, 2000, 6000] {
        expected.extend((1..=8).map(|n| (n, at)));
    }
    assert_eq!(asked(start, &sent, FindNode), expected, "closest first");
    assert!(sent[0].bytes == sent[8].bytes && sent[0].bytes == sent[16].bytes, "the same bytes");
    assert_eq!((took.as_secs(), ending, closest), (9, Ending::Complete, vec![]));
}

#[test]
fn the_original_policy_asks_four_at_a_time_once() {
    let mut scene = Scene::with(with_policy(LookupPolicy::ORIGINAL));
    let key = far_key(&scene.node);
    scene.befriend((1..=8).map(|n| Peer::new(near(key, n))));
    for n in 1..=8 {
        scene.peer(near(key, n)).reply = Box::new(|_, _| Reply::Silence);
    }
    let start = scene.now;
    let (sent, took, ending, _) = find(&mut scene, key);
    let expected: Vec<_> = (1..=4).map(|n| (n, 0)).chain((5..=8).map(|n| (n, 20_000))).collect();
    assert_eq!(asked(start, &sent, FindNode), expected);
    assert_eq!((took.as_secs(), ending), (30, Ending::OutOfTime), "its bound is thirty seconds");
}

#[test]
fn what_one_answer_names_is_used_with_care() {
    let mut config = config();
    config.local_networks = vec!["10.0.0.0/16".parse().unwrap(), "10.64.0.0/10".parse().unwrap()];
    let mut scene = Scene::with(config);
    let key = far_key(&scene.node);
    let at = |n: u8, text: &str| Contact { id: id_near(key, n), addr: text.parse().unwrap() };
    let ourselves = Contact { id: scene.node.id(), addr: addr(99) };
    let unusable = [
        at(1, "10.128.0.1:9978"),   // private, in no local network
        at(2, "127.0.0.1:9978"),    // loopback
        at(3, "224.0.0.1:9978"),    // multicast
        at(4, "10.70.0.1:0"),       // no port
        at(5, "255.255.255.255:1"), // broadcast
        Contact { id: Id::ZERO, addr: addr(98) },
        ourselves,
    ];
    let same_host = [at(11, "10.71.0.1:1"), at(6, "10.71.0.1:2")];
    let usable = (72..=80).map(|n| near(key, n));
    let named = unusable.into_iter().chain(same_host).chain(usable);
    let liar = Contact { id: id_near(key, 0xff), addr: addr(64) };
    scene.befriend([Peer::new(liar).knows(named)]);
    let (sent, _, _, _) = find(&mut scene, key);
    let mut asked: Vec<u8> = sent.iter().map(|sent| number(&sent.to)).collect();
    asked.sort_unstable();
    asked.dedup();
    // The first eight that are usable, one of each host.
    assert_eq!(asked, [64, 71, 72, 73, 74, 75, 76, 77, 78]);
    assert!(sent.iter().all(|sent| sent.to.port() == if number(&sent.to) == 71 { 1 } else { 9978 }));
}

#[test]
fn few_of_one_network_are_among_the_closest() {
    let mut scene = Scene::new();
    let key = far_key(&scene.node);
    let neighbours = (1..=8).map(|n| Contact { id: id_near(key, n), addr: ([10, 50, 0, n], 9978).into() });
    let neighbours: Vec<Contact> = neighbours.collect();
    for contact in &neighbours {
        scene.add(Peer::new(*contact));
    }
    let others = [near(key, 21), near(key, 22)].map(|contact| scene.add(Peer::new(contact)));
    let teller = near(key, 31);
    scene.befriend([Peer::new(teller).knows(neighbours.iter().take(6).copied().chain(others))]);
    let (_, _, _, closest) = find(&mut scene, key);
    assert_eq!(closest, [neighbours[0], neighbours[1], others[0], others[1], teller]);
}

#[test]
fn a_lookup_sends_sixty_four_queries_at_most() {
    let (scene, asked) = endless(Duration::from_millis(10));
    assert_eq!(asked.len(), 64);
    assert!(scene.now.as_micros() < 5_000_000);
}

#[test]
fn a_lookup_lasts_thirty_seconds_at_most() {
    let (scene, asked) = endless(Duration::from_millis(1000));
    assert!((29..=31).contains(&asked.len()), "{asked:?}");
    let (at, event) = scene.events.last().unwrap();
    assert!(matches!(event, Event::FindNodeFinished { ending: Ending::OutOfTime, closest, .. }
        if closest.len() == 8));
    assert_eq!(at.as_micros() / 1_000_000, 31, "one second was spent to make a contact");
}

/// A chain of peers, each knowing one that is a little closer, is followed.
fn endless(latency: Duration) -> (Scene, Vec<(u8, u128)>) {
    let mut scene = Scene::new();
    let key = far_key(&scene.node);
    for n in 1..200 {
        scene.add(Peer::new(near(key, n)).knows([near(key, n - 1)]).after(latency));
    }
    scene.befriend([Peer::new(near(key, 200)).knows([near(key, 199)]).after(latency)]);
    let start = scene.now;
    let op = scene.node.find_node(scene.now, key).unwrap();
    scene.finish(op);
    let sent = scene.sent();
    (scene, asked(start, &sent, FindNode))
}

#[test]
fn early_end_waits_for_nobody_who_is_not_among_the_closest() {
    let (mut scene, key) = overtaking(LookupPolicy::KHASHMIR_2008);
    let (_, took, ending, closest) = find(&mut scene, key);
    assert!(took < SECOND, "{took:?}");
    assert_eq!(ending, Ending::Complete);
    assert_eq!(closest, (1..=8).map(|n| near(key, n)).collect::<Vec<_>>());

    let patient = LookupPolicy { abort_early: false, parallelism: 16, ..LookupPolicy::KHASHMIR_2008 };
    let (mut scene, key) = overtaking(patient);
    let (_, took, _, same) = find(&mut scene, key);
    assert_eq!((took.as_secs(), same), (9, closest));
}

#[test]
fn an_overtaken_request_gives_its_place_away_and_is_not_sent_again() {
    let (mut scene, key) = overtaking(LookupPolicy::KHASHMIR_2008);
    scene.peer(near(key, 8)).reply = Box::new(|_, _| Reply::Silence);
    let start = scene.now;
    let (sent, took, _, _) = find(&mut scene, key);
    let asked = asked(start, &sent, FindNode);
    let within = |from, to| -> Vec<u8> {
        let mut who: Vec<u8> =
            asked.iter().filter(|(_, at)| (from..to).contains(at)).map(|(n, _)| *n).collect();
        who.sort_unstable();
        who
    };
    assert_eq!(within(0, 2000), [(1..=8).collect::<Vec<_>>(), (11..=18).collect()].concat());
    assert_eq!(within(2000, 9000), [8, 8], "of those who are silent, only the one that matters");
    assert_eq!(took.as_secs(), 9);

    // Without leap-frogging the places stay taken until the silent have failed.
    let (mut scene, key) = overtaking(LookupPolicy { leap_frog: false, ..LookupPolicy::KHASHMIR_2008 });
    scene.peer(near(key, 8)).reply = Box::new(|_, _| Reply::Silence);
    let start = scene.now;
    let (sent, _, _, _) = find(&mut scene, key);
    let asked = common::asked(start, &sent, FindNode);
    assert_eq!(asked.iter().filter(|(n, at)| *n >= 12 && (2000..9000).contains(at)).count(), 14);
}

#[test]
fn a_late_answer_counts_while_the_lookup_runs() {
    let (mut scene, key) = overtaking(LookupPolicy::KHASHMIR_2008);
    scene.peer(near(key, 8)).reply = Box::new(|_, _| Reply::Silence);
    // Overtaken at once; answers after five seconds that it holds a value.
    *scene.peer(near(key, 18)) = Peer::new(near(key, 18)).holds([b"late".to_vec()]).after(5 * SECOND);
    let op = scene.node.get(scene.now, key, 1).unwrap();
    let (_, event) = scene.finish(op);
    assert!(matches!(event, Event::GetFinished { values: 1, .. }), "{event:?}");
    assert_eq!(queries(&scene.sent(), FindValue).iter().filter(|(to, _)| *to == addr(18)).count(), 1);
}

#[test]
fn a_timeout_after_the_end_of_its_lookup_is_a_failure_all_the_same() {
    let (mut scene, key) = overtaking(LookupPolicy::KHASHMIR_2008);
    for _ in 0..3 {
        let (_, took, _, _) = find(&mut scene, key);
        assert!(took < SECOND);
    }
    assert!((12..=18).all(|n| scene.knows(&near(key, n))));
    scene.run_for(10 * SECOND);
    assert!((12..=18).all(|n| !scene.knows(&near(key, n))), "three in a row");
    assert!(scene.knows(&near(key, 11)));
}

#[test]
fn failed_contacts_make_room_for_farther_ones() {
    let mut scene = Scene::new();
    let key = far_key(&scene.node);
    let dead = (1..=7).map(|n| near(key, n));
    let alive = (21..=28).map(|n| near(key, n));
    let teller = scene.add(Peer::new(near(key, 30)).knows(alive.clone()));
    alive.clone().for_each(|contact| _ = scene.add(Peer::new(contact)));
    scene.befriend([Peer::new(near(key, 31)).knows(dead.chain([teller]))]);
    let (_, took, _, closest) = find(&mut scene, key);
    assert_eq!(closest, alive.collect::<Vec<_>>());
    assert_eq!(took.as_secs(), 9);
}

#[test]
fn each_address_family_has_a_search_of_its_own() {
    let mut scene = Scene::new();
    let key = far_key(&scene.node);
    let six = Contact { id: id_near(key, 1), addr: addr6(1) };
    scene.add(Peer::new(six));
    let mut teller = Peer::new(near(key, 2));
    teller.nodes6 = vec![six];
    scene.befriend([teller]);
    let (_, _, _, closest) = find(&mut scene, key);
    assert_eq!(closest, [near(key, 2), six]);
}
