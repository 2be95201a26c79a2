//! The requests of one plan, each a task, and what they tell.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use bytes::Bytes;
use khashmir::Id;
use khashmir::claim::{ClaimKey, PIECE_LEN};
use khashmir::download::{Failure, Request, RequestId, Source, What};
use khashmir_apt::Sha256;
use sha1::{Digest as _, Sha1};
use smol::Task;
use smol::channel::{Receiver, Sender, bounded};
use smol::lock::{Mutex, Semaphore};
use smol::stream::StreamExt as _;

use super::liars::Liars;
use super::{Exchange, Lookup};
use crate::dht::Dht;
use crate::fetch::{Fetch, Mirror, MirrorError};
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
    /// More bytes came in answer to some request.
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
    running: HashMap<RequestId, Running>,
    /// One turn for each peer: a file uses one connection to it, in order.
    turns: HashMap<SocketAddr, Arc<Mutex<()>>>,
    teller: Sender<Told>,
    told: Receiver<Told>,
}

#[derive(Debug)]
struct Running {
    _task: Task<()>,
    received: Arc<AtomicU64>,
    /// What the plan knows of `received`.
    heard: u64,
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
        let received = Arc::new(AtomicU64::new(0));
        let progress = {
            let (received, teller) = (Arc::clone(&received), self.teller.clone());
            move |bytes| {
                received.store(bytes, Ordering::Relaxed);
                // Where there is no room, something else will be heard and this with it.
                let _unheard = teller.try_send(Told::Progress);
            }
        };
        let teller = self.teller.clone();
        let task = match (source, what) {
            (Source::Peer(peer), What::PieceHashes(sha1)) => {
                let ask =
                    self.ask(peer, Wanted::PieceHashes { sha1, max_len: piece_hashes_max_len }, progress);
                smol::spawn(async move { tell(&teller, Told::PieceHashes(id, ask.await)).await })
            }
            (Source::Peer(peer), What::Piece { offset, len, .. }) => {
                let ask = self.ask(peer, self.piece(offset, len), progress);
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
                let dht = self.dht.clone();
                smol::spawn(async move {
                    if let Some(mut values) = dht.get(Id(sha1)).await {
                        while let Some(value) = values.next().await {
                            tell(&teller, Told::PieceHashes(id, Ok(value))).await;
                        }
                    }
                    tell(&teller, Told::PieceHashes(id, Err(Failure::NotFound))).await;
                })
            }
            (Source::Mirror, What::Range { offset, len }) => {
                let Target { fetch, mirror, size, .. } = self.target.clone();
                smol::spawn(async move {
                    let range = offset..offset + len;
                    let ended = mirror.send_range(&fetch, range, Some(size), progress).await;
                    tell(&teller, Told::RangeEnded(id, ended)).await;
                })
            }
            // Plans make no other requests.
            (Source::Dht | Source::Mirror, _) | (Source::Peer(_), What::Range { .. }) => return,
        };
        self.running.insert(id, Running { _task: task, received, heard: 0 });
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
    pub(super) async fn next(&self) -> Option<Told> {
        self.told.recv().await.ok()
    }

    /// How many bytes came in answer to each request for which there is news.
    pub(super) fn progress(&mut self) -> Vec<(RequestId, u64)> {
        let news = self.running.iter_mut().filter_map(|(id, running)| {
            let received = running.received.load(Ordering::Relaxed);
            let before = std::mem::replace(&mut running.heard, received);
            (received > before).then_some((*id, received))
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
        progress: P,
    ) -> impl Future<Output = Result<Bytes, Failure>> + use<P> + Send {
        let (peers, liars, permits) =
            (Arc::clone(&self.peers), Arc::clone(&self.liars), Arc::clone(&self.permits));
        let turn = Arc::clone(self.turns.entry(peer).or_default());
        async move {
            let _turn = turn.lock().await;
            let _permit = permits.acquire().await;
            // Another download may have found it out meanwhile.
            if liars.contain(peer.ip(), Instant::now()) {
                return Err(Failure::NotFound);
            }
            peers.get(peer, &wanted, progress).await.map_err(|error| {
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
