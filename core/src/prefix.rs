//! Network prefixes: who counts as one, where rules count strangers.

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// A prefix of IP addresses whose holders are taken for one party.
///
/// Prefixes of different lengths are different, even where one contains the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NetworkPrefix {
    network: IpAddr,
    /// Leading bits of `network` that count; the others are zero.
    len: u8,
}

impl NetworkPrefix {
    /// The network of `ip`: its /24 (IPv4) or /48 (IPv6), which diversity is counted by
    /// (protocol, section 7).
    pub fn of(ip: &IpAddr) -> NetworkPrefix {
        NetworkPrefix::truncate(ip, 24, 48)
    }

    /// The one that queries and values of `ip` are charged to: its address (IPv4), or its /64
    /// (IPv6), within which a host takes as many addresses as it likes (RFC 4291, section 2.5.4).
    pub fn source(ip: &IpAddr) -> NetworkPrefix {
        NetworkPrefix::truncate(ip, 32, 64)
    }

    /// `ip` alone, for networks that are not counted by prefix.
    pub fn exact(ip: &IpAddr) -> NetworkPrefix {
        NetworkPrefix::truncate(ip, 32, 128)
    }

    /// Its first address.
    pub fn network(&self) -> IpAddr {
        self.network
    }

    /// How many leading bits its addresses share.
    #[allow(clippy::len_without_is_empty)]
    pub fn len(&self) -> u8 {
        self.len
    }

    /// Lengths are 1 to 32 and 1 to 128.
    fn truncate(ip: &IpAddr, ipv4_len: u8, ipv6_len: u8) -> NetworkPrefix {
        match ip {
            IpAddr::V4(ip) => {
                let mask = u32::MAX << (32 - ipv4_len);
                let network = Ipv4Addr::from_bits(ip.to_bits() & mask).into();
                NetworkPrefix { network, len: ipv4_len }
            }
            IpAddr::V6(ip) => {
                let mask = u128::MAX << (128 - ipv6_len);
                let network = Ipv6Addr::from_bits(ip.to_bits() & mask).into();
                NetworkPrefix { network, len: ipv6_len }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn neighbours_are_one_and_others_are_not() {
        let same = |of: fn(&IpAddr) -> NetworkPrefix, a, b| of(&ip(a)) == of(&ip(b));
        assert!(same(NetworkPrefix::of, "192.0.2.1", "192.0.2.255"));
        assert!(!same(NetworkPrefix::of, "192.0.2.1", "192.0.3.1"));
        assert!(same(NetworkPrefix::of, "2001:db8:1:2::1", "2001:db8:1:ffff::9"));
        assert!(!same(NetworkPrefix::of, "2001:db8:1::", "2001:db8:2::"));
        assert!(!same(NetworkPrefix::source, "192.0.2.1", "192.0.2.2"));
        assert!(same(NetworkPrefix::source, "2001:db8::1", "2001:db8::2"));
        assert!(!same(NetworkPrefix::source, "2001:db8::1", "2001:db8:0:1::1"));
        assert!(!same(NetworkPrefix::exact, "2001:db8::1", "2001:db8::2"));
    }

    #[test]
    fn an_address_is_not_the_network_that_starts_with_it() {
        let first = ip("192.0.2.0");
        assert_ne!(NetworkPrefix::of(&first), NetworkPrefix::exact(&first));
        assert_ne!(NetworkPrefix::of(&ip("::")), NetworkPrefix::of(&ip("0.0.0.0")));
    }
}
