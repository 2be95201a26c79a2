//! A network that is cut in two for longer than anybody remembers the other half, and mended.

use khashmir::{Config, Event, Id};
use khashmir_sim::{Link, Network, NodeIndex};
use std::time::Duration;

const HOUR: Duration = Duration::from_secs(3600);
const NODES: usize = 60;

/// Of 50 values that the one half puts, how many the other finds.
fn found(network: &mut Network, by: &[NodeIndex], others: &[NodeIndex], round: u8) -> usize {
    let value = |n: u8| {
        let key = Id([n.wrapping_mul(5).wrapping_add(round); 20]);
        let put = network.put(by[usize::from(n) % by.len()], key, &[n]);
        let outcome = network.run_until_finished(put);
        assert!(matches!(outcome.event, Event::PutFinished { copies: 1.., .. }), "{outcome:?}");
        let get = network.get(others[usize::from(n) % others.len()], key, 1);
        network.run_until_finished(get).values == [&[n][..]]
    };
    (0..50).map(value).filter(|is_found| *is_found).count()
}

#[test]
fn a_network_that_was_cut_in_two_is_one_again_within_two_refresh_intervals() {
    for seed in 1..=3 {
        let mut network = Network::new(seed, Link::GOOD);
        network.set_checked(false);
        let nodes = network.grow(NODES, &Config::default());
        // Alternately: each half joined through the other as well.
        let half = |first: usize| nodes.iter().copied().skip(first).step_by(2).collect::<Vec<_>>();
        let (left, right) = (half(0), half(1));
        right.iter().for_each(|node| network.set_group(*node, 1));
        network.run_for(HOUR);
        assert_eq!(found(&mut network, &left, &right, 1), 50, "seed {seed}: before");

        network.cut(0, 1);
        network.cut(1, 0);
        network.run_for(6 * HOUR);
        assert_eq!(found(&mut network, &left, &right, 2), 0, "seed {seed}: while it is cut");
        let ids: Vec<Id> = right.iter().map(|node| network.node(*node).id()).collect();
        let knows_them = |node: &&NodeIndex| network.node(**node).contacts().any(|c| ids.contains(&c.id));
        assert_eq!(left.iter().filter(knows_them).count(), 0, "seed {seed}: nobody is remembered");

        network.heal();
        network.run_for(2 * Config::default().upkeep.refresh_after);
        assert_eq!(found(&mut network, &left, &right, 3), 50, "seed {seed}: afterwards");
    }
}
