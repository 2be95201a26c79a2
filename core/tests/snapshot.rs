//! What a node keeps across a restart, and what it makes of a file that is no snapshot.
#![allow(clippy::unwrap_used)]

mod common;

use common::*;
use core::time::Duration;
use khashmir::config::ConfigError;
use khashmir::krpc::{Call, Method};
use khashmir::{Config, Contact, Id, Instant, Node};
use khashmir_testing::quickcheck;

/// A node with eight contacts, two values of others and two publications, and one of its contacts.
fn lived() -> (Scene, Contact) {
    let mut scene = Scene::new();
    let key = far_key(&scene.node);
    scene.befriend((1..=8).map(|n| Peer::new(near(key, n))));
    let friend = near(key, 1);
    for value in [&b"one"[..], b"two"] {
        let sent = scene.ask_proved(friend, 1, Call::FindNode { target: key });
        let token = sent.response().token.unwrap().to_vec();
        scene.ask_proved(friend, 2, Call::StoreValue { key, value, token: &token }).response();
    }
    scene.node.publish(scene.now, key, b"ours").unwrap();
    scene.node.publish(scene.now, id_near(key, 50), b"ours too").unwrap();
    scene.run_for(MINUTE);
    (scene, friend)
}

/// The same world after `downtime`, with the node started again.
fn restarted(scene: Scene, config: Config, downtime: Duration) -> Scene {
    let node = Node::restore(config, &scene.node.snapshot(), downtime, [2; 32], Instant::ORIGIN).unwrap();
    let mut restarted = Scene::of(node);
    restarted.peers = scene.peers;
    restarted
}

#[test]
fn a_node_comes_back_as_itself() {
    let (scene, friend) = lived();
    let (id, key) = (scene.node.id(), far_key(&scene.node));
    let mut scene = restarted(scene, config(), HOUR);
    assert_eq!(scene.node.id(), id);
    scene.run_for(MINUTE);
    let sent = scene.sent();
    assert_eq!(queries(&sent, Method::Ping).len(), 8, "it pings whom it knew");
    assert!(!queries(&sent, Method::FindNode).is_empty(), "and looks around");
    assert_eq!(scene.node.contacts().count(), 8);
    let sent = scene.ask_proved(friend, 1, Call::GetValue { key, num: 0 });
    let values: Vec<&[u8]> = sent.response().values.unwrap().iter().collect();
    assert!(values.contains(&&b"one"[..]) && values.contains(&&b"two"[..]));
    assert_eq!(scene.node.publications().count(), 2);
}

#[test]
fn values_and_publications_age_while_the_node_is_down() {
    let (scene, friend) = lived();
    let key = far_key(&scene.node);
    let mut scene = restarted(scene, config(), 2 * HOUR);
    scene.run_for(28 * MINUTE);
    scene.sent();
    // One minute before the restart, two hours down: due for renewal 29 minutes after.
    scene.run_for(2 * MINUTE);
    let renewed = queries(&scene.sent(), Method::StoreValue);
    assert!(
        !renewed.is_empty() && renewed.iter().all(|(_, at)| (1740.0..1750.0).contains(at)),
        "{renewed:?}"
    );
    scene.run_for(30 * MINUTE);
    let sent = scene.ask(friend, 1, Call::GetValue { key, num: 0 });
    let held = sent.last().unwrap().response().values.unwrap();
    assert!(held.iter().all(|value| value != b"one" && value != b"two"), "three hours have passed");

    let (scene, _) = lived();
    let scene = restarted(scene, config(), Duration::MAX);
    assert_eq!(scene.node.stats().values, 0);
    assert_eq!(scene.node.publications().count(), 2, "what we announced is not forgotten");
}

#[test]
fn publications_overdue_after_a_long_time_wait_for_the_others_to_be_found() {
    let (scene, _) = lived();
    let mut scene = restarted(scene, config(), 100 * HOUR);
    scene.run_for(5 * MINUTE);
    let stores = queries(&scene.sent(), Method::StoreValue);
    assert_eq!(stores.len(), 12, "two values at six others each: {stores:?}");
}

