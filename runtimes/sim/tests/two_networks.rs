//! IPv4 and IPv6: two networks, joined by the nodes that are in both.

use khashmir::config::AddressFamilies;
use khashmir::{Config, Event, Id};
use khashmir_sim::{Link, Network, NodeIndex};

/// Thirty nodes: ten in both networks, ten in each alone.
fn mixed(seed: u64) -> (Network, [Vec<NodeIndex>; 3]) {
    grown(seed, [10, 10, 10])
}

/// So many nodes in both networks, in IPv4 alone, in IPv6 alone.
fn grown(seed: u64, counts: [usize; 3]) -> (Network, [Vec<NodeIndex>; 3]) {
    let mut network = Network::new(seed, Link::GOOD);
    let families = [AddressFamilies::Both, AddressFamilies::Ipv4, AddressFamilies::Ipv6];
    let mut counts = counts.into_iter();
    let groups = families.map(|address_families| {
        let config = Config { address_families, ..Config::default() };
        network.grow(counts.next().unwrap_or(0), &config)
    });
    (network, groups)
}

fn put(network: &mut Network, by: NodeIndex, key: Id) {
    let put = network.put(by, key, b"here");
    let outcome = network.run_until_finished(put);
    assert!(matches!(outcome.event, Event::PutFinished { copies: 6.., .. }), "{outcome:?}");
}

fn finds(network: &mut Network, by: NodeIndex, key: Id) -> bool {
    let get = network.get(by, key, 1);
    network.run_until_finished(get).values == ["here"]
}

#[test]
fn what_a_node_in_both_stores_is_found_in_each() {
    let (mut network, [both, ipv4, ipv6]) = mixed(41);
    for n in 0..10u8 {
        let key = Id([n.wrapping_mul(26); 20]);
        let at = usize::from(n);
        put(&mut network, both[at], key);
        for by in [both[9 - at], ipv4[at], ipv6[at]] {
            assert!(finds(&mut network, by, key), "value {n}, {by:?}");
        }
    }
}

#[test]
fn a_node_in_both_finds_what_each_stored() {
    let (mut network, [both, ipv4, ipv6]) = mixed(42);
    for n in 0..10u8 {
        let at = usize::from(n);
        let [key4, key6] = [Id([n.wrapping_mul(26); 20]), Id([n.wrapping_mul(26) + 1; 20])];
        put(&mut network, ipv4[at], key4);
        put(&mut network, ipv6[at], key6);
        assert!(finds(&mut network, both[9 - at], key4), "value {n} over IPv4");
        assert!(finds(&mut network, both[9 - at], key6), "value {n} over IPv6");
        assert!(finds(&mut network, ipv4[9 - at], key4), "value {n} among those with IPv4 alone");
        assert!(finds(&mut network, ipv6[9 - at], key6), "value {n} among those with IPv6 alone");
    }
}

/// Six answers are enough in each network, not six in all: the one asked first would hide the other.
#[test]
fn a_node_in_both_finds_what_is_stored_in_both_under_one_key() {
    let (mut network, [both, ipv4, ipv6]) = grown(44, [1, 20, 20]);
    for key in (0..10).map(|n| Id([n * 25; 20])) {
        for (by, value) in [(ipv4[3], b"over IPv4"), (ipv6[3], b"over IPv6")] {
            let put = network.put(by, key, value);
            network.run_until_finished(put);
        }
        let get = network.get(both[0], key, 10);
        let mut values = network.run_until_finished(get).values;
        values.sort();
        assert_eq!(values, ["over IPv4", "over IPv6"], "{key}");
    }
}

#[test]
fn who_has_one_family_knows_nobody_of_the_other() {
    let (network, [both, ipv4, ipv6]) = mixed(43);
    let families = |node: &NodeIndex| {
        let stats = network.node(*node).stats();
        (stats.contacts_ipv4 > 0, stats.contacts_ipv6 > 0)
    };
    assert!(both.iter().all(|node| families(node) == (true, true)));
    assert!(ipv4.iter().all(|node| families(node) == (true, false)));
    assert!(ipv6.iter().all(|node| families(node) == (false, true)));
}
