//! Upkeep: what a node does on its own, and what follows from operations that are over.

use super::operation::{Find, Join, Kind, Put};
use super::parts::Parts;
use super::{Event, MAX_BOOTSTRAP, Node};
use crate::id::{Contact, Id};
use crate::krpc::K;
use crate::time::Instant;
use crate::timer::Timer;
use alloc::vec::Vec;
use core::net::SocketAddr;
use core::time::Duration;

/// Refreshes that go on at a time under a policy of 2008, which began all at once: more than there were
/// buckets in its networks.
const REFRESHES_IN_2008: usize = 16;

/// Contacts that came together are pinged again one by one: those of a node that has just joined are
/// a hundred, and all that is outstanding takes room.
const RE_PING_SPACING: Duration = Duration::from_millis(100);

/// What upkeep remembers.
#[derive(Debug, Default)]
pub(super) struct Maintenance {
    /// Who to join through when nobody is known.
    bootstrap: Vec<SocketAddr>,
    /// Whom we knew before a restart: what a snapshot keeps while nobody else is known.
    earlier: Vec<Contact>,
    /// How long to wait before the next try.
    rejoin_after: Duration,
    /// Whether anybody has been known since the bootstrap contacts were asked for want of others.
    has_joined: bool,
    /// When the bootstrap contacts were last asked.
    asked_at: Instant,
    /// How long after that to ask them again, though others are known.
    ask_again_after: Duration,
}

impl Maintenance {
    pub(super) fn start(&mut self, parts: &mut Parts) {
        self.rejoin_after = parts.config.upkeep.rejoin_after;
        self.ask_again_after = parts.config.upkeep.first_checkpoint_after / 2;
        let first = parts.now + parts.config.upkeep.first_checkpoint_after;
        parts.timers.set(Timer::Checkpoint, Some(first));
    }

    pub(super) fn remember(&mut self, bootstrap: &[SocketAddr]) {
        for addr in bootstrap {
            if self.bootstrap.len() < MAX_BOOTSTRAP && !self.bootstrap.contains(addr) {
                self.bootstrap.push(*addr);
            }
        }
    }

    /// Remembers whom we knew before a restart. Some of them are ways in for as long as nobody is
    /// known: a machine is often up before its network is.
    pub(super) fn remember_earlier(&mut self, contacts: &[Contact]) {
        self.earlier = contacts.to_vec();
        let some: Vec<SocketAddr> = contacts.iter().map(|c| c.addr).take(MAX_BOOTSTRAP / 2).collect();
        self.remember(&some);
    }

    /// Whom we knew before a restart.
    pub(super) fn earlier(&self) -> &[Contact] {
        &self.earlier
    }

    /// Whether to ask the bootstrap contacts, though others are known: these may be as cut off as we are,
    /// and would never hear of the rest, nor the rest of them. Ever later, but if they are few.
    fn asks_again(&mut self, parts: &Parts) -> bool {
        let upkeep = &parts.config.upkeep;
        let interval = self.ask_again_after.max(upkeep.rejoin_after);
        if self.bootstrap.is_empty() || parts.now < self.asked_at + interval {
            return false;
        }
        if parts.contacts() >= K {
            self.ask_again_after = self.ask_again_after.saturating_mul(2).min(upkeep.refresh_after);
        }
        true
    }

    /// A join is over: tries again later, ever later, as long as nobody is known.
    pub(super) fn joined(&mut self, parts: &mut Parts, contacts: usize) {
        self.asked_at = parts.now;
        self.has_joined = contacts > 0 || parts.contacts() > 0;
        if self.has_joined || self.bootstrap.is_empty() {
            self.rejoin_after = parts.config.upkeep.rejoin_after;
            parts.timers.set(Timer::Rejoin, None);
            return;
        }
        parts.timers.set(Timer::Rejoin, Some(parts.now + self.rejoin_after));
        // Not ever more seldom: whoever's network comes back wants its peers back soon.
        self.rejoin_after = self.rejoin_after.saturating_mul(2).min(parts.config.upkeep.checkpoint_interval);
    }
}

