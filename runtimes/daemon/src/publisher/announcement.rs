//! What is stored in the hash table for a file (protocol, section 6).

use std::net::{SocketAddr, SocketAddrV4, SocketAddrV6};

use bytes::Bytes;
use khashmir::Id;
use khashmir::claim::{Claim, PieceHashes, PieceHashesRef, file_key, v6_key};
use khashmir_apt::Sha256;

/// A key, and what is stored under it.
pub(super) type Item = (Id, Bytes);

/// Where peers reach us: by one address family, or both.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Address {
    v4: Option<SocketAddrV4>,
    v6: Option<SocketAddrV6>,
}

impl Address {
    /// The first address of each family; `None` if there is none at all.
    pub(super) fn of(addresses: &[SocketAddr]) -> Option<Self> {
        let v4 = addresses.iter().find_map(|address| match address {
            SocketAddr::V4(v4) => Some(*v4),
            SocketAddr::V6(_) => None,
        });
        let v6 = addresses.iter().find_map(|address| match address {
            SocketAddr::V6(v6) => Some(*v6),
            SocketAddr::V4(_) => None,
        });
        (v4.is_some() || v6.is_some()).then_some(Self { v4, v6 })
    }
}

/// The claim to have a file, and then the piece hashes, if that is where they go.
pub(super) fn items(sha256: &Sha256, hashes: &PieceHashes, at: Address) -> Vec<Item> {
    let claim = Claim { v4: at.v4, v6: at.v6, pieces: PieceHashesRef::to(hashes) };
    let key = file_key(&sha256.0);
    // Who reads claims without IPv4 looks for them elsewhere.
    let key = if at.v4.is_some() { key } else { v6_key(&key) };
    let mut items = vec![(key, claim.encode().into())];
    if let PieceHashesRef::Dht(sha1) = claim.pieces {
        items.push((Id(sha1), hashes.encode().into()));
    }
    items
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use khashmir::claim::ClaimKey;

    use super::*;

    fn hashes(count: usize) -> PieceHashes {
        PieceHashes::new(vec![[7; 20]; count])
    }

    fn at(addresses: &[&str]) -> Address {
        let addresses: Vec<SocketAddr> = addresses.iter().map(|text| text.parse().unwrap()).collect();
        Address::of(&addresses).unwrap()
    }

    #[test]
    fn every_tier_is_announced_as_others_look_for_it() {
        let sha256 = Sha256([9; 32]);
        for (pieces, values) in [(1, 1), (2, 1), (4, 1), (5, 2), (64, 2), (65, 1)] {
            let hashes = hashes(pieces);
            let items = items(&sha256, &hashes, at(&["192.0.2.1:9978"]));
            assert_eq!(items.len(), values, "{pieces} pieces");
            assert_eq!(items[0].0, Id([9; 20]));
            let claim = Claim::decode(&items[0].1, ClaimKey::File).unwrap();
            assert_eq!(claim.v4, Some("192.0.2.1:9978".parse().unwrap()));
            if let Some((key, value)) = items.get(1) {
                assert_eq!(claim.pieces.sha1(), Some(key.0));
                assert_eq!(PieceHashes::decode(value).unwrap(), hashes);
            }
        }
    }

    #[test]
    fn a_machine_without_ipv4_is_announced_under_the_other_key() {
        let both = at(&["[2001:db8::1]:9978", "192.0.2.1:9978"]);
        assert_eq!(items(&Sha256([9; 32]), &hashes(1), both)[0].0, Id([9; 20]));
        let only = items(&Sha256([9; 32]), &hashes(1), at(&["[2001:db8::1]:9978"]));
        assert_eq!(only[0].0, v6_key(&Id([9; 20])));
        assert!(Claim::decode(&only[0].1, ClaimKey::FileV6).unwrap().v4.is_none());
        assert!(Address::of(&[]).is_none());
    }
}
