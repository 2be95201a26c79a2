//! A world in virtual time around one download plan: peers, a mirror, a DHT, and a disk.
//!
//! It obeys the plan as a driver would, and checks at every step what holds whatever happens.

use khashmir::claim::{Claim, ClaimKey, PIECE_LEN, PieceHashes, PieceHashesRef, piece_count, piece_range};
use khashmir::download::{
    Action, Download, DownloadConfig, DownloadStats, Event, Failure, Origin, Request, RequestId, Source,
    Verdict, What,
};
use khashmir::rng::{Purpose, Rng};
use khashmir::time::Instant;
use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap, VecDeque};
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};
use std::time::Duration;

/// Bytes that come at a time. What a source sends is right or wrong by the chunk.
const CHUNK: u64 = 64 * 1024;

/// How a source of bytes behaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Behaviour {
    /// Gives the file.
    Honest,
    /// Gives other bytes than the piece hashes say, from this piece on.
    CorruptFrom(u64),
    /// Gives another file, for which [`hashes`] of version 1 are right.
    OtherFile,
    /// Takes no connection.
    Refusing,
    /// Takes every request and never answers.
    Silent,
    /// Answers 404.
    Without,
    /// Breaks each connection after so many bytes in all, and is gone then.
    GoneAfter(u64),
    /// Breaks each answer after so many bytes, but takes the next request.
    CutsEvery(u64),
}

#[derive(Clone, Debug)]
pub(crate) struct Server {
    pub(crate) behaviour: Behaviour,
    /// Bytes a second.
    pub(crate) rate: u64,
    /// From a request to an idle server until its answer begins.
    pub(crate) latency: Duration,
    /// Bytes that it sent.
    pub(crate) sent: u64,
    queue: VecDeque<Request>,
    /// Bytes of the first answer so far.
    received: u64,
    /// Chunks on their way when the queue changed are void.
    turn: u64,
    /// How often it contradicted piece hashes. The first time these may have been the lie, of
    /// somebody who claimed in its name.
    caught: u32,
}

impl Server {
    fn new(behaviour: Behaviour, rate: u64) -> Server {
        let latency = Duration::from_millis(20);
        Server { behaviour, rate, latency, sent: 0, queue: VecDeque::new(), received: 0, turn: 0, caught: 0 }
    }
}

/// A peer, or the mirror.
type At = Option<SocketAddr>;

enum Happening {
    Value(Vec<u8>),
    LookupEnd,
    Wanted,
    /// [`Download::handle_experience`] with this delay.
    Experience(Duration),
    Chunk(At, u64),
    DhtAnswer(RequestId, [u8; 20]),
}

/// What came of a download.
#[derive(Debug)]
pub(crate) struct Outcome {
    pub(crate) last: Event,
    /// From the start to the last event.
    pub(crate) took: Duration,
    pub(crate) stats: DownloadStats,
    pub(crate) from_mirror: u64,
    pub(crate) from_peers: u64,
    /// How often each piece was asked for of peers.
    pub(crate) requested_pieces: BTreeMap<u64, u32>,
    pub(crate) events: Vec<Event>,
    pub(crate) asked: Vec<Request>,
    pub(crate) servers: BTreeMap<SocketAddr, Server>,
}

impl Outcome {
    pub(crate) fn finished(&self) -> bool {
        self.last == Event::Finished
    }
}

pub(crate) struct World {
    pub(crate) config: DownloadConfig,
    pub(crate) seed: u8,
    pub(crate) size: u64,
    pub(crate) mirror: Option<Server>,
    pub(crate) dht_delay: Duration,
    /// Values under the key that is the SHA-1 of piece hashes.
    pub(crate) dht: BTreeMap<[u8; 20], Vec<Vec<u8>>>,
    servers: BTreeMap<SocketAddr, Server>,
    happenings: Vec<(Instant, Happening)>,
}

/// The hashes of all pieces of a file; version 0 is right.
pub(crate) fn hashes(size: u64, version: u8) -> PieceHashes {
    PieceHashes::new((0..piece_count(size)).map(|index| sha1(index, version)).collect())
}

fn sha1(index: u64, version: u8) -> [u8; 20] {
    let mut sha1 = [version; 20];
    sha1[..8].copy_from_slice(&index.to_be_bytes());
    sha1
}

pub(crate) fn address(n: u8) -> SocketAddrV4 {
    SocketAddrV4::new(Ipv4Addr::new(9, 0, 0, n), 9978)
}

