//! Whether a cached file is still what it was.
//!
//! A disk, a restored backup or a curious person may change a file while its length stays, and one
//! wrong byte ends apt's whole run. So the time at which its inode last changed, which nobody can
//! set, is kept with a file; when it is another, or a day has passed, the file is hashed again before
//! it is handed out.

use std::fs::{File, Metadata};
use std::io;
use std::os::unix::fs::{FileExt as _, MetadataExt as _};
use std::time::{Duration, SystemTime};

use khashmir_apt::Sha256;

use super::{Cache, Hasher};
use crate::database::cached_file::{self, CachedRow, Seen};
use crate::database::{Durability, milliseconds};

/// After so long a file is hashed again when it is used: disks forget.
const CHECK_AGAIN: Duration = Duration::from_secs(24 * 3600);
/// What is read of a file at a time, in bytes.
const CHUNK: usize = 256 << 10;

/// How a file looks that has just been hashed.
pub(super) fn seen(metadata: &Metadata) -> Seen {
    Seen { changed_ns: changed_ns(metadata), checked_ms: milliseconds(SystemTime::now()) }
}

fn changed_ns(metadata: &Metadata) -> i64 {
    metadata.ctime().wrapping_mul(1_000_000_000).wrapping_add(metadata.ctime_nsec())
}

/// Whether the file has been hashed lately, and not changed since.
fn is_fresh(row: &CachedRow, metadata: &Metadata) -> bool {
    let day = i64::try_from(CHECK_AGAIN.as_millis()).unwrap_or(i64::MAX);
    row.seen.is_some_and(|seen| {
        let age = milliseconds(SystemTime::now()).saturating_sub(seen.checked_ms);
        seen.changed_ns == changed_ns(metadata) && (0..day).contains(&age)
    })
}

impl Cache {
    /// Whether an open file, as long as its row says, has its hash; as it was seen, or hashed now.
    pub(super) fn is_right(&self, sha256: &Sha256, row: &CachedRow, file: &File) -> io::Result<bool> {
        let metadata = file.metadata()?;
        if is_fresh(row, &metadata) {
            return Ok(true);
        }
        let seen = seen(&metadata);
        if hash(file, row.len)? != *sha256 {
            return Ok(false);
        }
        let noted = self
            .database
            .write(Durability::Relaxed, |transaction| cached_file::set_seen(transaction, sha256, seen));
        if let Err(error) = noted {
            tracing::debug!(%sha256, %error, "that a file is right cannot be noted");
        }
        Ok(true)
    }

    /// A cached file is not what its name says, or cannot be read: it is never handed out again.
    pub fn is_lost(&self, sha256: &Sha256, why: &str) {
        tracing::warn!(%sha256, why, "a cached file is lost, and will be fetched anew");
        let mut lost = self.lock_lost();
        if lost.len() < super::MAX_TOUCHED {
            // Until it is committed anew: on a disk that is read-only it stays where it is.
            lost.insert(*sha256);
        }
        drop(lost);
        let changing = self.lock_changes();
        let Some(row) = self.row(sha256) else { return };
        if let Err(error) = self.remove_locked(&changing, &[(*sha256, row.len)]) {
            tracing::warn!(%sha256, %error, "a lost file cannot be removed");
        }
    }
}

/// The hash of the first `len` bytes of a file.
fn hash(file: &File, len: u64) -> io::Result<Sha256> {
    let mut hasher = Hasher::default();
    let mut chunk = vec![0; CHUNK];
    while hasher.position() < len {
        let most = usize::try_from(len - hasher.position()).map_or(CHUNK, |left| left.min(CHUNK));
        match file.read_at(chunk.get_mut(..most).unwrap_or_default(), hasher.position())? {
            0 => break,
            read => hasher.update(chunk.get(..read).unwrap_or_default()),
        }
    }
    Ok(hasher.finish().sha256())
}
