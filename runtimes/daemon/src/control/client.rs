//! Asking the running daemon.

use std::fmt;
use std::io::{self, BufRead as _, BufReader, Read, Write as _};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::de::DeserializeOwned;
use serde_json::Value;

use super::{Message, Request, socket_path};

/// Longer is no line of an answer of ours.
const MAX_LINE_BYTES: u64 = 16 << 20;
/// A daemon that is well says something within this: how far it is, at least.
const PATIENCE: Duration = Duration::from_secs(30);

/// Why no answer came.
#[derive(Debug)]
pub enum AskError {
    /// No daemon runs with this data directory.
    NotRunning(PathBuf),
    /// The data are another user's.
    NotAllowed(PathBuf),
    /// A daemon runs, but the conversation failed.
    Failed {
        /// Its socket.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The daemon answered that it cannot.
    Refused(String),
}

/// A conversation with the daemon, about one request. Dropping it ends what was asked for.
#[derive(Debug)]
pub struct Conversation {
    reader: BufReader<UnixStream>,
    path: PathBuf,
}

impl Conversation {
    /// Asks the daemon that uses this data directory.
    ///
    /// # Errors
    /// [`AskError`], if there is none.
    pub fn begin(data_dir: &Path, request: &Request) -> Result<Self, AskError> {
        let path = socket_path(data_dir);
        let mut stream = UnixStream::connect(&path).map_err(|source| match source.kind() {
            io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused => {
                AskError::NotRunning(data_dir.to_owned())
            }
            io::ErrorKind::PermissionDenied => AskError::NotAllowed(data_dir.to_owned()),
            _ => AskError::Failed { path: path.clone(), source },
        })?;
        let mut ask = || {
            stream.set_read_timeout(Some(PATIENCE))?;
            stream.set_write_timeout(Some(PATIENCE))?;
            let mut line = serde_json::to_vec(request)?;
            line.push(b'\n');
            stream.write_all(&line)
        };
        match ask() {
            Ok(()) => Ok(Self { reader: BufReader::new(stream), path }),
            Err(source) => Err(AskError::Failed { path, source }),
        }
    }

    /// The next line of the answer. Waits for it, for half a minute at most.
    ///
    /// # Errors
    /// [`AskError`]; a line that says why not is one, too.
    pub fn listen<T: DeserializeOwned, P: DeserializeOwned>(&mut self) -> Result<Message<T, P>, AskError> {
        let mut line = Vec::new();
        let read = (&mut self.reader).take(MAX_LINE_BYTES).read_until(b'\n', &mut line);
        let message = read.and_then(|read| match read {
            0 => Err(io::ErrorKind::UnexpectedEof.into()),
            _ => Ok(serde_json::from_slice(&line)?),
        });
        match message {
            Ok(Message::Error(error)) => Err(AskError::Refused(error)),
            Ok(message) => Ok(message),
            Err(source) => Err(AskError::Failed { path: self.path.clone(), source }),
        }
    }

    /// What was asked for, when it is there; `on_progress` hears how far it is until then.
    ///
    /// # Errors
    /// As [`listen`](Self::listen).
    pub fn finish<T: DeserializeOwned, P: DeserializeOwned>(
        &mut self,
        mut on_progress: impl FnMut(P),
    ) -> Result<T, AskError> {
        loop {
            match self.listen()? {
                Message::Progress(progress) => on_progress(progress),
                Message::Done(done) => return Ok(done),
                Message::Error(error) => return Err(AskError::Refused(error)),
            }
        }
    }

    /// The bytes behind the last line.
    pub fn bytes(&mut self) -> &mut impl Read {
        &mut self.reader
    }
}

/// Asks the daemon that uses this data directory how it is. Blocks for
/// seconds at most.
pub fn ask_status(data_dir: &Path) -> Result<Value, AskError> {
    Conversation::begin(data_dir, &Request::Status)?.finish(|_: Value| {})
}

impl fmt::Display for AskError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotRunning(data_dir) => write!(
                f,
                "no daemon answers in the data directory {}; start one with `khashmir`, name its directory with \
                 --data-dir DIR, or ask root's with sudo (one that could not write there says so in its log)",
                data_dir.display()
            ),
            Self::NotAllowed(data_dir) => write!(
                f,
                "the daemon's data in {} are another user's; ask as that user (`sudo -u USER khashmir …`), or \
                 name another directory with --data-dir DIR",
                data_dir.display()
            ),
            Self::Failed { path, source } => {
                write!(f, "cannot ask the daemon at {}: ", path.display())?;
                match source.kind() {
                    io::ErrorKind::UnexpectedEof
                    | io::ErrorKind::BrokenPipe
                    | io::ErrorKind::ConnectionReset => {
                        f.write_str("it hung up; if it has ended, start it again")
                    }
                    io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => {
                        write!(
                            f,
                            "it has said nothing for {} s; if that goes on, restart it",
                            PATIENCE.as_secs()
                        )
                    }
                    _ => source.fmt(f),
                }
            }
            Self::Refused(error) => f.write_str(error),
        }
    }
}

impl std::error::Error for AskError {}