pub(crate) fn ms(ms: u64) -> Instant {
    Instant::from_micros(ms * 1000)
}

impl World {
    /// A file of `pieces` pieces, the last one shorter; a mirror of 10 MB/s; the lookup ends after 300 ms.
    pub(crate) fn new(pieces: u64) -> World {
        World::of_size((pieces * PIECE_LEN).saturating_sub(1000))
    }

    pub(crate) fn of_size(size: u64) -> World {
        World {
            // Time for a lookup and what follows, so that the mirror's bytes can be counted.
            config: DownloadConfig {
                mirror_delay: Duration::from_millis(500),
                late_silent: Duration::from_secs(1),
                mirror_probe: Duration::from_secs(60),
                ..DownloadConfig::default()
            },
            seed: 7,
            size,
            mirror: Some(Server::new(Behaviour::Honest, 10_000_000)),
            dht_delay: Duration::from_millis(50),
            dht: BTreeMap::new(),
            servers: BTreeMap::new(),
            happenings: vec![(ms(300), Happening::LookupEnd)],
        }
    }

    pub(crate) fn mirror(mut self, behaviour: Behaviour, rate: u64) -> World {
        self.mirror = Some(Server::new(behaviour, rate));
        self
    }

    pub(crate) fn server(mut self, n: u8, behaviour: Behaviour, rate: u64) -> World {
        self.servers.insert(address(n).into(), Server::new(behaviour, rate));
        self
    }

    /// A peer whose claim, found after 200 ms, names the right piece hashes in the tier of their number.
    pub(crate) fn peer(self, n: u8, behaviour: Behaviour, rate: u64) -> World {
        let version = u8::from(behaviour == Behaviour::OtherFile);
        let pieces = PieceHashesRef::to(&hashes(self.size, version));
        self.claim(200, address(n), pieces).server(n, behaviour, rate)
    }

    pub(crate) fn claim(self, at_ms: u64, from: SocketAddrV4, pieces: PieceHashesRef) -> World {
        self.value(at_ms, Claim { v4: Some(from), v6: None, pieces }.encode())
    }

    pub(crate) fn value(mut self, at_ms: u64, value: Vec<u8>) -> World {
        self.happenings.push((ms(at_ms), Happening::Value(value)));
        self
    }

    /// The DHT has the piece hashes of this version under their key.
    pub(crate) fn in_dht(mut self, version: u8) -> World {
        let hashes = hashes(self.size, version);
        self.dht.entry(hashes.sha1()).or_default().push(hashes.encode());
        self
    }

    pub(crate) fn lookup_ends(mut self, at_ms: u64) -> World {
        self.happenings.retain(|(_, happening)| !matches!(happening, Happening::LookupEnd));
        self.happenings.push((ms(at_ms), Happening::LookupEnd));
        self
    }

    /// Nobody waits for the file before then.
    pub(crate) fn wanted_at(mut self, at_ms: u64) -> World {
        self.config.wanted = false;
        self.happenings.push((ms(at_ms), Happening::Wanted));
        self
    }

    /// From then on the mirror is left alone for so long only.
    pub(crate) fn mirror_delay_at(mut self, at_ms: u64, delay: Duration) -> World {
        self.happenings.push((ms(at_ms), Happening::Experience(delay)));
        self
    }

    pub(crate) fn run(self) -> Outcome {
        Run::new(self).run()
    }
}

/// A world that has begun.
struct Run {
    world: World,
    plan: Download,
    now: Instant,
    queue: BinaryHeap<Reverse<(Instant, u64)>>,
    due: BTreeMap<u64, Happening>,
    next: u64,
    outstanding: BTreeMap<RequestId, Request>,
    used: BTreeSet<RequestId>,
    /// Each chunk of the file: whether it is right, if it is there.
    disk: Vec<Option<bool>>,
    requested: BTreeMap<u64, u32>,
    events: Vec<Event>,
    asked: Vec<Request>,
    steps: u64,
}

