//! One file on its way in: what is there, what of it may flow to apt, and how
//! it ended.

use std::fs::File;
use std::io;
use std::ops::Range;
use std::os::unix::fs::FileExt as _;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use event_listener::Event;
use rangemap::RangeSet;

use super::Expectation;
use crate::cache::{Hasher, Partial, Verified};
use crate::history::{Ending, Record, Trail};
use crate::upstream::{Fault, Rejection};

/// The longest file that is fetched, in bytes: a bound on what a mirror that
/// names no length, or a wild one, may put on our disk.
pub const MAX_LEN: u64 = 1 << 34;

/// Where bytes came from, which decides whether they may flow before the whole
/// file's hash is right.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// The mirror that apt asked for: its bytes flow as they come.
    Mirror,
    /// Another daemon: not one byte flows before the whole file is verified
    /// (protocol, section 7).
    Peer,
}

/// A file being fetched: written by whoever obtains it, read by every client
/// that asked for it.
#[derive(Debug)]
pub struct Fetch {
    expected: Vec<Expectation>,
    trail: Trail,
    file: Arc<File>,
    /// Held while bytes are written and hashed, by blocking threads only.
    store: Mutex<Store>,
    /// Held for moments.
    view: Mutex<View>,
    changed: Event,
    /// Whether somebody waits for it.
    is_wanted: AtomicBool,
    became_wanted: Event,
}

/// What is on disk, and how much of it is hashed.
#[derive(Debug)]
struct Store {
    partial: Option<Partial>,
    hasher: Hasher,
    /// The hash has followed the contiguous prefix up to here.
    hashed: u64,
}

/// What the readers see.
#[derive(Debug)]
struct View {
    len: Option<u64>,
    written: RangeSet<u64>,
    from_mirror: RangeSet<u64>,
    state: State,
}

/// How far a fetch is.
#[derive(Debug, Clone)]
pub enum State {
    /// Bytes are still expected.
    Running,
    /// All there, and the hash is one that was expected.
    Complete(Verified),
    /// All there, and the hash is not the expected one: what the mirror sent is
    /// passed to apt, which judges for itself, but is neither kept nor learnt from.
    Mismatched(Verified),
    /// The mirror answered with a status that is passed on.
    Rejected(Arc<Rejection>),
    /// It could not be had.
    Failed(Arc<Fault>),
}

impl State {
    /// Whether nothing will change any more.
    #[must_use]
    pub fn is_final(&self) -> bool {
        !matches!(self, Self::Running)
    }
}

/// A snapshot of a [`Fetch`].
#[derive(Debug, Clone)]
pub struct Progress {
    /// How far the fetch is.
    pub state: State,
    /// The file's length in bytes, once a source has told it.
    pub len: Option<u64>,
    /// The prefix, in bytes, that may flow to apt.
    pub servable: u64,
}

impl Fetch {
    /// A fetch into `partial` of the file that `expected` describes, newest
    /// generation first; `trail` is for the notes on it.
    pub fn new(expected: Vec<Expectation>, partial: Partial, trail: Trail) -> io::Result<Self> {
        Ok(Self {
            expected,
            trail,
            file: Arc::new(partial.file().try_clone()?),
            store: Mutex::new(Store { partial: Some(partial), hasher: Hasher::default(), hashed: 0 }),
            view: Mutex::new(View {
                len: None,
                written: RangeSet::new(),
                from_mirror: RangeSet::new(),
                state: State::Running,
            }),
            changed: Event::new(),
            is_wanted: AtomicBool::new(false),
            became_wanted: Event::new(),
        })
    }

    /// What is expected of the file, newest generation first.
    pub fn expected(&self) -> &[Expectation] {
        &self.expected
    }

    /// The notes on how it goes.
    pub fn trail(&self) -> &Trail {
        &self.trail
    }

    /// Those notes as they stand, or as they ended.
    pub fn record(&self, ending: Option<Ending>) -> Record {
        self.trail.record(ending, self.arrived())
    }

