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

/// The most that the entries of one index may take in the database, in bytes, about.
pub const MAX_STORED_BYTES: u64 = 128 << 20;

/// And those of all. Beyond it the indexes learnt longest ago are forgotten.
const MAX_STORED_BYTES_IN_ALL: u64 = 1 << 30;

/// What an entry takes beside its path, in bytes, about.
const ENTRY_BYTES: u64 = 48;

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
    let (mut count, mut bytes) = (0_usize, 0);
    let mut entries = entries(file, compression, MAX_INDEX_BYTES);
    for entry in &mut entries {
        let entry = entry.map_err(LearnError::Index)?;
        count += 1;
        bytes += ENTRY_BYTES + entry.path.len() as u64;
        batch.push(entry);
        if count > MAX_INDEX_ENTRIES || bytes > MAX_STORED_BYTES {
            return Err(LearnError::TooManyEntries);
        }
        if batch.len() == BATCH {
            store_batch(database, index_id, &batch)?;
            batch.clear();
        }
    }
    store_batch(database, index_id, &batch)?;
    database.write(Durability::Relaxed, |transaction| {
        transaction.execute(
            "UPDATE learnt_index SET complete = TRUE, stored_bytes = ?2 WHERE id = ?1",
            params![index_id, bytes],
        )?;
        cached_file::mark_listed_by_index(transaction, index_id)?;
        forget_oldest(transaction, MAX_STORED_BYTES_IN_ALL)
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

/// Forgets the indexes learnt longest ago, until the others take `max_bytes` at most.
fn forget_oldest(connection: &Connection, max_bytes: u64) -> rusqlite::Result<()> {
    let forgotten = connection.execute(
        "DELETE FROM learnt_index WHERE id IN (
             SELECT id FROM (
                 SELECT id, sum(stored_bytes) OVER (ORDER BY id DESC) AS bytes FROM learnt_index
             ) WHERE bytes > ?1
         )",
        [max_bytes],
    )?;
    if forgotten > 0 {
        tracing::info!(forgotten, "indexes are forgotten, others were learnt since");
    }
    Ok(())
}

fn remove(database: &Database, index_id: i64) -> Result<(), DatabaseError> {
    database.write(Durability::Relaxed, |transaction| {
        transaction.execute("DELETE FROM learnt_index WHERE id = ?1", [index_id])?;
        Ok(())
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn beyond_what_is_kept_of_all_the_oldest_go() {
        let dir = tempfile::tempdir().unwrap();
        let database = Database::open(&dir.path().join("khashmir.db")).unwrap();
        let text = |n: u8| format!("Filename: pool/{n}.deb\nSize: 1\nSHA256: {}\n", Sha256::of(&[n]));
        let indexes: Vec<i64> = (0..3)
            .map(|n| {
                let index_id = begin(&database, &Sha256::of(&[n])).unwrap();
                store(&database, index_id, text(n).as_bytes(), Compression::Plain).unwrap();
                index_id
            })
            .collect();
        let one = ENTRY_BYTES + "pool/0.deb".len() as u64;
        let left = |max_bytes| {
            database.write(Durability::Relaxed, |t| forget_oldest(t, max_bytes)).unwrap();
            let ids = |connection: &Connection| {
                connection
                    .prepare("SELECT DISTINCT index_id FROM index_entry ORDER BY index_id")?
                    .query_map([], |row| row.get(0))?
                    .collect::<rusqlite::Result<Vec<i64>>>()
            };
            database.read(ids).unwrap()
        };
        assert_eq!(left(3 * one), indexes);
        assert_eq!(left(3 * one - 1), indexes[1..]);
        assert_eq!(left(one), indexes[2..]);
    }
}
