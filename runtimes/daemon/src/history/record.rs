//! What is kept of one download.

use std::fmt;
use std::net::SocketAddr;

use serde::{Deserialize, Serialize};

/// One download, or as much of it as has happened. Times are milliseconds since it began.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Record {
    /// The hash that was wanted, in hexadecimal.
    pub sha256: String,
    /// The length in bytes that was expected, if any was.
    pub size: Option<u64>,
    /// Where the mirror has it; `None` if only peers were asked.
    pub url: Option<String>,
    /// When it began, in milliseconds since 1970.
    pub began_ms: i64,
    /// How long it took, or has taken until now.
    pub took_ms: u64,
    /// How it ended; `None` while it runs.
    pub ending: Option<Ending>,
    /// What was looked up in the hash table.
    pub keys: Vec<KeyAsked>,
    /// Claims of other machines to have it.
    pub offers: u64,
    /// Whom it was asked of, in that order.
    pub peers: Vec<PeerAsked>,
    /// What the mirror was asked for, in that order.
    pub mirror: Vec<MirrorAsked>,
    /// Bytes of the file that peers gave.
    pub bytes_from_peers: u64,
    /// Bytes of the file that the mirror gave.
    pub bytes_from_mirror: u64,
}

/// How a download ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Ending {
    /// It is there, and its hash is right.
    Complete,
    /// The mirror's file has another hash; it was passed on, not kept.
    Mismatched,
    /// The mirror answered with this status, which was passed on.
    Rejected(u16),
    /// It could not be had.
    Failed(String),
}

/// A key that was looked up.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyAsked {
    /// The key, in hexadecimal.
    pub key: String,
    /// What stands under it.
    pub of: KeyOf,
    /// When it was asked for.
    pub asked_ms: u64,
    /// When the first value came.
    pub first_ms: Option<u64>,
    /// When the search ended.
    pub ended_ms: Option<u64>,
    /// How many values came.
    pub values: u64,
}

/// What stands under a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum KeyOf {
    /// Claims to have the file.
    File,
    /// Claims of machines that have only IPv6.
    FileIpv6,
    /// The hashes of the file's pieces.
    PieceHashes,
}

/// A peer that was asked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PeerAsked {
    /// Its address.
    pub address: SocketAddr,
    /// When it was first asked.
    pub asked_ms: u64,
    /// When its first answer was there.
    pub first_ms: Option<u64>,
    /// Answers of it: pieces of the file, and piece hashes.
    pub answers: u64,
    /// Bytes in them.
    pub bytes: u64,
    /// Pieces of it that were wrong.
    pub wrong: u64,
    /// Why it gave nothing, the last time that it did not.
    pub failed: Option<String>,
}

/// A request to the mirror.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MirrorAsked {
    /// When.
    pub at_ms: u64,
    /// From which byte on.
    pub offset: u64,
    /// For how many bytes; `None`: to the end.
    pub len: Option<u64>,
    /// Why.
    pub why: Why,
    /// Why it did not give that.
    pub failed: Option<String>,
}

/// Why the mirror was asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Why {
    /// No index had told the file's length, without which peers cannot be asked for its pieces.
    LengthUnknown,
    /// No other node was known.
    NobodyKnown,
    /// The hash table was asked, and nobody offers the file.
    NobodyOffers,
    /// Nobody who offers it had been found so far.
    NobodyFoundYet,
    /// Peers had not yet sent what is needed next.
    PeersLate,
    /// Every peer that was asked had failed, or sent something wrong.
    PeersFailed,
    /// What peers sent was not the file, though each piece seemed right.
    FileWrong,
}

impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::LengthUnknown => "no index told its length, so that peers could not be asked",
            Self::NobodyKnown => "no other node was known",
            Self::NobodyOffers => "no machine offers it",
            Self::NobodyFoundYet => "no machine that offers it had been found so far",
            Self::PeersLate => "peers had not yet sent what was needed",
            Self::PeersFailed => "every peer that was asked had failed",
            Self::FileWrong => "what peers sent had the wrong hash in all",
        })
    }
}

impl Record {
    /// The last part of its URL's path; empty without one.
    #[must_use]
    pub fn name(&self) -> &str {
        self.url.as_deref().map_or("", name_in)
    }
}

/// The last part of a URL's path.
#[must_use]
pub fn name_in(url: &str) -> &str {
    let path = url.split(['?', '#']).next().unwrap_or(url);
    path.rsplit('/').next().unwrap_or(path)
}