    /// The bytes that are there, to read what [`Progress::servable`] allows.
    pub fn file(&self) -> &Arc<File> {
        &self.file
    }

    /// Somebody waits for the file, and for no other before it.
    pub fn want(&self) {
        if !self.is_wanted.swap(true, Ordering::Relaxed) {
            self.became_wanted.notify(usize::MAX);
        }
    }

    /// Whether somebody waits for the file.
    pub fn is_wanted(&self) -> bool {
        self.is_wanted.load(Ordering::Relaxed)
    }

    /// Waits until somebody waits for the file.
    pub async fn wanted(&self) {
        loop {
            let became = self.became_wanted.listen();
            if self.is_wanted() {
                return;
            }
            became.await;
        }
    }

    /// Where the fetch stands now.
    pub fn progress(&self) -> Progress {
        let view = self.view();
        let servable = match view.state {
            State::Complete(verified) => verified.len(),
            // Whoever obtained it: what peers had a part in is nothing to pass on.
            _ => prefix(&view.from_mirror),
        };
        Progress { state: view.state.clone(), len: view.len, servable }
    }

    /// Waits until `enough` says so of a snapshot, and returns that.
    pub async fn wait_until(&self, mut enough: impl FnMut(&Progress) -> bool) -> Progress {
        loop {
            let changed = self.changed.listen();
            let progress = self.progress();
            if enough(&progress) {
                return progress;
            }
            changed.await;
        }
    }

    /// Settles the file's length in bytes, as the first source told it.
    ///
    /// # Errors
    /// When another length was settled before, or the length is beyond
    /// [`MAX_LEN`]; the text says which.
    pub fn settle_len(&self, len: u64) -> Result<(), String> {
        if len > MAX_LEN {
            return Err(format!("the file has {len} bytes, more than the {MAX_LEN} allowed"));
        }
        let mut view = self.view();
        match view.len {
            Some(settled) if settled != len => {
                Err(format!("the file has {len} bytes where it had {settled} before"))
            }
            Some(_) => Ok(()),
            None => {
                view.len = Some(len);
                drop(view);
                self.changed.notify(usize::MAX);
                Ok(())
            }
        }
    }

    /// The first range of bytes not there yet, within `within`; without a known
    /// length it is open towards [`MAX_LEN`].
    pub fn first_gap(&self, within: &Range<u64>) -> Option<Range<u64>> {
        let view = self.view();
        let end = within.end.min(view.len.unwrap_or(MAX_LEN));
        if within.start >= end {
            return None;
        }
        view.written.gaps(&(within.start..end)).next()
    }

    /// Writes `bytes` at `offset`. Where bytes stand already, those stay.
    ///
    /// # Errors
    /// Of the disk; and `InvalidInput` when the bytes reach past the file's end.
    pub async fn write_at(self: &Arc<Self>, offset: u64, bytes: Bytes, origin: Origin) -> io::Result<()> {
        let fetch = Arc::clone(self);
        smol::unblock(move || fetch.write_blocking(offset, &bytes, origin)).await
    }

    fn write_blocking(&self, offset: u64, bytes: &[u8], origin: Origin) -> io::Result<()> {
        if bytes.is_empty() {
            return Ok(());
        }
        let mut store = lock(&self.store);
        let range = offset..offset.saturating_add(bytes.len() as u64);
        let gaps: Vec<Range<u64>> = {
            let view = self.view();
            if range.end > view.len.unwrap_or(MAX_LEN) {
                return Err(io::Error::new(
                    io::ErrorKind::InvalidInput,
                    format!("bytes up to {} reach past the end of the file", range.end),
                ));
            }
            view.written.gaps(&range).collect()
        };
        let part = |gap: &Range<u64>| {
            let from = (gap.start - offset) as usize;
            bytes.get(from..from + (gap.end - gap.start) as usize).unwrap_or_default()
        };
        for gap in &gaps {
            self.file.write_all_at(part(gap), gap.start)?;
        }
        {
            let mut view = self.view();
            for gap in &gaps {
                view.written.insert(gap.clone());
                if origin == Origin::Mirror {
                    view.from_mirror.insert(gap.clone());
                }
            }
        }
        self.changed.notify(usize::MAX);
        for gap in &gaps {
            if gap.start == store.hashed {
                store.hasher.update(part(gap));
                store.hashed = gap.end;
            }
        }
        self.hash_prefix(&mut store)
    }

