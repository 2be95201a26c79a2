//! What goes by teaches the catalog, and what it then lacks is fetched for it.

use std::collections::{HashMap, HashSet};
use std::fs::File;
use std::io::{self, BufReader, Read};
use std::os::unix::fs::FileExt as _;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use event_listener::Event;
use khashmir_apt::Sha256;
use khashmir_apt::url::Upstream;
use smol::future::FutureExt as _;
use smol::lock::Semaphore;

use crate::Context;
use crate::cache::Verified;
use crate::catalog::{IndexWanted, LearnError};
use crate::fetch::{Fetch, Fetches, Obtained, State, Wanted};

/// How long clients wait for a lesson that may name their files, from its begin, and
/// again from when its index is here and read.
const MAX_WAIT: Duration = Duration::from_secs(10);
/// Indexes fetched in the background at a time: clients come first.
const BACKGROUND: usize = 2;

/// How long one of them may take. A mirror that is slower is asked again when its next Release file
/// comes, so that it does not hold up the others for as long as it likes.
const MAX_TURN: Duration = Duration::from_secs(600);

/// Teaches the catalog, in the background.
#[derive(Debug)]
pub(super) struct Teacher {
    context: Arc<Context>,
    fetches: Arc<Fetches>,
    background: Semaphore,
    state: Mutex<Lessons>,
    stepped: Event,
}

#[derive(Debug, Default)]
struct Lessons {
    /// Lessons under way, by mirror.
    by_mirror: HashMap<String, UnderWay>,
    /// Indexes being read.
    reading: HashSet<Sha256>,
    /// How often there may have been something new in the catalog.
    steps: u64,
}

#[derive(Debug)]
struct UnderWay {
    /// How many; never none.
    count: usize,
    /// Clients wait no longer: a slow mirror is not to slow down what it has to pass.
    waited_for_until: Instant,
}

impl Teacher {
    pub(super) fn new(context: Arc<Context>, fetches: Arc<Fetches>) -> Self {
        Self {
            context,
            fetches,
            background: Semaphore::new(BACKGROUND),
            state: Mutex::default(),
            stepped: Event::new(),
        }
    }

    /// Learns a Release file that the mirror has just confirmed, and then fetches the
    /// indexes that the catalog lacks, in the background.
    pub(super) async fn learn_release(self: &Arc<Self>, url: &Upstream, body: Bytes) {
        if url.path.ends_with(".gpg") {
            return;
        }
        let lesson = self.begin(url);
        let (context, place) = (Arc::clone(&self.context), url.clone());
        let learnt = smol::unblock(move || {
            let catalog = &context.catalog;
            let suite = catalog.learn_release(&place.site(), &place.path, &body)?;
            catalog.missing_indexes(&suite).map_err(LearnError::Database)
        });
        match learnt.await {
            Ok(missing) if !missing.is_empty() => {
                smol::spawn(lesson.fetch_indexes(url.clone(), missing)).detach();
            }
            Ok(_) => {}
            Err(error) => tracing::warn!(%url, %error, "a Release file teaches nothing"),
        }
    }

    /// Begins a lesson about the mirror of `url`: until it is dropped, clients that ask
    /// that mirror for unknown files wait a while.
    pub(super) fn begin(self: &Arc<Self>, url: &Upstream) -> Lesson {
        let mirror = url.site();
        let lesson = Lesson { teacher: Arc::clone(self), mirror };
        let mut lessons = self.lessons();
        let waited_for_until = Instant::now() + MAX_WAIT;
        lessons
            .by_mirror
            .entry(lesson.mirror.clone())
            .and_modify(|under_way| {
                under_way.count += 1;
                under_way.waited_for_until = waited_for_until;
            })
            .or_insert(UnderWay { count: 1, waited_for_until });
        drop(lessons);
        lesson
    }

    /// How often there may have been something new in the catalog until now.
    pub(super) fn steps(&self) -> u64 {
        self.lessons().steps
    }

