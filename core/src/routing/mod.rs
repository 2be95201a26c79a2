//! The routing table of one address family (protocol, section 4).
//!
//! Buckets of K = 8 contacts, ordered by last answer. Bucket `i` holds the ids that share
//! exactly `i` leading bits with ours, the last one all that share more: only the bucket that
//! holds our own id is ever split, and it is merged again when it and its sibling fit in one.
//!
//! The table sends nothing. It says who is worth a ping and takes in what came of it.

mod bucket;

use crate::config::{Admission, LookupPolicy, Upkeep};
use crate::id::{Contact, Distance, Id};
use crate::krpc::K;
use crate::prefix::NetworkPrefix;
use crate::rng::Rng;
use crate::time::Instant;
use alloc::vec::Vec;
use arrayvec::ArrayVec;
use bucket::{Bucket, Entry};
use core::num::NonZeroU32;
use core::slice;

/// What the table would do with a contact that it does not have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Room {
    /// It has this very contact.
    Known,
    /// It would take it, once it has answered.
    Free,
    /// Its bucket is full; the oldest contact there has not been heard for so long that it
    /// should be pinged, and makes room if it does not answer.
    AfterPing(Contact),
    /// Its bucket is full, but one there is of no use: makes room.
    InsteadOf(Contact),
    /// It would not take it.
    None,
}

/// One who answered a query of ours.
#[derive(Clone, Copy, Debug)]
pub struct Answer {
    /// Who.
    pub contact: Contact,
    /// Whether its IP and prefix may occur but once.
    pub counted: bool,
    /// Whether others would reach it, too: no NAT let our query in as an answer.
    pub reached: bool,
    /// Whether it came soon enough for a lookup to wait for it.
    pub timely: bool,
    /// How long it took, if that is certain.
    pub round_trip_micros: Option<NonZeroU32>,
}

/// The routing table of one address family.
#[derive(Clone, Debug)]
pub struct RoutingTable {
    own_id: Id,
    /// Never empty.
    buckets: Vec<Bucket>,
    /// When a contact was last taken on trust.
    trusted_at: Instant,
    upkeep: Upkeep,
    re_ping: bool,
    prefer_sound: bool,
    admission: Admission,
}

impl RoutingTable {
    /// An empty table around our own id.
    pub fn new(own_id: Id, upkeep: Upkeep, policy: &LookupPolicy, now: Instant) -> RoutingTable {
        let LookupPolicy { re_ping, prefer_sound, admission, .. } = *policy;
        let buckets = alloc::vec![Bucket::new(now + upkeep.refresh_after)];
        RoutingTable { own_id, buckets, trusted_at: now, upkeep, re_ping, prefer_sound, admission }
    }

    /// What the table would do with `contact`. `counted`: whether its IP and prefix may occur
    /// but once.
    pub fn room(&self, now: Instant, contact: &Contact, counted: bool) -> Room {
        let index = self.index(&contact.id);
        let bucket = &self.buckets[index];
        let entries = &bucket.entries;
        if entries.iter().any(|entry| entry.contact == *contact) {
            return Room::Known;
        }
        let room = match entries.first() {
            Some(oldest) if bucket.is_full() && !self.splits_for(index, &contact.id) => {
                match entries.iter().find(|entry| entry.useless) {
                    Some(useless) => Room::InsteadOf(useless.contact),
                    None if self.is_stale(now, oldest) => Room::AfterPing(oldest.contact),
                    // Most who query us end here; only then is everybody else looked at.
                    None => return Room::None,
                }
            }
            _ => Room::Free,
        };
        let is_taken = contact.id == self.own_id || self.conflicts(contact, counted);
        if is_taken { Room::None } else { room }
    }

