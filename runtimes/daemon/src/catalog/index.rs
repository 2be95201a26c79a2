//! Learning index files.

use std::io::BufRead;

use khashmir_apt::Sha256;
use khashmir_apt::index::{Compression, Entry, IndexName, entries};
use rusqlite::{Connection, OptionalExtension as _, params};

use super::LearnError;
use crate::cache::Verified;
use crate::database::{Database, DatabaseError, Durability, cached_file};

/// The most that an index may unpack to. Debian's largest has 50 MB.
pub const MAX_INDEX_BYTES: u64 = 1 << 30;

/// The most files that an index may list. Debian's largest lists 63,440.
pub const MAX_INDEX_ENTRIES: usize = 1_000_000;

/// Entries stored in one transaction: others get their turn in between.
const BATCH: usize = 4096;

pub(super) fn learn(database: &Database, verified: Verified, file: impl BufRead) -> Result<(), LearnError> {
    let sha256 = verified.sha256();
    let (compression, is_learnt) =
        database.read(|connection| Ok((listed_as(connection, &sha256)?, is_learnt(connection, &sha256)?)))?;
    let compression = compression.ok_or(LearnError::NotListed)?;
    if is_learnt {
        return Ok(());
    }
    let index_id = begin(database, &sha256)?;
    let learnt = store(database, index_id, file, compression);
    if learnt.is_err() {
        remove(database, index_id)?;
    }
    learnt
}

/// Removes what a crash left half-learnt.
pub(super) fn remove_incomplete(database: &Database) -> Result<(), DatabaseError> {
    let any = database
        .read(|connection| connection.prepare("SELECT 1 FROM learnt_index WHERE NOT complete")?.exists([]))?;
    if any {
        database.write(Durability::Relaxed, |transaction| {
            transaction.execute("DELETE FROM learnt_index WHERE NOT complete", [])
        })?;
    }
    Ok(())
}

/// How the index with this hash is packed, if a Release lists it.
fn listed_as(connection: &Connection, sha256: &Sha256) -> rusqlite::Result<Option<Compression>> {
    let path: Option<String> = connection
        .prepare_cached("SELECT path FROM release_file WHERE sha256 = ?1 AND index_name IS NOT NULL LIMIT 1")?
        .query_row([sha256.0], |row| row.get(0))
        .optional()?;
    Ok(path.and_then(|path| IndexName::parse(&path).map(|(_, compression)| compression)))
}

fn is_learnt(connection: &Connection, sha256: &Sha256) -> rusqlite::Result<bool> {
    connection.prepare_cached("SELECT 1 FROM learnt_index WHERE sha256 = ?1 AND complete")?.exists([sha256.0])
}

fn begin(database: &Database, sha256: &Sha256) -> Result<i64, DatabaseError> {
    database.write(Durability::Relaxed, |transaction| {
        transaction.execute("DELETE FROM learnt_index WHERE sha256 = ?1", [sha256.0])?;
        transaction.execute("INSERT INTO learnt_index (sha256, complete) VALUES (?1, FALSE)", [sha256.0])?;
        Ok(transaction.last_insert_rowid())
    })
}

fn store(
    database: &Database,
    index_id: i64,
    file: impl BufRead,
    compression: Compression,
) -> Result<(), LearnError> {
    let mut batch = Vec::with_capacity(BATCH);
    let mut count = 0_usize;
    let mut entries = entries(file, compression, MAX_INDEX_BYTES);
    for entry in &mut entries {
        batch.push(entry.map_err(LearnError::Index)?);
        count += 1;
        if count > MAX_INDEX_ENTRIES {
            return Err(LearnError::TooManyEntries);
        }
        if batch.len() == BATCH {
            store_batch(database, index_id, &batch)?;
            batch.clear();
        }
    }
    store_batch(database, index_id, &batch)?;
    database.write(Durability::Relaxed, |transaction| {
        transaction.execute("UPDATE learnt_index SET complete = TRUE WHERE id = ?1", [index_id])?;
        cached_file::mark_listed_by_index(transaction, index_id)
    })?;
    tracing::info!(count, skipped = entries.skipped(), "learnt an index");
    Ok(())
}

fn store_batch(database: &Database, index_id: i64, batch: &[Entry]) -> Result<(), DatabaseError> {
    database.write(Durability::Relaxed, |transaction| {
        let mut insert = transaction.prepare_cached(
            "INSERT OR IGNORE INTO index_entry (index_id, path, size, sha256)
             VALUES (?1, ?2, ?3, ?4)",
        )?;
        for entry in batch {
            insert.execute(params![index_id, entry.path, entry.size, entry.sha256.0])?;
        }
        Ok(())
    })
}

fn remove(database: &Database, index_id: i64) -> Result<(), DatabaseError> {
    database.write(Durability::Relaxed, |transaction| {
        transaction.execute("DELETE FROM learnt_index WHERE id = ?1", [index_id])?;
        Ok(())
    })
}
