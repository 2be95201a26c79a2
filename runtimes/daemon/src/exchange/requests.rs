//! The requests of one plan, each a task, and what they tell.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Instant;

use bytes::Bytes;
use khashmir::Id;
use khashmir::claim::{ClaimKey, PIECE_LEN};
use khashmir::download::{Failure, Request, RequestId, Source, What};
use khashmir_apt::Sha256;
use sha1::{Digest as _, Sha1};
use smol::Task;
use smol::channel::{Receiver, Sender, bounded};
use smol::future::{FutureExt as _, poll_once};
use smol::lock::{Mutex, Semaphore};
use smol::stream::StreamExt as _;

use super::liars::Liars;
use super::pace::Pace;
use super::{Exchange, Lookup};
use crate::dht::Dht;
use crate::fetch::{Fetch, Mirror, MirrorError};
use crate::history::KeyOf;
use crate::peer::{self, Wanted};

/// What is told and not yet heard; whoever tells more waits.
const MAX_UNHEARD: usize = 32;

/// What a request, or the lookup, tells.
#[derive(Debug)]
pub(super) enum Told {
    /// The lookup found a value under one of the file's keys.
    Value(Bytes, ClaimKey),
    /// It will find no more.
    LookupEnded,
    /// More bytes came in answer to some request, or it was held back, or sent.
    Progress,
    /// An answer to a request for piece hashes; from the hash table there may be several.
    PieceHashes(RequestId, Result<Bytes, Failure>),
    /// A piece with its place and SHA-1, or what became of the request for it.
    Piece(RequestId, Result<Piece, Failure>),
    /// The mirror's answer ended.
    RangeEnded(RequestId, Result<(), MirrorError>),
}

/// A piece as it came from a peer.
#[derive(Debug)]
pub(super) struct Piece {
    pub(super) peer: SocketAddr,
    pub(super) offset: u64,
    pub(super) sha1: [u8; 20],
    pub(super) bytes: Bytes,
}

/// A file, as those who may have it are asked for it.
#[derive(Debug, Clone)]
pub(super) struct Target {
    pub(super) fetch: Arc<Fetch>,
    pub(super) mirror: Mirror,
    pub(super) sha256: Sha256,
    pub(super) size: u64,
}

/// The requests that are running; dropped, they end.
#[derive(Debug)]
pub(super) struct Requests {
    target: Target,
    dht: Dht,
    peers: Arc<peer::Client>,
    liars: Arc<Liars>,
    permits: Arc<Semaphore>,
    urgent: Arc<Semaphore>,
    pace: Arc<Pace>,
    running: HashMap<RequestId, Running>,
    /// One turn for each peer: a file uses one connection to it, in order.
    turns: HashMap<SocketAddr, Arc<Mutex<()>>>,
    teller: Sender<Told>,
    told: Receiver<Told>,
}

#[derive(Debug)]
struct Running {
    _task: Task<()>,
    news: Arc<News>,
    /// What the plan knows of the news.
    heard: (u64, bool),
}

/// What becomes of a request.
#[derive(Debug, Default)]
struct News {
    received: AtomicU64,
    /// It waits for a place.
    is_held: AtomicBool,
}

impl Requests {
    pub(super) fn new(exchange: &Exchange, target: Target) -> Self {
        let (teller, told) = bounded(MAX_UNHEARD);
        Self {
            target,
            dht: exchange.dht.clone(),
            peers: Arc::clone(&exchange.peers),
            liars: Arc::clone(&exchange.liars),
            permits: Arc::clone(&exchange.requests),
            urgent: Arc::clone(&exchange.urgent),
            pace: Arc::clone(&exchange.pace),
            running: HashMap::new(),
            turns: HashMap::new(),
            teller,
            told,
        }
    }

    /// Has the file looked up.
    pub(super) fn look_up(&self, lookup: Lookup) {
        smol::spawn(lookup.run(self.target.sha256, self.teller.clone())).detach();
    }

