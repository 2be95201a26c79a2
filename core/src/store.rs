//! The values that others stored here.

mod held;
mod shares;
#[cfg(test)]
mod tests;

use crate::config::Limits;
use crate::id::Id;
use crate::map::HashKey;
use crate::prefix::NetworkPrefix;
use crate::time::Instant;
use alloc::collections::{BTreeMap, BTreeSet};
use bytes::Bytes;
use core::net::IpAddr;
use core::time::Duration;
use held::{Entry, Held};
use shares::{Place, Shares};

/// Values by key: many under each, each with its own expiry (protocol, sections 5 and 7).
///
/// All bounds are those of [`Limits`]. Where values are counted by source, a source is an IPv4
/// address or an IPv6 /64. When [`Limits::store_bytes`] are reached, what is expired goes first;
/// then the newest value, not yet [established](ESTABLISHED_AFTER), of the source with the most bytes
/// of such values; where all are established, the newest of the source with the most bytes. So a
/// flood pushes out itself: whoever floods from one address is the source with the most bytes, and
/// whoever floods from many does not touch what was stored and renewed before.
#[derive(Clone, Debug)]
pub struct Store {
    lifetime: Duration,
    value_len: usize,
    values_per_key: usize,
    values_per_key_and_source: usize,
    store_bytes: usize,
    keys: BTreeMap<Id, Held>,
    /// Every value, by when it was to expire before it was renewed: filed anew only when that time
    /// comes, so that renewing allocates nothing.
    expiries: BTreeSet<(Instant, Place)>,
    shares: Shares,
    next_arrival: u64,
}

/// A value renewed this long after it was first stored is established: its publisher came back for
/// it, as honest nodes do every 2.5 hours (protocol, section 3), and a flood that just arrived did not.
pub const ESTABLISHED_AFTER: Duration = Duration::from_secs(30 * 60);

/// Established values of one source take at most this part of [`Limits::store_bytes`]; what it
/// renews beyond that is as if it were new. Else one patient source could fill the store for good.
pub const ESTABLISHED_SHARE: usize = 64;

/// What a value costs beside its own bytes, at most: its entry, the indexes that name it, and its
/// key and source, which it may have for itself. Measured, on 64-bit Linux.
pub const BOOKKEEPING_BYTES: usize = 672;

/// The length that [`Store::would_accept`] assumes: claims are about as long.
const USUAL_LEN: usize = 128;

/// Values due for expiry that are looked at for whether there is room: many of them may have been
/// renewed. What lies beyond is found at the next checkpoint.
const MAX_DUE_SEEN: usize = 64;

/// What storing a value did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stored {
    /// The value was not there before.
    New,
    /// The same bytes were there; they expire later now.
    Renewed,
}

/// Why a value was not stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refused {
    /// It has no bytes.
    Empty,
    /// It is longer than [`Limits::value_len`].
    TooLong,
    /// The key has [`Limits::values_per_key`] values, and nobody has too many of them.
    KeyFull,
    /// The source has [`Limits::values_per_key_and_source`] values under the key.
    SourceFull,
    /// The store is full, and it is this source that would have to give way.
    OverShare,
}

impl Store {
    /// An empty store whose values expire `lifetime` after they were last stored. `key` decides
    /// which of two sources with as many bytes gives way, so that strangers can't.
    pub fn new(limits: &Limits, lifetime: Duration, key: HashKey) -> Store {
        Store {
            lifetime,
            value_len: limits.value_len,
            values_per_key: limits.values_per_key,
            values_per_key_and_source: limits.values_per_key_and_source,
            store_bytes: limits.store_bytes,
            keys: BTreeMap::new(),
            expiries: BTreeSet::new(),
            shares: Shares::new(key),
            next_arrival: 0,
        }
    }

    /// Stores `value` under `key`, or renews it if the same bytes are there, whoever stored them.
    ///
    /// `counted` is whether values of `source` are counted per key and source. A value that is
    /// refused leaves the store's unexpired values as they were.
    pub fn store(
        &mut self,
        now: Instant,
        key: Id,
        value: &[u8],
        source: IpAddr,
        counted: bool,
    ) -> Result<Stored, Refused> {
        self.store_aged(now, key, value, source, counted, Duration::ZERO)
    }

