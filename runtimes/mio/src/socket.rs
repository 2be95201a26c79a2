//! A socket that mio watches for changes, and what they came to.

use crate::driver::Loop;
use khashmir_driver::{AsFd as _, BorrowedFd};
use mio::event::Event;
use mio::net::UdpSocket;
use mio::{Interest, Registry, Token};
use std::io;
use std::net;

#[derive(Debug)]
pub(crate) struct Socket {
    inner: UdpSocket,
    token: Token,
    is_readable: bool,
    /// Whether mio tells when it becomes writable. Otherwise not: that would wake the loop for each
    /// datagram that has left.
    writable_is_watched: bool,
}

impl Socket {
    pub(crate) fn watch(socket: net::UdpSocket, within: &Loop<'_>) -> io::Result<Socket> {
        let token = within.tokens[usize::from(socket.local_addr()?.is_ipv6())];
        let mut inner = UdpSocket::from_std(socket);
        within.registry.register(&mut inner, token, Interest::READABLE)?;
        Ok(Socket { inner, token, is_readable: true, writable_is_watched: false })
    }

    pub(crate) fn handle_event(&mut self, event: &Event) {
        self.is_readable |= event.token() == self.token && (event.is_readable() || event.is_error());
    }

    /// Lets mio tell when the socket becomes writable, or no more.
    pub(crate) fn watch_writable(&mut self, registry: &Registry, writable: bool) -> io::Result<()> {
        if writable != self.writable_is_watched {
            let also = if writable { Interest::WRITABLE } else { Interest::READABLE };
            registry.reregister(&mut self.inner, self.token, Interest::READABLE | also)?;
            self.writable_is_watched = writable;
        }
        Ok(())
    }

    pub(crate) fn deregister(&mut self, registry: &Registry) {
        // Fails only where the loop is gone, and then it is not needed.
        let _gone = registry.deregister(&mut self.inner);
    }
}

impl khashmir_driver::Socket for Socket {
    fn try_receive(&mut self, io: impl FnOnce(BorrowedFd<'_>) -> io::Result<()>) -> io::Result<()> {
        if !self.is_readable {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        let received = self.inner.try_io(|| io(self.inner.as_fd()));
        self.is_readable = !matches!(&received, Err(error) if error.kind() == io::ErrorKind::WouldBlock);
        received
    }

    fn try_send(&mut self, io: impl FnOnce(BorrowedFd<'_>) -> io::Result<()>) -> io::Result<()> {
        self.inner.try_io(|| io(self.inner.as_fd()))
    }
}
