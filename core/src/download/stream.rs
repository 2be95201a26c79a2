//! The mirror's stream: when it is opened, how far, and when it stops.

use super::requests::By;
use super::{Download, Event, Origin, Outstanding, Piece, RequestId, What};
use crate::claim::PIECE_LEN;
use core::time::Duration;

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
        let is_needed = self.mirror_is_needed();
        let Some((first, end)) = self.run_for_mirror(is_needed) else { return };
        self.mirror_helps = is_needed;
        self.pieces_at_opening = (self.stats.pieces_from_mirror, self.stats.pieces_from_peers);
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
        self.measure_stream(&request);
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
            self.compare_with_peers();
        } else if next > first && self.is_taken(next) {
            self.cancel_where(|request| request.id == id);
            self.compare_with_peers();
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

    /// How long the stream takes for a piece, from its opening on.
    fn measure_stream(&mut self, request: &Outstanding) {
        let Some(since) = request.first_since else { return };
        let took = u128::from(self.now.as_micros() - since.as_micros());
        let per_piece = took * u128::from(PIECE_LEN) / u128::from(request.received.max(1));
        self.stream_time = Duration::from_micros(u64::try_from(per_piece).unwrap_or(u64::MAX));
    }

    /// Whether the stream has nothing to gain from a piece: it is there, or a peer will have it
    /// sooner than the stream could.
    fn is_taken(&self, piece: usize) -> bool {
        !self.pieces.is_missing(piece) || self.is_in_good_hands(piece) && self.peers_beat_stream_to(piece)
    }

    fn peers_beat_stream_to(&self, piece: usize) -> bool {
        let sooner = |by: By| self.piece_time_of(by).is_some_and(|time| time <= self.stream_time);
        self.stream_time == Duration::ZERO || self.requests.for_piece(piece).any(|request| sooner(request.by))
    }

    /// The stream met the peers: it goes on beyond them unless they did more than it meanwhile.
    fn compare_with_peers(&mut self) {
        let (mirror, peers) = self.pieces_at_opening;
        self.mirror_helps &= self.stats.pieces_from_peers - peers <= self.stats.pieces_from_mirror - mirror;
    }

    fn piece_came_from_mirror(&mut self, piece: usize) {
        self.stats.pieces_from_mirror += 1;
        self.pieces.set(piece, Piece::FromMirror);
        self.events.push_back(Event::PieceDone { index: piece as u64, origin: Origin::Mirror });
        self.cancel_where(|request| request.piece() == Some(piece));
    }

    /// Whether the mirror is needed for more than what is late: no peer is at work, and none has
    /// been for some time; or all that are are late; or it does more than they.
    fn mirror_is_needed(&self) -> bool {
        let asked = self.requests.pieces();
        let waited = |since| self.now >= since + self.config.mirror_delay;
        let alone = self.peers_are_exhausted() || self.idle_since.is_some_and(waited);
        let overwhelmed = !asked.is_empty() && !asked.iter().any(|&piece| self.is_in_good_hands(piece));
        alone || overwhelmed || self.mirror_helps
    }

    /// The first run of missing pieces that is for the mirror: the first piece, and the one after
    /// the last. What is late is for it; if it `is_needed`, so is what nobody was asked for.
    fn run_for_mirror(&self, is_needed: bool) -> Option<(usize, usize)> {
        let asked = self.requests.pieces();
        let is_for_mirror = |piece: usize| match asked.binary_search(&piece) {
            Ok(_) if self.mirror_helps => !self.is_taken(piece),
            Ok(_) => !self.is_in_good_hands(piece),
            Err(_) => is_needed && self.pieces.is_missing(piece),
        };
        let first = self.pieces.missing().find(|&piece| is_for_mirror(piece))?;
        let end = (first..self.pieces.len()).find(|&piece| !is_for_mirror(piece));
        Some((first, end.unwrap_or(self.pieces.len())))
    }
}
