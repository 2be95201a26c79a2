//! Hosts that speak the protocol and mean harm.

use bytes::{Bytes, BytesMut};
use core::time::Duration;
use khashmir::krpc::{Body, Call, Contacts, Message, Query, Response, TransactionId, Values};
use khashmir::rng::Rng;
use khashmir::{Contact, Id};
use std::net::{Ipv4Addr, SocketAddr};

/// What a hostile host does. All answer at once, to everybody, and ask back, so that they get into
/// tables.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Malice {
    /// Tells of contacts that are nowhere, closest to whatever is looked for.
    LiesAboutContacts,
    /// Answers under another id each time, close to what is looked for.
    ForgesIds,
    /// Says that it has values under every key, and gives junk.
    Poisons,
    /// Sends queries and junk under addresses that are not its own, and never listens.
    Floods,
}

impl Malice {
    /// All of them.
    pub const ALL: [Malice; 4] =
        [Malice::LiesAboutContacts, Malice::ForgesIds, Malice::Poisons, Malice::Floods];
}

/// A hostile host.
#[derive(Debug)]
pub(crate) struct Adversary {
    malice: Malice,
    id: Id,
    rng: Rng,
    /// How long until it queries them again, so as to stay in tables.
    asks_every: Duration,
    /// Whom it bothers.
    victims: Vec<SocketAddr>,
}

/// A datagram that it sends: under what address, where to, and what.
pub(crate) type Sent = (SocketAddr, SocketAddr, Bytes);

impl Adversary {
    pub(crate) fn new(
        malice: Malice,
        mut rng: Rng,
        asks_every: Duration,
        victims: Vec<SocketAddr>,
    ) -> Adversary {
        Adversary { malice, id: Id(rng.bytes()), rng, asks_every, victims }
    }

    /// What it answers at `own` to a datagram.
    pub(crate) fn answer(&mut self, own: SocketAddr, from: SocketAddr, datagram: &[u8]) -> Option<Sent> {
        let Ok(Message { transaction_id, body: Body::Query(Ok(query)) }) = Message::decode(datagram) else {
            return None;
        };
        if self.malice == Malice::Floods {
            return None;
        }
        let mut out = BytesMut::new();
        let key = match query.call {
            Call::FindNode { target: key } | Call::FindValue { key } | Call::GetValue { key, .. } => key,
            Call::StoreValue { key, .. } => key,
            Call::Ping | Call::Join => self.id,
        };
        let id = if self.malice == Malice::ForgesIds { self.close_to(&key) } else { self.id };
        let made_up: Vec<Contact> = match self.malice {
            Malice::LiesAboutContacts => (0..8).map(|_| self.made_up(&key)).collect(),
            _ => Vec::new(),
        };
        let junk: [u8; 40] = self.rng.bytes();
        let values = [&junk[..]];
        let mut response = Response::new(id);
        response.nodes = Some(Contacts::new(&made_up));
        response.token = Some(b"token");
        if self.malice == Malice::Poisons {
            response.num = Some(i64::MAX);
            response.values = Some(Values::new(&values));
        } else {
            response.num = Some(0);
            response.values = Some(Values::new(&[]));
        }
        response.encode(transaction_id, &mut out);
        Some((own, from, out.freeze()))
    }

    /// What it does of itself, and after how long again.
    pub(crate) fn act(&mut self, own: SocketAddr) -> (Vec<Sent>, Duration) {
        if self.malice != Malice::Floods {
            let sent = self.victims.clone().into_iter().map(|to| (own, to, self.query(Call::Ping))).collect();
            return (sent, self.asks_every);
        }
        let mut sent = Vec::new();
        for _ in 0..20 {
            let at = self.rng.below(self.victims.len() as u64) as usize;
            let Some(&to) = self.victims.get(at) else { break };
            let key = Id(self.rng.bytes());
            let payload = match self.rng.below(4) {
                0 => Bytes::copy_from_slice(&self.rng.bytes::<64>()),
                1 => self.query(Call::FindNode { target: key }),
                2 => self.query(Call::GetValue { key, num: 0 }),
                _ => self.query(Call::StoreValue { key, value: &[7; 900], token: b"12345678" }),
            };
            sent.push((self.nowhere(), to, payload));
        }
        (sent, Duration::from_millis(100))
    }

    fn query(&mut self, call: Call<'_>) -> Bytes {
        let mut out = BytesMut::new();
        let id = if self.malice == Malice::Floods { Id(self.rng.bytes()) } else { self.id };
        Query { id, call }.encode(TransactionId(self.rng.bytes()), &mut out);
        out.freeze()
    }

    fn made_up(&mut self, key: &Id) -> Contact {
        Contact { id: self.close_to(key), addr: self.nowhere() }
    }

    /// An id that shares 120 bits with `key`.
    fn close_to(&mut self, key: &Id) -> Id {
        let mut id = *key;
        id.0[15..].copy_from_slice(&self.rng.bytes::<5>());
        id
    }

    /// An address in a network in which no node is.
    fn nowhere(&mut self) -> SocketAddr {
        let [a, b, c] = self.rng.bytes();
        (Ipv4Addr::new(150 + a % 16, b, c, 9), 9978).into()
    }
}
