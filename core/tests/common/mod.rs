//! One node among scripted peers, in memory and in virtual time.
//!
//! Peers are at `10.n.0.1:9978`, each in a network of its own, and speak krpc as they are told.
//! The node's datagrams are kept with the time at which they left.
// Each story uses its part.
#![allow(dead_code)]
#![allow(clippy::unwrap_used)]

use bytes::BytesMut;
use core::time::Duration;
use khashmir::config::{AddressFamilies, LookupPolicy, Upkeep};
use khashmir::krpc::{
    Body, Call, CompactAddress, Contacts, ErrorCode, Message, Method, Query, Response, TransactionId, Values,
};
use khashmir::{Config, Contact, Event, Id, Instant, Node, OpId};
use std::collections::BTreeMap;
use std::net::{Ipv6Addr, SocketAddr};

pub const SECOND: Duration = Duration::from_secs(1);
pub const MINUTE: Duration = Duration::from_secs(60);
pub const HOUR: Duration = Duration::from_secs(3600);

/// One node under test, and everybody that it may meet.
pub struct Scene {
    pub node: Node,
    pub now: Instant,
    pub peers: BTreeMap<SocketAddr, Peer>,
    /// Everything that the node has sent since the last [`Scene::sent`].
    log: Vec<Sent>,
    pub events: Vec<(Instant, Event)>,
    arriving: BTreeMap<(Instant, u64), (SocketAddr, Vec<u8>)>,
    sequence: u64,
}

/// A datagram that left the node.
#[derive(Clone, Debug)]
pub struct Sent {
    pub at: Instant,
    pub to: SocketAddr,
    pub bytes: Vec<u8>,
}

/// How a peer answers. As made, it answers everything at once, with nobody and nothing.
pub struct Peer {
    pub contact: Contact,
    pub latency: Duration,
    pub nodes: Vec<Contact>,
    pub nodes6: Vec<Contact>,
    pub token: Option<Vec<u8>>,
    pub values: Vec<Vec<u8>>,
    /// How many values it says that it holds; `None`: as many as it does.
    pub num: Option<i64>,
    /// Where it says that the node is.
    pub ip: Option<SocketAddr>,
    pub reply: Box<dyn FnMut(Instant, Method) -> Reply>,
}

pub enum Reply {
    /// What was asked for.
    Answer,
    Silence,
    Error(ErrorCode),
    /// An answer under another id.
    As(Id),
    /// An answer that says no more than who answers.
    Bare,
}

/// Networks of scripted peers are local ones. Requests keep to the times of 2008, which are easier to
/// tell apart; stories of our own policy name it.
pub fn config() -> Config {
    Config {
        local_networks: vec!["10.0.0.0/8".parse().unwrap(), "fd00::/8".parse().unwrap()],
        address_families: AddressFamilies::Both,
        lookup: LookupPolicy::KHASHMIR_2008,
        upkeep: Upkeep::KHASHMIR_2008,
        ..Config::default()
    }
}

pub fn addr(n: u8) -> SocketAddr {
    ([10, n, 0, 1], 9978).into()
}

pub fn addr6(n: u16) -> SocketAddr {
    (Ipv6Addr::new(0xfd00, n, 0, 0, 0, 0, 0, 1), 9978).into()
}

/// The id at distance `n` from `target`.
pub fn id_near(target: Id, n: u8) -> Id {
    let mut id = target;
    id.0[19] ^= n;
    id
}

/// A contact at distance `n` from `target`, at `10.n.0.1`.
pub fn near(target: Id, n: u8) -> Contact {
    Contact { id: id_near(target, n), addr: addr(n) }
}

/// A key that is far from the node's own id: all near it are in one bucket.
pub fn far_key(node: &Node) -> Id {
    let mut key = node.id();
    key.0[0] ^= 0x80;
    key
}

pub fn tid(n: u8) -> TransactionId {
    TransactionId([n; 20])
}

pub fn query(from: Id, n: u8, call: Call<'_>) -> Vec<u8> {
    let mut out = BytesMut::new();
    Query { id: from, call }.encode(tid(n), &mut out);
    out.to_vec()
}

impl Peer {
    pub fn new(contact: Contact) -> Peer {
        Peer {
            contact,
            latency: Duration::from_millis(10),
            nodes: Vec::new(),
            nodes6: Vec::new(),
            token: Some(vec![7; 20]),
            values: Vec::new(),
            num: None,
            ip: None,
            reply: Box::new(|_, _| Reply::Answer),
        }
    }

