//! What both sides of a tunnel say, passed on.

use std::io;
use std::net::TcpStream;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use khashmir_apt::http::ResponseHead;
use smol::Async;
use smol::future::{self, FutureExt as _};
use smol::lock::SemaphoreGuardArc;

use super::socket::Socket;
use crate::stats::AptStats;

/// The most that is held of one direction, in bytes.
const BUFFER: usize = 16 * 1024;

/// A tunnel to be answered for.
#[derive(Debug)]
pub struct Tunnel {
    upstream: Socket,
    /// One of as many as there may be.
    _place: SemaphoreGuardArc,
}

impl Tunnel {
    /// A tunnel to `upstream`, to which nothing was said yet.
    #[must_use]
    pub fn new(upstream: Async<TcpStream>, place: SemaphoreGuardArc) -> Self {
        Self { upstream: Socket::new(upstream), _place: place }
    }

    /// Says yes to the client and passes on what both say, `early` first, until both have
    /// ended. When one has, the other hears so and may still speak.
    ///
    /// # Errors
    /// Of either side; `TimedOut` when neither spoke for `idle`.
    pub(super) async fn run(
        self,
        client: &Socket,
        early: &[u8],
        idle: Duration,
        stats: &AptStats,
    ) -> io::Result<()> {
        let _open = stats.tunnels.enter();
        let mut head = Vec::new();
        ResponseHead::with_reason(&mut head, 200, "Connection established").finish();
        client.write_all(&head).await?;
        let activity = Activity { began: Instant::now(), last_ms: AtomicU64::new(0), stats };
        let there = async {
            self.upstream.write_all(early).await?;
            activity.note(early.len());
            one_way(client, &self.upstream, &activity).await
        };
        let back = one_way(&self.upstream, client, &activity);
        let both = async { future::try_zip(there, back).await.map(|_| ()) };
        both.or(activity.ends(idle)).await
    }
}

/// When the two last said anything.
struct Activity<'a> {
    began: Instant,
    last_ms: AtomicU64,
    stats: &'a AptStats,
}

impl Activity<'_> {
    fn note(&self, len: usize) {
        let now_ms = u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.last_ms.store(now_ms, Ordering::Relaxed);
        self.stats.bytes_tunnelled.add(len as u64);
    }

    /// An error once there was none for `idle`.
    async fn ends(&self, idle: Duration) -> io::Result<()> {
        loop {
            let until = self.began + Duration::from_millis(self.last_ms.load(Ordering::Relaxed)) + idle;
            if until <= Instant::now() {
                return Err(io::Error::new(io::ErrorKind::TimedOut, "a tunnel through which nothing went"));
            }
            smol::Timer::at(until).await;
        }
    }
}

async fn one_way(from: &Socket, to: &Socket, activity: &Activity<'_>) -> io::Result<()> {
    let mut buffer = vec![0; BUFFER];
    loop {
        // Waited for as long as the other direction lives.
        let read = from.read(&mut buffer, Duration::MAX).await?;
        let bytes = buffer.get(..read).unwrap_or_default();
        if bytes.is_empty() {
            return to.say_no_more();
        }
        to.write_all(bytes).await?;
        activity.note(read);
    }
}
