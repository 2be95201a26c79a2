//! Values that we publish: stored, and stored again before they expire, until told otherwise.

use super::parts::Parts;
use crate::config::Upkeep;
use crate::id::Id;
use crate::krpc::K;
use crate::time::Instant;
use crate::timer::Timer;
use alloc::collections::{BTreeMap, BTreeSet};
use arrayvec::ArrayVec;
use bytes::Bytes;
use core::net::{IpAddr, SocketAddr};
use core::time::Duration;

/// A key and the value published under it.
pub(super) type Item = (Id, Bytes);

#[derive(Debug, Default)]
pub(super) struct Publications {
    all: BTreeMap<Item, Publication>,
    order: BTreeSet<(Instant, Item)>,
    /// The earliest time of the next renewal: they come some way apart.
    not_before: Instant,
    /// Those that are being renewed.
    renewing: BTreeSet<Item>,
}

/// One value, and what is known of those who store it.
#[derive(Debug)]
struct Publication {
    /// When it is to be stored again.
    due: Instant,
    /// How long after the last time that was; `None`: it was not stored yet.
    interval: Option<Duration>,
    /// Who stored it the last time, as fingerprints of their addresses.
    holders: ArrayVec<u32, K>,
}

/// One of the closest that a put has found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Holder {
    pub(super) addr: SocketAddr,
    /// Whether it stored the value.
    pub(super) stored: bool,
}

/// In times of [`republish_soonest`](crate::config::Upkeep::republish_soonest): how long after the first
/// time a value is stored again, to see who is still there.
const FIRST_INTERVAL: u32 = 3;

/// Renewals at a time, where one at a time can't keep up.
const MAX_RENEWING: usize = 16;

/// Between two renewals at least, however little time is left: each input starts one.
const MIN_SPACING: Duration = Duration::from_millis(1);

impl Publications {
    /// Renews nothing for a while: after a restart others have to be found first.
    pub(super) fn hold_for(&mut self, parts: &Parts, duration: Duration) {
        self.not_before = parts.now + duration;
    }

    /// Sets when `item` is due; it is added if it is new.
    pub(super) fn set_due(&mut self, parts: &mut Parts, item: Item, due: Instant) {
        let known = self.forget(&item);
        let (interval, holders) = known.map_or_else(Default::default, |old| (old.interval, old.holders));
        self.order.insert((due, item.clone()));
        self.all.insert(item, Publication { due, interval, holders });
        self.schedule(parts);
    }

    /// Forgets `item`. Returns whether it was there.
    pub(super) fn remove(&mut self, parts: &mut Parts, item: &Item) -> bool {
        let known = self.forget(item);
        self.schedule(parts);
        known.is_some()
    }

    /// An item to renew now, if its time has come and not too many others are under way.
    pub(super) fn take_due(&mut self, parts: &mut Parts) -> Option<Item> {
        if self.next_renewal(parts)? > parts.now {
            return None;
        }
        let (_, item) = self.order.first()?.clone();
        self.renewing.insert(item.clone());
        self.not_before = parts.now + self.spacing(parts);
        let due = parts.now + parts.config.upkeep.republish_after;
        self.set_due(parts, item.clone(), due);
        Some(item)
    }

    /// A put of `item` is over: those whom it found, ourselves left out.
    pub(super) fn stored(&mut self, parts: &mut Parts, item: Item, found: &[Holder]) {
        self.renewing.remove(&item);
        if let Some(publication) = self.all.get_mut(&item) {
            let upkeep = &parts.config.upkeep;
            let after = if found.iter().any(|holder| holder.stored) {
                publication.next_interval(upkeep, found)
            } else {
                // Nobody took it: the network is away, or we have not joined it yet.
                upkeep.checkpoint_interval
            };
            let due = parts.now + after;
            self.set_due(parts, item, due);
        }
        self.schedule(parts);
    }

    pub(super) fn contains(&self, item: &Item) -> bool {
        self.all.contains_key(item)
    }

    pub(super) fn len(&self) -> usize {
        self.all.len()
    }

    /// All items, and when each is due.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&Item, Instant)> {
        self.all.iter().map(|(item, publication)| (item, publication.due))
    }

    fn forget(&mut self, item: &Item) -> Option<Publication> {
        let publication = self.all.remove(item)?;
        self.order.remove(&(publication.due, item.clone()));
        Some(publication)
    }

    /// Between two renewals. So many publications that the usual spacing would let some expire are
    /// renewed faster: should all be due at once, in half of the time that is left to them then.
    fn spacing(&self, parts: &Parts) -> Duration {
        let upkeep = &parts.config.upkeep;
        let left = upkeep.value_lifetime.saturating_sub(upkeep.republish_after);
        let count = u32::try_from(self.all.len().max(1)).unwrap_or(u32::MAX);
        upkeep.republish_spacing.min(MIN_SPACING.max(left / 2 / count))
    }

    fn next_renewal(&self, parts: &Parts) -> Option<Instant> {
        let is_pressed = self.spacing(parts) < parts.config.upkeep.republish_spacing;
        let at_once = if is_pressed { MAX_RENEWING } else { 1 };
        let (due, _) = self.order.first().filter(|_| self.renewing.len() < at_once)?;
        Some(self.not_before.max(*due))
    }

    fn schedule(&self, parts: &mut Parts) {
        parts.timers.set(Timer::Republish, self.next_renewal(parts));
    }
}

impl Publication {
    /// When to store it again, now that a put has found these. Where more than half of those who stored
    /// it the last time are gone, that was late; where next to all are there, later will do.
    fn next_interval(&mut self, upkeep: &Upkeep, found: &[Holder]) -> Duration {
        let is_there = |holder: &&u32| found.iter().any(|found| fingerprint(&found.addr) == **holder);
        let (before, there) = (self.holders.len(), self.holders.iter().filter(is_there).count());
        let interval = match self.interval {
            None => upkeep.republish_soonest.saturating_mul(FIRST_INTERVAL),
            Some(interval) if there * 2 < before => interval / 2,
            Some(interval) if there * 6 >= before * 5 => interval.saturating_mul(2),
            Some(interval) => interval,
        };
        let interval = interval.max(upkeep.republish_soonest).min(upkeep.republish_after);
        self.interval = Some(interval);
        let stored = found.iter().filter(|holder| holder.stored);
        self.holders = stored.map(|holder| fingerprint(&holder.addr)).take(K).collect();
        interval
    }
}

/// Few bytes for an address, which tell it from the others near a key.
fn fingerprint(addr: &SocketAddr) -> u32 {
    let ip = match addr.ip() {
        IpAddr::V4(ip) => u32::from(ip),
        IpAddr::V6(ip) => ip
            .segments()
            .iter()
            .fold(0_u32, |all, segment| all.wrapping_mul(0x0100_0193).wrapping_add(u32::from(*segment))),
    };
    ip.wrapping_mul(0x0100_0193) ^ u32::from(addr.port())
}