    pub fn knows(mut self, contacts: impl IntoIterator<Item = Contact>) -> Peer {
        self.nodes.extend(contacts);
        self
    }

    pub fn holds(mut self, values: impl IntoIterator<Item = Vec<u8>>) -> Peer {
        self.values.extend(values);
        self
    }

    pub fn after(mut self, latency: Duration) -> Peer {
        self.latency = latency;
        self
    }

    pub fn without_token(mut self) -> Peer {
        self.token = None;
        self
    }

    pub fn replies(mut self, reply: impl FnMut(Instant, Method) -> Reply + 'static) -> Peer {
        self.reply = Box::new(reply);
        self
    }

    pub fn silent(self) -> Peer {
        self.replies(|_, _| Reply::Silence)
    }

    fn answer(&mut self, now: Instant, transaction_id: TransactionId, query: &Query<'_>) -> Option<Vec<u8>> {
        let method = query.call.method();
        let mut out = BytesMut::new();
        let reply = (self.reply)(now, method);
        let is_bare = matches!(reply, Reply::Bare);
        let id = match reply {
            Reply::Answer | Reply::Bare => self.contact.id,
            Reply::As(id) => id,
            Reply::Silence => return None,
            Reply::Error(code) => {
                Message { transaction_id, body: Body::Error(code, b"no") }.encode(&mut out);
                return Some(out.to_vec());
            }
        };
        let values: Vec<&[u8]> = self.values.iter().map(|value| &value[..]).collect();
        let mut response = Response::new(id);
        match method {
            _ if is_bare => {}
            Method::Ping | Method::Join => response.ip = self.ip.map(CompactAddress),
            Method::StoreValue => {}
            Method::FindNode | Method::FindValue => {
                response.nodes = Some(Contacts::new(&self.nodes));
                response.nodes6 = Some(Contacts::new(&self.nodes6)).filter(|list| !list.is_empty());
                response.num =
                    (method == Method::FindValue).then_some(self.num.unwrap_or(values.len() as i64));
                response.token = self.token.as_deref().filter(|_| method == Method::FindNode);
            }
            Method::GetValue => response.values = Some(Values::new(&values)),
        }
        response.encode(transaction_id, &mut out);
        Some(out.to_vec())
    }
}

impl Sent {
    pub fn message(&self) -> Message<'_> {
        Message::decode(&self.bytes).unwrap()
    }

    pub fn method(&self) -> Option<Method> {
        match self.message().body {
            Body::Query(query) => Some(query.unwrap().call.method()),
            _ => None,
        }
    }

    pub fn call(&self) -> Call<'_> {
        match self.message().body {
            Body::Query(query) => query.unwrap().call,
            other => panic!("not a query: {other:?}"),
        }
    }

    pub fn response(&self) -> Response<'_> {
        match self.message().body {
            Body::Response(response) => response.unwrap(),
            other => panic!("not a response: {other:?}"),
        }
    }

    pub fn error(&self) -> ErrorCode {
        match self.message().body {
            Body::Error(code, _) => code,
            other => panic!("not an error: {other:?}"),
        }
    }
}

/// The queries of `method` among what was sent: the last byte of the network that they went to, and
/// how many milliseconds after `start`.
pub fn asked(start: Instant, sent: &[Sent], method: Method) -> Vec<(u8, u128)> {
    let asked = sent.iter().filter(|sent| sent.method() == Some(method));
    asked.map(|sent| (number(&sent.to), sent.at.saturating_duration_since(start).as_millis())).collect()
}

/// The `n` of `10.n.0.1`.
pub fn number(addr: &SocketAddr) -> u8 {
    match addr.ip() {
        std::net::IpAddr::V4(ip) => ip.octets()[1],
        std::net::IpAddr::V6(ip) => ip.segments()[1] as u8,
    }
}

/// The queries of `method` among what was sent: to whom, and after how many seconds.
pub fn queries(sent: &[Sent], method: Method) -> Vec<(SocketAddr, f64)> {
    let asked = sent.iter().filter(|sent| sent.method() == Some(method));
    asked.map(|sent| (sent.to, sent.at.as_micros() as f64 / 1e6)).collect()
}

impl Scene {
    pub fn new() -> Scene {
        Scene::with(config())
    }

