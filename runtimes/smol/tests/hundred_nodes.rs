//! A hundred nodes over real UDP, each at a loopback address of its own, with all limits on.

#![cfg(target_os = "linux")] // Elsewhere only 127.0.0.1 is there.
#![allow(clippy::unwrap_used)]

use khashmir::{Config, Id};
use khashmir_smol::{Dht, Sockets};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng as _, SeedableRng as _};
use smol::future;
use smol::stream::StreamExt as _;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

const NODES: usize = 100;
const VALUES: usize = 200;
/// Far more than it takes; a machine may be busy with other things.
const DEADLINE: Duration = Duration::from_secs(120);

/// Chooses who does what. Another seed: `KHASHMIR_TEST_SEED=<number>`.
struct Choice(ChaCha8Rng);

impl Choice {
    fn from_environment() -> Choice {
        let seed = std::env::var("KHASHMIR_TEST_SEED").map_or(2008, |seed| seed.parse().unwrap());
        println!("KHASHMIR_TEST_SEED={seed}");
        Choice(ChaCha8Rng::seed_from_u64(seed))
    }

    fn below(&mut self, bound: usize) -> usize {
        self.0.next_u64() as usize % bound
    }

    fn key(&mut self) -> Id {
        let mut key = Id::ZERO;
        self.0.fill_bytes(&mut key.0);
        key
    }
}

fn start(number: usize) -> Dht {
    let loopback = vec!["127.0.0.0/8".parse().unwrap()];
    let config =
        Config { uncounted_networks: loopback.clone(), local_networks: loopback, ..Config::default() };
    let addr = SocketAddr::from(([127, 9, number as u8, 1], 0));
    Dht::start(Sockets::bind(&[addr]).unwrap(), config).unwrap()
}

/// How many searches it took to find the value.
async fn searches_until_found(dht: &Dht, key: Id, value: &[u8]) -> usize {
    let deadline = Instant::now() + DEADLINE;
    let mut searches = 1;
    while !dht.get(key, usize::MAX).await.unwrap().any(|found| found[..] == *value).await {
        assert!(Instant::now() < deadline, "{:?} does not find {key}", dht.local_addrs());
        searches += 1;
    }
    searches
}

async fn story() {
    let mut choice = Choice::from_environment();
    let mut nodes = vec![start(0)];
    for number in 1..NODES {
        let node = start(number);
        let bootstrap = nodes[choice.below(number)].local_addrs();
        assert!(node.join(bootstrap).await.unwrap() > 0, "node {number} through {bootstrap:?}");
        nodes.push(node);
    }

    // All at once, as a network is used.
    let mut puts = Vec::new();
    for n in 0..VALUES as u64 {
        let (key, value) = (choice.key(), n.to_be_bytes());
        let putter = nodes[choice.below(NODES)].clone();
        let put = smol::spawn(async move { putter.put(key, &value).await.unwrap() });
        puts.push((key, value, put));
    }
    let mut gets = Vec::new();
    for (key, value, put) in puts {
        assert_eq!(put.await, usize::from(Config::default().store_copies), "copies of {key}");
        let getter = nodes[choice.below(NODES)].clone();
        gets.push(smol::spawn(async move { searches_until_found(&getter, key, &value).await }));
    }
    let mut not_at_once = 0;
    for get in gets {
        not_at_once += usize::from(get.await > 1);
    }
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

#[test]
fn whatever_one_puts_any_other_finds() {
    smol::block_on(future::or(story(), async {
        smol::Timer::after(2 * DEADLINE).await;
        panic!("not done after {:?}", 2 * DEADLINE);
    }));
}
