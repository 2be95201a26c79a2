//! The datagrams to read and to write.

use bytes::BytesMut;
use khashmir::id::{Contact, Id};
use khashmir::krpc::{Body, Call, Contacts, ErrorCode, K, Message, Query, Response, TransactionId, Values};
use std::net::Ipv4Addr;

/// A datagram, and what it is called in tables.
#[derive(Debug)]
pub struct Sample {
    /// What it is.
    pub name: String,
    /// Its payload.
    pub datagram: Vec<u8>,
}

const ID: Id = Id(*b"a 20 byte long id...");

/// One of each kind that matters, as a node of today sends it.
pub fn shapes() -> Vec<Sample> {
    let contact = |n: u8| Contact { id: Id([n; Id::LEN]), addr: (Ipv4Addr::new(192, 0, n, 1), 9978).into() };
    let contacts: Vec<Contact> = (0..K as u8).map(contact).collect();
    // Claims with the inline hashes of a file of one more piece, as most of the recorded ones are; the
    // last is a little longer, for 1,396 bytes in all.
    let mut inline = vec![&[b'v'; 44][..]; 27];
    inline.push(&[b'v'; 48]);
    // Claims of nothing but an address: as many values as a datagram can hold.
    let plain = [&b"d1:c6:addr..e"[..]; 87];
    let response = |response| Body::Response(Ok(Response { id: ID, ..response }));
    let empty = Response::new(ID);
    let nodes = Some(Contacts::new(&contacts));
    let values = |values| response(Response { values: Some(Values::new(values)), ..empty });
    vec![
        sample("ping query", Body::Query(Ok(Query { id: ID, call: Call::Ping }))),
        sample("find_node query", Body::Query(Ok(Query { id: ID, call: Call::FindNode { target: ID } }))),
        sample("find_node response", response(Response { nodes, token: Some(&[b't'; 20]), ..empty })),
        sample("get_value response", values(&inline)),
        sample("get_value response, full", values(&plain)),
        sample("error", Body::Error(ErrorCode::InvalidToken, b"invalid token")),
    ]
}

fn sample(name: &str, body: Body<'_>) -> Sample {
    let mut out = BytesMut::new();
    Message { transaction_id: TransactionId(*b"20 byte transaction."), body }.encode(&mut out);
    Sample { name: format!("{name}, {} bytes", out.len()), datagram: out.to_vec() }
}

/// Everything recorded in 2008's session.
pub fn session() -> Vec<Sample> {
    let session = khashmir_conformance::session().into_iter().enumerate();
    session.map(|(n, datagram)| Sample { name: format!("session {n}"), datagram: datagram.payload }).collect()
}

/// The probes, and what 2008 answered, as far as they are messages: unknown keys and arguments, wrong
/// types and lengths are among them.
#[allow(dead_code, reason = "criterion times only what is usual")]
pub fn probes() -> Vec<Sample> {
    let payloads = khashmir_conformance::probes().into_iter().flat_map(|probe| {
        let reply = probe.reply.map(|datagram| Sample { name: format!("reply to {}", probe.name), datagram });
        [Some(Sample { name: format!("probe {}", probe.name), datagram: probe.request }), reply]
    });
    payloads.flatten().filter(|sample| Message::decode(&sample.datagram).is_ok()).collect()
}
