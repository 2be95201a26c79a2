//! Ways into the network, at first and after a restart.

use core::time::Duration;
use khashmir::{Config, Event, Id};
use khashmir_sim::{Link, Network, NodeIndex};

const KEY: Id = Id([0x5a; 20]);
const MINUTE: Duration = Duration::from_secs(60);

fn contacts(network: &Network, node: NodeIndex) -> usize {
    network.node(node).contacts().count()
}

#[test]
fn a_join_through_one_that_is_down_succeeds_once_it_is_up() {
    let mut network = Network::new(31, Link::GOOD);
    let [bootstrap, newcomer] = [(); 2].map(|()| network.add_node(Config::default()));
    network.crash(bootstrap);
    let addr = network.addresses(bootstrap)[0];
    let join = network.join(newcomer, &[addr]);
    let outcome = network.run_until_finished(join);
    assert!(matches!(outcome.event, Event::JoinFinished { contacts: 0, .. }), "{outcome:?}");
    network.run_for(MINUTE * 10);
    let tries = network.traffic().sent / 3;
    assert!((4..=6).contains(&tries), "after 20 s, doubling, each try of three transmissions: {tries}");
    assert_eq!(contacts(&network, newcomer), 0);
    network.restart(bootstrap, None);
    network.run_for(MINUTE * 20);
    assert_eq!(contacts(&network, newcomer), 1, "it kept trying");
}

#[test]
fn one_bootstrap_contact_of_several_is_enough() {
    let mut network = Network::new(32, Link::GOOD);
    let nodes = network.grow(10, &Config::default());
    let dead: Vec<_> = (0..3).map(|_| network.add_node(Config::default())).collect();
    dead.iter().for_each(|node| drop(network.crash(*node)));
    let newcomer = network.add_node(Config::default());
    let mut through: Vec<_> = dead.iter().map(|node| network.addresses(*node)[0]).collect();
    through.insert(1, network.addresses(nodes[4])[0]);
    let join = network.join(newcomer, &through);
    let outcome = network.run_until_finished(join);
    let Event::JoinFinished { contacts, .. } = outcome.event else { panic!("{outcome:?}") };
    assert!(contacts >= 5, "six answers are enough, our own among them: {contacts}");
    assert!(outcome.took < Duration::from_secs(2), "the dead ones do not hold it up: {:?}", outcome.took);
}

#[test]
fn a_node_that_restarts_is_back_with_id_contacts_and_publications() {
    let mut network = Network::new(33, Link::GOOD);
    let nodes = network.grow(30, &Config::default());
    let node = nodes[12];
    let publish = network.publish(node, KEY, b"mine");
    network.run_until_finished(publish);
    network.run_for(MINUTE * 100);
    let (id, before) = (network.node(node).id(), contacts(&network, node));
    let others_values = network.node(node).stats().values;
    let snapshot = network.snapshot(node);
    network.crash(node);
    network.run_for(MINUTE * 30);
    network.restart(node, Some(&snapshot));
    network.run_for(Duration::from_secs(5));
    let back = network.node(node);
    assert_eq!(back.id(), id);
    assert!(contacts(&network, node) >= before.min(8), "{} of {before}", contacts(&network, node));
    let published: Vec<_> = back.publications().map(|(key, value)| (key, value.to_vec())).collect();
    assert_eq!(published, [(KEY, b"mine".to_vec())]);
    assert_eq!(back.stats().values, others_values, "and what others stored");
    network.run_for(MINUTE * 60 * 4);
    let get = network.get(nodes[20], KEY, 1);
    assert_eq!(network.run_until_finished(get).values, ["mine"], "it is renewed as before");
}

#[test]
fn publications_that_fell_due_while_down_reach_others() {
    let mut network = Network::new(34, Link::GOOD);
    let nodes = network.grow(30, &Config::default());
    let node = nodes[12];
    let publish = network.publish(node, KEY, b"mine");
    network.run_until_finished(publish);
    let snapshot = network.snapshot(node);
    network.crash(node);
    network.run_for(MINUTE * 60 * 10);
    let get = network.get(nodes[20], KEY, 1);
    assert!(network.run_until_finished(get).values.is_empty(), "all others have forgotten it");
    network.restart(node, Some(&snapshot));
    network.run_for(Duration::from_secs(10));
    network.crash(node);
    let get = network.get(nodes[20], KEY, 1);
    assert_eq!(network.run_until_finished(get).values, ["mine"], "stored again as soon as it was back");
}

/// A machine is often up before its network is.
#[test]
fn a_node_that_starts_while_cut_off_keeps_its_way_back() {
    let mut network = Network::new(35, Link::GOOD);
    let nodes = network.grow(20, &Config::default());
    network.run_for(MINUTE * 20);
    let node = nodes[12];
    let snapshot = network.snapshot(node);
    network.crash(node);
    network.set_link(Link { loss_percent: 100, ..Link::GOOD });
    network.restart(node, Some(&snapshot));
    network.run_for(MINUTE * 2);
    assert_eq!(contacts(&network, node), 0, "nobody answered");
    // Even a second start with what it saved meanwhile.
    let snapshot = network.snapshot(node);
    network.crash(node);
    network.restart(node, Some(&snapshot));
    network.run_for(MINUTE * 2);
    network.set_link(Link::GOOD);
    network.run_for(MINUTE * 5);
    assert!(contacts(&network, node) >= 8, "{}", contacts(&network, node));
}
