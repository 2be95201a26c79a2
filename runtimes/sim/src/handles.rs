//! Nodes with handles: what is written for any driver, in virtual time.

use crate::watched::Served;
use crate::{Network, NodeIndex};
use khashmir::Instant;
use khashmir_driver::Handle;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Wake, Waker};

/// Whether somebody has called.
#[derive(Debug, Default)]
pub(crate) struct Bell(AtomicBool);

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::Relaxed);
    }
}

impl Network {
    /// The handle to a node; others are its clones. From now on the node lives as with any driver:
    /// until a shutdown, or until its last handle is dropped, and then it is down.
    ///
    /// What a handle asks is done while [`block_on`](Self::block_on) or [`turn`](Self::turn) runs.
    ///
    /// Panics if the node is down or has a handle.
    pub fn handle(&mut self, node: NodeIndex) -> Handle {
        let addrs = self.hosts[node.0].addrs.clone();
        let handle = self.watched_mut(node).handle(&addrs);
        self.bell.0.store(true, Ordering::Relaxed);
        handle.unwrap_or_else(|| panic!("{node:?} has a handle: clone it"))
    }

    /// Lets time pass until the future is ready, which may use handles to nodes of this network.
    ///
    /// Panics if it waits for anything else.
    pub fn block_on<F: Future>(&mut self, future: F) -> F::Output {
        let mut future = pin!(future);
        let waker = Waker::from(self.bell.clone());
        loop {
            if let Poll::Ready(output) = future.as_mut().poll(&mut Context::from_waker(&waker)) {
                return output;
            }
            assert!(self.turn(Instant::LATEST), "the future waits for nothing");
        }
    }

    /// Does what handles ask; if they ask nothing, the next thing happens, if it does by `until`.
    /// Otherwise the clock is set to that, and this returns false.
    pub fn turn(&mut self, until: Instant) -> bool {
        if self.bell.0.swap(false, Ordering::Relaxed) {
            self.serve();
            return true;
        }
        let stepped = self.step(until);
        if !stepped {
            self.now = self.now.max(until);
        }
        stepped
    }

    fn serve(&mut self) {
        let waker = Waker::from(self.bell.clone());
        for node in self.nodes() {
            let now = self.local(node);
            let Some(watched) = &mut self.hosts[node.0].up else { continue };
            match watched.serve(now, &mut Context::from_waker(&waker)) {
                None => continue,
                Some(Served::GoesOn) => self.settle(node),
                Some(Served::Stopped) => drop(self.crash(node)),
            }
            // There may be more, and it has not left its waker.
            self.bell.0.store(true, Ordering::Relaxed);
        }
    }
}
