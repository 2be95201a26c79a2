//! The other nodes of a script: where they are, what they ask, and how they answer.

use bytes::BytesMut;
use khashmir::krpc::{Body, Call, Contacts, ErrorCode, Message, Query, Response, TransactionId, Values};
use khashmir::rng::{Purpose, Rng};
use khashmir::{Contact, Id};
use std::net::{Ipv6Addr, SocketAddr};

/// One of 256 others. Every fourth is in the IPv6 network; of the rest, two at a time share a /24.
#[derive(Clone, Copy, Debug)]
pub struct Peer(pub u8);

/// How an answer goes wrong, if it does.
#[derive(Clone, Copy, Debug)]
pub enum Manner {
    Right,
    OtherId,
    OtherAddress,
    Error(ErrorCode),
    /// Contacts that are ourselves, nobody, or one address over and over; more values than there are.
    Hostile,
    Malformed,
}

impl Peer {
    pub fn contact(self) -> Contact {
        Contact { id: Id(Rng::new([self.0; 32], Purpose::NodeId).bytes()), addr: self.addr() }
    }

    pub fn addr(self) -> SocketAddr {
        let n = self.0;
        match n % 4 {
            3 => (Ipv6Addr::new(0x2a00, 1, n.into(), 0, 0, 0, 0, 1), 9978).into(),
            _ => ([60, 0, n / 2, 1 + n % 2], 9978).into(),
        }
    }

    /// A query of this peer, well-formed.
    pub fn query(self, number: u8, call: Call<'_>) -> Vec<u8> {
        let mut datagram = BytesMut::new();
        let query = Query { id: self.contact().id, call };
        query.encode(TransactionId([number; 20]), &mut datagram);
        datagram.to_vec()
    }

    /// This peer's answer to a query of `own_id`; `None` if that is no query.
    pub fn answer(self, query: &[u8], own_id: Id, manner: Manner) -> Option<Vec<u8>> {
        let Ok(Message { transaction_id, body: Body::Query(Ok(query)) }) = Message::decode(query) else {
            return None;
        };
        let mut datagram = BytesMut::new();
        if let Manner::Error(code) = manner {
            let body = Body::Error(code, code.text().as_bytes());
            Message { transaction_id, body }.encode(&mut datagram);
            return Some(datagram.to_vec());
        }
        let id = match manner {
            Manner::OtherId => Peer(self.0.wrapping_add(1)).contact().id,
            _ => self.contact().id,
        };
        let hostile = matches!(manner, Manner::Hostile);
        let (nodes, nodes6) = self.neighbours(own_id, hostile);
        let values: Vec<Vec<u8>> = (0..self.0 % 5).map(|n| vec![n; 40]).collect();
        let values: Vec<&[u8]> = values.iter().map(Vec::as_slice).collect();
        let mut response = Response::new(id);
        match query.call {
            Call::FindNode { .. } => {
                response.nodes = Some(Contacts::new(&nodes));
                response.nodes6 = Some(Contacts::new(&nodes6));
                response.token = Some(b"a token").filter(|_| self.0 % 8 != 1).map(|token| &token[..]);
            }
            Call::FindValue { .. } => {
                response.nodes = Some(Contacts::new(&nodes));
                response.num = Some(if hostile { i64::MAX } else { values.len() as i64 });
            }
            Call::GetValue { .. } => response.values = Some(Values::new(&values)),
            Call::Join => {
                response.ip_addr = Some(b"203.0.114.9");
                response.port = Some(9978);
            }
            Call::Ping | Call::StoreValue { .. } => {}
        }
        response.encode(transaction_id, &mut datagram);
        if matches!(manner, Manner::Malformed) {
            // Well-formed bencode, but the responder's id is too short.
            let text = datagram.to_vec();
            let at = text.windows(5).position(|w| w == b"2:id2")?;
            return Some([&text[..at], b"2:id19:", &text[at + 8..]].concat());
        }
        Some(datagram.to_vec())
    }

    fn neighbours(self, own_id: Id, hostile: bool) -> (Vec<Contact>, Vec<Contact>) {
        let others = (1..=8).map(|n| Peer(self.0.wrapping_mul(5).wrapping_add(n * 29)).contact());
        let (mut nodes, mut nodes6): (Vec<_>, Vec<_>) = others.partition(|other| other.addr.is_ipv4());
        if hostile {
            nodes = vec![
                Contact { id: own_id, addr: self.addr() },
                Contact { id: Id::ZERO, ..Peer(4).contact() },
                Contact { id: Id([1; 20]), addr: ([127, 0, 0, 1], 9978).into() },
                Contact { id: Id([2; 20]), addr: ([60, 0, 1, 1], 0).into() },
                Contact { id: Id([3; 20]), addr: ([60, 0, 1, 1], 1).into() },
                Contact { id: Id([4; 20]), addr: ([60, 0, 1, 1], 2).into() },
            ];
            nodes.retain(|contact| contact.addr.is_ipv4());
            nodes6.truncate(1);
        }
        (nodes, nodes6)
    }
}
