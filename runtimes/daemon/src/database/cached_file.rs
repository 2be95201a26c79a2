//! The rows of the cache's files. The cache keeps them in step with its
//! folder.

use khashmir_apt::Sha256;
use rusqlite::{Connection, OptionalExtension as _, Transaction, params};

/// What is known of one cached file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct CachedRow {
    pub(crate) len: u64,
    pub(crate) from_index: bool,
    /// `None`: not hashed since it was found.
    pub(crate) seen: Option<Seen>,
}

/// How a file looked when it was hashed last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Seen {
    /// When its inode had last changed, in nanoseconds since 1970.
    pub(crate) changed_ns: i64,
    /// When that was, in milliseconds since 1970.
    pub(crate) checked_ms: i64,
}

pub(crate) fn find(connection: &Connection, sha256: &Sha256) -> rusqlite::Result<Option<CachedRow>> {
    connection
        .prepare_cached("SELECT len, from_index, changed_ns, checked_ms FROM cached_file WHERE sha256 = ?1")?
        .query_row([sha256.0], |row| {
            let seen: (Option<i64>, Option<i64>) = (row.get(2)?, row.get(3)?);
            let seen = match seen {
                (Some(changed_ns), Some(checked_ms)) => Some(Seen { changed_ns, checked_ms }),
                _ => None,
            };
            Ok(CachedRow { len: row.get(0)?, from_index: row.get(1)?, seen })
        })
        .optional()
}

/// All files with their lengths.
pub(crate) fn all(connection: &Connection) -> rusqlite::Result<Vec<(Sha256, u64)>> {
    connection
        .prepare("SELECT sha256, len FROM cached_file")?
        .query_map([], |row| Ok((Sha256(row.get(0)?), row.get(1)?)))?
        .collect()
}

/// When a file was last used, in milliseconds since 1970.
pub(crate) fn last_use_ms(connection: &Connection) -> rusqlite::Result<i64> {
    connection.query_row("SELECT ifnull(max(last_used_ms), 0) FROM cached_file", [], |row| row.get(0))
}

/// Adds a file. Returns whether it is new. What came from an index once,
/// stays so.
pub(crate) fn insert(
    transaction: &Transaction<'_>,
    sha256: &Sha256,
    row: CachedRow,
    last_used_ms: i64,
) -> rusqlite::Result<bool> {
    let (changed_ns, checked_ms) = row.seen.map(|seen| (seen.changed_ns, seen.checked_ms)).unzip();
    let updated = transaction
        .prepare_cached(
            "UPDATE cached_file SET last_used_ms = max(last_used_ms, ?2),
                                    from_index = max(from_index, ?3),
                                    changed_ns = ?4, checked_ms = ?5
             WHERE sha256 = ?1",
        )?
        .execute(params![sha256.0, last_used_ms, row.from_index, changed_ns, checked_ms])?;
    if updated == 0 {
        transaction
            .prepare_cached(
                "INSERT INTO cached_file (sha256, len, last_used_ms, from_index, changed_ns, checked_ms)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
            )?
            .execute(params![sha256.0, row.len, last_used_ms, row.from_index, changed_ns, checked_ms])?;
    }
    Ok(updated == 0)
}

/// Notes how a file looked when it was hashed.
pub(crate) fn set_seen(transaction: &Transaction<'_>, sha256: &Sha256, seen: Seen) -> rusqlite::Result<()> {
    transaction
        .prepare_cached("UPDATE cached_file SET changed_ns = ?2, checked_ms = ?3 WHERE sha256 = ?1")?
        .execute(params![sha256.0, seen.changed_ns, seen.checked_ms])?;
    Ok(())
}

pub(crate) fn remove(transaction: &Transaction<'_>, sha256: &Sha256) -> rusqlite::Result<bool> {
    let removed =
        transaction.prepare_cached("DELETE FROM cached_file WHERE sha256 = ?1")?.execute([sha256.0])?;
    Ok(removed > 0)
}

pub(crate) fn touch(
    transaction: &Transaction<'_>,
    sha256: &Sha256,
    last_used_ms: i64,
) -> rusqlite::Result<()> {
    transaction
        .prepare_cached("UPDATE cached_file SET last_used_ms = max(last_used_ms, ?2) WHERE sha256 = ?1")?
        .execute(params![sha256.0, last_used_ms])?;
    Ok(())
}

