//! Small things on disk, in SQLite: what the cache holds, what the catalog
//! learnt, documents, the node's snapshot.
//!
//! One file in WAL mode, one connection that writes and one that reads, so
//! that a look-up does not wait for an index being learnt. All calls block;
//! callers on the executor wrap them in [`smol::unblock`].

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use rusqlite::{Connection, Transaction, TransactionBehavior};

use crate::disk;
use crate::problems::{Kind, Problems};

pub use document::{Document, MAX_DOCUMENT_BYTES};
pub use error::DatabaseError;
pub use node::NodeSnapshot;

pub(crate) mod cached_file;
mod damaged;
mod document;
mod error;
mod history;
mod node;
mod schema;
pub(crate) mod shared_file;

/// The daemon's database.
#[derive(Debug)]
pub struct Database {
    path: PathBuf,
    writer: Mutex<Connection>,
    /// Whether the writer syncs, as SQLite does unless told otherwise. To change it has all
    /// statements compiled anew.
    syncs: AtomicBool,
    /// The other one where there is only one.
    reader: Option<Mutex<Connection>>,
    problems: Arc<Problems>,
    /// Whether it is known that it cannot be written.
    is_told: AtomicBool,
}

/// What a power failure may take back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Durability {
    /// Nothing: on the disk when the call returns. For what is announced or
    /// told to a user.
    Synced,
    /// The last writes, up to the next synced one. (A crash of the daemon
    /// alone takes back nothing in either case.)
    Relaxed,
}

impl Database {
    /// Opens the database in this file, or makes it, and brings its schema up
    /// to date. Checks its structure, so that damage is found now and not in
    /// the middle of an answer.
    pub fn open(path: &Path) -> Result<Self, DatabaseError> {
        let open = || {
            let mut writer = connect(path)?;
            schema::migrate(&mut writer)?;
            let report: String = writer.query_row("PRAGMA quick_check(1)", [], |row| row.get(0))?;
            if report != "ok" {
                return Err(error::damaged(report));
            }
            let reader = connect(path)?;
            reader.pragma_update(None, "query_only", true)?;
            Ok((writer, Some(Mutex::new(reader))))
        };
        let (writer, reader) = open().map_err(|source| DatabaseError::new(path, source))?;
        Ok(Self::new(path, writer, reader))
    }

    /// A database that lasts as long as it is open.
    pub fn in_memory() -> Result<Self, DatabaseError> {
        let open = || {
            let mut writer = Connection::open_in_memory()?;
            prepare(&writer)?;
            schema::migrate(&mut writer)?;
            Ok(writer)
        };
        let path = Path::new("in memory");
        Ok(Self::new(path, open().map_err(|source| DatabaseError::new(path, source))?, None))
    }

    fn new(path: &Path, writer: Connection, reader: Option<Mutex<Connection>>) -> Self {
        Self {
            path: path.to_owned(),
            writer: Mutex::new(writer),
            syncs: AtomicBool::new(true),
            reader,
            problems: Arc::default(),
            is_told: AtomicBool::new(false),
        }
    }

    /// What is wrong on this machine: with the database, and with whatever keeps its rows there.
    pub fn problems(&self) -> &Arc<Problems> {
        &self.problems
    }

    pub(crate) fn read<T>(
        &self,
        query: impl FnOnce(&Connection) -> rusqlite::Result<T>,
    ) -> Result<T, DatabaseError> {
        query(&lock(self.reader.as_ref().unwrap_or(&self.writer))).map_err(|source| self.failed(source))
    }

