//! What became of downloads, and why: for `khashmir explain` and the status.
//!
//! While a download runs, those who carry it out note on its [`Trail`] whom they ask and what comes
//! of it. When it has ended, the notes are kept as a [`Record`]: the latest [`MAX_RECORDS`], across
//! restarts. They are written down a moment later, many at a time, so that no download waits for
//! that; a crash may take the last moment's.

mod record;
mod trail;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use event_listener::Event;
use khashmir_apt::Sha256;

use crate::database::{Database, DatabaseError};

pub use record::{Ending, KeyAsked, KeyOf, MirrorAsked, PeerAsked, Record, Why, name_in};
pub use trail::Trail;

/// Records kept; the oldest go.
pub const MAX_RECORDS: usize = 4096;
/// Records of one file, or of one name, that are given, the latest first.
pub const MAX_FOUND: usize = 16;
/// Records held in memory at most until they are written.
const MAX_PENDING: usize = 512;
/// How long records wait for others to be written with.
const GATHER: Duration = Duration::from_secs(1);

/// What is remembered of downloads.
#[derive(Debug)]
pub struct History {
    database: Arc<Database>,
    /// Ended and not yet written, the latest last.
    pending: Mutex<Vec<Record>>,
    ended: Event,
}

/// Which downloads are asked about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum About<'a> {
    /// Those of the file with this hash.
    Hash(&'a Sha256),
    /// Those of files with this name: the last part of a URL's path.
    Name(&'a str),
}

impl History {
    /// The history in the database.
    #[must_use]
    pub fn new(database: Arc<Database>) -> Self {
        Self { database, pending: Mutex::default(), ended: Event::new() }
    }

    /// Keeps what is known of a download that has ended.
    pub fn keep(&self, record: Record) {
        let mut pending = self.pending();
        if pending.len() < MAX_PENDING {
            pending.push(record);
        }
        drop(pending);
        self.ended.notify(1);
    }

    /// The latest downloads of a file, [`MAX_FOUND`] at most, the latest first. Blocks.
    ///
    /// # Errors
    /// Of the database.
    pub fn find(&self, about: About<'_>) -> Result<Vec<Record>, DatabaseError> {
        let is_meant = |record: &&Record| match about {
            About::Hash(sha256) => record.sha256 == sha256.to_string(),
            About::Name(name) => record.name() == name,
        };
        let mut found: Vec<Record> = self.pending().iter().rev().filter(is_meant).cloned().collect();
        found.extend(self.database.records(about, MAX_FOUND)?);
        found.truncate(MAX_FOUND);
        Ok(found)
    }

    /// Writes down what has ended. Blocks.
    ///
    /// # Errors
    /// Of the database; what could not be written is lost.
    pub fn flush(&self) -> Result<(), DatabaseError> {
        let pending = std::mem::take(&mut *self.pending());
        if pending.is_empty() {
            return Ok(());
        }
        self.database.add_records(&pending, MAX_RECORDS)
    }

    /// Writes down what ends, now and then, until dropped.
    pub async fn run(self: Arc<Self>) {
        loop {
            let ended = self.ended.listen();
            if self.pending().is_empty() {
                ended.await;
            }
            smol::Timer::after(GATHER).await;
            let history = Arc::clone(&self);
            if let Err(error) = smol::unblock(move || history.flush()).await {
                tracing::warn!(%error, "the history of downloads cannot be written");
            }
        }
    }

    fn pending(&self) -> MutexGuard<'_, Vec<Record>> {
        self.pending.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn history(dir: &tempfile::TempDir) -> History {
        History::new(Arc::new(Database::open(&dir.path().join("khashmir.db")).unwrap()))
    }

    fn record(n: u64, name: &str) -> Record {
        let sha256 = Sha256::of(name.as_bytes()).to_string();
        let url = Some(format!("http://m.example/pool/{name}"));
        Record { sha256, url, size: Some(n), ..Record::default() }
    }

    fn sizes(records: &[Record]) -> Vec<u64> {
        records.iter().filter_map(|record| record.size).collect()
    }

    #[test]
    fn what_is_not_yet_written_is_found_too_and_all_of_it_after_a_restart() {
        let dir = tempfile::tempdir().unwrap();
        let past = history(&dir);
        past.keep(record(1, "a.deb"));
        past.flush().unwrap();
        past.keep(record(2, "a.deb"));
        past.keep(record(3, "b.deb"));
        assert_eq!(sizes(&past.find(About::Name("a.deb")).unwrap()), [2, 1]);
        assert_eq!(sizes(&past.find(About::Hash(&Sha256::of(b"b.deb"))).unwrap()), [3]);
        past.flush().unwrap();
        drop(past);
        let again = history(&dir);
        assert_eq!(again.find(About::Name("a.deb")).unwrap(), [record(2, "a.deb"), record(1, "a.deb")]);
        assert_eq!(again.find(About::Name("c.deb")).unwrap(), []);
    }

    #[test]
    fn the_oldest_are_forgotten() {
        let dir = tempfile::tempdir().unwrap();
        let history = history(&dir);
        for n in 0..MAX_RECORDS as u64 + 10 {
            history.keep(record(n, &format!("{n}.deb")));
            if n % 500 == 0 {
                history.flush().unwrap();
            }
        }
        history.flush().unwrap();
        assert!(history.find(About::Name("9.deb")).unwrap().is_empty());
        assert_eq!(sizes(&history.find(About::Name("10.deb")).unwrap()), [10]);
    }
}
