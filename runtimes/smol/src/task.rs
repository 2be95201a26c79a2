//! The task that owns the node.

use bytes::BytesMut;
use khashmir::Node;
use khashmir_driver::{Callers, Clock, Sockets, canonical, is_unreachable};
use smol::{Async, Timer};
use std::future::Future as _;
use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::pin::Pin;
use std::task::{Context, Poll};

/// Datagrams of one socket that are taken before others have their turn.
const BATCH: usize = 64;

/// The longest datagram that there is.
const MAX_DATAGRAM: usize = 65_535;

/// The node, and all that it needs to run.
pub(crate) struct Task {
    node: Node,
    clock: Clock,
    timer: Timer,
    /// For IPv4 and for IPv6.
    sockets: [Option<Async<UdpSocket>>; 2],
    received: Vec<u8>,
    payload: BytesMut,
    /// Where `payload` goes, while its socket takes no more.
    unsent_to: Option<SocketAddr>,
    /// Last, so that it is dropped after the sockets.
    callers: Callers,
}

impl Task {
    pub(crate) fn new(node: Node, clock: Clock, sockets: Sockets, callers: Callers) -> io::Result<Task> {
        let (ipv4, ipv6) = sockets.into_parts();
        Ok(Task {
            node,
            clock,
            timer: Timer::never(),
            sockets: [ipv4.map(Async::new).transpose()?, ipv6.map(Async::new).transpose()?],
            received: vec![0; MAX_DATAGRAM],
            payload: BytesMut::new(),
            unsent_to: None,
            callers,
        })
    }

    /// Runs until a caller, or the loss of the last handle, stops it.
    pub(crate) async fn run(mut self) {
        while self.callers.serve(self.clock.now(), &mut self.node) {
            self.node.handle_timeout(self.clock.now());
            self.receive();
            self.transmit();
            self.callers.hand_out_events(&mut self.node);
            match self.node.poll_timeout().map(|deadline| self.clock.until(deadline)) {
                Some(wait) => self.timer.set_after(wait),
                None => self.timer.clear(),
            }
            std::future::poll_fn(|cx| self.poll_ready(cx)).await;
        }
    }

    /// Ready when there is something to do.
    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let mut ready = self.callers.poll_ready(cx).is_ready();
        ready |= Pin::new(&mut self.timer).poll(cx).is_ready();
        for socket in self.sockets.iter().flatten() {
            ready |= socket.poll_readable(cx).is_ready();
        }
        if let Some(socket) = self.unsent_to.and_then(|to| self.socket_for(to)) {
            ready |= socket.poll_writable(cx).is_ready();
        }
        if ready { Poll::Ready(()) } else { Poll::Pending }
    }

    fn receive(&mut self) {
        for socket in self.sockets.iter().flatten() {
            for _ in 0..BATCH {
                match socket.get_ref().recv_from(&mut self.received) {
                    Ok((len, from)) => {
                        let datagram = self.received.get(..len).unwrap_or_default();
                        self.node.handle_datagram(self.clock.now(), canonical(from), datagram);
                    }
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                    // Some systems report here that an earlier datagram was not delivered.
                    Err(_) => {}
                }
            }
        }
    }

    fn transmit(&mut self) {
        loop {
            let to = match self.unsent_to.take() {
                Some(to) => to,
                None => {
                    self.payload.clear();
                    match self.node.poll_transmit(&mut self.payload) {
                        Some(to) => to,
                        None => return,
                    }
                }
            };
            // The node sends only to families that it was told we have.
            let Some(socket) = self.socket_for(to) else { continue };
            match socket.get_ref().send_to(&self.payload, to) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    self.unsent_to = Some(to);
                    return;
                }
                Err(error) if is_unreachable(&error) => self.node.handle_unreachable(self.clock.now(), to),
                // Other errors pass as a lost datagram does: it is sent again.
                Ok(_) | Err(_) => {}
            }
        }
    }

    fn socket_for(&self, to: SocketAddr) -> Option<&Async<UdpSocket>> {
        let [ipv4, ipv6] = &self.sockets;
        if to.is_ipv4() { ipv4.as_ref() } else { ipv6.as_ref() }
    }
}
