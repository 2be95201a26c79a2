//! Connections to mirrors, or to peers: a limit per host, and those that wait for reuse.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http_body_util::Empty;
use hyper::client::conn::http1::SendRequest;
use khashmir_apt::url::Scheme;
use smol::lock::{Semaphore, SemaphoreGuardArc};

/// How long an idle connection is worth keeping; mirrors close theirs after 5 s
/// (Apache's default) and more.
const KEEP_IDLE: Duration = Duration::from_secs(15);
/// Idle connections kept, over all hosts.
const MAX_IDLE: usize = 64;

/// The half of a connection that takes requests.
pub(crate) type Sender = SendRequest<Empty<Bytes>>;

/// How it is spoken to, a host's name or address, and a port.
pub(crate) type Host = (Scheme, String, u16);

/// Connections by host and port.
#[derive(Debug)]
pub(crate) struct Pool {
    per_host: usize,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// Alive only while somebody holds or awaits a permit.
    limits: HashMap<Host, Weak<Semaphore>>,
    /// Oldest first.
    idle: VecDeque<Idle>,
}

#[derive(Debug)]
struct Idle {
    host: Host,
    sender: Sender,
    since: Instant,
}

impl Pool {
    /// A pool that lets `per_host` requests run at a time towards one host.
    pub(crate) fn new(per_host: usize) -> Self {
        Self { per_host: per_host.max(1), state: Mutex::default() }
    }

    /// Waits until one more request may run towards `host`.
    pub(crate) async fn permit(&self, host: &Host) -> SemaphoreGuardArc {
        let semaphore = {
            let mut state = self.state();
            state.limits.retain(|_, limit| limit.strong_count() > 0);
            match state.limits.get(host).and_then(Weak::upgrade) {
                Some(semaphore) => semaphore,
                None => {
                    let semaphore = Arc::new(Semaphore::new(self.per_host));
                    state.limits.insert(host.clone(), Arc::downgrade(&semaphore));
                    semaphore
                }
            }
        };
        semaphore.acquire_arc().await
    }

    /// The connection to `host` that was used last, if one is open.
    pub(crate) fn take_idle(&self, host: &Host) -> Option<Sender> {
        let mut state = self.state();
        state.idle.retain(|idle| idle.since.elapsed() < KEEP_IDLE && !idle.sender.is_closed());
        let newest = state.idle.iter().rposition(|idle| idle.host == *host)?;
        state.idle.remove(newest).map(|idle| idle.sender)
    }

    fn put_idle(&self, host: Host, sender: Sender) {
        let mut state = self.state();
        if state.idle.len() == MAX_IDLE {
            state.idle.pop_front();
        }
        state.idle.push_back(Idle { host, sender, since: Instant::now() });
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A connection in use, and the right to use it.
#[derive(Debug)]
pub(crate) struct Lease {
    pool: Arc<Pool>,
    host: Host,
    sender: Sender,
    permit: Option<SemaphoreGuardArc>,
}

impl Lease {
    pub(crate) fn new(
        pool: Arc<Pool>,
        host: Host,
        sender: Sender,
        permit: Option<SemaphoreGuardArc>,
    ) -> Self {
        Self { pool, host, sender, permit }
    }

    pub(crate) fn sender(&mut self) -> &mut Sender {
        &mut self.sender
    }

    /// Drops the connection and keeps the right to open another.
    pub(crate) fn into_permit(self) -> Option<SemaphoreGuardArc> {
        self.permit
    }

    /// Keeps the connection for the next request: the response was read to its end.
    pub(crate) fn give_back(self) {
        if !self.sender.is_closed() {
            self.pool.put_idle(self.host, self.sender);
        }
    }
}