    /// Runs `change` in a transaction: all of it happens, or nothing.
    pub(crate) fn write<T>(
        &self,
        durability: Durability,
        change: impl FnOnce(&Transaction<'_>) -> rusqlite::Result<T>,
    ) -> Result<T, DatabaseError> {
        let mut connection = lock(&self.writer);
        let run = || {
            let synced = durability == Durability::Synced;
            if self.syncs.load(Ordering::Relaxed) != synced {
                let synchronous = if synced { "FULL" } else { "NORMAL" };
                connection.pragma_update(None, "synchronous", synchronous)?;
                self.syncs.store(synced, Ordering::Relaxed);
            }
            let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
            let outcome = change(&transaction)?;
            transaction.commit()?;
            Ok(outcome)
        };
        let outcome = run().map_err(|source| self.failed(source))?;
        if self.is_told.swap(false, Ordering::Relaxed) {
            self.problems.end(Kind::Database);
        }
        Ok(outcome)
    }

    /// Says what is wrong to whoever looks.
    fn failed(&self, source: rusqlite::Error) -> DatabaseError {
        let error = DatabaseError::new(&self.path, source);
        if error.is_damage() {
            let text = format!(
                "{error}. Until khashmir is restarted, apt is served from the mirror what cannot be found. Restart it: \
                 it sets the damaged database aside and begins a new one."
            );
            self.problems.begin(Kind::Database, text);
        } else if error.is_disk() {
            self.is_told.store(true, Ordering::Relaxed);
            let text = format!(
                "{error}. Until it can be used again, apt is served from the mirror what cannot be found, and nothing \
                 new is learnt or shared. {}; nothing else is to be done.",
                disk::advice(&error.to_string())
            );
            self.problems.begin(Kind::Database, text);
        }
        error
    }
}

/// What a connection keeps of the file, in KiB.
const CACHE_KIB: i64 = 512;

fn connect(path: &Path) -> rusqlite::Result<Connection> {
    let connection = Connection::open(path)?;
    connection.busy_timeout(Duration::from_secs(10))?;
    connection.pragma_update(None, "journal_mode", "WAL")?;
    prepare(&connection)?;
    Ok(connection)
}

fn prepare(connection: &Connection) -> rusqlite::Result<()> {
    connection.pragma_update(None, "foreign_keys", true)?;
    // The system keeps the file's pages as well; of our own, few are enough.
    connection.pragma_update(None, "cache_size", -CACHE_KIB)?;
    connection.set_prepared_statement_cache_capacity(64);
    Ok(())
}

/// A panic inside a transaction rolled it back, so what the lock guards is
/// whole even when it is poisoned.
fn lock(connection: &Mutex<Connection>) -> MutexGuard<'_, Connection> {
    connection.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Milliseconds since 1970, as the database keeps times.
pub(crate) fn milliseconds(time: SystemTime) -> i64 {
    time.duration_since(SystemTime::UNIX_EPOCH)
        .ok()
        .and_then(|since| i64::try_from(since.as_millis()).ok())
        .unwrap_or(0)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_database_is_reported_as_damaged() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("khashmir.db");
        std::fs::write(&path, vec![b'x'; 8192]).unwrap();
        let error = Database::open(&path).unwrap_err();
        assert!(error.is_damage(), "{error}");
        let text = error.to_string();
        assert!(text.contains("khashmir.db") && text.contains("damaged"), "{text}");
    }

    #[test]
    fn a_page_overwritten_is_found_at_the_start() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("khashmir.db");
        let database = Database::open(&path).unwrap();
        let document = Document { body: vec![7; 200_000], ..Document::default() };
        assert!(database.store_document("a/b", &document).unwrap());
        drop(database);
        let mut bytes = std::fs::read(&path).unwrap();
        let len = bytes.len();
        bytes[4096..len.min(65536)].fill(0x5a);
        std::fs::write(&path, bytes).unwrap();
        assert!(Database::open(&path).unwrap_err().is_damage());
    }

    #[test]
    fn a_newer_schema_is_refused_not_misread() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("khashmir.db");
        drop(Database::open(&path).unwrap());
        Connection::open(&path).unwrap().pragma_update(None, "user_version", 9999).unwrap();
        let text = Database::open(&path).unwrap_err().to_string();
        assert!(text.contains("newer"), "{text}");
    }

    #[test]
    fn a_failed_change_leaves_nothing_behind() {
        let dir = tempfile::tempdir().unwrap();
        let database = Database::open(&dir.path().join("khashmir.db")).unwrap();
        let failed: Result<(), _> = database.write(Durability::Synced, |transaction| {
            transaction.execute("INSERT INTO saved VALUES ('node', x'00', 0)", [])?;
            Err(rusqlite::Error::InvalidQuery)
        });
        assert!(failed.is_err());
        assert_eq!(database.node_snapshot().unwrap(), None);
    }
}
