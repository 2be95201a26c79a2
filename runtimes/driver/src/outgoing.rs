//! Datagrams that are sent together: in one call where the system can.

use crate::engine::Engine;
use crate::inbox::BATCH;
use arrayvec::ArrayVec;
use bytes::BytesMut;
use rustix::fd::BorrowedFd;
use rustix::net::SendFlags;
use std::io;
use std::net::SocketAddr;
use std::ops::Range;

/// Datagrams that have left the node and wait for a socket: [`BATCH`] of them at most.
#[derive(Debug, Default)]
pub(crate) struct Outgoing {
    payloads: BytesMut,
    /// For each socket, where to, and what part of `payloads`; oldest first.
    waiting: [Datagrams; 2],
}

type Datagrams = ArrayVec<(SocketAddr, Range<usize>), BATCH>;

impl Outgoing {
    /// Polls the node, once all that it gave before is gone. Returns whether there is something to
    /// send.
    pub(crate) fn fill(&mut self, node: &mut Engine) -> bool {
        if self.waiting.iter().all(|waiting| waiting.is_empty()) {
            self.payloads.clear();
            for _ in 0..BATCH {
                let start = self.payloads.len();
                let Some(to) = node.poll_transmit(&mut self.payloads) else { break };
                self.waiting[usize::from(to.is_ipv6())].push((to, start..self.payloads.len()));
            }
        }
        self.waiting.iter().any(|waiting| !waiting.is_empty())
    }

    /// Whether something waits for the socket, of IPv4 (0) or IPv6 (1).
    pub(crate) fn is_waiting_for(&self, socket: usize) -> bool {
        self.waiting.get(socket).is_some_and(|waiting| !waiting.is_empty())
    }

    /// Sends what waits for the socket, of IPv4 (0) or IPv6 (1), until the first error: that is about
    /// the first of those that still wait.
    pub(crate) fn send(&mut self, socket: usize, fd: BorrowedFd<'_>) -> io::Result<()> {
        #[cfg(target_os = "linux")]
        return self.send_by(sendmmsg, socket, fd);
        #[cfg(not(target_os = "linux"))]
        return self.send_by(send_one, socket, fd);
    }

    fn send_by(&mut self, call: Call, socket: usize, fd: BorrowedFd<'_>) -> io::Result<()> {
        let Some(waiting) = self.waiting.get_mut(socket) else { return Ok(()) };
        while !waiting.is_empty() {
            let sent = call(fd, &self.payloads, waiting)?;
            waiting.drain(..sent);
        }
        Ok(())
    }

    /// Gives up the first of those that wait for the socket. Returns where it was to go.
    pub(crate) fn give_up(&mut self, socket: usize) -> Option<SocketAddr> {
        self.waiting.get_mut(socket)?.pop_at(0).map(|(to, _)| to)
    }
}

