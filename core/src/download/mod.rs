//! The plan for getting one file from peers and mirror.
//!
//! Protocol, section 6. The plan holds no bytes and does no I/O. Whoever drives it looks up the
//! file's key, passes on the values that it finds, makes the requests that the plan asks for, and
//! tells what came of them:
//!
//! ```
//! use khashmir::claim::{Claim, ClaimKey, PieceHashesRef};
//! use khashmir::download::{Action, Download, DownloadConfig, Event, Source, Verdict};
//! use khashmir::rng::{Purpose, Rng};
//! use khashmir::time::Instant;
//!
//! let (now, size) = (Instant::ORIGIN, 1000);
//! let rng = Rng::new([0; 32], Purpose::Download);
//! let mut download = Download::new(DownloadConfig::default(), size, rng, now)?;
//!
//! // The lookup of the file's key found one peer.
//! let address = Some("9.9.9.9:9978".parse()?);
//! let claim = Claim { v4: address, v6: None, pieces: PieceHashesRef::None };
//! download.handle_value(now, &claim.encode(), ClaimKey::File);
//! download.handle_lookup_ended(now);
//!
//! // Ask the peer, hash what it sends, and keep it or not.
//! let Some(Action::Request(request)) = download.poll_action() else { panic!() };
//! assert!(matches!(request.source, Source::Peer(_)));
//! assert_eq!(download.handle_piece(now, request.id, Ok([7; 20])), Verdict::Keep);
//!
//! // All is there: does the file have the hash that the index says?
//! assert!(matches!(download.poll_event(), Some(Event::PieceDone { index: 0, .. })));
//! assert_eq!(download.poll_event(), Some(Event::AllPiecesDone));
//! download.handle_file_hash(now, true);
//! assert_eq!(download.poll_event(), Some(Event::Finished));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! After each `handle_*`, poll actions and events until there are none, and call
//! [`handle_timeout`](Download::handle_timeout) when [`poll_timeout`](Download::poll_timeout) says.
//!
//! # How it goes about it
//!
//! Claims are grouped by the piece hashes that they name, and the group with the most IP addresses
//! behind it is believed. Its peers give the pieces in file order, four at a time; a piece that
//! does not match ends the use of who gave it. A piece that is late is asked of a second peer,
//! or else of the mirror, if somebody waits for the file: what is only fetched ahead can wait for
//! peers. The mirror is asked for one run of bytes at a time, as a plain proxy
//! would: for everything while there are no peers, for what is late else. While it streams, peers
//! work in the middle of what lies before it, so that the two do not meet before both have done
//! half; where they meet, the stream ends. In the end the file's own hash decides: if it is wrong, the
//! peers' pieces are discarded, and the mirror alone is asked. Where no claim names piece hashes, one
//! peer at a time is asked, and only those who gave something are to blame.
//!
//! # It ends
//!
//! Every request that has gone out fails unless bytes keep coming, peers and mirror have a bounded number of failures, and
//! a wrong file costs at least one peer: with [`Event::Finished`] or [`Event::Failed`], once the
//! driver has answered [`Event::AllPiecesDone`].

mod assign;
mod choose;
mod config;
mod deadlines;
mod groups;
mod mirror;
mod peers;
mod pieces;
mod requests;
mod stream;
mod types;

pub use config::DownloadConfig;
pub use types::{
    Action, DownloadStats, Event, FailedBecause, Failure, Origin, Request, RequestId, Source, TooLarge,
    Verdict, What,
};

use crate::claim::{Claim, ClaimKey, PieceHashesRef};
use crate::rng::Rng;
use crate::time::Instant;
use alloc::collections::VecDeque;
use core::time::Duration;
use groups::Groups;
use mirror::Mirror;
use peers::Peers;
use pieces::{Piece, Pieces};
use requests::{By, Outstanding, Requests, Sent};

/// The largest file that is planned: 64 GiB, 131,072 pieces.
pub const MAX_SIZE: u64 = 64 << 30;