    /// Lets the hash catch up with the contiguous prefix, from the file.
    fn hash_prefix(&self, store: &mut Store) -> io::Result<()> {
        let end = prefix(&self.view().written);
        if store.hashed >= end {
            return Ok(());
        }
        let mut buffer = vec![0; 256 * 1024];
        while store.hashed < end {
            let wanted = (end - store.hashed).min(buffer.len() as u64) as usize;
            let chunk = buffer.get_mut(..wanted).unwrap_or_default();
            self.file.read_exact_at(chunk, store.hashed)?;
            store.hasher.update(chunk);
            store.hashed += wanted as u64;
        }
        Ok(())
    }

    /// Forgets what peers sent of `within`, so that it can be had anew.
    pub fn discard_peer_bytes(&self, within: &Range<u64>) {
        let mut store = lock(&self.store);
        let mut view = self.view();
        let from_peers: Vec<Range<u64>> = {
            let View { written, from_mirror, .. } = &*view;
            let parts = written.overlapping(within).map(|p| p.start.max(within.start)..p.end.min(within.end));
            parts.flat_map(|part| from_mirror.gaps(&part).collect::<Vec<_>>()).collect()
        };
        for part in from_peers {
            if part.start < store.hashed {
                store.hasher = Hasher::default();
                store.hashed = 0;
            }
            view.written.remove(part);
        }
    }

    /// Whether any byte that is there came from a peer.
    pub fn has_peer_bytes(&self) -> bool {
        let view = self.view();
        view.written != view.from_mirror
    }

    /// The hash of the whole file, once all of it is there; `None` before.
    ///
    /// Changes nothing that readers see: whoever obtains the file may look at it,
    /// discard what peers sent, and go on.
    ///
    /// # Errors
    /// Of the disk, when it is read.
    pub async fn digest(self: &Arc<Self>) -> io::Result<Option<Verified>> {
        // As a rule all is hashed by the time that it is written.
        if let Ok(store) = self.store.try_lock()
            && self.view().len == Some(store.hashed)
        {
            return Ok(Some(store.hasher.clone().finish()));
        }
        let fetch = Arc::clone(self);
        smol::unblock(move || {
            let mut store = lock(&fetch.store);
            fetch.hash_prefix(&mut store)?;
            let whole = fetch.view().len == Some(store.hashed);
            Ok(whole.then(|| store.hasher.clone().finish()))
        })
        .await
    }

    /// Whether the hash is one that was expected.
    pub fn is_expected(&self, verified: Verified) -> bool {
        self.expected.iter().any(|expected| expected.sha256 == verified.sha256())
    }

    /// The length in bytes that an answer may promise before any source has told it:
    /// that of the newest generation.
    pub fn promised_len(&self) -> Option<u64> {
        self.expected.first().and_then(|newest| newest.size)
    }

    /// Ends the fetch, whose bytes are all there and hash to `verified`; returns
    /// the file to keep if that hash was expected.
    pub fn finish(&self, verified: Verified) -> Option<Partial> {
        let partial = lock(&self.store).partial.take();
        if self.is_expected(verified) {
            self.end(State::Complete(verified));
            partial
        } else {
            self.end(State::Mismatched(verified));
            None
        }
    }

    /// Ends the fetch with what the mirror said instead of the file.
    pub fn reject(&self, rejection: Rejection) {
        self.end(State::Rejected(Arc::new(rejection)));
    }

