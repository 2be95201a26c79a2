//! Values that we publish: stored, and stored again before they expire, until told otherwise.

use super::parts::Parts;
use crate::id::Id;
use crate::time::Instant;
use crate::timer::Timer;
use alloc::collections::{BTreeMap, BTreeSet};
use bytes::Bytes;
use core::time::Duration;

/// A key and the value published under it.
pub(super) type Item = (Id, Bytes);

#[derive(Debug, Default)]
pub(super) struct Publications {
    /// When each is due next.
    due: BTreeMap<Item, Instant>,
    order: BTreeSet<(Instant, Item)>,
    /// The earliest time of the next renewal: they come some way apart.
    not_before: Instant,
    /// Those that are being renewed.
    renewing: BTreeSet<Item>,
}

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
        self.forget(&item);
        self.order.insert((due, item.clone()));
        self.due.insert(item, due);
        self.schedule(parts);
    }

    /// Forgets `item`. Returns whether it was there.
    pub(super) fn remove(&mut self, parts: &mut Parts, item: &Item) -> bool {
        let known = self.forget(item);
        self.schedule(parts);
        known
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

    /// A put of `item` is over; so many other nodes have stored it.
    pub(super) fn stored(&mut self, parts: &mut Parts, item: Item, copies_of_others: usize) {
        self.renewing.remove(&item);
        if self.due.contains_key(&item) {
            let upkeep = &parts.config.upkeep;
            // Nobody took it: the network is away, or we have not joined it yet.
            let after =
                if copies_of_others > 0 { upkeep.republish_after } else { upkeep.checkpoint_interval };
            let due = parts.now + after;
            self.set_due(parts, item, due);
        }
        self.schedule(parts);
    }

    pub(super) fn contains(&self, item: &Item) -> bool {
        self.due.contains_key(item)
    }

    pub(super) fn len(&self) -> usize {
        self.due.len()
    }

    /// All items, and when each is due.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&Item, Instant)> {
        self.due.iter().map(|(item, due)| (item, *due))
    }

    fn forget(&mut self, item: &Item) -> bool {
        let Some(due) = self.due.remove(item) else {
            return false;
        };
        self.order.remove(&(due, item.clone()));
        true
    }

    /// Between two renewals. So many publications that the usual spacing would let some expire are
    /// renewed faster: should all be due at once, in half of the time that is left to them then.
    fn spacing(&self, parts: &Parts) -> Duration {
        let upkeep = &parts.config.upkeep;
        let left = upkeep.value_lifetime.saturating_sub(upkeep.republish_after);
        let count = u32::try_from(self.due.len().max(1)).unwrap_or(u32::MAX);
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
