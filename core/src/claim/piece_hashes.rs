//! Pieces of a file and their hashes.

use super::unexpected;
use crate::bencode::{Bounds, DecodeError, Decoder, Encoder, bytes_len};
use alloc::vec::Vec;
use bytes::BytesMut;
use core::ops::Range;
use sha1::{Digest, Sha1};

/// Bytes in a piece. A file's last piece is shorter, never empty.
pub const PIECE_LEN: u64 = 524_288;

/// How many pieces a file of `size` bytes has: none if it is empty.
pub const fn piece_count(size: u64) -> u64 {
    size.div_ceil(PIECE_LEN)
}

/// The SHA-1 of each piece of a file, in order.
///
/// They are hints from strangers until the hash of the whole file is right.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct PieceHashes(Vec<[u8; 20]>);

impl PieceHashes {
    /// From the hashes of all pieces.
    pub fn new(hashes: Vec<[u8; 20]>) -> PieceHashes {
        PieceHashes(hashes)
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are none: those of an empty file.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The hash of one piece, counted from 0.
    pub fn of_piece(&self, index: usize) -> Option<[u8; 20]> {
        self.0.get(index).copied()
    }

    /// All of them, in order.
    pub fn as_slice(&self) -> &[[u8; 20]] {
        &self.0
    }

    /// Whether a file of `size` bytes has so many pieces.
    pub fn fits(&self, size: u64) -> bool {
        self.0.len() as u64 == piece_count(size)
    }

    /// The SHA-1 of all of them, one after the other: what `h` and `l` of a claim hold,
    /// the key of [`encode`](Self::encode) in the DHT, and its name among peers.
    pub fn sha1(&self) -> [u8; 20] {
        Sha1::digest(self.0.as_flattened()).into()
    }

    /// `{t: piece hashes}`, as stored in the DHT and served to peers.
    pub fn encode(&self) -> Vec<u8> {
        let hashes = self.0.as_flattened();
        let mut out = BytesMut::with_capacity(5 + bytes_len(hashes.len()));
        Encoder::new(&mut out).begin_dictionary().bytes(b"t").bytes(hashes).end();
        out.to_vec()
    }

    /// Reads `{t: piece hashes}`: at least one hash, keys that are not known ignored.
    pub fn decode(value: &[u8]) -> Result<PieceHashes, DecodeError> {
        let mut decoder = Decoder::new(value, Bounds::DATAGRAM);
        let hashes = decode_from(&mut decoder)?;
        decoder.finish()?;
        Ok(hashes)
    }
}

/// Reads `{t: piece hashes}` where the decoder stands.
pub(super) fn decode_from(decoder: &mut Decoder<'_>) -> Result<PieceHashes, DecodeError> {
    let start = decoder.offset();
    let mut hashes = None;
    let mut keys = decoder.begin_dictionary()?;
    while let Some(key) = decoder.next_key(&mut keys)? {
        if key == b"t" {
            let offset = decoder.offset();
            let (chunks, rest) = decoder.bytes()?.as_chunks::<20>();
            if chunks.is_empty() || !rest.is_empty() {
                return Err(unexpected(offset));
            }
            hashes = Some(PieceHashes(chunks.to_vec()));
        } else {
            decoder.skip()?;
        }
    }
    hashes.ok_or(unexpected(start))
}

/// The bytes of a file of `size` bytes that make up one piece; empty past its end.
pub fn piece_range(size: u64, index: u64) -> Range<u64> {
    let start = index.saturating_mul(PIECE_LEN).min(size);
    start..start.saturating_add(PIECE_LEN).min(size)
}

/// Makes the piece hashes of a file from its bytes, in chunks of any length.
///
/// ```
/// use khashmir::claim::PieceHasher;
///
/// let mut hasher = PieceHasher::new();
/// hasher.update(b"khash");
/// hasher.update(b"mir");
/// assert_eq!(hasher.finish().len(), 1);
/// ```
#[derive(Clone, Debug, Default)]
pub struct PieceHasher {
    piece: Sha1,
    /// Bytes in `piece`, less than [`PIECE_LEN`].
    filled: u64,
    done: Vec<[u8; 20]>,
}

impl PieceHasher {
    /// A hasher that has seen nothing.
    pub fn new() -> PieceHasher {
        PieceHasher::default()
    }

    /// Takes the next bytes of the file.
    pub fn update(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            let room = usize::try_from(PIECE_LEN - self.filled).unwrap_or(usize::MAX);
            let (now, later) = bytes.split_at(room.min(bytes.len()));
            self.piece.update(now);
            self.filled += now.len() as u64;
            if self.filled == PIECE_LEN {
                self.end_piece();
            }
            bytes = later;
        }
    }

    /// The hashes of all pieces, the last one included.
    pub fn finish(mut self) -> PieceHashes {
        if self.filled > 0 {
            self.end_piece();
        }
        PieceHashes(self.done)
    }

    fn end_piece(&mut self) {
        self.done.push(self.piece.finalize_reset().into());
        self.filled = 0;
    }
}
