//! Virtual time around one node: contacts that answer as a script says, and a log of what left.

use crate::script::Names;
use ::bytes::BytesMut;
use khashmir::krpc::{
    Body, Call, Contacts, ErrorCode, Message, Method, Query, Response, TransactionId, Values,
};
use khashmir::{Contact, Event, Id, Instant, Node};
use serde::Deserialize;
use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::time::Duration;

/// How a contact answers from now on.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Behaviour {
    after_ms: u64,
    #[serde(default)]
    nodes: Vec<String>,
    #[serde(default)]
    nodes6: Vec<String>,
    token: Option<String>,
    #[serde(default)]
    values: Vec<String>,
    /// How many values it says that it holds; else as many as it does.
    num: Option<i64>,
    /// Under this id instead of its own.
    id: Option<String>,
    /// From another's address.
    from: Option<String>,
    #[serde(default)]
    silent_to: Vec<String>,
    #[serde(default)]
    errors: BTreeMap<String, i64>,
}

/// The same, read.
pub struct Peer {
    after: Duration,
    id: Id,
    from: SocketAddr,
    nodes: Vec<Contact>,
    nodes6: Vec<Contact>,
    token: Option<Vec<u8>>,
    values: Vec<Vec<u8>>,
    num: i64,
    silent_to: Vec<String>,
    errors: BTreeMap<String, i64>,
}

impl Names {
    pub fn resolve(&self, name: &str, behaviour: &Behaviour) -> Result<Peer, String> {
        let contacts = |names: &[String]| {
            names.iter().map(|name| self.contact(name).copied()).collect::<Result<Vec<_>, _>>()
        };
        let values = behaviour.values.iter().map(|hex| crate::files::bytes(hex));
        let values = values.collect::<Result<Vec<_>, _>>()?;
        let this = self.contact(name)?;
        let from = behaviour.from.as_deref().map(|name| self.contact(name)).transpose()?;
        Ok(Peer {
            after: Duration::from_millis(behaviour.after_ms),
            id: behaviour.id.as_deref().map(crate::script::id).transpose()?.unwrap_or(this.id),
            from: from.unwrap_or(this).addr,
            nodes: contacts(&behaviour.nodes)?,
            nodes6: contacts(&behaviour.nodes6)?,
            token: behaviour.token.as_deref().map(crate::files::bytes).transpose()?,
            num: behaviour.num.unwrap_or(values.len() as i64),
            values,
            silent_to: behaviour.silent_to.clone(),
            errors: behaviour.errors.clone(),
        })
    }
}

/// A datagram that left the node.
pub struct Sent {
    pub at: Instant,
    pub to: SocketAddr,
    pub bytes: Vec<u8>,
    /// It left before, byte for byte.
    pub again: bool,
}

impl Sent {
    pub fn message(&self) -> Message<'_> {
        Message::decode(&self.bytes).expect("our node sends messages")
    }

    pub fn method(&self) -> Option<Method> {
        match self.message().body {
            Body::Query(Ok(query)) => Some(query.call.method()),
            _ => None,
        }
    }

    pub fn response(&self) -> Option<Response<'_>> {
        match self.message().body {
            Body::Response(response) => response.ok(),
            _ => None,
        }
    }
}

pub struct World {
    pub node: Node,
    pub now: Instant,
    pub peers: BTreeMap<SocketAddr, Peer>,
    /// What left since it was cleared.
    pub log: Vec<Sent>,
    pub events: Vec<(Instant, Event)>,
    queries: BTreeSet<(SocketAddr, Vec<u8>)>,
    arriving: BTreeMap<(Instant, u64), (SocketAddr, Vec<u8>)>,
    sequence: u64,
}

impl World {
    pub fn new(node: Node) -> World {
        World {
            node,
            now: Instant::ORIGIN,
            peers: BTreeMap::new(),
            log: Vec::new(),
            events: Vec::new(),
            queries: BTreeSet::new(),
            arriving: BTreeMap::new(),
            sequence: 0,
        }
    }

    pub fn deliver(&mut self, from: SocketAddr, datagram: &[u8]) {
        self.node.handle_datagram(self.now, from, datagram);
    }

