//! The crates that read and write through serde.

use super::fields::Datagram;
use super::{CAPACITY, Codec};
use serde::{Deserialize, Serialize};
use serde_bytes::{ByteBuf, Bytes};
use std::marker::PhantomData;

pub trait SerdeCrate {
    const NAME: &str;
    /// A byte string: borrowed, where the crate can.
    type Bytes<'a>: Deserialize<'a> + Serialize;
    type Error;
    fn decode<'a, T: Deserialize<'a>>(datagram: &'a [u8]) -> Result<T, Self::Error>;
    fn encode(message: &impl Serialize, out: &mut Vec<u8>);
}

pub struct Serde<S>(PhantomData<S>);

impl<S: SerdeCrate> Codec for Serde<S> {
    const NAME: &str = S::NAME;
    type Message<'a> = Datagram<S::Bytes<'a>>;
    type Error = S::Error;
    type Written<'a> = Datagram<S::Bytes<'a>>;
    type Buffer = Vec<u8>;

    fn decode(datagram: &[u8]) -> Result<Self::Message<'_>, S::Error> {
        S::decode(datagram)
    }

    fn prepare(message: Self::Message<'_>) -> Option<Self::Written<'_>> {
        Some(message)
    }

    fn encode(message: &Self::Written<'_>, out: &mut Vec<u8>) {
        S::encode(message, out);
    }

    fn buffer() -> Vec<u8> {
        Vec::with_capacity(CAPACITY)
    }
}

/// Does not find the end of the list in an error, so it reads none.
pub struct Librqbit;

impl SerdeCrate for Librqbit {
    const NAME: &str = "librqbit-bencode";
    type Bytes<'a> = librqbit_bencode::ByteBuf<'a>;
    type Error = String;

    fn decode<'a, T: Deserialize<'a>>(datagram: &'a [u8]) -> Result<T, String> {
        librqbit_bencode::from_bytes(datagram).map_err(|error| error.to_string())
    }

    fn encode(message: &impl Serialize, out: &mut Vec<u8>) {
        out.clear();
        librqbit_bencode::bencode_serialize_to_writer(message, out).expect("writing to memory");
    }
}

pub struct BtBencode;

impl SerdeCrate for BtBencode {
    const NAME: &str = "bt_bencode";
    type Bytes<'a> = &'a Bytes;
    type Error = bt_bencode::Error;

    fn decode<'a, T: Deserialize<'a>>(datagram: &'a [u8]) -> Result<T, bt_bencode::Error> {
        bt_bencode::from_slice(datagram)
    }

    fn encode(message: &impl Serialize, out: &mut Vec<u8>) {
        out.clear();
        bt_bencode::to_writer(out, message).expect("writing to memory");
    }
}

pub struct SerdeBencoded;

impl SerdeCrate for SerdeBencoded {
    const NAME: &str = "serde_bencoded";
    type Bytes<'a> = &'a Bytes;
    type Error = serde_bencoded::DeError;

    fn decode<'a, T: Deserialize<'a>>(datagram: &'a [u8]) -> Result<T, serde_bencoded::DeError> {
        serde_bencoded::from_bytes(datagram)
    }

    fn encode(message: &impl Serialize, out: &mut Vec<u8>) {
        out.clear();
        serde_bencoded::to_writer(message, out).expect("writing to memory");
    }
}

/// Cannot borrow.
pub struct SerdeBencode;

impl SerdeCrate for SerdeBencode {
    const NAME: &str = "serde_bencode";
    type Bytes<'a> = ByteBuf;
    type Error = serde_bencode::Error;

    fn decode<'a, T: Deserialize<'a>>(datagram: &'a [u8]) -> Result<T, serde_bencode::Error> {
        serde_bencode::from_bytes(datagram)
    }

    fn encode(message: &impl Serialize, out: &mut Vec<u8>) {
        *out = serde_bencode::to_bytes(message).expect("writing to memory");
    }
}
