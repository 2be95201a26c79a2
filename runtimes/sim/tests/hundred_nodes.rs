//! A hundred nodes: what one stores, all find.

use core::time::Duration;
use khashmir::config::LookupPolicy;
use khashmir::rng::{Purpose, Rng};
use khashmir::{Config, Event, Id};
use khashmir_sim::{Link, Network, NodeIndex};

const NODES: usize = 100;
const VALUES: u8 = 40;

/// Puts and gets from random nodes. Returns the values not found, and the copies of each put.
fn put_and_get(seed: u64, link: Link) -> (Network, Vec<u8>, Vec<usize>) {
    let mut network = Network::new(seed, link);
    let nodes = network.grow(NODES, &Config::default());
    // Nobody is a contact before two minutes of silence.
    network.run_for(Duration::from_secs(300));
    let mut choice = Rng::new([seed as u8; 32], Purpose::Sample);
    let mut any = |nodes: &[NodeIndex]| nodes[choice.below(NODES as u64) as usize];

    let puts: Vec<_> = (0..VALUES).map(|n| (n, any(&nodes))).collect();
    let copies = puts.iter().map(|(n, node)| {
        let put = network.put(*node, key(*n), &[*n; 50]);
        match network.run_until_finished(put).event {
            Event::PutFinished { copies, .. } => copies,
            event => panic!("{event:?}"),
        }
    });
    let copies = copies.collect();

    let mut gets = Vec::new();
    for n in 0..VALUES {
        let node = any(&nodes);
        gets.push((n, network.get(node, key(n), 10)));
    }
    let missed = gets.into_iter().filter_map(|(n, get)| {
        let outcome = network.run_until_finished(get);
        (outcome.values != [vec![n; 50]]).then_some(n)
    });
    let missed = missed.collect();
    (network, missed, copies)
}

fn key(n: u8) -> Id {
    Id(Rng::new([n; 32], Purpose::Download).bytes())
}

#[test]
fn all_is_found_on_good_links() {
    for seed in [1, 2] {
        let (mut network, missed, copies) = put_and_get(seed, Link::GOOD);
        assert!(missed.is_empty(), "seed {seed}: {missed:?}");
        assert!(copies.iter().all(|copies| *copies == 6), "seed {seed}: {copies:?}");
        let sent = network.traffic().sent;
        network.run_for(Link::GOOD.latency + Link::GOOD.jitter);
        let traffic = network.traffic();
        let possible = sent..=traffic.sent;
        assert!(possible.contains(&traffic.delivered), "nothing was lost, nothing doubled");
    }
}

#[test]
fn all_is_found_though_a_tenth_is_lost_doubled_and_reordered() {
    for seed in 3..=12 {
        let (network, missed, copies) = put_and_get(seed, Link::BAD);
        assert!(missed.is_empty(), "seed {seed}: {missed:?}");
        assert!(copies.iter().all(|copies| *copies >= 5), "seed {seed}: {copies:?}");
        assert!(network.now().as_micros() > 0);
    }
}

#[test]
fn the_values_lie_with_the_closest_nodes() {
    let mut network = Network::new(5, Link::GOOD);
    let nodes = network.grow(NODES, &Config { lookup: LookupPolicy::KHASHMIR_2008, ..Config::default() });
    for n in 0..10 {
        let publisher = nodes[usize::from(n) * 9];
        let before = held(&network);
        let put = network.put(publisher, key(n), b"here");
        network.run_until_finished(put);
        network.run_for(Duration::from_secs(20));

        let mut by_distance = nodes.clone();
        by_distance.sort_by_key(|node| network.node(*node).id().distance(&key(n)));
        let mut holders: Vec<NodeIndex> = Vec::new();
        for (node, before) in before {
            holders.extend((network.node(node).stats().values > before).then_some(node));
        }
        let mut expected = by_distance[..6].to_vec();
        expected.sort();
        assert_eq!(holders, expected, "the six closest hold it, whoever published it");

        let find = network.find_node(nodes[50], key(n));
        let Event::FindNodeFinished { closest, .. } = network.run_until_finished(find).event else {
            panic!("a find ends as a find");
        };
        let found: Vec<Id> = closest.iter().map(|contact| contact.id).collect();
        let others = by_distance[..8].iter().filter(|node| **node != nodes[50]);
        let others: Vec<Id> = others.map(|node| network.node(*node).id()).collect();
        assert_eq!(found[..others.len()], others, "the closest of all, in order");

        fn held(network: &Network) -> Vec<(NodeIndex, usize)> {
            network.nodes().map(|node| (node, network.node(node).stats().values)).collect()
        }
    }
}

/// Who has just joined knows its neighbours, and they know theirs: unless each has also looked far,
/// parts of the network do not see each other.
#[test]
fn a_network_that_has_just_grown_is_whole() {
    let mut network = Network::new(83, Link::GOOD);
    let nodes = network.grow(600, &Config::default());
    let mut missed = Vec::new();
    for n in 0..100 {
        let put = network.put(nodes[usize::from(n) * 6], key(n), b"here");
        network.run_until_finished(put);
        let get = network.get(nodes[599 - usize::from(n) * 3], key(n), 1);
        missed.extend(network.run_until_finished(get).values.is_empty().then_some(n));
    }
    assert!(missed.is_empty(), "{missed:?}");
}
