//! Asking peers for what they claim to have.

use std::fmt;
use std::net::SocketAddr;
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::StatusCode;
use http::header::{HOST, HeaderValue, RANGE, USER_AGENT};
use http_body_util::Empty;
use khashmir::claim::encode_path;
use khashmir::download::Failure;
use khashmir_apt::url::Scheme;
use smol::future::FutureExt as _;
use smol::lock::SemaphoreGuardArc;

use crate::upstream::connect::{connect, handshake};
use crate::upstream::pool::{Host, Lease, Pool, Sender};
use crate::upstream::{Fault, Response};

/// Until a connection stands.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// From a request to the head of its answer, and from one byte of that to the next.
const SILENCE_TIMEOUT: Duration = Duration::from_secs(10);
/// Connections to one address at a time, over all files that nobody waits for yet. Each file uses
/// one.
const PER_ADDRESS: usize = 4;

/// The client towards all peers.
#[derive(Debug)]
pub struct Client {
    pool: Arc<Pool>,
}

/// The right to ask one peer for something.
#[derive(Debug)]
pub struct Place(SemaphoreGuardArc);

/// What to ask a peer for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Wanted {
    /// All bytes of a file.
    File {
        /// The file's hash.
        hash: [u8; 32],
        /// Its length in bytes.
        len: u64,
    },
    /// Some bytes of a file, fewer than all.
    Part {
        /// The file's hash.
        hash: [u8; 32],
        /// Which bytes; not empty.
        range: Range<u64>,
        /// The file's length in bytes.
        of: u64,
    },
    /// The head alone of a file's answer, which tells its length.
    Head {
        /// The file's hash.
        hash: [u8; 32],
    },
    /// Piece hashes, as `{t: …}`.
    PieceHashes {
        /// Their SHA-1.
        sha1: [u8; 20],
        /// The most bytes that are read.
        max_len: u64,
    },
}

/// Why a peer did not give what was asked of it.
#[derive(Debug)]
pub struct PeerError {
    /// What the download's plan makes of it.
    pub failure: Failure,
    reason: String,
}

impl fmt::Display for PeerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.reason)
    }
}

impl std::error::Error for PeerError {}

impl PeerError {
    fn unreachable(reason: impl fmt::Display) -> Self {
        Self { failure: Failure::Unreachable, reason: reason.to_string() }
    }

    fn interrupted(reason: impl fmt::Display) -> Self {
        Self { failure: Failure::Interrupted, reason: reason.to_string() }
    }
}

impl From<Fault> for PeerError {
    fn from(fault: Fault) -> Self {
        Self::interrupted(fault)
    }
}

impl Default for Client {
    fn default() -> Self {
        Self { pool: Arc::new(Pool::new(PER_ADDRESS)) }
    }
}

impl Client {
    /// Waits until one more request may run towards `peer`.
    pub async fn place(&self, peer: SocketAddr) -> Place {
        Place(self.pool.permit(&host(peer)).await)
    }

    /// Asks `peer`, an address that may be dialled, for `wanted`; `progress` hears how many bytes
    /// have come so far. Not one more byte is kept than was asked for. With no
    /// `place` it comes beside the others. How long it may take in all is
    /// for who asks to decide.
    ///
    /// # Errors
    /// [`PeerError`], also for an answer that is anything else than what was asked for.
    pub async fn get(
        &self,
        peer: SocketAddr,
        place: Option<Place>,
        wanted: &Wanted,
        progress: impl FnMut(u64),
    ) -> Result<Bytes, PeerError> {
        read(self.send(peer, place, wanted).await?, wanted, progress).await
    }

    /// Asks `peer`, an address that may be dialled, how long the file with this hash is, in bytes.
    ///
    /// # Errors
    /// [`PeerError`], also for an answer that does not tell.
    pub async fn len_of(&self, peer: SocketAddr, hash: [u8; 32]) -> Result<u64, PeerError> {
        let wanted = Wanted::Head { hash };
        let response = self.send(peer, Some(self.place(peer).await), &wanted).await?;
        check(&response, &wanted)?;
        let len = response.content_length();
        // Nothing comes, and the connection can be used again.
        response.body.drain().await;
        len.ok_or_else(|| PeerError::interrupted("it does not tell the length"))
    }

    /// The head of the answer, by a connection that is open if there is one.
    async fn send(
        &self,
        peer: SocketAddr,
        place: Option<Place>,
        wanted: &Wanted,
    ) -> Result<Response, PeerError> {
        let host = host(peer);
        let mut permit = place.map(|place| place.0);
        loop {
            let idle = self.pool.take_idle(&host);
            let was_idle = idle.is_some();
            let sender = match idle {
                Some(sender) => sender,
                None => open(peer).await?,
            };
            let mut lease = Lease::new(Arc::clone(&self.pool), host.clone(), sender, permit.take());
            let answer = within(SILENCE_TIMEOUT, async {
                lease.sender().ready().await?;
                lease.sender().send_request(message(peer, wanted)).await
            });
            match answer.await {
                Some(Ok(response)) => return Ok(Response::new(response, lease, SILENCE_TIMEOUT)),
                // The peer closed a connection that had been idle.
                Some(Err(_)) if was_idle => permit = lease.into_permit(),
                Some(Err(error)) => return Err(PeerError::interrupted(error)),
                None => return Err(PeerError::interrupted("no answer")),
            }
        }
    }
}

