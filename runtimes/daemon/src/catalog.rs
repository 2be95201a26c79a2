//! The hashes that files must have, as Release files and indexes said.
//!
//! Files are known by `authority` (the host in lower case, and `:port` unless
//! it is 80) and `path` (from the `/`, normalised as
//! [`khashmir_apt`] does). All calls block; callers on the executor wrap them
//! in [`smol::unblock`].

use std::io::BufRead;

use khashmir_apt::Sha256;

use crate::cache::Verified;
use crate::database::DatabaseError;

/// What is known about the files of archives.
#[derive(Debug)]
pub struct Catalog {}

/// What a file must be, if it is of this generation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Expected {
    /// The hash of the whole file.
    pub sha256: Sha256,
    /// Its length in bytes.
    pub size: u64,
}

/// One suite of one archive.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Suite {
    /// The host, with `:port` unless it is 80.
    pub authority: String,
    /// The path of the directory in which `InRelease` lies, without a slash
    /// at its end: `/debian/dists/bookworm`.
    pub dir: String,
}

/// An index that the catalog would like to learn.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IndexWanted {
    /// The path to ask the suite's mirror for: a `by-hash` one where the
    /// archive offers that.
    pub path: String,
    /// What the file must be.
    pub expected: Expected,
}

/// Why nothing was learnt.
#[derive(Debug)]
#[non_exhaustive]
pub enum LearnError {
    /// The path is not that of a Release file below `/dists/`.
    NotARelease,
    /// No Release file known lists this content as an index.
    NotListed,
    /// The text is not what it should be; the message says where.
    Malformed(String),
    /// The file cannot be read.
    Io(std::io::Error),
    /// The database failed.
    Database(DatabaseError),
}

impl Catalog {
    /// Notes what an `InRelease` or `Release` file, just confirmed by its
    /// mirror (200 or 304), says. Cheap if it is known already.
    pub fn learn_release(&self, authority: &str, path: &str, bytes: &[u8]) -> Result<Suite, LearnError> {
        let _ = (authority, path, bytes);
        Err(LearnError::NotARelease)
    }

    /// Notes what an index file (Packages or Sources in any compression)
    /// lists. Its hash must be in a known Release file; which path it has
    /// there tells what it is. Cheap if it is known already.
    pub fn learn_index(&self, verified: Verified, file: impl BufRead) -> Result<(), LearnError> {
        let _ = (verified, file);
        Err(LearnError::NotListed)
    }

    /// What the file may be, newest generation first; empty if unknown. For
    /// files below `dists/`, by name or by hash, and files that learnt
    /// indexes list. At most [`MAX_EXPECTED`].
    pub fn lookup(&self, authority: &str, path: &str) -> Result<Vec<Expected>, DatabaseError> {
        let _ = (authority, path);
        Ok(Vec::new())
    }

    /// Notes that a client asked for this path; if it is an index, it is one
    /// of those that [`Catalog::missing_indexes`] keeps up to date.
    pub fn record_wanted(&self, authority: &str, path: &str) -> Result<(), DatabaseError> {
        let _ = (authority, path);
        Ok(())
    }

    /// The indexes of the suite's newest generation that are worth having
    /// and not learnt yet.
    pub fn missing_indexes(&self, suite: &Suite) -> Result<Vec<IndexWanted>, DatabaseError> {
        let _ = suite;
        Ok(Vec::new())
    }
}

/// The most hashes that [`Catalog::lookup`] returns for one path.
pub const MAX_EXPECTED: usize = 8;
