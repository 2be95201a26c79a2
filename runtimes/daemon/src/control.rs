//! The Unix socket over which commands ask the running daemon.
//!
//! A client sends one line, a [`Request`] as JSON. The answer is lines of JSON, each a [`Message`]:
//! any number that tell of progress, then one that ends it; behind that, where the request was for
//! a file, its bytes. Then the connection is closed. A client that hangs up ends what it asked for.
//! Only the user whose daemon it is can connect.

use std::fs;
use std::io;
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use smol::Executor;
use smol::future::FutureExt as _;
use smol::io::{AsyncBufReadExt as _, AsyncReadExt as _, BufReader};
use smol::lock::Semaphore;
use smol::net::unix::{UnixListener, UnixStream};

use crate::Context;
use crate::dht::Dht;
use crate::fetch::Fetches;
use crate::publisher::Publisher;
use crate::startup::StartError;

mod client;
mod explain;
mod get;
mod message;
mod share;
mod status;
mod walk;

pub use client::{AskError, Conversation, ask_status};
pub use explain::{Explanation, KnownFile, Subject, UrlKind};
pub use get::Got;
pub use message::{Advance, Message, Request};
pub use share::{NewShare, Shared};
pub use status::Fetching;
pub use walk::MAX_PER_SECOND;

use message::Teller;

/// What distinguishes this daemon from others.
#[derive(Debug)]
pub struct Identity {
    /// Where apt reaches it.
    pub proxy: SocketAddr,
    /// Where other machines reach it.
    pub peers: SocketAddr,
    /// Where it keeps its data.
    pub data_dir: PathBuf,
}

/// What answers need.
#[derive(Debug)]
pub(crate) struct Answering {
    pub(crate) context: Arc<Context>,
    pub(crate) identity: Arc<Identity>,
    pub(crate) dht: Dht,
    pub(crate) fetches: Arc<Fetches>,
    pub(crate) publisher: Publisher,
    /// Held while the network is walked.
    pub(crate) walking: smol::lock::Mutex<()>,
}

/// The socket, bound.
#[derive(Debug)]
pub(crate) struct Control {
    listener: std::os::unix::net::UnixListener,
    started: Instant,
}

/// Clients at a time; further ones wait.
const MAX_CLIENTS: usize = 32;
/// A client that has not said what it wants is not waited for longer.
const PATIENCE: Duration = Duration::from_secs(5);
/// A request line is shorter: a path has 4096 bytes, which JSON may write as numbers.
const MAX_REQUEST_BYTES: u64 = 32 * 1024;
/// The pause after the system refused a connection for want of something.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

fn socket_path(data_dir: &Path) -> PathBuf {
    data_dir.join("control.sock")
}

impl Control {
    /// Binds the socket. Who calls holds the data directory's lock, so a
    /// socket that is there already is that of a daemon which has ended.
    pub(crate) fn bind(data_dir: &Path) -> Result<Self, StartError> {
        let path = socket_path(data_dir);
        let bind = || {
            match fs::remove_file(&path) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
            let listener = std::os::unix::net::UnixListener::bind(&path)?;
            fs::set_permissions(&path, fs::Permissions::from_mode(0o600))?;
            Ok(listener)
        };
        let listener = bind().map_err(|source| StartError::Control { path: path.clone(), source })?;
        Ok(Self { listener, started: Instant::now() })
    }

    /// Answers until dropped; all conversations end with it.
    pub(crate) async fn serve(self, answering: Answering) {
        let Self { listener, started } = self;
        let listener = match UnixListener::try_from(listener) {
            Ok(listener) => listener,
            Err(error) => return tracing::error!(%error, "cannot serve the control socket"),
        };
        let executor = Executor::new();
        let places = Arc::new(Semaphore::new(MAX_CLIENTS));
        let answering = Arc::new(answering);
        let accept = async {
            loop {
                let place = places.acquire_arc().await;
                match listener.accept().await {
                    Ok((stream, _)) => {
                        let answering = Arc::clone(&answering);
                        let converse = async move {
                            if let Err(error) = converse(stream, &answering, started).await {
                                tracing::debug!(%error, "a control connection failed");
                            }
                            drop(place);
                        };
                        executor.spawn(converse).detach();
                    }
                    Err(error) => {
                        tracing::debug!(%error, "a control connection cannot be accepted");
                        smol::Timer::after(ACCEPT_PAUSE).await;
                    }
                }
            }
        };
        executor.run(accept).await
    }
}

/// One conversation, to its end or until the client hangs up.
async fn converse(stream: UnixStream, answering: &Answering, started: Instant) -> io::Result<()> {
    let mut listening = stream.clone();
    let mut line = String::new();
    let request =
        async { BufReader::new((&mut listening).take(MAX_REQUEST_BYTES)).read_line(&mut line).await };
    let late = async {
        smol::Timer::after(PATIENCE).await;
        Err(io::ErrorKind::TimedOut.into())
    };
    request.or(late).await?;
    let mut teller = Teller::new(stream);
    let answer = async {
        match serde_json::from_str(&line) {
            Ok(request) => answering.answer(request, &mut teller, started).await,
            Err(error) => {
                let text =
                    format!("this daemon does not know such a request: {error}; restart it if it is older");
                teller.refuse(&text).await
            }
        }
    };
    let hung_up = async {
        // It has no more to say.
        while listening.read(&mut [0; 64]).await.is_ok_and(|read| read > 0) {}
        Err(io::ErrorKind::ConnectionAborted.into())
    };
    answer.or(hung_up).await
}

impl Answering {
    async fn answer(&self, request: Request, teller: &mut Teller, started: Instant) -> io::Result<()> {
        match request {
            Request::Status => teller.finish(&self.status(started).await).await,
            Request::Get { sha256, max_len } => match sha256.parse() {
                Ok(sha256) => self.get(sha256, max_len, teller).await,
                Err(error) => teller.refuse(&format!("{sha256}: {error}")).await,
            },
            Request::Share { path } => self.share(path.into(), teller).await,
            Request::Explain { subject } => self.explain(subject, teller).await,
            Request::Walk { per_second, at_most_s } => self.walk(per_second, at_most_s, teller).await,
            Request::ListShared => self.list_shared(teller).await,
            Request::Unshare { path, sha256 } => {
                let sha256 = sha256.and_then(|sha256| sha256.parse().ok());
                self.unshare(path.into(), sha256, teller).await
            }
        }
    }
}