    /// Whether one more value of usual length from `source` would be stored under `key`, or there
    /// is one from `source` to renew. A yes holds until something changes. Allocates nothing.
    pub fn would_accept(&self, now: Instant, key: &Id, source: &IpAddr, counted: bool) -> bool {
        let prefix = NetworkPrefix::source(source);
        let Some(held) = self.keys.get(key) else {
            return self.has_room(now, prefix, cost(USUAL_LEN.min(self.value_len)), 0).is_ok();
        };
        if held.count_of(&prefix) > 0 && held.live(now).any(|entry| entry.prefix() == prefix) {
            return true;
        }
        // Expired values that are still held count for nothing here: a store drops them first.
        let gives_way = match held.live_len(now) < self.values_per_key {
            true => None,
            false => match held.gives_way_to(&prefix) {
                Some(entry) => Some(entry),
                None => return false,
            },
        };
        let quota = !counted || self.values_per_key_and_source > 0;
        let freed = gives_way.map_or(0, Entry::cost);
        quota && self.has_room(now, prefix, cost(USUAL_LEN.min(self.value_len)), freed).is_ok()
    }

    /// How many values `key` has. Allocates nothing; linear in the values of the key if one of them
    /// may have expired.
    pub fn count(&self, now: Instant, key: &Id) -> usize {
        self.keys.get(key).map_or(0, |held| held.live_len(now))
    }