/// The files to part with first, so many that at least `excess_bytes` become
/// free.
pub(crate) fn least_recently_used(
    connection: &Connection,
    excess_bytes: u64,
    except: Option<&Sha256>,
) -> rusqlite::Result<Vec<(Sha256, u64)>> {
    let mut statement =
        connection.prepare_cached("SELECT sha256, len FROM cached_file ORDER BY last_used_ms, rowid")?;
    let mut rows = statement.query([])?;
    let mut victims = Vec::new();
    let mut freed = 0;
    while freed < excess_bytes {
        let Some(row) = rows.next()? else { break };
        let (sha256, len) = (Sha256(row.get(0)?), row.get::<_, u64>(1)?);
        if except != Some(&sha256) {
            victims.push((sha256, len));
            freed += len;
        }
    }
    Ok(victims)
}

/// Marks the cached files that an index, just learnt, lists.
pub(crate) fn mark_listed_by_index(transaction: &Transaction<'_>, index_id: i64) -> rusqlite::Result<usize> {
    transaction.execute(
        "UPDATE cached_file SET from_index = TRUE WHERE NOT from_index
             AND sha256 IN (SELECT sha256 FROM index_entry WHERE index_id = ?1)",
        [index_id],
    )
}

/// Marks the cached files that a Release, just learnt, lists.
pub(crate) fn mark_listed_by_release(
    transaction: &Transaction<'_>,
    generation_id: i64,
) -> rusqlite::Result<usize> {
    transaction.execute(
        "UPDATE cached_file SET from_index = TRUE WHERE NOT from_index
             AND sha256 IN (SELECT sha256 FROM release_file WHERE generation_id = ?1)",
        [generation_id],
    )
}

/// Marks the cached files that anything learnt lists.
pub(crate) fn mark_listed(transaction: &Transaction<'_>) -> rusqlite::Result<usize> {
    transaction.execute(
        "UPDATE cached_file SET from_index = TRUE WHERE NOT from_index
             AND (sha256 IN (SELECT sha256 FROM release_file)
                  OR sha256 IN (SELECT e.sha256 FROM index_entry e
                                JOIN learnt_index i ON i.id = e.index_id AND i.complete))",
        [],
    )
}

pub(crate) fn set_piece_hashes(
    transaction: &Transaction<'_>,
    sha256: &Sha256,
    piece_hashes: &[u8],
    sha1: &[u8; 20],
) -> rusqlite::Result<bool> {
    let changed = transaction
        .prepare_cached("UPDATE cached_file SET piece_hashes = ?2, piece_hashes_sha1 = ?3 WHERE sha256 = ?1")?
        .execute(params![sha256.0, piece_hashes, sha1])?;
    Ok(changed > 0)
}

/// A file that peers may have, as it is announced.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Announceable {
    /// The hash of the whole file.
    pub sha256: Sha256,
    /// The SHA-1 of its piece hashes, once they are known.
    pub piece_hashes_sha1: Option<[u8; 20]>,
}

/// The files that peers may have, those used last first.
pub(crate) fn announceable(connection: &Connection, at_most: usize) -> rusqlite::Result<Vec<Announceable>> {
    connection
        .prepare_cached(
            "SELECT sha256, piece_hashes_sha1 FROM cached_file WHERE from_index
             ORDER BY last_used_ms DESC, rowid DESC LIMIT ?1",
        )?
        .query_map([at_most], |row| {
            Ok(Announceable { sha256: Sha256(row.get(0)?), piece_hashes_sha1: row.get(1)? })
        })?
        .collect()
}

pub(crate) fn piece_hashes(connection: &Connection, sha256: &Sha256) -> rusqlite::Result<Option<Vec<u8>>> {
    let found: Option<Option<Vec<u8>>> = connection
        .prepare_cached("SELECT piece_hashes FROM cached_file WHERE sha256 = ?1")?
        .query_row([sha256.0], |row| row.get(0))
        .optional()?;
    Ok(found.flatten())
}

/// The piece hashes with this SHA-1, of a file that peers may have.
pub(crate) fn piece_hashes_by_sha1(
    connection: &Connection,
    sha1: &[u8; 20],
) -> rusqlite::Result<Option<Vec<u8>>> {
    connection
        .prepare_cached(
            "SELECT piece_hashes FROM cached_file
             WHERE piece_hashes_sha1 = ?1 AND from_index LIMIT 1",
        )?
        .query_row([sha1], |row| row.get(0))
        .optional()
}