    /// Ends the fetch without the file.
    pub fn fail(&self, fault: Fault) {
        self.end(State::Failed(Arc::new(fault)));
    }

    fn end(&self, state: State) {
        let mut view = self.view();
        if !view.state.is_final() {
            view.state = state;
        }
        drop(view);
        self.changed.notify(usize::MAX);
    }

    /// How many bytes of `range` came from the mirror; the others came from peers.
    pub fn bytes_from_mirror(&self, range: &Range<u64>) -> u64 {
        let view = self.view();
        view.from_mirror
            .overlapping(range)
            .map(|part| part.end.min(range.end) - part.start.max(range.start))
            .sum()
    }

    /// How many bytes are there: those that came from peers, and those from the mirror.
    pub fn arrived(&self) -> (u64, u64) {
        let view = self.view();
        let len = |ranges: &RangeSet<u64>| ranges.iter().map(|range| range.end - range.start).sum::<u64>();
        let from_mirror = len(&view.from_mirror);
        (len(&view.written) - from_mirror, from_mirror)
    }

    fn view(&self) -> MutexGuard<'_, View> {
        lock(&self.view)
    }
}

/// The end of the contiguous run of bytes that begins at 0.
fn prefix(ranges: &RangeSet<u64>) -> u64 {
    ranges.first().filter(|first| first.start == 0).map_or(0, |first| first.end)
}

/// A panic while a lock was held leaves counters, never broken invariants.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
pub(super) mod tests {
    use khashmir_apt::Sha256;
    use khashmir_testing::quickcheck;

    use super::*;
    use crate::cache::Cache;
    use crate::database::Database;

    pub(in crate::fetch) struct Bench {
        pub(in crate::fetch) fetch: Arc<Fetch>,
        _dir: tempfile::TempDir,
    }

    pub(in crate::fetch) fn fetch_of(content: &[u8]) -> Bench {
        let dir = tempfile::tempdir().unwrap();
        let database = Arc::new(Database::open(&dir.path().join("db")).unwrap());
        let cache = Cache::open(dir.path(), 1 << 30, database).unwrap();
        let size = Some(content.len() as u64);
        let sha256 = Sha256::of(content);
        let trail = Trail::begin(sha256, size, None);
        let expected = vec![Expectation { sha256, size }];
        let fetch = Fetch::new(expected, cache.create_partial().unwrap(), trail).unwrap();
        fetch.settle_len(content.len() as u64).unwrap();
        Bench { fetch: Arc::new(fetch), _dir: dir }
    }

    impl Bench {
        fn write(&self, content: &[u8], range: Range<usize>, origin: Origin) {
            let bytes = Bytes::copy_from_slice(&content[range.clone()]);
            smol::block_on(self.fetch.write_at(range.start as u64, bytes, origin)).unwrap();
        }

        fn servable(&self) -> u64 {
            self.fetch.progress().servable
        }

        fn digest(&self) -> Option<Verified> {
            smol::block_on(self.fetch.digest()).unwrap()
        }
    }

    #[test]
    fn no_byte_from_a_peer_flows_before_the_hash_is_right() {
        let content: Vec<u8> = (0..=255).cycle().take(1000).collect();
        let bench = fetch_of(&content);
        bench.write(&content, 0..100, Origin::Peer);
        assert_eq!(bench.servable(), 0);
        bench.write(&content, 100..1000, Origin::Mirror);
        assert_eq!(bench.servable(), 0, "what follows a peer's byte waits, too");
        let verified = bench.digest().unwrap();
        assert_eq!(bench.servable(), 0);
        assert!(bench.fetch.finish(verified).is_some());
        assert_eq!(bench.servable(), 1000);
        assert_eq!(bench.fetch.bytes_from_mirror(&(50..150)), 50);
        assert_eq!(bench.fetch.arrived(), (100, 900));
    }