/// The plan for one file.
#[derive(Clone, Debug)]
pub struct Download {
    config: DownloadConfig,
    rng: Rng,
    /// The latest time that was told.
    now: Instant,
    started: Instant,
    phase: Phase,
    lookup_ended: bool,
    first_claim: Option<Instant>,
    /// Peers turned out to have lied about the whole file: only the mirror is believed.
    mirror_alone: bool,
    /// Files that came without piece hashes and were wrong.
    wrong_files: u32,
    groups: Groups,
    peers: Peers,
    /// The group that is believed.
    group: Option<usize>,
    /// A piece was kept under it, so that later votes do not change the choice.
    committed: bool,
    pieces: Pieces,
    requests: Requests,
    mirror: Mirror,
    /// How long the mirror takes for a piece; zero before it is known.
    stream_time: Duration,
    /// Since when no piece has been asked of any peer.
    idle_since: Option<Instant>,
    /// Since when somebody waits for the file.
    wanted_since: Option<Instant>,
    /// How long a piece takes, smoothed.
    piece_time: Duration,
    actions: VecDeque<Action>,
    events: VecDeque<Event>,
    stats: DownloadStats,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Fetching,
    /// All pieces are there; the file's hash is to be told.
    Checking,
    Ended,
}

impl Download {
    /// The plan for a file of `size` bytes whose key is being looked up from now on.
    ///
    /// Fails only for a file of more than [`MAX_SIZE`] bytes.
    pub fn new(config: DownloadConfig, size: u64, rng: Rng, now: Instant) -> Result<Download, TooLarge> {
        if size > MAX_SIZE {
            return Err(TooLarge);
        }
        let mut download = Download {
            mirror: Mirror::new(&config),
            piece_time: config.late_min / assign::LATE_FACTOR,
            wanted_since: config.wanted.then_some(now),
            config,
            rng,
            now,
            started: now,
            phase: Phase::Fetching,
            lookup_ended: false,
            first_claim: None,
            mirror_alone: false,
            wrong_files: 0,
            groups: Groups::default(),
            peers: Peers::default(),
            group: None,
            committed: false,
            pieces: Pieces::new(size),
            requests: Requests::default(),
            stream_time: Duration::ZERO,
            idle_since: Some(now),
            actions: VecDeque::new(),
            events: VecDeque::new(),
            stats: DownloadStats::default(),
        };
        download.advance(now);
        Ok(download)
    }

    /// A value was found under one of the file's keys.
    ///
    /// Any order, any time; one that is no claim is counted and changes nothing.
    pub fn handle_value(&mut self, now: Instant, value: &[u8], key: ClaimKey) {
        self.advance(now);
        match Claim::decode(value, key) {
            Ok(claim) if self.can_be_true(&claim) => self.add_claim(claim),
            _ => self.stats.claims_malformed += 1,
        }
        self.advance(now);
    }

    /// No more values are to be expected.
    pub fn handle_lookup_ended(&mut self, now: Instant) {
        self.advance(now);
        self.lookup_ended = true;
        self.advance(now);
    }

    /// A request waits for something of the driver's own, a connection to spare, say. Its source is
    /// not to blame for silence until [`handle_sent`](Self::handle_sent), which has to come unless the
    /// request is cancelled. Who is never told of either takes it for sent at once.
    pub fn handle_held(&mut self, now: Instant, id: RequestId) {
        self.advance(now);
        if let Some(request) = self.requests.get_mut(id) {
            request.sent = Sent::NotYet;
        }
        self.advance(now);
    }

    /// A request that was held back has gone out.
    pub fn handle_sent(&mut self, now: Instant, id: RequestId) {
        self.advance(now);
        if let Some(request) = self.requests.get_mut(id).filter(|request| request.sent == Sent::NotYet) {
            request.sent = Sent::At(self.now);
        }
        self.advance(now);
    }

    /// `received` bytes have come in answer to a request so far, in all. Those of the mirror are
    /// written to the file.
    pub fn handle_progress(&mut self, now: Instant, id: RequestId, received: u64) {
        self.advance(now);
        let max_len = self.piece_hashes_max_len();
        let Some(request) = self.requests.get_mut(id) else { return };
        let len = match request.what {
            What::PieceHashes(_) => max_len,
            What::Piece { len, .. } | What::Range { len, .. } => len,
        };
        let before = request.received;
        request.received = received.clamp(before, len);
        let more = request.received - before;
        if more == 0 {
            return;
        }
        request.last_heard = self.now;
        match request.by {
            By::Peer(_) => self.stats.bytes_from_peers += more,
            By::Mirror => {
                self.stats.bytes_from_mirror += more;
                self.stream_moved(id, before);
            }
            By::Dht => {}
        }
        self.advance(now);
    }