    /// The values of `key` in order of arrival. Allocates nothing.
    pub fn values<'a>(&'a self, now: Instant, key: &Id) -> impl Iterator<Item = &'a [u8]> + use<'a> {
        let held = self.keys.get(key);
        held.into_iter().flat_map(move |held| held.live(now)).map(|entry| &entry.value[..])
    }

    /// Drops what has expired. Due at every checkpoint; until then it only takes up space.
    pub fn expire(&mut self, now: Instant) {
        while self.drop_one_expired(now) {}
    }

    /// Values held, expired ones included until they are dropped.
    pub fn len(&self) -> usize {
        self.expiries.len()
    }

    /// Keys that have a value, expired ones included until they are dropped.
    pub fn keys(&self) -> usize {
        self.keys.len()
    }

    /// Bytes of all values held, with [`BOOKKEEPING_BYTES`] for each; at most [`Limits::store_bytes`].
    pub fn bytes(&self) -> usize {
        self.shares.bytes()
    }

    /// Everything that has not expired, by key, then in order of arrival, for a snapshot: the key,
    /// the value, who stored it first, and how long ago it was stored or renewed.
    pub fn iter(&self, now: Instant) -> impl Iterator<Item = (Id, &[u8], IpAddr, Duration)> {
        self.keys.iter().flat_map(move |(&key, held)| {
            held.live(now).map(move |entry| {
                let left = entry.expires_at.saturating_duration_since(now);
                let age = self.lifetime.saturating_sub(left);
                (key, &entry.value[..], entry.source, age)
            })
        })
    }

    /// Puts a value of a snapshot back that was stored or renewed `age` ago. One that expired
    /// meanwhile, or that today's bounds refuse, is left out; whether it is there now.
    pub fn restore(&mut self, now: Instant, key: Id, value: &[u8], source: IpAddr, age: Duration) -> bool {
        age < self.lifetime && self.store_aged(now, key, value, source, false, age).is_ok()
    }

    fn store_aged(
        &mut self,
        now: Instant,
        key: Id,
        value: &[u8],
        source: IpAddr,
        counted: bool,
        age: Duration,
    ) -> Result<Stored, Refused> {
        match value.len() {
            0 => return Err(Refused::Empty),
            len if len > self.value_len => return Err(Refused::TooLong),
            _ => {}
        }
        self.drop_expired_of(now, &key);
        let expires_at = now + self.lifetime.saturating_sub(age);
        if let Some(arrival) = self.keys.get(&key).and_then(|held| held.find(value)) {
            self.renew(now, Place { key, arrival }, expires_at);
            return Ok(Stored::Renewed);
        }

        let prefix = NetworkPrefix::source(&source);
        let gives_way = self.gives_way_at(&key, &prefix, counted)?;
        let freed = gives_way.map_or(0, |(_, cost)| cost);
        while self.shares.bytes() + cost(value.len()) - freed > self.store_bytes && self.drop_one_expired(now)
        {
        }
        self.has_room(now, prefix, cost(value.len()), freed)?;

        if let Some((place, _)) = gives_way {
            self.remove(place);
        }
        while self.shares.bytes() + cost(value.len()) > self.store_bytes {
            match self.shares.gives_way() {
                Some(place) => self.remove(place),
                None => return Err(Refused::OverShare),
            }
        }
        let entry = Entry {
            arrival: self.next_arrival,
            value: Bytes::copy_from_slice(value),
            source,
            expires_at,
            filed_at: expires_at,
            establishes_at: now + ESTABLISHED_AFTER.saturating_sub(age),
            established: false,
        };
        self.next_arrival += 1;
        self.insert(key, entry);
        Ok(Stored::New)
    }

    /// Which value under `key` must go for one more of `source`, with its cost; none while there is
    /// room. Expects that nothing under `key` has expired.
    fn gives_way_at(
        &self,
        key: &Id,
        source: &NetworkPrefix,
        counted: bool,
    ) -> Result<Option<(Place, usize)>, Refused> {
        let none = Held::default();
        let held = self.keys.get(key).unwrap_or(&none);
        if counted && held.count_of(source) >= self.values_per_key_and_source {
            return Err(Refused::SourceFull);
        }
        if held.entries.len() < self.values_per_key {
            return Ok(None);
        }
        let entry = held.gives_way_to(source).ok_or(Refused::KeyFull)?;
        Ok(Some((Place { key: *key, arrival: entry.arrival }, entry.cost())))
    }

    /// Whether `cost` more bytes of `source` may be stored once `freed` bytes and what has expired
    /// are gone: there is room, or another source has more, and gives way.
    fn has_room(
        &self,
        now: Instant,
        source: NetworkPrefix,
        cost: usize,
        freed: usize,
    ) -> Result<(), Refused> {
        let lacking = (self.shares.bytes() + cost - freed).saturating_sub(self.store_bytes);
        let mut expired = 0;
        let due = self.expiries.iter().take_while(|(filed_at, _)| *filed_at <= now);
        let mut due = due.take(MAX_DUE_SEEN).filter_map(|(_, place)| self.entry(place));
        while expired < lacking {
            match due.next() {
                Some(entry) if entry.expires_at <= now => expired += entry.cost(),
                Some(_) => {}
                None => break,
            }
        }
        // Shares still include what has expired: subtracted from the other source's, to be sure.
        let fits = expired >= lacking || self.shares.gives_way_to(source, cost + expired);
        if cost <= self.store_bytes && fits { Ok(()) } else { Err(Refused::OverShare) }
    }

    fn entry(&self, place: &Place) -> Option<&Entry> {
        let held = self.keys.get(&place.key)?;
        held.position(place.arrival).and_then(|at| held.entries.get(at))
    }

    fn renew(&mut self, now: Instant, place: Place, expires_at: Instant) {
        let Some(entry) = self.keys.get_mut(&place.key).and_then(|held| held.entry_mut(place.arrival)) else {
            return;
        };
        entry.expires_at = entry.expires_at.max(expires_at);
        let (prefix, cost) = (entry.prefix(), entry.cost());
        let within_share = self.shares.established(&prefix) + cost <= self.store_bytes / ESTABLISHED_SHARE;
        if !entry.established && now >= entry.establishes_at && within_share {
            entry.established = true;
            self.shares.remove(prefix, false, place, cost);
            self.shares.add(prefix, true, place, cost);
        }
    }

    fn insert(&mut self, key: Id, entry: Entry) {
        let place = Place { key, arrival: entry.arrival };
        self.expiries.insert((entry.filed_at, place));
        self.shares.add(entry.prefix(), entry.established, place, entry.cost());
        self.keys.entry(key).or_default().push(entry);
    }

    fn remove(&mut self, place: Place) {
        let Some(held) = self.keys.get_mut(&place.key) else {
            return;
        };
        if let Some(entry) = held.take(place.arrival) {
            self.expiries.remove(&(entry.filed_at, place));
            self.shares.remove(entry.prefix(), entry.established, place, entry.cost());
        }
        if held.entries.is_empty() {
            self.keys.remove(&place.key);
        }
    }

    /// Drops one value that has expired, or files one anew that was renewed. Returns whether there
    /// was one.
    fn drop_one_expired(&mut self, now: Instant) -> bool {
        let Some(&(filed_at, place)) = self.expiries.first().filter(|(filed_at, _)| *filed_at <= now) else {
            return false;
        };
        let held = self.keys.get_mut(&place.key);
        match held.and_then(|held| held.entry_mut(place.arrival)) {
            Some(entry) if entry.expires_at > now => {
                entry.filed_at = entry.expires_at;
                let filed_at_now = entry.filed_at;
                self.expiries.remove(&(filed_at, place));
                self.expiries.insert((filed_at_now, place));
            }
            _ => self.remove(place),
        }
        true
    }

    fn drop_expired_of(&mut self, now: Instant, key: &Id) {
        let expired = |held: &Held| held.entries.iter().find(|e| e.expires_at <= now).map(|e| e.arrival);
        while let Some(arrival) = self.keys.get(key).and_then(expired) {
            self.remove(Place { key: *key, arrival });
        }
    }
}

fn cost(value_len: usize) -> usize {
    value_len + BOOKKEEPING_BYTES
}
