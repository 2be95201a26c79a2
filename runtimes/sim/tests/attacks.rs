//! What hostile hosts achieve against our own policy, beside what they achieve against that of 2008.

use khashmir::config::LookupPolicy;
use khashmir::rng::{Purpose, Rng};
use khashmir::{Config, Id};
use khashmir_sim::{Link, Malice, Network, NodeIndex};
use std::collections::BTreeSet;
use std::time::Duration;

const NODES: usize = 60;
/// Of the kind that floods two will do: they send what takes the simulation longest.
const ADVERSARIES: usize = 15;
const FLOODERS: usize = 2;
const VALUES: usize = 200;
/// How often they query everybody, in seconds: more often than a NAT closes its holes, and less often.
const ASKS_EVERY: [u64; 2] = [60, 150];

#[derive(Debug)]
struct Harm {
    /// Of `VALUES` values that were put and then asked for.
    missed: usize,
    /// Contacts in tables that are hostile, in a hundred.
    hostile_percent: usize,
    /// Of all gets, in milliseconds.
    mean_ms: u128,
    datagrams: u64,
}

/// What comes of a network in which hosts are hostile in this way.
fn harm(malice: Malice, asks_every: u64, lookup: LookupPolicy, seed: u64) -> Harm {
    let link = Link { loss_percent: 1, ..Link::GOOD };
    let mut network = Network::new(seed, link);
    network.set_checked(false);
    let config = Config { lookup, ..Config::default() };
    let nodes = network.grow(NODES, &config);
    let count = if malice == Malice::Floods { FLOODERS } else { ADVERSARIES };
    let hostile: BTreeSet<_> = (0..count)
        .map(|_| network.add_adversary(malice, Duration::from_secs(asks_every), &nodes))
        .collect::<Vec<NodeIndex>>()
        .into_iter()
        .flat_map(|adversary| network.addresses(adversary).to_vec())
        .collect();
    network.run_for(Duration::from_secs(1200));

    let mut choice = Rng::new([seed as u8; 32], Purpose::Sample);
    let sent_before = network.traffic().sent;
    let (mut missed, mut took) = (0, Duration::ZERO);
    for _ in 0..VALUES {
        let key = Id(choice.bytes());
        let mut any = || nodes[choice.below(NODES as u64) as usize];
        let put = network.put(any(), key, &key.0);
        network.run_until_finished(put);
        let get = network.get(any(), key, 64);
        let outcome = network.run_until_finished(get);
        missed += usize::from(outcome.values.iter().all(|value| *value != key.0[..]));
        took += outcome.took;
    }
    let contacts = nodes.iter().flat_map(|node| network.node(*node).contacts()).collect::<Vec<_>>();
    let in_tables = contacts.iter().filter(|contact| hostile.contains(&contact.addr)).count();
    Harm {
        missed,
        hostile_percent: in_tables * 100 / contacts.len(),
        mean_ms: took.as_millis() / VALUES as u128,
        datagrams: network.traffic().sent - sent_before,
    }
}

#[test]
fn no_attack_does_better_against_our_policy_than_against_that_of_2008() {
    for malice in Malice::ALL {
        // What floods does nothing else.
        let rhythms = if malice == Malice::Floods { &ASKS_EVERY[..1] } else { &ASKS_EVERY };
        for asks_every in rhythms {
            let ours = harm(malice, *asks_every, LookupPolicy::DEFAULT, 1);
            let of_2008 = harm(malice, *asks_every, LookupPolicy::KHASHMIR_2008, 1);
            let both = format!("{malice:?} every {asks_every} s: ours {ours:?}, of 2008 {of_2008:?}");
            println!("{both}");
            assert!(ours.missed <= of_2008.missed, "{both}");
            assert!(ours.hostile_percent <= of_2008.hostile_percent, "{both}");
            assert!(ours.mean_ms <= of_2008.mean_ms, "{both}");
            assert!(ours.datagrams <= of_2008.datagrams, "{both}");
        }
    }
}
