//! What it takes to store and to fetch where that is not simple.

use core::time::Duration;
use khashmir::config::Limits;
use khashmir::config::LookupPolicy;
use khashmir::{Config, Event, Id};
use khashmir_sim::{Link, Network};

const KEY: Id = Id([0x5a; 20]);

/// Checkpoints so close together that a token is old before a slow link has carried it back.
#[test]
fn a_token_grown_old_on_the_way_is_looked_up_once_more() {
    let mut config = Config::default();
    config.upkeep.checkpoint_interval = Duration::from_millis(50);
    config.upkeep.checkpoint_jitter_percent = 0;
    let mut network = Network::new(51, Link::GOOD);
    let storing = network.add_node(config.clone());
    let publisher = network.add_node(Config::default());
    let addr = network.addresses(storing)[0];
    let join = network.join(publisher, &[addr]);
    network.run_until_finished(join);
    network.run_for(Duration::from_secs(70));

    // Round trips of 160 ms: three secrets are 150 ms. Its first and its second token grow old.
    network.set_link(Link { latency: Duration::from_millis(80), jitter: Duration::ZERO, ..Link::GOOD });
    let before = network.node(storing).stats();
    let put = network.put(publisher, KEY, b"late");
    let outcome = network.run_until_finished(put);
    assert!(matches!(outcome.event, Event::PutFinished { copies: 1, .. }), "{outcome:?}");
    let stats = network.node(storing).stats();
    assert_eq!(stats.errors_sent - before.errors_sent, 2, "refused, and refused once more: no third try");
    assert_eq!(network.node(publisher).contacts().count(), 1, "which is no fault of its giver's");

    // Round trips of 40 ms: no token grows old.
    network.set_link(Link { latency: Duration::from_millis(20), jitter: Duration::ZERO, ..Link::GOOD });
    let put = network.put(publisher, KEY, b"in time");
    let outcome = network.run_until_finished(put);
    assert!(matches!(outcome.event, Event::PutFinished { copies: 2, .. }), "{outcome:?}");
}

#[test]
fn a_put_whose_token_grew_old_succeeds_with_a_new_one() {
    let mut config = Config::default();
    config.upkeep.checkpoint_interval = Duration::from_secs(1);
    config.upkeep.first_checkpoint_after = Duration::from_secs(1);
    config.upkeep.checkpoint_jitter_percent = 0;
    let mut network = Network::new(52, Link { jitter: Duration::ZERO, ..Link::GOOD });
    let storing = network.add_node(config);
    let patient = Config { lookup: LookupPolicy::KHASHMIR_2008, ..Config::default() };
    let publisher = network.add_node(patient);
    let dead = network.add_node(Config::default());
    for node in [publisher, dead] {
        let addr = network.addresses(storing)[0];
        let join = network.join(node, &[addr]);
        network.run_until_finished(join);
    }
    let addr = network.addresses(dead)[0];
    let ping = network.ping(publisher, addr);
    network.run_until_finished(ping);
    // The search waits nine seconds for one that is gone; by then the other's token is old.
    network.crash(dead);
    let put = network.put(publisher, KEY, b"late");
    let outcome = network.run_until_finished(put);
    assert!(outcome.took > Duration::from_secs(9), "{outcome:?}");
    assert!(matches!(outcome.event, Event::PutFinished { copies: 2, .. }), "{outcome:?}");
    assert_eq!(network.node(storing).stats().errors_sent, 1, "the old token was refused");
    assert_eq!(network.node(storing).stats().values, 1);
}

#[test]
fn more_values_than_one_response_holds_all_arrive() {
    let config =
        Config { limits: Limits { values_per_key_and_source: 100, ..Limits::DEFAULT }, ..Config::default() };
    for (seed, link) in [(53, Link::GOOD), (54, Link::BAD)] {
        let mut network = Network::new(seed, link);
        let nodes = network.grow(20, &config);
        // Nobody is a contact before two minutes of silence.
        network.run_for(Duration::from_secs(300));
        let mut expected: Vec<Vec<u8>> = (0..60u8).map(|n| vec![n; 100]).collect();
        for (n, value) in expected.iter().enumerate() {
            let put = network.put(nodes[n % 20], KEY, value);
            network.run_until_finished(put);
        }
        let get = network.get(nodes[19], KEY, 1000);
        let outcome = network.run_until_finished(get);
        let mut values: Vec<Vec<u8>> = outcome.values.iter().map(|value| value.to_vec()).collect();
        values.sort();
        expected.sort();
        assert_eq!(values, expected, "seed {seed}: 6,000 bytes in responses of 1,472");
    }
}

#[test]
fn a_get_stops_at_as_many_as_are_wanted() {
    let mut network = Network::new(55, Link::GOOD);
    let nodes = network.grow(20, &Config::default());
    for n in 0..20u8 {
        let put = network.put(nodes[usize::from(n)], KEY, &[n; 10]);
        network.run_until_finished(put);
    }
    let get = network.get(nodes[3], KEY, 7);
    let outcome = network.run_until_finished(get);
    assert_eq!(outcome.values.len(), 7);
    assert!(matches!(outcome.event, Event::GetFinished { values: 7, .. }), "{outcome:?}");
}

#[test]
fn who_takes_no_values_is_passed_over_and_not_held_against() {
    let mut network = Network::new(56, Link::GOOD);
    let mut nodes = network.grow(10, &Config::default());
    nodes.extend(network.grow(10, &Config { accept_stores: false, ..Config::default() }));
    for n in 0..10u8 {
        let put = network.put(nodes[usize::from(n)], Id([n * 25; 20]), b"here");
        let outcome = network.run_until_finished(put);
        let Event::PutFinished { copies, .. } = outcome.event else { panic!("{outcome:?}") };
        assert!((1..=6).contains(&copies), "{copies}");
        let get = network.get(nodes[19 - usize::from(n)], Id([n * 25; 20]), 1);
        assert_eq!(network.run_until_finished(get).values, ["here"]);
    }
    let of = |nodes: &[_]| nodes.iter().map(|node| network.node(*node).stats().values).sum::<usize>();
    assert!(of(&nodes[..10]) > 0);
    assert_eq!(of(&nodes[10..]), 0);
    assert!(nodes.iter().all(|node| network.node(*node).stats().requests_failed == 0));
}

#[test]
fn as_many_operations_as_there_may_be_all_find_what_they_seek() {
    let mut network = Network::new(57, Link::GOOD);
    let nodes = network.grow(100, &Config::default());
    let key = |n: usize| Id([n as u8; 20]);
    let all = Limits::DEFAULT.operations;
    let puts: Vec<_> = (0..all).map(|n| network.put(nodes[5], key(n), b"here")).collect();
    let copies = puts.into_iter().map(|put| match network.run_until_finished(put).event {
        Event::PutFinished { copies, .. } => copies,
        event => panic!("{event:?}"),
    });
    assert_eq!(copies.filter(|copies| *copies < 6).count(), 0, "puts with too few copies");
    let gets: Vec<_> = (0..all).map(|n| network.get(nodes[95], key(n), 1)).collect();
    let found = gets.into_iter().map(|get| network.run_until_finished(get).values.len());
    assert_eq!(found.filter(|found| *found == 0).count(), 0, "gets that found nothing");
}
