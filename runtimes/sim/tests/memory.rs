//! A node that stores nothing is small, however large its network.
//!
//! One engine among a hundred thousand nodes, which exist as far as they are asked: they answer as
//! they should, and ask the engine as often as they would if each looked something up every five minutes.

#![allow(clippy::unwrap_used)]

use bytes::BytesMut;
use core::time::Duration;
use khashmir::krpc::{Body, Call, Contacts, Message, Query, Response, TransactionId};
use khashmir::rng::{Purpose, Rng};
use khashmir::{Config, Contact, Id, Instant, Node};
use khashmir_driver_testing::memory::{Counting, bytes_in_use};
use khashmir_sim::model::Model;
use std::collections::BTreeMap;
use std::net::SocketAddr;

#[global_allocator]
static ALLOCATOR: Counting = Counting;

const NODES: usize = 100_000;
const K: usize = 8;
const ROUND_TRIP: Duration = Duration::from_millis(100);
const LOOKUP_INTERVAL: Duration = Model::DEPLOYMENT.lookup_interval;
/// A lookup of any of the nodes asks about thirty, each of them as likely as any other.
const ASKED_EVERY: Duration = Duration::from_secs(LOOKUP_INTERVAL.as_secs() / 30);

/// All nodes but one.
struct Swarm {
    /// In order of their ids.
    nodes: Vec<Contact>,
    by_addr: BTreeMap<SocketAddr, usize>,
}

impl Swarm {
    fn new(rng: &mut Rng) -> Swarm {
        let mut nodes: Vec<Contact> = (0..NODES as u32)
            .map(|n| {
                let [_, a, b, c] = n.to_be_bytes();
                Contact { id: Id(rng.bytes()), addr: ([60 + a, b, c, 1], 9978).into() }
            })
            .collect();
        nodes.sort();
        let by_addr = nodes.iter().enumerate().map(|(at, node)| (node.addr, at)).collect();
        Swarm { nodes, by_addr }
    }

    /// The K closest to `target`: of those that share a prefix with it, the longest that K share.
    fn closest(&self, target: &Id) -> Vec<Contact> {
        let mut near = &self.nodes[..];
        for bit in 0..Id::BITS {
            let shares = |node: &Contact| node.id.common_prefix_len(target) > bit;
            let start = near.iter().position(shares).unwrap_or(near.len());
            let len = near[start..].iter().take_while(|node| shares(node)).count();
            if len < K {
                break;
            }
            near = &near[start..start + len];
        }
        let mut near = near.to_vec();
        near.sort_by_key(|node| node.id.distance(target));
        near.truncate(K);
        near
    }

    /// What the node at `at` answers.
    fn answer(&self, at: SocketAddr, datagram: &[u8], seen_at: SocketAddr) -> Option<BytesMut> {
        let Message { transaction_id, body: Body::Query(Ok(query)) } = Message::decode(datagram).unwrap()
        else {
            return None;
        };
        let mut response = Response::new(self.nodes[self.by_addr[&at]].id);
        let closest = match query.call {
            Call::FindNode { target: key } | Call::FindValue { key } => self.closest(&key),
            _ => Vec::new(),
        };
        let ip = seen_at.ip().to_string();
        (response.ip_addr, response.port) = (Some(ip.as_bytes()), Some(seen_at.port()));
        (response.nodes, response.num) = (Some(Contacts::new(&closest)), Some(0));
        let mut out = BytesMut::new();
        response.encode(transaction_id, &mut out);
        Some(out)
    }
}

#[test]
fn among_a_hundred_thousand_it_takes_at_most_32_kib() {
    let mut rng = Rng::new([1; 32], Purpose::Sample);
    let swarm = Swarm::new(&mut rng);
    let own_addr = SocketAddr::from(([99, 0, 0, 1], 9978));
    let mut arrivals: BTreeMap<(Instant, u64), (SocketAddr, Vec<u8>)> = BTreeMap::new();
    let (mut now, mut sent, mut largest) = (Instant::ORIGIN, 0, 0);
    // What is on its way is the network's, and not the node's.
    let mut of_the_node = 0;
    let before = bytes_in_use();
    let mut node = Node::new(Config::default(), [7; 32], now).unwrap();
    node.join(now, &[swarm.nodes[0].addr]).unwrap();
    of_the_node += bytes_in_use() - before;
    let (mut ask_at, mut look_up_at) = (now + ASKED_EVERY, now + LOOKUP_INTERVAL);
    let (end, mut payload) = (now + Duration::from_secs(3600), BytesMut::with_capacity(1 << 16));
    while now < end {
        while let Some(to) = {
            payload.clear();
            let before = bytes_in_use();
            let to = node.poll_transmit(&mut payload);
            of_the_node += bytes_in_use() - before;
            to
        } {
            if let Some(answer) = swarm.answer(to, &payload, own_addr) {
                sent += 1;
                arrivals.insert((now + ROUND_TRIP, sent), (to, answer.to_vec()));
            }
        }
        let next_arrival = arrivals.first_key_value().map(|((at, _), _)| *at);
        let due = [next_arrival, node.poll_timeout(), Some(ask_at), Some(look_up_at)];
        now = due.into_iter().flatten().min().unwrap();
        let arrival = if next_arrival == Some(now) { arrivals.pop_first() } else { None };
        let (mut query, asker) = (BytesMut::new(), swarm.nodes[rng.below(NODES as u64) as usize]);
        Query { id: asker.id, call: Call::FindNode { target: Id(rng.bytes()) } }
            .encode(TransactionId(rng.bytes()), &mut query);
        let target = Id(rng.bytes());

        let before = bytes_in_use();
        if let Some((_, (from, datagram))) = &arrival {
            node.handle_datagram(now, *from, datagram);
        } else if ask_at == now {
            node.handle_datagram(now, asker.addr, &query);
            ask_at = now + ASKED_EVERY;
        } else if look_up_at == now {
            node.find_node(now, target).unwrap();
            look_up_at = now + LOOKUP_INTERVAL;
        } else {
            node.handle_timeout(now);
        }
        while node.poll_event().is_some() {}
        of_the_node += bytes_in_use() - before;
        // It may need more for a moment while it joins.
        if now > Instant::ORIGIN + Duration::from_secs(600) {
            largest = largest.max(of_the_node);
        }
    }
    let stats = node.stats();
    println!("{largest} bytes at most, {of_the_node} at the end; the struct itself {}", size_of::<Node>());
    println!("{stats:?}");
    assert!(stats.contacts_ipv4 > 50, "it knows many: {stats:?}");
    assert!(stats.queries_answered > 300, "it is asked much: {stats:?}");
    assert!(largest <= 32 << 10, "{largest} bytes");
}