    #[test]
    fn the_mirrors_bytes_flow_up_to_the_first_that_is_not_its() {
        let content = vec![7; 1000];
        let bench = fetch_of(&content);
        bench.write(&content, 0..10, Origin::Mirror);
        bench.write(&content, 20..30, Origin::Mirror);
        assert_eq!(bench.servable(), 10);
        bench.write(&content, 10..15, Origin::Peer);
        assert_eq!(bench.servable(), 10);
        bench.write(&content, 15..20, Origin::Mirror);
        assert_eq!(bench.servable(), 10);
    }

    #[test]
    fn a_peers_lie_is_replaced_by_the_mirror() {
        let (content, lie) = (vec![1; 1000], vec![2; 1000]);
        let bench = fetch_of(&content);
        bench.write(&content, 0..400, Origin::Mirror);
        bench.write(&lie, 300..1000, Origin::Peer);
        let wrong = bench.digest().unwrap();
        assert!(!bench.fetch.is_expected(wrong));
        bench.fetch.discard_peer_bytes(&(500..1000));
        assert!(bench.fetch.has_peer_bytes());
        bench.fetch.discard_peer_bytes(&(0..MAX_LEN));
        assert!(!bench.fetch.has_peer_bytes());
        assert_eq!(bench.digest(), None);
        assert_eq!(bench.fetch.first_gap(&(0..1000)), Some(400..1000));
        bench.write(&content, 400..1000, Origin::Mirror);
        let right = bench.digest().unwrap();
        assert!(bench.fetch.finish(right).is_some());
        assert!(matches!(bench.fetch.progress().state, State::Complete(_)));
    }

    #[test]
    fn a_wrong_file_is_not_given_out_to_be_kept() {
        let bench = fetch_of(&[1; 10]);
        bench.write(&[2; 10], 0..10, Origin::Mirror);
        let wrong = bench.digest().unwrap();
        assert!(bench.fetch.finish(wrong).is_none());
        assert!(matches!(bench.fetch.progress().state, State::Mismatched(_)));
        assert_eq!(bench.servable(), 10);
    }

    #[test]
    fn of_a_wrong_file_nothing_flows_that_a_peer_gave() {
        let bench = fetch_of(&[1; 10]);
        bench.write(&[2; 10], 0..4, Origin::Mirror);
        bench.write(&[2; 10], 4..10, Origin::Peer);
        let wrong = bench.digest().unwrap();
        assert!(bench.fetch.finish(wrong).is_none());
        assert_eq!(bench.servable(), 4);
    }

    #[test]
    fn bytes_past_the_end_and_a_second_length_are_refused() {
        let bench = fetch_of(&[1; 10]);
        let past = bench.fetch.write_at(5, Bytes::from_static(&[0; 6]), Origin::Mirror);
        assert_eq!(smol::block_on(past).unwrap_err().kind(), io::ErrorKind::InvalidInput);
        let beyond = bench.fetch.write_at(u64::MAX, Bytes::from_static(b"x"), Origin::Peer);
        assert!(smol::block_on(beyond).is_err());
        assert!(bench.fetch.settle_len(11).is_err());
        assert!(bench.fetch.settle_len(10).is_ok());
    }

    quickcheck! {
        fn the_hash_follows_bytes_in_any_order(
            content: Vec<u8>, cuts: Vec<(usize, usize, bool)>
        ) -> bool {
            let bench = fetch_of(&content);
            for (a, b, from_peer) in cuts.into_iter().take(20) {
                let (a, b) = (a % (content.len() + 1), b % (content.len() + 1));
                let origin = if from_peer { Origin::Peer } else { Origin::Mirror };
                bench.write(&content, a.min(b)..a.max(b), origin);
                if bench.servable() > content.len() as u64 {
                    return false;
                }
            }
            while let Some(gap) = bench.fetch.first_gap(&(0..MAX_LEN)) {
                bench.write(&content, gap.start as usize..gap.end as usize, Origin::Mirror);
            }
            bench.digest().is_some_and(|verified| verified.sha256() == Sha256::of(&content))
        }
    }
}