/// A call of the system that sends some of these, the first ones. Returns how many those were: one
/// at least.
type Call = fn(BorrowedFd<'_>, &[u8], &Datagrams) -> io::Result<usize>;

#[cfg(target_os = "linux")]
fn sendmmsg(fd: BorrowedFd<'_>, payloads: &[u8], datagrams: &Datagrams) -> io::Result<usize> {
    use io::IoSlice;
    use rustix::net::addr::SocketAddrArg as _;
    use rustix::net::{MMsgHdr, SendAncillaryBuffer, SocketAddrAny};
    if datagrams.len() == 1 {
        // The same, without the preparations.
        return send_one(fd, payloads, datagrams);
    }
    let addrs: ArrayVec<SocketAddrAny, BATCH> = datagrams.iter().map(|(to, _)| to.as_any()).collect();
    let payloads: ArrayVec<[IoSlice<'_>; 1], BATCH> = datagrams
        .iter()
        .map(|(_, range)| [IoSlice::new(payloads.get(range.clone()).unwrap_or_default())])
        .collect();
    let mut controls: ArrayVec<SendAncillaryBuffer<'_, '_, '_>, BATCH> =
        datagrams.iter().map(|_| SendAncillaryBuffer::default()).collect();
    let parts = addrs.iter().zip(&payloads).zip(&mut controls);
    let mut messages: ArrayVec<MMsgHdr<'_>, BATCH> =
        parts.map(|((addr, payload), control)| MMsgHdr::new_with_addr(addr, payload, control)).collect();
    Ok(rustix::net::sendmmsg(fd, &mut messages, SendFlags::DONTWAIT)?)
}

/// Sends the first.
fn send_one(fd: BorrowedFd<'_>, payloads: &[u8], datagrams: &Datagrams) -> io::Result<usize> {
    let Some((to, range)) = datagrams.first() else { return Ok(0) };
    rustix::net::sendto(fd, payloads.get(range.clone()).unwrap_or_default(), SendFlags::empty(), to)?;
    Ok(1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::fd::AsFd as _;
    use std::net::UdpSocket;

    #[cfg(target_os = "linux")]
    const CALLS: [Call; 2] = [sendmmsg, send_one];
    #[cfg(not(target_os = "linux"))]
    const CALLS: [Call; 1] = [send_one];

    fn bind(ip: &str) -> (UdpSocket, SocketAddr) {
        let socket = UdpSocket::bind((ip, 0)).unwrap();
        socket.set_nonblocking(true).unwrap();
        let addr = socket.local_addr().unwrap();
        (socket, addr)
    }

    /// Puts payloads where [`Outgoing::fill`] does.
    fn outgoing(datagrams: &[(SocketAddr, &[u8])]) -> Outgoing {
        let mut outgoing = Outgoing::default();
        for (to, payload) in datagrams {
            let start = outgoing.payloads.len();
            outgoing.payloads.extend_from_slice(payload);
            outgoing.waiting[usize::from(to.is_ipv6())].push((*to, start..outgoing.payloads.len()));
        }
        outgoing
    }

    #[test]
    fn each_goes_through_the_socket_of_its_family_in_order() {
        for call in CALLS {
            let ([from_v4, to_v4], [from_v6, to_v6]) = (["127.0.0.1"; 2].map(bind), ["::1"; 2].map(bind));
            let payloads: Vec<Vec<u8>> = (0..BATCH as u8).map(|n| vec![n; usize::from(n)]).collect();
            let to = |n: usize| if n.is_multiple_of(2) { to_v4.1 } else { to_v6.1 };
            let datagrams: Vec<_> = payloads.iter().enumerate().map(|(n, p)| (to(n), &p[..])).collect();
            let mut outgoing = outgoing(&datagrams);
            outgoing.send_by(call, 0, from_v4.0.as_fd()).unwrap();
            assert!(!outgoing.is_waiting_for(0) && outgoing.is_waiting_for(1));
            outgoing.send_by(call, 1, from_v6.0.as_fd()).unwrap();
            assert!(!outgoing.is_waiting_for(1));
            let mut buffer = [0; 100];
            for (n, payload) in payloads.iter().enumerate() {
                let (socket, from) =
                    if n.is_multiple_of(2) { (&to_v4.0, from_v4.1) } else { (&to_v6.0, from_v6.1) };
                assert_eq!(socket.recv_from(&mut buffer).unwrap(), (payload.len(), from));
                assert_eq!(buffer[..payload.len()], payload[..]);
            }
        }
    }

    #[test]
    fn an_error_is_about_the_first_that_waits() {
        for call in CALLS {
            let (from, (to, addr)) = (bind("127.0.0.1").0, bind("127.0.0.1"));
            // Nothing can be sent to port 0.
            let nowhere = SocketAddr::from(([127, 0, 0, 1], 0));
            let mut outgoing = outgoing(&[(addr, b"one"), (nowhere, b"two"), (addr, b"three")]);
            outgoing.send_by(call, 0, from.as_fd()).unwrap_err();
            assert_eq!(outgoing.give_up(0), Some(nowhere));
            outgoing.send_by(call, 0, from.as_fd()).unwrap();
            let mut buffer = [0; 100];
            for expected in [&b"one"[..], b"three"] {
                let len = to.recv(&mut buffer).unwrap();
                assert_eq!(&buffer[..len], expected);
            }
        }
    }
}
