//! When files that have arrived are put into the cache: in a quiet moment, many at a time.
//!
//! To sync a file takes a disk many times as long as to write a small one, and whoever makes or
//! writes files meanwhile waits with it. apt does not need it, so while it is installing, files are
//! only written; they are synced once no more are coming in, or after a while. Until then they are
//! not announced, and lost with the machine's power.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use event_listener::Event;
use smol::future::FutureExt as _;

/// How long no file may have come in.
const QUIET: Duration = Duration::from_millis(200);
/// How long a file waits at most.
const LONGEST: Duration = Duration::from_secs(5);
/// How many do: each holds two file descriptors.
const MOST: usize = 256;

/// The files that wait to be put into the cache.
#[derive(Debug, Default)]
pub struct Settling {
    state: Mutex<State>,
    /// The files that waited are to wait no longer, or are all settled.
    changed: Event,
}

#[derive(Debug, Default)]
struct State {
    /// Files that are coming in.
    coming: usize,
    /// When the last of them came.
    last: Option<Instant>,
    waiting: usize,
    /// Those that wait no longer.
    settling: usize,
    /// How often those that waited were let go.
    rounds: u64,
    is_stopping: bool,
}

/// A file that is coming in, until it is dropped.
#[derive(Debug)]
pub(super) struct Coming<'a>(&'a Settling);

/// A file that is being put into the cache, until it is dropped.
#[derive(Debug)]
pub(super) struct Turn<'a>(&'a Settling);

impl Settling {
    pub(super) fn coming(&self) -> Coming<'_> {
        self.state().coming += 1;
        Coming(self)
    }

    /// Waits until a file that has come is to be put into the cache.
    pub(super) async fn turn(&self) -> Turn<'_> {
        let since = Instant::now();
        let round = {
            let mut state = self.state();
            state.waiting += 1;
            state.rounds
        };
        loop {
            let changed = self.changed.listen();
            if self.may_settle(round, since) {
                return Turn(self);
            }
            let enough = async {
                smol::Timer::after(QUIET).await;
            };
            changed.or(enough).await;
        }
    }

    fn may_settle(&self, round: u64, since: Instant) -> bool {
        let mut state = self.state();
        if state.rounds == round {
            let is_quiet = state.coming == 0 && state.last.is_none_or(|last| last.elapsed() >= QUIET);
            let is_over = is_quiet || since.elapsed() >= LONGEST || state.waiting >= MOST;
            if !is_over && !state.is_stopping {
                return false;
            }
            // With one go all: what one sync takes, many at a time hardly take longer.
            state.rounds += 1;
            state.settling += std::mem::take(&mut state.waiting);
            self.changed.notify(usize::MAX);
        }
        true
    }

    /// Has all files that have come settled, and waits for it.
    pub async fn finish(&self) {
        self.state().is_stopping = true;
        self.changed.notify(usize::MAX);
        loop {
            let changed = self.changed.listen();
            if matches!(*self.state(), State { waiting: 0, settling: 0, .. }) {
                return;
            }
            changed.await;
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Coming<'_> {
    fn drop(&mut self) {
        let mut state = self.0.state();
        state.coming -= 1;
        state.last = Some(Instant::now());
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        let mut state = self.0.state();
        state.settling -= 1;
        if state.settling == 0 {
            self.0.changed.notify(usize::MAX);
        }
    }
}

#[cfg(test)]
mod tests {
    use smol::future::poll_once;

    use super::*;

    #[test]
    fn files_settle_together_once_none_comes_any_more() {
        smol::block_on(async {
            let settling = Settling::default();
            let coming = settling.coming();
            let mut first = std::pin::pin!(settling.turn());
            let mut second = std::pin::pin!(settling.turn());
            assert!(poll_once(&mut first).await.is_none());
            assert!(poll_once(&mut second).await.is_none());
            drop(coming);
            assert!(poll_once(&mut first).await.is_none(), "another may come in a moment");
            let turn = first.await;
            let other = poll_once(second).await;
            assert!(other.is_some());
            drop((turn, other));
            settling.finish().await;
        });
    }

    #[test]
    fn many_do_not_wait_for_quiet_nor_does_the_end() {
        smol::block_on(async {
            let settling = Settling::default();
            let _coming = settling.coming();
            let mut turns: Vec<_> = (0..MOST - 1).map(|_| Box::pin(settling.turn())).collect();
            for turn in &mut turns {
                assert!(poll_once(turn).await.is_none());
            }
            drop(settling.turn().await);
            for turn in turns {
                drop(turn.await);
            }
            let mut late = std::pin::pin!(settling.turn());
            assert!(poll_once(&mut late).await.is_none());
            let mut finish = std::pin::pin!(settling.finish());
            assert!(poll_once(&mut finish).await.is_none());
            drop(late.await);
            finish.await;
        });
    }
}
