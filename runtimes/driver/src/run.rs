//! The driver as a task of an async runtime.

use crate::driver::{Driver, Next, Socket};
use khashmir::Instant;
use std::future::poll_fn;
use std::task::{Context, Poll};
use std::time::Duration;

/// A socket that can be waited for.
pub trait AsyncSocket: Socket {
    /// Ready when there may be something to receive.
    fn poll_readable(&mut self, cx: &mut Context<'_>) -> Poll<()>;

    /// Ready when it may take something to send.
    fn poll_writable(&mut self, cx: &mut Context<'_>) -> Poll<()>;
}

/// A timer of a runtime, which is set again and again.
pub trait Timer {
    /// Goes off after that time, or never.
    fn set(&mut self, after: Option<Duration>);

    /// Ready when it has gone off, once.
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()>;
}

/// Runs a node until a caller, or the loss of the last handle, stops it. Its sockets are closed when
/// this is done. `timer` is not set yet.
pub async fn run(driver: Driver<impl AsyncSocket>, timer: impl Timer) {
    let mut task = Task { driver, timer, set_for: None };
    poll_fn(|cx| task.poll(cx)).await;
}

struct Task<S, T> {
    driver: Driver<S>,
    timer: T,
    /// Setting a timer costs more than a turn may, so that it is done only when the deadline moves.
    set_for: Option<Instant>,
}

impl<S: AsyncSocket, T: Timer> Task<S, T> {
    /// One turn: other tasks have theirs before the next.
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        match self.driver.turn(cx) {
            None => return Poll::Ready(()),
            Some(Next::Turn) => cx.waker().wake_by_ref(),
            Some(Next::Wait(deadline)) => {
                if self.is_ready_before(deadline, cx) {
                    cx.waker().wake_by_ref();
                }
            }
        }
        Poll::Pending
    }

    /// Whether something is there already; if not, `cx` is woken when it is.
    fn is_ready_before(&mut self, deadline: Option<Instant>, cx: &mut Context<'_>) -> bool {
        if self.set_for != deadline {
            self.timer.set(deadline.map(|deadline| self.driver.until(deadline)));
            self.set_for = deadline;
        }
        let mut ready = false;
        if self.timer.poll(cx).is_ready() {
            // If that was before the deadline, by our clock, it has to be set once more.
            self.set_for = None;
            ready = true;
        }
        for (socket, is_sending) in self.driver.sockets() {
            ready |= socket.poll_readable(cx).is_ready();
            ready |= is_sending && socket.poll_writable(cx).is_ready();
        }
        ready
    }
}
