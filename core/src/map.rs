//! Hash maps for what strangers name: keyed from the seed, never iterated.

use crate::prefix::NetworkPrefix;
use crate::rng::Rng;
use crate::time::Instant;
use alloc::vec::Vec;
use core::fmt;
use core::hash::{BuildHasher, Hash, Hasher};
use core::marker::PhantomData;
use core::net::{IpAddr, SocketAddr};
use core::num::NonZeroU64;
use hashbrown::HashMap;
use siphasher::sip::SipHasher13;

/// Fewer slots are not worth saving.
const FEWEST: usize = 8;

/// A key for hashing, drawn from the node's seed: strangers can't choose names
/// that collide, and the same seed still gives the same run.
#[derive(Clone, Copy)]
pub struct HashKey(u64, u64);

impl HashKey {
    /// Draws a key.
    pub fn new(rng: &mut Rng) -> HashKey {
        HashKey(rng.next_u64(), rng.next_u64())
    }

    fn hasher(&self) -> SipHasher13 {
        SipHasher13::new_with_keys(self.0, self.1)
    }
}

impl fmt::Debug for HashKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("HashKey(secret)")
    }
}

impl BuildHasher for HashKey {
    type Hasher = PortableHasher;

    fn build_hasher(&self) -> PortableHasher {
        PortableHasher(self.hasher())
    }
}

/// SipHash-1-3, fed alike on every platform: integers little-endian, `usize` as 64 bits.
#[derive(Debug)]
pub struct PortableHasher(SipHasher13);

impl Hasher for PortableHasher {
    fn write(&mut self, bytes: &[u8]) {
        self.0.write(bytes);
    }

    fn write_u16(&mut self, n: u16) {
        self.write(&n.to_le_bytes());
    }

    fn write_u32(&mut self, n: u32) {
        self.write(&n.to_le_bytes());
    }

    fn write_u64(&mut self, n: u64) {
        self.write(&n.to_le_bytes());
    }

    fn write_u128(&mut self, n: u128) {
        self.write(&n.to_le_bytes());
    }

    fn write_usize(&mut self, n: usize) {
        self.write_u64(n as u64);
    }

    fn write_isize(&mut self, n: isize) {
        self.write_u64(n as i64 as u64);
    }

    fn finish(&self) -> u64 {
        self.0.finish()
    }
}

/// A hash map without iteration: its order would depend on the seed's hashes,
/// and nothing a node does may.
#[derive(Clone, Debug)]
pub struct KeyedMap<K, V>(HashMap<K, V, HashKey>);

impl<K: Eq + Hash, V> KeyedMap<K, V> {
    /// An empty map.
    pub fn new(key: HashKey) -> KeyedMap<K, V> {
        KeyedMap(HashMap::with_hasher(key))
    }

    /// The value under `key`.
    pub fn get(&self, key: &K) -> Option<&V> {
        self.0.get(key)
    }

    /// The value under `key`, to change.
    pub fn get_mut(&mut self, key: &K) -> Option<&mut V> {
        self.0.get_mut(key)
    }

    /// Puts `value` under `key` and returns what was there.
    pub fn insert(&mut self, key: K, value: V) -> Option<V> {
        self.0.insert(key, value)
    }

    /// Takes the value under `key` out. A map that was much larger once gives its room back.
    pub fn remove(&mut self, key: &K) -> Option<V> {
        let value = self.0.remove(key);
        // Not the capacity: slots whose keys were removed may not count there.
        let slots = self.0.allocation_size() / size_of::<(K, V)>().max(1);
        if slots > FEWEST && self.0.len() < slots / 8 {
            self.0.shrink_to(self.0.len() * 2);
        }
        value
    }

    /// How many keys there are.
    #[allow(clippy::len_without_is_empty)]
    pub fn len(&self) -> usize {
        self.0.len()
    }
}

/// What a [`RecentTable`] is asked for with every datagram: hashed in one piece, which takes a
/// fraction of what [`Hash`] takes, field by field.
pub trait Name: Eq {
    /// Bytes that are equal where names are, and hardly ever elsewhere.
    fn bytes(&self) -> [u8; 18];
}

impl Name for SocketAddr {
    fn bytes(&self) -> [u8; 18] {
        with_ip(&self.ip(), self.port())
    }
}

impl Name for NetworkPrefix {
    fn bytes(&self) -> [u8; 18] {
        with_ip(&self.network(), self.len().into())
    }
}

fn with_ip(ip: &IpAddr, number: u16) -> [u8; 18] {
    let ip = match ip {
        IpAddr::V4(ip) => ip.to_ipv6_mapped(),
        IpAddr::V6(ip) => *ip,
    };
    let mut bytes = [0; 18];
    bytes[..16].copy_from_slice(&ip.octets());
    bytes[16..].copy_from_slice(&number.to_be_bytes());
    bytes
}

