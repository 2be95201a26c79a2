//! Values among nodes that come and go, for a day.

use khashmir::rng::{Purpose, Rng};
use khashmir::{Config, Id, Instant};
use khashmir_sim::{Link, Network, NodeIndex};
use std::collections::BTreeMap;
use std::time::Duration;

const MINUTE: Duration = Duration::from_secs(60);
/// Those that stay, and publish.
const PUBLISHERS: usize = 10;
const VALUES: usize = 50;
/// Those that are there for an hour, in the median, then away for as long.
const OTHERS: usize = 80;
const MEDIAN: f64 = 3600.0;

/// Exponentially distributed around its median.
fn span(choice: &mut Rng) -> Duration {
    let uniform = (choice.below(1 << 32) as f64 + 0.5) / (1_u64 << 32) as f64;
    Duration::from_secs_f64(MEDIAN * -uniform.log2())
}

#[test]
fn values_outlast_a_day_in_which_half_of_the_nodes_leave_every_hour() {
    let seed = 1;
    let mut network = Network::new(seed, Link::GOOD);
    network.set_checked(false);
    let mut choice = Rng::new([7; 32], Purpose::Sample);
    let nodes = network.grow(PUBLISHERS + OTHERS, &Config::default());
    let (publishers, others) = nodes.split_at(PUBLISHERS);
    let ways_in: Vec<_> = publishers.iter().flat_map(|node| network.addresses(*node).to_vec()).collect();
    let keys: Vec<Id> = (0..VALUES).map(|_| Id(choice.bytes())).collect();
    for (at, key) in keys.iter().enumerate() {
        network.publish(publishers[at % PUBLISHERS], *key, &key.0);
        network.run_for(Duration::from_secs(3));
    }

    let start = network.now();
    let mut changes: BTreeMap<(Instant, NodeIndex), bool> =
        others.iter().map(|node| ((start + span(&mut choice), *node), false)).collect();
    let mut alive = others.to_vec();
    let mut remembered = BTreeMap::new();
    let (mut asked, mut found, mut left) = (0, 0, 0);
    // An hour passes before it counts.
    for minute in 0..25 * 60 {
        let until = start + minute * MINUTE;
        while let Some((at, node)) = changes.keys().next().copied().filter(|(at, _)| *at <= until) {
            network.run_until(at);
            let comes = changes.remove(&(at, node)).unwrap_or_default();
            if comes {
                network.restart(node, remembered.remove(&node).as_deref());
                let way_in = choice.below(ways_in.len() as u64) as usize;
                network.join(node, &ways_in[way_in..=way_in]);
                alive.push(node);
            } else {
                // Every other one will remember whom it knew.
                if choice.below(2) == 0 {
                    remembered.insert(node, network.snapshot(node));
                }
                network.crash(node);
                alive.retain(|other| *other != node);
                left += 1;
            }
            changes.insert((at + span(&mut choice), node), !comes);
        }
        network.run_until(until);
        if minute >= 60 {
            let by = alive[choice.below(alive.len() as u64) as usize];
            let key = keys[choice.below(keys.len() as u64) as usize];
            let get = network.get(by, key, 1);
            asked += 1;
            found += usize::from(network.run_until_finished(get).values == [&key.0[..]]);
        }
    }
    println!("seed {seed}: {found} of {asked} found; nodes left {left} times; {:?}", network.traffic());
    assert!(found * 100 >= asked * 99, "seed {seed}: {found} of {asked} found");
    assert!(left > 500, "{left}");
}