impl Run {
    fn new(mut world: World) -> Run {
        world.config.mirror = world.mirror.is_some();
        let rng = Rng::new([world.seed; 32], Purpose::Download);
        let plan = Download::new(world.config.clone(), world.size, rng, Instant::ORIGIN).unwrap();
        let disk = vec![None; world.size.div_ceil(CHUNK) as usize];
        let happenings = std::mem::take(&mut world.happenings);
        let mut run = Run {
            world,
            plan,
            now: Instant::ORIGIN,
            queue: BinaryHeap::new(),
            due: BTreeMap::new(),
            next: 0,
            outstanding: BTreeMap::new(),
            used: BTreeSet::new(),
            disk,
            requested: BTreeMap::new(),
            events: Vec::new(),
            asked: Vec::new(),
            steps: 0,
        };
        happenings.into_iter().for_each(|(at, happening)| run.schedule(at, happening));
        run
    }

    fn run(mut self) -> Outcome {
        self.obey();
        while !self.plan.is_ended() {
            self.steps += 1;
            assert!(self.steps < 300_000, "it does not end: {:?}", self.plan);
            let next = self.queue.peek().map(|Reverse((at, _))| *at);
            let timeout = self.plan.poll_timeout();
            match (next, timeout) {
                (None, None) => panic!("nothing will ever happen: {:?}", self.plan),
                (next, Some(at)) if next.is_none_or(|next| at < next) => {
                    self.now = self.now.max(at);
                    self.plan.handle_timeout(self.now);
                    assert!(self.plan.poll_timeout().is_none_or(|later| later > self.now), "due, not done");
                }
                _ => self.step(),
            }
            self.obey();
        }
        assert!(self.outstanding.is_empty(), "left over: {:?}", self.outstanding);
        let finals = |event: &&Event| matches!(event, Event::Finished | Event::Failed(_));
        assert_eq!(self.events.iter().filter(finals).count(), 1);
        let (from_mirror, from_peers) = (
            self.world.mirror.as_ref().map_or(0, |m| m.sent),
            self.world.servers.values().map(|s| s.sent).sum(),
        );
        Outcome {
            last: *self.events.last().unwrap(),
            took: self.now.saturating_duration_since(Instant::ORIGIN),
            stats: self.plan.stats(),
            from_mirror,
            from_peers,
            requested_pieces: self.requested,
            events: self.events,
            asked: self.asked,
            servers: self.world.servers,
        }
    }

    fn schedule(&mut self, at: Instant, happening: Happening) {
        self.queue.push(Reverse((at, self.next)));
        self.due.insert(self.next, happening);
        self.next += 1;
    }

    fn step(&mut self) {
        let Reverse((at, key)) = self.queue.pop().unwrap();
        self.now = at;
        match self.due.remove(&key).unwrap() {
            Happening::Value(value) => self.plan.handle_value(at, &value, ClaimKey::File),
            Happening::LookupEnd => self.plan.handle_lookup_ended(at),
            Happening::Wanted => self.plan.handle_wanted(at),
            Happening::Experience(delay) => {
                let rate = self.world.config.mirror_rate;
                self.plan.handle_experience(at, delay, rate);
            }
            Happening::DhtAnswer(id, key) => {
                for value in self.world.dht.get(&key).cloned().unwrap_or_default() {
                    self.plan.handle_piece_hashes(at, id, Ok(&value));
                }
                self.plan.handle_piece_hashes(at, id, Err(Failure::NotFound));
                self.outstanding.remove(&id);
            }
            Happening::Chunk(server, turn) => self.chunk(server, turn),
        }
    }

    /// Does what the plan asks for until it asks for nothing more.
    fn obey(&mut self) {
        loop {
            if let Some(event) = self.plan.poll_event() {
                self.hear(event);
                continue;
            }
            let actions: Vec<Action> = std::iter::from_fn(|| self.plan.poll_action()).collect();
            if actions.is_empty() {
                return;
            }
            for action in &actions {
                match *action {
                    // One call may ask for a piece because a timer was due, and cancel it because
                    // what the call told was that very piece.
                    Action::Request(request) if actions.contains(&Action::Cancel(request.id)) => {}
                    Action::Request(request) => self.make(request),
                    Action::Cancel(id) => self.cancel(id),
                }
            }
        }
    }

    fn hear(&mut self, event: Event) {
        self.events.push(event);
        match event {
            Event::AllPiecesDone => {
                assert!(self.disk.iter().all(Option::is_some), "a byte was never written");
                let right = self.disk.iter().all(|chunk| *chunk == Some(true));
                self.plan.handle_file_hash(self.now, right);
            }
            Event::Discarded { offset, len } => {
                let chunks = (offset / CHUNK) as usize..(offset + len).div_ceil(CHUNK) as usize;
                self.disk[chunks].fill(None);
            }
            Event::Finished => assert!(self.disk.iter().all(|chunk| *chunk == Some(true))),
            Event::PieceDone { index, origin } => {
                assert!(index < piece_count(self.world.size));
                assert!(origin != Origin::Mirror || self.world.mirror.is_some());
            }
            _ => {}
        }
    }

