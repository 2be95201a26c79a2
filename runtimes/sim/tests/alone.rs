//! One node, and two.

use core::time::Duration;
use khashmir::node::PingError;
use khashmir::{Config, Event, Id};
use khashmir_sim::{Link, Network};

const KEY: Id = Id([0x5a; 20]);

#[test]
fn a_node_alone_keeps_its_values_and_finds_them() {
    let mut network = Network::new(21, Link::GOOD);
    let alone = network.add_node(Config::default());
    let join = network.join(alone, &[]);
    let outcome = network.run_until_finished(join);
    assert!(matches!(outcome.event, Event::JoinFinished { contacts: 0, .. }), "{outcome:?}");
    let put = network.put(alone, KEY, b"mine");
    let outcome = network.run_until_finished(put);
    assert!(matches!(outcome.event, Event::PutFinished { copies: 1, .. }), "{outcome:?}");
    let get = network.get(alone, KEY, 5);
    let outcome = network.run_until_finished(get);
    assert_eq!(outcome.values, ["mine"]);
    assert!(matches!(outcome.event, Event::GetFinished { values: 1, .. }), "{outcome:?}");
    assert_eq!(outcome.took, Duration::ZERO, "it needs nobody for that");
    network.run_for(Duration::from_secs(24 * 3600));
    assert_eq!(network.traffic().sent, 0, "and there was nobody to talk to");
}

#[test]
fn two_alone_find_each_other_and_what_they_stored() {
    let mut network = Network::new(22, Link::BAD);
    let nodes = network.grow(2, &Config::default());
    network.run_for(Duration::from_secs(60));
    for (from, to) in [(0, 1), (1, 0)] {
        let key = Id([from as u8 + 1; 20]);
        let put = network.put(nodes[from], key, b"for you");
        let outcome = network.run_until_finished(put);
        assert!(matches!(outcome.event, Event::PutFinished { copies: 2, .. }), "{outcome:?}");
        let get = network.get(nodes[to], key, 1);
        assert_eq!(network.run_until_finished(get).values, ["for you"]);
    }
    for node in &nodes {
        let outside: Vec<_> = network.node(*node).outside_addresses().collect();
        assert_eq!(outside, network.addresses(*node), "each learnt its address from the other");
        assert_eq!(network.outside_changes(*node), 1);
    }
}

#[test]
fn a_ping_tells_who_is_there_or_that_nobody_is() {
    let mut network = Network::new(23, Link::GOOD);
    let nodes: Vec<_> = (0..3).map(|_| network.add_node(Config::default())).collect();
    let addr = network.addresses(nodes[1])[0];
    let ping = network.ping(nodes[0], addr);
    let Event::PingFinished { result: Ok(pong), .. } = network.run_until_finished(ping).event else {
        panic!("somebody is there");
    };
    assert_eq!((pong.contact.id, pong.contact.addr), (network.node(nodes[1]).id(), addr));
    assert!((40..=160).contains(&pong.round_trip.as_millis()), "{:?}", pong.round_trip);

    network.crash(nodes[2]);
    let addr = network.addresses(nodes[2])[0];
    let ping = network.ping(nodes[0], addr);
    let outcome = network.run_until_finished(ping);
    let Event::PingFinished { result: Err(PingError::TimedOut), .. } = outcome.event else {
        panic!("nobody is there: {outcome:?}");
    };
    assert!(outcome.took <= Duration::from_secs(8), "{:?}", outcome.took);
}
