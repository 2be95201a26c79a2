//! The loop of every driver, one turn of it at a time.

use crate::callers::Callers;
use crate::clock::Clock;
use crate::engine::Engine;
use crate::handle::Handle;
use crate::inbox::Inbox;
use crate::outgoing::Outgoing;
use crate::seed::seed;
use crate::setup::Setup;
use crate::sockets::{Sockets, is_unreachable};
use khashmir::Instant;
use rustix::fd::BorrowedFd;
use std::io;
use std::net::UdpSocket;
use std::task::Context;
use std::time::Duration;

/// Batches that are sent before others have their turn: more than the answers to what is received
/// in one.
const SENT_PER_TURN: usize = 8;

/// A non-blocking UDP socket, and what a runtime knows of it.
///
/// A runtime that watches for changes, and not for what is, must learn from
/// [`WouldBlock`](io::ErrorKind::WouldBlock) that there is something to wait for; one that knows that
/// `io` would have to wait may give this error without a call.
pub trait Socket {
    /// Calls `io`, which receives; `WouldBlock` means that the socket is empty now.
    fn try_receive(&mut self, io: impl FnOnce(BorrowedFd<'_>) -> io::Result<()>) -> io::Result<()>;

    /// Calls `io`, which sends; `WouldBlock` means that the socket takes no more now.
    fn try_send(&mut self, io: impl FnOnce(BorrowedFd<'_>) -> io::Result<()>) -> io::Result<()>;
}

/// What a driver does after a [turn](Driver::turn).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// Another turn, as soon as others have had theirs: more is there already.
    Turn,
    /// It waits for a caller, for a socket, and until the deadline, if there is one.
    Wait(Option<Instant>),
}

/// A node with its callers, a clock and sockets: what a runtime runs, turn by turn.
///
/// Nothing in it waits. Answering a query allocates nothing in the steady state.
#[derive(Debug)]
pub struct Driver<S> {
    node: Engine,
    clock: Clock,
    /// For IPv4 and for IPv6.
    sockets: [Option<S>; 2],
    inbox: Inbox,
    outgoing: Outgoing,
    /// Last, so that it is dropped after the sockets.
    callers: Callers,
}

impl<S: Socket> Driver<S> {
    /// A node on `sockets`, and the first handle to it: a new one, if all that is given is a
    /// [`Config`](khashmir::Config). The address families are those of the sockets, whatever the
    /// configuration says. `watch` hands a socket, which does not block, to the runtime.
    ///
    /// Fails if the node cannot be made so ([`ConfigError`](khashmir::config::ConfigError) inside), the
    /// system has no randomness, or `watch` fails.
    pub fn start(
        sockets: Sockets,
        setup: impl Into<Setup>,
        mut watch: impl FnMut(UdpSocket) -> io::Result<S>,
    ) -> io::Result<(Handle, Driver<S>)> {
        let clock = Clock::start();
        let node = setup.into().make(sockets.address_families(), seed()?, clock.now());
        let node = node.map_err(|error| io::Error::new(io::ErrorKind::InvalidInput, error))?;
        let (handle, callers) = Callers::new(&node, sockets.local_addrs()?);
        let mut watch = |socket: Option<UdpSocket>| {
            let Some(socket) = socket else { return Ok(None) };
            socket.set_nonblocking(true)?;
            watch(socket).map(Some)
        };
        let (ipv4, ipv6) = sockets.into_parts();
        let sockets = [watch(ipv4)?, watch(ipv6)?];
        let (inbox, outgoing) = (Inbox::new(), Outgoing::default());
        Ok((handle, Driver { node, clock, sockets, inbox, outgoing, callers }))
    }

    /// Does what there is to do, a bounded part of it, and says what is next; `None`: nothing, a
    /// caller or the loss of the last handle has stopped the node. Wakes `cx` when a caller wants
    /// something.
    pub fn turn(&mut self, cx: &mut Context<'_>) -> Option<Next> {
        // One time for all of it: a turn is short.
        let now = self.clock.now();
        if !self.callers.serve(now, &mut self.node) {
            self.node.end();
            return None;
        }
        self.node.handle_timeout(now);
        let mut is_more_there = false;
        for socket in 0..self.sockets.len() {
            is_more_there |= self.receive(now, socket);
        }
        is_more_there |= self.transmit(now);
        self.callers.hand_out_events(&mut self.node);
        is_more_there |= self.callers.poll_ready(cx).is_ready();
        Some(if is_more_there { Next::Turn } else { Next::Wait(self.node.poll_timeout()) })
    }

    /// How long it is until `deadline`; zero if it has passed.
    pub fn until(&self, deadline: Instant) -> Duration {
        self.clock.until(deadline)
    }

    /// The sockets, for IPv4 and for IPv6, each with whether there is something to send that it did
    /// not take.
    pub fn sockets(&mut self) -> impl Iterator<Item = (&mut S, bool)> {
        let waiting = [0, 1].map(|socket| self.outgoing.is_waiting_for(socket));
        self.sockets.iter_mut().zip(waiting).filter_map(|(socket, waits)| Some((socket.as_mut()?, waits)))
    }

    /// One batch. Returns whether more may wait.
    fn receive(&mut self, now: Instant, socket: usize) -> bool {
        let Some(Some(socket)) = self.sockets.get_mut(socket) else { return false };
        let mut is_called = false;
        let received = socket.try_receive(|fd| {
            is_called = true;
            self.inbox.receive(fd)
        });
        if is_called {
            for (from, datagram) in self.inbox.datagrams() {
                self.node.handle_datagram(now, from, datagram);
            }
        }
        // Another error: some systems report here that an earlier datagram was not delivered.
        received.map_or_else(|error| error.kind() != io::ErrorKind::WouldBlock, |()| true)
    }

    /// Sends until nothing waits, a socket takes no more, or it has been enough. Returns whether it
    /// was that.
    fn transmit(&mut self, now: Instant) -> bool {
        for _ in 0..SENT_PER_TURN {
            if !self.outgoing.fill(&mut self.node) {
                return false;
            }
            let mut is_blocked = false;
            for socket in 0..self.sockets.len() {
                is_blocked |= !self.send(now, socket);
            }
            if is_blocked {
                return false;
            }
        }
        true
    }

    /// Sends what waits for a socket. Returns whether it took everything.
    fn send(&mut self, now: Instant, index: usize) -> bool {
        while self.outgoing.is_waiting_for(index) {
            // The node sends only to families that it was told we have.
            let sent = match self.sockets.get_mut(index) {
                Some(Some(socket)) => socket.try_send(|fd| self.outgoing.send(index, fd)),
                _ => Err(io::ErrorKind::Unsupported.into()),
            };
            let Err(error) = sent else { return true };
            if error.kind() == io::ErrorKind::WouldBlock {
                return false;
            }
            // What was not sent passes as a lost datagram does: it is sent again.
            let given_up = self.outgoing.give_up(index);
            if let Some(to) = given_up.filter(|_| is_unreachable(&error)) {
                self.node.handle_unreachable(now, to);
            }
        }
        true
    }
}
