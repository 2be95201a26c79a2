//! Ids, the distance between them, and contacts.

use core::cmp::Ordering;
use core::fmt;
use core::net::SocketAddr;

/// A point in the 160-bit key space: the id of a node, or the key of values.
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct Id(pub [u8; Id::LEN]);

impl Id {
    /// Bytes in an id.
    pub const LEN: usize = 20;
    /// Bits in an id.
    pub const BITS: u32 = 160;
    /// Stands for a bootstrap contact whose id is not known yet; no node has it.
    pub const ZERO: Id = Id([0; Id::LEN]);

    /// The id in `bytes`, if there are exactly 20 of them.
    pub fn from_slice(bytes: &[u8]) -> Option<Id> {
        bytes.try_into().ok().map(Id)
    }

    /// The XOR distance between two ids (Kademlia, section 2.1).
    pub fn distance(&self, other: &Id) -> Distance {
        let ((a, b, c), (x, y, z)) = (self.words(), other.words());
        Distance { high: a ^ x, middle: b ^ y, low: c ^ z }
    }

    /// How many leading bits two ids have in common, 0 to 160.
    pub fn common_prefix_len(&self, other: &Id) -> u32 {
        self.distance(other).leading_zeros()
    }

    /// This id with its last byte plus one: a lookup of it finds who is around this one.
    pub(crate) fn neighbour(&self) -> Id {
        let mut id = *self;
        id.0[Id::LEN - 1] = id.0[Id::LEN - 1].wrapping_add(1);
        id
    }

    /// The id as a big-endian number, in parts: what a processor compares in one step.
    fn words(&self) -> (u64, u64, u32) {
        let word = |at: usize| self.0[at..].first_chunk().map_or(0, |bytes| u64::from_be_bytes(*bytes));
        let low = self.0.last_chunk().map_or(0, |bytes| u32::from_be_bytes(*bytes));
        (word(0), word(8), low)
    }
}

/// The order of the bytes.
impl Ord for Id {
    fn cmp(&self, other: &Id) -> Ordering {
        self.words().cmp(&other.words())
    }
}

impl PartialOrd for Id {
    fn partial_cmp(&self, other: &Id) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl AsRef<[u8]> for Id {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Display for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Id({self})")
    }
}

/// The XOR distance between two ids, ordered as a 160-bit big-endian number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Distance {
    high: u64,
    middle: u64,
    low: u32,
}

impl Distance {
    /// Leading zero bits, 0 to 160: the length of the prefix that the ids share.
    pub fn leading_zeros(&self) -> u32 {
        match *self {
            Distance { high: 0, middle: 0, low } => 128 + low.leading_zeros(),
            Distance { high: 0, middle, .. } => 64 + middle.leading_zeros(),
            Distance { high, .. } => high.leading_zeros(),
        }
    }
}

/// A node as others know it: an id at an address.
///
/// The pair is the identity: the same id at another address is another contact
/// (protocol, section 7).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Contact {
    /// The node's id, [`Id::ZERO`] while it is not known.
    pub id: Id,
    /// Where it receives datagrams.
    pub addr: SocketAddr,
}

#[cfg(test)]
mod tests {
    use super::*;
    use khashmir_testing::quickcheck;
    use quickcheck::{Arbitrary, Gen};

    impl Arbitrary for Id {
        fn arbitrary(g: &mut Gen) -> Id {
            Id(core::array::from_fn(|_| u8::arbitrary(g)))
        }
    }

    #[test]
    fn ids_and_distances_are_ordered_as_their_bytes() {
        fn law(a: Id, b: Id, same: u8) -> bool {
            // Random ids differ in the first byte: let them differ anywhere.
            let same = usize::from(same) % (Id::LEN + 1);
            let mut b = b;
            b.0[..same].copy_from_slice(&a.0[..same]);
            let xor = |id: &Id| -> [u8; Id::LEN] { core::array::from_fn(|at| id.0[at] ^ 0x5a) };
            let to = Id([0x5a; Id::LEN]);
            let distances = a.distance(&to).cmp(&b.distance(&to));
            let zeros = (0..160).take_while(|bit| (a.0[bit / 8] ^ b.0[bit / 8]) & (0x80 >> (bit % 8)) == 0);
            a.cmp(&b) == a.0.cmp(&b.0)
                && distances == xor(&a).cmp(&xor(&b))
                && a.common_prefix_len(&b) as usize == zeros.count()
        }
        quickcheck().quickcheck(law as fn(Id, Id, u8) -> bool);
    }

    #[test]
    fn distance_is_a_metric_ordered_by_common_prefix() {
        fn law(a: Id, b: Id, c: Id) -> bool {
            let (ab, ac) = (a.distance(&b), a.distance(&c));
            let by_prefix = a.common_prefix_len(&b) > a.common_prefix_len(&c);
            ab == b.distance(&a) && (a == b) == (ab.leading_zeros() == 160) && (!by_prefix || ab < ac)
        }
        quickcheck().quickcheck(law as fn(Id, Id, Id) -> bool);
    }
}
