//! A socket that mio watches for changes, and what they came to.

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
    is_writable: bool,
    /// Whether mio tells when it becomes writable. Otherwise not: that would wake the loop for each
    /// datagram that has left.
    writable_is_watched: bool,
}

impl Socket {
    pub(crate) fn watch(socket: net::UdpSocket, registry: &Registry, token: Token) -> io::Result<Socket> {
        let mut inner = UdpSocket::from_std(socket);
        registry.register(&mut inner, token, Interest::READABLE)?;
        Ok(Socket { inner, token, is_readable: true, is_writable: true, writable_is_watched: false })
    }

    pub(crate) fn handle_event(&mut self, event: &Event) {
        if event.token() == self.token {
            self.is_readable |= event.is_readable() || event.is_error();
            self.is_writable |= event.is_writable() || event.is_error();
        }
    }

    /// Lets mio tell when the socket becomes writable, or no more.
    pub(crate) fn watch_writable(&mut self, registry: &Registry, writable: bool) -> io::Result<()> {
        if writable != self.writable_is_watched {
            let interest = Interest::READABLE;
            let interest = if writable { interest | Interest::WRITABLE } else { interest };
            registry.reregister(&mut self.inner, self.token, interest)?;
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
        attempt(&self.inner, &mut self.is_readable, io)
    }

    fn try_send(&mut self, io: impl FnOnce(BorrowedFd<'_>) -> io::Result<()>) -> io::Result<()> {
        attempt(&self.inner, &mut self.is_writable, io)
    }
}

/// Calls `io` if the socket is ready for it, and notes if it is no more.
fn attempt(
    socket: &UdpSocket,
    is_ready: &mut bool,
    io: impl FnOnce(BorrowedFd<'_>) -> io::Result<()>,
) -> io::Result<()> {
    if !*is_ready {
        return Err(io::ErrorKind::WouldBlock.into());
    }
    let result = socket.try_io(|| io(socket.as_fd()));
    *is_ready = result.as_ref().err().is_none_or(|error| error.kind() != io::ErrorKind::WouldBlock);
    result
}
