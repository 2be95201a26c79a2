//! Bringing the cache's folder and its rows in step after whatever happened.

use std::collections::HashMap;
use std::fs;
use std::io;
use std::path::Path;
use std::time::SystemTime;

use khashmir_apt::Sha256;

use crate::database::cached_file::{self, CachedRow};
use crate::database::{Database, Durability, milliseconds};

/// Removes the files that were being written when the last daemon died.
pub(super) fn remove_litter(partial_dir: &Path) -> io::Result<()> {
    for entry in fs::read_dir(partial_dir)? {
        let entry = entry?;
        if entry.file_type()?.is_file() {
            fs::remove_file(entry.path())?;
        }
    }
    Ok(())
}

/// Drops rows without a file, adds rows for files without one, and removes
/// files that have not their row's length. Returns the bytes in all.
///
/// A file without a row is whole, since files get their names only when they are; it is hashed when it
/// is first used.
pub(super) fn bring_in_step(files_dir: &Path, database: &Database) -> io::Result<u64> {
    let mut files = list(files_dir)?;
    let rows = database.read(cached_file::all)?;
    let mut gone = Vec::new();
    let mut total_bytes = 0;
    for (sha256, len) in rows {
        match files.remove(&sha256) {
            Some((file_len, _)) if file_len == len => total_bytes += len,
            Some(_) => {
                let name = sha256.to_string();
                fs::remove_file(files_dir.join(&name[..2]).join(&name))?;
                gone.push(sha256);
            }
            None => gone.push(sha256),
        }
    }
    if gone.is_empty() && files.is_empty() {
        return Ok(total_bytes);
    }
    tracing::info!(gone = gone.len(), found = files.len(), "the cache's rows did not fit its files");
    database.write(Durability::Relaxed, |transaction| {
        for sha256 in &gone {
            cached_file::remove(transaction, sha256)?;
        }
        for (sha256, (len, last_used_ms)) in &files {
            let row = CachedRow { len: *len, from_index: false, seen: None };
            cached_file::insert(transaction, sha256, row, *last_used_ms)?;
        }
        cached_file::mark_listed(transaction)
    })?;
    Ok(total_bytes + files.values().map(|(len, _)| len).sum::<u64>())
}

/// Every file in its right place, with its length and time of writing. What
/// else lies there is not ours and stays.
fn list(files_dir: &Path) -> io::Result<HashMap<Sha256, (u64, i64)>> {
    let mut files = HashMap::new();
    for dir in fs::read_dir(files_dir)? {
        let dir = dir?;
        if !dir.file_type()?.is_dir() {
            continue;
        }
        for entry in fs::read_dir(dir.path())? {
            let entry = entry?;
            let name = entry.file_name();
            let Some(sha256) = name.to_str().and_then(|name| name.parse::<Sha256>().ok()) else {
                continue;
            };
            let canonical = sha256.to_string();
            if name != canonical.as_str() || dir.file_name() != canonical[..2] {
                continue;
            }
            let metadata = entry.metadata()?;
            if metadata.is_file() {
                let modified = metadata.modified().unwrap_or(SystemTime::UNIX_EPOCH);
                files.insert(sha256, (metadata.len(), milliseconds(modified)));
            }
        }
    }
    Ok(files)
}
