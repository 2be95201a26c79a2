//! The mirror's stream: when it is opened, how far, and when it stops.

use super::requests::By;
use super::{Download, Event, Origin, Outstanding, Piece, RequestId, What};
use crate::claim::PIECE_LEN;
use crate::time::Instant;
use alloc::vec::Vec;
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
        self.measure_stream(&request);
        let is_whole = request.received == len;
        let next = if is_whole { cursor.div_ceil(PIECE_LEN) } else { cursor / PIECE_LEN } as usize;
        for piece in first..cursor.div_ceil(PIECE_LEN) as usize {
            if !self.pieces.is_missing(piece) {
                let range = self.pieces.range(piece);
                let twice = range.start.max(offset + before)..range.end.min(cursor);
                self.stats.bytes_wasted += twice.end - twice.start;
            } else if piece < next {
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
        let Some(mirror) = self.mirror_rate() else { return true };
        let faster = |by: By| self.piece_time_of(by).is_some_and(|time| rate(time) >= mirror);
        self.requests.for_piece(piece).any(|request| faster(request.by))
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
    /// What no peer has is for it. If the file is urgent, so is what is late, and what nobody was
    /// asked for, if no peer is at work and none has been for some time, or all that are are late, or
    /// slower than it; and in the end, if they are slower, what they are still at.
    fn run_for_mirror(&self) -> Option<(usize, usize)> {
        let exhausted = self.peers_are_exhausted();
        if !exhausted && !self.is_urgent() {
            return None;
        }
        let asked = self.requests.pieces();
        let alone = exhausted || self.alone_at().is_some_and(|at| self.now >= at);
        let overwhelmed = !asked.is_empty() && !asked.iter().any(|&piece| self.is_in_good_hands(piece));
        let slower = self.peers_are_slower();
        let is_for_mirror = |piece: usize| match asked.binary_search(&piece) {
            Ok(_) => !self.is_in_good_hands(piece),
            Err(_) => (alone || overwhelmed || slower) && self.pieces.is_missing(piece),
        };
        let run = |is_in: &dyn Fn(usize) -> bool| {
            let first = self.pieces.missing().find(|&piece| is_in(piece))?;
            let end = (first..self.pieces.len()).find(|&piece| !is_in(piece));
            Some((first, end.unwrap_or(self.pieces.len())))
        };
        let probe = || {
            let last = self.pieces.missing().filter(|piece| asked.binary_search(piece).is_err()).last();
            let due = self.probe_at().is_some_and(|at| self.now >= at);
            last.filter(|_| due).map(|last| (last, last + 1))
        };
        run(&is_for_mirror).or_else(|| run(&|piece| slower && !self.is_taken(piece))).or_else(probe)
    }

    /// Whether the mirror is to help where peers do too little: somebody waits for the file, or
    /// nobody is to wait for peers.
    pub(super) fn is_urgent(&self) -> bool {
        self.wanted_since.is_some() || self.config.mirror_delay == Duration::ZERO
    }

    /// When the mirror is asked because no peer has been asked for a piece.
    pub(super) fn alone_at(&self) -> Option<Instant> {
        let idle_since = self.idle_since.filter(|_| self.is_urgent())?;
        Some(self.wanted_since.map_or(idle_since, |since| since.max(idle_since)) + self.config.mirror_delay)
    }

    /// When the mirror is asked for a piece to learn how fast it is.
    pub(super) fn probe_at(&self) -> Option<Instant> {
        let since = self.wanted_since.filter(|_| self.mirror_rate().is_none())?;
        Some(since + self.config.mirror_probe)
    }

    /// Whether the peers that are at work are slower together than the mirror, as far as known.
    /// Who has given nothing yet is taken for as fast as the fastest.
    fn peers_are_slower(&self) -> bool {
        let Some(mirror) = self.mirror_rate() else { return false };
        // One for each peer: the first of its requests.
        let at_work = self.requests.iter().filter(|r| r.piece().is_some() && r.first_since.is_some());
        let rates: Vec<Option<u64>> = at_work.map(|r| self.piece_time_of(r.by).map(rate)).collect();
        let Some(fastest) = rates.iter().flatten().max() else { return false };
        rates.iter().fold(0, |sum: u64, rate| sum.saturating_add(rate.unwrap_or(*fastest))) < mirror
    }

    /// Bytes a second that the mirror gives: measured, or else
    /// [`DownloadConfig::mirror_rate`](super::DownloadConfig::mirror_rate).
    pub fn mirror_rate(&self) -> Option<u64> {
        if self.stream_time == Duration::ZERO {
            self.config.mirror_rate
        } else {
            Some(rate(self.stream_time))
        }
    }
}

/// Bytes a second of who takes so long for a piece.
fn rate(piece_time: Duration) -> u64 {
    let micros = piece_time.as_micros().max(1);
    u64::try_from(u128::from(PIECE_LEN) * 1_000_000 / micros).unwrap_or(u64::MAX)
}
