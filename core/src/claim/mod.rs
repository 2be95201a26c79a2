//! Claims: the values under a file's key that say where the file can be had.
//!
//! Protocol, section 6. A claim is a bencoded dictionary with the address of a
//! peer's HTTP server and, for a file of more than one piece, the piece hashes or
//! their SHA-1. Which of the two depends on how many there are: see [`Tier`].

mod error;
mod path;
mod piece_hashes;

pub use error::ClaimError;
pub use path::{PATH_PREFIX, PathError, decode_path, encode_path};
pub use piece_hashes::{PIECE_LEN, PieceHasher, PieceHashes, piece_count, piece_range};

use crate::bencode::{Bounds, DecodeError, Decoder, Encoder, Fault};
use crate::id::Id;
use alloc::vec::Vec;
use bytes::BytesMut;
use core::net::{Ipv4Addr, Ipv6Addr, SocketAddrV4, SocketAddrV6};
use sha1::{Digest, Sha1};

/// The key of the file whose hash this is, of any length: the hash itself, padded
/// with zero bytes or cut to 20 (protocol, section 5).
pub fn file_key(file_hash: &[u8]) -> Id {
    let mut key = [0; Id::LEN];
    key.iter_mut().zip(file_hash).for_each(|(to, from)| *to = *from);
    Id(key)
}

/// The key that peers without IPv4 publish under instead: `SHA1("6" ‖ key)`.
pub fn v6_key(key: &Id) -> Id {
    Id(Sha1::new().chain_update(b"6").chain_update(key).finalize().into())
}

/// Which of a file's two keys a claim stands under.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClaimKey {
    /// [`file_key`]: every claim has an IPv4 address, `c`.
    File,
    /// [`v6_key`]: every claim has an IPv6 address, `c6`.
    FileV6,
}

/// Where piece hashes are to be had, by their number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Tier {
    /// Nowhere: a file of one piece needs none.
    None,
    /// `t`, in the claim itself: 2 to 4.
    Inline,
    /// `h`, in the DHT under their SHA-1: 5 to 64. (2008: to 70.)
    Dht,
    /// `l`, from the peers by HTTP: 65 and more.
    Peers,
}

impl Tier {
    /// The tier that we publish a file with so many pieces in. All are read.
    pub const fn for_pieces(pieces: u64) -> Tier {
        match pieces {
            0 | 1 => Tier::None,
            2..=4 => Tier::Inline,
            5..=64 => Tier::Dht,
            _ => Tier::Peers,
        }
    }
}

/// What a claim says about the piece hashes of its file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PieceHashesRef {
    /// Nothing.
    None,
    /// `t`: the piece hashes, at least one.
    Inline(PieceHashes),
    /// `h`: their SHA-1, the key that they are stored under in the DHT.
    Dht([u8; 20]),
    /// `l`: their SHA-1, by which peers serve them.
    Peers([u8; 20]),
}

impl PieceHashesRef {
    /// What to say of these piece hashes in a claim of ours: see [`Tier::for_pieces`].
    pub fn to(hashes: &PieceHashes) -> PieceHashesRef {
        match Tier::for_pieces(hashes.len() as u64) {
            Tier::None => PieceHashesRef::None,
            Tier::Inline => PieceHashesRef::Inline(hashes.clone()),
            Tier::Dht => PieceHashesRef::Dht(hashes.sha1()),
            Tier::Peers => PieceHashesRef::Peers(hashes.sha1()),
        }
    }

    /// The SHA-1 of the piece hashes that are named, in whatever tier.
    pub fn sha1(&self) -> Option<[u8; 20]> {
        match self {
            PieceHashesRef::None => None,
            PieceHashesRef::Inline(hashes) => Some(hashes.sha1()),
            PieceHashesRef::Dht(sha1) | PieceHashesRef::Peers(sha1) => Some(*sha1),
        }
    }

    /// Where they are to be had.
    pub fn tier(&self) -> Tier {
        match self {
            PieceHashesRef::None => Tier::None,
            PieceHashesRef::Inline(_) => Tier::Inline,
            PieceHashesRef::Dht(_) => Tier::Dht,
            PieceHashesRef::Peers(_) => Tier::Peers,
        }
    }
}