    /// A contact answered a query of ours: it is added if there is room, and is now the one heard
    /// of last in its bucket. Returns the contact to ping in order to make room, if there is one.
    pub fn answered(&mut self, now: Instant, answer: Answer) -> Option<Contact> {
        let Answer { contact, counted, .. } = answer;
        let index = self.index(&contact.id);
        let forgives = !self.is_too_late(&answer);
        if self.buckets[index].heard(now, &answer, self.upkeep.reping_after, forgives) {
            return None;
        }
        // Its address stood for another id, which is there no more.
        self.remove_where(|entry| entry.contact.addr == contact.addr);
        match self.room(now, &contact, counted) {
            Room::Free => {
                self.insert(now, answer);
                None
            }
            Room::AfterPing(oldest) => {
                let index = self.index(&contact.id);
                self.buckets[index].candidate = Some(answer);
                Some(oldest)
            }
            Room::InsteadOf(useless) if answer.reached => {
                self.remove_where(|entry| entry.contact == useless);
                self.insert(now, answer);
                None
            }
            Room::InsteadOf(_) | Room::Known | Room::None => None,
        }
    }

    /// A contact queried us: if it is here on trust, it is pinged only once it has been silent again.
    pub fn was_queried_by(&mut self, now: Instant, contact: &Contact) {
        let index = self.index(&contact.id);
        let mut entries = self.buckets[index].entries.iter_mut();
        let entry = entries.find(|entry| entry.contact == *contact && entry.on_trust);
        if let Some(entry) = entry {
            entry.ping_at = Some(now + self.upkeep.nat_timeout);
        }
    }

    /// A lookup that `contact` answered has found whether that was of any use.
    pub fn judge(&mut self, contact: &Contact, useful: bool) {
        let index = self.index(&contact.id);
        if let Some(entry) = self.buckets[index].entries.iter_mut().find(|entry| entry.contact == *contact) {
            entry.useless = !useful;
        }
    }

    /// Adds a contact that has only queried us, as the original code did.
    pub fn assume(&mut self, now: Instant, contact: Contact, counted: bool) {
        if self.room(now, &contact, counted) == Room::Free {
            self.insert(
                now,
                Answer { contact, counted, reached: true, timely: true, round_trip_micros: None },
            );
        }
    }

    /// `contact` did not answer. Returns whether it was removed.
    pub fn failed(&mut self, now: Instant, contact: &Contact) -> bool {
        let index = self.index(&contact.id);
        let (re_ping, upkeep) = (self.re_ping, self.upkeep);
        let bucket = &mut self.buckets[index];
        let is_oldest = bucket.entries.first().is_some_and(|oldest| oldest.contact == *contact);
        let replaced = is_oldest && bucket.candidate.is_some();
        let Some(entry) = bucket.entries.iter_mut().find(|entry| entry.contact == *contact) else {
            return false;
        };
        entry.failures = entry.failures.saturating_add(1);
        if re_ping {
            entry.ping_at.get_or_insert(now + upkeep.reping_after);
        }
        if entry.failures < upkeep.max_failures && !replaced && !entry.on_trust {
            return false;
        }
        bucket.entries.retain(|entry| entry.contact != *contact);
        if let Some(candidate) = bucket.candidate.take()
            && self.room(now, &candidate.contact, candidate.counted) == Room::Free
        {
            self.insert(now, candidate);
        }
        self.merge();
        true
    }

    /// Removes a contact that turned out to be another.
    pub fn remove(&mut self, contact: &Contact) {
        self.remove_where(|entry| entry.contact == *contact);
    }

    /// When the next contact is to be pinged again.
    pub fn next_ping_at(&self) -> Option<Instant> {
        self.buckets.iter().flat_map(|bucket| &bucket.entries).filter_map(|entry| entry.ping_at).min()
    }

    /// The next contact that is to be pinged again by now; each is given once.
    pub fn take_due_ping(&mut self, now: Instant) -> Option<Contact> {
        let mut entries = self.buckets.iter_mut().flat_map(|bucket| &mut bucket.entries);
        let due = entries.find(|entry| entry.ping_at.is_some_and(|at| at <= now))?;
        due.ping_at = None;
        Some(due.contact)
    }

