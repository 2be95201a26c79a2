//! Sockets and timers of tokio.

use khashmir_driver::{AsFd as _, AsyncSocket, BorrowedFd};
use std::io;
use std::net;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::io::Interest;
use tokio::net::UdpSocket;
use tokio::time::{Instant, Sleep, sleep};

/// A socket that tokio watches for changes: what is there until then, it learns from our calls.
#[derive(Debug)]
pub(crate) struct Socket(UdpSocket);

impl Socket {
    pub(crate) fn watch(socket: net::UdpSocket) -> io::Result<Socket> {
        UdpSocket::from_std(socket).map(Socket)
    }
}

impl khashmir_driver::Socket for Socket {
    fn try_receive(&mut self, io: impl FnOnce(BorrowedFd<'_>) -> io::Result<()>) -> io::Result<()> {
        self.0.try_io(Interest::READABLE, || io(self.0.as_fd()))
    }

    fn try_send(&mut self, io: impl FnOnce(BorrowedFd<'_>) -> io::Result<()>) -> io::Result<()> {
        self.0.try_io(Interest::WRITABLE, || io(self.0.as_fd()))
    }
}

impl AsyncSocket for Socket {
    fn poll_readable(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        self.0.poll_recv_ready(cx).map(drop)
    }

    fn poll_writable(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        self.0.poll_send_ready(cx).map(drop)
    }
}

/// A timer of tokio.
#[derive(Debug)]
pub(crate) struct Timer {
    sleep: Pin<Box<Sleep>>,
    is_set: bool,
}

impl Timer {
    pub(crate) fn never() -> Timer {
        Timer { sleep: Box::pin(sleep(Duration::ZERO)), is_set: false }
    }
}

impl khashmir_driver::Timer for Timer {
    fn set(&mut self, after: Option<Duration>) {
        self.is_set = after.is_some();
        if let Some(after) = after {
            self.sleep.as_mut().reset(Instant::now() + after);
        }
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if !self.is_set {
            return Poll::Pending;
        }
        ready!(self.sleep.as_mut().poll(cx));
        self.is_set = false;
        Poll::Ready(())
    }
}