    /// Makes a request of the plan.
    pub(super) fn start(&mut self, request: Request, piece_hashes_max_len: u64) {
        let Request { id, source, what } = request;
        let news = Arc::new(News::default());
        let progress = {
            let (news, teller) = (Arc::clone(&news), self.teller.clone());
            move |bytes| {
                news.received.store(bytes, Ordering::Relaxed);
                // Where there is no room, something else will be heard and this with it.
                let _unheard = teller.try_send(Told::Progress);
            }
        };
        let teller = self.teller.clone();
        let task = match (source, what) {
            (Source::Peer(peer), What::PieceHashes(sha1)) => {
                let wanted = Wanted::PieceHashes { sha1, max_len: piece_hashes_max_len };
                let ask = self.ask(peer, wanted, Arc::clone(&news), progress);
                smol::spawn(async move { tell(&teller, Told::PieceHashes(id, ask.await)).await })
            }
            (Source::Peer(peer), What::Piece { offset, len, .. }) => {
                let ask = self.ask(peer, self.piece(offset, len), Arc::clone(&news), progress);
                smol::spawn(async move {
                    let piece = ask.await.map(|bytes| Piece {
                        peer,
                        offset,
                        sha1: Sha1::digest(&bytes).into(),
                        bytes,
                    });
                    tell(&teller, Told::Piece(id, piece)).await;
                })
            }
            (Source::Dht, What::PieceHashes(sha1)) => {
                let (dht, fetch) = (self.dht.clone(), Arc::clone(&self.target.fetch));
                smol::spawn(async move {
                    let trail = fetch.trail();
                    trail.key_asked(Id(sha1), KeyOf::PieceHashes);
                    if let Some(mut values) = dht.get(Id(sha1)).await {
                        while let Some(value) = values.next().await {
                            trail.value_found(Id(sha1));
                            tell(&teller, Told::PieceHashes(id, Ok(value))).await;
                        }
                    }
                    trail.key_ended(Id(sha1));
                    tell(&teller, Told::PieceHashes(id, Err(Failure::NotFound))).await;
                })
            }
            (Source::Mirror, What::Range { offset, len }) => {
                let Target { fetch, mirror, size, .. } = self.target.clone();
                fetch.trail().mirror_asked(offset, Some(len));
                smol::spawn(async move {
                    let range = offset..offset + len;
                    let ended = mirror.send_range(&fetch, range, Some(size), progress).await;
                    let ended = ended.inspect_err(|error| fetch.trail().mirror_failed(&error.to_string()));
                    tell(&teller, Told::RangeEnded(id, ended)).await;
                })
            }
            // Plans make no other requests.
            (Source::Dht | Source::Mirror, _) | (Source::Peer(_), What::Range { .. }) => return,
        };
        self.running.insert(id, Running { _task: task, news, heard: (0, false) });
    }

    /// Ends a request.
    pub(super) fn cancel(&mut self, id: RequestId) {
        self.running.remove(&id);
    }

    /// Whether none is running.
    pub(super) fn is_empty(&self) -> bool {
        self.running.is_empty()
    }

    /// What is told next.
    pub(super) async fn next(&self) -> Told {
        match self.told.recv().await {
            Ok(told) => told,
            // We hold a teller ourselves.
            Err(_) => smol::future::pending().await,
        }
    }

    /// For each request of which there is news, how many bytes came in answer, and whether it is
    /// held back.
    pub(super) fn progress(&mut self) -> Vec<(RequestId, u64, bool)> {
        let news = self.running.iter_mut().filter_map(|(id, Running { news, heard, .. })| {
            let now = (news.received.load(Ordering::Relaxed), news.is_held.load(Ordering::Relaxed));
            let before = std::mem::replace(heard, now);
            (now != before).then_some((*id, now.0, now.1))
        });
        news.collect()
    }

    fn piece(&self, offset: u64, len: u64) -> Wanted {
        let (hash, of) = (self.target.sha256.0, self.target.size);
        match of {
            ..=PIECE_LEN => Wanted::File { hash, len: of },
            _ => Wanted::Part { hash, range: offset..offset + len, of },
        }
    }

    fn ask<P: FnMut(u64) + Send + 'static>(
        &mut self,
        peer: SocketAddr,
        wanted: Wanted,
        news: Arc<News>,
        mut progress: P,
    ) -> impl Future<Output = Result<Bytes, Failure>> + use<P> + Send {
        let (peers, liars, pace) = (Arc::clone(&self.peers), Arc::clone(&self.liars), Arc::clone(&self.pace));
        let (permits, urgent) = (Arc::clone(&self.permits), Arc::clone(&self.urgent));
        let (fetch, teller) = (Arc::clone(&self.target.fetch), self.teller.clone());
        let turn = Arc::clone(self.turns.entry(peer).or_default());
        fetch.trail().peer_asked(peer);
        async move {
            let _turn = turn.lock().await;
            // What apt waits for does not wait for what is fetched ahead.
            let at_once = async {
                fetch.wanted().await;
                (urgent.acquire_arc().await, None)
            };
            let in_turn = async { (permits.acquire_arc().await, Some(peers.place(peer).await)) };
            let mut places = Box::pin(at_once.or(in_turn));
            let (_permit, place) = match poll_once(&mut places).await {
                Some(places) => places,
                // That others keep us waiting is not the peer's fault.
                None => {
                    news.is_held.store(true, Ordering::Relaxed);
                    let _unheard = teller.try_send(Told::Progress);
                    let places = places.await;
                    news.is_held.store(false, Ordering::Relaxed);
                    let _unheard = teller.try_send(Told::Progress);
                    places
                }
            };
            // Another download may have found it out meanwhile.
            if liars.contain(peer.ip(), Instant::now()) {
                fetch.trail().peer_failed(peer, "it was found to lie, and is not asked");
                return Err(Failure::NotFound);
            }
            let mut sent = Some(Instant::now());
            let progress = move |bytes| {
                if let Some(sent) = sent.take() {
                    pace.answered_after(sent.elapsed());
                }
                progress(bytes);
            };
            let given = peers.get(peer, place, &wanted, progress).await;
            given.inspect(|bytes| fetch.trail().peer_gave(peer, bytes.len())).map_err(|error| {
                fetch.trail().peer_failed(peer, &error.to_string());
                tracing::debug!(%peer, %error, "a peer did not give what was asked for");
                error.failure
            })
        }
    }
}

async fn tell(teller: &Sender<Told>, told: Told) {
    // Fails when nobody listens any more; then the task is about to be dropped.
    let _unheard = teller.send(told).await;
}