#[test]
fn another_version_has_another_id() {
    let (scene, _) = lived();
    let id = scene.node.id();
    let scene = restarted(scene, Config { version: *b"A2.0", ..config() }, HOUR);
    assert_ne!(scene.node.id(), id);
    assert!(scene.node.id().0.ends_with(b"A2.0"));
}

#[test]
fn contacts_that_may_not_be_sent_to_any_more_are_left_alone() {
    let (scene, _) = lived();
    let mut scene = restarted(scene, Config { local_networks: Vec::new(), ..config() }, HOUR);
    scene.run_for(10 * MINUTE);
    assert!(scene.sent().is_empty());
}

#[test]
fn what_is_no_snapshot_is_an_error_that_says_where() {
    let (scene, _) = lived();
    let good = scene.node.snapshot();
    let restore = |bytes: &[u8]| Node::restore(config(), bytes, HOUR, [2; 32], Instant::ORIGIN);
    for bytes in [&b""[..], b"de", b"hello", &good[..good.len() - 1], &[&good[..], b"x"].concat()] {
        assert!(matches!(restore(bytes), Err(ConfigError::Snapshot(_))), "{}", bytes.escape_ascii());
    }
    let later = good.strip_suffix(b"7:versioni1ee").unwrap();
    let error = restore(&[later, b"7:versioni2ee"].concat()).unwrap_err();
    assert!(error.to_string().contains("unreadable snapshot"), "{error}");
}

#[test]
fn a_hostile_snapshot_stays_within_all_bounds() {
    let id = [b"2:id20:", &[1; 20][..]].concat();
    let key = [b"20:", &[2; 20][..]].concat();
    let items = |list: &[&[u8]]| [b"l", &list.concat()[..], b"e"].concat();
    let huge = b"i9223372036854775807e";
    let publication = [b"l", &key[..], b"1:v", huge, b"e"].concat();
    let unpublishable = [b"l", &key[..], b"0:", huge, b"e"].concat();
    let value = [b"l", &key[..], b"1:v", b"4:\x0a\x01\x02\x03", huge, b"e"].concat();
    let file = [
        b"d8:contactsle",
        &id[..],
        b"12:publications",
        &items(&[&publication, &unpublishable]),
        b"6:values",
        &items(&[&value]),
        b"7:versioni1ee",
    ]
    .concat();
    for downtime in [HOUR, Duration::MAX] {
        let node = Node::restore(config(), &file, downtime, [2; 32], Instant::ORIGIN).unwrap();
        let mut scene = Scene::of(node);
        assert_eq!(scene.node.stats().values, 0, "as old as can be");
        let published = scene.node.publications().map(|(_, value)| value.to_vec());
        assert_eq!(published.collect::<Vec<_>>(), [b"v"]);
        scene.befriend([Peer::new(near(Id([2; 20]), 1))]);
        scene.run_for(3 * HOUR);
        assert!(!queries(&scene.sent(), Method::StoreValue).is_empty(), "due when it would be anyway");
    }
}

#[test]
fn no_damage_to_a_snapshot_makes_a_node_panic() {
    let good = lived().0.node.snapshot().to_vec();
    let law = move |damage: Vec<(usize, u8)>, cut: Option<usize>| {
        let mut bytes = good.clone();
        for (at, byte) in damage {
            let at = at % bytes.len();
            bytes[at] = byte;
        }
        bytes.truncate(cut.map_or(bytes.len(), |cut| cut % bytes.len()));
        if let Ok(mut node) = Node::restore(config(), &bytes, HOUR, [2; 32], Instant::ORIGIN) {
            node.handle_timeout(Instant::ORIGIN + HOUR);
            node.check_invariants();
        }
        true
    };
    struct Law<F>(F);
    impl<F: Fn(Vec<(usize, u8)>, Option<usize>) -> bool + 'static> quickcheck::Testable for Law<F> {
        fn result(&self, g: &mut quickcheck::Gen) -> quickcheck::TestResult {
            use quickcheck::Arbitrary;
            quickcheck::TestResult::from_bool(self.0(Arbitrary::arbitrary(g), Arbitrary::arbitrary(g)))
        }
    }
    quickcheck().tests(500).quickcheck(Law(law));
}
