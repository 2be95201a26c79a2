//! What can go wrong with the database, said so that a person can act.

use std::fmt;
use std::path::{Path, PathBuf};

use rusqlite::ErrorCode;

/// Why the database did not do what was asked.
#[derive(Debug)]
pub struct DatabaseError {
    path: PathBuf,
    pub(super) source: rusqlite::Error,
}

impl DatabaseError {
    pub(crate) fn new(path: &Path, source: rusqlite::Error) -> Self {
        Self { path: path.to_owned(), source }
    }

    /// Whether the disk is at fault: it is full, fails, or can only be read.
    pub fn is_disk(&self) -> bool {
        use ErrorCode::{CannotOpen, DiskFull, ReadOnly, SystemIoFailure};
        matches!(self.source.sqlite_error_code(), Some(CannotOpen | DiskFull | ReadOnly | SystemIoFailure))
    }

    /// Whether the file is damaged, so that trying again is no use.
    pub fn is_damage(&self) -> bool {
        matches!(self.source.sqlite_error_code(), Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase))
    }
}

/// An error that says that the file is damaged, and how.
pub(super) fn damaged(report: String) -> rusqlite::Error {
    rusqlite::Error::SqliteFailure(rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_CORRUPT), Some(report))
}

impl fmt::Display for DatabaseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = self.path.display();
        write!(f, "database {path}: {}", self.source)?;
        if self.is_damage() {
            write!(f, "; it is damaged")?;
        }
        Ok(())
    }
}

impl std::error::Error for DatabaseError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.source)
    }
}

impl From<DatabaseError> for std::io::Error {
    fn from(error: DatabaseError) -> Self {
        Self::other(error)
    }
}
