//! What the node in the hash table keeps across restarts.

use std::time::{Duration, SystemTime};

use rusqlite::{OptionalExtension as _, params};

use super::{Database, DatabaseError, Durability, milliseconds};

/// A node's snapshot: its id, contacts, publications, and what others stored here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeSnapshot {
    /// As the engine wrote it.
    pub bytes: Vec<u8>,
    /// When, by the wall clock, to the millisecond.
    pub saved_at: SystemTime,
}

impl Database {
    /// What [`Database::save_node_snapshot`] saved last.
    pub fn node_snapshot(&self) -> Result<Option<NodeSnapshot>, DatabaseError> {
        self.read(|connection| {
            connection
                .query_row("SELECT bytes, saved_ms FROM saved WHERE name = 'node'", [], |row| {
                    let saved_ms: i64 = row.get(1)?;
                    let saved_at = SystemTime::UNIX_EPOCH + Duration::from_millis(saved_ms.unsigned_abs());
                    Ok(NodeSnapshot { bytes: row.get(0)?, saved_at })
                })
                .optional()
        })
    }

    /// Keeps the node's snapshot, instead of an earlier one.
    pub fn save_node_snapshot(&self, snapshot: &NodeSnapshot) -> Result<(), DatabaseError> {
        self.write(Durability::Synced, |transaction| {
            transaction.execute(
                "INSERT OR REPLACE INTO saved (name, bytes, saved_ms) VALUES ('node', ?1, ?2)",
                params![snapshot.bytes, milliseconds(snapshot.saved_at)],
            )?;
            Ok(())
        })
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn the_last_snapshot_is_there_after_a_restart() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("khashmir.db");
        let database = Database::open(&path).unwrap();
        assert_eq!(database.node_snapshot().unwrap(), None);
        let at = |seconds| SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
        let old = NodeSnapshot { bytes: b"old".to_vec(), saved_at: at(1_000) };
        let new = NodeSnapshot { bytes: b"new".to_vec(), saved_at: at(2_000) };
        database.save_node_snapshot(&old).unwrap();
        database.save_node_snapshot(&new).unwrap();
        drop(database);
        assert_eq!(Database::open(&path).unwrap().node_snapshot().unwrap(), Some(new));
    }
}
