//! The sockets that the daemon listens on.

use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, UdpSocket};
use std::os::fd::OwnedFd;

use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketFlags, SocketType, bind, listen, socket_with, sockopt};

use super::{Service, StartError};

/// TCP and UDP on one port, for other machines.
#[derive(Debug)]
pub(super) struct PeerSockets {
    pub(super) tcp: TcpListener,
    /// One for each address family.
    pub(super) udp: Vec<UdpSocket>,
}

/// Connections that the system holds until they are accepted.
const BACKLOG: i32 = 256;

/// How often another port is tried when any will do and UDP has the one that
/// TCP was given.
const PORT_ATTEMPTS: usize = 16;

pub(super) fn proxy(address: SocketAddr) -> Result<TcpListener, StartError> {
    tcp(address).map_err(|source| StartError::Bind { service: Service::Proxy, address, source })
}

impl PeerSockets {
    pub(super) fn bind(address: SocketAddr) -> Result<Self, StartError> {
        let lacks_ipv6 = |error: &io::Error| {
            [Errno::AFNOSUPPORT, Errno::ADDRNOTAVAIL]
                .iter()
                .any(|errno| error.raw_os_error() == Some(errno.raw_os_error()))
        };
        match Self::bind_both(address) {
            Err(error) if is_all_addresses(address) && lacks_ipv6(&error) => {
                Self::bind_both(SocketAddr::from((Ipv4Addr::UNSPECIFIED, address.port())))
            }
            bound => bound,
        }
        .map_err(|source| StartError::Bind { service: Service::Peers, address, source })
    }

    fn bind_both(address: SocketAddr) -> io::Result<Self> {
        let mut attempts = if address.port() == 0 { PORT_ATTEMPTS } else { 1 };
        loop {
            attempts -= 1;
            let tcp = tcp(address)?;
            match udp(tcp.local_addr()?) {
                Ok(udp) => return Ok(Self { tcp, udp }),
                Err(error) if error.kind() != io::ErrorKind::AddrInUse || attempts == 0 => {
                    return Err(error);
                }
                Err(_) => {}
            }
        }
    }

    /// The address of both.
    pub(super) fn address(&self) -> io::Result<SocketAddr> {
        self.tcp.local_addr()
    }
}

fn tcp(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = socket(address, SocketType::STREAM, !is_all_addresses(address))?;
    // Or a restart would wait for the last connections' TIME_WAIT.
    sockopt::set_socket_reuseaddr(&socket, true)?;
    bind(&socket, &address)?;
    listen(&socket, BACKLOG)?;
    Ok(socket.into())
}

/// A socket for each address family: on the unspecified IPv6 address, one for IPv4 too.
fn udp(address: SocketAddr) -> io::Result<Vec<UdpSocket>> {
    let bound = |address: SocketAddr| {
        let socket = socket(address, SocketType::DGRAM, true)?;
        bind(&socket, &address)?;
        io::Result::Ok(UdpSocket::from(socket))
    };
    let mut sockets = vec![bound(address)?];
    if is_all_addresses(address) {
        sockets.push(bound((Ipv4Addr::UNSPECIFIED, address.port()).into())?);
    }
    Ok(sockets)
}

fn is_all_addresses(address: SocketAddr) -> bool {
    address.is_ipv6() && address.ip().is_unspecified()
}

/// A socket that on IPv6 addresses takes IPv6 alone, or IPv4 too, whatever the system's default is.
fn socket(address: SocketAddr, kind: SocketType, only_own_family: bool) -> io::Result<OwnedFd> {
    let family = if address.is_ipv6() { AddressFamily::INET6 } else { AddressFamily::INET };
    let socket = socket_with(family, kind, SocketFlags::CLOEXEC | SocketFlags::NONBLOCK, None)?;
    if address.is_ipv6() {
        sockopt::set_ipv6_v6only(&socket, only_own_family)?;
    }
    Ok(socket)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::net::{IpAddr, Ipv6Addr};

    use super::*;

    #[test]
    fn tcp_and_udp_share_a_port_that_the_system_chose() {
        let sockets = PeerSockets::bind("127.0.0.1:0".parse().unwrap()).unwrap();
        assert_ne!(sockets.address().unwrap().port(), 0);
        let udp: Vec<_> = sockets.udp.iter().map(|udp| udp.local_addr().unwrap()).collect();
        assert_eq!(udp, [sockets.tcp.local_addr().unwrap()]);
    }

    #[test]
    fn all_addresses_means_ipv4_too() {
        let sockets = PeerSockets::bind((IpAddr::from(Ipv6Addr::UNSPECIFIED), 0).into()).unwrap();
        let port = sockets.address().unwrap().port();
        std::net::TcpStream::connect((Ipv4Addr::LOCALHOST, port)).unwrap();
        let udp = sockets.udp.iter().map(|udp| udp.local_addr().unwrap());
        assert!(udp.clone().any(|udp| udp.is_ipv4()) && udp.clone().any(|udp| udp.is_ipv6()));
        assert!(udp.clone().all(|udp| udp.port() == port));
    }

    #[test]
    fn a_taken_port_is_named_with_what_to_do() {
        let taken = PeerSockets::bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let address = taken.address().unwrap();
        let text = PeerSockets::bind(address).unwrap_err().to_string();
        assert!(text.contains(&address.to_string()) && text.contains("--listen"), "{text}");
        let text = proxy(address).unwrap_err().to_string();
        assert!(text.contains(&address.to_string()) && text.contains("--proxy"), "{text}");
    }
}
