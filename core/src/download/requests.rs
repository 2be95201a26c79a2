//! Requests that are outstanding, in the order in which they were made.

use super::{RequestId, What};
use crate::time::Instant;
use alloc::vec::Vec;
use core::time::Duration;

/// Whom a request went to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum By {
    Dht,
    Peer(usize),
    Mirror,
}

/// After how long the first request of a source is late.
#[derive(Clone, Copy, Debug)]
pub(super) struct Late {
    /// As long as no byte has come.
    pub(super) silent: Duration,
    /// When some have.
    pub(super) moving: Duration,
}

/// A request without an answer.
#[derive(Clone, Copy, Debug)]
pub(super) struct Outstanding {
    pub(super) id: RequestId,
    pub(super) by: By,
    pub(super) what: What,
    /// When it became the first of its source's pipeline; `None` while others are before it.
    pub(super) first_since: Option<Instant>,
    /// When bytes came last.
    pub(super) last_heard: Instant,
    /// Bytes so far.
    pub(super) received: u64,
    /// A second source was asked because this one is late.
    pub(super) hedged: bool,
    /// When it went out after all, if it was held back.
    pub(super) sent: Sent,
}

/// Whether a request has gone out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sent {
    AtOnce,
    NotYet,
    At(Instant),
}

impl Outstanding {
    /// The piece that was asked of a peer.
    pub(super) fn piece(&self) -> Option<usize> {
        match self.what {
            What::Piece { index, .. } => usize::try_from(index).ok(),
            _ => None,
        }
    }

    /// When it is late, if nothing changes.
    pub(super) fn late_at(&self, late: &Late) -> Option<Instant> {
        let first_since = self.first_since?;
        Some(first_since + if self.received == 0 { late.silent } else { late.moving })
    }

    /// When it has failed unless something is heard.
    pub(super) fn fails_at(&self, stall: Duration, piece_timeout: Option<Duration>) -> Option<Instant> {
        let first_since = match self.sent {
            Sent::AtOnce => self.first_since?,
            Sent::NotYet => return None,
            Sent::At(at) => self.first_since?.max(at),
        };
        let stalled = self.last_heard.max(first_since) + stall;
        Some(match (self.by, piece_timeout) {
            (By::Peer(_), Some(piece_timeout)) => stalled.min(first_since + piece_timeout),
            _ => stalled,
        })
    }
}

/// All outstanding requests. At most two for each piece at a time, two for piece hashes and
/// one to the mirror.
#[derive(Clone, Debug, Default)]
pub(super) struct Requests {
    outstanding: Vec<Outstanding>,
    last_id: u64,
}

impl Requests {
    pub(super) fn add(&mut self, now: Instant, by: By, what: What) -> RequestId {
        self.last_id += 1;
        let id = RequestId(self.last_id);
        let first_since = self.of(by).next().is_none().then_some(now);
        let (last_heard, received, hedged, sent) = (now, 0, false, Sent::AtOnce);
        let request = Outstanding { id, by, what, first_since, last_heard, received, hedged, sent };
        self.outstanding.push(request);
        id
    }

    /// Takes a request out; the next of the same source moves up.
    pub(super) fn remove(&mut self, now: Instant, id: RequestId) -> Option<Outstanding> {
        let at = self.outstanding.iter().position(|request| request.id == id)?;
        let removed = self.outstanding.remove(at);
        if let Some(next) = self.outstanding.iter_mut().find(|request| request.by == removed.by) {
            next.first_since.get_or_insert(now);
        }
        Some(removed)
    }

    pub(super) fn get_mut(&mut self, id: RequestId) -> Option<&mut Outstanding> {
        self.outstanding.iter_mut().find(|request| request.id == id)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Outstanding> {
        self.outstanding.iter()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.outstanding.is_empty()
    }

    /// Those to one source, in order.
    pub(super) fn of(&self, by: By) -> impl Iterator<Item = &Outstanding> {
        self.outstanding.iter().filter(move |request| request.by == by)
    }

    /// Those to peers for one piece.
    pub(super) fn for_piece(&self, index: usize) -> impl Iterator<Item = &Outstanding> {
        self.outstanding.iter().filter(move |request| request.piece() == Some(index))
    }

    /// The pieces that peers were asked for, each once, in file order.
    pub(super) fn pieces(&self) -> Vec<usize> {
        let mut pieces: Vec<usize> = self.outstanding.iter().filter_map(Outstanding::piece).collect();
        pieces.sort_unstable();
        pieces.dedup();
        pieces
    }

    /// Whether the source is late with the first of its requests: then all that wait behind are
    /// late with it.
    pub(super) fn is_late(&self, now: Instant, by: By, late: &Late) -> bool {
        self.of(by).next().and_then(|request| request.late_at(late)).is_some_and(|at| now >= at)
    }
}
