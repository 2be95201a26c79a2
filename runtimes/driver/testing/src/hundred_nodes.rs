//! A hundred nodes, each at an address of its own, with all limits on.

use crate::world::{World, config};
use futures_util::StreamExt as _;
use futures_util::future::join_all;
use khashmir::config::AddressFamilies;
use khashmir::rng::{Purpose, Rng};
use khashmir::{Config, Id};
use khashmir_driver::Handle;

const NODES: usize = 100;
const VALUES: usize = 200;
/// No story needs as many.
const MAX_SEARCHES: usize = 20;

/// Chooses who does what. Another seed: `KHASHMIR_TEST_SEED=<number>`.
struct Choice(Rng);

impl Choice {
    fn from_environment() -> Choice {
        let number = std::env::var("KHASHMIR_TEST_SEED").map_or(2008, |seed| seed.parse().unwrap());
        println!("KHASHMIR_TEST_SEED={number}");
        let mut seed = [0; 32];
        seed[..8].copy_from_slice(&u64::to_le_bytes(number));
        Choice(Rng::new(seed, Purpose::Jitter))
    }

    fn below(&mut self, bound: usize) -> usize {
        self.0.below(bound as u64) as usize
    }

    fn key(&mut self) -> Id {
        Id(self.0.bytes())
    }
}

/// How many searches it took to find the value.
async fn searches_until_found(dht: &Handle, key: Id, value: &[u8]) -> usize {
    for search in 1..=MAX_SEARCHES {
        let found = dht.get(key, usize::MAX).await.unwrap();
        if found.any(async |found| found[..] == *value).await {
            return search;
        }
    }
    panic!("{:?} does not find {key}", dht.local_addrs());
}

pub async fn whatever_one_puts_any_other_finds<W: World>(world: &W) {
    let mut choice = Choice::from_environment();
    let start = || world.start(AddressFamilies::Ipv4, config::<W>()).unwrap();
    let mut nodes = vec![start()];
    for number in 1..NODES {
        let node = start();
        let bootstrap = nodes[choice.below(number)].local_addrs();
        assert!(node.join(bootstrap).await.unwrap() > 0, "node {number} through {bootstrap:?}");
        nodes.push(node);
    }

    // All at once, as a network is used.
    let puts: Vec<_> = (0..VALUES).map(|n| (choice.key(), n.to_be_bytes(), choice.below(NODES))).collect();
    let copies = join_all(puts.iter().map(|(key, value, putter)| nodes[*putter].put(*key, value))).await;
    assert_eq!(copies, vec![Ok(usize::from(Config::default().store_copies)); VALUES]);
    let searches = puts.iter().map(|(key, value, _)| {
        let getter = &nodes[choice.below(NODES)];
        searches_until_found(getter, *key, value)
    });
    let searches = join_all(searches).await;
    let not_at_once = searches.iter().filter(|searches| **searches > 1).count();
    assert!(not_at_once <= VALUES / 50, "{not_at_once} of {VALUES} were not found at once");

    for node in &nodes {
        let stats = node.stats().await.unwrap();
        assert_eq!(stats.operations, 0, "{stats:?}");
        assert_eq!(
            (stats.malformed, stats.queries_over_budget, stats.events_dropped),
            (0, 0, 0),
            "{stats:?}"
        );
    }
    for node in &nodes {
        node.shutdown().await;
    }
}
