//! Bounds that a caller lifts: each is gone, or is refused; none breaks the node.
#![allow(clippy::unwrap_used)]

mod common;

use common::*;
use core::time::Duration;
use khashmir::config::{ConfigError, Limits};
use khashmir::krpc::Call;
use khashmir::{Config, Instant, Node};

fn node(limits: Limits) -> Result<Node, ConfigError> {
    Node::new(Config { limits, ..config() }, [1; 32], Instant::ORIGIN)
}

#[test]
fn a_node_without_bounds_works() {
    let limits = Limits {
        waiting_for_proof: usize::MAX,
        contacts_per_response: usize::MAX,
        lookup_queries: usize::MAX,
        closest_per_prefix: usize::MAX,
        value_len: usize::MAX,
        values_per_key: usize::MAX,
        values_per_key_and_source: usize::MAX,
        store_bytes: usize::MAX,
        queries_per_second_and_source: u32::MAX,
        queries_per_second: u32::MAX,
        query_burst_seconds: u32::MAX,
        transactions: usize::MAX,
        pings: usize::MAX,
        outbox_datagrams: usize::MAX,
        progress_events: usize::MAX,
        operations: usize::MAX,
        publications: usize::MAX,
        outside_votes: usize::MAX,
        proof_lifetime: Duration::MAX,
        lookup_duration: Duration::MAX,
        ..Limits::DEFAULT
    };
    let mut scene = Scene::of(node(limits).unwrap());
    let key = far_key(&scene.node);
    scene.befriend((1..=8).map(|n| Peer::new(near(key, n)).holds([vec![n]])));
    for n in 20..40 {
        let sent = scene.ask(near(key, n), n, Call::FindNode { target: key });
        assert!(!sent.is_empty());
    }
    scene.node.publish(scene.now, key, b"value").unwrap();
    let get = scene.node.get(scene.now, key, usize::MAX).unwrap();
    scene.finish(get);
    scene.run_for(4 * HOUR);
}

#[test]
fn what_takes_its_space_at_the_start_has_a_largest_size() {
    for (name, limits) in [
        ("limits.proved_addresses", Limits { proved_addresses: usize::MAX, ..Limits::DEFAULT }),
        ("limits.query_sources", Limits { query_sources: usize::MAX, ..Limits::DEFAULT }),
    ] {
        assert_eq!(node(limits).err(), Some(ConfigError::OutOfRange(name)));
    }
}