    /// The answer to a request for a piece: the SHA-1 of its bytes, all of which are there.
    ///
    /// Gives whether to write them to the file.
    pub fn handle_piece(
        &mut self,
        now: Instant,
        id: RequestId,
        result: Result<[u8; 20], Failure>,
    ) -> Verdict {
        self.advance(now);
        let known = self.requests.get_mut(id).is_some_and(|request| request.piece().is_some());
        if !known {
            return Verdict::Discard;
        }
        let verdict = match result {
            Ok(sha1) => self.piece_arrived(id, sha1),
            Err(failure) => {
                self.request_failed(id, failure);
                Verdict::Discard
            }
        };
        self.advance(now);
        verdict
    }

    /// An answer to a request for piece hashes: a body of a peer, or a value of the DHT.
    ///
    /// The DHT may give several values; [`Failure::NotFound`] says that there are no more.
    pub fn handle_piece_hashes(&mut self, now: Instant, id: RequestId, result: Result<&[u8], Failure>) {
        self.advance(now);
        match result {
            Ok(bytes) => self.piece_hashes_arrived(id, bytes),
            Err(failure) => self.piece_hashes_failed(id, failure),
        }
        self.advance(now);
    }

    /// The mirror's answer to a request for a range ended: with `Ok` all its bytes are written,
    /// else those that [`handle_progress`](Self::handle_progress) was told of.
    pub fn handle_range_ended(&mut self, now: Instant, id: RequestId, result: Result<(), Failure>) {
        self.advance(now);
        let what = self.requests.get_mut(id).map(|request| request.what);
        if let Some(What::Range { len, .. }) = what {
            match result {
                Ok(()) => self.handle_progress(now, id, len),
                Err(failure) => self.request_failed(id, failure),
            }
        }
        self.advance(now);
    }

    /// Whether the file has the hash that the index says: the answer to [`Event::AllPiecesDone`].
    pub fn handle_file_hash(&mut self, now: Instant, matches: bool) {
        self.advance(now);
        if self.phase != Phase::Checking {
            return;
        }
        if matches {
            self.end(Event::Finished);
        } else {
            self.file_is_wrong();
        }
        self.advance(now);
    }

    /// Somebody waits for the file from now on.
    pub fn handle_wanted(&mut self, now: Instant) {
        self.advance(now);
        self.wanted_since.get_or_insert(self.now);
        self.advance(now);
    }

    /// Experience has changed what is known of peers and mirror: from now on these are
    /// [`DownloadConfig::mirror_delay`] and [`DownloadConfig::mirror_rate`].
    pub fn handle_experience(&mut self, now: Instant, mirror_delay: Duration, mirror_rate: Option<u64>) {
        self.advance(now);
        self.config.mirror_delay = mirror_delay;
        self.config.mirror_rate = mirror_rate;
        self.advance(now);
    }

    /// Does what is due.
    pub fn handle_timeout(&mut self, now: Instant) {
        self.advance(now);
    }

    /// The next thing to do, in order.
    pub fn poll_action(&mut self) -> Option<Action> {
        self.actions.pop_front()
    }

    /// The next thing that happened, in order. The last is [`Event::Finished`] or [`Event::Failed`].
    pub fn poll_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    /// What was counted so far.
    pub fn stats(&self) -> DownloadStats {
        self.stats
    }

    /// The bytes of the longest answer to [`What::PieceHashes`] that can be right; a driver reads no more.
    pub fn piece_hashes_max_len(&self) -> u64 {
        // Room for keys beside `t`, which are allowed.
        20 * self.pieces.len() as u64 + 1024
    }

    /// Whether the last event has been made.
    pub fn is_ended(&self) -> bool {
        self.phase == Phase::Ended
    }

    /// Fires what is due, then makes the requests that the state calls for.
    fn advance(&mut self, now: Instant) {
        self.now = self.now.max(now);
        if self.phase != Phase::Fetching {
            return;
        }
        self.expire();
        if self.pieces.is_complete() {
            self.cancel_where(|_| true);
            self.phase = Phase::Checking;
            self.events.push_back(Event::AllPiecesDone);
            return;
        }
        self.choose_group();
        self.ask_for_piece_hashes();
        self.ask_for_pieces();
        self.ask_second_sources();
        self.note_idleness();
        self.ask_mirror();
        if self.requests.is_empty()
            && self.mirror.standing == mirror::Standing::Gone
            && self.peers_are_exhausted()
        {
            self.end(Event::Failed(FailedBecause::NoSourceLeft));
        }
    }

