//! The cache: files named after the SHA-256 of their content.
//!
//! A file is written aside, synced and renamed to its name, so a name never
//! lies, whatever moment the machine dies at: `cache/<2 hex>/<64 hex>`, and
//! `partial/` for what is still being written. All calls block; callers on
//! the executor wrap them in [`smol::unblock`].

use std::collections::{HashMap, HashSet};
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use khashmir_apt::Sha256;

use crate::database::cached_file::{self, CachedRow};
use crate::database::{Database, DatabaseError, Durability, milliseconds};
use crate::disk;

pub use crate::database::cached_file::Announceable;
pub use file::{CachedFile, Committed, Partial};
pub use hasher::{Hasher, Verified};

mod checked;
mod file;
mod hasher;
mod reconcile;
mod room;
mod trouble;

use trouble::Trouble;

/// Content-addressed files below one folder, bounded in their total size.
#[derive(Debug)]
pub struct Cache {
    dir: PathBuf,
    size_limit_bytes: u64,
    database: Arc<Database>,
    /// Bytes in all files that have a row.
    total_bytes: AtomicU64,
    /// Uses not yet in the database: losing them costs nothing, writing each
    /// at once would.
    touched: Mutex<HashMap<Sha256, i64>>,
    /// The time of the last use, in milliseconds since 1970.
    last_use_ms: AtomicI64,
    /// Held while files and rows change together.
    changing: Mutex<()>,
    /// Files that are not what they were, or cannot be read, though they may lie there still.
    lost: Mutex<HashSet<Sha256>>,
    trouble: Trouble,
}

/// Uses held back before they are written, and files that are remembered as lost.
const MAX_TOUCHED: usize = 4096;

impl Cache {
    /// Opens the cache below `dir`, makes it if there is none, removes what
    /// a crash left half-written, and brings rows and files in step.
    pub fn open(dir: &Path, size_limit_bytes: u64, database: Arc<Database>) -> io::Result<Self> {
        let cache = Self::new(dir, size_limit_bytes, database, Trouble::default());
        disk::make_dir(&cache.files_dir(), 0o777)?;
        disk::make_dir(&cache.partial_dir(), 0o777)?;
        reconcile::remove_litter(&cache.partial_dir())?;
        let total = reconcile::bring_in_step(&cache.files_dir(), &cache.database)?;
        cache.total_bytes.store(total, Ordering::Relaxed);
        let last_use_ms = cache.database.read(cached_file::last_use_ms)?;
        cache.last_use_ms.store(last_use_ms, Ordering::Relaxed);
        cache.evict(None)?;
        Ok(cache)
    }

    /// A cache that holds nothing and takes nothing, for want of a place. `dir` is where it would be.
    pub fn closed(dir: &Path, database: Arc<Database>) -> Self {
        Self::new(dir, 0, database, Trouble::closed())
    }

    fn new(dir: &Path, size_limit_bytes: u64, database: Arc<Database>, trouble: Trouble) -> Self {
        Self {
            dir: dir.to_owned(),
            size_limit_bytes,
            database,
            total_bytes: AtomicU64::new(0),
            touched: Mutex::default(),
            last_use_ms: AtomicI64::new(0),
            changing: Mutex::default(),
            lost: Mutex::default(),
            trouble,
        }
    }

    /// The length in bytes of the file with this hash, if it is cached.
    pub fn contains(&self, sha256: &Sha256) -> Option<u64> {
        self.row(sha256).map(|row| row.len)
    }

    /// Whether the file with this hash is cached and an index listed it, so
    /// that peers may have it.
    pub fn is_from_index(&self, sha256: &Sha256) -> bool {
        self.row(sha256).is_some_and(|row| row.from_index)
    }

    /// Opens the file with this hash, if it is cached, and notes that it was
    /// used.
    pub fn open_file(&self, sha256: &Sha256) -> Option<CachedFile> {
        self.open_unused(sha256).inspect(|_| self.touch(*sha256))
    }

