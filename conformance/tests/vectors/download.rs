//! The plan for one file, in a world that a vector gives: claims, peers, the DHT and a mirror.

use crate::files::{Outcome, bytes, expect, parse};
use khashmir::claim::{ClaimKey, PIECE_LEN, PieceHashes, piece_count, piece_range};
use khashmir::download::{
    Action, Download, DownloadConfig, Event, Failure, Origin, Request, RequestId, Source, Verdict, What,
};
use khashmir::rng::{Purpose, Rng};
use khashmir::time::Instant;
use serde::Deserialize;
use serde_json::Value;
use sha1::{Digest, Sha1};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::SocketAddr;
use std::sync::Mutex;
use std::time::Duration;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Vector {
    #[serde(rename = "name")]
    _name: String,
    #[serde(rename = "sentence")]
    _sentence: String,
    size: u64,
    values: Vec<FoundValue>,
    lookup_ends_ms: u64,
    peers: BTreeMap<SocketAddr, Server>,
    dht: BTreeMap<String, Vec<String>>,
    mirror: Option<Server>,
    expect: Expected,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct FoundValue {
    at_ms: u64,
    hex: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Server {
    gives: Gives,
    piece_ms: u64,
    #[serde(skip)]
    queue: VecDeque<Request>,
    /// When the first of its queue is answered, a piece of it where it is a range.
    #[serde(skip)]
    due: Option<Instant>,
    #[serde(skip)]
    received: u64,
}

#[derive(Clone, Copy, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
enum Gives {
    /// The file.
    File,
    /// Another file of that size.
    Other,
    /// Pieces that belong to neither.
    Nonsense,
    /// 404.
    Nothing,
    /// No connection.
    NoConnection,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Expected {
    outcome: String,
    #[serde(deserialize_with = "distinct")]
    asked: BTreeSet<SocketAddr>,
    #[serde(deserialize_with = "distinct")]
    not_asked: BTreeSet<SocketAddr>,
    #[serde(deserialize_with = "distinct")]
    maybe_asked: BTreeSet<SocketAddr>,
    #[serde(deserialize_with = "distinct")]
    banned: BTreeSet<SocketAddr>,
    first_pieces: Option<Vec<u64>>,
    piece_hashes_from: Vec<String>,
    origins: Vec<String>,
    at_once_at_most: Option<usize>,
}

fn distinct<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<BTreeSet<SocketAddr>, D::Error> {
    let list = Vec::<SocketAddr>::deserialize(deserializer)?;
    let set: BTreeSet<SocketAddr> = list.iter().copied().collect();
    if set.len() == list.len() { Ok(set) } else { Err(serde::de::Error::custom("named twice")) }
}

/// A byte of a piece of a version of the file: all bytes of a piece are the same.
fn byte(piece: u64, version: u8) -> u8 {
    (piece as u8).wrapping_add(version.wrapping_mul(100))
}

fn sha1(size: u64, piece: u64, version: u8) -> [u8; 20] {
    static KNOWN: Mutex<BTreeMap<(u8, u64), [u8; 20]>> = Mutex::new(BTreeMap::new());
    let range = piece_range(size, piece);
    let (byte, len) = (byte(piece, version), range.end - range.start);
    let mut known = KNOWN.lock().expect("no test panics here");
    *known.entry((byte, len)).or_insert_with(|| Sha1::digest(vec![byte; len as usize]).into())
}

fn hashes(size: u64, version: u8) -> PieceHashes {
    PieceHashes::new((0..piece_count(size)).map(|piece| sha1(size, piece, version)).collect())
}

struct Run {
    size: u64,
    plan: Download,
    now: Instant,
    peers: BTreeMap<SocketAddr, Server>,
    mirror: Option<Server>,
    dht: BTreeMap<[u8; 20], Vec<Vec<u8>>>,
    dht_answers: Vec<(Instant, RequestId, [u8; 20])>,
    /// Who gave each piece, and which version.
    pieces: BTreeMap<u64, (&'static str, u8)>,
    asked: BTreeSet<SocketAddr>,
    banned: BTreeSet<SocketAddr>,
    first_pieces: Vec<u64>,
    piece_hashes_from: Vec<String>,
    at_once: usize,
    fault: Option<String>,
    last: Option<Event>,
}

pub fn check(vector: &Value) -> Outcome {
    let vector: Vector = parse(vector)?;
    let mut values: Vec<(Instant, Vec<u8>)> = Vec::new();
    for value in &vector.values {
        values.push((at(value.at_ms), bytes(&value.hex)?));
    }
    let mut dht = BTreeMap::new();
    for (key, values) in &vector.dht {
        let key = bytes(key)?.try_into().map_err(|_| "a key of 20 bytes")?;
        dht.insert(key, values.iter().map(|hex| bytes(hex)).collect::<Result<Vec<_>, _>>()?);
    }
    let config = DownloadConfig {
        mirror: vector.mirror.is_some(),
        local_networks: vec!["10.0.0.0/8".parse().expect("a network")],
        ..DownloadConfig::default()
    };
    let rng = Rng::new([5; 32], Purpose::Download);
    let plan = Download::new(config, vector.size, rng, Instant::ORIGIN).map_err(|error| error.to_string())?;
    let named: BTreeSet<SocketAddr> = vector.peers.keys().copied().collect();
    let mut run = Run {
        size: vector.size,
        plan,
        now: Instant::ORIGIN,
        peers: vector.peers,
        mirror: vector.mirror,
        dht,
        dht_answers: Vec::new(),
        pieces: BTreeMap::new(),
        asked: BTreeSet::new(),
        banned: BTreeSet::new(),
        first_pieces: Vec::new(),
        piece_hashes_from: Vec::new(),
        at_once: 0,
        fault: None,
        last: None,
    };
    run.run(values.into(), at(vector.lookup_ends_ms))?;

    let wanted = vector.expect;
    let outcome = if run.last == Some(Event::Finished) { "finished" } else { "failed" };
    expect("outcome", &outcome, &&wanted.outcome[..])?;
    expect("banned", &run.banned, &wanted.banned)?;
    let surely: BTreeSet<SocketAddr> = run.asked.difference(&wanted.maybe_asked).copied().collect();
    expect("asked", &surely, &wanted.asked)?;
    let rest: BTreeSet<SocketAddr> = &(&named - &wanted.asked) - &wanted.maybe_asked;
    expect("not_asked", &rest, &wanted.not_asked)?;
    expect("of all peers", &(&(&wanted.asked | &wanted.not_asked) | &wanted.maybe_asked), &named)?;
    if let Some(wanted) = wanted.first_pieces {
        let first = run.first_pieces.len().min(4);
        expect("first_pieces", &&run.first_pieces[..first], &&wanted[..])?;
    }
    expect("piece_hashes_from", &run.piece_hashes_from, &wanted.piece_hashes_from)?;
    let origins: Vec<String> = run.pieces.values().map(|(origin, _)| (*origin).to_owned()).collect();
    expect("pieces", &origins.len(), &wanted.origins.len())?;
    for (ours, wanted) in origins.iter().zip(&wanted.origins) {
        if wanted != "any" {
            expect("origins", ours, wanted)?;
        }
    }
    expect("at once", &(run.at_once > wanted.at_once_at_most.unwrap_or(4)), &false)
}

impl Run {
    fn run(&mut self, mut values: VecDeque<(Instant, Vec<u8>)>, lookup_ends: Instant) -> Outcome {
        let mut lookup_ends = Some(lookup_ends);
        for _ in 0..10_000 {
            self.obey()?;
            if self.plan.is_ended() {
                return self.fault.take().map_or(Ok(()), Err);
            }
            let value = values.front().map(|(at, _)| *at);
            let served = self.peers.values().chain(&self.mirror).filter_map(|server| server.due).min();
            let dht = self.dht_answers.iter().map(|(at, ..)| *at).min();
            let next =
                [value, lookup_ends, served, dht, self.plan.poll_timeout()].into_iter().flatten().min();
            self.now = self.now.max(next.ok_or("nothing will ever happen")?);
            let now = self.now;
            if value.is_some_and(|at| at <= now) {
                let (_, value) = values.pop_front().ok_or("a value")?;
                self.plan.handle_value(now, &value, ClaimKey::File);
            } else if lookup_ends.take_if(|at| *at <= now).is_some() {
                self.plan.handle_lookup_ended(now);
            } else if let Some(n) = self.dht_answers.iter().position(|(at, ..)| *at <= now) {
                let (_, id, key) = self.dht_answers.remove(n);
                for value in self.dht.get(&key).into_iter().flatten() {
                    self.plan.handle_piece_hashes(now, id, Ok(value));
                }
                self.plan.handle_piece_hashes(now, id, Err(Failure::NotFound));
            } else if let Some(addr) =
                self.peers.iter().find(|(_, s)| s.due.is_some_and(|at| at <= now)).map(|(a, _)| *a)
            {
                self.serve_peer(addr);
            } else if self.mirror.as_ref().is_some_and(|m| m.due.is_some_and(|at| at <= now)) {
                self.serve_mirror();
            } else {
                self.plan.handle_timeout(now);
            }
        }
        Err("it does not end".to_owned())
    }

    /// Does what the plan asks for.
    fn obey(&mut self) -> Outcome {
        loop {
            while let Some(event) = self.plan.poll_event() {
                match event {
                    Event::AllPiecesDone => {
                        let right = self.pieces.values().all(|(_, version)| *version == 0);
                        self.plan.handle_file_hash(self.now, right);
                    }
                    Event::Discarded { offset, len } => {
                        let gone = offset / PIECE_LEN..(offset + len).div_ceil(PIECE_LEN);
                        self.pieces.retain(|piece, _| !gone.contains(piece));
                    }
                    Event::PieceDone { index, origin } => {
                        let mirror =
                            self.mirror.as_ref().map_or(0, |mirror| u8::from(mirror.gives == Gives::Other));
                        if origin == Origin::Mirror {
                            self.pieces.insert(index, ("mirror", mirror));
                        }
                    }
                    event => self.last = Some(event),
                }
            }
            let Some(action) = self.plan.poll_action() else { return Ok(()) };
            match action {
                Action::Request(request) => self.request(request)?,
                Action::Cancel(id) => {
                    self.dht_answers.retain(|(_, other, _)| *other != id);
                    for server in self.peers.values_mut().chain(&mut self.mirror) {
                        let first = server.queue.front().map(|request| request.id);
                        server.queue.retain(|request| request.id != id);
                        if first == Some(id) {
                            server.begin(self.now);
                        }
                    }
                }
            }
        }
    }

    fn request(&mut self, request: Request) -> Outcome {
        let now = self.now;
        match (request.source, request.what) {
            (Source::Dht, What::PieceHashes(key)) => {
                self.piece_hashes_from.push("dht".to_owned());
                self.dht_answers.push((now + Duration::from_millis(50), request.id, key));
            }
            (Source::Peer(addr), what) => {
                self.asked.insert(addr);
                if self.banned.contains(&addr) {
                    self.fault = Some(format!("{addr} is asked again"));
                }
                match what {
                    What::Piece { index, .. } => {
                        if !self.first_pieces.contains(&index) {
                            self.first_pieces.push(index);
                        }
                    }
                    _ => self.piece_hashes_from.push(addr.to_string()),
                }
                let server = self.peers.get_mut(&addr).ok_or_else(|| format!("who is {addr}?"))?;
                server.enqueue(now, request);
            }
            (Source::Mirror, What::Range { .. }) => {
                self.mirror.as_mut().ok_or("there is no mirror")?.enqueue(now, request);
            }
            other => return Err(format!("{other:?}")),
        }
        let pieces =
            self.peers.values().flat_map(|server| &server.queue).filter_map(|request| match request.what {
                What::Piece { index, .. } => Some(index),
                _ => None,
            });
        self.at_once = self.at_once.max(pieces.collect::<BTreeSet<_>>().len());
        Ok(())
    }

    fn serve_peer(&mut self, addr: SocketAddr) {
        let (now, size) = (self.now, self.size);
        let Some(server) = self.peers.get_mut(&addr) else { return };
        let gives = server.gives;
        let Some(request) = server.queue.pop_front() else { return };
        server.begin(now);
        let failure = match gives {
            Gives::Nothing => Some(Failure::NotFound),
            Gives::NoConnection => Some(Failure::Unreachable),
            _ => None,
        };
        let version = match gives {
            Gives::File => 0,
            Gives::Other => 1,
            _ => 2,
        };
        match request.what {
            What::PieceHashes(_) => {
                let body = hashes(size, version).encode();
                self.plan.handle_piece_hashes(now, request.id, failure.map_or(Ok(&body), Err));
            }
            What::Piece { index, .. } => {
                let wrong = self.plan.stats().pieces_wrong;
                let answer = failure.map_or_else(|| Ok(sha1(size, index, version)), Err);
                if self.plan.handle_piece(now, request.id, answer) == Verdict::Keep {
                    self.pieces.insert(index, ("peers", version));
                }
                if self.plan.stats().pieces_wrong > wrong {
                    self.banned.insert(addr);
                }
            }
            What::Range { .. } => {}
        }
    }

    fn serve_mirror(&mut self) {
        let now = self.now;
        let Some(mirror) = &mut self.mirror else { return };
        let Some(request) = mirror.queue.front().copied() else { return };
        let What::Range { len, .. } = request.what else { return };
        if matches!(mirror.gives, Gives::Nothing | Gives::NoConnection) {
            mirror.queue.pop_front();
            mirror.begin(now);
            return self.plan.handle_range_ended(now, request.id, Err(Failure::Unreachable));
        }
        mirror.received = (mirror.received + PIECE_LEN).min(len);
        mirror.due = Some(now + Duration::from_millis(mirror.piece_ms));
        let received = mirror.received;
        if received < len {
            return self.plan.handle_progress(now, request.id, received);
        }
        mirror.queue.pop_front();
        mirror.begin(now);
        self.plan.handle_range_ended(now, request.id, Ok(()));
    }
}

impl Server {
    fn enqueue(&mut self, now: Instant, request: Request) {
        self.queue.push_back(request);
        if self.queue.len() == 1 {
            self.begin(now);
        }
    }

    fn begin(&mut self, now: Instant) {
        self.received = 0;
        self.due = self.queue.front().map(|_| now + Duration::from_millis(self.piece_ms));
    }
}

fn at(ms: u64) -> Instant {
    Instant::ORIGIN + Duration::from_millis(ms)
}
