//! What a put, a get and a ping do, and how they end.
#![allow(clippy::unwrap_used)]

mod common;

use common::*;
use core::time::Duration;
use khashmir::krpc::{Call, ErrorCode, Method};
use khashmir::node::{Ending, PingError};
use khashmir::{Config, Event, Id};

/// A node that knows peers 1 to 8, the closest to the returned key; we ourselves are farther.
fn neighbourhood() -> (Scene, Id) {
    let mut scene = Scene::new();
    let key = far_key(&scene.node);
    scene.befriend((1..=8).map(|n| Peer::new(near(key, n))));
    (scene, key)
}

fn silent_to(method: Method) -> impl FnMut(khashmir::Instant, Method) -> Reply {
    move |_, asked| if asked == method { Reply::Silence } else { Reply::Answer }
}

fn put(scene: &mut Scene, key: Id) -> (Vec<Sent>, Duration, Ending, usize) {
    scene.sent();
    let start = scene.now;
    let op = scene.node.put(scene.now, key, b"value").unwrap();
    match scene.finish(op) {
        (at, Event::PutFinished { ending, copies, .. }) => {
            (scene.sent(), at.saturating_duration_since(start), ending, copies)
        }
        (_, other) => panic!("{other:?}"),
    }
}

/// A value, and after how many milliseconds it was found.
type Found = (u128, Vec<u8>);

/// A get run to its end: what was sent, what was found, and how much of that the final event counts.
fn get(scene: &mut Scene, key: Id, wanted: usize) -> (Vec<Sent>, Vec<Found>, usize) {
    scene.sent();
    scene.events.clear();
    let start = scene.now;
    let op = scene.node.get(scene.now, key, wanted).unwrap();
    let (_, event) = scene.finish(op);
    let Event::GetFinished { ending: Ending::Complete, values: count, .. } = event else {
        panic!("{event:?}");
    };
    let found = scene.events.iter().filter_map(|(at, event)| match event {
        Event::ValueFound { value, .. } => {
            Some((at.saturating_duration_since(start).as_millis(), value.to_vec()))
        }
        _ => None,
    });
    let found = found.collect();
    (scene.sent(), found, count)
}

fn to(asked: Vec<(u8, u128)>) -> Vec<u8> {
    asked.into_iter().map(|(n, _)| n).collect()
}

#[test]
fn a_put_stores_at_the_six_closest() {
    let (mut scene, key) = neighbourhood();
    let start = scene.now;
    let (sent, took, ending, copies) = put(&mut scene, key);
    assert_eq!(to(asked(start, &sent, Method::StoreValue)), [1, 2, 3, 4, 5, 6]);
    let stores = sent.iter().filter(|sent| sent.method() == Some(Method::StoreValue));
    for store in stores {
        assert_eq!(store.call(), Call::StoreValue { key, value: b"value", token: &[7; 20] });
    }
    assert_eq!((copies, ending), (6, Ending::Complete));
    assert!(took < SECOND);
}

#[test]
fn a_put_skips_who_gives_no_token_and_goes_on_after_each_failure() {
    let (mut scene, key) = neighbourhood();
    scene.peer(near(key, 2)).token = None;
    scene.peer(near(key, 3)).reply = Box::new(silent_to(Method::StoreValue));
    let start = scene.now;
    let (sent, took, _, copies) = put(&mut scene, key);
    let stores = asked(start, &sent, Method::StoreValue);
    assert_eq!(to(stores.clone())[..6], [1, 3, 4, 5, 6, 7], "six in flight");
    assert_eq!(to(stores.clone())[6..], [3, 3, 8], "sent again, and failed at last");
    let [.., (_, failed_at)] = stores[..] else { panic!() };
    assert_eq!(failed_at - stores[0].1, 9000);
    assert_eq!((copies, took.as_secs()), (6, 9));
}

