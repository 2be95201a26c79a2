//! A node in a loop of mio.

use crate::socket::Socket;
use khashmir::Config;
use khashmir_driver::{Handle, Next, Sockets};
use mio::event::Event;
use mio::{Registry, Token};
use std::io;
use std::net::UdpSocket;
use std::sync::Arc;
use std::task::{Context, Wake, Waker};
use std::time::Duration;

/// A node that your loop drives: the [front page](crate) shows how. Dropping it stops the node.
#[derive(Debug)]
pub struct Driver {
    inner: khashmir_driver::Driver<Socket>,
    registry: Registry,
    waker: Waker,
    next: Next,
}

impl Driver {
    /// A new node, which knows nobody, on `sockets`, and the first handle to it. Their families are
    /// those of its configuration, whatever that says.
    ///
    /// Events of the sockets will have these tokens, for IPv4 and for IPv6. `waker` interrupts the
    /// loop when a handle asks something; nodes may share it.
    ///
    /// Fails if the configuration cannot work ([`ConfigError`](khashmir::config::ConfigError) inside),
    /// or the system has no randomness or cannot watch the sockets.
    pub fn start(
        sockets: Sockets,
        config: Config,
        registry: &Registry,
        tokens: [Token; 2],
        waker: Arc<mio::Waker>,
    ) -> io::Result<(Handle, Driver)> {
        let watch = |socket| watch(socket, registry, tokens);
        let (handle, inner) = khashmir_driver::Driver::start(sockets, config, watch)?;
        Ok((handle, Driver::new(inner, registry.try_clone()?, waker)))
    }

    /// The node that made `snapshot`, after it was down for `downtime`; otherwise as
    /// [`start`](Self::start).
    pub fn restore(
        sockets: Sockets,
        config: Config,
        (snapshot, downtime): (&[u8], Duration),
        registry: &Registry,
        tokens: [Token; 2],
        waker: Arc<mio::Waker>,
    ) -> io::Result<(Handle, Driver)> {
        let watch = |socket| watch(socket, registry, tokens);
        let (handle, inner) = khashmir_driver::Driver::restore(sockets, config, snapshot, downtime, watch)?;
        Ok((handle, Driver::new(inner, registry.try_clone()?, waker)))
    }

    fn new(inner: khashmir_driver::Driver<Socket>, registry: Registry, waker: Arc<mio::Waker>) -> Driver {
        Driver { inner, registry, waker: Arc::new(Interrupt(waker)).into(), next: Next::Turn }
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

fn watch(socket: UdpSocket, registry: &Registry, [ipv4, ipv6]: [Token; 2]) -> io::Result<Socket> {
    let token = if socket.local_addr()?.is_ipv4() { ipv4 } else { ipv6 };
    Socket::watch(socket, registry, token)
}

/// Ends the wait of a loop.
struct Interrupt(Arc<mio::Waker>);

impl Wake for Interrupt {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        // Fails only where the loop is gone.
        let _unheard = self.0.wake();
    }
}
