//! A port of libtorrent's bdecode: a table of tokens, before any field is looked up. It only reads.

use super::Codec;
use bdecode::{BdecodeError, Bencode, bdecode};
use std::convert::Infallible;

pub struct Bdecode;

impl Codec for Bdecode {
    const NAME: &str = "bdecode";
    type Message<'a> = Bencode<'a>;
    type Error = BdecodeError;
    type Written<'a> = Infallible;
    type Buffer = Vec<u8>;

    fn decode(datagram: &[u8]) -> Result<Bencode<'_>, BdecodeError> {
        bdecode(datagram)
    }

    fn prepare(_: Self::Message<'_>) -> Option<Self::Written<'_>> {
        None
    }

    fn encode(message: &Infallible, _: &mut Vec<u8>) {
        match *message {}
    }

    fn buffer() -> Vec<u8> {
        Vec::new()
    }
}
