//! Which pieces are there, and from where.

use crate::claim::{PieceHashes, piece_count, piece_range};
use alloc::vec;
use alloc::vec::Vec;
use core::ops::Range;

/// The state of every piece of the file.
#[derive(Clone, Debug)]
pub(super) struct Pieces {
    size: u64,
    pieces: Vec<Piece>,
    missing: usize,
    /// No piece before this one is missing.
    first_missing: usize,
}

/// One piece.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Piece {
    Missing,
    FromMirror,
    /// From the peer of that index, with its SHA-1.
    FromPeer(u16, [u8; 20]),
}

impl Pieces {
    pub(super) fn new(size: u64) -> Pieces {
        let count = usize::try_from(piece_count(size)).unwrap_or(usize::MAX);
        Pieces { size, pieces: vec![Piece::Missing; count], missing: count, first_missing: 0 }
    }

    pub(super) fn len(&self) -> usize {
        self.pieces.len()
    }

    pub(super) fn is_complete(&self) -> bool {
        self.missing == 0
    }

    pub(super) fn is_missing(&self, index: usize) -> bool {
        self.pieces.get(index) == Some(&Piece::Missing)
    }

    /// The missing pieces, in file order.
    pub(super) fn missing(&self) -> impl Iterator<Item = usize> {
        (self.first_missing..self.pieces.len()).filter(|&index| self.is_missing(index))
    }

    /// The bytes of one piece.
    pub(super) fn range(&self, index: usize) -> Range<u64> {
        piece_range(self.size, index as u64)
    }

    pub(super) fn set(&mut self, index: usize, piece: Piece) {
        let Some(slot) = self.pieces.get_mut(index) else { return };
        match (*slot, piece) {
            (Piece::Missing, Piece::Missing) => {}
            (Piece::Missing, _) => self.missing -= 1,
            (_, Piece::Missing) => {
                self.missing += 1;
                self.first_missing = self.first_missing.min(index);
            }
            _ => {}
        }
        *slot = piece;
        while self.first_missing < self.pieces.len() && !self.is_missing(self.first_missing) {
            self.first_missing += 1;
        }
    }

    /// The peers that pieces came from, in file order, with repetitions.
    pub(super) fn givers(&self) -> impl Iterator<Item = usize> {
        self.pieces.iter().filter_map(|piece| match piece {
            Piece::FromPeer(peer, _) => Some(usize::from(*peer)),
            _ => None,
        })
    }

    /// Makes pieces of peers missing again, except those that match `hashes`. Gives the bytes
    /// that are not there any more, in file order, each run as one range.
    pub(super) fn discard_from_peers(&mut self, hashes: Option<&PieceHashes>) -> Vec<Range<u64>> {
        let mut gone: Vec<Range<u64>> = Vec::new();
        for index in 0..self.pieces.len() {
            let Piece::FromPeer(_, sha1) = self.pieces[index] else { continue };
            if hashes.is_some_and(|hashes| hashes.of_piece(index) == Some(sha1)) {
                continue;
            }
            self.set(index, Piece::Missing);
            let range = self.range(index);
            match gone.last_mut() {
                Some(last) if last.end == range.start => last.end = range.end,
                _ => gone.push(range),
            }
        }
        gone
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::claim::PIECE_LEN;

    #[test]
    fn discarding_spares_the_mirror_and_what_matches() {
        let mut pieces = Pieces::new(5 * PIECE_LEN - 1);
        pieces.set(0, Piece::FromPeer(0, [0; 20]));
        pieces.set(1, Piece::FromPeer(1, [9; 20]));
        pieces.set(2, Piece::FromPeer(1, [9; 20]));
        pieces.set(3, Piece::FromMirror);
        pieces.set(4, Piece::FromPeer(0, [9; 20]));
        assert!(pieces.is_complete());
        let hashes = PieceHashes::new((0..5).map(|i| [i; 20]).collect());
        let gone = pieces.discard_from_peers(Some(&hashes));
        assert_eq!(gone, [PIECE_LEN..3 * PIECE_LEN, 4 * PIECE_LEN..5 * PIECE_LEN - 1]);
        assert_eq!(pieces.missing().collect::<Vec<_>>(), [1, 2, 4]);
    }
}
