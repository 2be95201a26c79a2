//! A node in a loop of mio.

use crate::socket::Socket;
use khashmir_driver::{Handle, Next, Setup, Sockets};
use mio::event::Event;
use mio::{Registry, Token};
use std::io;
use std::sync::Arc;
use std::task::{Context, Wake, Waker};
use std::time::Duration;

/// Your loop, as a node needs to know it.
#[derive(Clone, Debug)]
pub struct Loop<'a> {
    /// Where the sockets are registered.
    pub registry: &'a Registry,
    /// What events of the sockets will have, for IPv4 and for IPv6.
    pub tokens: [Token; 2],
    /// Interrupts the loop when a handle asks something. Nodes may share it.
    pub waker: Arc<mio::Waker>,
}

/// A node that your loop drives: the [front page](crate) shows how. Dropping it stops the node.
#[derive(Debug)]
pub struct Driver {
    inner: khashmir_driver::Driver<Socket>,
    registry: Registry,
    waker: Waker,
    next: Next,
}

impl Driver {
    /// A node on `sockets`, and the first handle to it; as [`Dht::start`](crate::Dht::start).
    pub fn start(
        sockets: Sockets,
        setup: impl Into<Setup>,
        within: Loop<'_>,
    ) -> io::Result<(Handle, Driver)> {
        let watch = |socket| Socket::watch(socket, &within);
        let (handle, inner) = khashmir_driver::Driver::start(sockets, setup, watch)?;
        let Loop { registry, waker, .. } = within;
        let (registry, waker) = (registry.try_clone()?, Arc::new(Interrupt(waker)).into());
        Ok((handle, Driver { inner, registry, waker, next: Next::Turn }))
    }

    /// An event came. Those of others are ignored.
    pub fn handle_event(&mut self, event: &Event) {
        for (socket, _) in self.inner.sockets() {
            socket.handle_event(event);
        }
    }

    /// Does what there is to do, a bounded part of it: to be called after the events that came, and
    /// when the [timeout](Self::timeout) is over. Returns whether the node goes on; not after a
    /// shutdown, or when the last handle is gone.
    ///
    /// Fails if the system cannot watch a socket any more.
    pub fn turn(&mut self) -> io::Result<bool> {
        let Some(next) = self.inner.turn(&mut Context::from_waker(&self.waker)) else {
            return Ok(false);
        };
        self.next = next;
        for (socket, is_sending) in self.inner.sockets() {
            socket.watch_writable(&self.registry, is_sending)?;
        }
        Ok(true)
    }

    /// How long to wait for events before the next turn; `None`: until one comes.
    pub fn timeout(&self) -> Option<Duration> {
        match self.next {
            Next::Turn => Some(Duration::ZERO),
            Next::Wait(deadline) => deadline.map(|deadline| self.inner.until(deadline)),
        }
    }
}

impl Drop for Driver {
    fn drop(&mut self) {
        for (socket, _) in self.inner.sockets() {
            socket.deregister(&self.registry);
        }
    }
}

/// Ends the wait of a loop.
struct Interrupt(Arc<mio::Waker>);

impl Wake for Interrupt {
    fn wake(self: Arc<Self>) {
        // Fails only where the loop is gone.
        let _unheard = self.0.wake();
    }
}