    pub fn with(config: Config) -> Scene {
        Scene::of(Node::new(config, [1; 32], Instant::ORIGIN).unwrap())
    }

    pub fn of(node: Node) -> Scene {
        Scene {
            node,
            now: Instant::ORIGIN,
            peers: BTreeMap::new(),
            log: Vec::new(),
            events: Vec::new(),
            arriving: BTreeMap::new(),
            sequence: 0,
        }
    }

    pub fn add(&mut self, peer: Peer) -> Contact {
        let contact = peer.contact;
        self.peers.insert(contact.addr, peer);
        contact
    }

    pub fn peer(&mut self, contact: Contact) -> &mut Peer {
        self.peers.get_mut(&contact.addr).unwrap()
    }

    /// Adds the peers and makes them contacts of the node: it pings them, and they answer.
    pub fn befriend(&mut self, peers: impl IntoIterator<Item = Peer>) {
        for peer in peers {
            let contact = self.add(peer);
            self.node.ping(self.now, contact.addr).unwrap();
            let latency = self.peers[&contact.addr].latency;
            self.run_for(latency);
            assert!(self.knows(&contact), "{contact:?} is in the table");
        }
        self.sent();
        self.events.clear();
    }

    pub fn knows(&self, contact: &Contact) -> bool {
        self.node.contacts().any(|known| known == *contact)
    }

    /// A datagram reaches the node now.
    pub fn deliver(&mut self, from: SocketAddr, datagram: &[u8]) {
        self.node.handle_datagram(self.now, from, datagram);
        self.take_output();
    }

    /// A query reaches the node now. Returns what it sends at once.
    pub fn ask(&mut self, from: Contact, n: u8, call: Call<'_>) -> Vec<Sent> {
        self.sent();
        self.deliver(from.addr, &query(from.id, n, call));
        self.sent()
    }

    /// The same, from somebody whose address is proved: the answer alone.
    pub fn ask_proved(&mut self, from: Contact, n: u8, call: Call<'_>) -> Sent {
        let sent = self.ask(from, n, call);
        assert_eq!(sent.len(), 1, "an answer and nothing else: {sent:?}");
        sent[0].clone()
    }

    /// What the node sent since this was last asked.
    pub fn sent(&mut self) -> Vec<Sent> {
        self.take_output();
        std::mem::take(&mut self.log)
    }

    /// Lets time pass; peers answer, timers fire.
    pub fn run_for(&mut self, duration: Duration) {
        let end = self.now + duration;
        loop {
            self.take_output();
            let wake = self.node.poll_timeout();
            let arrival = self.arriving.first_key_value().map(|((at, _), _)| *at);
            let Some(next) = wake.into_iter().chain(arrival).min().filter(|next| *next <= end) else {
                break;
            };
            self.now = self.now.max(next);
            if arrival == Some(next) {
                let (_, (from, datagram)) = self.arriving.pop_first().unwrap();
                self.node.handle_datagram(self.now, from, &datagram);
            } else {
                self.node.handle_timeout(self.now);
            }
            self.node.check_invariants();
        }
        self.now = end;
        self.node.handle_timeout(end);
        self.take_output();
    }

    /// Lets time pass until `op` is over, for two minutes at most. Returns its final event and when
    /// it came.
    pub fn finish(&mut self, op: OpId) -> (Instant, Event) {
        for _ in 0..12_000 {
            self.take_output();
            if let Some(over) = self.events.iter().find(|(_, event)| event.finished() == Some(op)) {
                return over.clone();
            }
            self.run_for(Duration::from_millis(10));
        }
        panic!("{op:?} is not over after two minutes");
    }

    fn take_output(&mut self) {
        let mut payload = BytesMut::new();
        while let Some(to) = self.node.poll_transmit(&mut payload) {
            let sent = Sent { at: self.now, to, bytes: payload.to_vec() };
            payload.clear();
            if let Some(peer) = self.peers.get_mut(&to)
                && let Message { transaction_id, body: Body::Query(Ok(query)) } = sent.message()
                && let Some(answer) = peer.answer(self.now, transaction_id, &query)
            {
                self.sequence += 1;
                self.arriving.insert((self.now + peer.latency, self.sequence), (to, answer));
            }
            self.log.push(sent);
        }
        while let Some(event) = self.node.poll_event() {
            self.events.push((self.now, event));
        }
    }
}