/// One claim: a peer's HTTP server has the file under whose key this was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claim {
    /// `c`. Always there in a claim under [`ClaimKey::File`].
    pub v4: Option<SocketAddrV4>,
    /// `c6`. Always there in a claim under [`ClaimKey::FileV6`].
    pub v6: Option<SocketAddrV6>,
    /// `t`, `h` or `l`.
    pub pieces: PieceHashesRef,
}

impl Claim {
    /// Reads a value found under a file's key.
    ///
    /// Keys that are not known are ignored. A claim that lacks the address that its
    /// key calls for, holds an address or a hash of the wrong length, or names
    /// piece hashes in two tiers at once is no claim.
    pub fn decode(value: &[u8], key: ClaimKey) -> Result<Claim, ClaimError> {
        let mut claim = Claim { v4: None, v6: None, pieces: PieceHashesRef::None };
        let mut decoder = Decoder::new(value, Bounds::DATAGRAM);
        let mut keys = decoder.begin_dictionary()?;
        while let Some(name) = decoder.next_key(&mut keys)? {
            let pieces = match name {
                b"c" => {
                    claim.v4 = Some(v4_from_compact(decoder.array()?));
                    continue;
                }
                b"c6" => {
                    claim.v6 = Some(v6_from_compact(decoder.array()?));
                    continue;
                }
                b"t" => PieceHashesRef::Inline(piece_hashes::decode_from(&mut decoder)?),
                b"h" => PieceHashesRef::Dht(decoder.array()?),
                b"l" => PieceHashesRef::Peers(decoder.array()?),
                _ => {
                    decoder.skip()?;
                    continue;
                }
            };
            if claim.pieces != PieceHashesRef::None {
                return Err(ClaimError::TwoTiers);
            }
            claim.pieces = pieces;
        }
        decoder.finish()?;
        match key {
            ClaimKey::File if claim.v4.is_none() => Err(ClaimError::AddressMissing("c")),
            ClaimKey::FileV6 if claim.v6.is_none() => Err(ClaimError::AddressMissing("c6")),
            _ => Ok(claim),
        }
    }

    /// The bytes to store. Reading them gives the same claim.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = BytesMut::with_capacity(160);
        let mut encoder = Encoder::new(&mut out);
        encoder.begin_dictionary();
        if let Some(v4) = &self.v4 {
            encoder.bytes(b"c").bytes(&v4_to_compact(v4));
        }
        if let Some(v6) = &self.v6 {
            encoder.bytes(b"c6").bytes(&v6_to_compact(v6));
        }
        match &self.pieces {
            PieceHashesRef::None => {}
            PieceHashesRef::Inline(hashes) => drop(encoder.bytes(b"t").raw(&hashes.encode())),
            PieceHashesRef::Dht(sha1) => drop(encoder.bytes(b"h").bytes(sha1)),
            PieceHashesRef::Peers(sha1) => drop(encoder.bytes(b"l").bytes(sha1)),
        }
        encoder.end();
        out.to_vec()
    }
}

fn v4_from_compact(compact: [u8; 6]) -> SocketAddrV4 {
    let [a, b, c, d, port @ ..] = compact;
    SocketAddrV4::new(Ipv4Addr::new(a, b, c, d), u16::from_be_bytes(port))
}

fn v4_to_compact(address: &SocketAddrV4) -> [u8; 6] {
    let ([a, b, c, d], [high, low]) = (address.ip().octets(), address.port().to_be_bytes());
    [a, b, c, d, high, low]
}

fn v6_from_compact(compact: [u8; 18]) -> SocketAddrV6 {
    let [ip @ .., high, low] = compact;
    SocketAddrV6::new(Ipv6Addr::from(ip), u16::from_be_bytes([high, low]), 0, 0)
}

fn v6_to_compact(address: &SocketAddrV6) -> [u8; 18] {
    let mut compact = [0; 18];
    compact[..16].copy_from_slice(&address.ip().octets());
    compact[16..].copy_from_slice(&address.port().to_be_bytes());
    compact
}

impl From<DecodeError> for ClaimError {
    fn from(error: DecodeError) -> ClaimError {
        ClaimError::Decode(error)
    }
}

/// A value of the right type in the wrong shape, at the decoder's place.
fn unexpected(offset: usize) -> DecodeError {
    DecodeError { fault: Fault::Unexpected, offset }
}

#[cfg(test)]
mod tests;
