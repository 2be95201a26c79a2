//! Values that are published are stored again and again, until told otherwise.
#![allow(clippy::unwrap_used)]

mod common;

use common::*;
use core::time::Duration;
use khashmir::config::{LookupPolicy, Upkeep};
use khashmir::krpc::{Call, Method};
use khashmir::{Config, Event, Id};

/// A node that knows somebody who stores what it is given.
fn with_a_friend() -> (Scene, Id) {
    let mut scene = Scene::new();
    let key = far_key(&scene.node);
    scene.befriend([Peer::new(near(key, 1))]);
    (scene, key)
}

/// When each value was stored, in seconds after the start.
fn stores(sent: &[Sent]) -> Vec<(Vec<u8>, u64)> {
    let stores = sent.iter().filter(|sent| sent.method() == Some(Method::StoreValue));
    let store = stores.map(|sent| match sent.call() {
        Call::StoreValue { value, .. } => (value.to_vec(), sent.at.as_micros() / 1_000_000),
        other => panic!("{other:?}"),
    });
    store.collect()
}

#[test]
fn a_published_value_is_stored_again_after_two_and_a_half_hours() {
    let (mut scene, key) = with_a_friend();
    let op = scene.node.publish(scene.now, key, b"v").unwrap();
    let (_, event) = scene.finish(op);
    assert!(matches!(event, Event::PutFinished { copies: 2, .. }), "{event:?}");
    scene.run_for(8 * HOUR);
    let times: Vec<u64> = stores(&scene.sent()).into_iter().map(|(_, at)| at).collect();
    assert_eq!(times, [0, 9000, 18000, 27000]);
    // Others forget a value after three hours; ours is there all the while.
    let sent = scene.ask(near(key, 1), 1, Call::GetValue { key, num: 0 });
    assert_eq!(sent.last().unwrap().response().values.unwrap().len(), 1);
    assert_eq!(scene.events.iter().filter(|(_, e)| e.finished().is_some()).count(), 1, "renewed in silence");
}

/// Eight live near the key; `count` of them are others from one half hour to the next.
fn renewals_where_go(count: usize) -> Vec<u64> {
    let mut scene = Scene::with(Config { upkeep: Upkeep::DEFAULT, ..config() });
    let key = far_key(&scene.node);
    let mut alive: Vec<_> = (1..=8).map(|n| near(key, n)).collect();
    scene.befriend(alive.iter().map(|contact| Peer::new(*contact)));
    let op = scene.node.publish(scene.now, key, b"v").unwrap();
    scene.finish(op);
    let mut sent = scene.sent();
    for half_hour in 0..16 {
        scene.run_for(30 * MINUTE);
        sent.extend(scene.sent());
        for _ in 0..count {
            let gone = alive.remove(0);
            scene.peer(gone).reply = Box::new(|_, _| Reply::Silence);
            for _ in 0..Upkeep::DEFAULT.max_failures {
                let find = scene.node.find_node(scene.now, key).unwrap();
                scene.finish(find);
            }
            let n = 9 + half_hour * 8 + u8::try_from(alive.len()).unwrap();
            alive.push(near(key, n));
            scene.befriend([Peer::new(near(key, n))]);
        }
    }
    let mut times: Vec<u64> = stores(&sent).into_iter().map(|(_, at)| at / 60).collect();
    times.dedup();
    times
}

#[test]
fn a_value_is_stored_again_the_sooner_the_faster_its_keepers_go() {
    assert_eq!(
        renewals_where_go(0),
        [0, 30, 90, 210, 360],
        "minutes: ever later, up to two and a half hours"
    );
    let fast = renewals_where_go(3);
    assert!(fast.len() > 10, "{fast:?}");
    assert!(fast.windows(2).all(|pair| pair[1] - pair[0] >= 10), "{fast:?}");
    let slow = renewals_where_go(1);
    assert!((6..fast.len()).contains(&slow.len()), "{slow:?}");
}

#[test]
fn periods_that_never_end_are_periods_too() {
    let never = Duration::MAX;
    let upkeep =
        Upkeep { republish_after: never, republish_soonest: never, nat_timeout: never, ..Upkeep::DEFAULT };
    let mut scene = Scene::with(Config { lookup: LookupPolicy::DEFAULT, upkeep, ..config() });
    let key = far_key(&scene.node);
    let friend = near(key, 1);
    scene.befriend([Peer::new(friend)]);
    let join = scene.node.join(scene.now, &[friend.addr]).unwrap();
    scene.finish(join);
    let publish = scene.node.publish(scene.now, key, b"v").unwrap();
    scene.finish(publish);
    scene.run_for(24 * HOUR);
    assert_eq!(stores(&scene.sent()).len(), 1);
}

