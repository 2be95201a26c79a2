//! Which piece is asked of which peer.

use super::requests::{By, Late};
use super::{Download, Event, Origin, Piece, RequestId, Verdict, What};
use core::cmp::Reverse;
use core::time::Duration;

/// Late is what takes so many times as long as a piece took on average.
pub(super) const LATE_FACTOR: u32 = 4;

/// The mirror's stream is soon over if it has no more pieces than this before it.
const SHORT_STREAM: usize = 4;

impl Download {
    /// Asks the group's peers for pieces, up to the number at a time.
    pub(super) fn ask_for_pieces(&mut self) {
        while self.requests.pieces().len() < self.config.pieces_at_a_time.max(1) {
            let Some(peer) = self.next_peer(None) else { return };
            let Some(piece) = self.next_piece() else { return };
            self.ask(peer, piece);
        }
    }

    /// Asks a second peer for each piece that is late, if there is one that has given something
    /// and has room. If there is none, the piece is for the mirror, and only if that cannot be
    /// asked either, for a peer that has yet to show what it can.
    pub(super) fn ask_second_sources(&mut self) {
        for piece in self.requests.pieces() {
            let Some((id, by, hedged)) = self.only_holder(piece) else { continue };
            let streaming = self.stream().is_some_and(|stream| stream.piece == piece);
            if streaming || !self.requests.is_late(self.now, by, &self.late()) {
                continue;
            }
            if !hedged {
                if let Some(first) = self.requests.get_mut(id) {
                    first.hedged = true;
                }
                if let By::Peer(peer) = by {
                    self.peers.was_late(peer);
                }
                self.stats.pieces_late += 1;
            }
            let mirror_will_do = self.is_urgent()
                && self.mirror.is_usable(self.now)
                && self.stream().is_none_or(|stream| stream.end_piece - stream.piece <= SHORT_STREAM);
            let second = self.next_peer(Some(piece));
            if let Some(second) =
                second.filter(|peer| !mirror_will_do || self.peers[*peer].piece_time.is_some())
            {
                self.ask(second, piece);
            }
        }
    }

    /// The request for a piece that only one peer was asked for.
    fn only_holder(&self, piece: usize) -> Option<(RequestId, By, bool)> {
        let mut holders = self.requests.for_piece(piece);
        match (holders.next(), holders.next()) {
            (Some(first), None) => Some((first.id, first.by, first.hedged)),
            _ => None,
        }
    }

    /// After so long the first request of a source is late.
    pub(super) fn late(&self) -> Late {
        let late = self.piece_time.saturating_mul(LATE_FACTOR);
        let moving = late.max(self.config.late_min).min(self.config.late_max.max(self.config.late_min));
        // A wait of nothing would make requests late before they are made.
        Late { silent: self.config.late_silent.max(Duration::from_millis(1)).min(moving), moving }
    }

    /// Whether some peer is working on this piece that is not late, and was not before without
    /// ever having given anything.
    pub(super) fn is_in_good_hands(&self, piece: usize) -> bool {
        let late = self.late();
        self.requests.for_piece(piece).any(|request| {
            let hopeless = matches!(request.by, By::Peer(peer) if self.peers[peer].is_hopeless());
            !hopeless && !self.requests.is_late(self.now, request.by, &late)
        })
    }

    /// How long the latest piece of a peer took.
    pub(super) fn piece_time_of(&self, by: By) -> Option<Duration> {
        match by {
            By::Peer(peer) => self.peers[peer].piece_time,
            By::Dht | By::Mirror => None,
        }
    }

    pub(super) fn note_idleness(&mut self) {
        match self.requests.iter().any(|request| request.piece().is_some()) {
            true => self.idle_since = None,
            false => drop(self.idle_since.get_or_insert(self.now)),
        }
    }