#[test]
fn a_put_fails_only_if_nobody_confirms() {
    let (mut scene, key) = neighbourhood();
    for n in 1..=8 {
        scene.peer(near(key, n)).reply = Box::new(silent_to(Method::StoreValue));
    }
    let (_, took, ending, copies) = put(&mut scene, key);
    assert_eq!((copies, ending, took.as_secs()), (0, Ending::Complete, 18));
    scene.peer(near(key, 8)).reply = Box::new(|_, _| Reply::Answer);
    assert_eq!(put(&mut scene, key).3, 1);
}

#[test]
fn a_refused_token_is_looked_up_again_once() {
    let (mut scene, key) = neighbourhood();
    let mut stores = 0;
    scene.peer(near(key, 1)).reply = Box::new(move |_, method| {
        stores += usize::from(method == Method::StoreValue);
        let refuse = method == Method::StoreValue && stores == 1;
        if refuse { Reply::Error(ErrorCode::InvalidToken) } else { Reply::Answer }
    });
    scene.peer(near(key, 2)).reply = Box::new(|_, method| match method {
        Method::StoreValue => Reply::Error(ErrorCode::InvalidToken),
        _ => Reply::Answer,
    });
    let mut renewed = Vec::new();
    for _ in 0..3 {
        let (sent, took, _, copies) = put(&mut scene, key);
        assert_eq!(copies, 6);
        assert!(took < SECOND);
        let said = |n| -> Vec<Method> {
            sent.iter().filter(|sent| number(&sent.to) == n).filter_map(Sent::method).collect()
        };
        use Method::{FindNode, StoreValue};
        assert_eq!(said(2), [FindNode, StoreValue, FindNode, StoreValue], "once, and no more");
        assert_eq!(said(7), [FindNode, StoreValue], "in its place");
        renewed.push(said(1).len() == 4);
    }
    assert_eq!(renewed, [true, false, false], "the new token was good");
}

#[test]
fn a_token_grown_old_is_no_failure_of_its_giver() {
    let (mut scene, key) = neighbourhood();
    // New contacts have been pinged once more by then.
    scene.run_for(20 * MINUTE);
    scene.peer(near(key, 2)).reply = Box::new(|_, method| match method {
        Method::StoreValue => Reply::Error(ErrorCode::InvalidToken),
        _ => Reply::Answer,
    });
    scene.peer(near(key, 3)).reply = Box::new(|_, method| match method {
        Method::StoreValue => Reply::Error(ErrorCode::ServerError),
        _ => Reply::Answer,
    });
    put(&mut scene, key);
    let start = scene.now;
    scene.run_for(20 * MINUTE);
    assert_eq!(to(asked(start, &scene.sent(), Method::Ping)), [3], "who failed is pinged again");
}

#[test]
fn alone_a_put_keeps_one_copy_and_a_get_finds_it() {
    let mut scene = Scene::new();
    let key = far_key(&scene.node);
    let (sent, took, _, copies) = put(&mut scene, key);
    assert_eq!((sent.len(), took, copies), (0, Duration::ZERO, 1));
    let (sent, found, count) = get(&mut scene, key, 10);
    assert_eq!((sent.len(), found, count), (0, vec![(0, b"value".to_vec())], 1));
}

#[test]
fn among_few_one_copy_is_ours() {
    let mut scene = Scene::new();
    let key = far_key(&scene.node);
    scene.befriend((1..=3).map(|n| Peer::new(near(key, n))));
    assert_eq!(put(&mut scene, key).3, 4);
    assert_eq!(scene.node.stats().values, 1);
}

