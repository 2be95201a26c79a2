//! Addresses in one form, since the engine compares them whole.

use std::net::{SocketAddr, SocketAddrV6};

/// The one form of an address: an IPv4-mapped IPv6 address as the IPv4 address that it is, and an
/// IPv6 address without flow label and scope, which are not part of it.
///
/// Without its scope a link-local address cannot be sent to; no other node could be told it anyway.
pub fn canonical(addr: SocketAddr) -> SocketAddr {
    match addr {
        SocketAddr::V4(_) => addr,
        SocketAddr::V6(v6) => match v6.ip().to_ipv4_mapped() {
            Some(ip) => SocketAddr::from((ip, v6.port())),
            None => SocketAddrV6::new(*v6.ip(), v6.port(), 0, 0).into(),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_addresses_become_equal() {
        let parse = |text: &str| text.parse::<SocketAddr>().unwrap();
        assert_eq!(canonical(parse("[::ffff:192.0.2.7]:9978")), parse("192.0.2.7:9978"));
        assert_eq!(canonical(parse("192.0.2.7:9978")), parse("192.0.2.7:9978"));
        let scoped = SocketAddrV6::new("fe80::1".parse().unwrap(), 9978, 5, 3);
        assert_eq!(canonical(scoped.into()), parse("[fe80::1]:9978"));
    }
}