    pub(super) fn piece_arrived(&mut self, id: RequestId, sha1: [u8; 20]) -> Verdict {
        let Some(request) = self.requests.remove(self.now, id) else { return Verdict::Discard };
        let (Some(piece), By::Peer(peer)) = (request.piece(), request.by) else { return Verdict::Discard };
        let range = self.pieces.range(piece);
        let len = range.end - range.start;
        self.stats.bytes_from_peers += len - request.received;
        let hashes =
            self.group.and_then(|index| self.groups.get(index)).and_then(|group| group.hashes.as_ref());
        if hashes.is_some_and(|hashes| hashes.of_piece(piece) != Some(sha1)) {
            self.stats.pieces_wrong += 1;
            self.stats.bytes_wasted += len;
            self.contradicted(peer);
            self.cancel_where(|other| other.by == request.by);
            return Verdict::Discard;
        }
        if let Some(since) = request.first_since {
            let took = self.now.saturating_duration_since(since);
            self.piece_time = self.piece_time.saturating_mul(7).saturating_add(took) / 8;
            self.peers.delivered(peer, took);
        }
        self.committed = true;
        self.stats.pieces_from_peers += 1;
        self.pieces.set(piece, Piece::FromPeer(peer as u16, sha1));
        self.mirror.forget(&range);
        let origin = Origin::Peer(self.peers[peer].address);
        self.events.push_back(Event::PieceDone { index: piece as u64, origin });
        self.cancel_where(|other| other.piece() == Some(piece));
        self.stream_is_overtaken(piece);
        Verdict::Keep
    }

    /// The peer to ask next: of those that have room and are not late, the one with the fewest
    /// strikes, then the least to do; a hopeless one only where no other could be asked later. With
    /// `second_for`, one that was not asked for that piece; it may have one request more than its
    /// share.
    fn next_peer(&self, second_for: Option<usize>) -> Option<usize> {
        let depth = self.config.depth.max(1) + usize::from(second_for.is_some());
        let group = self.groups.get(self.group?).filter(|group| group.is_ready())?;
        let late = self.late();
        let candidates = group.peers.iter().copied().filter(|&peer| {
            let by = By::Peer(peer);
            group.may_ask(&self.peers, peer)
                && self.requests.of(by).count() < depth
                && !self.requests.is_late(self.now, by, &late)
                && !self.requests.of(by).any(|request| second_for.is_some() && request.piece() == second_for)
        });
        let others = group.peers.iter().any(|&peer| {
            let is_at_work = !self.requests.is_late(self.now, By::Peer(peer), &late);
            group.may_ask(&self.peers, peer) && !self.peers[peer].is_hopeless() && is_at_work
        });
        let candidates = candidates.filter(|&peer| !others || !self.peers[peer].is_hopeless());
        if group.named.is_some() {
            return candidates.min_by_key(|&peer| {
                (self.peers[peer].strikes, self.requests.of(By::Peer(peer)).count(), self.peers[peer].rank)
            });
        }
        // Without piece hashes nobody can be told from the others in a wrong file: the fewer
        // had a part in it, the better.
        let has_part = |peer| {
            self.requests.of(By::Peer(peer)).next().is_some()
                || self.pieces.givers().any(|giver| giver == peer)
        };
        let busy = self.requests.iter().any(|request| request.piece().is_some());
        let best = candidates
            .min_by_key(|&peer| (Reverse(has_part(peer)), self.peers[peer].strikes, self.peers[peer].rank))?;
        (second_for.is_some() || !busy || self.requests.of(By::Peer(best)).next().is_some()).then_some(best)
    }

    /// The piece to ask for next: the first that is missing and asked of nobody. What the mirror's
    /// stream will reach comes last, and of that first what it reaches last, so that
    /// the stream and the peers meet in the middle.
    fn next_piece(&self) -> Option<usize> {
        let asked = self.requests.pieces();
        let is_free = |piece: usize| self.pieces.is_missing(piece) && asked.binary_search(&piece).is_err();
        let Some(stream) = self.stream() else { return self.pieces.missing().find(|&piece| is_free(piece)) };
        let ahead = stream.piece + 1..stream.end_piece;
        let elsewhere = |piece: &usize| *piece < stream.piece || *piece >= stream.end_piece;
        if let Some(piece) = self.pieces.missing().filter(elsewhere).find(|&piece| is_free(piece)) {
            return Some(piece);
        }
        let stop = ahead.clone().find(|&piece| !is_free(piece)).unwrap_or(ahead.end);
        if let Some(piece) = (stop..ahead.end).find(|&piece| is_free(piece)) {
            return Some(piece);
        }
        (ahead.start < stop).then(|| ahead.start + (stop - ahead.start) / 2)
    }

    fn ask(&mut self, peer: usize, piece: usize) {
        let range = self.pieces.range(piece);
        let what = What::Piece { index: piece as u64, offset: range.start, len: range.end - range.start };
        self.request(By::Peer(peer), what);
    }
}
