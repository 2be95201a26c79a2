//! A node as it stands in a large network: a full routing table, values, and clients that have
//! proved their addresses. In memory; nothing here does I/O.

use bytes::BytesMut;
use khashmir::config::Limits;
use khashmir::krpc::{Body, Call, Message, Query, Response, TransactionId};
use khashmir::rng::{Purpose, Rng};
use khashmir::{Config, Contact, Id, Instant, Node};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

/// Queries that are under way at a time.
pub const WINDOW: usize = 64;

/// Nodes that the table was offered: it has the depth that it has in a network of so many.
pub const NETWORK: u32 = 20_000;

/// Values under the key whose values fill a response: as many as a key has by default.
pub const MANY: usize = 256;

/// A claim that names piece hashes has 39 bytes.
const CLAIM_LEN: usize = 39;

/// What clients ask.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Asked {
    Ping,
    FindNode,
    /// For keys that have no values.
    FindValue,
    /// For the key that has many.
    FindValueOfMany,
    /// For keys that have one.
    GetValue,
    /// For the key that has more than a response carries.
    GetValueOfMany,
    /// Values that are there already.
    StoreValue,
}

impl Asked {
    pub const ALL: [Asked; 7] = [
        Asked::Ping,
        Asked::FindNode,
        Asked::FindValue,
        Asked::FindValueOfMany,
        Asked::GetValue,
        Asked::GetValueOfMany,
        Asked::StoreValue,
    ];

    pub fn name(self) -> &'static str {
        match self {
            Asked::Ping => "ping",
            Asked::FindNode => "find_node",
            Asked::FindValue => "find_value",
            Asked::FindValueOfMany => "find_value_of_many",
            Asked::GetValue => "get_value",
            Asked::GetValueOfMany => "get_value_of_many",
            Asked::StoreValue => "store_value",
        }
    }

    pub fn from_name(name: &str) -> Option<Asked> {
        Asked::ALL.into_iter().find(|asked| asked.name() == name)
    }
}

/// A node, and everybody that it knows.
#[derive(Debug)]
pub struct Scene {
    node: Node,
    now: Instant,
    rng: Rng,
    clients: Vec<Contact>,
    out: BytesMut,
}

/// A datagram that reaches the node.
#[derive(Debug)]
pub struct Datagram {
    from: SocketAddr,
    payload: BytesMut,
}

impl Default for Scene {
    fn default() -> Scene {
        Scene::new()
    }
}

impl Scene {
    /// Always the same one.
    pub fn new() -> Scene {
        let limits =
            // Never reached; lifted, they would not be counted.
            Limits { queries_per_second_and_source: u32::MAX, queries_per_second: u32::MAX, ..Limits::DEFAULT };
        let config = Config { limits, ..Config::default() };
        let node = Node::new(config, [1; 32], Instant::ORIGIN).expect("a configuration that works");
        let mut scene = Scene {
            node,
            now: Instant::ORIGIN,
            rng: Rng::new([2; 32], Purpose::Sample),
            clients: Vec::new(),
            out: BytesMut::with_capacity(1 << 20),
        };
        for n in 0..NETWORK {
            let contact = scene.contact(n);
            scene.node.ping(scene.now, contact.addr).expect("room for one operation");
            scene.answer_pings(&BTreeMap::from([(contact.addr, contact.id)]));
        }
        // Proofs make room for newer ones: the clients' not for each other's.
        scene.now = scene.now + Duration::from_secs(2);
        for n in 0..WINDOW as u32 {
            let client = scene.contact(NETWORK + n);
            let known = BTreeMap::from([(client.addr, client.id)]);
            scene.deliver(client, Call::Ping);
            scene.answer_pings(&known);
            scene.clients.push(client);
        }
        scene.store_values();
        scene
    }

    /// The node's contacts and values.
    pub fn sizes(&self) -> (usize, usize) {
        let stats = self.node.stats();
        (stats.contacts_ipv4, stats.values)
    }

