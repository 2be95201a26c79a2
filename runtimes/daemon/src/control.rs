//! The Unix socket over which `khashmir status` asks the running daemon.
//!
//! A request is one line, the answer one JSON document, then the connection
//! is closed. Only the user whose daemon it is can connect.

use std::fs;
use std::io;
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde::Serialize;
use smol::future::FutureExt as _;
use smol::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use smol::net::unix::{UnixListener, UnixStream};

use crate::Context;
use crate::dht::Dht;
use crate::problems::Problem;
use crate::startup::StartError;
use crate::stats::Stats;

mod client;

pub use client::{AskError, ask_status};

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

/// The answer to `status`.
#[derive(Debug, Serialize)]
struct Status<'a> {
    version: &'static str,
    uptime_seconds: u64,
    proxy: SocketAddr,
    peers: SocketAddr,
    /// Where claims say that this machine is reached; empty: nothing is announced.
    own_addresses: Vec<SocketAddr>,
    data_dir: &'a Path,
    cache: CacheStatus,
    /// What is wrong now, for a person to mend.
    problems: Vec<Problem>,
    #[serde(flatten)]
    stats: &'a Stats,
}

#[derive(Debug, Serialize)]
struct CacheStatus {
    bytes: u64,
    limit_bytes: u64,
}

/// The socket, bound.
#[derive(Debug)]
pub(crate) struct Control {
    listener: std::os::unix::net::UnixListener,
    started: Instant,
}

/// A client that says nothing is not waited for longer.
const PATIENCE: Duration = Duration::from_secs(5);
/// A request line is shorter.
const MAX_REQUEST_BYTES: u64 = 64;

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

    /// Answers, one client after the other, until dropped.
    pub(crate) async fn serve(self, context: Arc<Context>, identity: Arc<Identity>, dht: Dht) {
        let Self { listener, started } = self;
        let listener = match UnixListener::try_from(listener) {
            Ok(listener) => listener,
            Err(error) => return tracing::error!(%error, "cannot serve the control socket"),
        };
        loop {
            let served = async {
                let (stream, _) = listener.accept().await?;
                let timeout = async {
                    smol::Timer::after(PATIENCE).await;
                    Err(io::ErrorKind::TimedOut.into())
                };
                answer(stream, &context, &identity, &dht, started).or(timeout).await
            };
            if let Err(error) = served.await {
                tracing::debug!(%error, "a control connection failed");
                // Where accepting itself fails, it would fail again at once.
                smol::Timer::after(Duration::from_millis(50)).await;
            }
        }
    }
}

async fn answer(
    mut stream: UnixStream,
    context: &Context,
    identity: &Identity,
    dht: &Dht,
    started: Instant,
) -> io::Result<()> {
    let mut request = String::new();
    BufReader::new((&mut stream).take(MAX_REQUEST_BYTES)).read_line(&mut request).await?;
    dht.report(&context.stats.dht).await;
    let document = match request.trim_end() {
        "status" => serde_json::to_vec(&Status {
            version: env!("CARGO_PKG_VERSION"),
            uptime_seconds: started.elapsed().as_secs(),
            proxy: identity.proxy,
            peers: identity.peers,
            own_addresses: dht.own_addresses().await,
            data_dir: &identity.data_dir,
            cache: CacheStatus {
                bytes: context.cache.total_bytes(),
                limit_bytes: context.config.cache.size_limit.bytes(),
            },
            problems: context.problems.list(),
            stats: &context.stats,
        })?,
        unknown => serde_json::to_vec(&serde_json::json!({
            "error": format!("unknown request `{unknown}`; known: status")
        }))?,
    };
    stream.write_all(&document).await?;
    stream.write_all(b"\n").await?;
    stream.flush().await
}