    fn make(&mut self, request: Request) {
        assert!(self.used.insert(request.id), "an id is used twice");
        self.outstanding.insert(request.id, request);
        self.asked.push(request);
        self.check_bounds(&request);
        match (request.source, request.what) {
            (Source::Dht, What::PieceHashes(key)) => {
                self.schedule(self.now + self.world.dht_delay, Happening::DhtAnswer(request.id, key));
            }
            (Source::Peer(peer), what) => {
                if let What::Piece { index, .. } = what {
                    *self.requested.entry(index).or_default() += 1;
                }
                self.enqueue(Some(peer), request);
            }
            (Source::Mirror, What::Range { .. }) => self.enqueue(None, request),
            other => panic!("nobody can answer {other:?}"),
        }
    }

    /// What holds of what is outstanding, whatever happened.
    fn check_bounds(&self, request: &Request) {
        if let What::Piece { index, offset, len } = request.what {
            assert_eq!(offset..offset + len, piece_range(self.world.size, index));
            assert!(!self.is_whole(index), "asked for what is there");
        }
        if let What::Range { offset, len } = request.what {
            assert!(len > 0 && offset + len <= self.world.size);
        }
        let count = |which: &dyn Fn(&Request) -> bool| self.outstanding.values().filter(|r| which(r)).count();
        let pieces: Vec<u64> = self
            .outstanding
            .values()
            .filter_map(|request| match request.what {
                What::Piece { index, .. } => Some(index),
                _ => None,
            })
            .collect();
        assert!(pieces.iter().collect::<BTreeSet<_>>().len() <= 4, "more than 4 pieces at a time");
        for piece in &pieces {
            assert!(
                pieces.iter().filter(|other| *other == piece).count() <= 2,
                "more than 2 peers for a piece"
            );
        }
        assert!(count(&|r| r.source == Source::Mirror) <= 1, "two streams of the mirror");
        assert!(count(&|r| matches!(r.what, What::PieceHashes(_))) <= 2);
        if let Source::Peer(peer) = request.source {
            assert!(count(&|r| r.source == request.source) <= 3, "too much for one peer");
            let server = self.world.servers.get(&peer);
            assert!(server.is_none_or(|server| server.caught < 2), "asked again: {peer}");
        }
    }

    fn is_whole(&self, index: u64) -> bool {
        let range = piece_range(self.world.size, index);
        self.events.iter().rev().find_map(|event| match event {
            Event::PieceDone { index: done, .. } if *done == index => Some(true),
            Event::Discarded { offset, len } if (*offset..offset + len).contains(&range.start) => Some(false),
            _ => None,
        }) == Some(true)
    }

    fn server(&mut self, at: At) -> Option<&mut Server> {
        match at {
            Some(peer) => self.world.servers.get_mut(&peer),
            None => self.world.mirror.as_mut(),
        }
    }

    fn enqueue(&mut self, at: At, request: Request) {
        let Some(server) = self.server(at) else {
            return self.next_answer(at, Duration::ZERO);
        };
        server.queue.push_back(request);
        if server.queue.len() == 1 {
            server.received = 0;
            let latency = server.latency;
            self.next_answer(at, latency);
        }
    }

    fn next_answer(&mut self, at: At, after: Duration) {
        let Some(server) = self.server(at) else { return };
        server.turn += 1;
        let transfer = Duration::from_micros(CHUNK * 1_000_000 / server.rate.max(1));
        let turn = server.turn;
        if !server.queue.is_empty() && server.behaviour != Behaviour::Silent {
            let transfer = if server.behaviour == Behaviour::Refusing { Duration::ZERO } else { transfer };
            self.schedule(self.now + after + transfer, Happening::Chunk(at, turn));
        }
    }

    fn cancel(&mut self, id: RequestId) {
        let Some(request) = self.outstanding.remove(&id) else { return };
        let at = match request.source {
            Source::Peer(peer) => Some(peer),
            Source::Mirror => None,
            Source::Dht => return,
        };
        let Some(server) = self.server(at) else { return };
        let first = server.queue.front().is_some_and(|first| first.id == id);
        server.queue.retain(|request| request.id != id);
        if first {
            server.received = 0;
            let latency = server.latency;
            self.next_answer(at, latency);
        }
    }

