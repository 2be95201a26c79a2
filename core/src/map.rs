//! Hash maps for what strangers name: keyed from the seed, never iterated.

use crate::prefix::NetworkPrefix;
use crate::rng::Rng;
use core::fmt;
use core::hash::{BuildHasher, Hash, Hasher};
use core::net::{IpAddr, SocketAddr};
use hashbrown::HashMap;
use siphasher::sip::SipHasher13;

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

    /// Takes the value under `key` out.
    pub fn remove(&mut self, key: &K) -> Option<V> {
        self.0.remove(key)
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

/// Ways of a set: how many names that hash alike are remembered.
const WAYS: usize = 8;

/// A table of fixed size that remembers the most recently used of many names.
///
/// Sets of eight, chosen by a keyed hash; a full set forgets the name that was
/// used longest ago. It never grows after it is made, whoever fills it.
#[derive(Clone, Debug)]
pub struct RecentTable<K, V> {
    key: HashKey,
    sets: alloc::vec::Vec<arrayvec::ArrayVec<(K, V), WAYS>>,
}

impl<K: Name, V> RecentTable<K, V> {
    /// An empty table for about `capacity` names (rounded up to whole sets).
    pub fn new(capacity: usize, key: HashKey) -> RecentTable<K, V> {
        let sets = capacity.div_ceil(WAYS).max(1);
        RecentTable { key, sets: (0..sets).map(|_| arrayvec::ArrayVec::new()).collect() }
    }

    /// What is remembered of `name`.
    pub fn get(&self, name: &K) -> Option<&V> {
        let set = &self.sets[self.set_of(name)];
        set.iter().find(|(k, _)| k == name).map(|(_, v)| v)
    }

    /// The entry of `name`, made by `new` if there is none, now the most recently used of its set.
    pub fn entry(&mut self, name: K, new: impl FnOnce() -> V) -> &mut V {
        let index = self.set_of(&name);
        let set = &mut self.sets[index];
        let at = set.iter().position(|(k, _)| *k == name);
        if at.is_none_or(|at| at + 1 < set.len()) {
            let entry = match at {
                Some(at) => set.remove(at),
                None => (name, new()),
            };
            if set.is_full() {
                set.remove(0);
            }
            set.push(entry);
        }
        let last = set.len() - 1;
        &mut set[last].1
    }

    fn set_of(&self, name: &K) -> usize {
        let hash = self.key.hasher().hash(&name.bytes());
        ((u128::from(hash) * self.sets.len() as u128) >> 64) as usize
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::Purpose;

    #[test]
    fn a_full_set_forgets_what_was_used_longest_ago() {
        let mut table = RecentTable::new(8, HashKey::new(&mut Rng::new([0; 32], Purpose::HashKey)));
        let name = |port| SocketAddr::from(([192, 0, 2, 1], port));
        for port in 0..8 {
            *table.entry(name(port), || 0) = port * 10;
        }
        table.entry(name(0), || 99);
        table.entry(name(8), || 80);
        assert_eq!(table.get(&name(0)), Some(&0), "used again, so kept");
        assert_eq!(table.get(&name(1)), None, "now the oldest, so forgotten");
        assert_eq!(table.get(&name(8)), Some(&80));
    }
}
