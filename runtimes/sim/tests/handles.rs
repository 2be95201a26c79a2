//! Handles in virtual time: what they ask takes no time of ours, and the same script gives the same
//! run.

use khashmir::{Config, Id};
use khashmir_driver::Error;
use khashmir_sim::{Link, Network};
use std::time::Duration;

/// Nodes with handles; some of their operations are given up, several at a time.
fn digest(seed: u64) -> [u8; 20] {
    let mut network = Network::new(seed, Link::BAD);
    let nodes = network.grow(20, &Config::default());
    let handle = network.handle(nodes[3]);
    let key = |n: u8| Id([n; 20]);
    network
        .block_on(async {
            let copies = handle.put(key(1), b"value").await;
            assert!(copies.is_ok_and(|copies| copies > 1), "{copies:?}");
            for round in 0..5u8 {
                let mut gets = Vec::new();
                for n in 0..10 {
                    gets.push(handle.get(key(round * 10 + n), 1).await);
                }
                assert!(gets.iter().all(Result::is_ok), "{gets:?}");
            }
            handle.stats().await
        })
        .unwrap_or_else(|error| panic!("{error}"));
    network.run_for(Duration::from_secs(60));
    network.trace_digest()
}

#[test]
fn the_same_seed_gives_the_same_run() {
    assert_eq!(digest(7), digest(7));
    assert_ne!(digest(7), digest(8));
}

#[test]
fn a_crash_stops_who_waits_and_a_restart_gives_another_handle() {
    let mut network = Network::new(3, Link::GOOD);
    let nodes = network.grow(2, &Config::default());
    let handle = network.handle(nodes[1]);
    let snapshot = network.snapshot(nodes[1]);
    network.crash(nodes[1]);
    assert_eq!(network.block_on(handle.put(Id([1; 20]), b"x")), Err(Error::Stopped));
    network.restart(nodes[1], Some(&snapshot));
    let again = network.handle(nodes[1]);
    network.run_for(Duration::from_secs(60));
    let before = network.now();
    assert_eq!(network.block_on(again.put(Id([1; 20]), b"x")), Ok(2));
    assert!(network.now() > before, "it took virtual time");
    // Its last handle is lost, and so it goes down.
    drop(again);
    let pinging = network.handle(nodes[0]);
    let ping = network.block_on(pinging.ping(handle.local_addrs()[0]));
    assert!(ping.is_err(), "{ping:?}");
}
