//! From messages to datagrams.

use super::compact::contact_bytes_len;
use super::{Body, Call, ErrorCode, Message, Query, Response, TransactionId};
use crate::bencode::{Encoder, bytes_len};
use bytes::BytesMut;
use core::net::SocketAddr;

/// Bytes of a response that says no more than who answers.
pub const EMPTY_RESPONSE_LEN: usize = b"d1:rd2:id20:e1:t20:1:y1:re".len() + 40;

/// Room for any message but for its lists, texts, tokens and values.
const ROOM: usize = 256;

/// Bytes that a contact adds to a list, by the family of its address.
pub fn contact_len(addr: &SocketAddr) -> usize {
    bytes_len(contact_bytes_len(addr))
}

/// Bytes that a list without items adds to a response, under a key such as `nodes`.
pub const fn empty_list_len(key: &str) -> usize {
    bytes_len(key.len()) + 2
}

impl Message<'_> {
    /// Appends the datagram to `out`. A body that stands for a malformed message, as
    /// [`decode`](Message::decode) may give it, is written as the error that answers it, or as
    /// nothing.
    pub fn encode(&self, out: &mut BytesMut) {
        match &self.body {
            Body::Query(Ok(query)) => query.encode(self.transaction_id, out),
            Body::Query(Err(code)) => encode_error(*code, code.text().as_bytes(), self.transaction_id, out),
            Body::Response(Ok(response)) => response.encode(self.transaction_id, out),
            Body::Response(Err(_)) => {}
            Body::Error(code, text) => encode_error(*code, text, self.transaction_id, out),
        }
    }
}

impl Query<'_> {
    /// Appends the datagram to `out`.
    pub fn encode(&self, transaction_id: TransactionId, out: &mut BytesMut) {
        let mut encoder = Encoder::new(out);
        encoder.reserve(ROOM).raw(b"d1:ad2:id20:").raw(&self.id.0);
        match &self.call {
            Call::Ping | Call::Join => &mut encoder,
            Call::FindNode { target } => encoder.raw(b"6:target20:").raw(&target.0),
            Call::FindValue { key } => encoder.raw(b"3:key20:").raw(&key.0),
            Call::GetValue { key, num } => encoder.raw(b"3:key20:").raw(&key.0).raw(b"3:num").integer(*num),
            Call::StoreValue { key, value, token } => {
                encoder.reserve(ROOM + token.len() + value.len());
                encoder.raw(b"3:key20:").raw(&key.0).raw(b"5:token").bytes(token);
                encoder.raw(b"5:value").bytes(value)
            }
        };
        encoder.raw(b"e1:q").bytes(self.call.method().name());
        finish(encoder, transaction_id, b'q');
    }
}

impl Response<'_> {
    /// Appends the datagram to `out`.
    pub fn encode(&self, transaction_id: TransactionId, out: &mut BytesMut) {
        let mut encoder = Encoder::new(out);
        encoder.reserve(ROOM).raw(b"d1:rd2:id20:").raw(&self.id.0);
        if let Some(ip) = self.ip {
            encoder.raw(b"2:ip").bytes(&ip.to_bytes());
        }
        if let Some(ip_addr) = self.ip_addr {
            encoder.raw(b"7:ip_addr").bytes(ip_addr);
        }
        if let Some(nodes) = &self.nodes {
            nodes.encode(encoder.raw(b"5:nodes"));
        }
        if let Some(nodes6) = &self.nodes6 {
            nodes6.encode(encoder.raw(b"6:nodes6"));
        }
        if let Some(num) = self.num {
            encoder.raw(b"3:num").integer(num);
        }
        if let Some(port) = self.port {
            encoder.raw(b"4:port").integer(port.into());
        }
        if let Some(token) = self.token {
            encoder.raw(b"5:token").bytes(token);
        }
        if let Some(values) = &self.values {
            values.encode(encoder.raw(b"6:values"));
        }
        encoder.end();
        finish(encoder, transaction_id, b'r');
    }
}

fn encode_error(code: ErrorCode, text: &[u8], transaction_id: TransactionId, out: &mut BytesMut) {
    let mut encoder = Encoder::new(out);
    encoder.reserve(ROOM + text.len()).raw(b"d1:el").integer(code.code()).bytes(text).end();
    finish(encoder, transaction_id, b'e');
}

fn finish(mut encoder: Encoder<'_>, transaction_id: TransactionId, kind: u8) {
    let mut out = *b"1:t20:....................1:y1:.e";
    out[6..26].copy_from_slice(&transaction_id.0);
    out[31] = kind;
    encoder.raw(&out);
}
