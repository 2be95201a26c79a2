//! Ids, the distance between them, and contacts.

use core::fmt;
use core::net::SocketAddr;

/// A point in the 160-bit key space: the id of a node, or the key of values.
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
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
        let mut xor = self.0;
        for (byte, other) in xor.iter_mut().zip(other.0) {
            *byte ^= other;
        }
        Distance(xor)
    }

    /// How many leading bits two ids have in common, 0 to 160.
    pub fn common_prefix_len(&self, other: &Id) -> u32 {
        self.distance(other).leading_zeros()
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
pub struct Distance([u8; Id::LEN]);

impl Distance {
    /// Leading zero bits, 0 to 160: the length of the prefix that the ids share.
    pub fn leading_zeros(&self) -> u32 {
        match self.0.iter().position(|&byte| byte != 0) {
            Some(first) => first as u32 * 8 + self.0[first].leading_zeros(),
            None => Id::BITS,
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
    fn distance_is_a_metric_ordered_by_common_prefix() {
        fn law(a: Id, b: Id, c: Id) -> bool {
            let (ab, ac) = (a.distance(&b), a.distance(&c));
            let by_prefix = a.common_prefix_len(&b) > a.common_prefix_len(&c);
            ab == b.distance(&a) && (a == b) == (ab.leading_zeros() == 160) && (!by_prefix || ab < ac)
        }
        quickcheck().quickcheck(law as fn(Id, Id, Id) -> bool);
    }
}