#[test]
fn a_get_asks_the_closest_holders_until_six_have_answered() {
    let (mut scene, key) = neighbourhood();
    for n in 1..=8 {
        scene.peer(near(key, n)).values = vec![vec![n]];
    }
    scene.peer(near(key, 3)).values.clear();
    scene.peer(near(key, 4)).reply = Box::new(silent_to(Method::GetValue));
    let start = scene.now;
    let (sent, found, count) = get(&mut scene, key, 1000);
    let asked = asked(start, &sent, Method::GetValue);
    assert_eq!(to(asked.clone())[..6], [1, 2, 4, 5, 6, 7], "3 holds nothing");
    assert_eq!(to(asked)[6..], [4, 4, 8], "4 has failed");
    let mut values: Vec<u8> = found.iter().map(|(_, value)| value[0]).collect();
    values.sort_unstable();
    assert_eq!((values, count), (vec![1, 2, 5, 6, 7, 8], 6));
    let call = sent.iter().find(|sent| sent.method() == Some(Method::GetValue)).unwrap().call();
    assert_eq!(call, Call::GetValue { key, num: 0 });
}

#[test]
fn values_come_once_each_as_they_arrive() {
    let (mut scene, key) = neighbourhood();
    scene.peer(near(key, 1)).values = vec![b"both".to_vec(), b"first".to_vec()];
    scene.peer(near(key, 2)).values = vec![b"both".to_vec(), b"second".to_vec()];
    for (n, latency) in [(1, 100), (2, 500)] {
        scene.peer(near(key, n)).latency = Duration::from_millis(latency);
    }
    let (_, found, count) = get(&mut scene, key, 1000);
    // The search waits for the slower one, and so 500 ms pass before anybody is asked.
    let expected = [(600, &b"both"[..]), (600, b"first"), (1000, b"second")];
    assert_eq!(found, expected.map(|(at, value)| (at, value.to_vec())));
    assert_eq!(count, 3);
}

#[test]
fn values_come_before_the_search_has_ended_if_they_may() {
    for early_values in [false, true] {
        let mut scene = Scene::with(Config { early_values, ..config() });
        let key = far_key(&scene.node);
        scene.befriend((1..=8).map(|n| Peer::new(near(key, n)).after(Duration::from_millis(100))));
        for n in [2, 7] {
            scene.peer(near(key, n)).values = vec![b"both".to_vec(), vec![n]];
        }
        // It is gone, and holds the search up until its request has failed.
        scene.peer(near(key, 5)).reply = Box::new(|_, _| Reply::Silence);
        let start = scene.now;
        let (sent, found, count) = get(&mut scene, key, 1000);
        let at = if early_values { 200 } else { 9100 };
        assert_eq!(found.iter().map(|(at, _)| *at).collect::<Vec<_>>(), [at; 3]);
        assert_eq!(count, 3);
        assert_eq!(to(asked(start, &sent, Method::GetValue)), [2, 7], "each is asked once");
    }
}

#[test]
fn a_get_is_over_with_enough_distinct_values() {
    let (mut scene, key) = neighbourhood();
    for n in 1..=8 {
        scene.peer(near(key, n)).values = vec![vec![n]];
    }
    scene.peer(near(key, 2)).reply = Box::new(silent_to(Method::GetValue));
    let start = scene.now;
    let (_, found, count) = get(&mut scene, key, 2);
    assert_eq!((found.len(), count), (2, 2));
    assert!(scene.now.saturating_duration_since(start) < SECOND, "2 is not waited for");
}

#[test]
fn an_empty_answer_is_an_answer() {
    let (mut scene, key) = neighbourhood();
    for n in 1..=8 {
        scene.peer(near(key, n)).values = vec![vec![n]];
    }
    // Forgotten meanwhile, or a lie: it said that it holds some.
    *scene.peer(near(key, 1)) = Peer { num: Some(5), ..Peer::new(near(key, 1)) };
    let start = scene.now;
    let (sent, found, _) = get(&mut scene, key, 1000);
    assert_eq!(to(asked(start, &sent, Method::GetValue)), [1, 2, 3, 4, 5, 6]);
    assert_eq!(found.len(), 5);
}

