//! What the node in the hash table keeps across restarts: its snapshot, and
//! what it announces.

use std::time::SystemTime;

use rusqlite::{OptionalExtension as _, params};

use super::{Database, DatabaseError, Durability, milliseconds};

/// A value that the node stores again and again under a key until it is
/// withdrawn.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Publication {
    /// Where in the hash table.
    pub key: [u8; 20],
    /// What is stored there.
    pub value: Vec<u8>,
    /// When it must be stored next, by the wall clock.
    pub renew_at: SystemTime,
}

/// Publications kept at most.
pub const MAX_PUBLICATIONS: usize = 65_536;

impl Database {
    /// All that is announced, the most urgent first.
    pub fn publications(&self) -> Result<Vec<Publication>, DatabaseError> {
        self.read(|connection| {
            connection
                .prepare("SELECT key, value, renew_at_ms FROM publication ORDER BY renew_at_ms")?
                .query_map([], |row| {
                    let renew_at_ms: i64 = row.get(2)?;
                    Ok(Publication {
                        key: row.get(0)?,
                        value: row.get(1)?,
                        renew_at: SystemTime::UNIX_EPOCH
                            + std::time::Duration::from_millis(renew_at_ms.unsigned_abs()),
                    })
                })?
                .collect()
        })
    }

    /// Keeps a publication, or its new time; on the disk when this returns.
    /// Returns whether it is kept: [`MAX_PUBLICATIONS`] are.
    pub fn save_publication(&self, publication: &Publication) -> Result<bool, DatabaseError> {
        self.write(Durability::Synced, |transaction| {
            let changed = transaction.execute(
                "INSERT INTO publication (key, value, renew_at_ms)
                 SELECT ?1, ?2, ?3
                 WHERE (SELECT count(*) FROM publication) < ?4
                    OR EXISTS (SELECT 1 FROM publication WHERE key = ?1 AND value = ?2)
                 ON CONFLICT (key, value) DO UPDATE SET renew_at_ms = excluded.renew_at_ms",
                params![
                    publication.key,
                    publication.value,
                    milliseconds(publication.renew_at),
                    MAX_PUBLICATIONS
                ],
            )?;
            Ok(changed > 0)
        })
    }

    /// Forgets a publication.
    pub fn remove_publication(&self, key: &[u8; 20], value: &[u8]) -> Result<(), DatabaseError> {
        self.write(Durability::Synced, |transaction| {
            transaction
                .execute("DELETE FROM publication WHERE key = ?1 AND value = ?2", params![key, value])?;
            Ok(())
        })
    }

    /// What [`Database::save_node_snapshot`] saved last.
    pub fn node_snapshot(&self) -> Result<Option<Vec<u8>>, DatabaseError> {
        self.read(|connection| {
            connection
                .query_row("SELECT bytes FROM saved WHERE name = 'node'", [], |row| row.get(0))
                .optional()
        })
    }

    /// Keeps the node's snapshot: its id and contacts.
    pub fn save_node_snapshot(&self, bytes: &[u8]) -> Result<(), DatabaseError> {
        self.write(Durability::Synced, |transaction| {
            transaction.execute("INSERT OR REPLACE INTO saved (name, bytes) VALUES ('node', ?1)", [bytes])?;
            Ok(())
        })
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn publications_and_the_snapshot_are_there_after_a_restart() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("khashmir.db");
        let database = Database::open(&path).unwrap();
        let at = |seconds| SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
        let one = Publication { key: [1; 20], value: b"de".to_vec(), renew_at: at(2_000) };
        let two = Publication { key: [1; 20], value: b"le".to_vec(), renew_at: at(1_000) };
        assert!(database.save_publication(&one).unwrap());
        assert!(database.save_publication(&two).unwrap());
        let later = Publication { renew_at: at(3_000), ..two.clone() };
        assert!(database.save_publication(&later).unwrap());
        database.save_node_snapshot(b"old").unwrap();
        database.save_node_snapshot(b"new").unwrap();
        drop(database);

        let database = Database::open(&path).unwrap();
        assert_eq!(database.publications().unwrap(), [one.clone(), later]);
        assert_eq!(database.node_snapshot().unwrap().as_deref(), Some(&b"new"[..]));
        database.remove_publication(&two.key, &two.value).unwrap();
        assert_eq!(database.publications().unwrap(), [one]);
    }
}
