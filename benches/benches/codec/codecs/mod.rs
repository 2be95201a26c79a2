//! Every codec, ours and the registry's, behind one trait.
//!
//! Ours gives a message of which nothing is left to check. Of the others each is used in the leanest way
//! that it offers: those that can borrow from the datagram do, into a struct of the fields that a message
//! may have, or the tree or table of tokens that the crate has. The lengths of ids and contacts, which
//! arguments belong to which method, and with most of them the order of keys, would still have to be
//! checked.
//!
//! Left out: `bencode` (last released in 2017, Rust 2015), `benko` (2021) and `bencode-decoder` (2016, never
//! finished), which nobody maintains. `bdecode` is as old, and here since it is libtorrent's algorithm.

mod babbel;
mod bdecode;
mod bendy;
mod fields;
mod khashmir;
mod serde;

pub trait Codec {
    const NAME: &str;
    type Message<'a>;
    type Error;
    /// What is written: the message, or what the crate has to write.
    type Written<'a>;
    type Buffer: AsRef<[u8]>;

    fn decode(datagram: &[u8]) -> Result<Self::Message<'_>, Self::Error>;

    /// Turns what was read into what is written. Not measured.
    fn prepare(message: Self::Message<'_>) -> Option<Self::Written<'_>>;

    /// Replaces what the buffer holds: in its room, if the crate can.
    fn encode(message: &Self::Written<'_>, out: &mut Self::Buffer);

    /// A buffer, with room if the crate can write into it.
    fn buffer() -> Self::Buffer;

    /// What is written of what is read of `datagram`; `None` if it can't be read, or can't be written
    /// without loss.
    fn writable(datagram: &[u8]) -> Option<Self::Written<'_>> {
        let message = Self::prepare(Self::decode(datagram).ok()?)?;
        let mut out = Self::buffer();
        Self::encode(&message, &mut out);
        (out.as_ref() == datagram).then_some(message)
    }
}

/// What is done with each codec.
pub trait Visitor {
    fn visit<C: Codec>(&mut self);
}

/// Ours first.
pub fn visit_all(visitor: &mut impl Visitor) {
    visitor.visit::<khashmir::Khashmir>();
    visitor.visit::<serde::Serde<serde::Librqbit>>();
    visitor.visit::<serde::Serde<serde::BtBencode>>();
    visitor.visit::<serde::Serde<serde::SerdeBencoded>>();
    visitor.visit::<serde::Serde<serde::SerdeBencode>>();
    visitor.visit::<bendy::Bendy>();
    visitor.visit::<babbel::Babbel>();
    visitor.visit::<bdecode::Bdecode>();
}

/// Room for any datagram.
const CAPACITY: usize = 2048;
