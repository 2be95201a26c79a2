//! From a hash to the names that indexes give it.

use khashmir_apt::Sha256;
use rusqlite::params;

use crate::database::{Database, DatabaseError};

/// The most names of one hash that are given.
pub const MAX_LISTINGS: usize = 16;

/// Where an archive has a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listing {
    /// The archive's host and the file's path there.
    pub place: String,
    /// Its length in bytes.
    pub size: u64,
    /// The suite whose Release file, or whose index, lists it: host and directory.
    pub suite: String,
}

/// All that list the hash, the suites confirmed last first. Slow: it reads every entry.
pub(super) fn of(database: &Database, sha256: &Sha256) -> Result<Vec<Listing>, DatabaseError> {
    database.read(|connection| {
        connection
            .prepare_cached(
                "SELECT place, size, suite, max(seen) FROM (
                     SELECT s.authority || s.dir || '/' || f.path AS place, f.size AS size,
                            s.authority || s.dir AS suite, g.seen AS seen
                     FROM release_file f
                     JOIN generation g ON g.id = f.generation_id
                     JOIN suite s ON s.id = g.suite_id
                     WHERE f.sha256 = ?1
                     UNION ALL
                     SELECT s.authority || s.root || '/' || e.path, e.size, s.authority || s.dir, g.seen
                     FROM index_entry e
                     JOIN learnt_index i ON i.id = e.index_id AND i.complete
                     JOIN release_file f ON f.sha256 = i.sha256 AND f.index_name IS NOT NULL
                     JOIN generation g ON g.id = f.generation_id
                     JOIN suite s ON s.id = g.suite_id
                     WHERE e.sha256 = ?1
                 ) GROUP BY place, suite ORDER BY max(seen) DESC, place LIMIT ?2",
            )?
            .query_map(params![sha256.0, MAX_LISTINGS], |row| {
                Ok(Listing { place: row.get(0)?, size: row.get(1)?, suite: row.get(2)? })
            })?
            .collect()
    })
}
