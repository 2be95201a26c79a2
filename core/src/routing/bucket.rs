//! One bucket.

use super::Answer;
use crate::id::Contact;
use crate::krpc::K;
use crate::prefix::NetworkPrefix;
use crate::time::Instant;
use alloc::vec::Vec;
use core::num::NonZeroU32;
use core::time::Duration;

/// By how many a bucket grows.
const MORE_ENTRIES: usize = 2;

/// A contact in the table.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    pub(super) contact: Contact,
    /// Whether rules that count per IP and prefix apply to it.
    pub(super) counted: bool,
    /// When it last answered.
    pub(super) heard: Instant,
    /// Queries in a row that it did not answer.
    pub(super) failures: u8,
    /// Whether it is here on trust: until it answers when no NAT can have let us through as somebody it
    /// had just talked to.
    pub(super) on_trust: bool,
    /// Whether the last lookup that it was of use or no use to found it of no use.
    pub(super) useless: bool,
    /// Whether it ever answered in time since it last failed.
    pub(super) timely: bool,
    /// How long the last of its answers took that was in time.
    pub(super) round_trip_micros: Option<NonZeroU32>,
    /// When it is to be pinged again.
    pub(super) ping_at: Option<Instant>,
}

#[derive(Clone, Debug)]
pub(super) struct Bucket {
    /// The one heard of longest ago first; K at most. Many buckets have few.
    pub(super) entries: Vec<Entry>,
    /// Answered while the bucket was full: takes the place of the oldest if that fails.
    pub(super) candidate: Option<Answer>,
    /// When it wants a lookup whose target is here.
    pub(super) refresh_at: Instant,
}

impl Entry {
    /// Whether others would reach it, as far as we know.
    pub(super) fn is_reachable(&self) -> bool {
        self.failures == 0 && !self.on_trust && self.timely
    }

    /// Whether others would reach it, and that would be of use to them.
    pub(super) fn is_sound(&self) -> bool {
        self.is_reachable() && !self.useless
    }
}

impl Bucket {
    pub(super) fn new(refresh_at: Instant) -> Bucket {
        Bucket { entries: Vec::new(), candidate: None, refresh_at }
    }

    /// Moves the contact that answered to the end; if it is still not known to be reachable, it is
    /// pinged `later`. `forgives`: whether its failures are forgotten. Returns whether it is here.
    pub(super) fn heard(&mut self, now: Instant, answer: &Answer, later: Duration, forgives: bool) -> bool {
        let Some(at) = self.entries.iter().position(|entry| entry.contact == answer.contact) else {
            return false;
        };
        let entry = &mut self.entries[at];
        if forgives {
            entry.failures = 0;
            entry.timely = true;
        }
        entry.on_trust &= !answer.reached;
        entry.round_trip_micros = answer.round_trip_micros.or(entry.round_trip_micros);
        if entry.on_trust {
            entry.ping_at.get_or_insert(now + later);
        }
        entry.heard = now;
        if at == 0 {
            // The oldest lives: whoever waited for its place waits for the next to fall silent.
            self.candidate = None;
        }
        self.entries[at..].rotate_left(1);
        true
    }

    pub(super) fn is_full(&self) -> bool {
        self.entries.len() == K
    }

    /// Puts an entry where its last answer belongs.
    pub(super) fn insert(&mut self, entry: Entry) {
        let at = self.entries.partition_point(|other| other.heard <= entry.heard);
        if self.entries.len() == self.entries.capacity() {
            self.entries.reserve_exact(MORE_ENTRIES);
        }
        self.entries.insert(at, entry);
    }

    /// Keeps the contacts that stay; the rest make a new bucket.
    pub(super) fn split_off(&mut self, stays: impl Fn(&Contact) -> bool) -> Bucket {
        let leaves = |contact: &Contact| !stays(contact);
        let split = Bucket {
            entries: self.entries.iter().filter(|entry| leaves(&entry.contact)).cloned().collect(),
            candidate: self.candidate.take_if(|candidate| leaves(&candidate.contact)),
            refresh_at: self.refresh_at,
        };
        self.entries.retain(|entry| stays(&entry.contact));
        self.entries.shrink_to_fit();
        split
    }

    /// Takes all of `other` in, if they fit and their prefixes do not clash.
    pub(super) fn absorbs(&mut self, other: &mut Bucket) -> bool {
        let clash = |a: &Entry, b: &Entry| {
            let prefix = |entry: &Entry| NetworkPrefix::of(&entry.contact.addr.ip());
            a.counted && b.counted && prefix(a) == prefix(b)
        };
        let clashes = self.entries.iter().any(|a| other.entries.iter().any(|b| clash(a, b)));
        if self.entries.len() + other.entries.len() > K || clashes {
            return false;
        }
        for entry in other.entries.drain(..) {
            self.insert(entry);
        }
        self.refresh_at = self.refresh_at.min(other.refresh_at);
        true
    }
}
