//! The sockets of one node: one for each address family at most.

use khashmir::config::AddressFamilies;
use socket2::{Domain, Socket, Type};
use std::io;
use std::net::{SocketAddr, UdpSocket};

/// One UDP socket for IPv4, one for IPv6, or both: a node sends to an address through the socket
/// of its family.
#[derive(Debug)]
pub struct Sockets {
    ipv4: Option<UdpSocket>,
    ipv6: Option<UdpSocket>,
}

impl Sockets {
    /// Binds a socket to each of `addrs`, one or two of different families. Port 0 lets the system
    /// choose. An IPv6 socket receives IPv6 alone, so that `0.0.0.0` and `[::]` can share a port.
    pub fn bind(addrs: &[SocketAddr]) -> io::Result<Sockets> {
        Sockets::new(addrs.iter().map(bind).collect::<io::Result<_>>()?)
    }

    /// Takes bound sockets, one or two of different families; one for IPv6 must receive IPv6 alone.
    pub fn new(sockets: Vec<UdpSocket>) -> io::Result<Sockets> {
        let given = sockets.len();
        let mut taken = Sockets { ipv4: None, ipv6: None };
        for socket in sockets {
            let is_ipv4 = socket.local_addr()?.is_ipv4();
            let place = if is_ipv4 { &mut taken.ipv4 } else { &mut taken.ipv6 };
            *place = Some(socket);
        }
        let used = taken.iter().count();
        if used == 0 || used < given {
            let text = format!(
                "a node has one socket for IPv4, one for IPv6, or both; {given} were given, {used} can be used"
            );
            return Err(io::Error::new(io::ErrorKind::InvalidInput, text));
        }
        Ok(taken)
    }

    /// The families of the sockets, as [`Config::address_families`](khashmir::Config::address_families)
    /// must say.
    pub fn address_families(&self) -> AddressFamilies {
        match (&self.ipv4, &self.ipv6) {
            (Some(_), Some(_)) => AddressFamilies::Both,
            (_, None) => AddressFamilies::Ipv4,
            (None, _) => AddressFamilies::Ipv6,
        }
    }

    /// Where the sockets are bound, IPv4 first.
    pub fn local_addrs(&self) -> io::Result<Vec<SocketAddr>> {
        self.iter().map(UdpSocket::local_addr).collect()
    }

    /// The sockets for IPv4 and for IPv6, of which at least one is there.
    pub fn into_parts(self) -> (Option<UdpSocket>, Option<UdpSocket>) {
        (self.ipv4, self.ipv6)
    }

    fn iter(&self) -> impl Iterator<Item = &UdpSocket> {
        self.ipv4.iter().chain(&self.ipv6)
    }
}

/// Whether an error of sending says that nothing can reach the destination from here, so that the
/// node need not wait for an answer. Others pass: a full buffer, a filter that is being loaded.
pub fn is_unreachable(error: &io::Error) -> bool {
    use io::ErrorKind::{AddrNotAvailable, HostUnreachable, NetworkDown, NetworkUnreachable};
    matches!(error.kind(), AddrNotAvailable | HostUnreachable | NetworkDown | NetworkUnreachable)
}

fn bind(addr: &SocketAddr) -> io::Result<UdpSocket> {
    let bind = || {
        let socket = Socket::new(Domain::for_address(*addr), Type::DGRAM, None)?;
        if addr.is_ipv6() {
            socket.set_only_v6(true)?;
        }
        socket.bind(&(*addr).into())?;
        Ok(socket.into())
    };
    bind()
        .map_err(|error: io::Error| io::Error::new(error.kind(), format!("cannot bind UDP {addr}: {error}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn loopback(ip: &str) -> SocketAddr {
        SocketAddr::new(ip.parse().unwrap(), 0)
    }

    #[test]
    fn both_families_share_a_port() {
        let v4 = Sockets::bind(&["0.0.0.0:0".parse().unwrap()]).unwrap();
        let port = v4.local_addrs().unwrap()[0].port();
        let v6 = Sockets::bind(&[SocketAddr::new("::".parse().unwrap(), port)]).unwrap();
        let both = Sockets::new(v6.into_parts().1.into_iter().chain(v4.into_parts().0).collect()).unwrap();
        assert_eq!(both.address_families(), AddressFamilies::Both);
        let addrs = both.local_addrs().unwrap();
        assert_eq!(
            addrs.iter().map(|addr| (addr.is_ipv4(), addr.port())).collect::<Vec<_>>(),
            [(true, port), (false, port)]
        );
    }

    #[test]
    fn none_and_two_of_one_family_are_refused() {
        for addrs in [&[][..], &[loopback("127.0.0.1"), loopback("127.0.0.1")]] {
            let error = Sockets::bind(addrs).unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::InvalidInput);
        }
    }

    #[test]
    fn a_taken_address_is_named() {
        let taken = Sockets::bind(&[loopback("127.0.0.1")]).unwrap();
        let addr = taken.local_addrs().unwrap()[0];
        let error = Sockets::bind(&[addr]).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::AddrInUse);
        assert!(error.to_string().contains(&addr.to_string()), "{error}");
    }
}