impl Node {
    /// Pings who is due. Those for whom there is no room now are tried again a while later.
    pub(super) fn fire_re_pings(&mut self) {
        let parts = &mut self.parts;
        parts.re_ping_from = parts.now + RE_PING_SPACING;
        for family in 0..parts.tables.len() {
            if let Some(contact) = parts.tables[family].take_due_ping(parts.now)
                && parts.ping(contact, true).is_none()
            {
                parts.tables[family].ping_later(parts.now, &contact);
            }
        }
        parts.schedule_re_ping();
        self.requests_changed();
    }

    /// Asks those who queried us a while ago whether they can be reached.
    pub(super) fn fire_newcomers(&mut self) {
        let parts = &mut self.parts;
        while let Some(addr) = parts.newcomers.take_due(parts.now) {
            if parts.ping(Contact { id: Id::ZERO, addr }, true).is_none() {
                parts.newcomers.forget(&addr);
            }
        }
        parts.schedule_newcomers();
        self.requests_changed();
    }

    pub(super) fn fire_checkpoint(&mut self) {
        let parts = &mut self.parts;
        let upkeep = parts.config.upkeep;
        let interval = parts.rngs.jitter.jitter(upkeep.checkpoint_interval, upkeep.checkpoint_jitter_percent);
        parts.timers.set(Timer::Checkpoint, Some(parts.now + interval));
        parts.tokens.rotate(&mut parts.rngs.token);
        parts.tables.iter_mut().for_each(|table| table.drop_unreached(parts.now));
        parts.store.expire(parts.now);
        parts.proofs.trim(parts.now);
        parts.budget.trim(parts.now);
        parts.outbox.trim();
        parts.events.trim();
        self.server.trim();
        parts.emit(Event::CheckpointPassed);
        self.refresh();
        if self.parts.timers.get(Timer::Rejoin).is_some() {
            return;
        }
        if self.parts.contacts() == 0 {
            self.maintenance.joined(&mut self.parts, 0);
        } else if self.maintenance.asks_again(&self.parts) {
            self.fire_rejoin();
        }
    }

    /// A join is over. It looked up our own neighbourhood; who is far from us we know by chance, if
    /// at all, and our neighbours, who joined as we did, know no better: so looks further.
    pub(super) fn joined(&mut self, contacts: usize) {
        let is_first = !self.maintenance.has_joined;
        self.maintenance.joined(&mut self.parts, contacts);
        if is_first && contacts > 0 {
            let now = self.parts.now;
            self.parts.tables.iter_mut().for_each(|table| table.joined(now));
            self.refresh();
        }
    }

    /// Looks up an id in each bucket in which nothing was looked up for too long, the next when another is
    /// over: each lookup takes memory, and they are in no hurry.
    pub(super) fn refresh(&mut self) {
        let at_a_time = if self.parts.config.lookup.passes_over() { 1 } else { REFRESHES_IN_2008 };
        while self.operations.refreshes() < at_a_time {
            let Parts { tables, rngs, now, .. } = &mut self.parts;
            let mut tables = tables.iter().filter(|table| !table.is_empty());
            let target = tables.find_map(|table| table.refresh_target(*now, &mut rngs.refresh));
            let Some(target) = target else { return };
            let find = Find::start(&mut self.parts, target);
            self.start(Kind::Find(find), true);
        }
    }

    pub(super) fn fire_republish(&mut self) {
        if let Some((key, value)) = self.publications.take_due(&mut self.parts) {
            let put = Put::start(&mut self.parts, key, value);
            self.start(Kind::Put(put), true);
        }
    }

    pub(super) fn fire_rejoin(&mut self) {
        self.maintenance.asked_at = self.parts.now;
        let join = Join::through(self.maintenance.bootstrap.iter().copied());
        self.start(Kind::Join(join), true);
    }
}
