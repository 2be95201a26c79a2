//! `babbel_bencode`: reads into a tree that borrows, writes from one that owns.

use super::Codec;
use babbel_bencode::{BorrowedNode, Node, parse_borrowed, stringify_to_bytes};

pub struct Babbel;

impl Codec for Babbel {
    const NAME: &str = "babbel_bencode";
    type Message<'a> = BorrowedNode<'a>;
    type Error = String;
    type Written<'a> = Node;
    type Buffer = Vec<u8>;

    fn decode(datagram: &[u8]) -> Result<BorrowedNode<'_>, String> {
        parse_borrowed(datagram)
    }

    fn prepare(message: Self::Message<'_>) -> Option<Self::Written<'_>> {
        Some(message.to_node())
    }

    fn encode(message: &Node, out: &mut Vec<u8>) {
        *out = stringify_to_bytes(message).unwrap_or_default();
    }

    fn buffer() -> Vec<u8> {
        Vec::new()
    }
}
