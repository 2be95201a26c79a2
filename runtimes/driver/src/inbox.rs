//! Datagrams that are received together: in one call where the system can.

use crate::address::canonical;
use arrayvec::ArrayVec;
use rustix::fd::BorrowedFd;
use std::fmt;
use std::io;
use std::net::SocketAddr;

/// Datagrams that are received together at most.
pub(crate) const BATCH: usize = 32;

/// The longest datagram that there is: whatever the socket gives is accepted.
const MAX_DATAGRAM: usize = 65_535;

/// From one buffer to the next. A few cache lines more than the longest datagram, because the
/// beginnings are what is used, and at the same place in each page they would push each other out
/// of the cache.
const STRIDE: usize = MAX_DATAGRAM + 1 + 3 * 64;

/// Room for [`BATCH`] datagrams. Most of it is never touched, and so takes no memory.
pub(crate) struct Inbox {
    bytes: Vec<u8>,
    /// From where, and how long. The datagrams are at the beginnings of the first buffers.
    received: ArrayVec<(SocketAddr, usize), BATCH>,
}

impl Inbox {
    pub(crate) fn new() -> Inbox {
        Inbox { bytes: vec![0; BATCH * STRIDE], received: ArrayVec::new() }
    }

    /// Takes what waits at `socket`, instead of what was here. [`WouldBlock`](io::ErrorKind::WouldBlock)
    /// says that this was all, and not that there was nothing; otherwise there may be more.
    pub(crate) fn receive(&mut self, socket: BorrowedFd<'_>) -> io::Result<()> {
        self.received.clear();
        let buffers = self.bytes.chunks_exact_mut(STRIDE);
        #[cfg(target_os = "linux")]
        crate::recvmmsg::receive(socket, buffers, &mut self.received)?;
        #[cfg(not(target_os = "linux"))]
        receive_each(socket, buffers, &mut self.received)?;
        if self.received.is_full() { Ok(()) } else { Err(io::ErrorKind::WouldBlock.into()) }
    }

    /// The datagrams, with the canonical form of the address that each came from.
    pub(crate) fn datagrams(&self) -> impl Iterator<Item = (SocketAddr, &[u8])> {
        let buffers = self.bytes.chunks_exact(STRIDE);
        let used = self.received.iter().zip(buffers);
        used.map(|((from, len), buffer)| (canonical(*from), buffer.get(..*len).unwrap_or_default()))
    }
}

impl fmt::Debug for Inbox {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Inbox").field("received", &self.received).finish_non_exhaustive()
    }
}

/// A call for each datagram.
#[cfg(any(not(target_os = "linux"), test))]
fn receive_each<'a>(
    socket: BorrowedFd<'_>,
    buffers: impl Iterator<Item = &'a mut [u8]>,
    received: &mut ArrayVec<(SocketAddr, usize), BATCH>,
) -> io::Result<()> {
    use rustix::net::{RecvFlags, recvfrom};
    for buffer in buffers {
        match recvfrom(socket, buffer, RecvFlags::empty()) {
            Ok((len, _, from)) => {
                if let Some(Ok(from)) = from.map(SocketAddr::try_from) {
                    received.push((from, len));
                }
            }
            Err(_) if !received.is_empty() => break,
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::fd::AsFd as _;
    use std::net::UdpSocket;

    type Receive = fn(&mut Inbox, &UdpSocket) -> bool;

    /// Both ways, each with what it says when it has emptied the socket.
    const WAYS: [Receive; 2] = [
        |inbox, socket| inbox.receive(socket.as_fd()).is_ok(),
        |inbox, socket| {
            inbox.received.clear();
            let all = receive_each(socket.as_fd(), inbox.bytes.chunks_exact_mut(STRIDE), &mut inbox.received);
            all.is_ok() && inbox.received.is_full()
        },
    ];

    fn socket(ip: &str) -> UdpSocket {
        let socket = UdpSocket::bind((ip, 0)).unwrap();
        socket.set_nonblocking(true).unwrap();
        socket
    }

    #[test]
    fn takes_what_waits_in_order_and_knows_when_there_may_be_more() {
        for (ip, receive) in ["127.0.0.1", "::1"].into_iter().flat_map(|ip| WAYS.map(|way| (ip, way))) {
            let (to, from) = (socket(ip), socket(ip));
            let mut inbox = Inbox::new();
            assert!(!receive(&mut inbox, &to));
            assert_eq!(inbox.datagrams().count(), 0);
            for n in 0..BATCH as u8 + 3 {
                from.send_to(&vec![n; usize::from(n)], to.local_addr().unwrap()).unwrap();
            }
            let mut next = 0..;
            for (more, len) in [(true, BATCH), (false, 3), (false, 0)] {
                assert_eq!(receive(&mut inbox, &to), more);
                assert_eq!(inbox.datagrams().count(), len);
                for ((addr, datagram), n) in inbox.datagrams().zip(next.by_ref().take(len)) {
                    assert_eq!(addr, from.local_addr().unwrap());
                    assert_eq!(datagram, vec![n; usize::from(n)]);
                }
            }
        }
    }

    #[test]
    fn the_longest_datagram_arrives_whole() {
        for receive in WAYS {
            let (to, from) = (socket("127.0.0.1"), socket("127.0.0.1"));
            let long: Vec<u8> = (0..65_507u32).map(|n| n as u8).collect();
            from.send_to(&long, to.local_addr().unwrap()).unwrap();
            from.send_to(b"short", to.local_addr().unwrap()).unwrap();
            let mut inbox = Inbox::new();
            receive(&mut inbox, &to);
            let datagrams: Vec<_> = inbox.datagrams().map(|(_, datagram)| datagram).collect();
            assert_eq!(datagrams, [&long[..], b"short"]);
        }
    }
}