fn host(peer: SocketAddr) -> Host {
    (Scheme::Http, peer.ip().to_string(), peer.port())
}

async fn open(peer: SocketAddr) -> Result<Sender, PeerError> {
    let stream = connect(peer, CONNECT_TIMEOUT).await.map_err(PeerError::unreachable)?;
    handshake(stream).await.map_err(PeerError::unreachable)
}

async fn within<T>(limit: Duration, future: impl Future<Output = T>) -> Option<T> {
    let late = async {
        smol::Timer::after(limit).await;
        None
    };
    async { Some(future.await) }.or(late).await
}

fn message(peer: SocketAddr, wanted: &Wanted) -> http::Request<Empty<Bytes>> {
    let mut message = http::Request::new(Empty::new());
    let path = match wanted {
        Wanted::File { hash, .. } | Wanted::Part { hash, .. } | Wanted::Head { hash } => encode_path(hash),
        Wanted::PieceHashes { sha1, .. } => encode_path(sha1),
    };
    // An encoded path has no character that a URI has not, nor an address one that a field has not.
    *message.uri_mut() = path.parse().unwrap_or_default();
    if matches!(wanted, Wanted::Head { .. }) {
        *message.method_mut() = http::Method::HEAD;
    }
    let headers = message.headers_mut();
    if let Ok(host) = HeaderValue::from_str(&peer.to_string()) {
        headers.insert(HOST, host);
    }
    headers.insert(USER_AGENT, HeaderValue::from_static(crate::upstream::USER_AGENT));
    if let Wanted::Part { range, .. } = wanted
        && let Ok(value) = HeaderValue::from_str(&format!("bytes={}-{}", range.start, range.end - 1))
    {
        headers.insert(RANGE, value);
    }
    message
}

/// Reads an answer, if it is what was asked for.
async fn read(
    mut response: Response,
    wanted: &Wanted,
    mut progress: impl FnMut(u64),
) -> Result<Bytes, PeerError> {
    let max_len = check(&response, wanted)?;
    let mut bytes = BytesMut::new();
    while let Some(chunk) = response.body.chunk().await? {
        if (bytes.len() + chunk.len()) as u64 > max_len {
            return Err(PeerError::interrupted(format!("it sends more than {max_len} bytes")));
        }
        if bytes.is_empty() {
            // What was announced, and no more than was asked for.
            bytes.reserve(response.content_length().unwrap_or(0).min(max_len) as usize);
        }
        bytes.extend_from_slice(&chunk);
        progress(bytes.len() as u64);
    }
    let is_whole = matches!(wanted, Wanted::PieceHashes { .. }) || bytes.len() as u64 == max_len;
    if !is_whole {
        return Err(PeerError::interrupted(format!("it sent {} of {max_len} bytes", bytes.len())));
    }
    Ok(bytes.freeze())
}

/// How many bytes the answer may have at most, if its head is right.
fn check(response: &Response, wanted: &Wanted) -> Result<u64, PeerError> {
    let status = response.status;
    if status.is_client_error() {
        return Err(PeerError { failure: Failure::NotFound, reason: format!("it answered {status}") });
    }
    let (expected, max_len) = match wanted {
        Wanted::File { len, .. } => (StatusCode::OK, *len),
        Wanted::Part { range, .. } => (StatusCode::PARTIAL_CONTENT, range.end - range.start),
        Wanted::PieceHashes { max_len, .. } => (StatusCode::OK, *max_len),
        Wanted::Head { .. } => (StatusCode::OK, u64::MAX),
    };
    if status != expected {
        return Err(PeerError::interrupted(format!("it answered {status}, not {expected}")));
    }
    if let Wanted::Part { range, of, .. } = wanted {
        let is_right = |(start, whole): (u64, Option<u64>)| {
            start == range.start && whole.is_none_or(|whole| whole == *of)
        };
        if !response.content_range().is_some_and(is_right) {
            return Err(PeerError::interrupted("it sent another range"));
        }
    }
    let fits = |len: u64| match wanted {
        Wanted::PieceHashes { .. } | Wanted::Head { .. } => len <= max_len,
        _ => len == max_len,
    };
    match response.content_length() {
        Some(len) if !fits(len) => Err(PeerError::interrupted(format!("it announced {len} bytes"))),
        _ => Ok(max_len),
    }
}