    fn add_claim(&mut self, claim: Claim) {
        let counter = match claim.pieces {
            PieceHashesRef::None => &mut self.stats.claims_plain,
            PieceHashesRef::Inline(_) => &mut self.stats.claims_inline,
            PieceHashesRef::Dht(_) => &mut self.stats.claims_dht,
            PieceHashesRef::Peers(_) => &mut self.stats.claims_peers,
        };
        *counter += 1;
        let room = self.groups.claims() < self.config.max_claims.max(1);
        let peer = if room { self.peers.add(&claim, &self.config, &mut self.rng) } else { None };
        match (peer, peers::voter(&claim)) {
            (Some(peer), Some(voter)) => {
                self.first_claim.get_or_insert(self.now);
                self.groups.add(claim.pieces, voter, peer);
            }
            _ => self.stats.claims_refused += 1,
        }
    }

    fn request(&mut self, by: By, what: What) {
        let source = match by {
            By::Dht => Source::Dht,
            By::Peer(peer) => Source::Peer(self.peers[peer].address),
            By::Mirror => Source::Mirror,
        };
        let id = self.requests.add(self.now, by, what);
        self.actions.push_back(Action::Request(Request { id, source, what }));
    }

    /// Cancels the requests that `which` picks.
    fn cancel_where(&mut self, which: impl Fn(&Outstanding) -> bool) {
        let picked: alloc::vec::Vec<RequestId> =
            self.requests.iter().filter(|request| which(request)).map(|request| request.id).collect();
        for id in picked {
            let Some(request) = self.requests.remove(self.now, id) else { continue };
            self.actions.push_back(Action::Cancel(id));
            match request.what {
                What::Range { offset, .. } => self.mirror.ended(offset + request.received, request.received),
                What::Piece { .. } => self.stats.bytes_wasted += request.received,
                What::PieceHashes(_) => {}
            }
        }
    }

    /// A request came to nothing. All else that waits at the same peer is cancelled with it: what
    /// ended one ends the connection, and counts once.
    fn request_failed(&mut self, id: RequestId, failure: Failure) {
        let Some(request) = self.requests.remove(self.now, id) else { return };
        self.stats.requests_failed += 1;
        match request.by {
            By::Peer(peer) => {
                self.stats.bytes_wasted += request.received;
                self.peers.failed(peer, failure, &self.config);
                self.cancel_where(|other| other.by == request.by);
            }
            By::Mirror => {
                if let What::Range { offset, .. } = request.what {
                    self.mirror.ended(offset + request.received, request.received);
                }
                self.mirror.failed(self.now, failure, &self.config);
            }
            By::Dht => {}
        }
    }

    fn file_is_wrong(&mut self) {
        self.stats.files_wrong += 1;
        let hashes_known =
            self.group.and_then(|group| self.groups.get(group)).is_some_and(|g| g.named.is_some());
        let givers: alloc::vec::Vec<usize> = self.pieces.givers().collect();
        if givers.is_empty() {
            self.end(Event::Failed(FailedBecause::MirrorWrong));
            return;
        }
        givers.into_iter().for_each(|peer| self.peers.lied(peer));
        self.wrong_files += 1;
        // Every piece matched and the file does not: the piece hashes were the lie, and whoever
        // stands for others may lie as well.
        self.mirror_alone = hashes_known || self.wrong_files >= self.config.wrong_files.max(1);
        self.phase = Phase::Fetching;
        self.idle_since = Some(self.now);
        self.discard_from_peers(None);
    }

    fn discard_from_peers(&mut self, unless: Option<&crate::claim::PieceHashes>) {
        for range in self.pieces.discard_from_peers(unless) {
            let len = range.end - range.start;
            self.stats.bytes_wasted += len;
            // A piece that the mirror's stream is in lacks its beginning now.
            let starts_in = |stream: stream::Stream| range.contains(&self.pieces.range(stream.piece).start);
            if self.stream().is_some_and(starts_in) {
                self.cancel_where(|request| request.by == By::Mirror);
            }
            self.mirror.forget(&range);
            self.events.push_back(Event::Discarded { offset: range.start, len });
        }
    }

    fn end(&mut self, event: Event) {
        self.cancel_where(|_| true);
        self.phase = Phase::Ended;
        self.events.push_back(event);
    }
}