    /// Opens the file with this hash, if it is cached, for a purpose of our
    /// own that does not count as its use. One that may have changed is hashed first.
    pub fn open_unused(&self, sha256: &Sha256) -> Option<CachedFile> {
        if self.lock_lost().contains(sha256) {
            return None;
        }
        let row = self.row(sha256)?;
        let opened = File::open(self.path_of(sha256))
            .and_then(|file| Ok((file.metadata()?.len() == row.len).then_some(file)));
        match opened {
            Ok(Some(file)) => match self.is_right(sha256, &row, &file) {
                Ok(true) => {
                    let verified = Verified::of_cached(*sha256, row.len);
                    Some(CachedFile { file, verified, from_index: row.from_index })
                }
                Ok(false) => {
                    self.is_lost(sha256, "its content has changed");
                    None
                }
                Err(error) => {
                    self.is_lost(sha256, &error.to_string());
                    None
                }
            },
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                tracing::warn!(%sha256, %error, "cannot open a cached file");
                None
            }
            // Somebody removed or changed it behind our back.
            Ok(None) | Err(_) => {
                if let Err(error) = self.forget(sha256) {
                    tracing::warn!(%sha256, %error, "cannot forget a file that is gone");
                }
                None
            }
        }
    }

    /// A new empty file to download into.
    ///
    /// # Errors
    /// Of the disk; and for a while after it failed, so that others need not fail, too.
    pub fn create_partial(&self) -> io::Result<Partial> {
        self.create_checked()
    }

    /// Makes `partial`, whose whole content was hashed to `verified`, a
    /// cached file; it survives a power failure when this returns.
    /// `from_index`: an index listed the hash, so peers may have the file.
    ///
    /// Refused is a file whose length is not the one that was hashed.
    pub fn commit(&self, partial: Partial, verified: Verified, from_index: bool) -> io::Result<Committed> {
        let committed = self.note(self.try_commit(partial, verified, from_index))?;
        if committed.kept {
            self.file_was_written();
        }
        Ok(committed)
    }

    fn try_commit(&self, partial: Partial, verified: Verified, from_index: bool) -> io::Result<Committed> {
        let (sha256, len) = (verified.sha256(), verified.len());
        let actual = partial.file().metadata()?.len();
        if actual != len {
            return Err(io::Error::new(
                io::ErrorKind::InvalidData,
                format!("{sha256}: {len} bytes were hashed, but the file has {actual}"),
            ));
        }
        if len > self.size_limit_bytes {
            return Ok(Committed { kept: false, evicted: Vec::new() });
        }
        // It is used now, however long the disk takes.
        let now = self.next_use_ms();
        partial.file().sync_all()?;

        let changing = self.lock_changes();
        let file = partial.persist(&self.path_of(&sha256))?;
        let row = CachedRow { len, from_index, seen: Some(checked::seen(&file.metadata()?)) };
        let is_new = self
            .database
            .write(Durability::Relaxed, |transaction| cached_file::insert(transaction, &sha256, row, now))
            .inspect_err(|_| {
                // Uncounted it would only take room; a row that it has already is forgotten when next used.
                let _unremoved = fs::remove_file(self.path_of(&sha256));
            })?;
        if is_new {
            self.total_bytes.fetch_add(len, Ordering::Relaxed);
        }
        self.lock_lost().remove(&sha256);
        let evicted = self.evict_locked(&changing, Some(&sha256))?;
        Ok(Committed { kept: true, evicted })
    }

    /// Bytes in all cached files.
    pub fn total_bytes(&self) -> u64 {
        self.total_bytes.load(Ordering::Relaxed)
    }

    /// The files that peers may have, those used last first, and no more than `at_most`.
    pub fn announceable(&self, at_most: usize) -> Result<Vec<Announceable>, DatabaseError> {
        self.database.read(|connection| cached_file::announceable(connection, at_most))
    }

    /// Keeps the SHA-1s of a cached file's pieces, and the SHA-1 of those.
    /// Returns whether the file is cached.
    ///
    /// After it the file may be announced: a power failure takes back neither this, nor its row, nor
    /// anything else that was written before.
    pub fn set_piece_hashes(
        &self,
        sha256: &Sha256,
        piece_hashes: &[u8],
        sha1: &[u8; 20],
    ) -> Result<bool, DatabaseError> {
        self.database.write(Durability::Synced, |transaction| {
            cached_file::set_piece_hashes(transaction, sha256, piece_hashes, sha1)
        })
    }

    /// The concatenated SHA-1s of a cached file's pieces, if they were set.
    pub fn piece_hashes(&self, sha256: &Sha256) -> Result<Option<Vec<u8>>, DatabaseError> {
        self.database.read(|connection| cached_file::piece_hashes(connection, sha256))
    }

    /// The piece hashes whose SHA-1 is `sha1`, of a file that peers may have.
    pub fn piece_hashes_by_sha1(&self, sha1: &[u8; 20]) -> Result<Option<Vec<u8>>, DatabaseError> {
        self.database.read(|connection| cached_file::piece_hashes_by_sha1(connection, sha1))
    }

    /// Writes down what was used when. Happens by itself now and then.
    pub fn flush(&self) -> Result<(), DatabaseError> {
        let touched = std::mem::take(&mut *self.lock_touched());
        if touched.is_empty() {
            return Ok(());
        }
        self.database.write(Durability::Relaxed, |transaction| {
            touched.iter().try_for_each(|(sha256, at)| cached_file::touch(transaction, sha256, *at))
        })
    }

    fn row(&self, sha256: &Sha256) -> Option<CachedRow> {
        self.database
            .read(|connection| cached_file::find(connection, sha256))
            .inspect_err(|error| tracing::warn!(%error, "cannot look into the cache"))
            .ok()
            .flatten()
    }

    /// Notes that a cached file was used, by whoever still had it open.
    pub fn note_use(&self, sha256: Sha256) {
        self.touch(sha256);
    }

    fn touch(&self, sha256: Sha256) {
        let is_full = {
            let mut touched = self.lock_touched();
            touched.insert(sha256, self.next_use_ms());
            touched.len() >= MAX_TOUCHED
        };
        if is_full && let Err(error) = self.flush() {
            tracing::warn!(%error, "cannot note which cached files were used");
        }
    }

    /// Removes a file that is not what its row says.
    fn forget(&self, sha256: &Sha256) -> io::Result<()> {
        let changing = self.lock_changes();
        let Some(row) = self.row(sha256) else { return Ok(()) };
        let path = self.path_of(sha256);
        // It may have been committed anew meanwhile.
        if fs::metadata(&path).is_ok_and(|metadata| metadata.len() == row.len) {
            return Ok(());
        }
        self.remove_locked(&changing, &[(*sha256, row.len)])
    }

    /// Parts with the least recently used until the rest is within the limit.
    fn evict(&self, except: Option<&Sha256>) -> io::Result<Vec<Sha256>> {
        self.evict_locked(&self.lock_changes(), except)
    }

    fn evict_locked(
        &self,
        changing: &MutexGuard<'_, ()>,
        except: Option<&Sha256>,
    ) -> io::Result<Vec<Sha256>> {
        let excess = self.total_bytes().saturating_sub(self.size_limit_bytes);
        if excess == 0 {
            return Ok(Vec::new());
        }
        self.part_with(changing, excess, except)
    }

    /// Parts with the least recently used until `excess` bytes are free.
    fn part_with(
        &self,
        changing: &MutexGuard<'_, ()>,
        excess: u64,
        except: Option<&Sha256>,
    ) -> io::Result<Vec<Sha256>> {
        if let Err(error) = self.flush() {
            // On a full disk, which this is to change.
            tracing::warn!(%error, "cannot note which cached files were used");
        }
        let victims =
            self.database.read(|connection| cached_file::least_recently_used(connection, excess, except))?;
        self.remove_locked(changing, &victims)?;
        Ok(victims.into_iter().map(|(sha256, _)| sha256).collect())
    }

    /// Files first, since on a full disk the database may have no room to note it. A row without
    /// a file is found out when it is used, and at the start.
    fn remove_locked(&self, _changing: &MutexGuard<'_, ()>, files: &[(Sha256, u64)]) -> io::Result<()> {
        for (sha256, _) in files {
            match fs::remove_file(self.path_of(sha256)) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
        self.database.write(Durability::Relaxed, |transaction| {
            files.iter().try_for_each(|(sha256, _)| cached_file::remove(transaction, sha256).map(drop))
        })?;
        for (_, len) in files {
            self.total_bytes.fetch_sub(*len, Ordering::Relaxed);
        }
        Ok(())
    }

    /// Now, but later than every earlier use, whatever the clock does.
    fn next_use_ms(&self) -> i64 {
        let now = milliseconds(SystemTime::now());
        let next = |last: i64| now.max(last.saturating_add(1));
        let update =
            self.last_use_ms.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |last| Some(next(last)));
        next(update.unwrap_or_else(|last| last))
    }

    fn files_dir(&self) -> PathBuf {
        self.dir.join("cache")
    }

    fn partial_dir(&self) -> PathBuf {
        self.dir.join("partial")
    }

    fn path_of(&self, sha256: &Sha256) -> PathBuf {
        let name = sha256.to_string();
        self.files_dir().join(&name[..2]).join(name)
    }

    fn lock_touched(&self) -> MutexGuard<'_, HashMap<Sha256, i64>> {
        self.touched.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn lock_lost(&self) -> MutexGuard<'_, HashSet<Sha256>> {
        self.lost.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn lock_changes(&self) -> MutexGuard<'_, ()> {
        self.changing.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Cache {
    fn drop(&mut self) {
        if let Err(error) = self.flush() {
            tracing::warn!(%error, "cannot note which cached files were used");
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;