/// What a [`RecentTable`] remembers of a name: a keyed hash instead of the name itself, and more.
pub trait Remembered {
    /// How many bits of the hash are kept. With 36, one in eight million names is taken for another
    /// in a full table, and nobody can choose which.
    const HASH_BITS: u32;

    /// The bits that are kept, on the left; the others are zero.
    fn hash(&self) -> NonZeroU64;

    /// When it was used last: of too many, those that were used longest ago are forgotten.
    fn used_at(&self) -> Instant;
}

/// Slots that a name may have, one after the other. With so many, a table is more than half full
/// before a name finds all of its own taken.
const WINDOW: usize = 16;

/// A table that remembers the most recently used of many names, up to a bound.
///
/// It takes no more than what it remembers: it grows when a name finds all its slots taken by what
/// still matters, and forgets what was used longest ago once it may not grow any more.
#[derive(Clone, Debug)]
pub struct RecentTable<K, V> {
    key: HashKey,
    slots: Vec<Option<V>>,
    max_slots: usize,
    names: PhantomData<K>,
}

impl<K: Name, V: Remembered> RecentTable<K, V> {
    /// An empty table, for nearly `capacity` names at most.
    pub fn new(capacity: usize, key: HashKey) -> RecentTable<K, V> {
        RecentTable { key, slots: Vec::new(), max_slots: capacity.max(1), names: PhantomData }
    }

    /// What is remembered of `name`.
    pub fn get(&self, name: &K) -> Option<&V> {
        self.slots[self.position(self.hash(name))?].as_ref()
    }

    /// The same, to change.
    pub fn get_mut(&mut self, name: &K) -> Option<&mut V> {
        let slot = self.position(self.hash(name))?;
        self.slots[slot].as_mut()
    }

    /// The entry of `name`, made by `new` from its hash if there is none. `is_void`: whether an entry
    /// says no more than none would.
    pub fn entry(
        &mut self,
        name: &K,
        is_void: impl Fn(&V) -> bool,
        new: impl FnOnce(NonZeroU64) -> V,
    ) -> &mut V {
        let hash = self.hash(name);
        let slot = self.position(hash).unwrap_or_else(|| {
            let slot = self.room(hash, &is_void);
            self.slots[slot] = None;
            slot
        });
        self.slots[slot].get_or_insert_with(|| new(hash))
    }

    /// As many bits as are kept, the last of them set.
    fn hash(&self, name: &K) -> NonZeroU64 {
        let dropped = u64::BITS - V::HASH_BITS;
        let kept = (self.key.hasher().hash(&name.bytes()) >> dropped | 1) << dropped;
        NonZeroU64::new(kept).unwrap_or(NonZeroU64::MAX)
    }

    /// The slots that a name may have.
    fn window(&self, hash: NonZeroU64) -> impl Iterator<Item = usize> + use<K, V> {
        let len = self.slots.len();
        let first = ((u128::from(hash.get()) * len as u128) >> 64) as usize;
        (first..first + WINDOW.min(len)).map(move |at| if at < len { at } else { at - len })
    }

    fn position(&self, hash: NonZeroU64) -> Option<usize> {
        self.window(hash).find(|&at| self.slots[at].as_ref().is_some_and(|other| other.hash() == hash))
    }

    /// A slot for a name that has none.
    fn room(&mut self, hash: NonZeroU64, is_void: &impl Fn(&V) -> bool) -> usize {
        loop {
            let spare = self.window(hash).find(|&at| self.slots[at].as_ref().is_none_or(is_void));
            match spare {
                Some(slot) => return slot,
                None if self.slots.len() < self.max_slots => self.grow(is_void),
                None => return self.oldest(hash),
            }
        }
    }

    fn oldest(&self, hash: NonZeroU64) -> usize {
        let used_at = |at: &usize| self.slots[*at].as_ref().map(Remembered::used_at);
        self.window(hash).min_by_key(used_at).unwrap_or_default()
    }

    /// Gives room back, if most of it was for what does not matter any more.
    pub fn trim(&mut self, is_void: impl Fn(&V) -> bool) {
        let matter = self.slots.iter().flatten().filter(|value| !is_void(value)).count();
        let len = (matter + matter / 2).max(FEWEST).min(self.max_slots);
        if len + len / 2 < self.slots.len() {
            self.resize(len, &is_void);
        }
    }

    fn grow(&mut self, is_void: &impl Fn(&V) -> bool) {
        let len = self.slots.len();
        self.resize((len + (len / 8).max(FEWEST)).min(self.max_slots), is_void);
    }

