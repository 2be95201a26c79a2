//! Announcing the files that peers may have.
//!
//! What is to be announced follows from the cache: every file that an index listed. The publisher
//! compares that with what it has announced whenever either may have changed, and makes up the
//! difference. So nothing about announcements needs to be kept that could disagree with the cache:
//! new files, evicted ones, a restart after a crash and a new address of ours are all one case.

mod announcement;
mod piece_hashes;

use std::collections::{HashMap, HashSet, VecDeque};
use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use khashmir::Event;
use khashmir::node::CommandError;
use khashmir_apt::Sha256;
use khashmir_smol::Error;
use smol::Timer;
use smol::channel::{Receiver, Sender, bounded};
use smol::future::FutureExt as _;
use smol::stream::StreamExt as _;

use crate::Context;
use crate::cache::Announceable;
use crate::database::DatabaseError;
use crate::dht::Dht;

use announcement::{Address, Item};

/// Files announced at most. Each has one value in the hash table, or two; the engine publishes
/// 65,536.
const MAX_FILES: usize = 32_768;
/// Files announced for the first time at once.
const AT_ONCE: usize = 8;
/// Files announced for the first time in a second, on average, and how many may be ahead of that:
/// each costs the same few nodes some queries, which they answer only so many of, and the lookups
/// of files that somebody waits for come first.
const PER_SECOND: u32 = 32;
const AHEAD: u32 = 64;
const EVENLY: Duration = Duration::from_millis(1000 / PER_SECOND as u64);
/// Between two comparisons at least; or ten times as long as one takes, if that is more.
const PAUSE: Duration = Duration::from_millis(100);
/// The pause after the node was too busy.
const BUSY_PAUSE: Duration = Duration::from_secs(1);

/// Tells the publisher that it has something to compare.
#[derive(Debug, Clone)]
pub struct Publisher {
    changed: Sender<()>,
}

impl Publisher {
    /// A publisher, and the task that it needs, which runs until dropped or the node is stopped.
    pub fn new(context: Arc<Context>, dht: Dht) -> (Self, impl Future<Output = ()> + Send) {
        let (changed, changes) = bounded(1);
        (Self { changed }, async move {
            if let Err(error) = Task::new(context, dht).run(&changes).await {
                tracing::debug!(%error, "nothing more is announced");
            }
        })
    }

    /// Files came into the cache, or went.
    pub fn cache_changed(&self) {
        // If it is full, the publisher has yet to look.
        let _known = self.changed.try_send(());
    }
}

struct Task {
    context: Arc<Context>,
    dht: Dht,
    address: Option<Address>,
    announced: HashMap<Sha256, Announced>,
    /// To be announced, what was used last first.
    waiting: VecDeque<Announceable>,
    running: usize,
    /// When the next would be announced if all had come evenly.
    next_at: Instant,
    /// What an earlier run announced, until this one has met all that it announces itself.
    earlier: Arc<HashSet<Item>>,
    done: (Sender<Done>, Receiver<Done>),
}

/// A file that is announced, or about to be.
struct Announced {
    at: Address,
    items: Vec<Item>,
    is_running: bool,
}

struct Done {
    sha256: Sha256,
    result: Result<Vec<Item>, Undone>,
}

enum Undone {
    /// The file is gone, or unreadable.
    File,
    Node(Error),
}

enum Woken {
    /// There is something to compare.
    Changed,
    /// The next file may be announced.
    Turn,
    Done(Done),
    Stopped,
}

impl Task {
    fn new(context: Arc<Context>, dht: Dht) -> Self {
        Self {
            context,
            dht,
            address: None,
            announced: HashMap::new(),
            waiting: VecDeque::new(),
            running: 0,
            next_at: Instant::now(),
            earlier: Arc::default(),
            done: bounded(AT_ONCE),
        }
    }

    async fn run(mut self, changes: &Receiver<()>) -> Result<(), Error> {
        let mut events = self.dht.events().await?;
        self.earlier = Arc::new(self.dht.publications().await?.into_iter().collect());
        let mut not_before = Instant::now();
        let mut is_due = true;
        loop {
            if is_due && not_before <= Instant::now() {
                let began = Instant::now();
                self.compare().await?;
                not_before = Instant::now() + PAUSE.max(began.elapsed() * 10);
                is_due = false;
            }
            self.start_waiting();
            self.context.stats.dht.publications.set(self.count());

            let changed = async {
                match changes.recv().await {
                    Ok(()) => Woken::Changed,
                    Err(_) => Woken::Stopped,
                }
            };
            let happened = async {
                loop {
                    match events.next().await {
                        Some(Event::OutsideAddressChanged { .. } | Event::CheckpointPassed) => {
                            return Woken::Changed;
                        }
                        Some(_) => {}
                        None => return Woken::Stopped,
                    }
                }
            };
            let done = async {
                match self.done.1.recv().await {
                    Ok(done) => Woken::Done(done),
                    Err(_) => Woken::Stopped,
                }
            };
            let due = async {
                match is_due {
                    true => Timer::at(not_before).await,
                    false => Timer::never().await,
                };
                Woken::Changed
            };
            let turn = async {
                match self.waiting.is_empty() || self.running >= AT_ONCE {
                    true => Timer::never().await,
                    false => Timer::at(self.may_start_at()).await,
                };
                Woken::Turn
            };
            match done.or(changed).or(happened).or(due).or(turn).await {
                Woken::Turn => {}
                Woken::Changed => is_due = true,
                Woken::Done(Done { sha256, result }) => {
                    if let Some(again) = self.finished(sha256, result)? {
                        is_due = true;
                        not_before = not_before.max(Instant::now() + again);
                    }
                }
                Woken::Stopped => return Ok(()),
            }
        }
    }

