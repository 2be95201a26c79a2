//! Our node among those of the recording, all played by the test.

use super::Tree;
use bytes::BytesMut;
use khashmir::config::{Limits, LookupPolicy};
use khashmir::krpc::{Body, Call, Message, Query, Response, TransactionId};
use khashmir::{Config, Contact, Id, Instant, Node};
use khashmir_conformance::Probe;
use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::time::Duration;

pub struct Network {
    pub node: Node,
    /// Who sends the probes.
    pub prober: Contact,
    /// What was put in place under each key.
    pub held: BTreeMap<Id, BTreeSet<Vec<u8>>>,
    now: Instant,
}

impl Network {
    /// As it was before the first probe: two other nodes are in the table, and three keys hold values.
    pub fn as_recorded(probes: &[Probe]) -> Network {
        let loopback = vec!["127.0.0.0/8".parse().unwrap()];
        let config = Config {
            local_networks: loopback,
            limits: Limits::KHASHMIR_2008,
            lookup: LookupPolicy::KHASHMIR_2008,
            ..Config::default()
        };
        let prober = Contact { id: Id(*b"IIIIIIIIIIIIIIIIA000"), addr: ([127, 0, 0, 1], 7009).into() };
        let now = Instant::ORIGIN;
        let node = Node::new(config, [8; 32], now).unwrap();
        let mut network = Network { node, prober, held: BTreeMap::new(), now };

        let others = contacts(&recorded(probes, "find_node", "nodes"));
        assert_eq!(others.iter().map(|c| c.addr.port()).collect::<BTreeSet<_>>(), [7002, 7003].into());
        for other in &others {
            network.query(*other, Call::Ping);
        }
        let few = recorded(probes, "get_value_all", "values");
        assert_eq!(few.len(), 3);
        for value in few {
            network.store(others[0], crate::FEW, value.bytes().unwrap());
        }
        for n in 0..60u8 {
            let letters = [b'A' + n % 26; 20];
            let value = [b"d1:c6:\x0a\x00\x01", &[n][..], b"\x27\x091:td1:t20:", &letters, b"ee"].concat();
            network.store(others[1], crate::MANY, &value);
        }
        network.store(others[0], crate::LONG, &[b'L'; 1409]);
        // The prober answers our pings before it begins.
        network.query(prober, Call::Ping);
        let known: BTreeSet<Contact> = network.node.contacts().collect();
        assert_eq!(known, others.into_iter().chain([prober]).collect());
        network
    }

    /// Sends `request`, answers the node's pings, and returns its reply.
    pub fn ask(&mut self, from: Contact, request: &[u8]) -> Option<Vec<u8>> {
        self.now = self.now + Duration::from_millis(1);
        self.node.handle_datagram(self.now, from.addr, request);
        let mut reply = None;
        let mut datagram = BytesMut::new();
        while let Some(to) = self.node.poll_transmit(&mut datagram) {
            let sent = datagram.split();
            let message = Message::decode(&sent).unwrap();
            let Body::Query(query) = message.body else {
                assert_eq!(to, from.addr);
                assert!(sent.len() <= 1472, "{} bytes", sent.len());
                assert_eq!(reply.replace(sent.to_vec()), None, "one answer");
                continue;
            };
            assert_eq!((query.unwrap().call, to), (Call::Ping, from.addr));
            let mut pong = BytesMut::new();
            Response::new(from.id).encode(message.transaction_id, &mut pong);
            self.node.handle_datagram(self.now, to, &pong);
        }
        reply
    }

    fn query(&mut self, from: Contact, call: Call<'_>) -> Vec<u8> {
        let mut request = BytesMut::new();
        let body = Body::Query(Ok(Query { id: from.id, call }));
        Message { transaction_id: TransactionId([b'S'; 20]), body }.encode(&mut request);
        self.ask(from, &request).unwrap()
    }

    fn store(&mut self, from: Contact, key: Id, value: &[u8]) {
        let found = self.query(from, Call::FindNode { target: key });
        let token = in_response(&found, "token").unwrap();
        let token = token.bytes().unwrap();
        let stored = self.query(from, Call::StoreValue { key, value, token });
        assert!(Tree::read(&stored).unwrap().get_mut("r").is_some(), "{}", stored.escape_ascii());
        self.held.entry(key).or_default().insert(value.to_vec());
    }
}

/// What a response says under `key`.
pub fn in_response(datagram: &[u8], key: &str) -> Option<Tree> {
    Tree::read(datagram).unwrap().get_mut("r")?.take(key)
}

/// The list that the recorded answer to a probe has under `key`.
fn recorded(probes: &[Probe], name: &str, key: &str) -> Vec<Tree> {
    let probe = probes.iter().find(|probe| probe.name == name).unwrap();
    let mut list = in_response(probe.reply.as_ref().unwrap(), key).unwrap();
    list.list_mut().unwrap().clone()
}

fn contacts(nodes: &[Tree]) -> Vec<Contact> {
    let contact = |node: &Tree| {
        let bytes: [u8; 26] = node.bytes().unwrap().try_into().unwrap();
        let [.., a, b, c, d, high, low] = bytes;
        let addr = SocketAddr::from(([a, b, c, d], u16::from_be_bytes([high, low])));
        Contact { id: Id::from_slice(&bytes[..20]).unwrap(), addr }
    };
    nodes.iter().map(contact).collect()
}
