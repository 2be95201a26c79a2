//! The mirror's stream: when it is opened, how far, and when it stops.

use super::requests::By;
use super::{Download, Event, Origin, Piece, RequestId, What};
use crate::claim::PIECE_LEN;

/// The mirror's stream as it is open.
#[derive(Clone, Copy, Debug)]
pub(super) struct Stream {
    /// The piece that it is in.
    pub(super) piece: usize,
    /// The piece after its last.
    pub(super) end_piece: usize,
}

impl Download {
    /// The stream that is open.
    pub(super) fn stream(&self) -> Option<Stream> {
        let request = self.requests.of(By::Mirror).next()?;
        let What::Range { offset, len } = request.what else { return None };
        let end_piece = (offset + len).div_ceil(PIECE_LEN) as usize;
        Some(Stream { piece: ((offset + request.received) / PIECE_LEN) as usize, end_piece })
    }

    /// Opens a stream over the run of pieces that peers lack or are late with.
    pub(super) fn ask_mirror(&mut self) {
        if self.requests.of(By::Mirror).next().is_some() || !self.mirror.is_usable(self.now) {
            return;
        }
        let Some((first, end)) = self.run_for_mirror() else { return };
        let start = self.mirror.resume_in(self.pieces.range(first));
        let end = self.pieces.range(end - 1).end;
        self.request(By::Mirror, What::Range { offset: start, len: end - start });
    }

    /// The stream went on from `before` bytes of its own: pieces that are whole are done, and it
    /// stops at one that a peer has given or is about to.
    pub(super) fn stream_moved(&mut self, id: RequestId, before: u64) {
        let Some(request) = self.requests.get_mut(id).copied() else { return };
        let What::Range { offset, len } = request.what else { return };
        let cursor = offset + request.received;
        let first = ((offset + before) / PIECE_LEN) as usize;
        let is_whole = request.received == len;
        let next = if is_whole { cursor.div_ceil(PIECE_LEN) } else { cursor / PIECE_LEN } as usize;
        for piece in first..next {
            if self.pieces.is_missing(piece) {
                self.piece_came_from_mirror(piece);
            }
        }
        if is_whole {
            self.requests.remove(self.now, id);
            self.mirror.ended(cursor, request.received);
        } else if next > first && self.is_taken(next) {
            self.cancel_where(|request| request.id == id);
        }
    }

    /// A peer gave a piece: if the stream is in it, it goes on only for what comes after.
    pub(super) fn stream_is_overtaken(&mut self, piece: usize) {
        if let Some(stream) = self.stream()
            && stream.piece == piece
            && (piece + 1 >= stream.end_piece || self.is_taken(piece + 1))
        {
            self.cancel_where(|request| request.by == By::Mirror);
        }
    }

    fn is_taken(&self, piece: usize) -> bool {
        !self.pieces.is_missing(piece) || self.is_in_good_hands(piece)
    }

    fn piece_came_from_mirror(&mut self, piece: usize) {
        self.stats.pieces_from_mirror += 1;
        self.pieces.set(piece, Piece::FromMirror);
        self.events.push_back(Event::PieceDone { index: piece as u64, origin: Origin::Mirror });
        self.cancel_where(|request| request.piece() == Some(piece));
    }

    /// The first run of missing pieces that is for the mirror: the first piece, and the one after
    /// the last.
    ///
    /// While no peer is at work, and has not been for some time, that is all that is missing. While
    /// all of them are late, all but what they are at is better had from the mirror too. Else only
    /// what is late.
    fn run_for_mirror(&self) -> Option<(usize, usize)> {
        let asked = self.requests.pieces();
        let waited = |since| self.now >= since + self.config.mirror_delay;
        let alone = self.peers_are_exhausted() || self.idle_since.is_some_and(waited);
        let overwhelmed = !asked.is_empty() && !asked.iter().any(|&piece| self.is_in_good_hands(piece));
        let is_for_mirror = |piece: usize| {
            let is_asked = asked.binary_search(&piece).is_ok();
            self.pieces.is_missing(piece)
                && if is_asked { !self.is_in_good_hands(piece) } else { alone || overwhelmed }
        };
        let first = self.pieces.missing().find(|&piece| is_for_mirror(piece))?;
        let end = (first..self.pieces.len()).find(|&piece| !is_for_mirror(piece));
        Some((first, end.unwrap_or(self.pieces.len())))
    }
}
