//! What goes over the socket.

use std::ffi::OsString;
use std::io;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use smol::future::FutureExt as _;
use smol::io::AsyncWriteExt as _;
use smol::net::unix::UnixStream;

use super::explain::Subject;

/// What a client asks for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Request {
    /// How the daemon is.
    Status,
    /// The bytes of a file.
    Get {
        /// Its hash, in hexadecimal.
        sha256: String,
        /// The most bytes that it may have.
        max_len: Option<u64>,
    },
    /// Give a file to other machines from now on.
    Share {
        /// Where it lies, from the root.
        path: OsString,
    },
    /// What is known about a file.
    Explain {
        /// Which.
        subject: Subject,
    },
    /// Who is in the network.
    Walk {
        /// Datagrams to send in a second.
        per_second: u32,
        /// How long it may take, in seconds.
        at_most_s: u64,
    },
    /// What is given to others.
    ListShared,
    /// Give it no more.
    Unshare {
        /// Where it lies, from the root.
        path: OsString,
        /// And whatever has this hash, in hexadecimal.
        sha256: Option<String>,
    },
}

/// A line of the answer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Message<T = Value, P = T> {
    /// How far it is; more follows.
    Progress(P),
    /// What was asked for; nothing follows but bytes of which it tells the number.
    Done(T),
    /// Why not.
    Error(String),
}

/// How far something is, in bytes. A `len` of 0: not known yet.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Advance {
    /// What is done.
    pub done: u64,
    /// What there is to do.
    pub len: u64,
}

/// A client that does not take what it is sent is not waited for longer.
const WRITE_PATIENCE: Duration = Duration::from_secs(60);

/// The daemon's end of one conversation.
#[derive(Debug)]
pub(super) struct Teller {
    stream: UnixStream,
}

impl Teller {
    pub(super) fn new(stream: UnixStream) -> Self {
        Self { stream }
    }

    /// Tells what was asked for.
    pub(super) async fn finish(&mut self, done: &impl Serialize) -> io::Result<()> {
        self.say(&Message::<_, ()>::Done(done)).await
    }

    /// Tells why it cannot be had.
    pub(super) async fn refuse(&mut self, error: &str) -> io::Result<()> {
        self.say(&Message::<()>::Error(error.to_owned())).await
    }

    /// Tells how far it is.
    pub(super) async fn advance(&mut self, progress: &impl Serialize) -> io::Result<()> {
        self.say(&Message::<(), _>::Progress(progress)).await
    }

    async fn say(&mut self, message: &impl Serialize) -> io::Result<()> {
        let mut line = serde_json::to_vec(message)?;
        line.push(b'\n');
        self.send(&line).await
    }

    /// Sends bytes as they are.
    pub(super) async fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        let late = async {
            smol::Timer::after(WRITE_PATIENCE).await;
            Err(io::ErrorKind::TimedOut.into())
        };
        self.stream.write_all(bytes).or(late).await
    }
}