    /// Waits until there may be more in the catalog than after so many `steps`. Returns false
    /// instead when no lesson about the mirror of `url` is under way, or none worth waiting for.
    pub(super) async fn has_more(&self, url: &Upstream, steps: u64) -> bool {
        let mirror = url.site();
        loop {
            let stepped = self.stepped.listen();
            let until = {
                let lessons = self.lessons();
                if lessons.steps > steps {
                    return true;
                }
                lessons.by_mirror.get(&mirror).map(|under_way| under_way.waited_for_until)
            };
            let Some(until) = until.filter(|until| *until > Instant::now()) else { return false };
            let enough = async {
                smol::Timer::at(until).await;
            };
            stepped.or(enough).await;
        }
    }

    /// Lets those who wait look at the catalog again.
    fn step(&self) {
        self.lessons().steps += 1;
        self.stepped.notify(usize::MAX);
    }

    fn lessons(&self) -> MutexGuard<'_, Lessons> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A lesson under way.
#[derive(Debug)]
pub(super) struct Lesson {
    teacher: Arc<Teacher>,
    mirror: String,
}

impl Drop for Lesson {
    fn drop(&mut self) {
        let mut lessons = self.teacher.lessons();
        if let Some(under_way) = lessons.by_mirror.get_mut(&self.mirror) {
            under_way.count -= 1;
            if under_way.count == 0 {
                lessons.by_mirror.remove(&self.mirror);
            }
        }
        drop(lessons);
        self.teacher.step();
    }
}

impl Lesson {
    /// Learns an index that is here, in the background.
    pub(super) fn learn_index(self, verified: Verified, file: Arc<File>) {
        smol::spawn(async move { self.read(verified, file).await }).detach();
    }

    /// Learns an index once it is whole and its hash is right, in the background.
    pub(super) fn learn_when_complete(self, fetch: Arc<Fetch>) {
        smol::spawn(async move { self.read_when_complete(&fetch).await }).detach();
    }

    async fn fetch_indexes(self, release: Upstream, missing: Vec<IndexWanted>) {
        for IndexWanted { path, expected } in missing {
            let _turn = self.teacher.background.acquire().await;
            let url = Some(release.with_path(path));
            let wanted = Wanted { url, newest: expected.into(), older: Vec::new(), from_index: true };
            match self.teacher.fetches.obtain(wanted).await {
                Ok(Obtained::Cached(kept)) => {
                    self.read(kept.verified, kept.file).await;
                }
                Ok(Obtained::Fetching(fetch)) => {
                    // Clients may wait for what it names.
                    fetch.want();
                    let ended = async {
                        fetch.wait_until(|progress| progress.state.is_final()).await;
                        true
                    };
                    let late = async {
                        smol::Timer::after(MAX_TURN).await;
                        false
                    };
                    if !ended.or(late).await {
                        tracing::info!(url = %release, "its indexes take too long to wait for them");
                        return;
                    }
                    self.read_when_complete(&fetch).await;
                }
                Err(error) => tracing::warn!(%error, "an index cannot be fetched"),
            }
        }
    }

    async fn read_when_complete(&self, fetch: &Fetch) {
        let progress = fetch.wait_until(|progress| progress.state.is_final()).await;
        if let State::Complete(verified) = progress.state {
            self.read(verified, Arc::clone(fetch.file())).await;
        }
    }

    /// Reads an index into the catalog, unless that is being done already.
    async fn read(&self, verified: Verified, file: Arc<File>) {
        {
            let mut lessons = self.teacher.lessons();
            if !lessons.reading.insert(verified.sha256()) {
                return;
            }
            if let Some(under_way) = lessons.by_mirror.get_mut(&self.mirror) {
                under_way.waited_for_until = Instant::now() + MAX_WAIT;
            }
        }
        let context = Arc::clone(&self.teacher.context);
        let learnt = smol::unblock(move || {
            let reader = BufReader::with_capacity(1 << 16, FileReader { file, at: 0 });
            context.catalog.learn_index(verified, reader)
        })
        .await;
        self.teacher.lessons().reading.remove(&verified.sha256());
        self.teacher.step();
        match learnt {
            // Most files below dists/ are no indexes of packages.
            Ok(()) | Err(LearnError::NotListed) => {}
            Err(error) => {
                tracing::warn!(sha256 = %verified.sha256(), %error, "an index teaches nothing");
            }
        }
    }
}

/// Reads a shared file from its beginning, whatever others do with its cursor.
struct FileReader {
    file: Arc<File>,
    at: u64,
}

impl Read for FileReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.file.read_at(buffer, self.at)?;
        self.at += read as u64;
        Ok(read)
    }
}
