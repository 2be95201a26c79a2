//! Content-addressed files: out of the cache, or fetched once for everyone who asks.
//!
//! [`Fetches::obtain`] is the one way to a file whose hash is known. What is not in
//! the cache becomes a [`Fetch`], which several clients read while it grows, and which
//! goes on to its end when they are gone.

mod file;
mod line;
mod mirror;
mod recent;
mod settling;

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use khashmir_apt::Sha256;
use khashmir_apt::url::Upstream;

use crate::Context;
use crate::cache::{Partial, Verified};
use crate::catalog::Expected;
use crate::exchange::{Exchange, Offers};
use crate::history::{Ending, Trail};
use crate::upstream::{Client, Fault};

pub use file::{Fetch, MAX_LEN, Origin, Progress, State};
pub use mirror::{Mirror, MirrorError};
pub use recent::Kept;
pub use settling::Settling;

use line::Lines;
use recent::Recent;

/// Files fetched at a time, and waiting to be put into the cache; each holds two file descriptors and
/// a task.
const MAX_RUNNING: usize = 448;

/// What a file must be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Expectation {
    /// The hash of the whole file.
    pub sha256: Sha256,
    /// Its length in bytes, where an index told it.
    pub size: Option<u64>,
}

impl From<Expected> for Expectation {
    fn from(expected: Expected) -> Self {
        Self { sha256: expected.sha256, size: Some(expected.size) }
    }
}

/// A file to obtain.
#[derive(Debug, Clone)]
pub struct Wanted {
    /// Where a mirror has it; `None`: only peers are asked.
    pub url: Option<Upstream>,
    /// What it is by the newest index: what the cache and peers are asked for.
    pub newest: Expectation,
    /// What it was by older ones: what a mirror may still have at that path.
    pub older: Vec<Expectation>,
    /// Whether an index listed it, so that peers may have it from us.
    pub from_index: bool,
}

/// A file, or its beginning.
#[derive(Debug)]
pub enum Obtained {
    /// It is here.
    Cached(Kept),
    /// It is on its way.
    Fetching(Arc<Fetch>),
}

/// All fetches that are running, one for each hash.
#[derive(Debug)]
pub struct Fetches {
    context: Arc<Context>,
    client: Arc<Client>,
    exchange: Exchange,
    lines: Arc<Lines>,
    recent: Recent,
    running: Mutex<HashMap<Sha256, Arc<Fetch>>>,
}

impl Fetches {
    /// No fetches yet; mirrors will be asked through `client`, and peers by way of
    /// `exchange`.
    #[must_use]
    pub fn new(context: Arc<Context>, client: Arc<Client>, exchange: Exchange) -> Self {
        Self {
            context,
            client,
            exchange,
            lines: Arc::default(),
            recent: Recent::default(),
            running: Mutex::default(),
        }
    }

    /// The file from the cache, or the fetch of it that runs, or a new one.
    ///
    /// # Errors
    /// Of the disk; `QuotaExceeded` when too many fetches run.
    pub async fn obtain(self: &Arc<Self>, wanted: Wanted) -> io::Result<Obtained> {
        let sha256 = wanted.newest.sha256;
        if let Some(kept) = self.recent.find(&sha256) {
            self.context.cache.note_use(sha256);
            return Ok(Obtained::Cached(kept));
        }
        if let Some(fetch) = self.running().get(&sha256) {
            return Ok(Obtained::Fetching(Arc::clone(fetch)));
        }
        let (context, size) = (Arc::clone(&self.context), wanted.newest.size);
        let opened = smol::unblock(move || match (context.cache.open_file(&sha256), size) {
            (Some(file), _) => Ok(Err(file)),
            (None, Some(size)) => context.cache.create_partial_of(size).map(Ok),
            (None, None) => context.cache.create_partial().map(Ok),
        });
        let partial = match opened.await? {
            Ok(partial) => partial,
            Err(file) => {
                let kept = Kept::from(file);
                self.recent.keep(&kept);
                return Ok(Obtained::Cached(kept));
            }
        };
        let mut running = self.running();
        let count = running.len();
        match running.entry(sha256) {
            Entry::Occupied(entry) => Ok(Obtained::Fetching(Arc::clone(entry.get()))),
            Entry::Vacant(_) if count >= MAX_RUNNING => Err(io::Error::new(
                io::ErrorKind::QuotaExceeded,
                format!("{MAX_RUNNING} files are being fetched already"),
            )),
            Entry::Vacant(entry) => {
                let expected = [&[wanted.newest], wanted.older.as_slice()].concat();
                let url = wanted.url.as_ref().map(Upstream::to_string);
                let trail = Trail::begin(sha256, wanted.newest.size, url);
                let fetch = Arc::new(Fetch::new(expected, partial, trail)?);
                entry.insert(Arc::clone(&fetch));
                let running = Running { fetches: Arc::clone(self), sha256 };
                smol::spawn(running.drive(Arc::clone(&fetch), wanted)).detach();
                Ok(Obtained::Fetching(fetch))
            }
        }
    }

