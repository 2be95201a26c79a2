//! The hashes that files must have, as Release files and indexes said.
//!
//! Files are known by `site` (as
//! [`Upstream::site`](khashmir_apt::url::Upstream::site) writes it)
//! and `path` (from the `/`, canonical as [`khashmir_apt::path`] has it). A
//! suite's last [`KEPT_GENERATIONS`] Release files are kept, so that what a
//! client's older lists name is still known. All calls block; callers on the
//! executor wrap them in [`smol::unblock`].

use std::fmt;
use std::io::BufRead;
use std::sync::{Arc, Mutex, PoisonError};

use khashmir_apt::Sha256;

use crate::cache::Verified;
use crate::database::{Database, DatabaseError};
use crate::sources::Sources;

pub use error::LearnError;
pub use index::{MAX_INDEX_BYTES, MAX_INDEX_ENTRIES, MAX_STORED_BYTES};
pub use listing::{Listing, MAX_LISTINGS};
pub use lookup::MAX_EXPECTED;
pub use release::{KEPT_GENERATIONS, MAX_SUITES};
pub use wanted::MAX_WANTED;

mod error;
mod index;
mod listing;
mod lookup;
mod release;
mod wanted;

/// What is known about the files of archives.
#[derive(Debug)]
pub struct Catalog {
    database: Arc<Database>,
    sources: Arc<Sources>,
    architecture: String,
    /// One index is learnt at a time: unpacking takes a core and memory.
    learning: Mutex<()>,
}

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
    /// The mirror, as [`Upstream::site`](khashmir_apt::url::Upstream::site) writes it.
    pub site: String,
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

impl Catalog {
    /// Opens the catalog in the database. `architecture` is the machine's, in
    /// Debian's words.
    pub fn open(
        database: Arc<Database>,
        sources: Arc<Sources>,
        architecture: String,
    ) -> Result<Self, DatabaseError> {
        index::remove_incomplete(&database)?;
        Ok(Self { database, sources, architecture, learning: Mutex::default() })
    }

    /// Notes what an `InRelease` or `Release` file, just confirmed by its
    /// mirror (200 or 304), says: it is the suite's newest generation now.
    /// Cheap if it was that already.
    pub fn learn_release(&self, site: &str, path: &str, bytes: &[u8]) -> Result<Suite, LearnError> {
        release::learn(&self.database, site, path, bytes)
    }

    /// Notes what an index file (Packages or Sources, xz, gz or plain; or the
    /// `Index` of patches) lists.
    /// `verified` is the hash of the bytes that `file` yields; a known
    /// Release must list it, which tells what it is. Cheap if it is known
    /// already.
    pub fn learn_index(&self, verified: Verified, file: impl BufRead) -> Result<(), LearnError> {
        let _one_at_a_time = self.learning.lock().unwrap_or_else(PoisonError::into_inner);
        index::learn(&self.database, verified, file)
    }

    /// What the file may be, newest generation first; empty if unknown. For
    /// files below `dists/`, by name or by hash, and files that learnt
    /// indexes list. At most [`MAX_EXPECTED`].
    pub fn lookup(&self, site: &str, path: &str) -> Result<Vec<Expected>, DatabaseError> {
        lookup::lookup(&self.database, site, path)
    }

    /// Where archives have the file with this hash, as the known Release files and indexes say; at
    /// most [`MAX_LISTINGS`]. Reads every entry: for a person who waits, not for every request.
    pub fn listings(&self, sha256: &Sha256) -> Result<Vec<Listing>, DatabaseError> {
        listing::of(&self.database, sha256)
    }

    /// Notes that a client asked for this path: if it is an index that
    /// teaches hashes, it is one of those that [`Catalog::missing_indexes`]
    /// names from now on.
    pub fn record_wanted(&self, site: &str, path: &str) -> Result<(), DatabaseError> {
        wanted::record(&self.database, site, path)
    }

    /// The indexes of the suite's newest generation that are worth having
    /// and not learnt yet: those that clients asked for before, and the
    /// packages of this machine's architecture.
    pub fn missing_indexes(&self, suite: &Suite) -> Result<Vec<IndexWanted>, DatabaseError> {
        wanted::missing(&self.database, suite, self.sources.components(suite), &self.architecture)
    }
}

impl Suite {
    /// The archive's root, without a slash at its end: `/debian`.
    pub fn root(&self) -> &str {
        self.dir.split_once("/dists/").map_or("", |(root, _)| root)
    }
}

impl fmt::Display for Suite {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.site, self.dir)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;
