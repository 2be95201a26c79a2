//! Ours.

use super::{CAPACITY, Codec};
use bytes::BytesMut;
use khashmir::bencode::DecodeError;
use khashmir::krpc::{Body, Contacts, Message, Values};

pub struct Khashmir;

impl Codec for Khashmir {
    const NAME: &str = "khashmir";
    type Message<'a> = Message<'a>;
    type Error = DecodeError;
    type Written<'a> = Message<'a>;
    type Buffer = BytesMut;

    fn decode(datagram: &[u8]) -> Result<Message<'_>, DecodeError> {
        Message::decode(datagram)
    }

    /// With lists of slices, as a node sends them, not the encoded lists that were read. They leak.
    fn prepare(mut message: Self::Message<'_>) -> Option<Self::Written<'_>> {
        if let Body::Response(Ok(response)) = &mut message.body {
            let contacts = |list: Contacts<'_>| Contacts::new(list.iter().collect::<Vec<_>>().leak());
            response.nodes = response.nodes.map(contacts);
            response.nodes6 = response.nodes6.map(contacts);
            response.values = response.values.map(|list| Values::new(list.iter().collect::<Vec<_>>().leak()));
        }
        Some(message)
    }

    fn encode(message: &Message<'_>, out: &mut BytesMut) {
        out.clear();
        message.encode(out);
    }

    fn buffer() -> BytesMut {
        BytesMut::with_capacity(CAPACITY)
    }
}
