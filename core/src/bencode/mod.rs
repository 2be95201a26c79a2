//! Bencode: a decoder that borrows from its input, and a canonical encoder.
//!
//! Protocol, section 1. The decoder is a cursor over the input: it is told what to
//! expect and hands out slices. It allocates nothing, never recurses, reads every
//! byte once, and stops at bounds on depth and tokens. What it accepts is
//! canonical: encoding it again gives the same bytes.

mod decode;
mod encode;
#[cfg(test)]
pub(crate) mod reference;
mod token;

pub(crate) use decode::ByteStrings;
pub use decode::{Bounds, DecodeError, Decoder, Fault, Keys, Kind};
pub use encode::{Encoder, bytes_len, integer_len};
