//! Sockets and timers of smol.

use khashmir_driver::{AsFd as _, AsyncSocket, BorrowedFd};
use smol::Async;
use std::future::Future as _;
use std::io;
use std::net::UdpSocket;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

/// A socket that smol's reactor watches, for what is and not for changes.
#[derive(Debug)]
pub(crate) struct Socket(Async<UdpSocket>);

impl Socket {
    pub(crate) fn watch(socket: UdpSocket) -> io::Result<Socket> {
        Async::new_nonblocking(socket).map(Socket)
    }
}

impl khashmir_driver::Socket for Socket {
    fn try_receive(&mut self, io: impl FnOnce(BorrowedFd<'_>) -> io::Result<()>) -> io::Result<()> {
        io(self.0.as_fd())
    }

    fn try_send(&mut self, io: impl FnOnce(BorrowedFd<'_>) -> io::Result<()>) -> io::Result<()> {
        io(self.0.as_fd())
    }
}

impl AsyncSocket for Socket {
    fn poll_readable(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        self.0.poll_readable(cx).map(drop)
    }

    fn poll_writable(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        self.0.poll_writable(cx).map(drop)
    }
}

/// A timer of smol.
#[derive(Debug)]
pub(crate) struct Timer(smol::Timer);

impl Timer {
    pub(crate) fn never() -> Timer {
        Timer(smol::Timer::never())
    }
}

impl khashmir_driver::Timer for Timer {
    fn set(&mut self, after: Option<Duration>) {
        match after {
            Some(after) => self.0.set_after(after),
            None => self.0.clear(),
        }
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        Pin::new(&mut self.0).poll(cx).map(drop)
    }
}
