//! Asking the running daemon.

use std::fmt;
use std::io::{self, Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::Value;

use super::socket_path;

/// Longer is no answer of ours.
const MAX_ANSWER_BYTES: u64 = 16 << 20;

/// Why no answer came.
#[derive(Debug)]
pub enum AskError {
    /// No daemon runs with this data directory.
    NotRunning(PathBuf),
    /// One does, but the conversation failed.
    Failed {
        /// Its socket.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The daemon answered that it cannot.
    Refused(String),
}

/// Asks the daemon that uses this data directory how it is. Blocks for
/// seconds at most.
pub fn ask_status(data_dir: &Path) -> Result<Value, AskError> {
    let path = socket_path(data_dir);
    let mut stream = UnixStream::connect(&path).map_err(|source| match source.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused => {
            AskError::NotRunning(data_dir.to_owned())
        }
        _ => AskError::Failed { path: path.clone(), source },
    })?;
    let answer = converse(&mut stream).map_err(|source| AskError::Failed { path, source })?;
    match answer.get("error").and_then(Value::as_str) {
        Some(error) => Err(AskError::Refused(error.to_owned())),
        None => Ok(answer),
    }
}

fn converse(stream: &mut UnixStream) -> io::Result<Value> {
    stream.set_read_timeout(Some(Duration::from_secs(10)))?;
    stream.set_write_timeout(Some(Duration::from_secs(10)))?;
    stream.write_all(b"status\n")?;
    let mut answer = Vec::new();
    stream.take(MAX_ANSWER_BYTES).read_to_end(&mut answer)?;
    Ok(serde_json::from_slice(&answer)?)
}

impl fmt::Display for AskError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotRunning(data_dir) => write!(
                f,
                "no daemon answers in the data directory {}; start one with `khashmir`, or name its directory with --data-dir DIR (one that could not write there says so in its log)",
                data_dir.display()
            ),
            Self::Failed { path, source } => {
                write!(f, "cannot ask the daemon at {}: {source}", path.display())
            }
            Self::Refused(error) => write!(f, "the daemon answered: {error}"),
        }
    }
}

impl std::error::Error for AskError {}
