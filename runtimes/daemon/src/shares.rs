//! Files that a person gives to other machines from where they lie.
//!
//! Nothing is copied: a share is a path, and the hashes that the file had when it was shared. So
//! nothing is believed either. Every piece is hashed again after it was read and before a byte of it
//! goes to a peer ([`SharedFile::read_piece`]); what was changed meanwhile, however well hidden, is
//! not given. And a file whose length, times or inode differ is not offered until it was hashed anew
//! and is what it was. All calls block.

mod error;
mod file;

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use event_listener::Event;
use khashmir::claim::PieceHashes;
use khashmir_apt::Sha256;
use smol::future::FutureExt as _;

use crate::cache::Announceable;
use crate::database::shared_file::{self, SharedRow};
use crate::database::{Database, DatabaseError, Durability};
use crate::publisher::Publisher;

pub use error::ShareError;
pub use file::{SharedFile, Stamp, State};

/// Files shared at most.
pub const MAX_SHARES: usize = 4096;
/// How often it is looked whether they are still what they were.
const LOOK_AGAIN: Duration = Duration::from_secs(60);

/// All files that are shared.
#[derive(Debug)]
pub struct Shares {
    database: Arc<Database>,
    /// Files that were hashed anew and are something else now, as they were then.
    other: Mutex<HashMap<PathBuf, Stamp>>,
    /// Something is to be looked at before its time.
    doubted: Event,
}

/// A file that is shared.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Share {
    /// Where it lies: absolute, without symbolic links.
    pub path: PathBuf,
    /// Its hash when it was shared.
    pub sha256: Sha256,
    /// Its length then, in bytes.
    pub len: u64,
    /// What it is now.
    pub state: State,
}

impl Shares {
    /// The shares in the database.
    #[must_use]
    pub fn new(database: Arc<Database>) -> Self {
        Self { database, other: Mutex::default(), doubted: Event::new() }
    }

    /// Shares the file at `path`; `go_on` hears how many of its bytes are hashed, and of how many,
    /// and ends it by saying no. When this returns, it survives a power failure.
    ///
    /// # Errors
    /// [`ShareError`]; then nothing is changed.
    pub fn add(&self, path: &Path, go_on: impl FnMut(u64, u64) -> bool) -> Result<Share, ShareError> {
        let unreadable = |source| ShareError::Unreadable { path: path.to_owned(), source };
        let path = path.canonicalize().map_err(unreadable)?;
        let read = file::read(&path, go_on)?;
        let row =
            SharedRow { path: path.clone(), sha256: read.sha256, len: read.stamp.len, stamp: read.stamp };
        let is_added = self.database.write(Durability::Synced, |transaction| {
            shared_file::insert(transaction, &row, &read.piece_hashes, MAX_SHARES)
        })?;
        if !is_added {
            return Err(ShareError::TooMany);
        }
        self.other().remove(&path);
        Ok(Share { path, sha256: read.sha256, len: read.stamp.len, state: State::Unchanged })
    }

    /// Shares no longer what lies at `path`, or has this hash. Returns what that was.
    ///
    /// # Errors
    /// Of the database.
    pub fn remove(&self, path: &Path, sha256: Option<&Sha256>) -> Result<Vec<Share>, DatabaseError> {
        let is_meant = |share: &Share| share.path == path || Some(&share.sha256) == sha256;
        let meant: Vec<Share> = self.list()?.into_iter().filter(is_meant).collect();
        self.database.write(Durability::Synced, |transaction| {
            meant.iter().try_for_each(|share| shared_file::remove(transaction, &share.path))
        })?;
        Ok(meant)
    }

    /// All shares, by path.
    ///
    /// # Errors
    /// Of the database.
    pub fn list(&self) -> Result<Vec<Share>, DatabaseError> {
        let rows = self.database.read(shared_file::all)?;
        Ok(rows.into_iter().map(|row| self.share(row)).collect())
    }

    /// The file with this hash, if one that is shared still has it, as far as can be told without
    /// reading it.
    ///
    /// # Errors
    /// Of the database.
    pub fn open_file(&self, sha256: &Sha256) -> Result<Option<SharedFile>, DatabaseError> {
        for row in self.database.read(|connection| shared_file::with_hash(connection, sha256))? {
            match SharedFile::open(&row.path, &row.stamp) {
                Some(file) => {
                    let hashes =
                        self.database.read(|connection| shared_file::piece_hashes(connection, sha256))?;
                    return Ok(hashes.map(|hashes| file.with_hashes(piece_hashes(&hashes))));
                }
                None => self.look_soon(),
            }
        }
        Ok(None)
    }