    /// What other machines say of the file with this hash.
    pub async fn offers(&self, sha256: Sha256) -> Offers {
        self.exchange.offers(sha256).await
    }

    /// The length in bytes of a file that is here or on its way.
    pub async fn known_len(&self, sha256: Sha256) -> Option<u64> {
        let running = self.running().get(&sha256).and_then(|fetch| fetch.progress().len);
        if running.is_some() {
            return running;
        }
        let context = Arc::clone(&self.context);
        smol::unblock(move || context.cache.contains(&sha256)).await
    }

    /// What is being fetched now, what has run longest first.
    pub fn in_progress(&self) -> Vec<Arc<Fetch>> {
        let is_running = |fetch: &&Arc<Fetch>| !fetch.progress().state.is_final();
        let mut fetches: Vec<Arc<Fetch>> = self.running().values().filter(is_running).cloned().collect();
        fetches.sort_by_cached_key(|fetch| std::cmp::Reverse(fetch.trail().elapsed()));
        fetches
    }

    fn running(&self) -> MutexGuard<'_, HashMap<Sha256, Arc<Fetch>>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// An entry among the running fetches, removed when dropped: after the file is in the
/// cache, so that whoever asks next finds it there.
struct Running {
    fetches: Arc<Fetches>,
    sha256: Sha256,
}

impl Drop for Running {
    fn drop(&mut self) {
        self.fetches.running().remove(&self.sha256);
    }
}

impl Running {
    /// Runs a fetch to its end and keeps what is right.
    async fn drive(self, fetch: Arc<Fetch>, wanted: Wanted) {
        let context = &self.fetches.context;
        let counters = &context.stats.downloads;
        let (_in_progress, coming) = (counters.in_progress.enter(), context.settling.coming());
        let url = wanted.url.as_ref().map(Upstream::to_string);
        let (client, lines) = (Arc::clone(&self.fetches.client), Arc::clone(&self.fetches.lines));
        let mirror = Mirror::new(client, lines, wanted.url);
        let mut arrived = None;
        let ending = match self.fetches.exchange.obtain(&fetch, &mirror, wanted.newest).await {
            Ok(verified) => match fetch.finish(verified) {
                Some(partial) => {
                    arrived = Some((partial, verified));
                    Ending::Complete
                }
                None => {
                    counters.mismatched.increment();
                    tracing::warn!(
                        url,
                        arrived = %verified.sha256(),
                        expected = %self.sha256,
                        "the mirror's file does not match its index; it is passed on, not kept"
                    );
                    Ending::Mismatched
                }
            },
            Err(MirrorError::Rejected(rejection)) => {
                counters.rejected.increment();
                let status = rejection.status.as_u16();
                fetch.reject(*rejection);
                Ending::Rejected(status)
            }
            Err(error) => {
                counters.failed.increment();
                tracing::warn!(url, %error, "a file cannot be fetched");
                let reason = error.to_string();
                if let MirrorError::Fault(Fault::Local(fault)) = &error {
                    // First, so that whoever asks again is served otherwise.
                    context.cache.file_failed(fault);
                }
                fetch.fail(match error {
                    MirrorError::Fault(fault) => fault,
                    other => Fault::transient(other.to_string()),
                });
                Ending::Failed(reason)
            }
        };
        drop(coming);
        context.history.keep(fetch.record(Some(ending)));
        if let Some((partial, verified)) = arrived {
            // What an older index listed was listed, too.
            self.keep(partial, verified, wanted.from_index, url).await;
            counters.completed.increment();
        }
    }

    /// Puts a file into the cache, when it is time for that.
    async fn keep(&self, partial: Partial, verified: Verified, from_index: bool, url: Option<String>) {
        let context = &self.fetches.context;
        let _turn = context.settling.turn().await;
        let kept = {
            let context = Arc::clone(context);
            smol::unblock(move || context.cache.commit(partial, verified, from_index)).await
        };
        match kept {
            Ok(_) => {
                // Others may have made room for it.
                self.fetches.recent.close_removed();
                self.fetches.exchange.file_was_kept();
            }
            Err(error) => tracing::error!(url, %error, "a file cannot be kept in the cache"),
        }
    }
}