    /// `contact` was due for a ping that could not be sent.
    pub fn ping_later(&mut self, now: Instant, contact: &Contact) {
        let mut entries = self.buckets.iter_mut().flat_map(|bucket| &mut bucket.entries);
        if let Some(entry) = entries.find(|entry| entry.contact == *contact) {
            entry.ping_at = Some(now + self.upkeep.reping_after);
        }
    }

    /// A lookup for `target` starts: its bucket needs no refresh for a while; our own only if that is
    /// our neighbourhood.
    pub fn touch(&mut self, now: Instant, target: &Id) {
        // Our neighbour need not be in our bucket: it has the other last bits.
        let is_neighbourhood = self.admission == Admission::Reach && *target == self.own_id.neighbour();
        let index = if is_neighbourhood { self.buckets.len() - 1 } else { self.index(target) };
        if self.refreshes_neighbourhood(index) && !is_neighbourhood {
            return;
        }
        self.buckets[index].refresh_at = now + self.upkeep.refresh_after;
    }

    /// Our neighbourhood has been looked up for the first time: every other bucket that has room wants
    /// a refresh, and our own one once those who came when we did can have become contacts of others.
    pub fn joined(&mut self, now: Instant) {
        if let [others @ .., own] = &mut self.buckets[..] {
            let with_room = others.iter_mut().filter(|bucket| !bucket.is_full());
            with_room.for_each(|bucket| bucket.refresh_at = now);
            if self.admission == Admission::Reach {
                own.refresh_at = own.refresh_at.min(now + self.upkeep.nat_timeout.saturating_mul(2));
            }
        }
    }

    /// A random id in the range of a bucket in which nothing was looked up for too long. In our own
    /// bucket it is our neighbourhood, if those who came when we did were no contacts then.
    pub fn refresh_target(&self, now: Instant, rng: &mut Rng) -> Option<Id> {
        let index = self.buckets.iter().position(|bucket| bucket.refresh_at <= now)?;
        Some(match self.refreshes_neighbourhood(index) {
            true => self.own_id.neighbour(),
            false => self.random_id(index, rng),
        })
    }

    /// Whether a refresh of the bucket is a lookup of our own neighbourhood.
    fn refreshes_neighbourhood(&self, index: usize) -> bool {
        self.admission == Admission::Reach && self.is_last(index)
    }

    /// Puts up to K contacts closest to `target` that others are told of into `out`, closest first.
    pub fn closest(&self, target: &Id, out: &mut ArrayVec<Contact, K>) {
        out.clear();
        out.extend(self.closest_entries(target, Entry::is_sound).iter().map(|(_, entry)| entry.contact));
    }

    /// Up to K contacts closest to `target` that we ask ourselves, each with how long its last answer took, if
    /// that is known. Whoever was of no use may be by now.
    pub fn closest_with_round_trips(
        &self,
        target: &Id,
    ) -> impl Iterator<Item = (Contact, Option<NonZeroU32>)> + use<> {
        let entries = self.closest_entries(target, Entry::is_reachable);
        let known: ArrayVec<_, K> =
            entries.iter().map(|(_, entry)| (entry.contact, entry.round_trip_micros)).collect();
        known.into_iter()
    }

