//! Why nothing was learnt.

use std::error::Error;
use std::fmt;

use khashmir_apt::index::IndexError;
use khashmir_apt::release::ReleaseError;

use crate::database::DatabaseError;

/// Why nothing was learnt from a file.
#[derive(Debug)]
#[non_exhaustive]
pub enum LearnError {
    /// The path is not that of a Release file below `/dists/`.
    NotARelease,
    /// The Release file cannot be read.
    Release(ReleaseError),
    /// No known Release file lists this content as an index.
    NotListed,
    /// The index file cannot be read.
    Index(IndexError),
    /// The index lists more files than
    /// [`MAX_INDEX_ENTRIES`](super::MAX_INDEX_ENTRIES), or their names are longer than
    /// [`MAX_STORED_BYTES`](super::MAX_STORED_BYTES) allows.
    TooManyEntries,
    /// The database failed.
    Database(DatabaseError),
}

impl fmt::Display for LearnError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotARelease => f.write_str("not the path of a Release file below /dists/"),
            Self::Release(error) => error.fmt(f),
            Self::NotListed => f.write_str("no known Release lists an index with this hash"),
            Self::Index(error) => error.fmt(f),
            Self::TooManyEntries => {
                write!(
                    f,
                    "the index lists more than {} files, or files with names as long as those of so many",
                    super::MAX_INDEX_ENTRIES
                )
            }
            Self::Database(error) => error.fmt(f),
        }
    }
}

impl Error for LearnError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Release(error) => Some(error),
            Self::Index(error) => Some(error),
            Self::Database(error) => Some(error),
            Self::NotARelease | Self::NotListed | Self::TooManyEntries => None,
        }
    }
}

impl From<DatabaseError> for LearnError {
    fn from(error: DatabaseError) -> Self {
        Self::Database(error)
    }
}