    /// Everything up to and including `until`.
    pub fn run_until(&mut self, until: Instant) {
        self.run_before(until, true);
        if self.now < until {
            self.now = until;
            self.node.handle_timeout(until);
            self.settle();
        }
    }

    /// Everything before `until`, or up to it.
    pub fn run_before(&mut self, until: Instant, inclusive: bool) {
        self.settle();
        loop {
            let arrival = self.arriving.keys().next().map(|(at, _)| *at);
            let Some(next) = arrival.into_iter().chain(self.node.poll_timeout()).min() else { return };
            if next > until || next == until && !inclusive {
                return;
            }
            self.now = self.now.max(next);
            match self.arriving.first_entry().filter(|entry| entry.key().0 <= next) {
                Some(entry) => {
                    let (from, datagram) = entry.remove();
                    self.deliver(from, &datagram);
                }
                None => self.node.handle_timeout(self.now),
            }
            self.settle();
        }
    }

    /// Takes what leaves, and lets those who got it answer.
    pub fn settle(&mut self) {
        let mut payload = BytesMut::new();
        while let Some(to) = self.node.poll_transmit(&mut payload) {
            let bytes = payload.split().to_vec();
            if let Some((at, from, answer)) = self.answer(&to, &bytes) {
                self.arriving.insert((at, self.sequence), (from, answer));
                self.sequence += 1;
            }
            let again = !self.queries.insert((to, bytes.clone()));
            self.log.push(Sent { at: self.now, to, bytes, again });
        }
        while let Some(event) = self.node.poll_event() {
            self.events.push((self.now, event));
        }
        self.node.check_invariants();
    }

    /// `contact` answers a query of the node now.
    pub fn make_known(&mut self, contact: &Contact) -> Result<(), String> {
        self.settle();
        self.node.ping(self.now, contact.addr).map_err(|error| error.to_string())?;
        let mut payload = BytesMut::new();
        let to = self.node.poll_transmit(&mut payload).filter(|to| *to == contact.addr);
        let to = to.ok_or_else(|| format!("no ping to {}", contact.addr))?;
        let t = Message::decode(&payload).map_err(|error| error.to_string())?.transaction_id;
        let mut pong = BytesMut::new();
        Response::new(contact.id).encode(t, &mut pong);
        self.deliver(to, &pong);
        Ok(())
    }

    fn answer(&self, to: &SocketAddr, datagram: &[u8]) -> Option<(Instant, SocketAddr, Vec<u8>)> {
        let message = Message::decode(datagram).ok()?;
        let Body::Query(Ok(query)) = message.body else { return None };
        let peer = self.peers.get(to)?;
        let answer = peer.answer(message.transaction_id, &query)?;
        Some((self.now + peer.after, peer.from, answer))
    }
}

impl Peer {
    fn answer(&self, t: TransactionId, query: &Query<'_>) -> Option<Vec<u8>> {
        let name = crate::codec::name(query.call.method());
        if self.silent_to.contains(&name) {
            return None;
        }
        let mut out = BytesMut::new();
        if let Some(code) = self.errors.get(&name) {
            Message { transaction_id: t, body: Body::Error(ErrorCode::from_code(*code), b"no") }
                .encode(&mut out);
            return Some(out.to_vec());
        }
        let values: Vec<&[u8]> = self.values.iter().map(|value| &value[..]).collect();
        let mut response = Response::new(self.id);
        match query.call {
            Call::Ping | Call::Join | Call::StoreValue { .. } => {}
            Call::FindNode { .. } | Call::FindValue { .. } => {
                response.nodes = Some(Contacts::new(&self.nodes));
                response.nodes6 = Some(Contacts::new(&self.nodes6)).filter(|nodes| !nodes.is_empty());
            }
            Call::GetValue { .. } => response.values = Some(Values::new(&values)),
        }
        if let Call::FindNode { .. } = query.call {
            response.token = self.token.as_deref();
        }
        if let Call::FindValue { .. } = query.call {
            response.num = Some(self.num);
        }
        response.encode(t, &mut out);
        Some(out.to_vec())
    }
}
