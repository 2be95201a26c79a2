//! What a plan says and is told.

use core::fmt;
use core::net::SocketAddr;

/// The name of a request. Never reused within a plan.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RequestId(pub(super) u64);

/// What the driver is to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// Make this request. Requests to one peer are pipelined on one connection, in order.
    Request(Request),
    /// The answer to this request is not needed any more; what is told of it is ignored.
    Cancel(RequestId),
}

/// A request for bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Request {
    /// Its name, in everything that the plan is told of it.
    pub id: RequestId,
    /// Whom to ask.
    pub source: Source,
    /// What for.
    pub what: What,
}

/// Whom to ask.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// The DHT. Only for [`What::PieceHashes`].
    Dht,
    /// The HTTP server of a peer. For [`What::PieceHashes`] and [`What::Piece`].
    Peer(SocketAddr),
    /// The mirror. Only for [`What::Range`].
    Mirror,
}

/// What to ask for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum What {
    /// Piece hashes, by their SHA-1: in the DHT the values under that key, of a peer the body of
    /// [`encode_path`](crate::claim::encode_path) of it. Answered by
    /// [`handle_piece_hashes`](super::Download::handle_piece_hashes).
    PieceHashes([u8; 20]),
    /// One piece. Answered by [`handle_piece`](super::Download::handle_piece).
    Piece {
        /// Its number, from 0.
        index: u64,
        /// Its first byte in the file.
        offset: u64,
        /// Its bytes, at least 1 and at most [`PIECE_LEN`](crate::claim::PIECE_LEN).
        len: u64,
    },
    /// Bytes of the file, to be written as they come. Answered by
    /// [`handle_progress`](super::Download::handle_progress) and
    /// [`handle_range_ended`](super::Download::handle_range_ended).
    Range {
        /// The first byte.
        offset: u64,
        /// How many, at least 1.
        len: u64,
    },
}

/// Why a request came to nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failure {
    /// No connection could be made. A peer is not asked again, unless by its other address.
    Unreachable,
    /// The source answered that it has not got it: 404 and other 4xx; in the DHT, no value (more).
    NotFound,
    /// Anything else: the connection broke, the answer was not what was asked for.
    Interrupted,
}

/// What is to become of the bytes of a piece.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use = "a piece that is to be discarded must not reach the file"]
pub enum Verdict {
    /// Write them to their place in the file before anything else is told to the plan.
    Keep,
    /// Throw them away.
    Discard,
}

/// Where a piece came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// A peer: not a byte may be passed on before [`Event::Finished`] (protocol, section 7).
    Peer(SocketAddr),
    /// The mirror: bytes may be passed on as they come.
    Mirror,
}

/// What happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Event {
    /// A piece is there.
    PieceDone {
        /// Its number, from 0.
        index: u64,
        /// Where it came from.
        origin: Origin,
    },
    /// Bytes that were there do not count any more; they will come again.
    Discarded {
        /// The first byte in the file, where a piece begins.
        offset: u64,
        /// How many, at least 1.
        len: u64,
    },
    /// All pieces are there: tell the plan by
    /// [`handle_file_hash`](super::Download::handle_file_hash) whether the file's own hash is right.
    AllPiecesDone,
    /// Final: the file is there and right.
    Finished,
    /// Final: the file cannot be had.
    Failed(FailedBecause),
}

/// Why a file cannot be had.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum FailedBecause {
    /// The mirror failed, and no peer is left that could be asked.
    NoSourceLeft,
    /// All of it came from the mirror, and its hash is wrong.
    MirrorWrong,
}

impl fmt::Display for FailedBecause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            FailedBecause::NoSourceLeft => "the mirror failed and no peer is left to ask",
            FailedBecause::MirrorWrong => "the file of the mirror has another hash than the index says",
        })
    }
}

/// A file of more bytes than [`MAX_SIZE`](super::MAX_SIZE).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TooLarge;

impl fmt::Display for TooLarge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the file is too large to be planned in pieces: get it from the mirror alone")
    }
}

impl core::error::Error for TooLarge {}

/// What a plan counted. Bytes count as they are told, whatever became of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DownloadStats {
    /// Claims that name no piece hashes.
    pub claims_plain: u64,
    /// Claims with piece hashes inline, `t`.
    pub claims_inline: u64,
    /// Claims with piece hashes in the DHT, `h`.
    pub claims_dht: u64,
    /// Claims with piece hashes at the peers, `l`.
    pub claims_peers: u64,
    /// Values that are no claim, or whose piece hashes cannot be the file's.
    pub claims_malformed: u64,
    /// Claims over a bound, or at an address that may not be asked.
    pub claims_refused: u64,
    /// Piece hashes that came from the DHT and were right by their SHA-1.
    pub piece_hashes_from_dht: u64,
    /// The same from peers.
    pub piece_hashes_from_peers: u64,
    /// Answers for piece hashes that were something else.
    pub piece_hashes_wrong: u64,
    /// Pieces that peers gave and that were kept.
    pub pieces_from_peers: u64,
    /// Pieces that the mirror gave.
    pub pieces_from_mirror: u64,
    /// Pieces that did not match their hash.
    pub pieces_wrong: u64,
    /// Pieces for which a second source was asked because the first was late.
    pub pieces_late: u64,
    /// Requests that came to nothing, cancelled ones apart.
    pub requests_failed: u64,
    /// Files whose hash was wrong.
    pub files_wrong: u64,
    /// Bytes that peers sent.
    pub bytes_from_peers: u64,
    /// Bytes that the mirror sent.
    pub bytes_from_mirror: u64,
    /// Bytes that came and were of no use.
    pub bytes_wasted: u64,
}