#[test]
fn who_stores_only_short_values_finds_longer_ones_all_the_same() {
    let mut config = config();
    config.limits.value_len = 64;
    let mut scene = Scene::with(config);
    let key = far_key(&scene.node);
    scene.befriend([Peer::new(near(key, 1)).holds([vec![b'v'; 65]])]);
    let (_, found, _) = get(&mut scene, key, 10);
    assert_eq!(found.len(), 1);
}

#[test]
fn what_nobody_can_have_stored_is_no_value() {
    let (mut scene, key) = neighbourhood();
    scene.peer(near(key, 1)).values = vec![vec![], vec![b'v'; 1392], vec![b'v'; 1391], vec![b'v'; 60_000]];
    let (_, found, count) = get(&mut scene, key, 1000);
    assert_eq!(found.iter().map(|(_, value)| value.len()).collect::<Vec<_>>(), [1391]);
    assert_eq!(count, 1);
}

#[test]
fn a_ping_tells_who_answered_and_how_soon() {
    let mut scene = Scene::new();
    let friend = near(far_key(&scene.node), 1);
    scene.add(Peer::new(friend).after(Duration::from_millis(70)));
    let op = scene.node.ping(scene.now, friend.addr).unwrap();
    let (_, event) = scene.finish(op);
    let Event::PingFinished { result: Ok(pong), .. } = event else { panic!("{event:?}") };
    assert_eq!((pong.contact, pong.round_trip), (friend, Duration::from_millis(70)));

    let start = scene.now;
    let op = scene.node.ping(scene.now, addr(9)).unwrap();
    let (at, event) = scene.finish(op);
    assert!(matches!(event, Event::PingFinished { result: Err(PingError::TimedOut), .. }));
    assert_eq!(at.saturating_duration_since(start), 9 * SECOND);

    scene.peer(friend).reply = Box::new(|_, _| Reply::Error(ErrorCode::ServerError));
    let op = scene.node.ping(scene.now, friend.addr).unwrap();
    let (_, event) = scene.finish(op);
    assert!(matches!(event, Event::PingFinished { result: Err(PingError::BadAnswer), .. }));
}

#[test]
fn an_answer_to_a_slow_ping_is_timed_from_the_first_transmission() {
    let mut scene = Scene::new();
    let friend = near(far_key(&scene.node), 1);
    let mut pings = 0;
    scene.add(Peer::new(friend).replies(move |_, _| {
        pings += 1;
        if pings < 3 { Reply::Silence } else { Reply::Answer }
    }));
    let op = scene.node.ping(scene.now, friend.addr).unwrap();
    let (_, event) = scene.finish(op);
    let Event::PingFinished { result: Ok(pong), .. } = event else { panic!("{event:?}") };
    assert_eq!(pong.round_trip, Duration::from_millis(6010));
}

#[test]
fn a_cancelled_operation_ends_at_once_and_is_sent_no_more() {
    let (mut scene, key) = neighbourhood();
    for n in 1..=8 {
        scene.peer(near(key, n)).reply = Box::new(|_, _| Reply::Silence);
    }
    let get = scene.node.get(scene.now, key, 1).unwrap();
    let ping = scene.node.ping(scene.now, addr(1)).unwrap();
    scene.sent();
    assert!(scene.node.cancel(scene.now, get) && scene.node.cancel(scene.now, ping));
    assert!(!scene.node.cancel(scene.now, get), "it is over");
    scene.run_for(MINUTE);
    let ended: Vec<&Event> = scene.events.iter().map(|(_, e)| e).filter(|e| e.finished().is_some()).collect();
    assert!(matches!(ended[0], Event::GetFinished { op, ending: Ending::Cancelled, .. } if *op == get));
    assert!(matches!(ended[1], Event::PingFinished { op, result: Err(PingError::Cancelled) } if *op == ping));
    assert_eq!(ended.len(), 2);
    assert!(scene.sent().is_empty());
}
