//! Why a file cannot be shared, said so that a person can act.

use std::fmt;
use std::io;
use std::path::PathBuf;

use super::MAX_SHARES;
use crate::database::DatabaseError;
use crate::fetch::MAX_LEN;

/// Why a file cannot be shared.
#[derive(Debug)]
pub enum ShareError {
    /// The daemon cannot read it.
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// It is a directory, or the like.
    NoFile(PathBuf),
    /// It has no content.
    Empty(PathBuf),
    /// It is longer than any file that is fetched.
    TooLong {
        /// The file.
        path: PathBuf,
        /// Its length in bytes.
        len: u64,
    },
    /// It was written to while it was read.
    Changing(PathBuf),
    /// Too many files are shared.
    TooMany,
    /// Whoever wanted it has gone.
    Stopped,
    /// It cannot be noted.
    Database(DatabaseError),
}

impl fmt::Display for ShareError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unreadable { path, source } => {
                write!(f, "cannot read {}: {source}", path.display())?;
                match source.kind() {
                    io::ErrorKind::PermissionDenied => f.write_str(
                        "; the daemon reads it as the user that it runs as, who must be allowed to",
                    ),
                    _ => Ok(()),
                }
            }
            Self::NoFile(path) => {
                write!(f, "{} is no regular file; name the files in it, or pack it", path.display())
            }
            Self::Empty(path) => write!(f, "{} is empty: there is nothing to share", path.display()),
            Self::TooLong { path, len } => write!(
                f,
                "{} has {len} bytes; no machine fetches more than {MAX_LEN} in one file: split it",
                path.display()
            ),
            Self::Changing(path) => write!(
                f,
                "{} was changed while it was read; share it again when it is finished",
                path.display()
            ),
            Self::TooMany => write!(
                f,
                "{MAX_SHARES} files are shared already; end some of that with `khashmir share --remove FILE`"
            ),
            Self::Stopped => f.write_str("interrupted"),
            Self::Database(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for ShareError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Unreadable { source, .. } => Some(source),
            Self::Database(error) => Some(error),
            _ => None,
        }
    }
}

impl From<DatabaseError> for ShareError {
    fn from(error: DatabaseError) -> Self {
        Self::Database(error)
    }
}
