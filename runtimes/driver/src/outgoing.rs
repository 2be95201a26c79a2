//! Datagrams that are sent together: in one call where the system can.

use crate::inbox::BATCH;
use arrayvec::ArrayVec;
use bytes::BytesMut;
use khashmir::Node;
use rustix::fd::BorrowedFd;
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
    pub(crate) fn fill(&mut self, node: &mut Node) -> bool {
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
        let Some(waiting) = self.waiting.get_mut(socket) else { return Ok(()) };
        while !waiting.is_empty() {
            #[cfg(target_os = "linux")]
            let sent = sendmmsg(fd, &self.payloads, waiting)?;
            #[cfg(not(target_os = "linux"))]
            let sent = send_one(fd, &self.payloads, waiting)?;
            waiting.drain(..sent);
        }
        Ok(())
    }

    /// Gives up the first of those that wait for the socket. Returns where it was to go.
    pub(crate) fn give_up(&mut self, socket: usize) -> Option<SocketAddr> {
        self.waiting.get_mut(socket)?.pop_at(0).map(|(to, _)| to)
    }
}

/// Sends as many as the socket takes. Returns how many those were: one at least.
#[cfg(target_os = "linux")]
fn sendmmsg(fd: BorrowedFd<'_>, payloads: &[u8], datagrams: &Datagrams) -> io::Result<usize> {
    use io::IoSlice;
    use rustix::net::addr::SocketAddrArg as _;
    use rustix::net::{MMsgHdr, SendAncillaryBuffer, SendFlags, SocketAddrAny};
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
#[cfg(not(target_os = "linux"))]
fn send_one(fd: BorrowedFd<'_>, payloads: &[u8], datagrams: &Datagrams) -> io::Result<usize> {
    use rustix::net::{SendFlags, sendto};
    let Some((to, range)) = datagrams.first() else { return Ok(0) };
    sendto(fd, payloads.get(range.clone()).unwrap_or_default(), SendFlags::empty(), to)?;
    Ok(1)
}