    /// Those that are not `preferred` fill what the others leave.
    fn closest_entries(&self, target: &Id, preferred: impl Fn(&Entry) -> bool) -> Closest<'_> {
        let mut closest = Closest::new();
        if self.prefer_sound {
            self.select(target, &mut closest, &preferred);
        }
        if !closest.is_full() {
            let mut others = Closest::new();
            self.select(target, &mut others, |entry| !(self.prefer_sound && preferred(entry)));
            closest.extend(others.into_iter().take(K - closest.len()));
            closest.sort_unstable_by_key(|(distance, _)| *distance);
        }
        closest
    }

    /// Puts up to K of the entries that `qualify` and are closest to `target` into `closest`.
    fn select<'a>(&'a self, target: &Id, closest: &mut Closest<'a>, qualify: impl Fn(&Entry) -> bool) {
        let index = self.index(target);
        // Ids in the target's bucket share a longer prefix with it than all others; ids in later
        // buckets share as much with it as we do; earlier buckets are ever farther.
        select(target, &self.buckets[index..=index], closest, &qualify);
        if !closest.is_full() {
            select(target, &self.buckets[index + 1..], closest, &qualify);
        }
        for earlier in self.buckets[..index].iter().rev() {
            if closest.is_full() {
                break;
            }
            select(target, slice::from_ref(earlier), closest, &qualify);
        }
    }

    /// Whether it has this contact, which did not answer the last query.
    pub fn doubts(&self, contact: &Contact) -> bool {
        let entries = &self.buckets[self.index(&contact.id)].entries;
        entries.iter().any(|entry| entry.contact == *contact && entry.failures > 0)
    }

    /// Whether K contacts are known that can be reached, so that there is no need to take strangers on trust.
    pub fn is_settled(&self) -> bool {
        let entries = self.buckets.iter().flat_map(|bucket| &bucket.entries);
        entries.filter(|entry| entry.is_reachable()).take(K).count() == K
    }

    /// Forgets those who are still here on trust though they have had the time to be reached, once others
    /// are known who were.
    pub fn drop_unreached(&mut self, now: Instant) {
        if self.is_settled() && now.saturating_duration_since(self.trusted_at) >= self.upkeep.stale_after {
            self.remove_where(|entry| entry.on_trust);
        }
    }

    /// All contacts, bucket by bucket, and when each was last heard of.
    pub fn iter(&self) -> impl Iterator<Item = (Contact, Instant)> + '_ {
        self.buckets.iter().flat_map(|bucket| &bucket.entries).map(|entry| (entry.contact, entry.heard))
    }

    /// How many contacts there are.
    pub fn len(&self) -> usize {
        self.buckets.iter().map(|bucket| bucket.entries.len()).sum()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.buckets.iter().all(|bucket| bucket.entries.is_empty())
    }

    /// Checks what must always hold; for tests.
    pub fn check_invariants(&self) {
        let last = self.buckets.len() - 1;
        for (index, bucket) in self.buckets.iter().enumerate() {
            for entry in &bucket.entries {
                let prefix = self.own_id.common_prefix_len(&entry.contact.id) as usize;
                assert!(prefix == index || index == last && prefix > index, "a contact is in its bucket");
                assert!(entry.failures < self.upkeep.max_failures, "failing contacts are removed");
            }
            let heard = bucket.entries.iter().map(|entry| entry.heard);
            assert!(heard.clone().zip(heard.skip(1)).all(|(a, b)| a <= b), "ordered by last answer");
        }
    }

    fn index(&self, id: &Id) -> usize {
        (self.own_id.common_prefix_len(id) as usize).min(self.buckets.len() - 1)
    }

    fn is_last(&self, index: usize) -> bool {
        index + 1 == self.buckets.len()
    }

    /// Whether splitting the full bucket `index` makes room for `id` there: it is the one that
    /// holds our own id, and not all its contacts are as far from us as `id`.
    fn splits_for(&self, index: usize, id: &Id) -> bool {
        let prefix = self.own_id.common_prefix_len(id);
        let as_far = |entry: &Entry| self.own_id.common_prefix_len(&entry.contact.id) == prefix;
        self.is_last(index) && !self.buckets[index].entries.iter().all(as_far)
    }

    /// Whether the answer shows that the contact is there, but not that it is sound: overloaded nodes
    /// answer now and then.
    fn is_too_late(&self, answer: &Answer) -> bool {
        self.prefer_sound && !answer.timely
    }

    fn is_stale(&self, now: Instant, oldest: &Entry) -> bool {
        now.saturating_duration_since(oldest.heard) >= self.upkeep.stale_after
    }

    /// Whether the id, the IP, or in its bucket the prefix, is another contact's already.
    fn conflicts(&self, contact: &Contact, counted: bool) -> bool {
        let ip = contact.addr.ip();
        let prefix = NetworkPrefix::of(&ip);
        let both_counted = |entry: &Entry| counted && entry.counted;
        let mut bucket = self.buckets[self.index(&contact.id)].entries.iter();
        let mut all = self.buckets.iter().flat_map(|bucket| &bucket.entries);
        bucket.any(|entry| {
            let same_prefix = || NetworkPrefix::of(&entry.contact.addr.ip()) == prefix;
            entry.contact.id == contact.id || both_counted(entry) && same_prefix()
        }) || all.any(|entry| {
            let same_ip = entry.contact.addr.ip() == ip;
            same_ip && (both_counted(entry) || entry.contact.addr == contact.addr)
        })
    }

    fn insert(&mut self, now: Instant, answer: Answer) {
        let timely = !self.is_too_late(&answer);
        let Answer { contact, counted, reached, round_trip_micros, .. } = answer;
        let mut index = self.index(&contact.id);
        while self.buckets[index].is_full() && self.is_last(index) {
            let own_id = self.own_id;
            let stays = |contact: &Contact| own_id.common_prefix_len(&contact.id) as usize == index;
            let split = self.buckets[index].split_off(stays);
            // There are few, and each takes much.
            self.buckets.reserve_exact(1);
            self.buckets.push(split);
            index = self.index(&contact.id);
        }
        if !reached {
            self.trusted_at = now;
        }
        // One that was reached out of the blue needs no second look because of NATs.
        let ping_at = match (reached, self.prefer_sound) {
            (true, true) => None,
            (true, false) => self.re_ping.then_some(now + self.upkeep.reping_after),
            (false, _) => Some(now + self.upkeep.nat_timeout),
        };
        self.buckets[index].insert(Entry {
            contact,
            counted,
            heard: now,
            failures: 0,
            on_trust: !reached,
            useless: false,
            timely,
            round_trip_micros,
            ping_at,
        });
    }

    fn remove_where(&mut self, is: impl Fn(&Entry) -> bool) {
        for bucket in &mut self.buckets {
            bucket.entries.retain(|entry| !is(entry));
        }
        self.merge();
    }

    fn merge(&mut self) {
        while let [.., sibling, last] = &mut self.buckets[..]
            && sibling.absorbs(last)
        {
            self.buckets.pop();
        }
    }

    /// An id drawn uniformly from the range of bucket `index`.
    fn random_id(&self, index: usize, rng: &mut Rng) -> Id {
        let mut id = Id(rng.bytes());
        let shares_more = self.is_last(index);
        for bit in 0..index + usize::from(!shares_more) {
            let (byte, mask) = (bit / 8, 0x80 >> (bit % 8));
            // All bits before the bucket's are ours; the bucket's own bit is not.
            let ours = self.own_id.0[byte] & mask;
            id.0[byte] = id.0[byte] & !mask | if bit < index { ours } else { ours ^ mask };
        }
        id
    }
}

/// Entries closest to some id, closest first.
type Closest<'a> = ArrayVec<(Distance, &'a Entry), K>;

/// Inserts those of the entries of `buckets` that `qualify` and are closest into `closest`, which
/// already holds closer ones.
fn select<'a>(
    target: &Id,
    buckets: &'a [Bucket],
    closest: &mut Closest<'a>,
    qualify: impl Fn(&Entry) -> bool,
) {
    for entry in buckets.iter().flat_map(|bucket| &bucket.entries).filter(|entry| qualify(entry)) {
        let distance = entry.contact.id.distance(target);
        let closer = closest.iter().rposition(|(other, _)| *other < distance).map_or(0, |last| last + 1);
        if closer < K {
            closest.truncate(K - 1);
            closest.insert(closer, (distance, entry));
        }
    }
}

#[cfg(test)]
mod tests;
