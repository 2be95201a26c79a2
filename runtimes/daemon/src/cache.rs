//! The cache: files named after the SHA-256 of their content.
//!
//! A file is written aside, synced and renamed to its name, so a name never
//! lies, whatever moment the machine dies at. All calls block; callers on the
//! executor wrap them in [`smol::unblock`].

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use khashmir_apt::Sha256;
use sha2::Digest as _;

use crate::database::Database;

/// Content-addressed files below one folder, bounded in their total size.
#[derive(Debug)]
pub struct Cache {
    dir: PathBuf,
    size_limit_bytes: u64,
    database: Arc<Database>,
}

impl Cache {
    pub fn open(dir: &Path, size_limit_bytes: u64, database: Arc<Database>) -> io::Result<Self> {
        Ok(Self { dir: dir.to_owned(), size_limit_bytes, database })
    }

    /// The length of the file with this hash, if it is cached.
    pub fn contains(&self, sha256: &Sha256) -> Option<u64> {
        None
    }

    /// Opens the file with this hash, if it is cached, and notes that it was
    /// used.
    pub fn open_file(&self, sha256: &Sha256) -> Option<CachedFile> {
        None
    }

    /// A new file to download into.
    pub fn create_partial(&self) -> io::Result<Partial> {
        Err(io::ErrorKind::Unsupported.into())
    }

    /// Makes `partial`, whose content was hashed to `verified`, a cached file.
    /// Returns the hashes of the files that had to go to make room for it.
    pub fn commit(&self, partial: Partial, verified: Verified, from_index: bool) -> io::Result<Committed> {
        Err(io::ErrorKind::Unsupported.into())
    }
}

/// What became of a file handed to [`Cache::commit`].
#[derive(Debug)]
pub struct Committed {
    /// Whether the file is now in the cache; one larger than the whole cache
    /// is not kept.
    pub kept: bool,
    /// Files that were removed to make room: they can be served no longer.
    pub evicted: Vec<Sha256>,
}

/// A cached file, open for reading.
#[derive(Debug)]
pub struct CachedFile {
    pub file: File,
    pub verified: Verified,
    /// Whether an index listed this content, so that peers may have it.
    pub from_index: bool,
}

impl CachedFile {
    /// Length in bytes.
    pub fn len(&self) -> u64 {
        self.verified.len
    }
}

/// A file being written, removed when dropped unless committed.
#[derive(Debug)]
pub struct Partial {
    file: tempfile::NamedTempFile,
}

impl Partial {
    /// The file, for reading and writing at any offset
    /// ([`FileExt`](std::os::unix::fs::FileExt)).
    pub fn file(&self) -> &File {
        self.file.as_file()
    }
}

/// The fact that some bytes were hashed: made by [`Hasher::finish`] and by
/// the cache, whose files had it when they were written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Verified {
    sha256: Sha256,
    len: u64,
}

impl Verified {
    pub fn sha256(&self) -> Sha256 {
        self.sha256
    }
    pub fn len(&self) -> u64 {
        self.len
    }
}

/// SHA-256 over bytes in order, and their count.
#[derive(Debug, Clone, Default)]
pub struct Hasher {
    state: sha2::Sha256,
    len: u64,
}

impl Hasher {
    pub fn update(&mut self, bytes: &[u8]) {
        self.state.update(bytes);
        self.len += bytes.len() as u64;
    }

    /// What the bytes hashed to. Compare it with what was expected.
    pub fn finish(self) -> Verified {
        Verified { sha256: Sha256(self.state.finalize().into()), len: self.len }
    }
}