    /// What was touched is hashed anew soon.
    pub fn look_soon(&self) {
        self.doubted.notify(1);
    }

    /// The file at `path` was read, and is not what it was: it is offered again only after it was
    /// hashed anew and is.
    pub fn doubt(&self, path: &Path) {
        tracing::warn!(path = %path.display(), "a shared file was changed; it is not given any more");
        let forgotten = self.database.write(Durability::Relaxed, |transaction| {
            shared_file::set_stamp(transaction, path, &Stamp::default())
        });
        if let Err(error) = forgotten {
            tracing::warn!(%error, "a changed file cannot be noted");
        }
        self.look_soon();
    }

    /// The files to announce.
    ///
    /// # Errors
    /// Of the database.
    pub fn announceable(&self) -> Result<Vec<Announceable>, DatabaseError> {
        let current = self.list()?.into_iter().filter(|share| share.state == State::Unchanged);
        Ok(current.map(|share| Announceable { sha256: share.sha256, piece_hashes_sha1: None }).collect())
    }

    /// The hashes of the pieces of the file with this hash.
    ///
    /// # Errors
    /// Of the database.
    pub fn piece_hashes(&self, sha256: &Sha256) -> Result<Option<PieceHashes>, DatabaseError> {
        let found = self.database.read(|connection| shared_file::piece_hashes(connection, sha256))?;
        Ok(found.map(|hashes| piece_hashes(&hashes)))
    }

    /// Those whose SHA-1 is `sha1`.
    ///
    /// # Errors
    /// Of the database.
    pub fn piece_hashes_by_sha1(&self, sha1: &[u8; 20]) -> Result<Option<PieceHashes>, DatabaseError> {
        let found = self.database.read(|connection| shared_file::piece_hashes_by_sha1(connection, sha1))?;
        Ok(found.map(|hashes| piece_hashes(&hashes)))
    }

    /// Looks at all files again now and then, and when one is doubted; tells `publisher` when
    /// others are to be offered. Runs until dropped.
    pub async fn watch(self: Arc<Self>, publisher: Publisher) {
        let mut before = Vec::new();
        loop {
            let doubted = self.doubted.listen();
            let shares = Arc::clone(&self);
            match smol::unblock(move || shares.look()).await {
                Ok(now) if now == before => {}
                Ok(now) => {
                    before = now;
                    publisher.cache_changed();
                }
                Err(error) => tracing::warn!(%error, "shared files cannot be looked at"),
            }
            let in_time = async {
                smol::Timer::after(LOOK_AGAIN).await;
            };
            doubted.or(in_time).await;
        }
    }

    /// Hashes what may have changed, and gives what is unchanged.
    fn look(&self) -> Result<Vec<PathBuf>, DatabaseError> {
        let mut unchanged = Vec::new();
        for share in self.list()? {
            let is_unchanged = match share.state {
                State::Unchanged => true,
                State::Touched(stamp) => self.is_still(&share, stamp)?,
                State::Changed | State::Gone | State::Unreadable(_) => false,
            };
            if is_unchanged {
                unchanged.push(share.path);
            }
        }
        Ok(unchanged)
    }

    /// Whether a file has the hash that it had, and notes so.
    fn is_still(&self, share: &Share, stamp: Stamp) -> Result<bool, DatabaseError> {
        match file::read(&share.path, |_, _| true) {
            Ok(read) if read.sha256 == share.sha256 => {
                self.database.write(Durability::Relaxed, |transaction| {
                    shared_file::set_stamp(transaction, &share.path, &read.stamp)
                })?;
                Ok(true)
            }
            Ok(read) => {
                self.other().insert(share.path.clone(), read.stamp);
                Ok(false)
            }
            Err(error) => {
                tracing::debug!(%error, "a shared file cannot be looked at");
                self.other().insert(share.path.clone(), stamp);
                Ok(false)
            }
        }
    }

    fn share(&self, row: SharedRow) -> Share {
        let state = match file::state(&row.path, &row.stamp) {
            State::Touched(now) if self.other().get(&row.path) == Some(&now) => State::Changed,
            state => state,
        };
        Share { path: row.path, sha256: row.sha256, len: row.len, state }
    }

    fn other(&self) -> MutexGuard<'_, HashMap<PathBuf, Stamp>> {
        self.other.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn piece_hashes(bytes: &[u8]) -> PieceHashes {
    let (hashes, _) = bytes.as_chunks::<20>();
    PieceHashes::new(hashes.to_vec())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;
