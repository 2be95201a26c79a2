//! From a URL to what the file must be.

use khashmir_apt::Sha256;
use khashmir_apt::archive::{ByHash, by_hash, patch};
use rusqlite::{Connection, Row, params};

use super::Expected;
use crate::database::{Database, DatabaseError};

/// The most hashes that a look-up returns for one path.
pub const MAX_EXPECTED: usize = 8;

/// Rows looked at for one path: the same hash may be named by many
/// generations.
const MAX_ROWS: usize = 256;

pub(super) fn lookup(database: &Database, site: &str, path: &str) -> Result<Vec<Expected>, DatabaseError> {
    database.read(|connection| {
        let rows = match by_hash(path) {
            Some(ByHash::Sha256(Sha256(hash))) => listed_by_hash(connection, site, path, "sha256", &hash)?,
            Some(ByHash::Sha512(hash)) => listed_by_hash(connection, site, path, "sha512", &hash)?,
            None => listed_by_name(connection, site, path)?,
        };
        let rows = match patch(path) {
            Some((folder, name)) if rows.is_empty() => patches(connection, site, folder, name)?,
            _ => rows,
        };
        // Some archives keep their packages below `dists/` too.
        let rows = if rows.is_empty() { in_indexes(connection, site, path)? } else { rows };
        Ok(distinct(rows))
    })
}

/// Files of a Release, by their path below the suite's directory.
fn listed_by_name(connection: &Connection, site: &str, path: &str) -> rusqlite::Result<Vec<Expected>> {
    connection
        .prepare_cached(
            "SELECT f.sha256, f.size
             FROM suite s
             CROSS JOIN generation g ON g.suite_id = s.id
             CROSS JOIN release_file f
                 ON f.generation_id = g.id AND f.path = substr(?2, length(s.dir) + 2)
             WHERE s.authority = ?1 AND substr(?2, 1, length(s.dir) + 1) = s.dir || '/'
             ORDER BY g.seen DESC LIMIT ?3",
        )?
        .query_map(params![site, path, MAX_ROWS], expected)?
        .collect()
}

/// Files of a Release, by the hash in a `by-hash` path of their suite.
fn listed_by_hash(
    connection: &Connection,
    site: &str,
    path: &str,
    column: &str,
    hash: &[u8],
) -> rusqlite::Result<Vec<Expected>> {
    connection
        .prepare_cached(&format!(
            "SELECT f.sha256, f.size
             FROM release_file f
             CROSS JOIN generation g ON g.id = f.generation_id
             CROSS JOIN suite s ON s.id = g.suite_id
             WHERE f.{column} = ?3
               AND s.authority = ?1 AND substr(?2, 1, length(s.dir) + 1) = s.dir || '/'
             ORDER BY g.seen DESC LIMIT 1"
        ))?
        .query_map(params![site, path, hash], expected)?
        .collect()
}

/// Files of learnt indexes, by their path below the archive's root.
fn in_indexes(connection: &Connection, site: &str, path: &str) -> rusqlite::Result<Vec<Expected>> {
    // Learnt indexes are few, and each is in few generations: begin there.
    connection
        .prepare_cached(
            "SELECT e.sha256, e.size
             FROM learnt_index i
             CROSS JOIN release_file f ON f.sha256 = i.sha256 AND f.index_name IS NOT NULL
             CROSS JOIN generation g ON g.id = f.generation_id
             CROSS JOIN suite s ON s.id = g.suite_id
             CROSS JOIN index_entry e
                 ON e.index_id = i.id AND e.path = substr(?2, length(s.root) + 2)
             WHERE i.complete
               AND s.authority = ?1 AND substr(?2, 1, length(s.root) + 1) = s.root || '/'
             ORDER BY g.seen DESC LIMIT ?3",
        )?
        .query_map(params![site, path, MAX_ROWS], expected)?
        .collect()
}

/// Files that the learnt `Index` in their folder lists, by their name.
fn patches(connection: &Connection, site: &str, folder: &str, name: &str) -> rusqlite::Result<Vec<Expected>> {
    connection
        .prepare_cached(
            "SELECT e.sha256, e.size
             FROM suite s
             CROSS JOIN generation g ON g.suite_id = s.id
             CROSS JOIN release_file f
                 ON f.generation_id = g.id AND f.path = substr(?2, length(s.dir) + 2) || '/Index'
             CROSS JOIN learnt_index i ON i.sha256 = f.sha256 AND i.complete
             CROSS JOIN index_entry e ON e.index_id = i.id AND e.path = ?3
             WHERE s.authority = ?1 AND substr(?2, 1, length(s.dir) + 1) = s.dir || '/'
             ORDER BY g.seen DESC LIMIT ?4",
        )?
        .query_map(params![site, folder, name, MAX_ROWS], expected)?
        .collect()
}

fn expected(row: &Row<'_>) -> rusqlite::Result<Expected> {
    Ok(Expected { sha256: Sha256(row.get(0)?), size: row.get(1)? })
}

fn distinct(rows: Vec<Expected>) -> Vec<Expected> {
    let mut found: Vec<Expected> = Vec::new();
    for row in rows {
        if found.len() < MAX_EXPECTED && !found.contains(&row) {
            found.push(row);
        }
    }
    found
}
