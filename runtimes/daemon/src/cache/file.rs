//! The files that the cache hands out and takes in.

use std::fs::File;
use std::io;
use std::path::Path;

use khashmir_apt::Sha256;

use super::Verified;
use crate::disk;

/// A cached file, open for reading. It stays readable if it is evicted
/// meanwhile.
#[derive(Debug)]
pub struct CachedFile {
    /// The whole content.
    pub file: File,
    /// Its hash and length.
    pub verified: Verified,
    /// Whether an index listed this content, so that peers may have it.
    pub from_index: bool,
}

/// What became of a file handed to [`Cache::commit`](super::Cache::commit).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Committed {
    /// Whether the file is now in the cache; one larger than the whole cache
    /// is not kept.
    pub kept: bool,
    /// Files that were removed to make room: they can be served no longer.
    pub evicted: Vec<Sha256>,
}

/// A file being written, removed when dropped unless committed.
#[derive(Debug)]
pub struct Partial {
    file: tempfile::NamedTempFile,
}

impl Partial {
    pub(super) fn create(dir: &Path) -> io::Result<Self> {
        let file = tempfile::Builder::new().prefix("").rand_bytes(16).tempfile_in(dir)?;
        Ok(Self { file })
    }

    /// The file, for reading and writing at any offset
    /// ([`FileExt`](std::os::unix::fs::FileExt)).
    pub fn file(&self) -> &File {
        self.file.as_file()
    }

    /// Renames it to `path`, durably. Its content must be synced.
    pub(super) fn persist(self, path: &Path) -> io::Result<File> {
        let dir = path.parent().unwrap_or(path);
        disk::make_dir(dir, 0o777)?;
        let file = self.file.persist(path).map_err(|error| error.error)?;
        disk::sync_dir(dir)?;
        Ok(file)
    }
}