    /// A window of queries, one from each client.
    pub fn window(&mut self, asked: Asked) -> Vec<Datagram> {
        let clients = self.clients.clone();
        let datagrams = clients.into_iter().enumerate().map(|(at, client)| {
            let key = Id(self.rng.bytes());
            let token;
            let value = claim(at as u32);
            let call = match asked {
                Asked::Ping => Call::Ping,
                Asked::FindNode => Call::FindNode { target: key },
                Asked::FindValue => Call::FindValue { key },
                Asked::FindValueOfMany => Call::FindValue { key: key_of_many() },
                Asked::GetValue => Call::GetValue { key: key_of_one(at), num: 0 },
                Asked::GetValueOfMany => Call::GetValue { key: key_of_many(), num: 0 },
                Asked::StoreValue => {
                    token = self.token(client, key_of_one(at));
                    Call::StoreValue { key: key_of_one(at), value: &value, token: &token }
                }
            };
            Datagram { from: client.addr, payload: query(client.id, call) }
        });
        datagrams.collect()
    }

    /// The node takes a window of queries in and gives its answers; returns how many they are, and
    /// their bytes.
    #[inline(never)]
    pub fn answer(&mut self, window: &[Datagram]) -> (usize, usize) {
        self.now = self.now + Duration::from_micros(100);
        for Datagram { from, payload } in window {
            self.node.handle_datagram(self.now, *from, payload);
        }
        self.out.clear();
        let mut answers = 0;
        while self.node.poll_transmit(&mut self.out).is_some() {
            answers += 1;
        }
        (answers, self.out.len())
    }

    fn contact(&mut self, n: u32) -> Contact {
        let [_, a, b, c] = n.to_be_bytes();
        Contact { id: Id(self.rng.bytes()), addr: ([60 + a, b, c, 1], 9978).into() }
    }

    /// Each client stores a value of its own, and four of the many.
    fn store_values(&mut self) {
        for at in 0..self.clients.len() {
            let client = self.clients[at];
            let many = (at as u32 * 4..).take(MANY / WINDOW).map(|n| (key_of_many(), claim(n)));
            for (key, value) in many.chain([(key_of_one(at), claim(at as u32))]) {
                let token = self.token(client, key);
                self.deliver(client, Call::StoreValue { key, value: &value, token: &token });
                self.node.poll_transmit(&mut self.out).expect("an answer");
            }
        }
        assert_eq!(self.sizes().1, MANY + WINDOW, "all were stored");
    }

    fn deliver(&mut self, from: Contact, call: Call<'_>) {
        self.node.handle_datagram(self.now, from.addr, &query(from.id, call));
    }

    /// What the node issues to a client for storing under `key`.
    fn token(&mut self, client: Contact, key: Id) -> Vec<u8> {
        self.deliver(client, Call::FindNode { target: key });
        self.out.clear();
        self.node.poll_transmit(&mut self.out).expect("an answer");
        match Message::decode(&self.out).expect("it is well-formed").body {
            Body::Response(Ok(response)) => response.token.expect("there is room for more").to_vec(),
            body => panic!("no response: {body:?}"),
        }
    }

    /// Whoever the node pings and is `known` answers.
    fn answer_pings(&mut self, known: &BTreeMap<SocketAddr, Id>) {
        loop {
            self.out.clear();
            let Some(to) = self.node.poll_transmit(&mut self.out) else {
                break;
            };
            let message = Message::decode(&self.out).expect("it is well-formed");
            if let (Some(id), Body::Query(_)) = (known.get(&to), &message.body) {
                let mut answer = BytesMut::new();
                Response::new(*id).encode(message.transaction_id, &mut answer);
                self.node.handle_datagram(self.now, to, &answer);
            }
        }
        while self.node.poll_event().is_some() {}
    }
}

/// A query's datagram. Nobody compares transaction ids here.
pub fn query(id: Id, call: Call<'_>) -> BytesMut {
    let mut payload = BytesMut::new();
    Query { id, call }.encode(TransactionId([7; 20]), &mut payload);
    payload
}

/// The `n`th claim.
pub fn claim(n: u32) -> [u8; CLAIM_LEN] {
    let mut claim = *b"d1:c6:......1:h20:....................e";
    claim[6..10].copy_from_slice(&n.to_be_bytes());
    claim
}

/// The key that has many values.
pub fn key_of_many() -> Id {
    Id([0x5a; 20])
}

/// The key that has one value, that of a client.
pub fn key_of_one(client: usize) -> Id {
    Id([client as u8; 20])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_client_gets_one_answer_whatever_it_asks() {
        let mut scene = Scene::new();
        for asked in Asked::ALL {
            let window = scene.window(asked);
            assert_eq!(scene.answer(&window).0, WINDOW, "{}", asked.name());
        }
    }
}