    fn resize(&mut self, len: usize, is_void: &impl Fn(&V) -> bool) {
        let slots = core::mem::replace(&mut self.slots, (0..len).map(|_| None).collect());
        for value in slots.into_iter().flatten().filter(|value| !is_void(value)) {
            let hash = value.hash();
            let slot = self.window(hash).find(|&at| self.slots[at].is_none());
            let slot = slot.unwrap_or_else(|| self.oldest(hash));
            self.slots[slot] = Some(value);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::Purpose;

    #[derive(Clone, Debug)]
    struct Seen(NonZeroU64, u64);

    impl Remembered for Seen {
        const HASH_BITS: u32 = 64;

        fn hash(&self) -> NonZeroU64 {
            self.0
        }

        fn used_at(&self) -> Instant {
            Instant::from_micros(self.1)
        }
    }

    fn table(capacity: usize) -> RecentTable<SocketAddr, Seen> {
        RecentTable::new(capacity, HashKey::new(&mut Rng::new([0; 32], Purpose::HashKey)))
    }

    fn name(n: u16) -> SocketAddr {
        SocketAddr::from(([192, 0, 2, 1], n))
    }

    #[test]
    fn a_full_table_forgets_what_was_used_longest_ago() {
        let mut table = table(8);
        for n in 0..8 {
            table.entry(&name(n), |_| false, |hash| Seen(hash, n.into()));
        }
        table.entry(&name(0), |_| false, |hash| Seen(hash, 99)).1 += 100;
        table.entry(&name(8), |_| false, |hash| Seen(hash, 80));
        let seen = |n| table.get(&name(n)).map(|seen| seen.1);
        assert_eq!(seen(0), Some(100), "used again, so kept");
        assert_eq!(seen(1), None, "now the oldest, so forgotten");
        assert_eq!(seen(8), Some(80));
        assert_eq!(table.slots.len(), 8);
    }

    #[test]
    fn it_grows_with_what_matters_and_not_beyond_its_bound() {
        let mut table = table(8192);
        assert_eq!(table.slots.capacity(), 0, "nothing yet");
        // Of as many as come by, the last hundred matter.
        for n in 0..60_000u64 {
            table.entry(&name(n as u16), |seen| seen.1 + 100 < n, |hash| Seen(hash, n));
            assert_eq!(table.get(&name(n as u16)).map(|seen| seen.1), Some(n));
        }
        assert!((0..100).all(|n| table.get(&name(59_999 - n)).is_some()), "none of those is forgotten");
        assert!(table.slots.len() <= 400, "{}", table.slots.len());
        for n in 60_000..120_000 {
            table.entry(&name(n as u16), |_| false, |hash| Seen(hash, n));
        }
        assert_eq!(table.slots.len(), 8192);
        let mut trimmed = table.clone();
        trimmed.trim(|seen| seen.1 + 100 < 120_000);
        assert!(trimmed.slots.len() <= 200, "{}", trimmed.slots.len());
        let is_kept = |n: u64| trimmed.get(&name(n as u16)).is_some_and(|seen| seen.1 == n);
        assert!((119_900..120_000).filter(|n| is_kept(*n)).count() > 90);
        trimmed.trim(|_| true);
        assert_eq!(trimmed.slots.len(), FEWEST);
        let seen = |n: u64| table.get(&name(n as u16)).map(|seen| seen.1);
        let kept = (112_000..120_000).filter(|n| seen(*n) == Some(*n)).count();
        assert!(kept > 6000, "{kept} of the last 8000");
    }

    #[test]
    fn a_map_that_was_large_is_small_again() {
        let mut map = KeyedMap::new(HashKey::new(&mut Rng::new([0; 32], Purpose::HashKey)));
        (0..1000u32).for_each(|n| assert_eq!(map.insert(n, n), None));
        for n in 0..999 {
            assert_eq!(map.remove(&n), Some(n));
        }
        assert_eq!((map.get(&999), map.len()), (Some(&999), 1));
        assert!(map.0.allocation_size() < 400, "{} bytes", map.0.allocation_size());
    }

    /// Removed keys leave slots behind that are neither free nor taken.
    #[test]
    fn a_map_through_which_much_passes_is_small_again_too() {
        for width in [20, 60, 200] {
            let mut map = KeyedMap::new(HashKey::new(&mut Rng::new([0; 32], Purpose::HashKey)));
            for n in 0..10_000u32 {
                map.insert(n, n);
                map.remove(&n.wrapping_sub(width));
            }
            (0..10_000).for_each(|n| _ = map.remove(&n));
            assert!(map.0.allocation_size() < 400, "{width}: {} bytes", map.0.allocation_size());
        }
    }
}
