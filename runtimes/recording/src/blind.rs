//! Pseudonyms: equal things stay equal, and near ones near, but nobody sees who and what they are.

use khashmir::Id;
use sha1::{Digest, Sha1};
use siphasher::sip::SipHasher24;
use std::fmt;
use std::hash::Hasher as _;
use std::net::{IpAddr, SocketAddr};

/// The port of everybody, which tells nothing.
const USUAL_PORT: u16 = 9978;

/// Stands in front of a pseudonym, so that nobody takes it for what it replaces.
pub(crate) const MARK: char = '~';

/// Replaces what tells who and what, by a secret that is kept nowhere.
#[derive(Clone)]
pub(crate) struct Pseudonyms(SipHasher24);

/// What is replaced: the same bytes of two kinds have nothing to do with each other.
#[derive(Clone, Copy)]
enum Kind {
    Id,
    Ipv4,
    Ipv6,
    Port,
    Opaque,
}

impl Pseudonyms {
    /// The secret comes from the node's seed, which is another in each of its lives.
    pub(crate) fn new(seed: &[u8; 32]) -> Pseudonyms {
        let digest: [u8; 20] =
            Sha1::new_with_prefix("khashmir pseudonyms").chain_update(seed).finalize().into();
        let key = std::array::from_fn(|at| digest[at]);
        Pseudonyms(SipHasher24::new_with_key(&key))
    }

    /// Of an id or a key. Two that share their first bits, and no more, have pseudonyms that share as
    /// many: distances keep their order of magnitude.
    pub(crate) fn id(&self, id: &Id) -> Id {
        Id(self.with_prefix(Kind::Id, id.0))
    }

    /// Of an address: two in one network, of whatever size, stay in one.
    pub(crate) fn addr(&self, addr: &SocketAddr) -> SocketAddr {
        let ip: IpAddr = match addr.ip() {
            IpAddr::V4(ip) => self.with_prefix(Kind::Ipv4, ip.octets()).into(),
            IpAddr::V6(ip) => self.with_prefix(Kind::Ipv6, ip.octets()).into(),
        };
        let port = match addr.port() {
            USUAL_PORT => USUAL_PORT,
            other => self.hash(Kind::Port, &other.to_be_bytes()) as u16,
        };
        SocketAddr::new(ip, port)
    }

    /// Of bytes of which only matters whether they are the same.
    pub(crate) fn opaque(&self, bytes: &[u8]) -> u32 {
        self.hash(Kind::Opaque, bytes) as u32
    }

    /// Whether a bit is turned depends on those before it alone (as in Crypto-PAn).
    fn with_prefix<const N: usize>(&self, kind: Kind, bytes: [u8; N]) -> [u8; N] {
        let mut replaced = bytes;
        // What is hashed: the bits before, then how many they are.
        let mut before = [0; Id::LEN + 1];
        for (at, byte) in bytes.into_iter().enumerate() {
            for bit in 0..8 {
                before[at] = byte & !(0xff >> bit);
                before[N] = (at * 8 + bit) as u8;
                let turns = self.hash(kind, &before[..=N]) & 1 == 1;
                replaced[at] ^= if turns { 0x80 >> bit } else { 0 };
            }
            before[at] = byte;
        }
        replaced
    }

    fn hash(&self, kind: Kind, bytes: &[u8]) -> u64 {
        let mut hasher = self.0;
        hasher.write_u8(kind as u8);
        hasher.write(bytes);
        hasher.finish()
    }
}

/// The secret is none of anybody's business.
impl fmt::Debug for Pseudonyms {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Pseudonyms")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use khashmir_testing::quickcheck;

    #[test]
    fn near_things_stay_near_and_nothing_stays_what_it_is() {
        fn law(seed: u8, id: Vec<u8>, shared: u8, ip: u32, port: u16) -> bool {
            let names = Pseudonyms::new(&[seed; 32]);
            let id = Id(std::array::from_fn(|at| id.get(at).copied().unwrap_or(at as u8)));
            let shared = usize::from(shared) % 160;
            let mut other = id;
            other.0[shared / 8] ^= 0x80 >> (shared % 8);
            let (a, b) = (names.id(&id), names.id(&other));
            let addr = SocketAddr::from((ip.to_be_bytes(), port));
            let neighbour = SocketAddr::from(((ip ^ 1).to_be_bytes(), port));
            let [x, y] = [addr, neighbour].map(|addr| names.addr(&addr));
            let (IpAddr::V4(p), IpAddr::V4(q)) = (x.ip(), y.ip()) else { return false };
            a.common_prefix_len(&b) as usize == shared
                && p.to_bits() ^ q.to_bits() == 1
                && x.port() == y.port()
                && names.id(&id) == a
        }
        quickcheck().quickcheck(law as fn(u8, Vec<u8>, u8, u32, u16) -> bool);
        // A bit in two is turned, by another secret another one.
        let turned = |seed: u8, of: u8| {
            let replaced = Pseudonyms::new(&[seed; 32]).id(&Id([of; 20]));
            replaced.0.iter().map(|byte| (byte ^ of).count_ones()).sum::<u32>()
        };
        let all: u32 = (0..100).map(|n| turned(n, n)).sum();
        assert!((7600..8400).contains(&all), "{all} of 16000");
        assert_ne!(Pseudonyms::new(&[1; 32]).id(&Id([3; 20])), Pseudonyms::new(&[2; 32]).id(&Id([3; 20])));
    }

    #[test]
    fn the_usual_port_tells_nothing_and_others_do() {
        let names = Pseudonyms::new(&[1; 32]);
        let port = |port: u16| names.addr(&SocketAddr::from(([60, 0, 0, 1], port))).port();
        assert_eq!(port(9978), 9978);
        assert!((1..100).filter(|&n| port(n) == n).count() < 2);
        assert_ne!(names.opaque(b"one"), names.opaque(b"two"));
        assert_ne!(names.opaque(&[1; 3000]), names.opaque(&[2; 3000]));
    }
}
