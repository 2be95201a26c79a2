//! Who takes up how much of the store, and so who gives way under pressure.

use crate::id::Id;
use crate::map::HashKey;
use crate::prefix::NetworkPrefix;
use alloc::collections::{BTreeMap, BTreeSet};
use core::hash::BuildHasher;

/// Bytes per source, with the orders that the next value to go is found by.
#[derive(Clone, Debug)]
pub(super) struct Shares {
    tie_breaker: HashKey,
    bytes: usize,
    sources: BTreeMap<NetworkPrefix, Share>,
    /// Every value, by source, then whether it is established, then by arrival.
    values: BTreeMap<(NetworkPrefix, bool, u64), Id>,
    by_fresh: BTreeSet<Rank>,
    by_total: BTreeSet<Rank>,
}

/// Where a value is: the `arrival`th that was ever stored, under `key`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Place {
    pub(super) key: Id,
    pub(super) arrival: u64,
}

/// Bytes of one source: of established values, and of the others.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Share {
    established: usize,
    fresh: usize,
}

/// Bytes; then a keyed hash, so that nobody chooses an address that wins ties; then the source.
type Rank = (usize, u64, NetworkPrefix);

impl Shares {
    pub(super) fn new(tie_breaker: HashKey) -> Shares {
        Shares {
            tie_breaker,
            bytes: 0,
            sources: BTreeMap::new(),
            values: BTreeMap::new(),
            by_fresh: BTreeSet::new(),
            by_total: BTreeSet::new(),
        }
    }

    /// Bytes of all sources.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Bytes of the established values of `source`.
    pub(super) fn established(&self, source: &NetworkPrefix) -> usize {
        self.share(source).established
    }

    pub(super) fn add(&mut self, source: NetworkPrefix, established: bool, place: Place, cost: usize) {
        self.values.insert((source, established, place.arrival), place.key);
        self.bytes += cost;
        let mut share = self.share(&source);
        *(if established { &mut share.established } else { &mut share.fresh }) += cost;
        self.set(source, share);
    }

    /// Expects that the value was added with the same arguments.
    pub(super) fn remove(&mut self, source: NetworkPrefix, established: bool, place: Place, cost: usize) {
        self.values.remove(&(source, established, place.arrival));
        self.bytes -= cost;
        let mut share = self.share(&source);
        *(if established { &mut share.established } else { &mut share.fresh }) -= cost;
        self.set(source, share);
    }

    /// The next value to go; none if there is none.
    pub(super) fn gives_way(&self) -> Option<Place> {
        let established = self.by_fresh.is_empty();
        let ranks = if established { &self.by_total } else { &self.by_fresh };
        let &(_, _, source) = ranks.last()?;
        let newest =
            self.values.range((source, established, 0)..=(source, established, u64::MAX)).next_back();
        newest.map(|(&(_, _, arrival), &key)| Place { key, arrival })
    }

    /// Whether others give way to `cost` more bytes of `newcomer`: some source has more than the
    /// newcomer would have. The newcomer, whose value would be the newest, loses a tie.
    ///
    /// If so, [`gives_way`](Self::gives_way) frees `cost` bytes without touching an established
    /// value, unless all are: that source alone has more.
    pub(super) fn gives_way_to(&self, newcomer: NetworkPrefix, cost: usize) -> bool {
        let share = self.share(&newcomer);
        match self.by_fresh.last() {
            Some(&(most, ..)) => most > share.fresh + cost,
            None => self.by_total.last().is_some_and(|&(most, ..)| most > share.total() + cost),
        }
    }

    fn share(&self, source: &NetworkPrefix) -> Share {
        self.sources.get(source).copied().unwrap_or_default()
    }

    fn set(&mut self, source: NetworkPrefix, share: Share) {
        let tie = self.tie_breaker.hash_one(source);
        let before = self.share(&source);
        self.by_fresh.remove(&(before.fresh, tie, source));
        self.by_total.remove(&(before.total(), tie, source));
        if share.fresh > 0 {
            self.by_fresh.insert((share.fresh, tie, source));
        }
        if share.total() > 0 {
            self.by_total.insert((share.total(), tie, source));
            self.sources.insert(source, share);
        } else {
            self.sources.remove(&source);
        }
    }
}

impl Share {
    fn total(self) -> usize {
        self.established + self.fresh
    }
}

#[cfg(test)]
impl Shares {
    /// Checks every index against the values, given as (source, established, place, cost).
    pub(super) fn check_invariants(&self, all: &[(NetworkPrefix, bool, Place, usize)]) {
        let mut expected = Shares::new(self.tie_breaker);
        for &(source, established, place, cost) in all {
            expected.values.insert((source, established, place.arrival), place.key);
            expected.bytes += cost;
            let share = expected.sources.entry(source).or_default();
            *(if established { &mut share.established } else { &mut share.fresh }) += cost;
        }
        for (&source, share) in &expected.sources {
            let tie = self.tie_breaker.hash_one(source);
            expected.by_total.insert((share.total(), tie, source));
            if share.fresh > 0 {
                expected.by_fresh.insert((share.fresh, tie, source));
            }
        }
        assert_eq!(self.bytes, expected.bytes);
        assert_eq!(self.sources, expected.sources);
        assert_eq!(self.values, expected.values);
        assert_eq!(self.by_fresh, expected.by_fresh);
        assert_eq!(self.by_total, expected.by_total);
    }
}