#[test]
fn renewals_come_one_at_a_time() {
    let (mut scene, key) = with_a_friend();
    for n in 0..5 {
        scene.node.publish(scene.now, id_near(key, 10 * n), &[n]).unwrap();
    }
    scene.run_for(HOUR);
    assert_eq!(stores(&scene.sent()).len(), 5);
    scene.run_for(2 * HOUR);
    let mut stored = stores(&scene.sent());
    let times: Vec<u64> = stored.iter().map(|(_, at)| *at).collect();
    assert_eq!(times, [9000, 9003, 9006, 9009, 9012]);
    stored.sort();
    stored.dedup_by(|a, b| a.0 == b.0);
    assert_eq!(stored.len(), 5, "each once");
}

#[test]
fn what_is_published_no_more_is_stored_no_more() {
    let (mut scene, key) = with_a_friend();
    scene.node.publish(scene.now, key, b"kept").unwrap();
    scene.node.publish(scene.now, key, b"dropped").unwrap();
    scene.run_for(MINUTE);
    scene.sent();
    assert!(scene.node.unpublish(scene.now, key, b"dropped"));
    assert!(!scene.node.unpublish(scene.now, key, b"dropped"));
    assert_eq!(scene.node.publications().map(|(_, value)| &value[..]).collect::<Vec<_>>(), [b"kept"]);
    scene.run_for(3 * HOUR);
    assert!(stores(&scene.sent()).iter().all(|(value, _)| value == b"kept"));
}

#[test]
fn a_value_dropped_in_the_middle_of_its_renewal_stays_dropped() {
    let (mut scene, key) = with_a_friend();
    scene.node.publish(scene.now, key, b"v").unwrap();
    scene.node.publish(scene.now, id_near(key, 50), b"w").unwrap();
    scene.run_for(8999 * SECOND);
    scene.peer(near(key, 1)).reply = Box::new(|_, _| Reply::Silence);
    scene.run_for(2 * SECOND);
    assert_eq!(scene.node.stats().upkeep_operations, 1, "it is being renewed");
    for (id, value) in [(key, b"v"), (id_near(key, 50), b"w")] {
        scene.node.unpublish(scene.now, id, value);
    }
    scene.peer(near(key, 1)).reply = Box::new(|_, _| Reply::Answer);
    scene.run_for(MINUTE);
    scene.sent();
    scene.run_for(6 * HOUR);
    assert!(stores(&scene.sent()).is_empty());
    assert_eq!(scene.node.stats().publications, 0);
}

#[test]
fn what_nobody_took_is_tried_again_soon() {
    let (mut scene, key) = with_a_friend();
    scene.peer(near(key, 1)).reply = Box::new(|_, method| match method {
        Method::StoreValue => Reply::Silence,
        _ => Reply::Answer,
    });
    scene.node.publish(scene.now, key, b"v").unwrap();
    scene.run_for(MINUTE);
    scene.peer(near(key, 1)).reply = Box::new(|_, _| Reply::Answer);
    scene.sent();
    scene.run_for(10 * MINUTE);
    let times: Vec<u64> = stores(&scene.sent()).into_iter().map(|(_, at)| at).collect();
    assert_eq!(times, [309], "five minutes after the store had failed");
}

#[test]
fn nothing_is_published_without_bound() {
    let mut config = config();
    config.limits.publications = 3;
    let mut scene = Scene::with(config);
    let key = far_key(&scene.node);
    for n in 0..3 {
        scene.node.publish(scene.now, key, &[n]).unwrap();
    }
    let refused = scene.node.publish(scene.now, key, &[3]);
    assert_eq!(refused, Err(khashmir::node::CommandError::TooManyPublications));
    scene.node.publish(scene.now, key, &[0]).unwrap();
    scene.node.unpublish(scene.now, key, &[0]);
    scene.node.publish(scene.now, key, &[3]).unwrap();
}

#[test]
fn so_many_values_that_the_usual_spacing_would_let_them_expire_are_renewed_in_time() {
    const VALUES: u16 = 4000;
    let (mut scene, key) = with_a_friend();
    for n in 0..VALUES {
        let op = scene.node.publish(scene.now, id_near(key, (n % 200) as u8), &n.to_be_bytes()).unwrap();
        scene.finish(op);
    }
    scene.sent();
    scene.run_for(3 * HOUR);
    let mut renewed: Vec<Vec<u8>> = stores(&scene.sent()).into_iter().map(|(value, _)| value).collect();
    renewed.sort();
    renewed.dedup();
    assert_eq!(renewed.len(), usize::from(VALUES));
}

#[test]
fn however_many_are_due_at_once_while_nobody_is_known_they_are_tried_one_after_another() {
    const VALUES: u32 = 20_000;
    let mut config = config();
    // No time at all is left to a value when it is due: no spacing is close enough.
    config.upkeep.value_lifetime = config.upkeep.republish_after;
    let mut scene = Scene::with(config);
    let key = far_key(&scene.node);
    for n in 0..VALUES {
        scene.node.publish(scene.now, key, &n.to_be_bytes()).unwrap();
        while scene.node.poll_event().is_some() {}
    }
    scene.run_for(HOUR);
    assert_eq!(scene.node.stats().publications, VALUES as usize);
}
