//! The listener that apt talks to: a small HTTP/1.1 server of our own.
//!
//! It reads ahead in a client's pipeline, has every request worked on at once, and
//! answers in order; content flows from files while they grow, and heads drip while
//! content may not flow yet (protocol, section 7). To apt it never says 1xx or 5xx:
//! what cannot be had is cut, since apt resumes after a cut.

mod answer;
mod connection;
mod growing;
mod head;
mod socket;
mod tunnel;
mod writer;

use std::collections::HashSet;
use std::net::{IpAddr, SocketAddr, TcpStream};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use smol::lock::Semaphore;
use smol::net::TcpListener;
use smol::{Async, Executor};

use crate::proxy::Proxy;

pub use answer::{Answer, Content, Later, Message};
pub use growing::Growing;
pub use tunnel::Tunnel;

/// The pause after the system refused a connection for want of something.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Serves clients until dropped; all their connections end with it.
pub async fn serve(proxy: Arc<Proxy>, listener: TcpListener) {
    let listener: Arc<Async<std::net::TcpListener>> = listener.into();
    let executor = Executor::new();
    let connections = usize::try_from(proxy.context().config.proxy.max_connections).unwrap_or(usize::MAX);
    let limit = Arc::new(Semaphore::new(connections));
    let refused = Arc::new(Refused::default());
    let accept = async {
        loop {
            let permit = limit.acquire_arc().await;
            match listener.accept().await {
                Ok((stream, client))
                    if proxy.context().config.proxy.allows_client(client.ip().to_canonical()) =>
                {
                    let serve = serve_client(stream, client, Arc::clone(&proxy));
                    let serve = async move {
                        serve.await;
                        drop(permit);
                    };
                    executor.spawn(serve).detach();
                }
                Ok((stream, client)) => {
                    executor.spawn(Arc::clone(&refused).refuse(stream, client, Arc::clone(&proxy))).detach();
                }
                Err(error) => {
                    tracing::warn!(%error, "a client's connection cannot be accepted");
                    smol::Timer::after(ACCEPT_PAUSE).await;
                }
            }
        }
    };
    executor.run(accept).await
}

/// What clients that may not use the proxy get: an answer, and a line in the log, but neither for
/// all of a flood, nor in the place of those who may.
#[derive(Debug)]
struct Refused {
    known: Mutex<HashSet<IpAddr>>,
    places: Arc<Semaphore>,
}

/// Addresses that get a line.
const MAX_NEWS: usize = 64;
/// Clients that are answered at a time.
const MAX_ANSWERED: usize = 16;

impl Default for Refused {
    fn default() -> Self {
        Self { known: Mutex::default(), places: Arc::new(Semaphore::new(MAX_ANSWERED)) }
    }
}

impl Refused {
    fn is_news(&self, client: IpAddr) -> bool {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.len() < MAX_NEWS && known.insert(client)
    }

    async fn refuse(self: Arc<Self>, stream: Async<TcpStream>, client: SocketAddr, proxy: Arc<Proxy>) {
        let (context, address) = (proxy.context(), client.ip().to_canonical());
        context.stats.apt.refused.increment();
        match self.is_news(address) {
            true => tracing::warn!(client = %address, "refused: not among the allowed clients"),
            false => tracing::debug!(client = %address, "refused again"),
        }
        let Some(_place) = self.places.try_acquire_arc() else { return };
        if let Err(error) = connection::refuse(stream, context, address).await {
            tracing::debug!(client = %address, %error, "a refused client's connection broke");
        }
    }
}

async fn serve_client(stream: Async<TcpStream>, client: SocketAddr, proxy: Arc<Proxy>) {
    let context = Arc::clone(proxy.context());
    let _open = context.stats.apt.connections.enter();
    if let Err(error) = connection::serve(stream, proxy).await {
        tracing::debug!(%client, %error, "a client's connection broke");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_of_refused_clients_is_no_flood_of_lines() {
        let refused = Refused::default();
        let news = (0..10_000_u32).map(|n| IpAddr::from((n / 2).to_be_bytes()));
        assert_eq!(news.filter(|client| refused.is_news(*client)).count(), MAX_NEWS);
    }
}
