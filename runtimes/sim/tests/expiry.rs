//! How long values live.

use core::time::Duration;
use khashmir::{Config, Event, Id, Instant};
use khashmir_sim::{Link, Network, NodeIndex};

const KEY: Id = Id([0x5a; 20]);
const HOUR: Duration = Duration::from_secs(3600);

fn found(network: &mut Network, by: NodeIndex) -> usize {
    let get = network.get(by, KEY, 10);
    network.run_until_finished(get).values.len()
}

fn held(network: &Network) -> usize {
    network.nodes().map(|node| network.node(node).stats().values).sum()
}

#[test]
fn a_value_put_once_is_gone_after_three_hours() {
    let mut network = Network::new(11, Link::GOOD);
    let nodes = network.grow(20, &Config::default());
    let put = network.put(nodes[2], KEY, b"once");
    network.run_until_finished(put);
    let stored_at = network.now();
    network.run_until(stored_at + (HOUR * 3 - Duration::from_secs(60)));
    assert_eq!(found(&mut network, nodes[11]), 1, "still there");
    network.run_until(stored_at + HOUR * 3 + Duration::from_secs(1));
    assert_eq!(found(&mut network, nodes[11]), 0, "expired");
    network.run_until(stored_at + HOUR * 3 + Duration::from_secs(400));
    assert_eq!(held(&network), 0, "and forgotten at the next checkpoint");
}

#[test]
fn a_published_value_is_renewed_until_it_is_unpublished() {
    let mut network = Network::new(12, Link::BAD);
    let nodes = network.grow(20, &Config::default());
    let publish = network.publish(nodes[2], KEY, b"always");
    network.run_until_finished(publish);
    for (hour, node) in (1..=12).zip(&nodes[1..]) {
        network.run_for(HOUR);
        assert_eq!(found(&mut network, *node), 1, "after {hour} hours");
    }
    assert!(network.unpublish(nodes[2], KEY, b"always"));
    assert!(!network.unpublish(nodes[2], KEY, b"always"), "it is not published any more");
    network.run_for(HOUR * 3 + Duration::from_secs(400));
    assert_eq!(found(&mut network, nodes[13]), 0);
    assert_eq!(held(&network), 0);
}

#[test]
fn many_publications_are_renewed_one_at_a_time() {
    let mut network = Network::new(13, Link::GOOD);
    let nodes = network.grow(20, &Config::default());
    let publishes: Vec<_> = (0..50).map(|n| network.publish(nodes[1], Id([n; 20]), b"here")).collect();
    publishes.into_iter().for_each(|publish| drop(network.run_until_finished(publish)));
    let renewals_from = Instant::ORIGIN + Duration::from_secs(9000);
    network.run_until(renewals_from);
    let mut busiest = 0;
    for _ in 0..3 * 60 {
        network.run_for(Duration::from_secs(1));
        busiest = busiest.max(network.node(nodes[1]).stats().upkeep_operations);
    }
    assert!(busiest <= 2, "a renewal and perhaps a refresh at a time: {busiest}");
    network.run_until(Instant::ORIGIN + HOUR * 5);
    for n in 0..50 {
        let get = network.get(nodes[15], Id([n; 20]), 1);
        assert_eq!(network.run_until_finished(get).values.len(), 1, "publication {n}");
    }
}

#[test]
fn what_was_published_alone_reaches_others_once_there_are_some() {
    let mut network = Network::new(14, Link::GOOD);
    let alone = network.add_node(Config::default());
    let publish = network.publish(alone, KEY, b"early");
    let outcome = network.run_until_finished(publish);
    assert!(matches!(outcome.event, Event::PutFinished { copies: 1, .. }), "{outcome:?}");
    let others = network.grow(9, &Config::default());
    network.run_for(Duration::from_secs(600));
    network.crash(alone);
    assert_eq!(found(&mut network, others[8]), 1, "others hold it, though it was published before they came");
}
