//! The rows of files that a person shares from where they lie.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use khashmir::claim::PieceHashes;
use khashmir_apt::Sha256;
use rusqlite::{Connection, OptionalExtension as _, Row, Transaction, params};

use crate::shares::Stamp;

/// What is kept of one shared file, its piece hashes apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SharedRow {
    pub(crate) path: PathBuf,
    pub(crate) sha256: Sha256,
    pub(crate) len: u64,
    /// What it looked like when it had this hash; all zero if that is to be found out anew.
    pub(crate) stamp: Stamp,
}

const COLUMNS: &str = "path, sha256, len, stamp_len, inode, modified_ns, changed_ns";

/// Adds a file, or puts it in its predecessor's place. Returns whether there was room for it among
/// `at_most`.
pub(crate) fn insert(
    transaction: &Transaction<'_>,
    row: &SharedRow,
    piece_hashes: &PieceHashes,
    at_most: usize,
) -> rusqlite::Result<bool> {
    remove(transaction, &row.path)?;
    let count: usize = transaction.query_row("SELECT count(*) FROM shared_file", [], |row| row.get(0))?;
    if count >= at_most {
        // The predecessor, if there was one, made room.
        return Ok(false);
    }
    let Stamp { len, inode, modified_ns, changed_ns } = row.stamp;
    transaction
        .prepare_cached(&format!(
            "INSERT INTO shared_file ({COLUMNS}, piece_hashes, piece_hashes_sha1)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)"
        ))?
        .execute(params![
            bytes(&row.path),
            row.sha256.0,
            row.len,
            len,
            // As the same 64 bits: SQLite's integers have a sign.
            inode.cast_signed(),
            modified_ns,
            changed_ns,
            piece_hashes.as_slice().as_flattened(),
            piece_hashes.sha1(),
        ])?;
    Ok(true)
}

pub(crate) fn remove(transaction: &Transaction<'_>, path: &Path) -> rusqlite::Result<()> {
    transaction.prepare_cached("DELETE FROM shared_file WHERE path = ?1")?.execute([bytes(path)])?;
    Ok(())
}

pub(crate) fn set_stamp(transaction: &Transaction<'_>, path: &Path, stamp: &Stamp) -> rusqlite::Result<()> {
    let Stamp { len, inode, modified_ns, changed_ns } = *stamp;
    transaction
        .prepare_cached(
            "UPDATE shared_file SET stamp_len = ?2, inode = ?3, modified_ns = ?4, changed_ns = ?5
             WHERE path = ?1",
        )?
        .execute(params![bytes(path), len, inode.cast_signed(), modified_ns, changed_ns])?;
    Ok(())
}

/// All files, by path.
pub(crate) fn all(connection: &Connection) -> rusqlite::Result<Vec<SharedRow>> {
    connection
        .prepare_cached(&format!("SELECT {COLUMNS} FROM shared_file ORDER BY path"))?
        .query_map([], row)?
        .collect()
}

/// Those with this hash.
pub(crate) fn with_hash(connection: &Connection, sha256: &Sha256) -> rusqlite::Result<Vec<SharedRow>> {
    connection
        .prepare_cached(&format!("SELECT {COLUMNS} FROM shared_file WHERE sha256 = ?1 ORDER BY path"))?
        .query_map([sha256.0], row)?
        .collect()
}

pub(crate) fn piece_hashes(connection: &Connection, sha256: &Sha256) -> rusqlite::Result<Option<Vec<u8>>> {
    connection
        .prepare_cached("SELECT piece_hashes FROM shared_file WHERE sha256 = ?1 LIMIT 1")?
        .query_row([sha256.0], |row| row.get(0))
        .optional()
}

/// The piece hashes with this SHA-1.
pub(crate) fn piece_hashes_by_sha1(
    connection: &Connection,
    sha1: &[u8; 20],
) -> rusqlite::Result<Option<Vec<u8>>> {
    connection
        .prepare_cached("SELECT piece_hashes FROM shared_file WHERE piece_hashes_sha1 = ?1 LIMIT 1")?
        .query_row([sha1], |row| row.get(0))
        .optional()
}

fn row(row: &Row<'_>) -> rusqlite::Result<SharedRow> {
    let path: Vec<u8> = row.get(0)?;
    Ok(SharedRow {
        path: OsStr::from_bytes(&path).into(),
        sha256: Sha256(row.get(1)?),
        len: row.get(2)?,
        stamp: Stamp {
            len: row.get(3)?,
            inode: row.get::<_, i64>(4)?.cast_unsigned(),
            modified_ns: row.get(5)?,
            changed_ns: row.get(6)?,
        },
    })
}

fn bytes(path: &Path) -> &[u8] {
    path.as_os_str().as_bytes()
}