    /// Compares what is announced with what should be: withdraws what should not, and lines up what
    /// is missing.
    async fn compare(&mut self) -> Result<(), Error> {
        self.address = Address::of(&self.dht.own_addresses().await);
        let Some(address) = self.address else { return Ok(()) };
        let context = Arc::clone(&self.context);
        let mut files = match smol::unblock(move || announceable(&context)).await {
            Ok(files) => files,
            Err(error) => {
                tracing::warn!(%error, "cannot tell which files to announce");
                return Ok(());
            }
        };
        // What is shared and cached, too, is announced once.
        let mut wanted = HashSet::new();
        files.retain(|file| wanted.insert(file.sha256));
        let outdated = |(sha256, announced): &(&Sha256, &Announced)| {
            !announced.is_running && (announced.at != address || !wanted.contains(*sha256))
        };
        let outdated: Vec<Sha256> =
            self.announced.iter().filter(outdated).map(|(sha256, _)| *sha256).collect();
        for sha256 in outdated {
            for item in self.announced.remove(&sha256).map(|gone| gone.items).unwrap_or_default() {
                if self.earlier.contains(&item) {
                    Arc::make_mut(&mut self.earlier).remove(&item);
                }
                self.dht.unpublish(item.0, &item.1).await?;
            }
        }
        self.waiting = files.into_iter().filter(|file| !self.announced.contains_key(&file.sha256)).collect();
        if self.waiting.is_empty() && self.running == 0 {
            let met: HashSet<&Item> =
                self.announced.values().flat_map(|announced| &announced.items).collect();
            for item in std::mem::take(&mut self.earlier).iter().filter(|item| !met.contains(item)) {
                self.dht.unpublish(item.0, &item.1).await?;
            }
        }
        Ok(())
    }

    fn start_waiting(&mut self) {
        let Some(at) = self.address else { return };
        while self.running < AT_ONCE
            && self.may_start_at() <= Instant::now()
            && let Some(file) = self.waiting.pop_front()
        {
            self.running += 1;
            self.next_at = self.next_at.max(Instant::now()) + EVENLY;
            self.announced.insert(file.sha256, Announced { at, items: Vec::new(), is_running: true });
            let (context, dht, done) = (Arc::clone(&self.context), self.dht.clone(), self.done.0.clone());
            let earlier = Arc::clone(&self.earlier);
            smol::spawn(async move {
                let result = announce(&context, &dht, &file, at, &earlier).await;
                // Fails when the publisher has ended.
                let _unheard = done.send(Done { sha256: file.sha256, result }).await;
            })
            .detach();
        }
    }

    /// Notes how an announcement ended. Gives the pause before the next comparison, if one is due.
    fn finished(
        &mut self,
        sha256: Sha256,
        result: Result<Vec<Item>, Undone>,
    ) -> Result<Option<Duration>, Error> {
        self.running -= 1;
        let address = self.address;
        match result {
            Ok(items) => {
                let is_last = self.running == 0 && self.waiting.is_empty();
                let Some(announced) = self.announced.get_mut(&sha256) else { return Ok(None) };
                announced.items = items;
                announced.is_running = false;
                let again = Some(announced.at) != address || is_last;
                Ok(again.then_some(Duration::ZERO))
            }
            Err(Undone::File) => {
                self.announced.remove(&sha256);
                Ok(None)
            }
            Err(Undone::Node(Error::Refused(CommandError::TooManyPublications))) => {
                tracing::warn!("more files are cached than can be announced");
                self.announced.remove(&sha256);
                self.waiting.clear();
                Ok(None)
            }
            Err(Undone::Node(Error::Stopped)) => Err(Error::Stopped),
            Err(Undone::Node(error)) => {
                tracing::debug!(%error, "a file cannot be announced now");
                self.announced.remove(&sha256);
                Ok(Some(BUSY_PAUSE))
            }
        }
    }

    /// When the next may be announced.
    fn may_start_at(&self) -> Instant {
        self.next_at.checked_sub(EVENLY * AHEAD).unwrap_or(self.next_at)
    }

    fn count(&self) -> u64 {
        self.announced.values().filter(|announced| !announced.is_running).count() as u64
    }
}

/// What is to be announced: first what a person shares.
fn announceable(context: &Context) -> Result<Vec<Announceable>, DatabaseError> {
    let mut files = context.shares.announceable()?;
    files.extend(context.cache.announceable(MAX_FILES)?);
    files.truncate(MAX_FILES);
    Ok(files)
}

/// Announces a file, as far as an earlier run has not done so; gives what is announced of it.
async fn announce(
    context: &Arc<Context>,
    dht: &Dht,
    file: &Announceable,
    at: Address,
    earlier: &HashSet<Item>,
) -> Result<Vec<Item>, Undone> {
    let (context, file) = (Arc::clone(context), file.clone());
    let sha256 = file.sha256;
    let hashes = smol::unblock(move || match context.shares.piece_hashes(&file.sha256)? {
        Some(hashes) => Ok(Some(hashes)),
        None => piece_hashes::of(&context.cache, &file),
    });
    let hashes: io::Result<_> = hashes.await;
    let hashes = hashes.map_err(|error| {
        tracing::warn!(%sha256, %error, "a cached file cannot be announced");
        Undone::File
    })?;
    let Some(hashes) = hashes else { return Err(Undone::File) };
    let items = announcement::items(&sha256, &hashes, at);
    for (key, value) in items.iter().filter(|item| !earlier.contains(*item)) {
        match dht.publish(*key, value).await {
            Ok(copies) => tracing::debug!(%sha256, %key, copies, "announced"),
            Err(error) => return Err(Undone::Node(error)),
        }
    }
    Ok(items)
}