    fn chunk(&mut self, at: At, turn: u64) {
        let now = self.now;
        let Some(server) = self.server(at).filter(|server| server.turn == turn) else { return };
        let Some(request) = server.queue.front().copied() else { return };
        match server.behaviour {
            Behaviour::Refusing => return self.fail(at, Failure::Unreachable),
            Behaviour::Without => return self.fail(at, Failure::NotFound),
            Behaviour::GoneAfter(bytes) if server.sent >= bytes => {
                server.behaviour = Behaviour::Refusing;
                return self.fail(at, Failure::Interrupted);
            }
            Behaviour::CutsEvery(bytes) if server.received >= bytes => {
                return self.fail(at, Failure::Interrupted);
            }
            _ => {}
        }
        let behaviour = server.behaviour;
        let (offset, len) = match request.what {
            What::PieceHashes(sha1) => return self.give_hashes(at, request.id, sha1, behaviour),
            What::Piece { offset, len, .. } | What::Range { offset, len } => (offset, len),
        };
        let come = CHUNK.min(len - server.received);
        server.received += come;
        server.sent += come;
        let received = server.received;
        let done = received == len;
        if at.is_none() {
            // The bytes of the mirror are written as they come.
            let first = ((offset + received - come) / CHUNK) as usize;
            let end = ((offset + received).div_ceil(CHUNK)) as usize;
            let right = !matches!(behaviour, Behaviour::OtherFile);
            self.disk[first..end].fill(Some(right));
        }
        if !done {
            self.next_answer(at, Duration::ZERO);
            self.plan.handle_progress(now, request.id, received);
            return;
        }
        let server = self.server(at).unwrap();
        server.queue.pop_front();
        server.received = 0;
        self.outstanding.remove(&request.id);
        self.next_answer(at, Duration::ZERO);
        match request.what {
            What::Piece { index, .. } => self.give_piece(at, request, index, behaviour),
            _ => self.plan.handle_range_ended(now, request.id, Ok(())),
        }
    }

    fn give_piece(&mut self, at: At, request: Request, index: u64, behaviour: Behaviour) {
        let version = match behaviour {
            Behaviour::OtherFile => 1,
            Behaviour::CorruptFrom(first) if index >= first => 9,
            _ => 0,
        };
        let before = self.plan.stats().pieces_wrong;
        let verdict = self.plan.handle_piece(self.now, request.id, Ok(sha1(index, version)));
        if self.plan.stats().pieces_wrong > before
            && let Some(server) = self.server(at)
        {
            server.caught += 1;
        }
        if verdict == Verdict::Keep {
            let range = piece_range(self.world.size, index);
            let chunks = (range.start / CHUNK) as usize..range.end.div_ceil(CHUNK) as usize;
            self.disk[chunks].fill(Some(version == 0));
        }
    }

    fn give_hashes(&mut self, at: At, id: RequestId, key: [u8; 20], behaviour: Behaviour) {
        let server = self.server(at).unwrap();
        server.queue.pop_front();
        self.outstanding.remove(&id);
        self.next_answer(at, Duration::ZERO);
        let version = u8::from(behaviour == Behaviour::OtherFile);
        let hashes = hashes(self.world.size, version);
        let body = if hashes.sha1() == key { Ok(hashes.encode()) } else { Err(Failure::NotFound) };
        self.plan.handle_piece_hashes(self.now, id, body.as_deref().map_err(|failure| *failure));
    }

    /// The connection breaks: all that waits on it comes to nothing.
    fn fail(&mut self, at: At, failure: Failure) {
        let now = self.now;
        let Some(server) = self.server(at) else { return };
        server.received = 0;
        server.turn += 1;
        for request in std::mem::take(&mut server.queue) {
            self.outstanding.remove(&request.id);
            match request.what {
                What::PieceHashes(_) => self.plan.handle_piece_hashes(now, request.id, Err(failure)),
                What::Piece { .. } => {
                    assert_eq!(self.plan.handle_piece(now, request.id, Err(failure)), Verdict::Discard);
                }
                What::Range { .. } => self.plan.handle_range_ended(now, request.id, Err(failure)),
            }
        }
    }
}
