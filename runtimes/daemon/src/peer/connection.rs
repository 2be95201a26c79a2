//! One peer's connection: requests one after the other, for as long as it moves.

use std::convert::Infallible;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use hyper::server::conn::http1;
use hyper::service::service_fn;
use smol::Async;
use smol::future::FutureExt as _;
use smol_hyper::rt::FuturesIo;

use super::{Server, content};

/// A connection on which no request came, and of which no chunk of an answer was taken, for so
/// long is closed. With chunks of 64 KiB it asks of a peer to read a kilobyte a second.
const IDLE_LIMIT: Duration = Duration::from_secs(60);
/// The longest request head, in bytes.
const MAX_HEAD: usize = 16 * 1024;
/// Header fields in a request at most.
const MAX_FIELDS: usize = 64;

/// Serves a connection to its end.
pub(super) async fn serve(server: &Arc<Server>, stream: Async<std::net::TcpStream>) -> hyper::Result<()> {
    // Answers are whole; nothing is gained by holding their ends back.
    let _ = stream.get_ref().set_nodelay(true);
    let activity = Arc::new(Activity::new());
    let service = service_fn(|request| {
        activity.happened();
        let (server, activity) = (Arc::clone(server), Arc::clone(&activity));
        async move { Ok::<_, Infallible>(content::answer(&server, &activity, &request).await) }
    });
    let connection = http1::Builder::new()
        .max_buf_size(MAX_HEAD)
        .max_headers(MAX_FIELDS)
        .pipeline_flush(true)
        // The idle limit covers heads that do not end, too.
        .header_read_timeout(None)
        .serve_connection(FuturesIo::new(stream), service);
    let idle = async {
        activity.has_ceased().await;
        Ok(())
    };
    connection.or(idle).await
}

/// When a connection last moved.
#[derive(Debug)]
pub(super) struct Activity {
    /// `None` while we hold it up ourselves.
    last: Mutex<Option<Instant>>,
}

impl Activity {
    fn new() -> Self {
        Self { last: Mutex::new(Some(Instant::now())) }
    }

    /// It moved.
    pub(super) fn happened(&self) {
        self.set(Some(Instant::now()));
    }

    /// It is being held up by us, until it next moves.
    pub(super) fn is_held_up(&self) {
        self.set(None);
    }

    fn set(&self, last: Option<Instant>) {
        *self.last.lock().unwrap_or_else(PoisonError::into_inner) = last;
    }

    /// Waits until it has not moved for too long.
    async fn has_ceased(&self) {
        loop {
            let last = *self.last.lock().unwrap_or_else(PoisonError::into_inner);
            let now = Instant::now();
            let until = last.unwrap_or(now) + IDLE_LIMIT;
            if until <= now {
                return;
            }
            smol::Timer::at(until).await;
        }
    }
}
