//! The values under one key.

use super::cost;
use crate::prefix::NetworkPrefix;
use crate::time::Instant;
use alloc::collections::VecDeque;
use alloc::vec::Vec;
use bytes::Bytes;
use core::net::IpAddr;

/// The values under one key, and how many of them each source has.
#[derive(Clone, Debug, Default)]
pub(super) struct Held {
    /// In order of arrival, which is about that of expiry: most leave in front.
    pub(super) entries: VecDeque<Entry>,
    /// Ordered by source; none has zero.
    pub(super) counts: Vec<(NetworkPrefix, usize)>,
    /// Until then nothing has expired: no later than the first expiry.
    all_live_until: Instant,
}

#[derive(Clone, Debug)]
pub(super) struct Entry {
    pub(super) arrival: u64,
    pub(super) value: Bytes,
    pub(super) source: IpAddr,
    pub(super) expires_at: Instant,
    /// Where it stands in the order of expiries: at this time it is looked at again.
    pub(super) filed_at: Instant,
    /// A renewal from then on establishes it.
    pub(super) establishes_at: Instant,
    pub(super) established: bool,
}

impl Held {
    pub(super) fn live(&self, now: Instant) -> impl Iterator<Item = &Entry> {
        self.entries.iter().filter(move |entry| entry.expires_at > now)
    }

    /// How many values have not expired.
    pub(super) fn live_len(&self, now: Instant) -> usize {
        if now < self.all_live_until { self.entries.len() } else { self.live(now).count() }
    }

    pub(super) fn find(&self, value: &[u8]) -> Option<u64> {
        self.entries.iter().find(|entry| entry.value == value).map(|entry| entry.arrival)
    }

    pub(super) fn position(&self, arrival: u64) -> Option<usize> {
        self.entries.binary_search_by_key(&arrival, |entry| entry.arrival).ok()
    }

    pub(super) fn entry_mut(&mut self, arrival: u64) -> Option<&mut Entry> {
        self.position(arrival).and_then(|at| self.entries.get_mut(at))
    }

    pub(super) fn count_of(&self, source: &NetworkPrefix) -> usize {
        let at = self.counts.binary_search_by_key(source, |(known, _)| *known);
        at.ok().and_then(|at| self.counts.get(at)).map_or(0, |(_, count)| *count)
    }

    /// The newest value that is not established, of the source with most values among those that
    /// have one; if that source has at least two values more than `newcomer`.
    pub(super) fn gives_way_to(&self, newcomer: &NetworkPrefix) -> Option<&Entry> {
        let candidates = self.entries.iter().filter(|entry| !entry.established);
        // Of equals the last, which is the newest.
        let (count, entry) = candidates
            .map(|entry| (self.count_of(&entry.prefix()), entry))
            .max_by_key(|(count, entry)| (*count, entry.arrival))?;
        (count >= self.count_of(newcomer) + 2).then_some(entry)
    }

    /// `entry` arrived after all others.
    pub(super) fn push(&mut self, entry: Entry) {
        let prefix = entry.prefix();
        match self.counts.binary_search_by_key(&prefix, |(known, _)| *known) {
            Ok(at) => self.counts[at].1 += 1,
            Err(at) => {
                // Most keys have one value; by default there would be room for four.
                self.counts.reserve_exact(usize::from(self.counts.is_empty()));
                self.counts.insert(at, (prefix, 1));
            }
        }
        let is_first = self.entries.is_empty();
        self.all_live_until =
            if is_first { entry.expires_at } else { self.all_live_until.min(entry.expires_at) };
        self.entries.reserve_exact(usize::from(is_first));
        self.entries.push_back(entry);
    }

    pub(super) fn take(&mut self, arrival: u64) -> Option<Entry> {
        let entry = self.position(arrival).and_then(|at| self.entries.remove(at))?;
        if let Ok(at) = self.counts.binary_search_by_key(&entry.prefix(), |(known, _)| *known) {
            self.counts[at].1 -= 1;
            if self.counts[at].1 == 0 {
                self.counts.remove(at);
            }
        }
        Some(entry)
    }
}

impl Entry {
    pub(super) fn prefix(&self) -> NetworkPrefix {
        NetworkPrefix::source(&self.source)
    }

    pub(super) fn cost(&self) -> usize {
        cost(self.value.len())
    }
}
