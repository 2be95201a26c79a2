//! What happens when: a queue in the order of time, then of arrival.

use bytes::Bytes;
use core::cmp::Reverse;
use khashmir::Instant;
use std::collections::BinaryHeap;
use std::net::SocketAddr;

use crate::NodeIndex;

/// What is to happen.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Occurrence {
    /// A datagram arrives.
    Arrival { from: SocketAddr, to: SocketAddr, datagram: Bytes },
    /// A node asked to be woken.
    Wake(NodeIndex),
    /// An adversary does something of itself.
    Act(NodeIndex),
}

/// All that is to happen, first things first. Of two at the same time, the one that was added
/// first comes first, so that the order depends on nothing else.
#[derive(Debug, Default)]
pub(crate) struct Schedule {
    heap: BinaryHeap<Reverse<(Instant, u64, Occurrence)>>,
    added: u64,
}

impl Schedule {
    pub(crate) fn add(&mut self, at: Instant, what: Occurrence) {
        self.heap.push(Reverse((at, self.added, what)));
        self.added += 1;
    }

    /// When the next thing happens.
    pub(crate) fn next_at(&self) -> Option<Instant> {
        self.heap.peek().map(|Reverse((at, ..))| *at)
    }

    /// The next thing, if it happens by `until`.
    pub(crate) fn take(&mut self, until: Instant) -> Option<(Instant, Occurrence)> {
        self.next_at().filter(|at| *at <= until)?;
        self.heap.pop().map(|Reverse((at, _, what))| (at, what))
    }
}
