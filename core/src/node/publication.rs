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
    /// The earliest time of the next renewal: they come one at a time, some way apart.
    not_before: Instant,
    /// The one that is being renewed.
    renewing: Option<Item>,
}

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

    /// The item to renew now, if its time has come and no other is under way.
    pub(super) fn take_due(&mut self, parts: &mut Parts) -> Option<Item> {
        let (due, item) = self.order.first()?;
        if self.renewing.is_some() || self.not_before.max(*due) > parts.now {
            return None;
        }
        self.renewing = Some(item.clone());
        self.not_before = parts.now + parts.config.upkeep.republish_spacing;
        self.schedule(parts);
        self.renewing.clone()
    }

    /// A put of `item` is over; so many other nodes have stored it.
    pub(super) fn stored(&mut self, parts: &mut Parts, item: Item, copies_of_others: usize) {
        if self.renewing.as_ref() == Some(&item) {
            self.renewing = None;
        }
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

    fn schedule(&self, parts: &mut Parts) {
        let first = self.order.first().filter(|_| self.renewing.is_none());
        parts.timers.set(Timer::Republish, first.map(|(due, _)| (*due).max(self.not_before)));
    }
}
